"""Poses drawn into images: axes, a cube, and the ground truth beside a prediction.

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

from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from hpbench.geometry.boxes import face_size_px
from hpbench.rotation import angles_from_rotation, geodesic_deg

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

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
    "draw_ground_truth_and_prediction",
    "draw_pose",
    "draw_text",
    "enlarge_small",
    "pose_lines",
    "project",
    "side_by_side",
]

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
DrawStyle = Literal["axes", "cube"]

AXIS_COLOURS: tuple[Colour, Colour, Colour] = ((235, 50, 45), (45, 200, 70), (60, 120, 255))
"""RGB of the x axis, the y axis and the nose."""

CUBE_CAMERA_DISTANCE = 4.0
"""Distance of the camera from the centre of the drawn cube, in edges."""

LEGIBLE_SIDE_PX = 240
"""Images with a shorter side below this are enlarged before text is put into them."""

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
        Pixels.
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
    """Ends of the three drawn axes in the image.

    Returns
    -------
    ndarray, shape (3, 2)
        Pixels of the x axis, the y axis and the nose.

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
    drawn = image.copy()
    _put_axes(drawn, np.asarray(R_cam), center_xy, length_px, _line_width(length_px), AXIS_COLOURS)
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
        sides = [_side_of(a, other) for other in range(3) if other != axis]
        (shown if any(side in visible for side in sides) else hidden).append((axis, a, b))
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


def draw_pose(
    image: Pixels,
    R_cam: npt.ArrayLike,
    center_xy: npt.ArrayLike,
    length_px: float,
    style: DrawStyle = "axes",
) -> Pixels:
    """Draw one pose into a copy of an image.

    Parameters
    ----------
    image : ndarray, shape (height, width, 3), uint8
        RGB.
    R_cam : array_like, shape (3, 3)
    center_xy : array_like, shape (2,)
        Where the origin of the axes, or the middle of the cube, lies; in pixels.
    length_px : float
        Length of an axis, or of an edge of the cube.
    style : {'axes', 'cube'}

    Returns
    -------
    ndarray, shape (height, width, 3), uint8
    """
    draw = draw_cube if style == "cube" else draw_axes
    return draw(image, R_cam, center_xy, length_px)


def draw_face(
    image: Pixels,
    box_xyxy: npt.ArrayLike,
    R_cam: npt.ArrayLike | None,
    style: DrawStyle = "axes",
    note: str = "",
) -> Pixels:
    """Draw a face's box, its pose, and the three angles in words.

    Parameters
    ----------
    image : ndarray, shape (height, width, 3), uint8
    box_xyxy : array_like, shape (4,)
    R_cam : array_like, shape (3, 3), or None
        None: no prediction, only the box and the note.
    style : {'axes', 'cube'}
    note : str
        A first line above the angles.

    Returns
    -------
    ndarray, shape (height, width, 3), uint8
    """
    box = np.asarray(box_xyxy, dtype=np.float64)
    center, size = (box[:2] + box[2:]) / 2.0, face_size_px(box)
    drawn = draw_box(image, box)
    if R_cam is not None:
        drawn = draw_pose(drawn, R_cam, center, size * (0.9 if style == "cube" else 0.6), style)
    lines = ([note] if note else []) + (pose_lines(R_cam) if R_cam is not None else [])
    return _draw_caption(drawn, lines, box)


