"""Label tables of rendered images, read back as records.

A module of its own, since two data-set packages need it: `sample` and `synthetic`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpbench.dataset import Label, Record, require_scorable
from hpbench.errors import DataError
from hpbench.face import INTRINSICS, Camera, camera_matrix
from hpbench.rendering.labels import LABELS_NAME
from hpbench.storage.atomic import read_table
from hpbench.storage.schemas import BOX_XYXY, ROTATION_COLUMNS

__all__ = ["FACTORS", "RENDER_DOMAIN_NOTE", "read_records"]


RENDER_DOMAIN_NOTE = (
    "A method that was trained on renders has an advantage here; compare it on photos."
)

FACTORS = (
    "light", "environment", "occluder", "expression", "hair", "skin", "age", "background",
    "fov_deg", "exposure_ev", "sweep", "sweep_value",
)  # fmt: skip
"""Columns of the label table that reports may break errors down by."""

_REQUIRED = (
    "image", *ROTATION_COLUMNS, *BOX_XYXY, *INTRINSICS, "landmarks_x", "landmarks_y",
)  # fmt: skip


def read_records(folder: Path) -> Sequence[Record]:
    """Records of a folder that holds images and ``labels.parquet``.

    Raises
    ------
    DataError
        If the table is missing, unreadable or lacks a column.
    """
    path = folder / LABELS_NAME
    if not path.is_file():
        unfinished = (folder / "render.json").is_file()
        raise DataError(
            f"{folder}: rendering is unfinished; repeat the 'hpbench render' command to resume"
            if unfinished
            else f"{path}: no such file; make the folder with 'hpbench render {folder}'"
        )
    try:
        table = read_table(path)
        names = table.column_names
    except Exception as error:  # a corrupted file makes pyarrow raise anything
        raise DataError(f"{path}: cannot be read as Parquet; render the folder again") from error
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise DataError(f"{path}: no column '{missing[0]}'; render the folder again")
    try:
        records = [_record(folder, row) for row in table.to_pylist()]
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path}: a column holds something else ({error}); render the folder again"
        ) from error
    return require_scorable(records, path, "row of a rendered image")


def _record(folder: Path, row: Mapping[Any, Any]) -> Record:
    matrix = camera_matrix(*(float(row[name]) for name in INTRINSICS))
    rotation = np.array([row[name] for name in ROTATION_COLUMNS], np.float64).reshape(3, 3)
    landmarks = np.stack([row["landmarks_x"], row["landmarks_y"]], axis=1).astype(np.float64)
    usable = bool(np.isfinite(rotation).all())
    return Record(
        image_id=Path(row["image"]).stem,
        image_path=folder / row["image"],
        label=Label.from_rotation(rotation) if usable else None,
        box_xyxy=np.array([row[name] for name in BOX_XYXY], np.float64),
        excluded=None if usable else "rotation with a number that is not finite",
        group=str(row.get("identity", "")),
        camera=Camera(matrix, np.zeros(5)),
        landmarks_xy=landmarks,
        factors={
            name: row[name] if isinstance(row[name], (int, float)) else str(row[name])
            for name in FACTORS
            if name in row and _is_known(row[name])
        },
    )


def _is_known(value: object) -> bool:
    return value is not None and value != "" and value == value  # NaN differs from itself
