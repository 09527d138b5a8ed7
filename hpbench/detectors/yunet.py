"""The YuNet face detector, by OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hpbench.detectors.base import Array, Detector, once_per_thread, surest_first
from hpbench.errors import DataError, MissingDependencyError, UsageError
from hpbench.images import silent_opencv
from hpbench.paths import file_state, user_path
from hpbench.plugin import BaseOptions, Options, WeightsInfo
from hpbench.spec import Spec
from hpbench.weights.store import cached_file, sha256_of

__all__ = ["YunetDetector", "YunetOptions"]

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


class YunetOptions(Options):
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
    summary = "YuNet through OpenCV (Wu et al. 2023); finds profiles, too"
    Options = YunetOptions

    def __init__(self, options: BaseOptions | None = None) -> None:
        super().__init__(options)
        path = self.options.model or cached_file(_YUNET.file)
        if path is None:
            raise UsageError(
                "face detector 'yunet': its network is not on this machine; run "
                f"'hpbench weights fetch yunet', or pass yunet[model=FILE] with {_YUNET_SOURCE}"
            )
        self._path = user_path(path)

    @classmethod
    def missing(cls) -> str | None:
        """Say that the network has to be fetched, or named."""
        if cached_file(_YUNET.file) is None:
            return "its network: 'hpbench weights fetch yunet', or yunet[model=FILE]"
        return None

    @classmethod
    def named_weights(cls) -> Sequence[WeightsInfo]:
        """Name the network of OpenCV's model zoo."""
        return (_YUNET.model_copy(update={"path": cached_file(_YUNET.file)}),)

    def fingerprint(self) -> str:
        """Options, with the network named by the start of its SHA-256."""
        digest = sha256_of(self._path)[:12]
        options = {key: str(value) for key, value in self.options} | {"model": digest}
        return str(Spec(self.name, options))

    def load(self) -> None:
        """Read the model, once per thread, and anew when its file has changed."""
        self._network()

    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
        """Find faces, the surest first; see :meth:`hpbench.detectors.base.Detector.detect`."""
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
        return surest_first(np.stack([x0, y0, x0 + w, y0 + h], axis=1) * to_full, faces[:, -1])

    def _network(self) -> Any:
        key = (self.name, self._path, *file_state(self._path), self.options.score)
        return once_per_thread(key, lambda: _load_yunet(self._path, self.options.score))


def _load_yunet(path: Path, score: float) -> Any:
    """Read the network and try it on a blank image: OpenCV opens other networks as well."""
    try:
        import cv2
    except ImportError as error:
        raise MissingDependencyError(
            f"face detector 'yunet': needs OpenCV ({error}); pip install opencv-python-headless"
        ) from error
    if not path.is_file():
        raise DataError(f"{path}: no such file; YuNet is {_YUNET_SOURCE}")
    try:
        # OpenCV 5 warns that its new engine runs on one target only, which nobody asked about
        with silent_opencv():
            network = cv2.FaceDetectorYN.create(str(path), "", (64, 64), score, _YUNET_MERGE_IOU)
            network.detect(np.zeros((64, 64, 3), dtype=np.uint8))
    except cv2.error as error:
        raise DataError(
            f"{path}: not a YuNet network, or corrupted; get {_YUNET_SOURCE}"
        ) from error
    return network
