"""Poses drawn into images: axes, or a cube.

Every function takes and returns RGB images, shape (height, width, 3), uint8, and draws into
a copy. Three directions of the head are shown, as Hopenet's demo does: x in red, to the right
of the image when the head faces the camera; y in green, down; and the nose in blue, which is
``-z`` because z of ``R_cam`` points away from the camera (:mod:`hpbench.rotation`).

Axes are drawn in scaled orthographic projection, so that their lengths in the image are the
sines and cosines of the angles. The cube is drawn in perspective, as if the camera looked
straight at its centre from :data:`CUBE_CAMERA_DISTANCE` edges away, so that one sees which of
its sides is near.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from hpbench.geometry.boxes import face_size_px
from hpbench.geometry.text_drawing import draw_caption
from hpbench.rotation import angles_from_rotation

__all__ = [
    "AXIS_COLOURS",
    "CUBE_CAMERA_DISTANCE",
    "DrawStyle",
    "axis_tips",
    "cube_corners",
    "draw_axes",
    "draw_box",
    "draw_cube",
    "draw_face",
    "pose_lines",
    "project",
]

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
DrawStyle = Literal["axes", "cube"]

AXIS_COLOURS: tuple[Colour, Colour, Colour] = ((235, 50, 45), (45, 200, 70), (60, 120, 255))
"""RGB of the x axis, the y axis and the nose."""

PALE = 0.35
"""Opacity of a pose that is unsure."""

CUBE_CAMERA_DISTANCE = 4.0
"""Distance of the camera from the centre of the drawn cube, in edges."""

_AXES_HEAD = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]])
_CORNERS_HEAD = np.array([[x, y, z] for z in (-0.5, 0.5) for y in (-0.5, 0.5) for x in (-0.5, 0.5)])
_FRONT = (0, 1, 3, 2)
"""Corners of the cube's side that the nose points out of, in drawing order."""
_SUBPIXEL_BITS = 4
_BLACK: Colour = (0, 0, 0)
_WHITE: Colour = (255, 255, 255)


def project(
    points_head: npt.ArrayLike,
    R_cam: npt.ArrayLike,
    center_xy: npt.ArrayLike,
    length_px: float,
    camera_distance: float | None = None,
) -> Array:
    """Project points of the head into the image.

    Parameters
    ----------
    points_head : array_like, shape (n, 3)
        In the head's own frame, whose origin lands on `center_xy`.
    R_cam : array_like, shape (3, 3)
    center_xy : array_like, shape (2,)
    length_px : float
        Length in the image of one unit that is parallel to it, at the origin's depth.
    camera_distance : float or None
        Distance of a camera that looks straight at the origin, in units of the head's frame;
        None for scaled orthographic projection.

    Returns
    -------
    ndarray, shape (n, 2)
        ``center + length * XY / (1 + Z / distance)`` with ``XYZ = R_cam @ point``.

    Examples
    --------
    >>> project([[1.0, 0.0, 0.0]], np.eye(3), [50, 40], 10.0)
    array([[60., 40.]])
    """
    points = np.asarray(points_head, dtype=np.float64) @ np.asarray(R_cam, dtype=np.float64).T
    shrink = 1.0 if camera_distance is None else 1.0 + points[:, 2:] / camera_distance
    return np.asarray(center_xy, dtype=np.float64) + length_px * points[:, :2] / shrink


def axis_tips(R_cam: npt.ArrayLike, center_xy: npt.ArrayLike, length_px: float) -> Array:
    """Ends of the x axis, the y axis and the nose in the image, shape (3, 2).

    Examples
    --------
    >>> axis_tips(np.eye(3), [50.0, 40.0], 10.0)
    array([[60., 40.],
           [50., 50.],
           [50., 40.]])
    """
    return project(_AXES_HEAD, R_cam, center_xy, length_px)


def cube_corners(R_cam: npt.ArrayLike, center_xy: npt.ArrayLike, edge_px: float) -> Array:
    """Corners of the drawn cube in the image, shape (8, 2).

    Corner ``k`` lies at x = +-1/2 by bit 0 of k, y by bit 1, z by bit 2, in edges; the first
    four are the side that the nose points out of.
    """
    return project(_CORNERS_HEAD, R_cam, center_xy, edge_px, CUBE_CAMERA_DISTANCE)


