"""Crop rules against boxes worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hpbench.crops import DEFAULT_K, centre_of, crop_box, cut_out, short_side_wh, whole_pixels

BOX = [0.0, 0.0, 100.0, 100.0]


@pytest.mark.parametrize(
    ("rule", "k", "expected"),
    [
        # left and up by .4 of 100; right by .4 of the 140 that it is wide by then, down by
        # .12 of 140
        ("hopenet-test", 0.2, [-40, -40, 156, 116.8]),
        # left and up by .12 and .4 of 100; right by .12 of 112, down by .12 of 140
        ("hopenet-train", 0.2, [-12, -40, 113.44, 116.8]),
        ("hopenet-train", 0.4, [-24, -80, 129.76, 143.2]),
        ("margin", 0.6, [-60, -60, 160, 160]),
        ("square", 1.6, [-30, -30, 130, 130]),
        ("box", 0.0, BOX),
    ],
)
def test_rule_gives_the_box_worked_out_by_hand(rule, k, expected):
    np.testing.assert_allclose(crop_box(BOX, rule, k), expected, atol=1e-9)


def test_hopenet_rule_is_that_of_the_authors_script_line_by_line():
    x_min, y_min, x_max, y_max, k = 53.2, 61.7, 171.9, 203.4, 0.35
    expected = [x_min, y_min, x_max, y_max]
    expected[0] -= 0.6 * k * abs(expected[2] - expected[0])
    expected[1] -= 2 * k * abs(expected[3] - expected[1])
    expected[2] += 0.6 * k * abs(expected[2] - expected[0])
    expected[3] += 0.6 * k * abs(expected[3] - expected[1])
    np.testing.assert_allclose(crop_box([x_min, y_min, x_max, y_max], "hopenet-train", k), expected)


def test_margin_widens_each_side_by_a_share_of_its_own_length():
    np.testing.assert_allclose(crop_box([0, 0, 10, 20], "margin", 0.5), [-5, -10, 15, 30])


def test_square_crop_is_around_the_middle_of_the_box():
    square = crop_box([100, 100, 140, 200], "square", 1.6)
    np.testing.assert_allclose(square, [40, 70, 200, 230])
    assert whole_pixels(square, with_last=True) == (40, 70, 201, 231)


@pytest.mark.parametrize("rule", ["box", "margin", "square", "hopenet-test", "hopenet-train"])
def test_many_boxes_at_once_give_what_each_gives_alone(rule):
    draw = np.random.default_rng(3)
    corners = draw.uniform(-50, 300, (20, 2))
    boxes = np.hstack([corners, corners + draw.uniform(5, 200, (20, 2))])
    amounts = draw.uniform(0.1, 2.0, 20)
    together = crop_box(boxes, rule, amounts)
    alone = [crop_box(box, rule, k) for box, k in zip(boxes, amounts, strict=True)]
    np.testing.assert_array_equal(together, alone)


def test_usual_amounts_are_those_of_the_authors():
    assert DEFAULT_K == {"hopenet-test": 0.2, "hopenet-train": 0.3}


def test_whole_pixels_cut_off_towards_zero_like_int():
    assert whole_pixels([-3.9, 2.9, 50.9, 60.1]) == (-3, 2, 50, 60)
    assert whole_pixels([-3.9, 2.9, 50.9, 60.1], with_last=True) == (-3, 2, 51, 61)


def test_a_box_thinner_than_a_pixel_is_one_pixel():
    assert whole_pixels([5.1, 5.2, 5.3, 5.4]) == (5, 5, 6, 6)


@pytest.mark.parametrize(
    ("outside", "shape", "corner"),
    [("black", (6, 6, 3), 0), ("clip", (4, 4, 3), 7), ("edge", (6, 6, 3), 7)],
)
def test_pixels_outside_the_image(outside, shape, corner):
    crop = cut_out(np.full((10, 10, 3), 7, np.uint8), (-2, -2, 4, 4), outside)
    assert crop.shape == shape
    assert crop[0, 0, 0] == corner


@pytest.mark.parametrize("bounds", [(-3, -1, 5, 6), (7, 4, 15, 11), (-2, -4, 14, 9), (2, 3, 6, 7)])
def test_every_pixel_of_a_crop_is_the_nearest_one_of_the_image(bounds):
    """Where the edge is repeated; a clipped crop is the part of it that lies inside."""
    image = np.random.default_rng(0).integers(1, 256, (8, 12, 3), dtype=np.uint8)
    x0, y0, x1, y1 = bounds
    rows, columns = np.arange(y0, y1), np.arange(x0, x1)
    nearest = image[np.clip(rows, 0, 7)][:, np.clip(columns, 0, 11)]
    np.testing.assert_array_equal(cut_out(image, bounds, "edge"), nearest)
    inside = (rows >= 0) & (rows < 8), (columns >= 0) & (columns < 12)
    np.testing.assert_array_equal(cut_out(image, bounds, "clip"), nearest[np.ix_(*inside)])


@pytest.mark.parametrize("bounds", [(-50, 10, -10, 60), (10, -60, 60, -5), (120, 10, 160, 60)])
def test_crop_beside_the_image_holds_none_of_it(bounds):
    image = np.full((100, 100, 3), 7, np.uint8)
    assert cut_out(image, bounds, "clip").size == cut_out(image, bounds, "edge").size == 0
    black = cut_out(image, bounds, "black")
    assert black.shape == (bounds[3] - bounds[1], bounds[2] - bounds[0], 3) and not black.any()


@pytest.mark.parametrize("size_wh", [(300, 200), (200, 300), (221, 223), (7, 1999), (224, 224)])
def test_short_side_and_centre_are_torchvisions(size_wh):
    functional = pytest.importorskip("torchvision.transforms.functional")
    width, height = size_wh
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    theirs = functional.resize(Image.fromarray(pixels), 224)
    assert short_side_wh(size_wh, 224) == theirs.size
    ours = centre_of(np.asarray(theirs), (224, 200))
    np.testing.assert_array_equal(ours, np.asarray(functional.center_crop(theirs, [200, 224])))
