"""MediaPipe Face Mesh and PnP as a method of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hpbench.face import Face
from hpbench.geometry.pnp import NO_CAMERA, Focal, camera_of, solve_pose
from hpbench.inference.worker import Reply, Worker
from hpbench.method import MethodCard, NoPrediction, Options, Prediction
from hpbench.methods.facemesh.crops import square_around
from hpbench.methods.facemesh.landmarks import FACTS, FacemeshLandmarksOptions
from hpbench.methods.facemesh.process import (
    landmarks_in,
    mediapipe_command,
    mediapipe_errors,
    missing_mediapipe,
    python_of,
    version_of,
)

__all__ = ["Facemesh", "canonical_face"]

Array = npt.NDArray[np.float64]


class FacemeshOptions(FacemeshLandmarksOptions):
    """Options of the method ``facemesh``."""

    focal: Focal = 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What MediaPipe is shown of one face, where that lies, and the camera."""

    square: Face
    corner_xy: Array
    camera_matrix: Array
    distortion: Array | None


class Facemesh(Worker):
    """468 landmarks, and the pose that puts MediaPipe's canonical face there."""

    name: ClassVar[str] = "facemesh"
    summary: ClassVar[str] = "MediaPipe Face Mesh's 468 points and PnP on its canonical face"
    Options: ClassVar[type[Options]] = FacemeshOptions

    @classmethod
    def missing(cls) -> str | None:
        """Say that mediapipe has to be installed."""
        return missing_mediapipe()

    def fingerprint(self) -> str:
        """Options, and the version of mediapipe, which holds the weights."""
        options = self.options.model_dump_json(exclude={"python"})
        return f"{options} mediapipe={version_of(self._python)}"

    def card(self) -> MethodCard:
        """Licences and crop."""
        notes = (
            f"mediapipe {version_of(self._python)} in a process of its own, on the CPU",
            "PnP (SQPnP, refined) on all 468 points of the canonical face model (Apache-2.0)",
            *FACTS.notes,
        )
        return FACTS.model_copy(update={"title": f"{FACTS.title} and PnP", "notes": notes})

    def command(self) -> Sequence[str]:
        """MediaPipe's worker, in the Python that has it."""
        return mediapipe_command(self._python)

    def load(self) -> None:
        """Start MediaPipe's worker."""
        with mediapipe_errors(self._python):
            super().load()

    def unsupported_reason(
        self, dataset_name: str, has_camera: bool, has_landmarks: bool
    ) -> str | None:
        """The data set's camera cannot be asked for where there is none."""
        return NO_CAMERA if self.options.focal == "camera" and not has_camera else None

    def prepare(self, face: Face) -> _Seen | NoPrediction:
        """Cut a square around the face and settle the camera."""
        checked = super().prepare(face)
        if isinstance(checked, NoPrediction):
            return checked
        camera = camera_of(face, self.options.focal)
        return camera if isinstance(camera, NoPrediction) else _Seen(*square_around(face), *camera)

    def infer(self, batch: Sequence[_Seen]) -> list[tuple[_Seen, Reply]]:
        """Have MediaPipe find the landmarks."""
        replies = super().infer([seen.square for seen in batch])
        return list(zip(batch, replies, strict=True))

    def decode(self, output: Sequence[tuple[_Seen, Reply]]) -> list[Prediction | NoPrediction]:
        """Solve for the rotation of the canonical face."""
        return [_solve(seen, landmarks_in(reply)) for seen, reply in output]

    @property
    def _python(self) -> str:
        return python_of(self.options.python)


def _solve(seen: _Seen, points_xy: Array | NoPrediction) -> Prediction | NoPrediction:
    if isinstance(points_xy, NoPrediction):
        return points_xy
    points_xy = points_xy + seen.corner_xy
    solution = solve_pose(points_xy, canonical_face(), seen.camera_matrix, seen.distortion)
    return solution if isinstance(solution, NoPrediction) else Prediction(solution.R_cam)


@cache
def canonical_face() -> Array:
    """MediaPipe's canonical face, shape (468, 3): centimetres, x right, y down, z away."""
    table = files("hpbench.methods.facemesh").joinpath("canonical_face.csv")
    lines = [line for line in table.read_text("utf-8").splitlines() if not line.startswith("#")]
    return np.loadtxt(lines[1:], delimiter=",") * [1.0, -1.0, -1.0]
