"""What MediaPipe is shown of an image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hpbench.crops import crop_box, cut_out, whole_pixels
from hpbench.face import Face

__all__ = ["CROP_RULE", "square_around"]

CROP_RULE = "square of 2 times the longer side, black outside; MediaPipe detects the face in it"


def square_around(face: Face) -> tuple[Face, npt.NDArray[np.float64]]:
    """Square around a face, large enough for MediaPipe's own detector.

    Returns
    -------
    square : Face
        The square as an image of its own.
    corner_xy : ndarray, shape (2,)
        Its upper left pixel in the whole image.
    """
    bounds = whole_pixels(crop_box(face.box_xyxy, "square", 2.0))
    corner_xy = np.array(bounds[:2], dtype=np.float64)
    image = cut_out(face.image, bounds, "black")
    box = face.box_xyxy - np.tile(corner_xy, 2)
    return replace(face, image=image, box_xyxy=box, camera=None, landmarks_xy=None), corner_xy
