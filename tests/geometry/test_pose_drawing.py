"""Drawn poses against projections worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy import cos, radians, sin

from hpbench.geometry.pose_drawing import (
    AXIS_COLOURS,
    axis_tips,
    cube_corners,
    draw_axes,
    draw_cube,
    draw_face,
    pose_lines,
    project,
)
from hpbench.geometry.text_drawing import draw_text, enlarge_small, side_by_side
from hpbench.images import read_rgb
from hpbench.rotation import rotation_from_angles

RED, GREEN, BLUE = AXIS_COLOURS


def grey(height=200, width=200):
    return np.full((height, width, 3), 128, dtype=np.uint8)


def shown(image, colour):
    """Where a colour stands undiluted, as rows of x, y."""
    y, x = np.nonzero((image == colour).all(axis=-1))
    return np.stack([x, y], axis=-1)


def test_frontal_head_has_x_to_the_right_y_down_and_the_nose_at_the_viewer():
    tips = axis_tips(np.eye(3), [100.0, 50.0], 40.0)
    assert tips == pytest.approx(np.array([[140, 50], [100, 90], [100, 50]]))


@pytest.mark.parametrize(
    ("angles_deg", "nose_xy"),
    [
        ([90, 0, 0], [60, 100]),  # to the image's left
        ([-90, 0, 0], [140, 100]),
        ([0, 90, 0], [100, 60]),  # up
        ([30, 0, 0], [80, 100]),  # 40 * sin 30
        ([0, -30, 0], [100, 120]),
    ],
)
def test_nose_points_where_the_signs_of_the_angles_say(angles_deg, nose_xy):
    tips = axis_tips(rotation_from_angles(angles_deg), [100.0, 100.0], 40.0)
    assert tips[2] == pytest.approx(nose_xy)


def test_roll_turns_the_head_clockwise():
    tips = axis_tips(rotation_from_angles([0, 0, 30]), [0.0, 0.0], 1.0)
    assert tips[0] == pytest.approx([cos(radians(30)), sin(radians(30))])


def test_axes_are_those_of_hopenets_demo():
    """The authors' formula (deep-head-pose ``utils.py``): angles with the sign of yaw turned."""
    for angles in np.random.default_rng(0).uniform(-80, 80, (20, 3)):
        y, p, r = radians(angles * [-1, 1, 1])
        expected = [
            [cos(y) * cos(r), cos(p) * sin(r) + cos(r) * sin(p) * sin(y)],
            [-cos(y) * sin(r), cos(p) * cos(r) - sin(p) * sin(y) * sin(r)],
            [sin(y), -cos(y) * sin(p)],
        ]
        assert axis_tips(rotation_from_angles(angles), [0, 0], 1.0) == pytest.approx(
            np.array(expected)
        )


def test_perspective_is_that_of_opencvs_camera():
    import cv2

    points = np.random.default_rng(1).uniform(-1, 1, (10, 3))
    R = rotation_from_angles([20, -30, 10])
    distance, length = 4.0, 30.0
    K = np.array([[distance * length, 0, 70], [0, distance * length, 60], [0, 0, 1.0]])
    expected, _ = cv2.projectPoints(
        points, cv2.Rodrigues(R)[0], np.array([0, 0, distance]), K, None
    )
    assert project(points, R, [70, 60], length, distance) == pytest.approx(expected[:, 0])


def test_near_side_of_the_cube_is_drawn_larger():
    """Half an edge nearer at a distance of 4: 1 / (1 - 1/8); half farther: 1 / (1 + 1/8)."""
    corners = cube_corners(np.eye(3), [0.0, 0.0], 70.0)
    assert corners[3] == pytest.approx([40.0, 40.0])
    assert corners[7] == pytest.approx([35 / 1.125, 35 / 1.125])


def test_axes_are_drawn_in_their_colours_along_their_projections():
    drawn = draw_axes(grey(), np.eye(3), [60.0, 60.0], 100.0)
    red, green = shown(drawn, RED), shown(drawn, GREEN)
    assert red[:, 0].max() == pytest.approx(160, abs=3)
    assert abs(red[:, 1] - 60).max() <= 3
    assert green[:, 1].max() == pytest.approx(160, abs=3)
    assert abs(green[:, 0] - 60).max() <= 3


def test_nearest_axis_lies_on_top():
    """The nose of a nearly frontal head covers the root of the other axes."""
    drawn = draw_axes(grey(), np.eye(3), [100.0, 100.0], 80.0)
    assert tuple(drawn[100, 100]) == BLUE
    from_behind = draw_axes(grey(), rotation_from_angles([180, 0, 0]), [100.0, 100.0], 80.0)
    assert len(shown(from_behind, GREEN)) > 0


def test_lines_are_smooth():
    drawn = draw_axes(np.zeros((200, 200, 3), np.uint8), rotation_from_angles([0, 0, 20]),
                      [60.0, 60.0], 100.0)  # fmt: skip
    reds = np.unique(drawn[..., 0][(drawn[..., 1] < 60) & (drawn[..., 2] < 60)])
    assert len(reds) > 10


