"""What is known of every face beside its label: columns of the data set, and derived values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpbench.rotation import ANGLES
from hpbench.storage.schemas import APPEARANCE, BOX_XYXY

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DERIVED", "Factor", "face_factors", "row_factors"]

Factor = npt.NDArray[np.float64] | npt.NDArray[np.object_]
"""Numbers with NaN, or texts with None, where the value is unknown."""

DERIVED = ("face_px", *APPEARANCE, *(f"abs_{angle}" for angle in ANGLES))
"""Factors of every data set: square root of the area of the face box in pixels, brightness and
sharpness of the face, and the absolute labelled angles in degrees."""


def face_factors(faces: pd.DataFrame) -> dict[str, Factor]:
    """Factors of some rows of ``faces.parquet``, by name.

    The columns of the data set come first, in their order, then its ``group``, then
    :data:`DERIVED`. A column of the data set takes the name of a derived one.
    """
    found = _columns_of_dataset(faces)
    groups = _texts(faces["group"].tolist())
    if (groups != np.array(None)).any():
        found.setdefault("group", groups)
    if set(BOX_XYXY) <= set(faces.columns):
        x0, y0, x1, y1 = faces[list(BOX_XYXY)].to_numpy(dtype=np.float64).T
        found.setdefault("face_px", np.sqrt(np.maximum(x1 - x0, 0.0) * np.maximum(y1 - y0, 0.0)))
    for name in APPEARANCE:
        if name in faces.columns:
            found.setdefault(name, faces[name].to_numpy(dtype=np.float64))
    for angle in ANGLES:
        values = faces[f"{angle}_deg"].to_numpy(dtype=np.float64)
        found.setdefault(f"abs_{angle}", np.abs(values))
    return found


def _columns_of_dataset(faces: pd.DataFrame) -> dict[str, Factor]:
    if "factors" not in faces.columns:
        return {}
    rows = [row_factors(cell) for cell in faces["factors"]]
    columns: dict[str, Factor] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        if all(value is None or type(value) in (int, float) for value in values):
            columns[name] = np.array(values, dtype=float)  # None becomes NaN
        else:
            columns[name] = _texts(values)
    return columns


def row_factors(cell: object) -> Mapping[str, Any]:
    """Columns of the data set of one face, from its cell of ``factors``; none of an empty one.

    Raises
    ------
    ValueError
        If it is not JSON.
    """
    return json.loads(cell) if isinstance(cell, str) and cell else {}


def _texts(values: list[Any]) -> npt.NDArray[np.object_]:
    """Values as texts; None where there is none, or an empty one."""
    known = [value is not None and value == value and str(value).strip() for value in values]
    texts = [str(v).strip() if k else None for v, k in zip(values, known, strict=True)]
    return np.array(texts, dtype=object)
