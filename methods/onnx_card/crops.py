"""Crop rules and resizing that cards can name.

Sources: natanielruiz/deep-head-pose ``code/datasets.py`` (both Hopenet rules),
shamangary/FSA-Net ``data/type1/TYY_create_db_type1.py`` (``margin``), opal23 (``square``).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from hpbench.face import crop_with_black

__all__ = ["DEFAULT_K", "CropRule", "Outside", "crop_bounds", "cut_out", "fit_to"]

Pixels = npt.NDArray[np.uint8]
Bounds = tuple[int, int, int, int]

CropRule = Literal["box", "margin", "square", "hopenet-test", "hopenet-train"]
"""How a tight face box is widened by the amount k.

- ``box``: not at all.
- ``margin``: k of the width to the left and right, k of the height above and below (FSA-Net).
- ``square``: a square around the box's middle whose side is k of the longer side (opal).
- ``hopenet-test``, ``hopenet-train``: Hopenet's rules, each side moved in turn.
"""

Outside = Literal["black", "clip", "edge"]

DEFAULT_K: dict[str, float] = {"hopenet-test": 0.20, "hopenet-train": 0.30}

_HOPENET_SHARES = {"hopenet-test": (2.0, 2.0, 2.0, 0.6), "hopenet-train": (0.6, 2.0, 0.6, 0.6)}
"""How many k the left, upper, right and lower sides move out by."""


def crop_bounds(box_xyxy: npt.ArrayLike, rule: CropRule, k: float) -> Bounds:
    """Whole pixels to cut out: x0, y0 included, x1, y1 excluded.

    Parameters
    ----------
    box_xyxy : array_like, shape (4,)
        Tight face box in pixels.
    rule : str
    k : float

    Returns
    -------
    tuple of int
        At least one pixel wide and high; it may reach outside the picture.

    Notes
    -----
    Coordinates are cut off towards zero as all of the field's scripts do. Hopenet's then
    exclude the last pixel (``PIL.Image.crop``); the others include it, as
    headpose-fsanet-pytorch's demo does.

    Examples
    --------
    >>> crop_bounds([0, 0, 100, 100], "hopenet-test", 0.2)
    (-40, -40, 156, 116)
    >>> crop_bounds([100, 100, 200, 200], "margin", 0.6)
    (40, 40, 261, 261)
    """
    x0, y0, x1, y1 = (float(value) for value in np.asarray(box_xyxy, dtype=np.float64))
    width, height = x1 - x0, y1 - y0
    last = 1
    if rule == "margin":
        x0, x1 = x0 - k * width, x1 + k * width
        y0, y1 = y0 - k * height, y1 + k * height
    elif rule == "square":
        half = k * max(width, height) / 2.0
        middle_x, middle_y = (x0 + x1) / 2.0, (y0 + y1) / 2.0
        x0, y0, x1, y1 = middle_x - half, middle_y - half, middle_x + half, middle_y + half
    elif rule != "box":
        left, top, right, bottom = _HOPENET_SHARES[rule]
        x0 -= left * k * width
        y0 -= top * k * height
        x1 += right * k * (x1 - x0)  # of the width that the left side has already grown
        y1 += bottom * k * (y1 - y0)
        last = 0
    left_px, top_px = int(x0), int(y0)
    return left_px, top_px, max(int(x1) + last, left_px + 1), max(int(y1) + last, top_px + 1)


def cut_out(image: Pixels, bounds: Bounds, outside: Outside) -> Pixels:
    """Cut whole pixels out of a picture.

    Parameters
    ----------
    image : ndarray, shape (height, width, 3), uint8
    bounds : tuple of int
        As :func:`crop_bounds` gives them, overlapping the picture.
    outside : {'black', 'clip', 'edge'}

    Returns
    -------
    ndarray, shape (h, w, 3), uint8
    """
    if outside == "black":
        return crop_with_black(image, bounds)
    height, width = image.shape[:2]
    x0, y0, x1, y1 = bounds
    inner = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    if outside == "clip":
        return inner
    around = (
        (max(-y0, 0), max(y1 - height, 0)),
        (max(-x0, 0), max(x1 - width, 0)),
        (0, 0),
    )
    return np.pad(inner, around, mode="edge")


def fit_to(
    crop: Pixels, size_wh: tuple[int, int], fit: str, short_side: int | None, filter_name: str
) -> Pixels:
    """Scale a crop to the network's input.

    Parameters
    ----------
    crop : ndarray, shape (h, w, 3), uint8
    size_wh : tuple of int
        Width and height of the input.
    fit : {'stretch', 'centre', 'pad'}
    short_side : int or None
    filter_name : str
        See :class:`hpbench.methods.onnx_card.card.InputCard`.

    Returns
    -------
    ndarray, shape (height, width, 3), uint8
    """
    if fit == "stretch":
        return _resize(crop, size_wh, filter_name)
    width, height = size_wh
    crop_height, crop_width = crop.shape[:2]
    if fit == "centre":
        scale = (short_side or max(width, height)) / min(crop_width, crop_height)
        # a crop of extreme aspect may round to one pixel less than the input is wide
        scaled_wh = (max(int(crop_width * scale), width), max(int(crop_height * scale), height))
        scaled = _resize(crop, scaled_wh, filter_name)
        left, top = round((scaled_wh[0] - width) / 2.0), round((scaled_wh[1] - height) / 2.0)
        return scaled[top : top + height, left : left + width]
    scale = min(width / crop_width, height / crop_height)
    scaled_wh = (max(round(crop_width * scale), 1), max(round(crop_height * scale), 1))
    padded = np.zeros((height, width, 3), dtype=np.uint8)
    left, top = (width - scaled_wh[0]) // 2, (height - scaled_wh[1]) // 2
    padded[top : top + scaled_wh[1], left : left + scaled_wh[0]] = _resize(
        crop, scaled_wh, filter_name
    )
    return padded


def _resize(crop: Pixels, size_wh: tuple[int, int], filter_name: str) -> Pixels:
    library, _, kind = filter_name.partition("-")
    if library == "opencv":
        import cv2

        method = cv2.INTER_AREA if kind == "area" else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(crop, size_wh, interpolation=method), dtype=np.uint8)
    from PIL import Image

    method = Image.Resampling.BICUBIC if kind == "bicubic" else Image.Resampling.BILINEAR
    picture = Image.fromarray(np.ascontiguousarray(crop))
    return np.asarray(picture.resize(size_wh, method), dtype=np.uint8)
