"""Face detectors: where boxes come from when a data set has none, or is not to be believed.

``--boxes dlib`` or ``--boxes yunet``. A detector finds boxes and nothing else; what
margin a method puts around them is the method's business.
"""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hpbench.errors import DataError, MissingDependencyError, UsageError
from hpbench.method import Options as AnyOptions
from hpbench.method import WeightsInfo
from hpbench.spec import Spec, build_options, parse_spec, suggest
from hpbench.weights.store import cached_file

__all__ = [
    "DETECTORS",
    "Detector",
    "DlibDetector",
    "YunetDetector",
    "make_detector",
]

Array = npt.NDArray[np.float64]

_YUNET_SOURCE = (
    "face_detection_yunet_2023mar.onnx of opencv/opencv_zoo, or yunet_n_640_640.onnx of "
    "ShiqiYu/libfacedetection.train"
)

_YUNET = WeightsInfo(
    name="face_detection_yunet_2023mar",
    summary="YuNet face detector of OpenCV's model zoo, for --boxes yunet",
    licence="MIT",
    trained_on=("wider_face",),
    size_bytes=232589,
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    source="https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet",
    file="face_detection_yunet_2023mar.onnx",
    url="https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/"
    "face_detection_yunet_2023mar.onnx",
)

_YUNET_MERGE_IOU = 0.3

_PER_THREAD = threading.local()
_LOADING = threading.Lock()


