"""Perspective-n-Point for heads: which side of the camera is checked, not hoped for.

Projection does not know the sign of depth: ``u = f X / Z`` stays the same when a pose is turned
behind the camera and the model reflected. Faces are shallow, so a solver that starts badly can
settle on a head behind the camera with a good reprojection error (opencv_contrib#744,
opencv#8813, opencv#25094).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from hpbench.errors import UsageError
from hpbench.face import Face
from hpbench.method import NoPrediction
from hpbench.rotation import nearest_rotation
from hpbench.spec import suggest

__all__ = [
    "NO_CAMERA",
    "Focal",
    "PnpSolution",
    "SolverName",
    "camera_of",
    "on_one_line",
    "solve_pose",
]

Array = npt.NDArray[np.float64]
NO_CAMERA = "the data set has no camera calibration; give a number as focal= instead"


def _valid_focal(value: object) -> object:
    if value == "camera":
        return value
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if not 0.0 < number < float("inf"):
        raise ValueError("must be a number above 0 (times the longer image side) or 'camera'")
    return number


Focal = Annotated[
    float | Literal["camera"],
    BeforeValidator(_valid_focal),
    Field(
        description="Focal length as a multiple of the longer image side, or 'camera' for the "
        "data set's own calibration"
    ),
]
"""An option that says which camera is solved with; see :func:`camera_of`."""

SolverName = Literal["sqpnp", "sop", "epnp", "iterative"]
_MIN_POINTS = {"sqpnp": 4, "sop": 4, "epnp": 4, "iterative": 6}


@dataclass(frozen=True, slots=True)
class PnpSolution:
    """A pose that explains where the points of a model are seen.

    Attributes
    ----------
    R_cam : ndarray, shape (3, 3)
        ``X_cam = R_cam @ X_model + t_cam``.
    t_cam : ndarray, shape (3,)
        Where the model's own origin lies, in units of the model.
    depth : float
        How far the nearest point of the model is in front of the camera plane, in units of the
        model; negative behind the camera. Unlike ``t_cam[2]`` it does not depend on where the
        model has its origin.
    reprojection_px : float
        Root mean square distance between the given and the projected points, in pixels.
    start : {'sqpnp', 'sop', 'epnp', 'dlt'}
        Where the pose comes from: SQPnP, scaled orthography, EPnP, or OpenCV's own linear
        start of the iterative solver.
    """

    R_cam: Array
    t_cam: Array
    depth: float
    reprojection_px: float
    start: str

    @property
    def in_front(self) -> bool:
        """Whether the whole face is in front of the camera: all of it was seen, so it must be."""
        return self.depth > 0.0

    @property
    def faces_camera(self) -> bool:
        """Whether the face, and not the back of the head, is turned to the camera."""
        return bool(self.R_cam[2, 2] > 0.0)


@dataclass(frozen=True, slots=True)
class _Problem:
    """Model (n, 3), image points (n, 2), camera matrix (3, 3) and distortion (k,)."""

    model: Array
    points: Array
    camera: Array
    distortion: Array


def on_one_line(points_xy: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether points, shape (..., n, 2), all lie on one line, so that they show no pose."""
    points = np.asarray(points_xy, dtype=np.float64)
    centred = points - points.mean(axis=-2, keepdims=True)
    spread = np.swapaxes(centred, -1, -2) @ centred
    # of the two singular values of the points: their product, and the sum of their squares
    product = np.linalg.det(spread)
    return np.asarray(product <= 1e-12 * np.trace(spread, axis1=-2, axis2=-1) ** 2)


