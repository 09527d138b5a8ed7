"""The Python API: the commands as functions, with results as data frames and figures.

What a user can fix is raised as :class:`hpbench.errors.HpbenchError`, with one line that says how.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpbench.arguments import documented, joined
from hpbench.checking.config import CheckConfig, run_checks
from hpbench.errors import write_errors
from hpbench.inference.progress import NoProgress
from hpbench.paths import user_path
from hpbench.predicting.config import PredictConfig
from hpbench.reports.plots import Plots
from hpbench.results.results_file import ResultsFile
from hpbench.results.run_config import RunConfig
from hpbench.running.faces_config import FacesConfig
from hpbench.running.runner import run as _run

if TYPE_CHECKING:
    import pandas as pd

    from hpbench.checking.conformance import CheckResult
    from hpbench.predicting.summary import Summary
    from hpbench.running.face_list import FaceList
    from hpbench.scoring.comparison import RunComparison, Tested
    from hpbench.scoring.conditions import Failure

__all__ = [
    "Checks", "Comparison", "Faces", "Predictions", "Results", "check", "compare", "faces",
    "load", "predict", "run", "run_folder",
]  # fmt: skip

Texts = str | Iterable[str]


def _factors(by: Texts | None) -> str | None:
    return None if by is None else str(joined(by))


class _Tabular(ABC):
    """Something that a notebook shows as its table."""

    @abstractmethod
    def table(self) -> pd.DataFrame:
        """What was found, a row each."""

    def _repr_html_(self) -> str:
        shown = self.table().dropna(axis="columns", how="all")
        return str(shown.to_html(index=False, float_format="{:.2f}".format))


class Results(_Tabular):
    """Results of a finished run.

    Parameters
    ----------
    folder : Path
        A run folder.
    summary : ResultsFile, optional
        What its tables amount to; computed if not given. ``results.json`` is never believed.

    Attributes
    ----------
    folder : Path
    rows : list of MethodResult
        Entries of ``results.json``, one per data set and method; see docs/results-format.md.
    warnings : list of DatasetWarning
        What looks wrong with labels or boxes; see docs/your-data.md.

    Raises
    ------
    hpbench.errors.DataError
        If the folder holds no results.
    """

    def __init__(self, folder: str | Path, summary: ResultsFile | None = None) -> None:
        self.folder = user_path(folder).absolute()  # the working folder may change
        if summary is None:
            from hpbench.scoring.scores import load_run
            from hpbench.scoring.summary import summarise

            summary = summarise(load_run(self.folder, all_columns=False))
        self.rows, self.warnings = summary.results, summary.warnings

    def __repr__(self) -> str:
        methods = ", ".join(dict.fromkeys(row.method_spec for row in self.rows))
        datasets = ", ".join(dict.fromkeys(row.dataset for row in self.rows))
        return f"<Results of {methods} on {datasets} in {self.folder}>"

    def table(self) -> pd.DataFrame:
        """One row per data set and method: errors in degrees, counts, milliseconds per face."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "dataset": row.dataset,
                    "protocol": row.protocol.name,
                    "method": row.method_spec,
                    **{f"mae_{angle}_deg": error for angle, error in row.mae_deg},
                    "geodesic_mean_deg": row.geodesic_deg.mean,
                    **dict(row.images),
                    "total_p50_ms": row.runtime_ms["total"].p50 if row.runtime_ms else None,
                }
                for row in self.rows
            ]
        )

    def predictions(self) -> pd.DataFrame:
        """One row per face and method: status, reason, rotation ``r00`` .. ``r22``, stage times."""
        from hpbench.scoring.scores import read_run_table

        return read_run_table(self.folder, "predictions")

    def faces(self) -> pd.DataFrame:
        """One row per face: label, box, exclusion."""
        from hpbench.scoring.scores import read_run_table

        return read_run_table(self.folder, "faces")

    @cached_property
    def plot(self) -> Plots:
        """Figures: ``results.plot.accuracy()``, ``.errors()``, ``.ced()``, ``.by_yaw()``, ..."""
        return Plots(self.folder)

    def report(
        self,
        format: Texts = ("md", "html"),
        embed_images: bool = False,
        by: Texts | None = None,
        data: Mapping[str, str | Path] | None = None,
    ) -> list[Path]:
        """Write the report into the run folder, as ``hpbench report`` does.

        Parameters
        ----------
        format : str or iterable of str
            Any of ``md``, ``html``, ``csv``, ``latex``, ``svg``.
        embed_images : bool
            Put small images of the faces into ``report.html``; mind the data set's terms.
        by : str or iterable of str, optional
            Factors to slice the results by, such as ``light,camera*light``; those of the run if
            not given.
        data : mapping of str to path, optional
            Folders of data sets, for `embed_images`.
        """
        from hpbench.reports import write_report

        names = format.split(",") if isinstance(format, str) else format
        folders = {name: user_path(path) for name, path in (data or {}).items()}
        formats = [name.strip() for name in names]
        return write_report(self.folder, formats, embed_images, _factors(by), folders)


