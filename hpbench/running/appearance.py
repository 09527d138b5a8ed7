"""What the image of a face looks like: how bright, and how sharp."""

from __future__ import annotations

from hpbench.crops import whole_pixels
from hpbench.face import Face

__all__ = ["SIDE_PX", "appearance"]

SIDE_PX = 64
"""The box of every face is scaled to this side first, so that faces of all sizes compare."""


def appearance(face: Face) -> dict[str, float]:
    """Brightness and sharpness of a face, over its box as far as that lies in the image.

    Returns
    -------
    dict
        ``brightness``: mean grey level, 0 to 255. ``sharpness``: variance of the grey levels'
        Laplacian (Pech-Pacheco et al., ICPR 2000), after scaling to 64 x 64 pixels: a smaller face
        is enlarged and counts as blurred. Empty where the box lies outside the image.
    """
    import cv2

    x0, y0, x1, y1 = whole_pixels(face.box_xyxy)
    crop = face.image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    if not crop.size:
        return {}
    smaller = min(crop.shape[:2]) < SIDE_PX
    grey = cv2.resize(
        cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY),
        (SIDE_PX, SIDE_PX),
        interpolation=cv2.INTER_LINEAR if smaller else cv2.INTER_AREA,
    )
    return {
        "brightness": float(grey.mean()),
        "sharpness": float(cv2.Laplacian(grey, cv2.CV_32F).var()),
    }
