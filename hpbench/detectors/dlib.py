"""dlib's frontal face detector."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hpbench.detectors.base import Array, Detector, once_per_thread, surest_first
from hpbench.errors import MissingDependencyError
from hpbench.plugin import Options

__all__ = ["DlibDetector", "DlibOptions"]


class DlibOptions(Options):
    """Options of the detector `dlib`."""

    upsample: int = Field(
        0,
        ge=0,
        le=4,
        description="How often the image is doubled in size first; 0 finds faces of 80 pixels "
        "or more, each doubling halves that and takes four times as long",
    )


class DlibDetector(Detector):
    """dlib's frontal face detector: HOG features and a linear classifier.

    King, "Max-margin object detection", 2015; ``dlib.get_frontal_face_detector``. It is part of
    dlib and needs no file. It finds few faces beyond 60 degrees of yaw.
    """

    name = "dlib"
    summary = "dlib's frontal face detector (HOG); finds few faces beyond 60 degrees of yaw"
    Options = DlibOptions

    def load(self) -> None:
        """Read the model, once per thread."""
        once_per_thread((self.name,), _load_dlib)

    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
        """Find faces, the surest first; see :meth:`hpbench.detectors.base.Detector.detect`."""
        detector = once_per_thread((self.name,), _load_dlib)
        rectangles, scores, _ = detector.run(
            np.ascontiguousarray(image_rgb), self.options.upsample, 0.0
        )
        boxes = [(box.left(), box.top(), box.right(), box.bottom()) for box in rectangles]
        return surest_first(np.array(boxes, dtype=np.float64), np.array(scores, dtype=np.float64))


def _load_dlib() -> Any:
    try:
        import dlib
    except ImportError as error:
        raise MissingDependencyError(
            f"face detector 'dlib': needs dlib ({error}); pip install dlib-bin"
        ) from error
    return dlib.get_frontal_face_detector()
