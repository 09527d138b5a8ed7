"""The whole image as the face's box, for images that were cropped already."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hpbench.detectors.base import Array, Detector

__all__ = ["WholePicture"]


class WholePicture(Detector):
    """Takes every image for one face that fills it; an annotated box is not asked for."""

    name = "picture"
    summary = "the whole image, for faces that were cropped already"
    finds_faces: ClassVar[bool] = False

    def load(self) -> None:
        """Nothing has to be read."""

    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
        """The whole image as one box; see :meth:`hpbench.detectors.base.Detector.detect`."""
        height, width = image_rgb.shape[:2]
        return np.array([[0.0, 0.0, width, height]]), np.ones(1)
