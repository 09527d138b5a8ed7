"""Text in images, and images beside each other.

Every function takes and returns RGB images, shape (height, width, 3), uint8, and draws into a copy.
"""

from __future__ import annotations

from functools import cache
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpbench.geometry.boxes import face_size_px
from hpbench.images import MAX_WEBP_SIDE_PX

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

__all__ = ["draw_caption", "draw_text", "enlarge_small", "side_by_side"]

Pixels = npt.NDArray[np.uint8]

LEGIBLE_SIDE_PX = 240
"""Images with a shorter side below this are enlarged before text is put into them."""

MAX_ENLARGED_PIXELS = 16_000_000
"""Thin images are enlarged less: to be legible, one of 1 x 3000 pixels would need 170 million."""


def draw_text(
    image: Pixels, lines: list[str], top_left_xy: tuple[float, float], size_px: int
) -> Pixels:
    """Write lines on a dark, half-transparent plate that is moved to lie inside the image.

    `size_px` is the height of a capital letter and its descender, reduced where the plate would be
    larger than the image.
    """
    height, width = image.shape[:2]
    plate = _plate(lines, size_px)
    while size_px > 6 and (plate.shape[0] > height or plate.shape[1] > width):
        size_px -= 1
        plate = _plate(lines, size_px)
    plate = plate[:height, :width]
    left = round(min(max(top_left_xy[0], 0.0), width - plate.shape[1]))
    top = round(min(max(top_left_xy[1], 0.0), height - plate.shape[0]))
    drawn = image.copy()
    under = drawn[top : top + plate.shape[0], left : left + plate.shape[1]]
    ink = plate[..., None] / 255.0
    # The plate lets 45 % of the image through, its letters nothing.
    under[...] = np.round(under * 0.45 * (1.0 - ink) + 255.0 * ink)
    return drawn


def enlarge_small(image: Pixels, panels: int = 1) -> tuple[Pixels, int]:
    """Enlarge a small image by a whole factor, so that text in it can be read.

    `panels` of it side by side stay within :data:`MAX_ENLARGED_PIXELS` and
    :data:`hpbench.images.MAX_WEBP_SIDE_PX`.

    Returns the image and the factor: pixel x of the given image lies at
    ``(x + 0.5) * factor - 0.5`` of the enlarged one.
    """
    import cv2

    height, width = image.shape[:2]
    legible = -(-LEGIBLE_SIDE_PX // min(height, width))
    factor = min(
        legible,
        isqrt(MAX_ENLARGED_PIXELS // (height * width * panels)),
        MAX_WEBP_SIDE_PX // max(height, width * panels),
    )
    if factor <= 1:
        return image, 1
    size_wh = (width * factor, height * factor)
    enlarged = cv2.resize(image, size_wh, interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, dtype=np.uint8), factor


def side_by_side(panels: list[Pixels], titles: list[str]) -> Pixels:
    """Put images of the same size beside each other, each with its title, if any, on top."""
    size_px = round(max(12.0, min(panels[0].shape[:2]) / 24.0))
    titled = [
        draw_text(panel, [title], (0.0, 0.0), size_px) if title else panel
        for panel, title in zip(panels, titles, strict=True)
    ]
    return np.concatenate(titled, axis=1)


def draw_caption(image: Pixels, lines: list[str], box_xyxy: npt.NDArray[np.float64]) -> Pixels:
    """Write lines below a face box, or above it where there is more room."""
    if not lines:
        return image
    # The text grows with the face and the image.
    face_px, short_side = face_size_px(box_xyxy), min(image.shape[:2])
    size_px = round(max(12.0, short_side / 40.0, min(face_px / 11.0, short_side / 15.0)))
    needed = _plate(lines, size_px).shape[0]
    x0, y0, _, y1 = box_xyxy
    below_fits = y1 + needed <= image.shape[0]
    top = y1 if below_fits or y0 < image.shape[0] - y1 else y0 - needed
    return draw_text(image, lines, (float(x0), float(top)), size_px)


@cache
def _font(size_px: int) -> FreeTypeFont | Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=size_px)


def _plate(lines: list[str], size_px: int) -> npt.NDArray[np.uint8]:
    """How much ink each pixel of some written lines has, 0..255."""
    from PIL import Image, ImageDraw

    font = _font(size_px)
    pad = max(2, size_px // 4)
    step = round(1.25 * size_px)
    width = max(round(font.getlength(line)) for line in lines) + 2 * pad
    mask = Image.new("L", (width, step * len(lines) + 2 * pad), 0)
    pen = ImageDraw.Draw(mask)
    for index, line in enumerate(lines):
        pen.text((pad, pad + index * step), line, fill=255, font=font)
    return np.asarray(mask, dtype=np.uint8)