def draw_ground_truth_and_prediction(
    image: Pixels,
    box_xyxy: npt.ArrayLike,
    R_gt: npt.ArrayLike,
    R_pred: npt.ArrayLike | None,
    caption: bool = True,
) -> Pixels:
    """Draw the true axes, broad and pale, and over them the prediction's, narrow and strong.

    Parameters
    ----------
    image : ndarray, shape (height, width, 3), uint8
    box_xyxy : array_like, shape (4,)
    R_gt : array_like, shape (3, 3)
    R_pred : array_like, shape (3, 3), or None
        None: the method gave no prediction, which the caption says.
    caption : bool
        Write the angle between the two rotations under the face.

    Returns
    -------
    ndarray, shape (height, width, 3), uint8
    """
    box = np.asarray(box_xyxy, dtype=np.float64)
    center, length = (box[:2] + box[2:]) / 2.0, 0.6 * face_size_px(box)
    width = _line_width(length)
    pale = [_mix(colour, _WHITE, 0.65) for colour in AXIS_COLOURS]
    drawn = image.copy()
    _put_axes(drawn, np.asarray(R_gt), center, length, 3 * width, (pale[0], pale[1], pale[2]))
    if R_pred is not None:
        _put_axes(drawn, np.asarray(R_pred), center, length, width, AXIS_COLOURS)
    if not caption:
        return drawn
    text = "no prediction" if R_pred is None else f"off by {float(geodesic_deg(R_gt, R_pred)):.1f}°"
    return _draw_caption(drawn, [text], box)


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


def draw_text(
    image: Pixels, lines: list[str], top_left_xy: tuple[float, float], size_px: int
) -> Pixels:
    """Write lines on a dark, half-transparent plate that is moved to lie inside the image.

    Parameters
    ----------
    image : ndarray, shape (height, width, 3), uint8
    lines : list of str
    top_left_xy : tuple of float
        Where the plate's upper left corner is wanted.
    size_px : int
        Height of a capital letter and its descender; reduced where the plate would be larger
        than the image.

    Returns
    -------
    ndarray, shape (height, width, 3), uint8
    """
    height, width = image.shape[:2]
    plate = _plate(tuple(lines), size_px)
    while size_px > 6 and (plate.shape[0] > height or plate.shape[1] > width):
        size_px -= 1
        plate = _plate(tuple(lines), size_px)
    plate = plate[:height, :width]
    left = round(min(max(top_left_xy[0], 0.0), width - plate.shape[1]))
    top = round(min(max(top_left_xy[1], 0.0), height - plate.shape[0]))
    drawn = image.copy()
    under = drawn[top : top + plate.shape[0], left : left + plate.shape[1]]
    ink = plate[..., None] / 255.0
    # The plate lets 45 % of the image through, its letters nothing.
    under[...] = np.round(under * 0.45 * (1.0 - ink) + 255.0 * ink)
    return drawn


