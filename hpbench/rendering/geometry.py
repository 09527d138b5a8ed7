"""Small pieces of mesh and camera geometry that the renderer and the labels share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial.transform import Rotation

from hpbench.face import camera_matrix
from hpbench.rendering.asset_files import Floats, Ints

__all__ = ["VIEWER_FROM_CAMERA", "NeckPose", "NormalOperator", "PinholeView"]

VIEWER_FROM_CAMERA = np.diag([1.0, -1.0, -1.0])
"""Viewer's axes (x right, y up, z to the viewer) from OpenCV's (x right, y down, z away)."""


class NormalOperator:
    """Vertex normals of a mesh whose faces (F, 3) stay and whose vertices move."""

    def __init__(self, faces: Ints, vertex_count: int) -> None:
        self._corners = [np.ascontiguousarray(faces[:, k]) for k in range(3)]
        self._vertex_count = vertex_count
        self._used, rows = np.unique(faces, return_inverse=True)
        ones = np.ones(faces.size, np.float32)
        columns = np.repeat(np.arange(len(faces)), 3)
        self._gather = sparse.csr_matrix(
            (ones, (rows.ravel(), columns)), shape=(len(self._used), len(faces))
        )

    def __call__(self, vertices: Floats) -> Floats:
        """Unit normals (V, 3), the mean of the faces' weighted by area; (0, 0, 1) without faces."""
        a, b, c = (vertices.take(corner, axis=0) for corner in self._corners)
        normals = np.asarray(self._gather @ _cross(b - a, c - a), np.float32)
        length = np.sqrt(np.einsum("vk,vk->v", normals, normals))
        normals /= np.maximum(length, np.float32(1e-12))[:, None]
        normals[length <= 1e-12] = (0, 0, 1)
        unit = np.tile(np.array([0, 0, 1], np.float32), (self._vertex_count, 1))
        unit[self._used] = normals
        return unit


def _cross(a: Floats, b: Floats) -> Floats:
    """Cross products (N, 3) of rows; NumPy's own takes three times as long on many rows."""
    product = np.empty_like(a)
    for k, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
        product[:, k] = a[:, i] * b[:, j] - a[:, j] * b[:, i]
    return product


@dataclass(frozen=True)
class NeckPose:
    """How skull and torso stand: rotations (x, y, z, w) in viewer's axes and two joints.

    The quaternions lie in one half: ``torso @ head >= 0``. ``neck`` and ``skull`` are rest
    positions (3,) of the neck's base and the skull's joint; ``shift`` (3,) is where the neck's
    base stands before the camera.
    """

    torso: NDArray[np.float64]
    head: NDArray[np.float64]
    neck: NDArray[np.float64]
    skull: NDArray[np.float64]
    shift: NDArray[np.float64]

    def apply(self, rest: Floats, share: Floats) -> NDArray[np.float64]:
        """Posed positions (V, 3) of rest positions that follow the skull by ``share`` (V,)."""
        column = np.asarray(share, np.float64)[:, None]
        pivot = self.neck * (1 - column) + self.skull * column
        turn = Rotation.from_quat(self._blend(column))
        middle = Rotation.from_quat(self._blend(np.array([[0.5]]))[0])
        return turn.apply(rest - pivot) + middle.apply(pivot - self.neck) + self.shift

    def uniforms(self) -> dict[str, NDArray[np.float64]]:
        """What ``pose.glsl`` calls these."""
        return {
            "q_torso": self.torso, "q_skull": self.head, "neck": self.neck, "skull": self.skull,
            "shift": self.shift,
        }  # fmt: skip

    def _blend(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Quaternions (V, 4) between torso and head, linear and normalised, by ``share`` (V, 1)."""
        mixed = self.torso * (1 - share) + self.head * share
        unit: NDArray[np.float64] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
        return unit


@dataclass(frozen=True)
class PinholeView:
    """A pinhole camera that makes a square image.

    Attributes
    ----------
    size : int
        Image width and height in pixels.
    fov_deg : float
        Angle that the image's height shows when nothing is shifted.
    shift : tuple of float
        Principal point away from the centre, in half images, to the right and upwards.
    near, far : float
        Clipping distances in scene units.
    """

    size: int
    fov_deg: float
    shift: tuple[float, float]
    near: float
    far: float

    @property
    def focal_px(self) -> float:
        """Focal length in pixels, the same across and down."""
        return float(self.size / 2 / np.tan(np.radians(self.fov_deg) / 2))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Camera matrix (3, 3) for OpenCV axes; the first pixel's centre is (0, 0)."""
        centre, half, focal = (self.size - 1) / 2, self.size / 2, self.focal_px
        x, y = centre + self.shift[0] * half, centre - self.shift[1] * half
        return camera_matrix(focal, focal, x, y)

    @property
    def projection(self) -> NDArray[np.float64]:
        """OpenGL projection (4, 4), to be applied to column vectors in viewer's axes."""
        focal = self.focal_px / (self.size / 2)
        near, far = self.near, self.far
        return np.array(
            [
                [focal, 0.0, -self.shift[0], 0.0],
                [0.0, focal, -self.shift[1], 0.0],
                [0.0, 0.0, -(far + near) / (far - near), -2 * far * near / (far - near)],
                [0.0, 0.0, -1.0, 0.0],
            ]
        )

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels (N, 2) of points (N, 3) in viewer's axes."""
        in_camera = points @ VIEWER_FROM_CAMERA
        pixels = in_camera @ self.matrix.T
        return pixels[:, :2] / pixels[:, 2:]

    def distance_of_depth(self, depth: Floats) -> Floats:
        """Distances before the camera of OpenGL depth values 0..1."""
        near, far = self.near, self.far
        return 2 * far * near / (far + near - (2 * depth - 1) * (far - near))
