"""The `pnp` method: landmarks, a face model, Perspective-n-Point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from hpbench.errors import MissingDependencyError
from hpbench.face import Face
from hpbench.geometry.boxes import box_problem
from hpbench.geometry.face_fit import Robust, distant_plane, fit_faces
from hpbench.geometry.pnp import NO_CAMERA, Focal, SolverName, camera_of, solve_pose
from hpbench.landmarks.base import make_landmark_detector
from hpbench.landmarks.dlib import DlibLandmarks, Predictor
from hpbench.method import Method, MethodCard, NoPrediction, Options, Prediction
from hpbench.methods.pnp.landmark_check import badly_fitted, outside_of_box
from hpbench.methods.pnp.models import ModelName, face_model, ict_shape_model
from hpbench.plugin import BaseOptions
from hpbench.spec import Spec, parse_spec

__all__ = ["Pnp", "PnpOptions"]

Array = npt.NDArray[np.float64]


_ONLY_FITTED = ("visibility", "robust")
_ONLY_RIGID = ("solver",)


class PnpOptions(Options):
    """Options of `pnp`."""

    model: ModelName = Field(
        "ict-fit",
        description="Face: ict-fit (ICT face whose shape and expression are fitted with the pose), "
        "ict51 (its mean, rigid, without jaw), ict68 (with jaw), mallick6 (the six points most "
        "scripts copy)",
    )
    focal: Focal | None = Field(
        None,
        description="Focal length as a multiple of the longer image side, or 'camera' for the "
        "data set's own calibration; default: 1.0, with model=ict-fit a camera far from the face",
    )
    solver: SolverName = Field(
        "sqpnp",
        description="For rigid models: sqpnp (refined, checked, second start), sop (weak "
        "perspective), epnp, or iterative (OpenCV's default without a start, unchecked)",
    )
    visibility: Literal["auto", "on", "off"] = Field(
        "auto",
        description="For ict-fit: let points that the pose hides count less; auto: where the "
        "landmark detector draws them on the visible outline, as dlib does",
    )
    robust: Robust = Field(
        "huber",
        description="For ict-fit: how points far from their place count: huber, geman-mcclure "
        "(hardly), none (like all others)",
    )
    check: bool = Field(
        True,
        description="No prediction where the landmarks are no good: dlib's detector finds no face, "
        "they lie outside of the box or fit no face; off: solve whatever was found",
    )
    landmarks: str = Field(
        "dlib",
        description="Landmark detector: dlib, facemesh, tddfa, or annotated (the data set's own "
        "points, to test the solver alone); 'hpbench list' names all",
    )
    predictor: Predictor = None

    @model_validator(mode="after")
    def _all_have_a_use(self) -> PnpOptions:
        if self.predictor is not None and parse_spec(self.landmarks).name != "dlib":
            raise ValueError(
                f"predictor= has no effect with landmarks={self.landmarks}; leave one out"
            )
        is_fitted = self.model == "ict-fit"
        if self.solver == "sop" and isinstance(self.focal, float):
            raise ValueError(
                "focal= has no effect with solver=sop, which knows no distance; leave it out, or "
                "write focal=camera"
            )
        for name in _ONLY_RIGID if is_fitted else _ONLY_FITTED:
            if name in self.model_fields_set:
                other = "a rigid model, such as model=ict51" if is_fitted else "model=ict-fit"
                raise ValueError(
                    f"{name}= has no effect with model={self.model}; it is for {other}"
                )
        return self


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the solver is given of one face: 68 points; camera matrix, None if far; distortion."""

    landmarks_xy: Array
    camera_matrix: Array | None
    distortion: Array | None


@dataclass(frozen=True, slots=True)
class _Solved:
    """Rotation, and reprojection error as a share of the landmarks' larger extent."""

    R_cam: Array
    error: float


