"""MediaPipe Face Mesh and PnP as a method of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hpbench.errors import DataError, HpbenchError
from hpbench.face import Face
from hpbench.geometry.boxes import check_box
from hpbench.geometry.pnp import NO_CAMERA, Focal, camera_of, solve_pose
from hpbench.method import Method, MethodCard, NoPrediction, Options, Prediction
from hpbench.methods.facemesh.crops import square_around
from hpbench.methods.facemesh.landmarks import FACTS, NO_FACE, FacemeshLandmarksOptions
from hpbench.methods.facemesh.process import (
    FaceMeshProcess,
    missing_mediapipe,
    python_of,
    version_of,
)
from hpbench.plugin import BaseOptions

__all__ = ["Facemesh", "canonical_face"]

Array = npt.NDArray[np.float64]


class FacemeshOptions(FacemeshLandmarksOptions):
    """Options of the method ``facemesh``."""

    focal: Focal = 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What MediaPipe is shown of one face, where that lies, and the camera; later its landmarks."""

    image: npt.NDArray[np.uint8]
    corner_xy: Array
    camera_matrix: Array
    distortion: Array | None
    landmarks_xy: Array | None = None


class Facemesh(Method):
    """468 landmarks, and the pose that puts MediaPipe's canonical face there."""

    name: ClassVar[str] = "facemesh"
    summary: ClassVar[str] = "MediaPipe Face Mesh's 468 points and PnP on its canonical face"
    Options: ClassVar[type[Options]] = FacemeshOptions

    def __init__(self, options: BaseOptions | None = None, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._process: FaceMeshProcess | None = None

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

    def load(self) -> None:
        """Start MediaPipe's process."""
        self._process = FaceMeshProcess(self._python)

    def unsupported_reason(
        self, dataset_name: str, has_camera: bool, has_landmarks: bool
    ) -> str | None:
        """The data set's camera cannot be asked for where there is none."""
        return NO_CAMERA if self.options.focal == "camera" and not has_camera else None

    def prepare(self, face: Face) -> _Seen | NoPrediction:
        """Cut a square around the face and settle the camera."""
        try:
            check_box(face.box_xyxy, face.size_wh)
        except DataError as error:
            return NoPrediction(str(error))
        camera = camera_of(face, self.options.focal)
        if isinstance(camera, NoPrediction):
            return camera
        return _Seen(*square_around(face), *camera)

    def infer(self, batch: Sequence[_Seen]) -> list[_Seen]:
        """Have MediaPipe find the landmarks, one face after the other."""
        if self._process is None:
            raise HpbenchError("method 'facemesh' was used before load()")
        found = [self._process.find(seen.image) for seen in batch]
        return [
            seen if points is None else replace(seen, landmarks_xy=points[:, :2] + seen.corner_xy)
            for seen, points in zip(batch, found, strict=True)
        ]

    def decode(self, output: Sequence[_Seen]) -> list[Prediction | NoPrediction]:
        """Solve for the rotation of the canonical face."""
        return [_solve(seen) for seen in output]

    @property
    def _python(self) -> str:
        return python_of(self.options.python)


def _solve(seen: _Seen) -> Prediction | NoPrediction:
    if seen.landmarks_xy is None:
        return NoPrediction(NO_FACE)
    solution = solve_pose(seen.landmarks_xy, canonical_face(), seen.camera_matrix, seen.distortion)
    return solution if isinstance(solution, NoPrediction) else Prediction(solution.R_cam)


@cache
def canonical_face() -> Array:
    """MediaPipe's canonical face, shape (468, 3): centimetres, x right, y down, z away."""
    table = files("hpbench.methods.facemesh").joinpath("canonical_face.csv")
    lines = [line for line in table.read_text("utf-8").splitlines() if not line.startswith("#")]
    return np.loadtxt(lines[1:], delimiter=",") * [1.0, -1.0, -1.0]
