"""Boxes and crops."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hpbench.errors import DataError
from hpbench.face import crop_with_black
from hpbench.geometry.boxes import box_from_points, box_problem, check_box, iou

SIZE_WH = (100, 80)


@pytest.mark.parametrize("box", [(10, 20, 50, 60), (-15, -5, 40, 30), (60, 50, 130, 95)])
def test_crop_equals_pillows_crop(box):
    image = np.random.default_rng(0).integers(1, 255, (80, 100, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).crop(box))
    assert np.array_equal(crop_with_black(image, box), expected)


def test_crop_that_misses_the_image_is_black():
    image = np.full((80, 100, 3), 200, dtype=np.uint8)
    assert not crop_with_black(image, (200, 200, 210, 220)).any()


def test_box_of_points_spans_them():
    assert box_from_points([[3, 9], [7, 1], [5, 5]]).tolist() == [3, 1, 7, 9]


def test_iou_of_a_quarter_overlap():
    # overlap 1, union 4 + 4 - 1
    assert iou([0, 0, 2, 2], [1, 1, 3, 3]) == pytest.approx(1 / 7)


def test_iou_of_separate_boxes_is_zero():
    assert iou([0, 0, 1, 1], [5, 5, 6, 6]) == 0.0


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((np.nan, 0, 10, 10), "not a number"),
        ((10, 10, 10, 30), "no area"),
        ((120, 10, 140, 30), "outside the image"),
        ((-30, 10, 0, 30), "outside the image"),
        ((10, 80, 30, 95), "outside the image"),
        ((-1000, -1000, 1001, 50), "more than 20 times as large as the image of 100x80"),
    ],
)
def test_unusable_box_is_refused_with_its_reason(box, words):
    with pytest.raises(DataError, match=words):
        check_box(np.array(box, dtype=float), SIZE_WH)


def test_reason_shows_the_numbers_of_the_box_as_they_are_written():
    fractions = np.array([0.21, 0.35, 0.62, 0.7])
    assert box_problem(fractions, (256, 256)) == "box 0.21,0.35,0.62,0.7 has no area"
    reason = box_problem(np.array([1e300, 1.0, 1e301, 50.0]), (256, 256))
    assert reason == "box 1e+300,1,1e+301,50 lies outside the image of 256x256 pixels"


@pytest.mark.parametrize("box", [(-20, -20, 50, 50), (-999, -999, 1001, 1001)])
def test_box_that_reaches_over_the_edge_is_fine(box):
    check_box(np.array(box, dtype=float), SIZE_WH)