@documented
def run(config: RunConfig, *, out: str | Path | None = None) -> Results:
    """Run methods over data sets, as ``hpbench run`` does; the report is left to :class:`Results`.

    Parameters
    ----------
    out : str or Path, optional
        Run folder; a stopped run in it is resumed. A new one below ``runs/`` if not given.

    Returns
    -------
    Results

    Examples
    --------
    ::

        results = hpbench.run(methods="hopenet,pnp", limit=20)
        results.table()
    """
    with run_folder(out) as folder:
        _run(config, folder, NoProgress())
        return Results(folder, ResultsFile.read(folder))  # which it has just written


def load(folder: str | Path) -> Results:
    """Results of a run folder, computed from its tables.

    A half-written or corrupted folder, or one of another schema, is a ``DataError``.
    """
    return Results(folder)


@contextmanager
def run_folder(out: str | Path | None, prefix: str = "") -> Iterator[Path]:
    """The folder `out`, or a new one below ``runs/``, named by the time and by no one else's.

    A new one is removed where nothing was written into it.
    """
    if out is not None:
        yield user_path(out)
        return
    stem = Path("runs") / f"{prefix}{datetime.now():%Y-%m-%d_%H%M%S}"
    folder, number = stem, 1
    with write_errors(stem.parent):
        while True:
            try:
                folder.mkdir(parents=True)
                break
            except FileExistsError:  # of a run that was started in the same second
                number += 1
                folder = stem.with_name(f"{stem.name}_{number}")
    try:
        yield folder
    finally:
        with suppress(OSError):
            folder.rmdir()
            folder.parent.rmdir()


@dataclass(frozen=True)
class Predictions(_Tabular):
    """Poses of all faces of an image, a folder, a video or a camera.

    Attributes
    ----------
    rows : list of dict
        One per face and method, as ``hpbench predict`` writes them; see docs/predict.md.
    summary : Summary
        Counts over all frames.
    written : list of Path
        Files, where ``out`` was given.
    """

    rows: list[dict[str, Any]]
    summary: Summary
    written: list[Path]

    def table(self) -> pd.DataFrame:
        """One row per face and method: box, status, angles in degrees, rotation."""
        import pandas as pd

        from hpbench.predicting.rows import ROW_COLUMNS

        return pd.DataFrame(self.rows, columns=list(ROW_COLUMNS))


@documented
def predict(config: PredictConfig, *, out: str | Path | None = None) -> Predictions:
    """Head poses of all faces in images, a video or a camera, as ``hpbench predict`` does.

    Parameters
    ----------
    out : str or Path, optional
        Folder or file to write drawings and table to. Without it nothing is written.

    Returns
    -------
    Predictions
        An image without a face is a row with the status ``no_face``.
    """
    from itertools import islice

    from hpbench.predicting.session import open_session
    from hpbench.predicting.writers import RowList

    session = open_session(config, None if out is None else user_path(out))
    collected = RowList(list(session.methods))
    session.writers.append(collected)
    summary = session.run(islice(session.source.frames(), config.limit))
    return Predictions(collected.rows, summary, session.written)


@dataclass(frozen=True)
class Faces(_Tabular):
    """The faces of a data set that a run evaluates.

    Attributes
    ----------
    found : hpbench.running.face_list.FaceList
        The faces, and the others by their reason.
    """

    found: FaceList

    def table(self) -> pd.DataFrame:
        """One row per face: id, image, box and camera, as ``hpbench faces`` writes them."""
        import pandas as pd

        from hpbench.running.face_list import FACE_COLUMNS

        return pd.DataFrame(self.found.rows, columns=list(FACE_COLUMNS))


