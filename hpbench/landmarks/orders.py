"""Which points of other annotations lie at the 68 landmarks of iBUG."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["ORDERS", "POINT_COUNTS", "PointOrder"]

PointOrder = Literal["ibug68", "wflw98", "insightface106", "mediapipe468"]
"""Annotations by name, with the number of their points."""

# fmt: off
ORDERS: dict[PointOrder, npt.NDArray[np.int64]] = {
    "ibug68": np.arange(68),
    "wflw98": np.array([
        *range(0, 33, 2),  # jaw, every second of 33
        33, 34, 35, 36, 37, 42, 43, 44, 45, 46,  # upper edges of the brows
        *range(51, 60),  # nose
        60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75,  # eyes, without the middles of the lids
        *range(76, 96),  # mouth
    ]),
    "insightface106": np.array([
        1, 10, 12, 14, 16, 3, 5, 7, 0, 23, 21, 19, 32, 30, 28, 26, 17,  # jaw
        43, 48, 49, 51, 50, 102, 103, 104, 105, 101,  # brows
        72, 73, 74, 86, 78, 79, 80, 85, 84,  # nose
        35, 41, 42, 39, 37, 36, 89, 95, 96, 93, 91, 90,  # eyes
        52, 64, 63, 71, 67, 68, 61, 58, 59, 53, 56, 55,  # mouth, outer
        65, 66, 62, 70, 69, 57, 60, 54,  # mouth, inner
    ]),
    "mediapipe468": np.array([
        162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,  # jaw
        71, 63, 105, 66, 107, 336, 296, 334, 293, 301,  # brows
        168, 197, 5, 4, 75, 97, 2, 326, 305,  # nose
        33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
        61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # mouth, outer
        78, 82, 13, 312, 308, 317, 14, 87,  # mouth, inner
    ]),
}
# fmt: on
"""For each annotation, its point at each iBUG landmark. The jaw of MediaPipe is the edge of its
mesh: on frontal faces of AFLW2000 its points have a median distance of 6 % of the face's size from
the annotation, those inside the face 2 %."""

POINT_COUNTS: dict[PointOrder, int] = {
    "ibug68": 68, "wflw98": 98, "insightface106": 106, "mediapipe468": 468,
}  # fmt: skip
"""Number of points of each annotation."""
