"""Following faces from frame to frame of a video, and smoothing their rotations.

Benchmarks never smooth: each image is predicted on its own. Smoothing is for looking at
videos, where the eye takes the jitter of single predictions for movement of the head.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from hpbench.geometry.boxes import iou
from hpbench.rotation import nearest_rotation, rotation_from_rotvec, rotvec_from_rotation

__all__ = ["RotationSmoother", "Tracker", "slerp"]

Array = npt.NDArray[np.float64]


class Tracker:
    """Gives the faces of successive frames numbers that stay with them.

    A face belongs to the track whose last box it overlaps, by `min_iou` at least; where several
    could, the pairing with the largest sum of overlaps is taken. A track lives on for `keep_s`
    without being seen, since detectors miss single frames.
    """

    def __init__(self, min_iou: float = 0.3, keep_s: float = 0.5) -> None:
        self.min_iou = min_iou
        self.keep_s = keep_s
        self._count = 0
        self._last_seen: dict[int, tuple[Array, float]] = {}

    @property
    def tracks(self) -> Collection[int]:
        """Numbers of the faces that may be seen again."""
        return self._last_seen.keys()

    def update(self, boxes_xyxy: npt.ArrayLike, time_s: float) -> list[int]:
        """Numbers, from 1, of the faces in the next frame; `boxes_xyxy` has shape (n, 4)."""
        boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
        self._last_seen = {
            number: seen
            for number, seen in self._last_seen.items()
            if time_s - seen[1] <= self.keep_s
        }
        known = list(self._last_seen)
        overlap = np.array([[iou(self._last_seen[n][0], box) for n in known] for box in boxes])
        overlap = overlap.reshape(len(boxes), len(known))
        overlap[overlap < self.min_iou] = 0.0
        numbers = [0] * len(boxes)
        for row, column in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
            if overlap[row, column] > 0.0:
                numbers[row] = known[column]
        for index, box in enumerate(boxes):
            if not numbers[index]:
                self._count += 1
                numbers[index] = self._count
            self._last_seen[numbers[index]] = (box, time_s)
        return numbers


class RotationSmoother:
    """Exponential smoothing on the rotation group.

    The smoothed rotation y follows the head x as ``T dy/dt = x - y``, with a head that turns evenly
    from one prediction to the next; exactly so where all turns are about one axis. So the result
    does not depend on the frame rate, predictions after a gap weigh more, and a steady turn is
    followed by the time constant T late.
    """

    def __init__(self, time_constant_s: float = 0.15) -> None:
        if not time_constant_s > 0.0:
            raise ValueError(f"time_constant_s is {time_constant_s}, must be above 0")
        self.time_constant_s = time_constant_s
        self._last: dict[tuple[int, str], tuple[Array, Array, float]] = {}

    def update(self, key: tuple[int, str], R_cam: npt.ArrayLike, time_s: float) -> Array:
        """Take in one prediction and return the smoothed rotation, shape (3, 3).

        `key` is the track and the method; each pair is smoothed on its own. Its first prediction is
        returned as it is.
        """
        prediction = np.asarray(R_cam, dtype=np.float64)
        smoothed = prediction
        if key in self._last:
            smoothed, before, before_s = self._last[key]
            elapsed = (time_s - before_s) / self.time_constant_s
            if elapsed > 0.0:
                # the solution: a share of the way to a point between the two predictions
                share = -math.expm1(-elapsed)
                between = slerp(before, prediction, 1.0 / share - 1.0 / elapsed)
                smoothed = slerp(smoothed, between, share)
        self._last[key] = (smoothed, prediction, time_s)
        return smoothed

    def keep(self, tracks: Collection[int]) -> None:
        """Forget all other tracks."""
        self._last = {key: last for key, last in self._last.items() if key[0] in tracks}


def slerp(R_from: npt.ArrayLike, R_to: npt.ArrayLike, share: float) -> Array:
    """Rotation that lies a `share` (0..1) of the way along the shortest turn between two."""
    start, end = nearest_rotation(np.stack([R_from, R_to]))
    return start @ rotation_from_rotvec(share * rotvec_from_rotation(start.T @ end))
