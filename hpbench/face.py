"""A face as every method sees it: image, box, camera, and nothing of the label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpbench.arrays import protect

__all__ = [
    "DISTORTION", "INTRINSICS", "Camera", "Face", "camera_matrix", "crop_with_black",
    "intrinsics_of",
]  # fmt: skip

INTRINSICS, DISTORTION = ("fx", "fy", "cx", "cy"), ("k1", "k2", "p1", "p2", "k3")
"""Columns of tables that hold a camera."""


@dataclass(frozen=True, slots=True)
class Camera:
    """Intrinsics of the camera that took an image.

    Attributes
    ----------
    matrix : ndarray, shape (3, 3)
        ``[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]`` in pixels of the whole image; the centre
        of the first pixel is (0, 0), as in OpenCV.
    distortion : ndarray, shape (5,)
        ``k1, k2, p1, p2, k3`` in OpenCV's order; zeros where none was calibrated.
    """

    matrix: npt.NDArray[np.float64]
    distortion: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        protect(self, "matrix", "distortion")


def camera_matrix(fx: float, fy: float, cx: float, cy: float) -> npt.NDArray[np.float64]:
    """Matrix of a camera, shape (3, 3), from what :func:`intrinsics_of` reads of it, in pixels."""
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def intrinsics_of(matrix: npt.NDArray[np.float64]) -> dict[str, float]:
    """What a camera's matrix, shape (3, 3), holds, by the names of :data:`INTRINSICS`."""
    numbers = matrix[[0, 1, 0, 1], [0, 1, 2, 2]].astype(np.float64).tolist()
    return dict(zip(INTRINSICS, numbers, strict=True))


@dataclass(frozen=True, slots=True)
class Face:
    """One face in one image: all that a method is given.

    All methods are given the same arrays, so these are not to be written to, and NumPy and
    OpenCV refuse it: change a copy.

    Attributes
    ----------
    image_id : str
        Name of the image, unique in its data set.
    image : ndarray, shape (height, width, 3), uint8
        The whole image, RGB.
    box_xyxy : ndarray, shape (4,)
        Tight face box x0, y0, x1, y1 in pixels from the centre of the first pixel; it may reach
        outside the image. What margin to put around it is up to the method.
    camera : Camera or None
        The data set's own calibration, where it has one.
    landmarks_xy : ndarray, shape (68, 2), or None
        The data set's *annotated* points in iBUG order, for experiments that test a solver
        alone. A method that uses them without being told to is cheating.
    """

    image_id: str
    image: npt.NDArray[np.uint8]
    box_xyxy: npt.NDArray[np.float64]
    camera: Camera | None = None
    landmarks_xy: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        protect(self, "image", "box_xyxy", "landmarks_xy")

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the image in pixels."""
        return self.image.shape[1], self.image.shape[0]


def crop_with_black(
    image: npt.NDArray[np.uint8], box_xyxy: tuple[int, int, int, int]
) -> npt.NDArray[np.uint8]:
    """Cut a box of whole pixels out of an image; what lies outside is black.

    `box_xyxy` is x0, y0 included, x1, y1 excluded. The result is that of ``PIL.Image.crop``, which
    the head-pose code bases rely on.
    """
    x0, y0, x1, y1 = box_xyxy
    height, width = image.shape[:2]
    if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
        return image[y0:y1, x0:x1]
    crop = np.zeros((y1 - y0, x1 - x0, image.shape[2]), dtype=np.uint8)
    left, top = max(x0, 0), max(y0, 0)
    right, bottom = min(x1, width), min(y1, height)
    if right > left and bottom > top:
        crop[top - y0 : bottom - y0, left - x0 : right - x0] = image[top:bottom, left:right]
    return crop
