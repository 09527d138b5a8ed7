"""Columns of all tables that hpbench stores (docs/results-format.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ANGLES_DEG",
    "BOX_XYXY",
    "ROTATION_COLUMNS",
    "STAGES",
    "faces_schema",
    "index_schema",
    "part_schema",
    "predictions_schema",
    "rotation_cells",
    "timing_schema",
]

ANGLES_DEG = ("yaw_deg", "pitch_deg", "roll_deg")
BOX_XYXY = ("x0", "y0", "x1", "y1")
ROTATION_COLUMNS = tuple(f"r{row}{column}" for row in range(3) for column in range(3))

STAGES = ("detect", "prepare", "infer", "infer_device", "decode", "total")
"""Columns of ``timing.parquet``, each with ``_ms`` behind it."""

_OUTCOME = ("status", "reason")
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


def part_schema() -> pa.Schema:
    """Columns of what is stored during a run: one row per face and method, keyed by ``row``.

    ``transient`` marks what may turn out otherwise the next time on the same data: an image that
    could not be read, a method that raised.
    """
    import pyarrow as pa

    table = _schema(
        text=("method", "excluded"),
        numbers=BOX_XYXY,
        more_text=("box_status", *_OUTCOME),
        more_numbers=(*ROTATION_COLUMNS, "confidence", *_TIMES_MS),
    )
    return pa.schema([("row", pa.int64()), *table, ("transient", pa.bool_())])


def predictions_schema() -> pa.Schema:
    """Columns of ``predictions.parquet``."""
    return _schema(
        text=("dataset", "method", "image_id", *_OUTCOME),
        numbers=(*ROTATION_COLUMNS, "confidence", *_TIMES_MS),
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
