"""Rough angles that 68 landmarks show by themselves, to tell which way a label turns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["angles_seen_in_landmarks"]

Array = npt.NDArray[np.float64]

_EYE_LEFT_IN_IMAGE, _EYE_RIGHT_IN_IMAGE = slice(36, 42), slice(42, 48)
_JAW_ENDS = (0, 16)
_NOSE_TIP, _MOUTH = 30, slice(48, 68)


def angles_seen_in_landmarks(points_xy: Array) -> Array:
    """Numbers that grow with yaw, pitch and roll; their scale means nothing.

    Parameters
    ----------
    points_xy : ndarray, shape (68, 2)
        In iBUG order.

    Returns
    -------
    ndarray, shape (3,)
        Yaw: how far the nose's tip lies to the image's left between the ends of the jaw.
        Pitch: how far the ends of the jaw, which lie behind the eyes, are below them. Roll:
        which way the mouth lies from the eyes.
    """
    left, right = points_xy[_EYE_LEFT_IN_IMAGE].mean(0), points_xy[_EYE_RIGHT_IN_IMAGE].mean(0)
    eyes, mouth = (left + right) / 2.0, points_xy[_MOUTH].mean(0)
    down = mouth - eyes
    length = float(np.hypot(*down))
    if length < 1.0:
        return np.full(3, np.nan)
    down = down / length
    to_right = np.array([down[1], -down[0]])
    jaw = points_xy[list(_JAW_ENDS)]
    tip = points_xy[_NOSE_TIP]
    yaw = -float((tip - jaw.mean(0)) @ to_right) / length
    pitch = float((jaw.mean(0) - eyes) @ down) / length
    roll = float(np.arctan2(to_right[1], to_right[0]))
    return np.array([yaw, pitch, roll])
