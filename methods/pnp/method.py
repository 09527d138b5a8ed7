"""The `pnp` method: landmarks, a rigid face model, Perspective-n-Point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from hpbench.errors import DataError, MissingDependencyError
from hpbench.face import Face
from hpbench.geometry.boxes import check_box
from hpbench.geometry.pnp import NO_CAMERA, Focal, PnpSolution, SolverName, camera_of, solve_pose
from hpbench.landmarks.base import make_landmark_detector
from hpbench.landmarks.dlib import DlibLandmarks
from hpbench.method import Method, MethodCard, NoPrediction, Options, Prediction
from hpbench.methods.pnp.models import ModelName, face_model
from hpbench.plugin import BaseOptions
from hpbench.spec import Spec

__all__ = ["Pnp", "PnpOptions"]

Array = npt.NDArray[np.float64]


class PnpOptions(Options):
    """Options of `pnp`."""

    model: ModelName = Field(
        "ict51",
        description="Rigid face: ict51 (mean ICT face without jaw), ict68 (with jaw), "
        "mallick6 (the six points most scripts copy)",
    )
    focal: Focal = 1.0
    solver: SolverName = Field(
        "sqpnp",
        description="sqpnp (refined, checked, second start), sop (weak perspective), epnp, or "
        "iterative (OpenCV's default without a start, unchecked)",
    )
    landmarks: str = Field(
        "dlib",
        description="Landmark detector: dlib, facemesh, tddfa, or annotated (the data set's own "
        "points, to test the solver alone); 'hpbench list' names all",
    )
    predictor: Path | None = Field(
        None, description="File of another dlib predictor of the 68 iBUG points"
    )

    @model_validator(mode="after")
    def _predictor_has_a_use(self) -> PnpOptions:
        if self.predictor is not None and self.landmarks != "dlib":
            raise ValueError(
                f"predictor= has no effect with landmarks={self.landmarks}; leave one out"
            )
        return self


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the solver is given of one face: 68 points, camera matrix, distortion."""

    landmarks_xy: Array
    camera_matrix: Array
    distortion: Array | None


class Pnp(Method):
    """Head pose from 68 landmarks and a rigid face model.

    Landmarks are found in the whole image and solved there, never in a crop, because a crop
    would move the principal point.
    """

    name = "pnp"
    summary = "68 landmarks (dlib's), a rigid 3D face, cv2.solvePnP with checks"
    Options = PnpOptions
    prepare_in = "processes"  # dlib keeps Python's lock while it looks for landmarks
    options: PnpOptions

    def __init__(self, options: BaseOptions | None = None, device: str = "cpu") -> None:
        super().__init__(options, device)
        spec = self.options.landmarks
        if self.options.predictor is not None:
            spec = str(Spec("dlib", {"predictor": str(self.options.predictor)}))
        self._detector = make_landmark_detector(spec)

    @classmethod
    def missing(cls) -> str | None:
        """See :meth:`hpbench.method.Method.missing`."""
        if find_spec("cv2") is None:
            return "pip install opencv-python-headless"
        return DlibLandmarks.missing()

    def fingerprint(self) -> str:
        """Options and the landmark detector's own fingerprint."""
        options = self.options.model_dump_json(exclude={"landmarks", "predictor"})
        return f"{options} landmarks={self._detector.fingerprint()}"

    def card(self) -> MethodCard:
        """Describe the landmarks, and what is done with them."""
        model = face_model(self.options.model)
        found = self._detector.card()
        notes = [
            f"Face model {model.name}: {model.source} ({model.licence}).",
            "confidence: minus the RMS reprojection error in percent of the landmarks' extent",
        ]
        if self.options.solver == "iterative":
            notes.append(
                "Naive on purpose: predictions are not checked, heads behind the camera count."
            )
        title = f"{found.title} and PnP"
        if not self._detector.needs_box:
            title = f"PnP on {found.title}"
        return found.model_copy(
            update={
                "name": self.name,
                "title": title,
                "licence": found.licence or "Apache-2.0",
                "notes": (*notes, *found.notes),
            }
        )

    def load(self) -> None:
        """Read the landmark detector's model."""
        if find_spec("cv2") is None:
            raise MissingDependencyError(
                "method 'pnp': needs OpenCV; pip install opencv-python-headless"
            )
        self._detector.load()

    def unsupported_reason(
        self, dataset_name: str, has_camera: bool, has_landmarks: bool
    ) -> str | None:
        """Decline a data set without the calibration or the landmarks that the options ask for."""
        if self.options.focal == "camera" and not has_camera:
            return NO_CAMERA
        return self._detector.unsupported_reason(has_landmarks)

    def prepare(self, face: Face) -> _Seen | NoPrediction:
        """Find the 68 landmarks and settle the camera."""
        if self._detector.needs_box:
            try:
                check_box(face.box_xyxy, face.size_wh)
            except DataError as error:
                return NoPrediction(str(error))
        landmarks_xy = self._detector.find(face)
        if isinstance(landmarks_xy, NoPrediction):
            return landmarks_xy
        camera = camera_of(face, self.options.focal)
        return camera if isinstance(camera, NoPrediction) else _Seen(landmarks_xy, *camera)

    def infer(self, batch: Sequence[_Seen]) -> list[tuple[Array, PnpSolution | NoPrediction]]:
        """Solve one face after the other; a solution stands behind the points it is fitted to."""
        model = face_model(self.options.model)
        points = [seen.landmarks_xy[model.landmark_ids] for seen in batch]
        return [
            (
                points_xy,
                solve_pose(
                    points_xy,
                    model.points,
                    seen.camera_matrix,
                    seen.distortion,
                    self.options.solver,
                ),
            )
            for points_xy, seen in zip(points, batch, strict=True)
        ]

    def decode(
        self, output: Sequence[tuple[Array, PnpSolution | NoPrediction]]
    ) -> list[Prediction | NoPrediction]:
        """Take the rotation out of each solution; it is ``R_cam`` already.

        The confidence is minus the reprojection error in percent of the landmarks' height or
        width, whichever is larger: in pixels it would call every small face a sure one.
        """
        return [
            solution
            if isinstance(solution, NoPrediction)
            else Prediction(
                solution.R_cam,
                confidence=-100.0
                * solution.reprojection_px
                / float(np.ptp(points_xy, axis=0).max()),
            )
            for points_xy, solution in output
        ]