def draw_axes(
    image: Pixels, R_cam: npt.ArrayLike, center_xy: npt.ArrayLike, length_px: float
) -> Pixels:
    """Draw the head's three axes, the one that comes nearest to the camera on top."""
    import cv2

    drawn = image.copy()
    center, tips = np.asarray(center_xy), axis_tips(R_cam, center_xy, length_px)
    width = _line_width(length_px)
    casing = max(1, width // 3)
    for axis in np.argsort(-_AXES_HEAD @ np.asarray(R_cam)[2]):
        _line(drawn, center, tips[axis], AXIS_COLOURS[axis], width, casing)
    # A nose that points into the camera would be a dot as small as the line is wide.
    for radius, ink in ((1.2 * width + casing, _BLACK), (1.2 * width, AXIS_COLOURS[2])):
        reach = round(radius * 2**_SUBPIXEL_BITS)
        cv2.circle(drawn, _subpixels(tips[2]), reach, ink, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return drawn


def draw_cube(
    image: Pixels, R_cam: npt.ArrayLike, center_xy: npt.ArrayLike, edge_px: float
) -> Pixels:
    """Draw a cube that is turned like the head.

    Its edges have the colours of the axes that they run along, hidden ones are thin, and the
    side that the nose points out of is tinted blue where it is seen.
    """
    import cv2

    drawn = image.copy()
    corners = cube_corners(R_cam, center_xy, edge_px)
    width = max(1, round(0.6 * _line_width(edge_px)))
    visible = _visible_sides(np.asarray(R_cam, dtype=np.float64))
    shown: list[tuple[int, int, int]] = []
    hidden: list[tuple[int, int, int]] = []
    for axis, a, b in _cube_edges():
        sides = {(other, a >> other & 1) for other in range(3) if other != axis}
        (shown if sides & visible else hidden).append((axis, a, b))
    for axis, a, b in hidden:
        _line(drawn, corners[a], corners[b], AXIS_COLOURS[axis], max(1, width // 2), casing=0)
    if (2, 0) in visible:
        tinted = drawn.copy()
        outline = np.round(corners[list(_FRONT)] * 2**_SUBPIXEL_BITS).astype(np.int32)
        cv2.fillConvexPoly(tinted, outline, AXIS_COLOURS[2], cv2.LINE_AA, _SUBPIXEL_BITS)
        drawn = np.asarray(cv2.addWeighted(drawn, 0.65, tinted, 0.35, 0.0), dtype=np.uint8)
    for axis, a, b in shown:
        _line(drawn, corners[a], corners[b], AXIS_COLOURS[axis], width, casing=1)
    return drawn


def draw_face(
    image: Pixels,
    box_xyxy: npt.ArrayLike,
    R_cam: npt.ArrayLike | None,
    style: DrawStyle = "axes",
    note: str = "",
    pale: bool = False,
) -> Pixels:
    """Draw a face's box, its pose, and below it the note and the three angles in words.

    Without a prediction (`R_cam` None) there are only the box and the note. A `pale` pose shows
    the image through.
    """
    import cv2

    box = np.asarray(box_xyxy, dtype=np.float64)
    center, size = (box[:2] + box[2:]) / 2.0, face_size_px(box)
    drawn = draw_box(image, box)
    if R_cam is not None:
        draw, length_px = (draw_cube, 0.9 * size) if style == "cube" else (draw_axes, 0.6 * size)
        posed = draw(drawn, R_cam, center, length_px)
        if pale:
            posed = np.asarray(cv2.addWeighted(posed, PALE, drawn, 1.0 - PALE, 0.0), np.uint8)
        drawn = posed
    lines = ([note] if note else []) + (pose_lines(R_cam) if R_cam is not None else [])
    return draw_caption(drawn, lines, box)


def draw_box(image: Pixels, box_xyxy: npt.ArrayLike) -> Pixels:
    """Draw the outline of a face box."""
    box = np.asarray(box_xyxy, dtype=np.float64)
    x0, y0, x1, y1 = box
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    width = max(1, _line_width(face_size_px(box)) // 4)
    drawn = image.copy()
    for a, b in ((0, 1), (1, 2), (2, 3), (3, 0)):
        _line(drawn, corners[a], corners[b], _WHITE, width, casing=1)
    return drawn


def pose_lines(R_cam: npt.ArrayLike) -> list[str]:
    """The three angles in words, one line each.

    Examples
    --------
    >>> pose_lines(np.eye(3))
    ['yaw +0.0°', 'pitch +0.0°', 'roll +0.0°']
    """
    # Adding zero turns -0.0 into 0.0, which would be shown as "-0.0".
    yaw, pitch, roll = np.round(angles_from_rotation(R_cam), 1) + 0.0
    return [f"yaw {yaw:+.1f}°", f"pitch {pitch:+.1f}°", f"roll {roll:+.1f}°"]


def _line(
    drawn: Pixels, start_xy: Array, end_xy: Array, colour: Colour, width: int, casing: int
) -> None:
    """One anti-aliased line with a black casing of so many pixels on either side."""
    import cv2

    start, end = _subpixels(start_xy), _subpixels(end_xy)
    if casing:
        cv2.line(drawn, start, end, _BLACK, width + 2 * casing, cv2.LINE_AA, _SUBPIXEL_BITS)
    cv2.line(drawn, start, end, colour, width, cv2.LINE_AA, _SUBPIXEL_BITS)


def _subpixels(point_xy: Array) -> tuple[int, int]:
    """A point in the units of OpenCV's ``shift``."""
    x, y = np.round(point_xy * 2**_SUBPIXEL_BITS)
    return int(x), int(y)


def _line_width(length_px: float) -> int:
    """Pixels of a line's width for an axis of a length: 1 up to 50 pixels, 5 at 180."""
    return max(1, round(length_px / 36.0))


def _cube_edges() -> list[tuple[int, int, int]]:
    """Axis and the two corners of each of the twelve edges."""
    return [(axis, k, k | 1 << axis) for axis in range(3) for k in range(8) if not k & 1 << axis]


def _visible_sides(R_cam: Array) -> set[tuple[int, int]]:
    """Axis and end, 0 the negative one, of each side that faces the camera.

    The camera is then more than half an edge out along the side's normal.
    """
    camera_head = R_cam.T @ np.array([0.0, 0.0, -CUBE_CAMERA_DISTANCE])
    return {
        (axis, int(sign > 0))
        for axis in range(3)
        for sign in (-1.0, 1.0)
        if sign * camera_head[axis] > 0.5
    }
