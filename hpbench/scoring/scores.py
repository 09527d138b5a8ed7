"""The tables of a run folder, lined up face by face, with the error of every prediction.

Only stored rotations are read; no method runs and no image is opened here. Above 400 lines since
the errors of a method and of a data set are read together, and their arrays are documented here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpbench.arrays import protect, read_only
from hpbench.errors import DataError
from hpbench.protocol import EulerReading, Protocol, WrapRule
from hpbench.results.run_record import DatasetRecord, RunRecord
from hpbench.rotation import geodesic_deg, is_rotation, maev_deg
from hpbench.scoring import metrics
from hpbench.scoring.factors import Factor, face_factors, row_factors
from hpbench.storage.atomic import read_table
from hpbench.storage.checksums import CHECKSUMS, differs
from hpbench.storage.schemas import (
    ANGLES_DEG,
    APPEARANCE,
    BOX_XYXY,
    MAX_TIME_MS,
    ROTATION_COLUMNS,
    SPREAD_DEG,
    faces_schema,
    predictions_schema,
    timing_schema,
)  # fmt: skip

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "UNLABELLED", "DatasetScores", "FaceErrors", "MethodScores", "RunTables", "each_dataset",
    "load_run", "read_run_table", "score_datasets",
]  # fmt: skip

Array = npt.NDArray[np.float64]

_ROTATION = list(ROTATION_COLUMNS)
_TRUTH = list(ANGLES_DEG)
_COLUMNS = {
    "faces": ["dataset", "image_id", "group", "excluded", "box_status", *_TRUTH, *_ROTATION],
    "predictions": ["dataset", "method", "image_id", "status", "reason", *_ROTATION],
    "timing": ["dataset", "method", "image_id", "prepare_ms", "infer_ms", "decode_ms", "total_ms"],
}
_OPTIONAL = {
    "faces": [*BOX_XYXY, *APPEARANCE, "factors"],
    "predictions": ["confidence", *SPREAD_DEG, "infer_ms"],
    "timing": ["round", "detect_ms"],
}
"""Columns that a run folder may lack."""

_SCHEMAS = {"faces": faces_schema, "predictions": predictions_schema, "timing": timing_schema}
_BLOCK_FACES = 2048

UNLABELLED = "no labelled angle"
"""Reason of a face that nothing can be compared with."""

MIN_FACES_PER_ROTATION = 20
"""With fewer faces per group on average one rotation of the camera is fitted to all groups."""


@dataclass(frozen=True, eq=False)
class RunTables:
    """What a run folder holds, in memory."""

    faces: pd.DataFrame
    predictions: pd.DataFrame
    timing: pd.DataFrame
    run: RunRecord


def load_run(folder: Path, all_columns: bool = True) -> RunTables:
    """Read a run folder.

    Parameters
    ----------
    all_columns : bool
        False: only what errors are computed from, which is half of the memory.

    Raises
    ------
    DataError
        If the folder is missing, is no run folder, was written under another schema, or is
        half-written.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such run folder; 'hpbench run' writes one")
    run = RunRecord.read(folder)
    tables = {name: read_run_table(folder, name, all_columns) for name in _COLUMNS}
    return RunTables(run=run, **tables)


def read_run_table(folder: Path, name: str, all_columns: bool = True) -> pd.DataFrame:
    """Read one of the tables of a run folder; :func:`load_run` reads all.

    Raises
    ------
    DataError
        If it is missing, corrupted, edited, or holds what no run writes.
    """
    import pandas as pd

    columns, file = _COLUMNS[name], folder / f"{name}.parquet"
    if not file.is_file():
        if name == "timing" and not differs(folder, file.name):  # never written
            return pd.DataFrame(columns=columns)
        raise DataError(f"{file}: missing, the run is not finished; repeat its command")
    if differs(folder, file.name):
        raise DataError(
            f"{file}: corrupted or edited (not the file of {CHECKSUMS}); repeat the run's "
            "command, which computes it again"
        )
    try:
        present = _present(file, name)
        stored = read_table(file, None if all_columns else present)
        stored.validate(full=True)  # else text that is no UTF-8 is found when it is compared
        table = stored.to_pandas()
    except Exception as error:  # a corrupted file makes pyarrow and pandas raise anything
        line = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{file}: corrupted ({line}); repeat the run") from error
    lacking = [column for column in columns if column not in table]
    if lacking:
        raise DataError(f"{file}: lacks the column '{lacking[0]}'; repeat the run")
    if name != "timing":
        _check_rotations(file, table)
    if name == "faces":
        _check_angles(file, table)
        if "factors" in table:
            _check_factors(file, table["factors"])
    else:
        _check_times(file, table)
    return table


