"""Whether found landmarks are worth solving.

A landmark detector places 68 points whatever it is shown. The limits were chosen by
``benchmarks/pnp_choices.py`` on rendered heads, Pointing'04 and 300W-LP, and on no test set.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpbench.geometry.boxes import face_size_px

__all__ = ["badly_fitted", "outside_of_box"]

Array = npt.NDArray[np.float64]

_MARGIN = 0.1
"""How far the box is grown on each side, as a share of its size: detectors frame faces tightly."""
_MAX_OUTSIDE = 0.15
"""Share of the points that may lie outside of the grown box."""


def outside_of_box(landmarks_xy: Array, box_xyxy: Array) -> str | None:
    """Reason not to solve landmarks (n, 2), too many of which lie outside of the face's box."""
    margin = _MARGIN * face_size_px(box_xyxy)
    inside = (landmarks_xy >= box_xyxy[:2] - margin) & (landmarks_xy <= box_xyxy[2:] + margin)
    share = 1.0 - float(inside.all(axis=1).mean())
    return f"landmarks: {share:.0%} lie outside of the box" if share > _MAX_OUTSIDE else None


def badly_fitted(error: float, largest: float) -> str | None:
    """Reason not to trust a pose that leaves a larger reprojection error, a share of the extent."""
    return f"landmarks: {error:.0%} of the face off a face's shape" if error > largest else None
