"""The same face mirrored, rotated in the image plane, or with a moved box.

Image, box, camera and landmarks change together, exact to the pixel centre: whatever is seen at a
coordinate is seen at its image under the map afterwards (:mod:`hpbench.geometry.boxes` has the
convention). The pose changes as :func:`hpbench.rotation.mirror_rotation` and
:func:`hpbench.rotation.rotate_in_plane` say.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hpbench.face import Camera, Face

__all__ = ["jittered", "mirrored", "rotated"]

_MIRRORED_LANDMARKS = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *(27, 28, 29, 30, 35, 34, 33, 32, 31),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
    *(64, 63, 62, 61, 60, 67, 66, 65),
)
"""Which of the 68 iBUG landmarks becomes each landmark of the mirrored face: left is right."""


def mirrored(face: Face) -> Face:
    """The face in the mirrored image, where column x becomes ``width - 1 - x``."""
    last = face.image.shape[1] - 1
    x0, y0, x1, y1 = face.box_xyxy
    camera, landmarks = face.camera, face.landmarks_xy
    if landmarks is not None:
        landmarks = landmarks[list(_MIRRORED_LANDMARKS)] * (-1.0, 1.0) + (last, 0.0)
    if camera is not None:
        matrix = camera.matrix * [[1.0, -1.0, -1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
        matrix[0, 2] += last
        # p2 alone belongs to a term that is even in x
        camera = Camera(matrix, camera.distortion * (1.0, 1.0, 1.0, -1.0, 1.0))
    return replace(
        face,
        image=np.ascontiguousarray(face.image[:, ::-1]),
        box_xyxy=np.array([last - x1, y0, last - x0, y1]),
        camera=camera,
        landmarks_xy=landmarks,
    )


def rotated(face: Face, angle_deg: float) -> Face:
    """The face in the image that a camera rolled about its optical axis would take.

    The head turns clockwise, as seen, and the image about the principal point, or about its middle
    where the face has no camera. Corners that come in are black. The box keeps its size and moves
    with its middle.
    """
    from PIL import Image

    width, height = face.size_wh
    matrix = np.array([[1.0, 0.0, (width - 1) / 2.0], [0.0, 1.0, (height - 1) / 2.0], [0, 0, 1.0]])
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    camera = face.camera
    if camera is not None:
        matrix = camera.matrix
        k1, k2, p1, p2, k3 = camera.distortion  # (p2, p1) is a vector in the image plane
        tangential = (sine * p2 + cosine * p1, cosine * p2 - sine * p1)
        camera = Camera(matrix, np.array([k1, k2, *tangential, k3]))
    roll = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    forward = matrix @ roll @ np.linalg.inv(matrix)

    def moved(points_xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return points_xy @ forward[:2, :2].T + forward[:2, 2]

    half_pixel = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    # Pillow counts from the corner of the first pixel, and asks where an output pixel comes from
    backward = half_pixel @ np.linalg.inv(forward) @ np.linalg.inv(half_pixel)
    image = Image.fromarray(face.image).transform(
        (width, height), Image.Transform.AFFINE, tuple(backward[:2].ravel()),
        Image.Resampling.BILINEAR,
    )  # fmt: skip
    corners = face.box_xyxy.reshape(2, 2)
    shift = moved(corners.mean(axis=0)) - corners.mean(axis=0)
    landmarks = face.landmarks_xy
    return replace(
        face,
        image=np.asarray(image),
        box_xyxy=(corners + shift).ravel(),
        camera=camera,
        landmarks_xy=None if landmarks is None else moved(landmarks),
    )


def jittered(face: Face, shift: npt.ArrayLike, growth: float) -> Face:
    """The face with its box moved and scaled, as another detector might have set it.

    `shift` (2,) moves it to the right and down, in shares of its width and height; `growth` is the
    relative change of both sides about the moved middle: 0.1 makes them 10 % longer.
    """
    low, high = face.box_xyxy.reshape(2, 2)
    sides = high - low
    moved, margin = np.asarray(shift) * sides, growth / 2.0 * sides
    return replace(face, box_xyxy=np.concatenate([low + moved - margin, high + moved + margin]))