def _present(file: Path, name: str) -> list[str]:
    """Columns to read of a table, without the optional ones that the file lacks.

    Raises
    ------
    ValueError
        If a column holds what it cannot hold.
    """
    import pyarrow.types as types
    from pyarrow.parquet import read_schema

    schema = read_schema(file)
    for known in _SCHEMAS[name]():
        if known.name not in schema.names:
            continue
        held = schema.field(known.name).type
        is_text = types.is_string(held) or types.is_large_string(held)
        is_number = types.is_floating(held) or types.is_integer(held)
        if not types.is_null(held) and not (is_text if types.is_string(known.type) else is_number):
            raise ValueError(f"column '{known.name}' holds {held}")
    found = schema.names
    return _COLUMNS[name] + [column for column in _OPTIONAL.get(name, []) if column in found]


def _check_rotations(file: Path, table: pd.DataFrame) -> None:
    """Raise where a rotation is none: LAPACK does not come back from some matrices."""
    R = table[_ROTATION].to_numpy(dtype=np.float64).reshape(-1, 3, 3)
    present = np.flatnonzero(~np.isnan(R).all(axis=(1, 2)))
    for block in np.array_split(present, max(1, len(present) // _BLOCK_FACES)):
        wrong = block[~is_rotation(R[block], tolerance=1e-2)]
        if len(wrong):
            raise DataError(
                f"{file}: the rotation of image '{table['image_id'].iloc[wrong[0]]}' is none; "
                "repeat the run"
            )


def _check_angles(file: Path, faces: pd.DataFrame) -> None:
    """Raise where a labelled angle is infinite; one that is not known is NaN."""
    infinite = np.isinf(faces[_TRUTH].to_numpy(dtype=np.float64)).any(axis=1)
    if infinite.any():
        image_id = faces["image_id"][infinite].iloc[0]
        raise DataError(
            f"{file}: a labelled angle of image '{image_id}' is infinite; repeat the run"
        )


def _check_times(file: Path, table: pd.DataFrame) -> None:
    """Raise where a time is none: of the largest numbers the mean overflows."""
    columns = [column for column in table if str(column).endswith("_ms")]
    times_ms = table[columns].to_numpy(dtype=np.float64)
    wrong = ~(np.isnan(times_ms) | ((times_ms >= 0.0) & (times_ms <= MAX_TIME_MS))).all(axis=1)
    if wrong.any():
        image_id = table["image_id"][wrong].iloc[0]
        raise DataError(f"{file}: a time of image '{image_id}' is none; repeat the run")


def _check_factors(file: Path, factors: pd.Series) -> None:
    """Raise where what is known of a face is no JSON object of texts and numbers."""
    for text in factors.dropna().unique():
        try:
            plain = all(
                value is None
                or isinstance(value, str | float)
                or (isinstance(value, int) and math.isfinite(value))  # raises for 400 digits
                for value in row_factors(text).values()
            )
        except (ValueError, OverflowError, AttributeError, RecursionError):
            plain = False
        if not plain:
            raise DataError(
                f"{file}: column 'factors' holds {text[:40]!a}, no JSON object of texts and "
                "numbers; repeat the run"
            )


class _Labelled:
    """What has labels of some faces.

    Attributes
    ----------
    R_gt : ndarray, shape (n, 3, 3)
    """

    R_gt: Array

    @cached_property
    def has_rotations(self) -> bool:
        """Whether every face has a complete label, so that geodesic errors exist."""
        return bool(np.isfinite(self.R_gt).all())


@dataclass(frozen=True, eq=False)
class FaceErrors(_Labelled):
    """Predictions beside the labels of the same faces, and the errors between them.

    Arrays cannot be written to: a metric that worked in place would change the others.

    Attributes
    ----------
    R_pred : ndarray, shape (n, 3, 3)
        NaN where there is no prediction.
    R_gt : ndarray, shape (n, 3, 3)
        NaN where the label lacks an angle.
    angles_deg : ndarray, shape (n, 3)
        Ground-truth yaw, pitch, roll; NaN without label.
    differences_deg : ndarray, shape (n, 3)
        Predicted minus ground-truth yaw, pitch, roll as the protocol specifies.
    """

    R_pred: Array
    R_gt: Array
    angles_deg: Array
    differences_deg: Array

    def __post_init__(self) -> None:
        protect(self, "R_pred", "R_gt", "angles_deg", "differences_deg")

    @cached_property
    def geodesic_deg(self) -> Array:
        """Geodesic error of each face, shape (n,); NaN where prediction or label lacks."""
        return read_only(_in_blocks(geodesic_deg, self.R_pred, self.R_gt))

    @cached_property
    def maev_deg(self) -> Array:
        """Mean angle between the axes of each head, shape (n,); NaN likewise."""
        return read_only(_in_blocks(maev_deg, self.R_pred, self.R_gt))

    @cached_property
    def face_mae_deg(self) -> Array:
        """Mean absolute error of each face over its labelled angles, shape (n,)."""
        return read_only(metrics.face_mae_deg(self.differences_deg))

    @property
    def curve_errors_deg(self) -> Array:
        """Error of each face for curves: geodesic where all labels are complete, else the mean."""
        return self.geodesic_deg if self.has_rotations else self.face_mae_deg

    @property
    def predicted(self) -> npt.NDArray[np.bool_]:
        """Which faces were predicted, shape (n,)."""
        return np.isfinite(self.face_mae_deg)

    def of(self, faces: npt.NDArray[Any]) -> FaceErrors:
        """The same of some faces: a mask or indices."""
        return FaceErrors(
            self.R_pred[faces],
            self.R_gt[faces],
            self.angles_deg[faces],
            self.differences_deg[faces],
        )


@dataclass(frozen=True, eq=False)
class MethodScores(FaceErrors):
    """Predictions and errors of one method on the evaluated faces of one data set.

    Attributes
    ----------
    spec : str
        Canonical text of the method and its options.
    no_answer : dict of str to int
        Reasons for missing predictions, counted.
    confidence : ndarray, shape (n,)
        NaN where the method gives none.
    spread_deg : ndarray, shape (n, 3)
        Standard deviations that the method expects of its errors in yaw, pitch and roll; NaN
        where it gives none.
    stated_ms : sequence of float
        Times per face that came with stored predictions; none where hpbench ran the method.
    """

    spec: str
    no_answer: dict[str, int]
    confidence: Array
    spread_deg: Array
    stated_ms: Sequence[float] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        protect(self, "confidence", "spread_deg")


@dataclass(frozen=True, eq=False)
class DatasetScores(_Labelled):
    """All methods on one data set, aligned face by face.

    Attributes
    ----------
    image_ids : ndarray, shape (n,)
        The faces that are not excluded, in the data set's order.
    rows : ndarray, shape (n,)
        Their indices among the data set's rows of ``faces.parquet``.
    groups : ndarray of str, shape (n,)
    resample_groups : bool
        Whether the bootstrap unit is the group.
    angles_deg : ndarray, shape (n, 3)
    R_gt : ndarray, shape (n, 3, 3)
        NaN where the label lacks an axis.
    excluded : dict of str to int
        Reasons for excluded faces, counted.
    methods : list of MethodScores
    factors : dict of str to ndarray, each of shape (n,)
        What is known of every face, by name (:mod:`hpbench.scoring.factors`).
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
    factors: dict[str, Factor]

    @property
    def unit_groups(self) -> npt.NDArray[np.object_] | None:
        """Groups to resample; None where every image stands alone."""
        return self.groups if self.resample_groups else None

    @property
    def camera_groups(self) -> npt.NDArray[np.object_] | None:
        """Groups whose camera is aligned on its own; None where one rotation is for all.

        A rotation has three free numbers. Fitted to the two renders of one identity it would
        remove error that is no offset; a sequence of BIWI has hundreds of frames.
        """
        groups = self.unit_groups
        if groups is None or len(groups) < MIN_FACES_PER_ROTATION * len(set(groups)):
            return None
        return groups

    @property
    def common(self) -> npt.NDArray[np.bool_]:
        """Faces that every method predicted, shape (n,); those without any are left out."""
        predicted = [method.predicted for method in self.methods if method.predicted.any()]
        if not predicted:
            return np.zeros(len(self.image_ids), dtype=bool)
        return np.logical_and.reduce(predicted)

    def errors(
        self, R_pred: Array, euler: EulerReading | None = None, wrap: WrapRule | None = None
    ) -> FaceErrors:
        """Errors of other rotations, shape (n, 3, 3), or under another Euler or wrap convention."""
        read = partial(
            metrics.angle_differences_deg,
            euler=euler or self.protocol.euler,
            wrap=wrap or self.protocol.wrap,
        )
        differences = _in_blocks(read, R_pred, self.angles_deg)
        return FaceErrors(R_pred, self.R_gt, self.angles_deg, differences)


def score_datasets(tables: RunTables) -> list[DatasetScores]:
    """Line up the predictions of a run with the labels, and take the errors.

    Raises
    ------
    DataError
        If a prediction has no face, or a face has no row although the method ran: such a run
        was killed and has to be finished first. Also if no face of a data set can be scored.
    """
    return list(each_dataset(tables))


def each_dataset(tables: RunTables) -> Iterator[DatasetScores]:
    """What :func:`score_datasets` returns, one by one: a summary holds only one at a time."""
    faces, predictions, run = tables.faces, tables.predictions, tables.run
    rows_of = faces.groupby("dataset", sort=False, observed=True).indices
    rows_of_method = predictions.groupby(["dataset", "method"], sort=False, observed=True).indices
    for name, record in run.datasets.items():
        if name not in rows_of:
            raise DataError(f"faces.parquet has no row of data set '{name}'; repeat the run")
        dataset = _index_faces(name, record, faces.take(np.asarray(rows_of[name])))
        for spec in run.methods:
            if spec in record.not_run:
                continue
            if (name, spec) not in rows_of_method:
                raise DataError(
                    f"predictions.parquet has no row of '{spec}' on '{name}': the run is not "
                    "finished; repeat its command"
                )
            method_rows = predictions.take(np.asarray(rows_of_method[name, spec]))
            scores = _score_method(dataset, spec, method_rows)
            if run.methods[spec].stored and "infer_ms" in method_rows:
                scores = replace(scores, stated_ms=method_rows["infer_ms"].dropna().tolist())
            dataset.methods.append(scores)
            del method_rows
        yield dataset


def _index_faces(name: str, record: DatasetRecord, faces: pd.DataFrame) -> DatasetScores:
    if not faces["image_id"].is_unique:
        twice = faces.loc[faces["image_id"].duplicated(), "image_id"].iloc[0]
        raise DataError(f"faces.parquet: image '{twice}' occurs twice in data set '{name}'")
    angles = faces[_TRUTH].to_numpy(dtype=np.float64)
    unlabelled = ~np.isfinite(angles).any(axis=1) & faces["excluded"].isna().to_numpy()
    reasons = faces["excluded"].where(~unlabelled, UNLABELLED)
    included = reasons.isna().to_numpy()
    if not included.any():
        raise DataError(
            f"none of the {len(faces)} faces of data set '{name}' can be scored; the first, "
            f"{faces['image_id'].iloc[0]}: {reasons.iloc[0]}"
        )
    kept = faces[included]
    groups = kept["group"].fillna("").to_numpy(dtype=object)
    resample_groups = record.resample == "group" and bool((groups != "").any())
    if resample_groups:  # a face without a group is a group of its own
        groups = np.where(groups == "", kept["image_id"].to_numpy(dtype=object), groups)
        resample_groups = len(set(groups)) < len(groups)  # else every image stands alone
    return DatasetScores(
        name=name,
        protocol=record.protocol,
        image_ids=kept["image_id"].to_numpy(dtype=object),
        rows=np.flatnonzero(included),
        groups=groups,
        resample_groups=resample_groups,
        angles_deg=angles[included],
        R_gt=kept[_ROTATION].to_numpy(dtype=np.float64).reshape(-1, 3, 3),
        excluded=_count(reasons[~included]),
        methods=[],
        factors=face_factors(kept),
    )


def _score_method(dataset: DatasetScores, spec: str, rows: pd.DataFrame) -> MethodScores:
    import pandas as pd

    if not rows["image_id"].is_unique:
        twice = rows.loc[rows["image_id"].duplicated(), "image_id"].iloc[0]
        raise DataError(
            f"predictions.parquet: image '{twice}' occurs twice for '{spec}' on '{dataset.name}'; "
            "repeat the run"
        )
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
    reasons = rows["reason"].iloc[row_of_face[without_prediction]].fillna("no reason given")
    return MethodScores(
        R_pred, dataset.R_gt, dataset.angles_deg, dataset.errors(R_pred).differences_deg,
        spec=spec, no_answer=_count(reasons),
        confidence=_finite_columns(rows, ["confidence"], row_of_face)[:, 0],
        spread_deg=_finite_columns(rows, list(SPREAD_DEG), row_of_face),
    )  # fmt: skip


def _finite_columns(rows: pd.DataFrame, columns: list[str], row_of_face: npt.NDArray) -> Array:
    """Columns of some rows, shape (faces, columns); NaN where there is none, or no finite value."""
    if not set(columns) <= set(rows.columns):
        return np.full((len(row_of_face), len(columns)), np.nan)
    values = rows[columns].to_numpy(dtype=np.float64)[row_of_face]
    return np.where(np.isfinite(values), values, np.nan)


def _count(reasons: pd.Series) -> dict[str, int]:
    """Reasons with their number, the commonest first."""
    return dict(Counter(reasons.astype(str)).most_common())


def _in_blocks(errors: Callable[[Array, Array], Array], R_pred: Array, true: Array) -> Array:
    """Errors of all faces, some thousands at a time: intermediate arrays are larger than these."""
    starts = range(0, max(len(R_pred), 1), _BLOCK_FACES)
    blocks = (slice(start, start + _BLOCK_FACES) for start in starts)
    return np.concatenate([errors(R_pred[block], true[block]) for block in blocks])
