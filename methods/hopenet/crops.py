"""The network's input of Hopenet, cut out by the rules of :mod:`hpbench.crops`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpbench.crops import centre_of, cut_out, short_side_wh

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

    Notes
    -----
    Pillow's bilinear filter with its support widened for reduction, and the roundings of
    torchvision's ``Resize`` and ``CenterCrop``, as the authors' test transform.
    """
    from PIL import Image

    crop = Image.fromarray(np.ascontiguousarray(cut_out(image, box_xyxy)))
    scaled = short_side_wh(crop.size, size)
    if scaled != crop.size:
        crop = crop.resize(scaled, Image.Resampling.BILINEAR)
    return centre_of(np.asarray(crop), (size, size))
