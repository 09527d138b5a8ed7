"""MediaPipe's landmarks as the 68 of iBUG, for PnP."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from hpbench.detectors.base import once_per_thread
from hpbench.face import Face
from hpbench.landmarks.base import Array, LandmarkDetector
from hpbench.method import MethodCard, NoPrediction
from hpbench.methods.facemesh.crops import CROP_RULE, square_around
from hpbench.methods.facemesh.process import (
    FaceMeshProcess,
    missing_mediapipe,
    python_of,
    version_of,
)
from hpbench.plugin import Options

__all__ = ["FACTS", "NO_FACE", "FacemeshLandmarks", "FacemeshLandmarksOptions"]

NO_FACE = "MediaPipe found no face"

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

# fmt: off
_IBUG = np.array([
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,  # jaw
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,  # brows
    168, 197, 5, 4, 75, 97, 2, 326, 305,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,  # mouth
])
# fmt: on
"""Vertex of the mesh that lies at each iBUG landmark; on frontal faces of AFLW2000 the median
distance is 2 % of the face's size inside the face and 6 % at the jaw."""


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

    @classmethod
    def missing(cls) -> str | None:
        """Say that mediapipe has to be installed."""
        return missing_mediapipe()

    def fingerprint(self) -> str:
        """Version of mediapipe, which holds the weights."""
        return f"facemesh mediapipe={version_of(self._python)}"

    def load(self) -> None:
        """Start MediaPipe's process, once per thread."""
        self._process()

    def card(self) -> MethodCard:
        """Licences and crop."""
        version = f"mediapipe {version_of(self._python)}"
        return FACTS.model_copy(update={"notes": (version, *FACTS.notes)})

    def find(self, face: Face) -> Array | NoPrediction:
        """Landmarks of the face that MediaPipe finds in a square around the box."""
        image, corner_xy = square_around(face)
        points = self._process().find(image)
        return NoPrediction(NO_FACE) if points is None else points[_IBUG, :2] + corner_xy

    @property
    def _python(self) -> str:
        return python_of(self.options.python)

    def _process(self) -> FaceMeshProcess:
        process: FaceMeshProcess = once_per_thread(
            (self.name, self._python), lambda: FaceMeshProcess(self._python)
        )
        return process
