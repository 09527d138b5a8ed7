"""What the image of a face looks like: how bright, and how sharp."""

from __future__ import annotations

from typing import NamedTuple

from hpbench.crops import whole_pixels
from hpbench.face import Face

__all__ = ["SIDE_PX", "Appearance", "measure_appearance"]

SIDE_PX = 64
"""The box of every face is scaled to this side first, so that faces of all sizes compare."""


class Appearance(NamedTuple):
    """What a face looks like; None for one that is not seen.

    Attributes
    ----------
    brightness : float or None
        Mean grey level, 0 to 255.
    sharpness : float or None
        Variance of the Laplacian of the grey levels (Pech-Pacheco et al., ICPR 2000).
    """

    brightness: float | None = None
    sharpness: float | None = None


def measure_appearance(face: Face) -> Appearance:
    """Appearance of a face over its box, as far as that lies in the image.

    It is scaled to 64 x 64 pixels by area averaging; a smaller face is enlarged and counts as
    blurred.
    """
    import cv2

    x0, y0, x1, y1 = whole_pixels(face.box_xyxy)
    crop = face.image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    if not crop.size:
        return Appearance()
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    while min(grey.shape) >= 2 * SIDE_PX:  # 2 x 2 pixels at a time, which takes half as long
        half = grey.shape[1] // 2, grey.shape[0] // 2
        even = grey[: 2 * half[1], : 2 * half[0]]
        grey = cv2.resize(even, half, interpolation=cv2.INTER_AREA)
    smaller = min(grey.shape) < SIDE_PX
    kind = cv2.INTER_LINEAR if smaller else cv2.INTER_AREA
    grey = cv2.resize(grey, (SIDE_PX, SIDE_PX), interpolation=kind)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F))
    return Appearance(cv2.mean(grey)[0], float(deviation[0, 0]) ** 2)
