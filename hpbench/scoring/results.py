"""From the tables of a run folder to the summary ``results.json``.

Only stored rotations are read; no method runs and no image is opened here.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpbench.errors import DataError
from hpbench.protocol import Protocol
from hpbench.rotation import ANGLES, geodesic_deg, maev_deg
from hpbench.scoring import metrics, statistics
from hpbench.storage.run_folder import ROTATION_COLUMNS, SCHEMA, RunFolder
from hpbench.timing.measure import summarise_times

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DatasetScores",
    "MethodScores",
    "RunTables",
    "load_run",
    "score_datasets",
    "summarise",
    "summary_of",
    "training_flags",
]

Array = npt.NDArray[np.float64]
Json = dict[str, Any]

STAGES = ("detect", "prepare", "infer", "decode", "total")

_ROTATION = list(ROTATION_COLUMNS)
_TRUTH = ["yaw_deg", "pitch_deg", "roll_deg"]
_COLUMNS = {
    "faces": ["dataset", "image_id", "group", "excluded", *_TRUTH, *_ROTATION],
    "predictions": ["dataset", "method", "image_id", "status", "reason", *_ROTATION],
    "timing": ["dataset", "method", "image_id", "prepare_ms", "infer_ms", "decode_ms", "total_ms"],
}
_AUC_LIMITS_DEG = (15, 30)
_ACCURACY_LIMITS_DEG = (5, 10, 15)
_BLOCK_FACES = 2048

MIN_FACES_PER_TURN = 20
"""With fewer faces per group on average one turn of the camera is taken out for all groups."""


@dataclass(frozen=True)
class RunTables:
    """What a run folder holds, in memory."""

    folder: Path
    faces: pd.DataFrame
    predictions: pd.DataFrame
    timing: pd.DataFrame
    run: Json


def load_run(folder: Path, all_columns: bool = True) -> RunTables:
    """Read a run folder.

    Parameters
    ----------
    folder : Path
    all_columns : bool
        False: only what errors are computed from, which is half of the memory.

    Returns
    -------
    RunTables

    Raises
    ------
    DataError
        If the folder is missing, is no run folder, was written under another schema, or is
        half-written.
    """
    import pandas as pd

    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such run folder; `hpbench run` writes one")
    run = RunFolder(folder).read_run()
    tables: dict[str, pd.DataFrame] = {}
    for name, columns in _COLUMNS.items():
        file = folder / f"{name}.parquet"
        if name == "timing" and not file.is_file():  # a run may be told not to measure time
            tables[name] = pd.DataFrame(columns=columns)
            continue
        if not file.is_file():
            raise DataError(f"{file}: missing, the run is not finished; repeat its command")
        try:
            tables[name] = pd.read_parquet(file, columns=None if all_columns else columns)
        except (OSError, ValueError) as error:  # pyarrow's errors derive from these
            raise DataError(f"{file}: corrupted ({error}); repeat the run") from error
        lacking = [column for column in columns if column not in tables[name]]
        if lacking:
            raise DataError(f"{file}: lacks the column '{lacking[0]}'; repeat the run")
    return RunTables(folder, run=run, **tables)


@dataclass(frozen=True)
class MethodScores:
    """Predictions and errors of one method on the faces of one data set that are not excluded.

    Attributes
    ----------
    spec : str
        Canonical text of the method and its options.
    R_pred : ndarray, shape (n, 3, 3)
        NaN where there is no prediction.
    no_answer : dict of str to int
        Reasons for missing predictions, counted.
    differences_deg : ndarray, shape (n, 3)
        Predicted minus true yaw, pitch, roll as the protocol reads them.
    geodesic_deg, maev_deg : ndarray, shape (n,)
        NaN without prediction, and where the label lacks an axis.
    """

    spec: str
    R_pred: Array
    no_answer: dict[str, int]
    differences_deg: Array
    geodesic_deg: Array
    maev_deg: Array

    @cached_property
    def face_mae_deg(self) -> Array:
        """Mean absolute error of each face over its labelled axes, shape (n,)."""
        return metrics.face_mae_deg(self.differences_deg)

    @property
    def predicted(self) -> npt.NDArray[np.bool_]:
        """Which faces were predicted, shape (n,)."""
        return np.isfinite(self.face_mae_deg)


@dataclass(frozen=True)
class DatasetScores:
    """All methods on one data set, aligned face by face.

    Attributes
    ----------
    name : str
    protocol : Protocol
    image_ids : ndarray, shape (n,)
        The faces that are not excluded, in the data set's order.
    rows : ndarray, shape (n,)
        Their places among the data set's rows of ``faces.parquet``.
    groups : ndarray of str, shape (n,)
    resample_groups : bool
        Whether statistics draw whole groups.
    angles_deg : ndarray, shape (n, 3)
    R_gt : ndarray, shape (n, 3, 3)
        NaN where the label lacks an axis.
    excluded : dict of str to int
        Reasons for excluded faces, counted.
    methods : list of MethodScores
    """

    name: str
    protocol: Protocol
    image_ids: npt.NDArray[np.object_]
    rows: npt.NDArray[np.int64]
    groups: npt.NDArray[np.object_]
    resample_groups: bool
    angles_deg: Array
    R_gt: Array
    excluded: dict[str, int]
    methods: list[MethodScores]

    @property
    def unit_groups(self) -> npt.NDArray[np.object_] | None:
        """Groups to draw; None where every image stands alone."""
        return self.groups if self.resample_groups else None

    @property
    def camera_groups(self) -> npt.NDArray[np.object_] | None:
        """Groups whose camera is aligned on its own; None where one turn is for all.

        A turn has three free numbers. Learnt on the two renders of one identity it would take
        out error that is no offset; a sequence of BIWI has hundreds of frames.
        """
        groups = self.unit_groups
        if groups is None or len(groups) < MIN_FACES_PER_TURN * len(set(groups)):
            return None
        return groups

    @property
    def has_rotations(self) -> bool:
        """Whether every face has a complete label, so that geodesic errors exist."""
        return bool(np.isfinite(self.R_gt).all())

    @property
    def common(self) -> npt.NDArray[np.bool_]:
        """Faces that every method predicted, shape (n,); those without any are left out."""
        predicted = [method.predicted for method in self.methods if method.predicted.any()]
        if not predicted:
            return np.zeros(len(self.image_ids), dtype=bool)
        return np.logical_and.reduce(predicted)

    def curve_errors_deg(self, method: MethodScores) -> Array:
        """Error per face for curves: geodesic where labels are complete, else the mean angle."""
        return method.geodesic_deg if self.has_rotations else method.face_mae_deg


def score_datasets(
    faces: pd.DataFrame, predictions: pd.DataFrame, run: Json
) -> list[DatasetScores]:
    """Line up the predictions of a run with the labels, and take the errors.

    Parameters
    ----------
    faces, predictions : DataFrame
        Tables of a run folder.
    run : dict
        Its ``run.json``.

    Returns
    -------
    list of DatasetScores
        In the order of ``run["datasets"]``.

    Raises
    ------
    DataError
        If a prediction has no face, or a face has no row although the method ran: such a run
        was killed and has to be finished first. Also if no face of a data set can be scored.
    """
    return list(_each_dataset(faces, predictions, run))


def _each_dataset(
    faces: pd.DataFrame, predictions: pd.DataFrame, run: Json
) -> Iterator[DatasetScores]:
    """What :func:`score_datasets` returns, one by one: a summary holds only one at a time."""
    rows_of = faces.groupby("dataset", sort=False, observed=True).indices
    rows_of_method = predictions.groupby(["dataset", "method"], sort=False, observed=True).indices
    for name, about in run["datasets"].items():
        if name not in rows_of:
            raise DataError(f"faces.parquet has no row of data set '{name}'; repeat the run")
        dataset = _index_faces(name, about, faces.take(np.asarray(rows_of[name])))
        for spec in run["methods"]:
            if spec in about.get("not_run", {}):
                continue
            if (name, spec) not in rows_of_method:
                raise DataError(
                    f"predictions.parquet has no row of '{spec}' on '{name}': the run is not "
                    "finished; repeat its command"
                )
            method_rows = predictions.take(np.asarray(rows_of_method[name, spec]))
            dataset.methods.append(_score_method(dataset, spec, method_rows))
            del method_rows
        yield dataset


def _index_faces(name: str, about: Json, faces: pd.DataFrame) -> DatasetScores:
    if faces["excluded"].notna().all():
        raise DataError(
            f"none of the {len(faces)} faces of data set '{name}' can be scored; the first, "
            f"{faces['image_id'].iloc[0]}: {faces['excluded'].iloc[0]}"
        )
    if not faces["image_id"].is_unique:
        twice = faces.loc[faces["image_id"].duplicated(), "image_id"].iloc[0]
        raise DataError(f"faces.parquet: image '{twice}' occurs twice in data set '{name}'")
    angles = faces[_TRUTH].to_numpy(dtype=np.float64)
    unlabelled = ~np.isfinite(angles).any(axis=1) & faces["excluded"].isna().to_numpy()
    reasons = faces["excluded"].where(~unlabelled, "no labelled angle")
    included = reasons.isna().to_numpy()
    kept = faces[included]
    groups = kept["group"].fillna("").to_numpy(dtype=object)
    resample_groups = about.get("resample") == "group" and bool((groups != "").any())
    if resample_groups:  # a face without a group is a group of its own
        groups = np.where(groups == "", kept["image_id"].to_numpy(dtype=object), groups)
        resample_groups = len(set(groups)) < len(groups)  # else every image stands alone
    return DatasetScores(
        name=name,
        protocol=Protocol.model_validate(about["protocol"]),
        image_ids=kept["image_id"].to_numpy(dtype=object),
        rows=np.flatnonzero(included),
        groups=groups,
        resample_groups=resample_groups,
        angles_deg=angles[included],
        R_gt=kept[_ROTATION].to_numpy(dtype=np.float64).reshape(-1, 3, 3),
        excluded=_count(reasons[~included]),
        methods=[],
    )


def _score_method(dataset: DatasetScores, spec: str, rows: pd.DataFrame) -> MethodScores:
    import pandas as pd

    row_of_face = pd.Index(rows["image_id"]).get_indexer(pd.Index(dataset.image_ids))
    if (row_of_face < 0).any():
        lacking = int(np.count_nonzero(row_of_face < 0))
        raise DataError(
            f"predictions.parquet lacks {lacking} of {len(row_of_face)} faces of '{spec}' on "
            f"'{dataset.name}': the run is not finished; repeat its command"
        )
    R_pred = rows[_ROTATION].to_numpy(dtype=np.float64)[row_of_face].reshape(-1, 3, 3)
    without_prediction = (rows["status"] != "ok").to_numpy()[row_of_face]
    R_pred[without_prediction] = np.nan
    corrupted = ~without_prediction & ~np.isfinite(R_pred).all(axis=(1, 2))
    if corrupted.any():
        image_id = dataset.image_ids[corrupted][0]
        raise DataError(
            f"predictions.parquet: '{spec}' on '{dataset.name}', image '{image_id}': "
            "status ok without a rotation; repeat the run"
        )
    differences, geodesic = _errors(dataset, R_pred)
    return MethodScores(
        spec=spec,
        R_pred=R_pred,
        no_answer=_count(
            rows["reason"].iloc[row_of_face[without_prediction]].fillna("no reason given")
        ),
        differences_deg=differences,
        geodesic_deg=geodesic,
        maev_deg=_in_blocks(maev_deg, R_pred, dataset.R_gt),
    )


def _count(reasons: pd.Series) -> dict[str, int]:
    """Reasons with their number, the commonest first."""
    return dict(Counter(reasons.astype(str)).most_common())


def summary_of(tables: RunTables) -> Json:
    """Content of ``results.json``: as it is stored if nothing it was made from has changed.

    Parameters
    ----------
    tables : RunTables
        As :func:`load_run` read them.

    Returns
    -------
    dict
        What :func:`summarise` returns, and ``made_from``.
    """
    made_from = _made_from(tables.folder)
    try:
        stored = json.loads((tables.folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stored = {}
    if isinstance(stored, dict) and stored.get("made_from") == made_from:
        return stored
    summary = summarise(tables.faces, tables.predictions, tables.timing, tables.run)
    return {**summary, "made_from": made_from}


def _made_from(folder: Path) -> str:
    """Hash over the files of a run, the code that scores them, and what that counts with."""
    scoring = sorted(Path(__file__).parent.glob("*.py"))
    core = Path(__file__).parents[1]
    digest = hashlib.sha256(f"{np.__version__} {version('scipy')}".encode())
    for file in (
        *(folder / name for name in ("run.json", *(f"{name}.parquet" for name in _COLUMNS))),
        *scoring, core / "rotation.py", core / "protocol.py",
    ):  # fmt: skip
        digest.update(file.read_bytes() if file.is_file() else b"")
        digest.update(b"\n")
    return digest.hexdigest()


def summarise(
    faces: pd.DataFrame, predictions: pd.DataFrame, timing: pd.DataFrame, run: Json
) -> Json:
    """Everything that ``results.json`` holds (docs/results-format.md).

    Parameters
    ----------
    faces, predictions, timing : DataFrame
        Tables of a run folder.
    run : dict
        Its ``run.json``.

    Returns
    -------
    dict
        Ready for ``json.dumps(..., allow_nan=False)``: a figure that does not exist is None.

    Raises
    ------
    DataError
        If the tables do not fit together.
    """
    times = dict(list(timing.groupby(["dataset", "method"], sort=False, observed=True)))
    results: list[Json] = []
    comparisons: list[Json] = []
    not_run: list[Json] = []
    for dataset in _each_dataset(faces, predictions, run):
        about = run["datasets"][dataset.name]
        resampling = statistics.make_resampling(len(dataset.image_ids), dataset.unit_groups)
        compared, ranks = _compare(dataset, resampling)
        comparisons += compared
        for method, rank in zip(dataset.methods, ranks, strict=True):
            result = _identity(dataset, method, run["methods"][method.spec], about)
            result |= _accuracy(dataset, method, resampling)
            result["rank"] = rank
            result["runtime_ms"] = _runtime(times.get((dataset.name, method.spec)))
            results.append(result)
        not_run += [
            {"dataset": dataset.name, "method_spec": spec, "reason": reason}
            for spec, reason in about.get("not_run", {}).items()
        ]
    return {
        "schema": SCHEMA,
        "hpbench": run.get("hpbench"),
        "created": run.get("created"),
        "results": results,
        "comparisons": comparisons,
        "not_run": not_run,
    }


def _identity(dataset: DatasetScores, method: MethodScores, about: Json, data: Json) -> Json:
    """What was run on what, and how many faces."""
    card = about.get("card", {})
    excluded = sum(dataset.excluded.values())
    scored = int(np.count_nonzero(method.predicted))
    faces = len(dataset.image_ids)
    return {
        "dataset": dataset.name,
        "method": about["name"],
        "method_spec": method.spec,
        "protocol": {
            "name": dataset.protocol.name,
            "version": dataset.protocol.version,
            "hash": data.get("protocol_hash", dataset.protocol.hash),
        },
        "boxes": data.get("boxes", dataset.protocol.boxes),
        "images": {
            "total": faces + excluded,
            "excluded": excluded,
            "scored": scored,
            "no_answer": faces - scored,
        },
        "coverage": _number(scored / faces) if faces else None,
        "excluded_reasons": dataset.excluded,
        "no_answer_reasons": method.no_answer,
        "weights_sha256": card.get("weights_sha256"),
        "trained_on": list(card.get("trained_on", ())),
        **training_flags(dataset.name, data, card),
    }


def training_flags(dataset: str, data: Json, card: Json) -> dict[str, bool]:
    """Whether a method has an advantage on a data set, by the cards of ``run.json``.

    Parameters
    ----------
    dataset : str
        The run's name of the data set.
    data : dict
        What ``run.json`` says of it.
    card : dict
        Of the method.

    Returns
    -------
    dict
        ``trained_on_this``: it was trained on the data set. ``trained_on_renders``: it was
        trained on renders, and these are renders.
    """
    return {
        "trained_on_this": data.get("name", dataset) in card.get("trained_on", ()),
        "trained_on_renders": data.get("card", {}).get("domain") == "render"
        and "render" in card.get("trained_domains", ()),
    }


def _accuracy(
    dataset: DatasetScores, method: MethodScores, resampling: statistics.Resampling
) -> Json:
    """All error figures of one method on one data set, with intervals."""
    bins = metrics.yaw_bins(method.face_mae_deg, dataset.angles_deg[:, 0])
    common = dataset.common
    frontal = method.differences_deg, method.geodesic_deg
    if not method.predicted.all():
        frontal = _errors(dataset, metrics.fill_missing_with_frontal(method.R_pred))
    curve = dataset.curve_errors_deg(method)
    return {
        "mae_deg": _mae(method.differences_deg),
        "geodesic_deg": _geodesic(method.geodesic_deg),
        "by_abs_yaw": [
            {
                "from": one.from_deg,
                "to": one.to_deg,
                "images": one.images,
                "no_answer": one.faces - one.images,
                "mae_mean": _number(one.mae_deg),
            }
            for one in bins
        ],
        "balanced_mae_deg": _number(metrics.balanced_mae_deg(bins)),
        "bias_deg": _named(_column_means(method.differences_deg)),
        "maev_deg": _number(_column_means(method.maev_deg[:, None])[0]),
        "failures": _failures(method),
        "ced": {
            "error": "geodesic" if dataset.has_rotations else "mean_angle",
            **{
                f"auc_{limit}": _number(metrics.auc_score(curve, limit))
                for limit in _AUC_LIMITS_DEG
            },
            **{
                f"accuracy_{limit}": _number(metrics.accuracy_score(curve, limit))
                for limit in _ACCURACY_LIMITS_DEG
            },
        },
        "common_images": {
            "images": int(np.count_nonzero(common)),
            "mae_deg": _mae(method.differences_deg[common]),
            "geodesic_deg": _geodesic(method.geodesic_deg[common]),
        },
        "missing_as_frontal": {
            "images": len(dataset.image_ids),
            "mae_deg": _mae(frontal[0]),
            "geodesic_deg": _geodesic(frontal[1]),
        },
        "aligned": _aligned(dataset, method),
        "intervals_95": _intervals(dataset, method, frontal[0], resampling),
    }


def _errors(dataset: DatasetScores, R_pred: Array) -> tuple[Array, Array]:
    """Angle differences, shape (n, 3), and geodesic errors, shape (n,), of other rotations."""
    read = partial(
        metrics.angle_differences_deg, euler=dataset.protocol.euler, wrap=dataset.protocol.wrap
    )
    return (
        _in_blocks(read, R_pred, dataset.angles_deg),
        _in_blocks(geodesic_deg, R_pred, dataset.R_gt),
    )


def _in_blocks(errors: Callable[[Array, Array], Array], R_pred: Array, true: Array) -> Array:
    """Errors of all faces, some thousands at a time: intermediate arrays are larger than these."""
    starts = range(0, max(len(R_pred), 1), _BLOCK_FACES)
    blocks = (slice(start, start + _BLOCK_FACES) for start in starts)
    return np.concatenate([errors(R_pred[block], true[block]) for block in blocks])


def _failures(method: MethodScores) -> int | None:
    """Predictions that point the other way; None where labels are too incomplete to tell."""
    if not np.isfinite(method.geodesic_deg).any():
        return None
    return metrics.failure_count(method.geodesic_deg)


def _aligned(dataset: DatasetScores, method: MethodScores) -> Json:
    """Errors after taking out one turn of the camera, or of the neutral head."""
    groups = dataset.camera_groups
    camera_side = partial(metrics.align_camera_side, groups=groups)
    aligned: Json = {}
    for side, align, per in (
        ("camera_side", camera_side, "all" if groups is None else "group"),
        ("head_side", metrics.align_head_side, "all"),
    ):
        differences, geodesic = _errors(dataset, align(method.R_pred, dataset.R_gt))
        aligned[side] = {
            "per": per,
            "mae_deg": _mae(differences),
            "geodesic_deg": _geodesic(geodesic),
        }
    return aligned


def _intervals(
    dataset: DatasetScores,
    method: MethodScores,
    frontal_differences_deg: Array,
    resampling: statistics.Resampling,
) -> Json | None:
    """Bootstrap intervals of the figures, or None where too few units can be drawn."""
    if resampling.units < statistics.MIN_UNITS:
        return None
    bins = metrics.yaw_bin_masks(dataset.angles_deg[:, 0])
    bin_names = [f"{start:g}-{end:g}" for start, end, _ in bins]
    names: list[str] = []

    def columns() -> Iterator[Array]:
        for name, column in _interval_columns(dataset, method, frontal_differences_deg):
            names.append(name)
            yield column
        for name, (_, _, mask) in zip(bin_names, bins, strict=True):
            names.append(name)
            yield np.where(mask, method.face_mae_deg, np.nan)

    drawn = resampling.column_means(columns(), statistics.MIN_UNITS)
    draws = dict(zip(names, drawn.T, strict=True))
    filled = [draws[name] for name, (_, _, mask) in zip(bin_names, bins, strict=True) if mask.any()]
    draws["balanced"] = np.mean(filled, axis=0) if filled else np.empty(0)
    limits = {name: _pair(statistics.percentile_interval(draw)) for name, draw in draws.items()}
    median = None
    if limits["geodesic"] is not None:
        median = _pair(resampling.median_interval(method.geodesic_deg))
    return {
        "draws": "group" if dataset.resample_groups else "image",
        "units": resampling.units,
        "mae_deg": {name: limits[name] for name in (*ANGLES, "mean")},
        "geodesic_deg": {
            "mean": limits["geodesic"],
            "median": median,
        },
        "maev_deg": limits["maev"],
        "ced": {name: limits[name] for name in limits if name.startswith(("auc", "accuracy"))},
        "common_images": {"mae_deg": {"mean": limits["common"]}},
        "missing_as_frontal": {"mae_deg": {"mean": limits["frontal"]}},
        "by_abs_yaw": [limits[name] for name in bin_names],
        "balanced_mae_deg": limits["balanced"],
    }


def _interval_columns(
    dataset: DatasetScores, method: MethodScores, frontal_differences_deg: Array
) -> Iterator[tuple[str, Array]]:
    """Figures of every face whose means have intervals, one at a time, by name."""
    yield from zip(ANGLES, np.abs(method.differences_deg).T, strict=True)
    face = method.face_mae_deg
    yield "mean", face
    yield "geodesic", method.geodesic_deg
    yield "maev", method.maev_deg
    yield "common", np.where(dataset.common, face, np.nan)
    yield "frontal", metrics.face_mae_deg(frontal_differences_deg)
    curve = dataset.curve_errors_deg(method)
    for limit in _AUC_LIMITS_DEG:
        yield f"auc_{limit}", np.nan_to_num(np.clip(1.0 - curve / limit, 0.0, None))
    for limit in _ACCURACY_LIMITS_DEG:
        yield f"accuracy_{limit}", (curve <= limit).astype(np.float64)


def _compare(
    dataset: DatasetScores, resampling: statistics.Resampling
) -> tuple[list[Json], list[int | None]]:
    """Paired comparison of all methods on the faces that both predicted, and ranks."""
    count = len(dataset.methods)
    pairs = list(combinations(range(count), 2))
    differences = np.full((count, count), np.nan)
    p_values = np.full((count, count), np.nan)
    compared: list[Json] = []
    if pairs and resampling.units >= statistics.MIN_UNITS:
        errors = [method.face_mae_deg for method in dataset.methods]
        sums = [
            resampling.unit_sums(np.nan_to_num(errors[a] - errors[b])[:, None]) for a, b in pairs
        ]
        raw, exact = statistics.sign_flip_p_values(np.concatenate(sums, axis=-1))
        adjusted = statistics.holm(raw)
        draws = resampling.column_means(
            (errors[a] - errors[b] for a, b in pairs), statistics.MIN_UNITS
        )
        for place, (a, b) in enumerate(pairs):
            column = errors[a] - errors[b]
            images = int(np.count_nonzero(np.isfinite(column)))
            if not images:
                continue
            mean = _column_means(column[:, None])[0]
            differences[a, b], differences[b, a] = mean, -mean
            p_values[a, b] = p_values[b, a] = adjusted[place]
            compared.append(
                {
                    "dataset": dataset.name,
                    "method_spec_a": dataset.methods[a].spec,
                    "method_spec_b": dataset.methods[b].spec,
                    "images": images,
                    "difference_deg": _number(mean),
                    "interval_95": _pair(statistics.percentile_interval(draws[:, place])),
                    "p_value": _number(raw[place]),
                    "p_holm": _number(adjusted[place]),
                    "test": "sign flip, exact" if exact else "sign flip, 9999 random",
                }
            )
    ranks = statistics.ranks_with_ties(differences, p_values)
    shown = [
        int(rank) if method.predicted.any() and compared else None
        for rank, method in zip(ranks, dataset.methods, strict=True)
    ]
    return compared, shown


def _runtime(times: pd.DataFrame | None) -> Json:
    """Percentiles of the serial timing pass, in ms; only nulls where no time was taken."""
    runtime: Json = {}
    for stage in STAGES:
        column = f"{stage}_ms"
        values = np.empty(0)
        if times is not None and column in times:
            values = times[column].to_numpy(dtype=np.float64)
        found = summarise_times(values.tolist())
        p95 = float(np.nanpercentile(values, 95)) if found else float("nan")
        runtime[stage] = {**(found or {"p50": None}), "p95": _number(p95)}
    return runtime


def _mae(differences_deg: Array) -> Json:
    yaw, pitch, roll, mean = metrics.mae_deg(differences_deg)
    return {
        "yaw": _number(yaw),
        "pitch": _number(pitch),
        "roll": _number(roll),
        "mean": _number(mean),
    }


def _geodesic(errors_deg: Array) -> Json:
    finite = errors_deg[np.isfinite(errors_deg)]
    if not finite.size:
        return {"mean": None, "median": None}
    return {"mean": _number(finite.mean()), "median": _number(np.median(finite))}


def _column_means(values: Array) -> list[float]:
    """Mean of the finite numbers of each column; NaN where there is none."""
    means = []
    for column in values.T:
        finite = column[np.isfinite(column)]
        means.append(float(finite.mean()) if finite.size else float("nan"))
    return means


def _named(angles_deg: list[float]) -> Json:
    return {name: _number(value) for name, value in zip(ANGLES, angles_deg, strict=True)}


def _pair(limits: tuple[float, float]) -> list[float] | None:
    low, high = (_number(limit) for limit in limits)
    return None if low is None or high is None else [low, high]


def _number(value: float) -> float | None:
    """Number for JSON, to a millionth; None where there is none."""
    return round(float(value), 6) if np.isfinite(value) else None