class Detector(ABC):
    """Base class of the face detectors.

    Parameters
    ----------
    options : Options
        An instance of the class attribute ``Options``.

    Notes
    -----
    Instances hold options only, so they are cheap to make and pickle. The model is kept once
    per thread, because neither dlib's nor OpenCV's detectors may be shared between threads;
    one instance can therefore be used from any number of them.
    """

    name: ClassVar[str]
    Options: ClassVar[type[AnyOptions]] = AnyOptions

    def __init__(self, options: AnyOptions | None = None) -> None:
        self.options: Any = options if options is not None else self.Options()

    def fingerprint(self) -> str:
        """Text that changes whenever the boxes may change; the same on every machine."""
        return str(Spec(self.name, {key: str(value) for key, value in self.options}))

    @classmethod
    def named_weights(cls) -> Sequence[WeightsInfo]:
        """Weights that ``hpbench weights`` knows; those on this machine carry their path."""
        return ()

    @abstractmethod
    def load(self) -> None:
        """Read the model, so that what is missing or corrupted is known before the first image.

        Raises
        ------
        hpbench.errors.HpbenchError
            With one line that names the file and the mend.
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


class DlibOptions(AnyOptions):
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
    Options = DlibOptions

    def load(self) -> None:
        """See :meth:`Detector.load`."""
        _once_per_thread((self.name,), _load_dlib)

    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
        """See :meth:`Detector.detect`."""
        detector = _once_per_thread((self.name,), _load_dlib)
        rectangles, scores, _ = detector.run(
            np.ascontiguousarray(image_rgb), self.options.upsample, 0.0
        )
        boxes = [(box.left(), box.top(), box.right(), box.bottom()) for box in rectangles]
        return _surest_first(np.array(boxes, dtype=np.float64), np.array(scores, dtype=np.float64))


class YunetOptions(AnyOptions):
    """Options of the detector `yunet`."""

    model: Path | None = Field(
        None,
        description=f"The network's file: {_YUNET_SOURCE}; default: the former, once "
        "'hpbench weights fetch yunet' has stored it",
    )
    size: int = Field(
        640,
        ge=32,
        description="Images are reduced to this many pixels on their longer side, never "
        "enlarged; boxes are given in the full image",
    )
    score: float = Field(0.6, ge=0.0, le=1.0, description="Least score of a face")


class YunetDetector(Detector):
    """YuNet through ``cv2.FaceDetectorYN`` (Wu et al., "YuNet", 2023).

    The network runs at the image's own size, or reduced so that the longer side is ``size``,
    the size it was trained at. Boxes that overlap by more than an IoU of 0.3, OpenCV's default,
    are merged.
    """

    name = "yunet"
    Options = YunetOptions

    def __init__(self, options: AnyOptions | None = None) -> None:
        super().__init__(options)
        path = self.options.model or cached_file(_YUNET.file)
        if path is None:
            raise UsageError(
                "boxes 'yunet' need the network's file: 'hpbench weights fetch yunet', or "
                f"yunet[model=FILE] with {_YUNET_SOURCE}"
            )
        self._path: Path = path.expanduser()

    @classmethod
    def named_weights(cls) -> Sequence[WeightsInfo]:
        """See :meth:`Detector.named_weights`."""
        return (_YUNET.model_copy(update={"path": cached_file(_YUNET.file)}),)

    def fingerprint(self) -> str:
        """See :meth:`Detector.fingerprint`; the file is named by the start of its SHA-256."""
        try:
            digest = hashlib.sha256(self._path.read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(f"{self._path}: cannot be read ({error.strerror})") from error
        options = {key: str(value) for key, value in self.options} | {"model": digest[:12]}
        return str(Spec(self.name, options))

    def load(self) -> None:
        """See :meth:`Detector.load`."""
        self._network()

    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
        """See :meth:`Detector.detect`."""
        import cv2

        network = self._network()
        height, width = image_rgb.shape[:2]
        scale = min(1.0, self.options.size / max(width, height))
        size_wh = max(1, round(width * scale)), max(1, round(height * scale))
        image_bgr = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
        if scale < 1.0:
            image_bgr = cv2.resize(image_bgr, size_wh, interpolation=cv2.INTER_AREA)
        network.setInputSize(size_wh)
        _, found = network.detect(image_bgr)
        if found is None:
            return np.empty((0, 4)), np.empty(0)
        faces = np.asarray(found, dtype=np.float64)  # x, y, w, h, ten landmark values, score
        x0, y0, w, h = faces[:, :4].T
        to_full = np.array([width / size_wh[0], height / size_wh[1]] * 2)
        return _surest_first(np.stack([x0, y0, x0 + w, y0 + h], axis=1) * to_full, faces[:, -1])

    def _network(self) -> Any:
        key = (self.name, self._path, self.options.score)
        return _once_per_thread(key, lambda: _load_yunet(self._path, self.options.score))


DETECTORS: dict[str, type[Detector]] = {kind.name: kind for kind in (DlibDetector, YunetDetector)}
"""All detectors by name."""


def make_detector(spec_text: str | Spec) -> Detector:
    """Make a detector from its text form; its model is not loaded yet.

    Parameters
    ----------
    spec_text : str or Spec
        ``"dlib"``, ``"dlib[upsample=1]"``, ``"yunet[model=yunet_n_640_640.onnx]"``.

    Raises
    ------
    UsageError
        For an unknown detector, option or value, or if ``yunet`` has no file.

    Examples
    --------
    >>> make_detector("dlib[upsample=1]").fingerprint()
    'dlib[upsample=1]'
    """
    spec = parse_spec(spec_text) if isinstance(spec_text, str) else spec_text
    if spec.name not in DETECTORS:
        raise UsageError(f"no face detector '{spec.name}'; {suggest(spec.name, DETECTORS)}")
    if spec.path is not None:
        raise UsageError(
            f"boxes '{spec.name}={spec.path}': write options as {spec.name}[key=value]"
        )
    kind = DETECTORS[spec.name]
    return kind(build_options(kind.Options, spec.options, f"face detector '{spec.name}'"))


def _once_per_thread(key: Hashable, make: Callable[[], Any]) -> Any:
    """Model of this thread under a key; made when it is first asked for."""
    models: dict[Hashable, Any] = _PER_THREAD.__dict__.setdefault("models", {})
    if key not in models:
        with _LOADING:
            models[key] = make()
    return models[key]


def _load_dlib() -> Any:
    try:
        import dlib
    except ImportError as error:
        raise MissingDependencyError(
            f"boxes 'dlib' need dlib ({error}): pip install dlib-bin"
        ) from error
    return dlib.get_frontal_face_detector()


def _load_yunet(path: Path, score: float) -> Any:
    """Read the network and try it on a blank image: OpenCV opens other networks as well."""
    try:
        import cv2
    except ImportError as error:
        raise MissingDependencyError(
            f"boxes 'yunet' need OpenCV ({error}): pip install opencv-python-headless"
        ) from error
    if not path.is_file():
        raise DataError(f"{path}: no such file; YuNet is {_YUNET_SOURCE}")
    level = cv2.utils.logging.getLogLevel()
    # OpenCV 5 warns that its new engine runs on one target only, which nobody asked about.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        network = cv2.FaceDetectorYN.create(str(path), "", (64, 64), score, _YUNET_MERGE_IOU)
        network.detect(np.zeros((64, 64, 3), dtype=np.uint8))
    except cv2.error as error:
        raise DataError(
            f"{path}: not a YuNet network, or corrupted; take {_YUNET_SOURCE}"
        ) from error
    finally:
        cv2.utils.logging.setLogLevel(level)
    return network


def _surest_first(boxes_xyxy: Array, scores: Array) -> tuple[Array, Array]:
    order = np.argsort(-scores, kind="stable")
    return boxes_xyxy.reshape(-1, 4)[order], scores[order]
