"""Predictions as table rows, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.method import NoPrediction
from hpbench.predicting.faces import FrameResult
from hpbench.rotation import ANGLES, angles_from_rotation
from hpbench.storage.schemas import (
    ANGLES_DEG,
    BOX_XYXY,
    ROTATION_COLUMNS,
    SPREAD_DEG,
    rotation_cells,
)

__all__ = ["ROW_COLUMNS", "angles_in_words", "result_rows"]

Array = npt.NDArray[np.float64]
Row = dict[str, Any]

ROW_COLUMNS = (
    "image", "frame", "time_s", "face", "track", *BOX_XYXY, "score", "method",
    "status", "reason", "confidence", *ANGLES_DEG, *SPREAD_DEG,
    *(f"smoothed_{name}" for name in ANGLES_DEG), *ROTATION_COLUMNS,
)  # fmt: skip
"""Columns of the table, in order."""


def result_rows(result: FrameResult, methods: Sequence[str]) -> list[Row]:
    """Rows of the table that predict writes: one per face and method.

    ``status`` is ``ok``, ``no_answer``, ``no_face`` or ``unreadable``; the last two are one row for
    the whole image. Numbers that do not exist are None.
    """
    frame = result.frame
    empty: Row = dict.fromkeys(ROW_COLUMNS)
    empty |= {"image": frame.name, "frame": frame.number, "time_s": _rounded(frame.time_s, 4)}
    if frame.image is None:
        return [empty | {"status": "unreadable", "reason": frame.problem}]
    if not result.faces:
        return [empty | {"status": "no_face", "reason": "no face found by the detector"}]
    rows = []
    for number, face in enumerate(result.faces, start=1):
        box = zip(BOX_XYXY, face.box_xyxy.tolist(), strict=True)
        found = empty | {key: round(value, 2) for key, value in box}
        found |= {"face": number, "track": face.track, "score": _rounded(face.score, 4)}
        for name in methods:
            row = found | {"method": name}
            prediction = face.predictions[name]
            if isinstance(prediction, NoPrediction):
                row |= {"status": "no_answer", "reason": prediction.reason}
            else:
                cells = rotation_cells(prediction.R_cam).items()
                row |= {"status": "ok", "confidence": _rounded(prediction.confidence, 6)}
                row |= _angle_columns(prediction.R_cam)
                row |= {key: round(value, 9) for key, value in cells}
                if prediction.spread_deg is not None:
                    spread = zip(SPREAD_DEG, prediction.spread_deg.tolist(), strict=True)
                    row |= {key: round(value, 4) for key, value in spread}
            if name in face.smoothed:
                row |= _angle_columns(face.smoothed[name], "smoothed_")
            rows.append(row)
    return rows


def _angle_columns(R_cam: Array, prefix: str = "") -> dict[str, float]:
    angles = zip(ANGLES_DEG, angles_from_rotation(R_cam).tolist(), strict=True)
    return {f"{prefix}{name}": round(value, 4) for name, value in angles}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def angles_in_words(R_cam: Array) -> str:
    """What the three angles mean in the image, for a newcomer.

    Examples
    --------
    >>> from hpbench.rotation import rotation_from_angles
    >>> angles_in_words(rotation_from_angles([20.0, -10.0, 0.0]))
    'yaw +20.0 (nose to the left), pitch -10.0 (looks down), roll +0.0 (upright)'
    """
    words = (
        ("nose to the left", "nose to the right", "straight"),
        ("looks up", "looks down", "level"),
        ("tilted clockwise", "tilted anticlockwise", "upright"),
    )
    parts = []
    for name, angle, (positive, negative, none) in zip(
        ANGLES, np.round(angles_from_rotation(R_cam), 1) + 0.0, words, strict=True
    ):
        meaning = none if abs(angle) < 1.0 else positive if angle > 0 else negative
        parts.append(f"{name} {angle:+.1f} ({meaning})")
    return ", ".join(parts)
