"""Crop rules of the field: which part of an image a method sees, given the tight face box.

A crop is part of the method, and a change of it moves the mean error by whole degrees. All rules
start from the box around the face's points; each is written down once, here.

========================  ===================================================================
rule                      source
========================  ===================================================================
``hopenet-test``          natanielruiz/deep-head-pose, ``code/datasets.py``, class ``AFLW2000``
``hopenet-train``         the same file, class ``Pose_300W_LP``
``margin``                shamangary/FSA-Net, ``data/type1/TYY_create_db_type1.py``
``square``                opal23
``box``                   the box as it is
========================  ===================================================================
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from hpbench.face import crop_with_black

__all__ = [
    "DEFAULT_K",
    "Bounds",
    "CropRule",
    "HopenetRule",
    "Outside",
    "centre_of",
    "crop_box",
    "cut_out",
    "resize_and_centre",
    "resize_linear",
    "short_side_wh",
    "whole_pixels",
]

Pixels = npt.NDArray[np.uint8]
Bounds = tuple[int, int, int, int]

HopenetRule = Literal["hopenet-test", "hopenet-train"]
CropRule = Literal["box", "margin", "square", "hopenet-test", "hopenet-train"]
"""How a tight face box is widened by the amount k.

- ``box``: not at all.
- ``margin``: k of the width to the left and right, k of the height above and below (FSA-Net).
- ``square``: a square around the box's middle whose side is k of the longer side (opal).
- ``hopenet-test``, ``hopenet-train``: Hopenet's rules, each side moved in turn.
"""

Outside = Literal["black", "clip", "edge"]
"""What is put where a crop reaches outside its image: black, nothing, or the edge repeated."""

DEFAULT_K: dict[CropRule, float] = {"hopenet-test": 0.20, "hopenet-train": 0.30}
"""Amount of the rules that have a usual one: Hopenet's test value, and the middle of its training
range .2 to .4."""

_HOPENET_SHARES: dict[CropRule, tuple[float, float, float, float]] = {
    "hopenet-test": (2.0, 2.0, 2.0, 0.6),
    "hopenet-train": (0.6, 2.0, 0.6, 0.6),
}
"""How many k the left, upper, right and lower sides move out by."""


def crop_box(
    box_xyxy: npt.ArrayLike, rule: CropRule, k: float | npt.NDArray[np.float64] = 0.0
) -> npt.NDArray[np.float64]:
    """Widen face boxes by a rule.

    Parameters
    ----------
    box_xyxy : array_like, shape (..., 4)
        Tight boxes around the face's points, in pixels.
    rule : str
        See :data:`CropRule`.
    k : float or ndarray, shape (...,)
        Amount of the rule; ``box`` has none.

    Returns
    -------
    ndarray, shape (..., 4)

    Notes
    -----
    Hopenet's scripts move the sides in turn, so the right and lower sides grow by a share of
    the box that the left and upper sides have *already widened*: with w = x1 - x0,
    ``x0' = x0 - a k w`` and ``x1' = x1 + b k (x1 - x0')``.

    Examples
    --------
    >>> crop_box([0, 0, 100, 100], "hopenet-train", 0.2)
    array([-12.  , -40.  , 113.44, 116.8 ])
    >>> crop_box([100, 100, 200, 200], "margin", 0.6)
    array([ 40.,  40., 260., 260.])
    """
    x0, y0, x1, y1 = np.moveaxis(np.asarray(box_xyxy, dtype=np.float64), -1, 0)
    if rule in _HOPENET_SHARES:
        left, top, right, bottom = _HOPENET_SHARES[rule]
        x0 = x0 - left * k * np.abs(x1 - x0)
        y0 = y0 - top * k * np.abs(y1 - y0)
        x1 = x1 + right * k * np.abs(x1 - x0)
        y1 = y1 + bottom * k * np.abs(y1 - y0)
    elif rule == "margin":
        beside, above = k * (x1 - x0), k * (y1 - y0)
        x0, y0, x1, y1 = x0 - beside, y0 - above, x1 + beside, y1 + above
    elif rule == "square":
        half = k * np.maximum(x1 - x0, y1 - y0) / 2.0
        middle_x, middle_y = (x0 + x1) / 2.0, (y0 + y1) / 2.0
        x0, y0, x1, y1 = middle_x - half, middle_y - half, middle_x + half, middle_y + half
    return np.stack([x0, y0, x1, y1], axis=-1)


def whole_pixels(box_xyxy: npt.ArrayLike, *, with_last: bool = False) -> Bounds:
    """Crop box in whole pixels: each side cut off towards zero, as the field's ``int()`` does.

    Parameters
    ----------
    box_xyxy : array_like, shape (4,)
    with_last : bool
        Whether the last row and column are part of the crop. Hopenet leaves them out
        (``PIL.Image.crop``); FSA-Net and headpose-fsanet-pytorch have them in (``x1 + 1``).

    Returns
    -------
    tuple of int
        x0, y0 included, x1, y1 excluded; at least one pixel wide and high.

    Examples
    --------
    >>> whole_pixels([-3.9, 2.9, 50.9, 60.1])
    (-3, 2, 50, 60)
    >>> whole_pixels([-3.9, 2.9, 50.9, 60.1], with_last=True)
    (-3, 2, 51, 61)
    """
    x0, y0, x1, y1 = (int(side) for side in np.asarray(box_xyxy, dtype=np.float64))
    last = int(with_last)
    return x0, y0, max(x1 + last, x0 + 1), max(y1 + last, y0 + 1)


def cut_out(image: Pixels, bounds: Bounds, outside: Outside = "black") -> Pixels:
    """Cut whole pixels out of an image of shape (height, width, 3).

    `bounds` are as :func:`whole_pixels` gives them. Where they do not overlap with the image, there
    is nothing to ``clip`` and no ``edge``: what is cut out then has no pixel.
    """
    if outside == "black":
        return crop_with_black(image, bounds)
    height, width = image.shape[:2]
    x0, y0, x1, y1 = bounds
    rows = slice(max(y0, 0), max(min(y1, height), 0))  # a negative end would count from the other
    inner = image[rows, max(x0, 0) : max(min(x1, width), 0)]
    if outside == "clip" or not inner.size:
        return inner
    around = ((max(-y0, 0), max(y1 - height, 0)), (max(-x0, 0), max(x1 - width, 0)), (0, 0))
    return np.pad(inner, around, mode="edge")


def short_side_wh(size_wh: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Size of an image scaled so that its short side is `short_side`, as torchvision rounds it.

    Examples
    --------
    >>> short_side_wh((300, 200), 224)
    (336, 224)
    """
    width, height = size_wh
    if width <= height:
        return short_side, int(short_side * height / width)
    return int(short_side * width / height), short_side


def centre_of(image: Pixels, size_wh: tuple[int, int]) -> Pixels:
    """The middle of an image that is no smaller, as torchvision's ``CenterCrop`` rounds it."""
    width, height = size_wh
    left = round((image.shape[1] - width) / 2.0)
    top = round((image.shape[0] - height) / 2.0)
    return image[top : top + height, left : left + width]


def resize_and_centre(image: Pixels, short_side: int, side: int) -> Pixels:
    """Scale the short side of an image and keep the square of `side` pixels in the middle.

    Pillow's bilinear filter with its support widened for reduction, and the roundings of
    torchvision's ``Resize`` and ``CenterCrop``, as the test transforms of Hopenet and 6DRepNet.
    """
    from PIL import Image

    crop = Image.fromarray(np.ascontiguousarray(image))
    scaled = short_side_wh(crop.size, short_side)
    if scaled != crop.size:
        crop = crop.resize(scaled, Image.Resampling.BILINEAR)
    return centre_of(np.asarray(crop), (side, side))


def resize_linear(image: Pixels, side: int) -> Pixels:
    """Stretch an image to a square with OpenCV's bilinear filter, as most demos do."""
    import cv2

    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR))