class Pnp(Method):
    """Head pose from 68 landmarks and a 3D face.

    Landmarks are found in the whole image and solved there, never in a crop, because a crop
    would move the principal point.
    """

    name = "pnp"
    summary = "68 landmarks (dlib's) and a 3D face: fitted in shape, or rigid with cv2.solvePnP"
    Options = PnpOptions
    prepare_in = "processes"  # dlib keeps Python's lock while it looks for landmarks
    options: PnpOptions

    def __init__(
        self,
        options: BaseOptions | None = None,
        device: str = "cpu",
        plugins: Sequence[Path] = (),
    ) -> None:
        super().__init__(options, device)
        self._detector = make_landmark_detector(_detector_spec(self.options), plugins)

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

    def fingerprint_is_complete(self) -> bool:
        """Face models are files of this package, so it is up to the landmark detector."""
        return self._detector.fingerprint_is_complete()

    def spec_in_tables(self, spec: Spec) -> Spec:
        """With the landmark detector's own name, which may be that of a card."""
        if "landmarks" not in spec.options:
            return spec
        landmarks = self._detector.spec_in_tables(parse_spec(self.options.landmarks))
        return Spec(spec.name, {**spec.options, "landmarks": str(landmarks)})

    def card(self) -> MethodCard:
        """Describe the landmarks, and what is done with them."""
        model = face_model(self.options.model)
        found = self._detector.card()
        notes = [
            f"Face model {model.name}: {model.source} ({model.licence}).",
            "confidence: minus the RMS reprojection error in percent of the landmarks' extent",
            "Landmarks that are no good get no prediction."
            if self._checked
            else "Landmarks are not checked.",
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
        if self._detector.needs_box and (problem := box_problem(face.box_xyxy, face.size_wh)):
            return NoPrediction(problem)
        landmarks_xy = self._detector.find(face)
        if isinstance(landmarks_xy, NoPrediction):
            return landmarks_xy
        if self._checked and (reason := outside_of_box(landmarks_xy, face.box_xyxy)):
            return NoPrediction(reason)
        focal = self.options.focal
        if focal is None and self.options.model == "ict-fit":
            return _Seen(landmarks_xy, None, None)
        camera = camera_of(face, 1.0 if focal is None else focal)
        return camera if isinstance(camera, NoPrediction) else _Seen(landmarks_xy, *camera)

    def infer(self, batch: Sequence[_Seen]) -> list[_Solved | NoPrediction]:
        """Fit all faces together, or solve one after the other for a rigid model."""
        if self.options.model == "ict-fit":
            return self._fit(batch)
        return [self._solve(seen) for seen in batch]

    def decode(self, output: Sequence[_Solved | NoPrediction]) -> list[Prediction | NoPrediction]:
        """Take the rotation out of each solution; it is ``R_cam`` already.

        The confidence is minus the reprojection error in percent of the landmarks' height or
        width, whichever is larger: in pixels it would call every small face a sure one.
        """
        return [
            self._prediction(solved) if isinstance(solved, _Solved) else solved for solved in output
        ]

    @property
    def _checked(self) -> bool:
        """Whether landmarks are checked; the data set's own are taken as they are."""
        return self.options.check and self._detector.needs_box

    def _fit(self, batch: Sequence[_Seen]) -> list[_Solved | NoPrediction]:
        visibility = self.options.visibility
        fits = fit_faces(
            [_on_plane(seen) for seen in batch],
            ict_shape_model(),
            by_visibility=visibility == "on"
            or (visibility == "auto" and self._detector.follows_outline),
            robust=self.options.robust,
        )
        return [
            _Solved(R_cam, float(error))
            if np.isfinite(R_cam).all()
            else NoPrediction("a landmark is not a number, or all lie on one line")
            for R_cam, error in zip(fits.R_cam, fits.error, strict=True)
        ]

    def _solve(self, seen: _Seen) -> _Solved | NoPrediction:
        assert seen.camera_matrix is not None
        model = face_model(self.options.model)
        points_xy = seen.landmarks_xy[model.landmark_ids]
        solution = solve_pose(
            points_xy, model.points, seen.camera_matrix, seen.distortion, self.options.solver
        )
        if isinstance(solution, NoPrediction):
            return solution
        extent_px = max(float(np.ptp(points_xy, axis=0).max()), 1e-9)
        return _Solved(solution.R_cam, solution.reprojection_px / extent_px)

    def _prediction(self, solved: _Solved) -> Prediction | NoPrediction:
        largest = self._detector.largest_fit_error
        if self._checked and (reason := badly_fitted(solved.error, largest)):
            return NoPrediction(reason)
        return Prediction(solved.R_cam, confidence=-100.0 * solved.error)


def _detector_spec(options: PnpOptions) -> Spec:
    """The landmark detector with what `predictor` and `check` say of it."""
    spec = parse_spec(options.landmarks)
    more = {}
    if options.predictor is not None:
        more["predictor"] = str(options.predictor)
    if spec.name == "dlib" and not options.check:
        more["detect"] = "off"
    return Spec(spec.name, more | spec.options, spec.path)


def _on_plane(seen: _Seen) -> Array:
    """Landmarks on the plane z = 1 of their camera."""
    import cv2

    if seen.camera_matrix is None:
        return distant_plane(seen.landmarks_xy)
    points = seen.landmarks_xy.reshape(-1, 1, 2)
    plane = cv2.undistortPoints(points, seen.camera_matrix, seen.distortion)
    return np.asarray(plane, dtype=np.float64).reshape(-1, 2)
