"""Scaling of a cut-out face to the network's input, as cards name it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpbench.crops import centre_of, short_side_wh

__all__ = ["fit_to"]

Pixels = npt.NDArray[np.uint8]


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
        scaled_wh = short_side_wh((crop_width, crop_height), short_side or max(width, height))
        return centre_of(_resize(crop, scaled_wh, filter_name), size_wh)
    scale = min(width / crop_width, height / crop_height)
    scaled_wh = (max(round(crop_width * scale), 1), max(round(crop_height * scale), 1))
    padded = np.zeros((height, width, 3), dtype=np.uint8)
    left, top = (width - scaled_wh[0]) // 2, (height - scaled_wh[1]) // 2
    padded[top : top + scaled_wh[1], left : left + scaled_wh[0]] = _resize(
        crop, scaled_wh, filter_name
    )
    return padded


def _resize(crop: Pixels, size_wh: tuple[int, int], filter_name: str) -> Pixels:
    library, _, filter_type = filter_name.partition("-")
    if library == "opencv":
        import cv2

        method = cv2.INTER_AREA if filter_type == "area" else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(crop, size_wh, interpolation=method), dtype=np.uint8)
    from PIL import Image

    method = Image.Resampling.BICUBIC if filter_type == "bicubic" else Image.Resampling.BILINEAR
    image = Image.fromarray(np.ascontiguousarray(crop))
    return np.asarray(image.resize(size_wh, method), dtype=np.uint8)
