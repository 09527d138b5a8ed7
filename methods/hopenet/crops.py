"""The network's input of Hopenet, cut out by the rules of :mod:`hpbench.crops`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpbench.crops import cut_out, resize_and_centre

__all__ = ["cut_input"]


def cut_input(
    image: npt.NDArray[np.uint8], box_xyxy: tuple[int, int, int, int], size: int
) -> npt.NDArray[np.uint8]:
    """Cut out a box, scale its short side to `size`, and keep the square in the middle.

    Parameters
    ----------
    image : ndarray, shape (height, width, 3), uint8
    box_xyxy : tuple of int
        What lies outside the image is black.
    size : int
        Side of the network's input in pixels.

    Returns
    -------
    ndarray, shape (size, size, 3), uint8
    """
    return resize_and_centre(cut_out(image, box_xyxy), size, size)