def test_lines_grow_with_the_face():
    def thickness(length):
        drawn = draw_axes(grey(600, 600), np.eye(3), [50.0, 50.0], length)
        return len(shown(drawn[:, [50 + length // 2]], RED))

    assert thickness(40) < thickness(200) < thickness(500)


def test_front_of_the_cube_is_tinted_only_where_it_is_seen():
    frontal = draw_cube(grey(), np.eye(3), [100.0, 100.0], 80.0)
    behind = draw_cube(grey(), rotation_from_angles([180, 0, 0]), [100.0, 100.0], 80.0)
    blue, red = (frontal[100, 100, channel].astype(int) for channel in (2, 0))
    assert blue > red + 30
    assert tuple(behind[100, 100]) == (128, 128, 128)


def test_visible_sides_are_those_with_outlines_turned_to_the_camera():
    """In the image the corners of a side run clockwise exactly when it is seen from outside."""
    from hpbench.geometry.pose_drawing import _visible_sides

    # Corners of each side, clockwise from outside, in x right, y down, z away.
    outlines = {
        (2, 0): [0, 1, 3, 2], (2, 1): [5, 4, 6, 7],
        (0, 0): [4, 0, 2, 6], (0, 1): [1, 5, 7, 3],
        (1, 0): [4, 5, 1, 0], (1, 1): [2, 3, 7, 6],
    }  # fmt: skip
    for angles in np.random.default_rng(2).uniform(-180, 180, (50, 3)):
        R = rotation_from_angles(angles)
        corners = cube_corners(R, [0.0, 0.0], 100.0)
        seen = set()
        for side, outline in outlines.items():
            x, y = corners[outline].T
            area = np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2
            if area > 0:
                seen.add(side)
        assert seen == _visible_sides(R)


def test_images_are_never_written_into():
    image = grey()
    R = rotation_from_angles([20, 10, 5])
    draw_axes(image, R, [100, 100], 60.0)
    draw_cube(image, R, [100, 100], 60.0)
    draw_face(image, [50, 50, 150, 150], R)
    draw_text(image, ["text"], (3, 3), 12)
    assert (image == 128).all()


def test_angles_are_written_with_sign_and_unit():
    assert pose_lines(rotation_from_angles([12.34, -5.0, 0.0])) == [
        "yaw +12.3°", "pitch -5.0°", "roll +0.0°",
    ]  # fmt: skip


def test_no_minus_zero_is_written():
    assert pose_lines(rotation_from_angles([-0.01, -0.01, -0.01]))[0] == "yaw +0.0°"


@pytest.mark.parametrize(("height", "width"), [(64, 48), (240, 320), (1080, 1920)])
def test_text_has_legible_height_at_any_size(height, width):
    """Capital letters of a caption are at least 8 pixels high once the image is enlarged."""
    image, factor = enlarge_small(np.zeros((height, width, 3), dtype=np.uint8))
    box = np.array([0.25, 0.25, 0.5, 0.5]) * ([width * factor, height * factor] * 2)
    drawn = draw_face(image, box, None, note="H")
    ink_rows = np.nonzero((drawn > 180).all(axis=-1)[int(box[3]) + 3 :].any(axis=1))[0]
    assert np.ptp(ink_rows) + 1 >= 8
    assert np.ptp(ink_rows) + 1 <= 0.1 * min(drawn.shape[:2])


def test_text_wanted_outside_is_moved_inside():
    drawn = draw_text(grey(100, 100), ["word"], (90.0, 95.0), 12)
    assert (drawn == 255).all(axis=-1).any()
    assert (drawn[:50] == 128).all()


def test_text_too_wide_for_the_image_is_made_smaller():
    drawn = draw_text(grey(60, 120), ["a rather long title"], (0.0, 0.0), 40)
    plate = (drawn != 128).any(axis=-1).any(axis=0)
    assert plate.sum() <= 120
    ink = (drawn > 200).all(axis=-1).any(axis=0)
    assert not ink[-2:].any()  # the last letter is not cut


def test_small_image_is_enlarged_by_a_whole_factor():
    enlarged, factor = enlarge_small(grey(50, 70))
    assert factor == 5
    assert enlarged.shape == (250, 350, 3)
    assert enlarge_small(grey(240, 500))[1] == 1


def test_panels_stand_side_by_side_under_their_titles():
    both = side_by_side([grey(), grey() * 0], ["one", "two"])
    assert both.shape == (200, 400, 3)
    assert (both[100:, :200] == 128).all()
    assert (both[100:, 200:] == 0).all()
    assert (both[:30, 200:] == 255).all(axis=-1).any()


def test_face_at_the_edge_of_a_real_photo_is_drawn(aflw2000_dir):
    photo = read_rgb(aflw2000_dir / "image00002.jpg")
    R = rotation_from_angles([1.0, -22.9, 4.9])
    for box in ([-80, -60, 120, 150], [380, 390, 520, 560], [130, 170, 330, 380]):
        drawn = draw_face(photo, box, R, "cube", "hopenet")
        assert drawn.shape == photo.shape
        assert (drawn != photo).any()