@documented
def faces(config: FacesConfig, *, out: str | Path | None = None) -> Faces:
    """List the evaluated faces of a data set for another program, as ``hpbench faces`` does.

    Parameters
    ----------
    out : str or Path, optional
        CSV file to write. Without it nothing is written.

    Returns
    -------
    Faces
    """
    from hpbench.running.face_list import FACE_COLUMNS, list_faces
    from hpbench.tables.rows import refuse_foreign_table

    path = None if out is None else user_path(out)
    if path is not None:
        refuse_foreign_table(path, FACE_COLUMNS, "hpbench faces")  # before the images are read
    found = list_faces(config, NoProgress())
    if path is not None:
        found.write(path)
    return Faces(found)


def _change_cells(mae_a_deg: float, mae_b_deg: float, tested: Tested) -> dict[str, float]:
    low, high = tested.interval_95_deg
    return {
        "mae_a_deg": mae_a_deg,
        "mae_b_deg": mae_b_deg,
        "change_deg": mae_b_deg - mae_a_deg,
        "low_deg": low,
        "high_deg": high,
        "p_value": tested.p_value,
    }


@dataclass(frozen=True)
class Comparison(_Tabular):
    """Changes between two runs on the same faces.

    Attributes
    ----------
    found : hpbench.scoring.comparison.RunComparison
        All changes, and what only one run has.
    failed : list of hpbench.scoring.conditions.Failure
        Where a condition of `fail_if` holds or cannot be judged.
    """

    found: RunComparison
    failed: list[Failure]

    def table(self) -> pd.DataFrame:
        """One row per data set and method: mean error of both runs, the change, its p-value."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "dataset": change.dataset,
                    "method_a": change.method_a,
                    "method_b": change.method_b,
                    "faces": change.faces,
                    **_change_cells(change.values_a["mae"], change.values_b["mae"], change),
                }
                for change in self.found.changes
            ]
        )

    def slices(self) -> pd.DataFrame:
        """One row per data set, method and slice, as :meth:`table`."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "dataset": change.dataset,
                    "method_a": change.method_a,
                    "method_b": change.method_b,
                    "factor": one.factor,
                    "slice": one.slice,
                    "faces": one.faces,
                    **_change_cells(one.mae_a_deg, one.mae_b_deg, one),
                }
                for change in self.found.changes
                for one in change.slices
            ]
        )


def compare(
    baseline: str | Path | Results,
    candidate: str | Path | Results,
    fail_if: Texts = (),
    by: Texts | None = None,
) -> Comparison:
    """Compare two runs on the same faces, as ``hpbench compare`` does.

    Parameters
    ----------
    baseline, candidate : path or Results
        The run to compare with, and the one that may be better or worse.
    fail_if : str or iterable of str
        Conditions such as ``"mae>+0.2"``; where they hold or cannot be
        judged is in :attr:`Comparison.failed`.
    by : str or iterable of str, optional
        Factors of the candidate to slice by, such as ``"light,camera*light"``; those of its run
        if not given.
    """
    from hpbench.scoring.comparison import compare_runs
    from hpbench.scoring.conditions import failures, parse_condition

    texts = [fail_if] if isinstance(fail_if, str) else fail_if or ()
    conditions = [parse_condition(text) for text in texts]
    folder_a, folder_b = (
        run.folder if isinstance(run, Results) else user_path(run) for run in (baseline, candidate)
    )
    found = compare_runs(folder_a, folder_b, _factors(by))
    return Comparison(found, failures(found, conditions))


@dataclass(frozen=True)
class Checks(_Tabular):
    """Outcome of all checks of a method.

    Attributes
    ----------
    results : list of CheckResult
    """

    results: list[CheckResult]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(result.status != "failed" for result in self.results)

    def table(self) -> pd.DataFrame:
        """One row per check: name, what it looks at, status, reason."""
        import pandas as pd

        return pd.DataFrame([asdict(result) for result in self.results])


@documented
def check(config: CheckConfig) -> Checks:
    """Validate a method: its contract and its conventions, as ``hpbench check`` does.

    Returns
    -------
    Checks
    """
    return Checks(run_checks(config))