def solve_pose(
    points_xy: npt.ArrayLike,
    model_points: npt.ArrayLike,
    camera_matrix: npt.ArrayLike,
    distortion: npt.ArrayLike | None = None,
    solver: SolverName = "sqpnp",
) -> PnpSolution | NoPrediction:
    """Pose of a rigid model from where its points are seen in an image.

    Parameters
    ----------
    points_xy : array_like, shape (n, 2)
        Pixels of the whole image, not of a crop.
    model_points : array_like, shape (n, 3)
        The same points of the model, in camera axes: x right, y down, z away from the camera
        for a frontal head. The origin and the units are free.
    camera_matrix : array_like, shape (3, 3)
        ``[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]`` in pixels.
    distortion : array_like, shape (4,), (5,) or (8,), or None
        Coefficients in OpenCV's order.
    solver : {'sqpnp', 'sop', 'epnp', 'iterative'}
        ``sqpnp``: SQPnP (Terzakis and Lourakis, ECCV 2020) refined by Levenberg-Marquardt. If
        the head is then behind the camera or turned away, the refinement starts again from
        scaled orthography, and of the poses in front of the camera that with the lower
        reprojection error is kept.
        ``sop``: scaled orthography (weak perspective) alone.
        ``epnp``: EPnP (Lepetit et al., IJCV 2009) alone.
        ``iterative``: ``cv2.solvePnP`` with its default flag and no starting pose, on the
        model as it is: what most head-pose scripts do. Its poses are not checked, so heads
        behind the camera are among them. They depend on where the model has its origin.

    Returns
    -------
    PnpSolution or NoPrediction
        No prediction if a point is not finite, if all lie on one line, if there is no solution or,
        except for ``iterative``, if all solutions are behind the camera.

    Raises
    ------
    UsageError
        If the solver is unknown, shapes do not fit, or there are fewer points than the solver
        needs (4; ``iterative`` 6).

    Examples
    --------
    >>> import numpy as np
    >>> model = np.array([[0, 0, 0], [1, 0, 0.5], [-1, 0, 0.5], [0, 1, 0.2], [0, -1, 0.4]])
    >>> camera = np.array([[500.0, 0, 320], [0, 500.0, 240], [0, 0, 1]])
    >>> seen = (model + [0, 0, 10.0]) @ camera.T
    >>> solution = solve_pose(seen[:, :2] / seen[:, 2:], model, camera)
    >>> bool(np.allclose(solution.R_cam, np.eye(3), atol=1e-6)), round(solution.depth, 2)
    (True, 10.0)
    """
    problem = _problem(points_xy, model_points, camera_matrix, distortion, solver)
    if not np.isfinite(problem.points).all():
        return NoPrediction("a landmark is not a number")
    if on_one_line(problem.points):
        return NoPrediction("landmarks lie on one line")
    if solver == "iterative":
        return _opencv(problem, "iterative") or NoPrediction("no solution was found")

    # Centred, because t_z then is the depth of the face itself and the refinement is better
    # conditioned.
    origin = problem.model.mean(axis=0)
    centred = replace(problem, model=problem.model - origin)
    solution = _sound(centred) if solver == "sqpnp" else _single(centred, solver)
    if isinstance(solution, NoPrediction):
        return solution
    return replace(solution, t_cam=solution.t_cam - solution.R_cam @ origin)


def _problem(
    points_xy: npt.ArrayLike,
    model_points: npt.ArrayLike,
    camera_matrix: npt.ArrayLike,
    distortion: npt.ArrayLike | None,
    solver: str,
) -> _Problem:
    """Check names and shapes of what the caller gave."""
    if solver not in get_args(SolverName):
        raise UsageError(f"no solver '{solver}'; {suggest(solver, get_args(SolverName))}")
    points = np.array(points_xy, dtype=np.float64)
    model = np.array(model_points, dtype=np.float64)
    camera = np.array(camera_matrix, dtype=np.float64)
    if points.ndim != 2 or model.shape != (len(points), 3) or points.shape[1] != 2:
        raise UsageError(
            f"points {points.shape} and model {model.shape} must have the shapes (n, 2), (n, 3)"
        )
    if camera.shape != (3, 3):
        raise UsageError(f"a camera matrix has the shape (3, 3), not {camera.shape}")
    if len(points) < _MIN_POINTS[solver]:
        raise UsageError(
            f"solver '{solver}' needs {_MIN_POINTS[solver]} points or more, got {len(points)}"
        )
    coefficients = np.zeros(5) if distortion is None else np.array(distortion, dtype=np.float64)
    return _Problem(model, points, camera, coefficients.ravel())


def _sound(problem: _Problem) -> PnpSolution | NoPrediction:
    """SQPnP with refinement; a second start where the first ends behind or turned away."""
    first = _opencv(problem, "sqpnp")
    if first is not None and first.in_front and first.faces_camera:
        return first
    guess = _scaled_orthography(problem)
    second = _opencv(problem, "iterative", guess) if guess is not None else None
    found = [solution for solution in (first, second) if solution is not None]
    if not found:
        return NoPrediction("OpenCV found no solution from either start")
    possible = [solution for solution in found if solution.in_front]
    if not possible:
        return NoPrediction("behind the camera after both starts")
    return min(possible, key=lambda solution: solution.reprojection_px)


