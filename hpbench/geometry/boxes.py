"""Face boxes ``x0, y0, x1, y1`` in pixels of the whole image.

A coordinate of hpbench counts from the centre of the first pixel, as OpenCV's camera matrix does:
boxes, landmarks and the principal point are in the same frame, and an image of width ``w`` spans
-0.5 to ``w - 0.5``. Crops in whole pixels follow the field instead (:mod:`hpbench.crops`): x0 is
the first column of the crop, x1 the first one after it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from hpbench.errors import DataError

__all__ = [
    "MIN_IOU", "BoxLayout", "box_from_points", "box_problem", "check_box", "corners_of",
    "face_size_px", "iou", "match_box",
]  # fmt: skip

MIN_IOU = 0.3
"""A detected box that overlaps an annotated one by more is of the same face. It is low, since
detectors differ in how much forehead and chin they frame."""

MAX_BOX_SIZE = 20
"""In units of the image's longer side. A crop takes memory with the square of it."""

BoxLayout = Literal["xyxy", "xywh", "cxcywh", "yxyx", "yxhw", "xxyy", "corners"]
"""What the four numbers of a box are, in their order; ``corners``: any two opposite ones."""


def check_box(box_xyxy: npt.NDArray[np.float64], size_wh: tuple[int, int]) -> None:
    """Raise DataError for a box with a :func:`box_problem`."""
    if problem := box_problem(box_xyxy, size_wh):
        raise DataError(problem)


def box_problem(box_xyxy: npt.NDArray[np.float64], size_wh: tuple[int, int]) -> str | None:
    """Why no crop can be made of a box in an image of this width and height; None where one can.

    A number is not finite, the box has no area, lies outside the image, or is so large that its
    crop would be all black and take the memory.
    """
    x0, y0, x1, y1 = (float(value) for value in box_xyxy)
    # as they are written: rounded, a box in fractions of the image would read 0,0,1,1
    shown = f"box {x0:.6g},{y0:.6g},{x1:.6g},{y1:.6g}"
    if not np.isfinite(box_xyxy).all():
        return "box with a coordinate that is not a number"
    if x1 - x0 < 1 or y1 - y0 < 1:
        return f"{shown} has no area"
    width, height = size_wh
    image = f"the image of {width}x{height} pixels"
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        return f"{shown} lies outside {image}"
    if max(x1 - x0, y1 - y0) > MAX_BOX_SIZE * max(width, height):
        return f"{shown} is more than {MAX_BOX_SIZE} times as large as {image}"
    return None


def corners_of(numbers: npt.ArrayLike, layout: BoxLayout) -> npt.NDArray[np.float64]:
    """Boxes x0, y0, x1, y1 of four numbers each, shape (..., 4), in any layout.

    Examples
    --------
    >>> corners_of([10, 20, 30, 40], "xywh")
    array([10., 20., 40., 60.])
    """
    boxes = np.asarray(numbers, dtype=np.float64)
    if layout in ("yxyx", "yxhw"):
        boxes = boxes[..., [1, 0, 3, 2]]
    elif layout == "xxyy":
        boxes = boxes[..., [0, 2, 1, 3]]
    a, b = boxes[..., :2], boxes[..., 2:]
    if layout in ("xywh", "yxhw"):
        b = a + b
    elif layout == "cxcywh":
        a, b = a - b / 2.0, a + b / 2.0
    elif layout == "corners":
        a, b = np.minimum(a, b), np.maximum(a, b)
    return np.concatenate([a, b], axis=-1)


def box_from_points(points_xy: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Box x0, y0, x1, y1 that points of shape (n, 2) span."""
    points = np.asarray(points_xy, dtype=np.float64)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def face_size_px(box_xyxy: npt.ArrayLike) -> float:
    """Size of a face: the geometric mean of its box's sides, at least one pixel.

    Examples
    --------
    >>> face_size_px([0.0, 0.0, 4.0, 9.0])
    6.0
    """
    x0, y0, x1, y1 = np.asarray(box_xyxy, dtype=np.float64)
    return float(np.sqrt(max(x1 - x0, 1.0) * max(y1 - y0, 1.0)))


def iou(box_a: npt.ArrayLike, box_b: npt.ArrayLike) -> float:
    """Intersection over union of two boxes x0, y0, x1, y1.

    Examples
    --------
    >>> round(iou([0, 0, 2, 2], [1, 0, 3, 2]), 4)
    0.3333
    """
    a = np.asarray(box_a, dtype=np.float64)
    b = np.asarray(box_b, dtype=np.float64)
    overlap = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0.0, None).prod()
    union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - overlap
    return float(overlap / union) if union > 0 else 0.0


def match_box(boxes_xyxy: npt.ArrayLike, annotated_box_xyxy: npt.ArrayLike) -> int | None:
    """Index of the detected box (n, 4) that is the annotated face, or None if it was missed.

    It overlaps it most, and by more than :data:`MIN_IOU`.

    Examples
    --------
    >>> match_box([[0, 0, 2, 2], [10, 10, 20, 20]], [11, 10, 20, 21])
    1
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    overlaps = [iou(box, annotated_box_xyxy) for box in boxes]
    if not overlaps or max(overlaps) <= MIN_IOU:
        return None
    return int(np.argmax(overlaps))
