"""Columns of all tables that hpbench stores (docs/results-format.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ANGLES_DEG",
    "APPEARANCE",
    "BOX_XYXY",
    "MAX_TIME_MS",
    "ROTATION_COLUMNS",
    "SPREAD_DEG",
    "STAGES",
    "PartRow",
    "faces_schema",
    "index_schema",
    "part_schema",
    "part_table",
    "predictions_schema",
    "rotation_cells",
    "timing_schema",
]

ANGLES_DEG = ("yaw_deg", "pitch_deg", "roll_deg")
BOX_XYXY = ("x0", "y0", "x1", "y1")
SPREAD_DEG = tuple(f"spread_{name}" for name in ANGLES_DEG)
"""Standard deviations that a method expects of its own errors."""

APPEARANCE = ("brightness", "sharpness")
"""What the image of a face looks like (:mod:`hpbench.running.appearance`)."""

ROTATION_COLUMNS = tuple(f"r{row}{column}" for row in range(3) for column in range(3))

STAGES = ("detect", "prepare", "infer", "infer_device", "decode", "total")
"""Columns of ``timing.parquet``, each with ``_ms`` behind it."""

MAX_TIME_MS = 1e9
"""No time of one face is longer: it is eleven days."""

_FACE = ("image_id", "image_path", "group", "excluded")
_OUTCOME = ("status", "reason")
_PREDICTED = ("confidence", *SPREAD_DEG)
_TIMES_MS = ("prepare_ms", "infer_ms", "decode_ms")
_TEXTS = ("dataset", "method", *_FACE, *_OUTCOME, "box_status", "factors")
_LISTS = ("camera_matrix", "camera_distortion", "landmarks_xy")


def rotation_cells(R_cam: npt.NDArray[np.float64] | None) -> dict[str, float]:
    """The nine entries of a rotation as columns ``r00`` .. ``r22``; NaN for None."""
    values = np.full(9, np.nan) if R_cam is None else np.asarray(R_cam, dtype=np.float64).ravel()
    return dict(zip(ROTATION_COLUMNS, values.tolist(), strict=True))


def faces_schema() -> pa.Schema:
    """Columns of ``faces.parquet``; until a run is finished, the box is the annotated one."""
    return _schema(
        "dataset", *_FACE, *ANGLES_DEG, *ROTATION_COLUMNS, *BOX_XYXY, "box_status", "factors",
        *APPEARANCE,
    )  # fmt: skip


def index_schema() -> pa.Schema:
    """Columns of :class:`hpbench.storage.face_index.FaceIndex`: all that a data set knows."""
    return _schema(*_FACE, *ANGLES_DEG, *ROTATION_COLUMNS, *BOX_XYXY, "factors", *_LISTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    """What was found of one face with one method; None for what there is not.

    Attributes
    ----------
    row : int
        Of the face in the index of the run.
    method : str
        Canonical spec.
    excluded : str or None
        Reason why the face is not scored, as far as only its image told it.
    box_status : str
    box_xyxy : ndarray, shape (4,), or None
        The box that the method was given, in pixels.
    brightness, sharpness : float or None
        What the face looks like; the same for all methods.
    status : {'ok', 'no_answer'} or None
    reason : str or None
        Why there is no prediction.
    R_cam : ndarray, shape (3, 3), or None
    confidence, prepare_ms, infer_ms, decode_ms : float or None
    spread_deg : ndarray, shape (3,), or None
    transient : bool
        Whether it may turn out otherwise the next time on the same data: an image that could not
        be read, a method that raised.
    """

    row: int
    method: str
    excluded: str | None
    box_status: str
    transient: bool
    box_xyxy: npt.NDArray[np.float64] | None = None
    brightness: float | None = None
    sharpness: float | None = None
    status: Literal["ok", "no_answer"] | None = None
    reason: str | None = None
    R_cam: npt.NDArray[np.float64] | None = None
    confidence: float | None = None
    spread_deg: npt.NDArray[np.float64] | None = None
    prepare_ms: float | None = None
    infer_ms: float | None = None
    decode_ms: float | None = None


def part_schema() -> pa.Schema:
    """Columns of what is stored during a run: one :class:`PartRow` per face and method."""
    return _schema(
        "row", "method", "excluded", *BOX_XYXY, *APPEARANCE, "box_status", *_OUTCOME,
        *ROTATION_COLUMNS, *_PREDICTED, *_TIMES_MS, "transient",
    )  # fmt: skip


def part_table(rows: Sequence[PartRow]) -> pa.Table:
    """Rows as a table of :func:`part_schema`; an array is one column per number."""
    import pyarrow as pa

    arrays = {"box_xyxy": BOX_XYXY, "R_cam": ROTATION_COLUMNS, "spread_deg": SPREAD_DEG}
    columns: dict[str, Sequence[object]] = {}
    for field in fields(PartRow):
        values = [getattr(row, field.name) for row in rows]
        if field.name in arrays:
            names = arrays[field.name]
            cells = [[None] * len(names) if v is None else v.ravel().tolist() for v in values]
            columns |= zip(names, zip(*cells, strict=True), strict=True)
        else:
            columns[field.name] = values
    return pa.Table.from_pydict(columns, schema=part_schema())


def predictions_schema() -> pa.Schema:
    """Columns of ``predictions.parquet``."""
    return _schema(
        "dataset", "method", "image_id", *_OUTCOME, *ROTATION_COLUMNS, *_PREDICTED, *_TIMES_MS
    )


def timing_schema() -> pa.Schema:
    """Columns of ``timing.parquet``."""
    return _schema("dataset", "method", "image_id", "round", *(f"{stage}_ms" for stage in STAGES))


def _schema(*names: str) -> pa.Schema:
    """Columns of these names; those that are not listed as something else hold numbers."""
    import pyarrow as pa

    types = {
        **dict.fromkeys(_TEXTS, pa.string()),
        **dict.fromkeys(_LISTS, pa.list_(pa.float64())),
        "row": pa.int64(), "round": pa.int64(), "transient": pa.bool_(),
    }  # fmt: skip
    return pa.schema([(name, types.get(name, pa.float64())) for name in names])