def _single(problem: _Problem, solver: str) -> PnpSolution | NoPrediction:
    """One solver without a second start; only the side of the camera is checked."""
    solution = _scaled_orthography(problem) if solver == "sop" else _opencv(problem, solver)
    if solution is None:
        return NoPrediction("no solution was found")
    return solution if solution.in_front else NoPrediction("behind the camera")


def _opencv(problem: _Problem, solver: str, guess: PnpSolution | None = None) -> PnpSolution | None:
    """Run one of OpenCV's solvers; SQPnP is refined by Levenberg-Marquardt."""
    import cv2

    flag = getattr(cv2, f"SOLVEPNP_{solver.upper()}")
    rvec: Any = None
    tvec: Any = None
    if guess is not None:
        rvec = cv2.Rodrigues(guess.R_cam)[0]
        tvec = guess.t_cam.reshape(3, 1).copy()  # OpenCV writes its result into the guess
    given = (problem.model, problem.points, problem.camera, problem.distortion)
    try:
        solved, rvec, tvec = cv2.solvePnP(
            *given, rvec, tvec, useExtrinsicGuess=guess is not None, flags=flag
        )
        if solved and solver == "sqpnp":
            rvec, tvec = cv2.solvePnPRefineLM(*given, rvec, tvec)
    except cv2.error:  # degenerate points; the face becomes a counted "no prediction"
        return None
    if not solved or not (np.isfinite(rvec).all() and np.isfinite(tvec).all()):
        return None
    R_cam = np.asarray(cv2.Rodrigues(rvec)[0], dtype=np.float64)
    start = "sop" if guess is not None else {"iterative": "dlt"}.get(solver, solver)
    return _solution(problem, R_cam, np.asarray(tvec, dtype=np.float64).ravel(), start)


def _scaled_orthography(problem: _Problem) -> PnpSolution | None:
    """Weak perspective: every point as deep as the mean point.

    The least-squares 2x3 map from the centred model to the undistorted image plane is
    brought to the nearest pair of orthonormal rows times a scale; the third row is their cross
    product (the first step of POSIT, DeMenthon and Davis, IJCV 1995, with an SVD in place of
    its normalisation). Depth is one over the scale, hence never negative.
    """
    import cv2

    plane = cv2.undistortPoints(
        problem.points.reshape(-1, 1, 2), problem.camera, problem.distortion
    ).reshape(-1, 2)
    middle = plane.mean(axis=0)
    affine = np.linalg.lstsq(problem.model, plane - middle, rcond=None)[0].T
    stretch = np.linalg.svd(affine, compute_uv=False)
    if not np.isfinite(stretch).all() or stretch[1] <= 1e-6 * stretch[0]:
        return None
    scale = float(stretch.mean())
    third = np.cross(affine[0], affine[1]) / scale
    R_cam = nearest_rotation(np.vstack([affine, third]))
    return _solution(problem, R_cam, np.array([*middle, 1.0]) / scale, "sop")


def _solution(problem: _Problem, R_cam: Array, t_cam: Array, start: str) -> PnpSolution:
    """Add depth and reprojection error to a pose."""
    import cv2

    projected, _ = cv2.projectPoints(
        problem.model, cv2.Rodrigues(R_cam)[0], t_cam, problem.camera, problem.distortion
    )
    distance = projected.reshape(-1, 2) - problem.points
    return PnpSolution(
        R_cam=R_cam,
        t_cam=t_cam,
        depth=float((problem.model @ R_cam[2] + t_cam[2]).min()),
        reprojection_px=float(np.sqrt((distance**2).sum(axis=1).mean())),
        start=start,
    )


def camera_of(
    face: Face, focal: float | Literal["camera"]
) -> tuple[Array, Array | None] | NoPrediction:
    """Camera matrix, shape (3, 3), and distortion of a face's image.

    `focal` is the focal length in longer sides of the image, with the principal point in its
    middle and no distortion; or stands for the data set's calibration.
    """
    if focal == "camera":
        if face.camera is None:
            return NoPrediction(NO_CAMERA)
        return face.camera.matrix, face.camera.distortion
    width, height = face.size_wh
    length_px = focal * max(width, height)
    middle_x, middle_y = (width - 1) / 2.0, (height - 1) / 2.0  # the first pixel is centred on 0
    matrix = [[length_px, 0.0, middle_x], [0.0, length_px, middle_y], [0.0, 0.0, 1.0]]
    return np.array(matrix), None
