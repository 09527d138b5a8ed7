"""Face detectors: where boxes come from when a data set has none, or is not to be believed.

``--boxes dlib`` or ``--boxes yunet``. A detector finds boxes and nothing else; what
margin a method puts around them is the method's business.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hpbench.errors import (
    HpbenchError,
    ImageError,
    MissingDependencyError,
    in_one_line,
)
from hpbench.plugin import Plugin
from hpbench.registry import Registry
from hpbench.spec import Spec

__all__ = [
    "DETECTORS",
    "Detector",
    "face_finder",
    "find_faces",
    "make_detector",
    "once_per_thread",
    "surest_first",
]

DEFAULT = "dlib"
"""Detector that is asked where the user named none."""

Array = npt.NDArray[np.float64]

_PER_THREAD = threading.local()
_LOADING = threading.Lock()


class Detector(Plugin):
    """Base class of the face detectors.

    Notes
    -----
    Instances hold options only, so they are cheap to make and pickle. The model is kept once
    per thread, because neither dlib's nor OpenCV's detectors may be shared between threads;
    one instance can therefore be used from any number of them.
    """

    finds_faces: ClassVar[bool] = True
    """False: its box is taken whatever the annotated one is."""

    def fingerprint(self) -> str:
        """Text that changes whenever the boxes may change; the same on every machine."""
        return str(Spec(self.name, {key: str(value) for key, value in self.options}))

    @abstractmethod
    def load(self) -> None:
        """Read the model, so that what is missing or corrupted is known before the first image.

        Raises
        ------
        hpbench.errors.HpbenchError
            With one line that names the file and the fix.
        """

    @abstractmethod
    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
        """Find faces, the surest first.

        Parameters
        ----------
        image_rgb : ndarray, shape (height, width, 3), uint8

        Returns
        -------
        boxes_xyxy : ndarray, shape (n, 4)
            x0, y0, x1, y1 in pixels of the whole image; they may reach outside of it.
        scores : ndarray, shape (n,)
            Higher is surer; the scale is the detector's own.
        """


DETECTORS: Registry[Detector] = Registry("hpbench.detectors", Detector, "face detector")  # type: ignore[type-abstract]


def make_detector(spec: str | Spec, plugins: Sequence[Path] = ()) -> Detector:
    """Make a detector from its text form; its model is not loaded yet.

    Parameters
    ----------
    spec : str or Spec
        ``"dlib"``, ``"dlib[upsample=1]"``, ``"yunet[model=yunet_n_640_640.onnx]"``.
    plugins : sequence of Path
        Files named by ``--plugin``.

    Raises
    ------
    UsageError
        For an unknown detector, option or value, or if ``yunet`` has no file.

    Examples
    --------
    >>> make_detector("dlib[upsample=1]").fingerprint()
    'dlib[upsample=1]'
    """
    cls, options, _ = DETECTORS.configure(spec, plugins)
    return DETECTORS.instance(cls, options, plugins=plugins)


def find_faces(detector: Detector, image_rgb: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
    """Boxes, shape (n, 4), and scores, shape (n,), of the faces in an image.

    Raises
    ------
    ImageError
        If the detector fails on this image, or gives anything else.
    HpbenchError
        As the detector raises it.
    """
    try:
        found = detector.detect(image_rgb)
        boxes, scores = (np.asarray(part, dtype=np.float64) for part in found)
        boxes = boxes.reshape(-1, 4) if not boxes.size else boxes
        if boxes.shape != (len(boxes), 4) or scores.shape != (len(boxes),):
            raise ValueError(f"boxes of shape {boxes.shape}, scores of shape {scores.shape}")
        if not (boxes[:, 2:] > boxes[:, :2]).all() or not np.isfinite(boxes).all():
            raise ValueError(f"a box without area or not finite: {boxes.tolist()}")
    except HpbenchError:
        raise
    except Exception as error:
        raise ImageError(f"face detector fails ({in_one_line(error)})") from error
    return boxes, scores


def face_finder(
    detector: Detector | None = None,
) -> Callable[[npt.NDArray[np.uint8]], Array]:
    """Function from an image to boxes, shape (n, 4), by a detector or the default one.

    It finds none where the detector fails on the image, or its library is missing.
    """
    chosen = detector or make_detector(DEFAULT)
    load = cache(chosen.load)  # when the first image comes

    def find(image_rgb: npt.NDArray[np.uint8]) -> Array:
        try:
            load()
            return find_faces(chosen, image_rgb)[0]
        except (ImageError, MissingDependencyError):
            return np.empty((0, 4))

    return find


def once_per_thread(key: Hashable, make: Callable[[], Any]) -> Any:
    """Model of this thread under a key; made when it is first asked for."""
    models: dict[Hashable, Any] = _PER_THREAD.__dict__.setdefault("models", {})
    if key not in models:
        with _LOADING:
            models[key] = make()
    return models[key]


def surest_first(boxes_xyxy: Array, scores: Array) -> tuple[Array, Array]:
    """Boxes, shape (n, 4), and scores, shape (n,), in the order that detectors return."""
    order = np.argsort(-scores, kind="stable")
    return boxes_xyxy.reshape(-1, 4)[order], scores[order]
