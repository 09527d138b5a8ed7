"""The `pnp` method: landmarks, a rigid face model, Perspective-n-Point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator, model_validator

from hpbench.errors import DataError, MissingDependencyError
from hpbench.face import Face
from hpbench.geometry.boxes import check_box
from hpbench.method import Method, MethodCard, NoPrediction, Options, Prediction
from hpbench.methods.pnp.landmarks import (
    find_landmarks,
    installed_predictor,
    load_predictor,
)
from hpbench.methods.pnp.models import ModelName, face_model
from hpbench.methods.pnp.solver import PnpSolution, SolverName, solve_pose
from hpbench.weights.store import sha256_of

__all__ = ["Pnp", "PnpOptions"]

Array = npt.NDArray[np.float64]

_NO_CAMERA = "the data set has no camera calibration; give a number as focal= instead"
_NO_LANDMARKS = "the data set has no annotated landmarks; use landmarks=dlib"


class PnpOptions(Options):
    """Options of `pnp`."""

    model: ModelName = Field(
        "ict51",
        description="Rigid face: ict51 (mean ICT face without jaw), ict68 (with jaw), "
        "mallick6 (the six points most scripts copy)",
    )
    focal: float | Literal["camera"] = Field(
        1.0,
        description="Focal length as a multiple of the longer image side, or 'camera' for the "
        "data set's own calibration",
    )
    solver: SolverName = Field(
        "sqpnp",
        description="sqpnp (refined, checked, second start), sop (weak perspective), epnp, or "
        "iterative (OpenCV's default without a start, unchecked)",
    )
    landmarks: Literal["dlib", "annotated"] = Field(
        "dlib",
        description="dlib's predictor, or the data set's own points to test the solver alone",
    )
    predictor: Path | None = Field(
        None, description="File of another dlib predictor of the 68 iBUG points"
    )

    @field_validator("focal", mode="before")
    @classmethod
    def _focal_is_a_length(cls, value: object) -> object:
        if value == "camera":
            return value
        try:
            number = float(str(value))
        except ValueError:
            number = float("nan")
        if not 0.0 < number < float("inf"):
            raise ValueError("must be a number above 0 (times the longer image side) or 'camera'")
        return number

    @model_validator(mode="after")
    def _predictor_has_a_use(self) -> PnpOptions:
        if self.predictor is not None and self.landmarks == "annotated":
            raise ValueError("predictor= has no effect with landmarks=annotated; leave one out")
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
    summary = "dlib's 68 landmarks, a rigid 3D face, cv2.solvePnP with checks"
    Options = PnpOptions
    prepare_in = "processes"  # dlib keeps Python's lock while it looks for landmarks
    options: PnpOptions

    @classmethod
    def missing(cls) -> str | None:
        """See :meth:`hpbench.method.Method.missing`."""
        for module, package in (("cv2", "opencv-python-headless"), ("dlib", "dlib-bin")):
            if find_spec(module) is None:
                return f"pip install {package}"
        try:
            installed_predictor()
        except MissingDependencyError as error:
            return str(error)
        return None

    def fingerprint(self) -> str:
        """Options and the SHA-256 of the predictor."""
        options = self.options.model_dump_json(exclude={"predictor"})
        return f"{options} predictor={self._predictor_sha256()}"

    def card(self) -> MethodCard:
        """Describe the method as configured."""
        model = face_model(self.options.model)
        finds_landmarks = self.options.landmarks == "dlib"
        notes = [f"Face model {model.name}: {model.source} ({model.licence})."]
        if self.options.solver == "iterative":
            notes.append(
                "Naive on purpose: predictions are not checked, heads behind the camera count."
            )
        if not finds_landmarks:
            notes.append(
                "Reads the annotated landmarks: a test of the solver alone, not to be compared "
                "with methods that see only the image."
            )
            return MethodCard(
                name=self.name,
                title="PnP on annotated landmarks",
                licence="Apache-2.0",
                colour_order="none",
                crop_rule="looks neither at the image nor at the box",
                notes=tuple(notes),
            )
        notes.append("300W-LP is made of the images of 300-W that the predictor was trained on.")
        return MethodCard(
            name=self.name,
            title="dlib landmarks and PnP",
            paper="Kazemi and Sullivan, One Millisecond Face Alignment with an Ensemble of "
            "Regression Trees, CVPR 2014",
            code="davisking/dlib, opencv/opencv",
            licence="Apache-2.0 (dlib: BSL-1.0)",
            weights=self._predictor_path().name,
            weights_sha256=self._predictor_sha256(),
            weights_licence="the predictor was trained on iBUG 300-W, whose licence excludes "
            "commercial use (davisking/dlib-models)"
            if self.options.predictor is None
            else "that of the file named by predictor=",
            trained_on=("300w", "w300lp") if self.options.predictor is None else (),
            trained_domains=("photo",),
            colour_order="RGB",
            crop_rule="no crop: the box goes to the predictor as it is, in whole pixels",
            notes=tuple(notes),
        )

    def load(self) -> None:
        """Read the landmark predictor, unless the annotated landmarks are used.

        Raises
        ------
        MissingDependencyError
            If dlib, OpenCV or the installed predictor is missing.
        WeightsError
            If the predictor's file is missing, corrupted or of another kind.
        """
        if find_spec("cv2") is None:
            raise MissingDependencyError(
                "method 'pnp': needs OpenCV; pip install opencv-python-headless"
            )
        if self.options.landmarks == "dlib":
            load_predictor(self._predictor_path())

    def unsupported_reason(
        self, dataset_name: str, has_camera: bool, has_landmarks: bool
    ) -> str | None:
        """Decline a data set without the calibration or the landmarks that the options ask for."""
        if self.options.focal == "camera" and not has_camera:
            return _NO_CAMERA
        if self.options.landmarks == "annotated" and not has_landmarks:
            return _NO_LANDMARKS
        return None

    def prepare(self, face: Face) -> _Seen | NoPrediction:
        """Find the 68 landmarks and settle the camera."""
        landmarks_xy = self._landmarks(face)
        if isinstance(landmarks_xy, NoPrediction):
            return landmarks_xy
        if self.options.focal == "camera":
            if face.camera is None:
                return NoPrediction(_NO_CAMERA)
            return _Seen(landmarks_xy, face.camera.matrix, face.camera.distortion)
        return _Seen(landmarks_xy, _assumed_camera(face.size_wh, self.options.focal), None)

    def infer(self, batch: Sequence[_Seen]) -> list[PnpSolution | NoPrediction]:
        """Solve one face after the other."""
        model = face_model(self.options.model)
        return [
            solve_pose(
                seen.landmarks_xy[model.landmark_ids],
                model.points,
                seen.camera_matrix,
                seen.distortion,
                self.options.solver,
            )
            for seen in batch
        ]

    def decode(
        self, output: Sequence[PnpSolution | NoPrediction]
    ) -> list[Prediction | NoPrediction]:
        """Take the rotation out of each solution; it is ``R_cam`` already."""
        return [
            solution if isinstance(solution, NoPrediction) else Prediction(solution.R_cam)
            for solution in output
        ]

    def _landmarks(self, face: Face) -> Array | NoPrediction:
        if self.options.landmarks == "annotated":
            return NoPrediction(_NO_LANDMARKS) if face.landmarks_xy is None else face.landmarks_xy
        try:
            check_box(face.box_xyxy, face.size_wh)
        except DataError as error:
            return NoPrediction(str(error))
        # From a cache of this process, so that an instance pickles at any time.
        predictor = load_predictor(self._predictor_path())
        return find_landmarks(predictor, face.image, face.box_xyxy)

    def _predictor_path(self) -> Path:
        named = self.options.predictor
        return installed_predictor() if named is None else named.expanduser()

    def _predictor_sha256(self) -> str | None:
        uses_predictor = self.options.landmarks == "dlib"
        return sha256_of(self._predictor_path()) if uses_predictor else None


def _assumed_camera(size_wh: tuple[int, int], focal: float) -> Array:
    """Camera matrix of an image whose camera is unknown; focal in longer image sides."""
    width, height = size_wh
    length_px = focal * max(width, height)
    return np.array(
        [[length_px, 0.0, width / 2.0], [0.0, length_px, height / 2.0], [0.0, 0.0, 1.0]]
    )
