"""What MediaPipe is shown of an image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpbench.crops import crop_box, cut_out, whole_pixels
from hpbench.face import Face

__all__ = ["CROP_RULE", "square_around"]

CROP_RULE = "square of 2 times the longer side, black outside; MediaPipe detects the face in it"


def square_around(face: Face) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Square around a face, large enough for MediaPipe's own detector.

    Returns
    -------
    image : ndarray, shape (side, side, 3), uint8
    corner_xy : ndarray, shape (2,)
        Its upper left pixel in the whole image.
    """
    bounds = whole_pixels(crop_box(face.box_xyxy, "square", 2.0))
    return cut_out(face.image, bounds, "black"), np.array(bounds[:2], dtype=np.float64)
