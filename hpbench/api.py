"""The Python API: the words of the command line, with results as data frames.

import hpbench

results = hpbench.run(methods="hopenet,pnp")
results.table()
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpbench.running.runner import RunSpec
from hpbench.running.runner import run as _run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Results", "fresh_run_folder", "load", "run"]


class Results:
    """Results of a finished run.

    Parameters
    ----------
    folder : Path
        A run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        text = (self.folder / "results.json").read_text(encoding="utf-8")
        self.rows: list[dict[str, Any]] = json.loads(text)["results"]

    def table(self) -> pd.DataFrame:
        """One row per data set and method: errors in degrees, counts, milliseconds per face."""
        import pandas as pd

        return pd.DataFrame([_flat(row) for row in self.rows])

    def predictions(self) -> pd.DataFrame:
        """One row per face and method: status, reason, rotation ``r00`` .. ``r22``, stage times."""
        import pandas as pd

        return pd.read_parquet(self.folder / "predictions.parquet")

    def faces(self) -> pd.DataFrame:
        """One row per face: label, box, exclusion."""
        import pandas as pd

        return pd.read_parquet(self.folder / "faces.parquet")

    def _repr_html_(self) -> str:
        return str(self.table().to_html(index=False, float_format="{:.2f}".format))


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    total_ms = row["runtime_ms"].get("total") or {}
    return {
        "dataset": row["dataset"],
        "protocol": row["protocol"]["name"],
        "method": row["method_spec"],
        **{f"mae_{axis}_deg": row["mae_deg"][axis] for axis in ("yaw", "pitch", "roll", "mean")},
        "geodesic_mean_deg": row["geodesic_deg"]["mean"],
        **row["images"],
        "total_p50_ms": total_ms.get("p50"),
    }


class _Silent:
    """No progress bars."""

    def start(self, dataset: str, method: str, total: int, done: int) -> None:
        """Nothing is shown."""

    def advance(self, dataset: str, method: str, count: int) -> None:
        """Nothing is shown."""


def run(
    methods: str | Iterable[str],
    datasets: str | Iterable[str] = "sample",
    data: Mapping[str, str | Path] | None = None,
    out: str | Path | None = None,
    **options: Any,
) -> Results:
    """Run methods over data sets, as ``hpbench run`` does.

    Parameters
    ----------
    methods, datasets : str or iterable of str
        ``"hopenet,pnp[model=mallick6]"`` or a list of such specs.
    data : mapping of str to path, optional
        Folders of data sets by name.
    out : path, optional
        Run folder; a stopped run in it is taken up. Default: a new one below ``runs/``.
    **options
        Any other field of :class:`hpbench.running.runner.RunSpec`: ``protocol``, ``boxes``,
        ``device``, ``batch_size``, ``limit``, ``plugins``, ...

    Returns
    -------
    Results

    Raises
    ------
    hpbench.errors.HpbenchError
        With one line that names what is wrong and the mend.
    """
    spec = RunSpec(
        methods=methods if isinstance(methods, str) else ",".join(methods),
        datasets=datasets if isinstance(datasets, str) else ",".join(datasets),
        data={name: Path(folder) for name, folder in (data or {}).items()},
        **options,
    )
    folder = Path(out) if out is not None else fresh_run_folder()
    return Results(_run(spec, folder, _Silent()))


def load(folder: str | Path) -> Results:
    """Results of a run folder that exists.

    Raises
    ------
    hpbench.errors.DataError
        If the folder is no run folder, half-written, or of another schema.
    """
    from hpbench.scoring.results import load_run

    load_run(Path(folder))
    return Results(Path(folder))


def fresh_run_folder() -> Path:
    """A folder below ``runs/`` that does not exist yet, named by the time."""
    stem = Path("runs") / datetime.now().strftime("%Y-%m-%d_%H%M%S")
    folder, number = stem, 1
    while folder.exists():
        number += 1
        folder = stem.with_name(f"{stem.name}_{number}")
    return folder
