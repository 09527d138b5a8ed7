"""Pose and shape of faces, fitted together to where their landmarks are seen.

A rigid face is somebody else's: what differs from it in the face that is seen, a PnP explains by a
wrong rotation. Here the face is a mean and modes of shape (principal components of identity,
expressions), and the most probable shape is found with the pose: the sum of squared distances in
units of the landmarks' noise, plus the sum of squared modes in standard deviations (a ridge), is
brought down by Gauss-Newton steps in both at once (Blanz and Vetter, "Face recognition based on
fitting a 3D morphable model", PAMI 2003, for points alone). All faces of a batch take their steps
together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hpbench.geometry.pnp import on_one_line
from hpbench.rotation import nearest_rotation, rotation_from_rotvec

__all__ = ["LANDMARK_NOISE", "FaceFits", "Robust", "ShapeModel", "distant_plane", "fit_faces"]

Array = npt.NDArray[np.float64]
Robust = Literal["huber", "geman-mcclure", "none"]

LANDMARK_NOISE = 0.03
"""Standard deviation of a landmark's place, as a share of the face's size."""

_ROUNDS = 10
_STEP_RAD = 1e-4
"""A batch whose rotations move by less is done."""
_DISTANCE = 100.0
"""Sizes of the face between a distant camera and the face."""
_VISIBLE_COSINES = (0.0, 0.3)
"""A point is hidden below the first and in full sight above the second: cosine of the angle
between its normal and the direction to the camera."""
_HIDDEN_WEIGHT = 0.05
_HUBER = 2.0
_GEMAN_MCCLURE = 4.0
"""Residuals, in units of the noise, beyond which a point counts less."""


@dataclass(frozen=True, slots=True)
class ShapeModel:
    """A face whose shape moves.

    Attributes
    ----------
    points : ndarray, shape (m, 3)
        Mean face in camera axes: x right, y down, z away from the camera for a frontal head.
    modes : ndarray, shape (k, m, 3)
        What one standard deviation of each mode adds to it.
    weights : ndarray, shape (m,)
        How much each point counts; 1 has :data:`LANDMARK_NOISE`, 0.25 twice that.
    normals : ndarray, shape (m, 3)
        Outward, of length 1, on the mean face.
    """

    points: Array
    modes: Array
    weights: Array
    normals: Array


@dataclass(frozen=True, slots=True)
class FaceFits:
    """Fits of n faces, NaN where a landmark is not a number or all fall together.

    Attributes
    ----------
    R_cam : ndarray, shape (n, 3, 3)
    t_cam : ndarray, shape (n, 3)
        Where the model's origin lies, in units of the model.
    shape : ndarray, shape (n, k)
        Standard deviations along the modes.
    error : ndarray, shape (n,)
        Root mean square distance between the given and the fitted points, every point counted
        alike, as a share of the face's larger extent.
    """

    R_cam: Array
    t_cam: Array
    shape: Array
    error: Array


def distant_plane(points_xy: npt.ArrayLike) -> Array:
    """Points (..., m, 2) in pixels on the plane z = 1 of a camera far from the face.

    For images of unknown cameras: perspective within the face vanishes (scaled orthography), and
    a face at the edge of the image is seen as if the camera looked straight at it.
    """
    points = np.asarray(points_xy, dtype=np.float64)
    extent = np.maximum(np.ptp(points, axis=-2, keepdims=True).max(axis=-1, keepdims=True), 1e-9)
    return (points - points.mean(axis=-2, keepdims=True)) / (_DISTANCE * extent)


def fit_faces(
    plane_xy: npt.ArrayLike,
    model: ShapeModel,
    *,
    by_visibility: bool = False,
    robust: Robust = "huber",
) -> FaceFits:
    """Fit pose and shape of many faces.

    Parameters
    ----------
    plane_xy : array_like, shape (n, m, 2)
        The model's points as seen, on the plane z = 1 of the camera: undistorted, minus the
        principal point, over the focal length; or :func:`distant_plane`.
    model : ShapeModel
    by_visibility : bool
        Points whose normal turns away from the camera under the current pose count a twentieth,
        for landmarks that follow the visible outline instead of the head.
    robust : {'huber', 'geman-mcclure', 'none'}
        How much a point far from its place counts: with Huber's weights its pull no longer grows
        beyond 2 standard deviations of the noise, with Geman and McClure's it fades beyond 4.

    Returns
    -------
    FaceFits
    """
    seen = np.asarray(plane_xy, dtype=np.float64)
    count, modes = len(seen), len(model.modes)
    R_cam, t_cam = np.full((count, 3, 3), np.nan), np.full((count, 3), np.nan)
    shape, error = np.full((count, modes), np.nan), np.full(count, np.nan)
    usable = np.asarray(np.isfinite(seen).all(axis=(1, 2)))
    usable[usable] = ~on_one_line(seen[usable])
    if usable.any():
        fit = _Fit(seen[usable], model, by_visibility, robust)
        fit.run()
        R_cam[usable], t_cam[usable], shape[usable] = fit.R_cam, fit.t_cam, fit.shape
        distances = np.square(fit.residuals()[0]).sum(axis=2).mean(axis=1)
        error[usable] = np.sqrt(distances) / np.ptp(fit.seen, axis=1).max(axis=1)
    return FaceFits(R_cam, t_cam, shape, error)


class _Fit:
    """State of a batch between the rounds."""

    def __init__(self, seen: Array, model: ShapeModel, by_visibility: bool, robust: Robust) -> None:
        self.seen, self.model, self.robust = seen, model, robust
        self.by_visibility = by_visibility
        self.noise = LANDMARK_NOISE * np.sqrt(np.ptp(seen, axis=1).prod(axis=1))
        self.R_cam, self.t_cam = _scaled_orthography(seen, model)
        self.shape = np.zeros((len(seen), len(model.modes)))
        self.nearest = 1.5 * float(np.linalg.norm(model.points, axis=1).max())
        self.moving = np.ones(len(seen), dtype=bool)
        self.by_point = np.ascontiguousarray(model.modes.transpose(1, 2, 0))  # (m, 3, k)

    def run(self) -> None:
        """Take Gauss-Newton steps until the rotations stand still.

        A face stands still on its own: what it gets does not depend on its batch.
        """
        for _ in range(_ROUNDS):
            if not self.moving.any():
                break
            self.step()

    def residuals(self) -> tuple[Array, Array, Array]:
        """Seen minus projected (n, m, 2), the points turned (n, m, 3), and before the camera."""
        points = self.model.points + np.tensordot(self.shape, self.model.modes, axes=1)
        turned = points @ self.R_cam.transpose(0, 2, 1)
        placed = turned + self.t_cam[:, None]
        return self.seen - placed[..., :2] / placed[..., 2:], turned, placed

    def step(self) -> None:
        """One step in pose and shape of the faces that still move."""
        residuals, turned, placed = self.residuals()
        projection = np.zeros((*residuals.shape, 3))
        projection[..., 0, 0] = projection[..., 1, 1] = 1.0 / placed[..., 2]
        projection[..., 2] = -placed[..., :2] / np.square(placed[..., 2:])
        jacobian = np.concatenate(
            [
                np.cross(turned[:, :, None], projection),
                projection,
                (projection @ self.R_cam[:, None]) @ self.by_point,
            ],
            axis=3,
        )
        scale = np.sqrt(self._weights(residuals, placed)) / self.noise[:, None]
        jacobian = (jacobian * scale[..., None, None]).reshape(
            len(residuals), -1, jacobian.shape[3]
        )
        pulled = (residuals * scale[..., None]).reshape(len(residuals), -1, 1)
        normal = jacobian.transpose(0, 2, 1) @ jacobian
        gradient = (jacobian.transpose(0, 2, 1) @ pulled)[..., 0]
        gradient[:, 6:] -= self.shape
        diagonal = np.einsum("nii->ni", normal)
        diagonal[:, :6] += 1e-9 * diagonal[:, :6].max(axis=1, keepdims=True)
        diagonal[:, 6:] += 1.0  # the ridge: modes count in standard deviations
        change = np.linalg.solve(normal, gradient[..., None])[..., 0]
        change[~self.moving] = 0.0
        self.R_cam = rotation_from_rotvec(change[:, :3]) @ self.R_cam
        self.t_cam = self.t_cam + change[:, 3:6]
        self.t_cam[:, 2] = np.maximum(self.t_cam[:, 2], self.nearest)
        self.shape = self.shape + change[:, 6:]
        self.moving &= np.linalg.norm(change[:, :3], axis=1) >= _STEP_RAD

    def _weights(self, residuals: Array, placed: Array) -> Array:
        """How much each point of each face counts in this round (n, m)."""
        weights = np.broadcast_to(self.model.weights, residuals.shape[:2])
        if self.by_visibility:
            weights = weights * self._visibility(placed)
        if self.robust == "none":
            return weights
        off = np.linalg.norm(residuals, axis=2) / self.noise[:, None]
        if self.robust == "huber":
            return weights * np.minimum(1.0, _HUBER / np.maximum(off, 1e-9))
        return weights / np.square(1.0 + np.square(off / _GEMAN_MCCLURE))

    def _visibility(self, placed: Array) -> Array:
        normals = self.model.normals @ self.R_cam.transpose(0, 2, 1)
        cosines = -(normals * placed).sum(axis=2) / np.linalg.norm(placed, axis=2)
        hidden, plain = _VISIBLE_COSINES
        share = np.clip((cosines - hidden) / (plain - hidden), 0.0, 1.0)
        return _HIDDEN_WEIGHT + (1.0 - _HIDDEN_WEIGHT) * share


def _scaled_orthography(seen: Array, model: ShapeModel) -> tuple[Array, Array]:
    """Start: every point of the mean face as deep as its weighted mean point."""
    share = model.weights / model.weights.sum()
    middle, seen_middle = share @ model.points, share @ seen
    centred = model.points - middle
    weighted = share[:, None] * centred
    affine = np.linalg.solve(weighted.T @ centred, weighted.T @ (seen - seen_middle[:, None]))
    rows = affine.transpose(0, 2, 1)
    scale = np.linalg.svd(rows, compute_uv=False).mean(axis=1)
    third = np.cross(rows[:, 0], rows[:, 1]) / scale[:, None]
    R_cam = nearest_rotation(np.concatenate([rows, third[:, None]], axis=1))
    depth = 1.0 / scale
    t_cam = np.column_stack([seen_middle * depth[:, None], depth]) - R_cam @ middle
    return R_cam, t_cam