def enlarge_small(image: Pixels) -> tuple[Pixels, int]:
    """Enlarge a small image by a whole factor, so that text in it can be read.

    Returns
    -------
    image : ndarray, shape (height * factor, width * factor, 3), uint8
        The same image where its shorter side has :data:`LEGIBLE_SIDE_PX` pixels already.
    factor : int
        Pixel x of the given image lies at ``(x + 0.5) * factor - 0.5`` of the enlarged one.
    """
    import cv2

    height, width = image.shape[:2]
    factor = -(-LEGIBLE_SIDE_PX // min(height, width))
    if factor == 1:
        return image, 1
    size_wh = (width * factor, height * factor)
    enlarged = cv2.resize(image, size_wh, interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged, dtype=np.uint8), factor


def side_by_side(panels: list[Pixels], titles: list[str]) -> Pixels:
    """Put images of the same size beside each other, each with its title on top.

    Parameters
    ----------
    panels : list of ndarray, shape (height, width, 3), uint8
    titles : list of str
        One per panel; an empty one is not drawn.

    Returns
    -------
    ndarray, shape (height, n * width, 3), uint8
    """
    size_px = round(max(12.0, min(panels[0].shape[:2]) / 24.0))
    titled = [
        draw_text(panel, [title], (0.0, 0.0), size_px) if title else panel
        for panel, title in zip(panels, titles, strict=True)
    ]
    return np.concatenate(titled, axis=1)


def _put_axes(
    drawn: Pixels,
    R_cam: Array,
    center_xy: npt.ArrayLike,
    length_px: float,
    width: int,
    colours: tuple[Colour, Colour, Colour],
) -> None:
    tips = axis_tips(R_cam, center_xy, length_px)
    depth = _AXES_HEAD @ R_cam[2]
    casing = max(1, _line_width(length_px) // 3)
    for axis in np.argsort(-depth):
        _line(drawn, np.asarray(center_xy), tips[axis], colours[axis], width, casing)
    # A nose that points into the camera would be a dot as small as the line is wide.
    _dot(drawn, tips[2], colours[2], 1.2 * width, casing)


def _line(
    drawn: Pixels, start_xy: Array, end_xy: Array, colour: Colour, width: int, casing: int
) -> None:
    """One anti-aliased line with a black casing of so many pixels on either side."""
    import cv2

    scale = 2**_SUBPIXEL_BITS
    start, end = (
        tuple(int(value) for value in np.round(np.asarray(point) * scale))
        for point in (start_xy, end_xy)
    )
    if casing:
        cv2.line(drawn, start, end, _BLACK, width + 2 * casing, cv2.LINE_AA, _SUBPIXEL_BITS)
    cv2.line(drawn, start, end, colour, width, cv2.LINE_AA, _SUBPIXEL_BITS)


def _dot(drawn: Pixels, center_xy: Array, colour: Colour, radius: float, casing: int) -> None:
    """One anti-aliased disc with a black rim."""
    import cv2

    scale = 2**_SUBPIXEL_BITS
    x, y = (int(value) for value in np.round(center_xy * scale))
    for reach, ink in ((radius + casing, _BLACK), (radius, colour)):
        cv2.circle(drawn, (x, y), round(reach * scale), ink, -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _line_width(length_px: float) -> int:
    """Pixels of a line's width for an axis of a length: 1 up to 50 pixels, 5 at 180."""
    return max(1, round(length_px / 36.0))


def _mix(colour: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (
        round(a * (1.0 - share) + b * share) for a, b in zip(colour, other, strict=True)
    )
    return red, green, blue


def _cube_edges() -> list[tuple[int, int, int]]:
    """Axis and the two corners of each of the twelve edges."""
    return [(axis, k, k | 1 << axis) for axis in range(3) for k in range(8) if not k & 1 << axis]


def _side_of(corner: int, axis: int) -> tuple[int, int]:
    """The side of the cube across an axis that a corner lies on: 0 is the negative one."""
    return axis, corner >> axis & 1


def _visible_sides(R_cam: Array) -> set[tuple[int, int]]:
    """Sides that face the camera: it is more than half an edge out along their normal."""
    camera_head = R_cam.T @ np.array([0.0, 0.0, -CUBE_CAMERA_DISTANCE])
    return {
        (axis, int(sign > 0))
        for axis in range(3)
        for sign in (-1.0, 1.0)
        if sign * camera_head[axis] > 0.5
    }


def _text_px(image: Pixels, face_px: float) -> int:
    """Text size: grows with the face and the image, never below 12 pixels."""
    short_side = min(image.shape[:2])
    return round(max(12.0, short_side / 40.0, min(face_px / 11.0, short_side / 15.0)))


def _draw_caption(image: Pixels, lines: list[str], box_xyxy: Array) -> Pixels:
    """Write lines below a face box, or above it where there is more room."""
    if not lines:
        return image
    size_px = _text_px(image, face_size_px(box_xyxy))
    needed = _plate(tuple(lines), size_px).shape[0]
    x0, y0, _, y1 = box_xyxy
    below_fits = y1 + needed <= image.shape[0]
    top = y1 if below_fits or y0 < image.shape[0] - y1 else y0 - needed
    return draw_text(image, lines, (float(x0), float(top)), size_px)


@cache
def _font(size_px: int) -> FreeTypeFont | Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=size_px)


def _plate(lines: tuple[str, ...], size_px: int) -> npt.NDArray[np.uint8]:
    """How much ink each pixel of some written lines has, 0..255."""
    from PIL import Image, ImageDraw

    font = _font(size_px)
    pad = max(2, size_px // 4)
    step = round(1.25 * size_px)
    width = max(round(font.getlength(line)) for line in lines) + 2 * pad
    mask = Image.new("L", (width, step * len(lines) + 2 * pad), 0)
    pen = ImageDraw.Draw(mask)
    for place, line in enumerate(lines):
        pen.text((pad, pad + place * step), line, fill=255, font=font)
    return np.asarray(mask, dtype=np.uint8)
