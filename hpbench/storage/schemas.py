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

_OUTCOME = ("status", "reason")
_PREDICTED = ("confidence", *SPREAD_DEG)
_TIMES_MS = ("prepare_ms", "infer_ms", "decode_ms")


def rotation_cells(R_cam: npt.NDArray[np.float64] | None) -> dict[str, float]:
    """The nine entries of a rotation as columns ``r00`` .. ``r22``; NaN for None."""
    values = np.full(9, np.nan) if R_cam is None else np.asarray(R_cam, dtype=np.float64).ravel()
    return dict(zip(ROTATION_COLUMNS, values.tolist(), strict=True))


def faces_schema() -> pa.Schema:
    """Columns of ``faces.parquet``; until a run is finished, the box is the annotated one."""
    return _schema(
        text=("dataset", "image_id", "image_path", "group", "excluded"),
        numbers=(*ANGLES_DEG, *ROTATION_COLUMNS, *BOX_XYXY),
        more_text=("box_status", "factors"),
        more_numbers=APPEARANCE,
    )


def index_schema() -> pa.Schema:
    """Columns of :class:`hpbench.storage.face_index.FaceIndex`: all that a data set knows."""
    import pyarrow as pa

    table = _schema(
        text=("image_id", "image_path", "group", "excluded"),
        numbers=(*ANGLES_DEG, *ROTATION_COLUMNS, *BOX_XYXY),
        more_text=("factors",),
    )
    for name in ("camera_matrix", "camera_distortion", "landmarks_xy"):
        table = table.append(pa.field(name, pa.list_(pa.float64())))
    return table


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
    import pyarrow as pa

    table = _schema(
        text=("method", "excluded"),
        numbers=(*BOX_XYXY, *APPEARANCE),
        more_text=("box_status", *_OUTCOME),
        more_numbers=(*ROTATION_COLUMNS, *_PREDICTED, *_TIMES_MS),
    )
    return pa.schema([("row", pa.int64()), *table, ("transient", pa.bool_())])


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
        text=("dataset", "method", "image_id", *_OUTCOME),
        numbers=(*ROTATION_COLUMNS, *_PREDICTED, *_TIMES_MS),
    )


def timing_schema() -> pa.Schema:
    """Columns of ``timing.parquet``."""
    import pyarrow as pa

    table = _schema(
        text=("dataset", "method", "image_id"),
        numbers=tuple(f"{stage}_ms" for stage in STAGES),
    )
    return table.insert(3, pa.field("round", pa.int64()))


def _schema(
    text: tuple[str, ...],
    numbers: tuple[str, ...],
    more_text: tuple[str, ...] = (),
    more_numbers: tuple[str, ...] = (),
) -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [(name, pa.string()) for name in text]
        + [(name, pa.float64()) for name in numbers]
        + [(name, pa.string()) for name in more_text]
        + [(name, pa.float64()) for name in more_numbers]
    )
