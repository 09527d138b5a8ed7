"""MediaPipe's landmarks as the 68 of iBUG, for PnP."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from hpbench.detectors.base import once_per_thread
from hpbench.face import Face
from hpbench.inference.worker import WorkerProcess
from hpbench.landmarks.base import Array, LandmarkDetector
from hpbench.landmarks.orders import ORDERS
from hpbench.method import MethodCard, NoPrediction
from hpbench.methods.facemesh.crops import CROP_RULE, square_around
from hpbench.methods.facemesh.process import (
    landmarks_in,
    mediapipe_command,
    mediapipe_errors,
    missing_mediapipe,
    python_of,
    version_of,
)
from hpbench.plugin import Options

__all__ = ["FACTS", "FacemeshLandmarks", "FacemeshLandmarksOptions"]

FACTS = MethodCard(
    name="facemesh",
    title="MediaPipe Face Mesh",
    paper="Kartynnik, Ablavatski, Grishchenko, Grundmann: Real-time Facial Surface Geometry from "
    "Monocular Video on Mobile GPUs, CVPR Workshops 2019, arXiv:1907.06724",
    code="https://github.com/google-ai-edge/mediapipe",
    licence="Apache-2.0",
    weights="face_landmark.tflite and face_detection_short_range.tflite, inside mediapipe",
    weights_licence="Apache-2.0; trained on images of Google that are not public",
    trained_domains=("photo",),
    crop_rule=CROP_RULE,
    notes=("what these weights were trained on is not public",),
)


class FacemeshLandmarksOptions(Options):
    """Options of MediaPipe's landmarks."""

    python: str = Field(
        default="",
        description="Python interpreter that has mediapipe; default: $HPBENCH_FACEMESH_PYTHON, "
        "else the one that runs hpbench",
    )


class FacemeshLandmarks(LandmarkDetector):
    """68 of MediaPipe's 468 points."""

    name = "facemesh"
    summary = "68 of MediaPipe Face Mesh's 468 points"
    Options: ClassVar[type[Options]] = FacemeshLandmarksOptions
    # by benchmarks/pnp_choices.py: of faces in profile it draws others that are turned less
    largest_fit_error: ClassVar[float] = 0.045

    @classmethod
    def missing(cls) -> str | None:
        """Say that mediapipe has to be installed."""
        return missing_mediapipe()

    def fingerprint(self) -> str:
        """Version of mediapipe, which holds the weights."""
        return f"facemesh mediapipe={version_of(self._python)}"

    def load(self) -> None:
        """Start MediaPipe's worker, once per thread."""
        self._process()

    def card(self) -> MethodCard:
        """Licences and crop."""
        version = f"mediapipe {version_of(self._python)}"
        return FACTS.model_copy(update={"notes": (version, *FACTS.notes)})

    def find(self, face: Face) -> Array | NoPrediction:
        """Landmarks of the face that MediaPipe finds in a square around the box."""
        square, corner_xy = square_around(face)
        points = landmarks_in(self._process().ask([square])[0])
        if isinstance(points, NoPrediction):
            return points
        return points[ORDERS["mediapipe468"]] + corner_xy

    @property
    def _python(self) -> str:
        return python_of(self.options.python)

    def _process(self) -> WorkerProcess:
        process: WorkerProcess = once_per_thread((self.name, self._python), self._start)
        return process

    def _start(self) -> WorkerProcess:
        with mediapipe_errors(self._python):
            return WorkerProcess("landmarks 'facemesh'", mediapipe_command(self._python))
