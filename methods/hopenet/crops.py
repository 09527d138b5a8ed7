"""How Hopenet cuts a face out of its picture. The crop is part of the method.

The arithmetic is that of natanielruiz/deep-head-pose, ``code/datasets.py``: each side is moved
in turn, so that the right and lower sides grow by a share of the *already widened* box.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from hpbench.face import crop_with_black

__all__ = [
    "DEFAULT_MARGIN",
    "CropRule",
    "crop_box",
    "cut_input",
    "whole_pixels",
]

CropRule = Literal["hopenet-test", "hopenet-train"]

DEFAULT_MARGIN: dict[CropRule, float] = {"hopenet-test": 0.20, "hopenet-train": 0.30}
"""Margin k per rule: the authors' test value, and the middle of their training range .2 to .4."""

_SHARES: dict[CropRule, tuple[float, float, float, float]] = {
    "hopenet-test": (2.0, 2.0, 2.0, 0.6),
    "hopenet-train": (0.6, 2.0, 0.6, 0.6),
}
"""How many k the left, upper, right and lower sides move out by."""


def crop_box(
    box_xyxy: npt.ArrayLike, rule: CropRule, k: float | npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Widen face boxes by the authors' rule for testing or for training.

    Parameters
    ----------
    box_xyxy : array_like, shape (..., 4)
        Tight boxes around the face's points, in pixels.
    rule : {'hopenet-test', 'hopenet-train'}
    k : float or ndarray, shape (...,)
        Margin as a share of the box.

    Returns
    -------
    ndarray, shape (..., 4)

    Examples
    --------
    >>> crop_box([0, 0, 100, 100], "hopenet-train", 0.2)
    array([-12.  , -40.  , 113.44, 116.8 ])
    """
    x0, y0, x1, y1 = np.moveaxis(np.asarray(box_xyxy, dtype=np.float64), -1, 0)
    left, top, right, bottom = _SHARES[rule]
    x0 = x0 - left * k * np.abs(x1 - x0)
    y0 = y0 - top * k * np.abs(y1 - y0)
    x1 = x1 + right * k * np.abs(x1 - x0)
    y1 = y1 + bottom * k * np.abs(y1 - y0)
    return np.stack([x0, y0, x1, y1], axis=-1)


def whole_pixels(box_xyxy: npt.NDArray[np.float64]) -> tuple[int, int, int, int]:
    """Crop box in whole pixels: each side cut off towards zero, as the authors' ``int()`` does."""
    x0, y0, x1, y1 = (int(side) for side in box_xyxy)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def cut_input(
    image: npt.NDArray[np.uint8], box_xyxy: tuple[int, int, int, int], size: int
) -> npt.NDArray[np.uint8]:
    """Cut out a box, scale its short side to `size`, and keep the square in the middle.

    Parameters
    ----------
    image : ndarray, shape (height, width, 3), uint8
    box_xyxy : tuple of int
        What lies outside the picture is black.
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

    crop = Image.fromarray(np.ascontiguousarray(crop_with_black(image, box_xyxy)))
    width, height = crop.size
    if width <= height:
        scaled = (size, int(size * height / width))
    else:
        scaled = (int(size * width / height), size)
    if scaled != crop.size:
        crop = crop.resize(scaled, Image.Resampling.BILINEAR)
    left = round((scaled[0] - size) / 2.0)
    top = round((scaled[1] - size) / 2.0)
    return np.asarray(crop)[top : top + size, left : left + size]
