"""Boxes that are not what they are taken for are found by what they cover."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpbench.datasets.table import Table
from hpbench.datasets.table._labels import TableOptions
from hpbench.labels.plausibility import review_labels

SIZE_WH = np.array([480, 320])
RNG = np.random.default_rng(1)
CENTRES = RNG.uniform(0.35, 0.65, (12, 2)) * SIZE_WH
SIDES = RNG.uniform(60.0, 130.0, (12, 1)) * RNG.uniform(0.8, 1.25, (12, 2))
BOXES = np.concatenate([CENTRES - SIDES / 2, CENTRES + SIDES / 2], axis=1)
ANGLES = RNG.normal(0.0, (30.0, 15.0, 10.0), (12, 3))
WH = np.tile(SIZE_WH, 2)


def as_size(boxes):
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def as_centre(boxes):
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


@pytest.fixture
def table(tmp_path: Path):
    def write(boxes, orientation: int = 1, **options: str) -> Table:
        lines = ["image,yaw,pitch,roll,x0,y0,x1,y1"]
        exif = Image.Exif()
        exif[0x0112] = orientation
        for number, (angles, box) in enumerate(zip(ANGLES, boxes, strict=True)):
            Image.new("RGB", tuple(SIZE_WH)).save(tmp_path / f"{number}.png", exif=exif)
            cells = [f"{number}.png", *(f"{value:.6f}" for value in (*angles, *box))]
            lines.append(",".join(cells))
        path = tmp_path / "labels.csv"
        path.write_text("\n".join(lines) + "\n")
        return Table(path, TableOptions(**options))

    return write


@pytest.mark.parametrize(
    ("boxes", "fix"),
    [
        (as_size(BOXES), "box=xywh"),
        (as_centre(BOXES), "box=cxcywh"),
        (BOXES[:, [2, 3, 0, 1]], "box=corners"),
        (BOXES[:, [0, 2, 1, 3]], "box=xxyy"),
        (as_size(BOXES)[:, [1, 0, 3, 2]], "box=yxhw"),
        (BOXES / WH, "box_unit=fraction"),
        (BOXES / WH * 100.0, "box_unit=percent"),
        (as_size(BOXES / WH), "box_unit=fraction,box=xywh"),
        (as_centre(BOXES / WH), "box_unit=fraction,box=cxcywh"),
        (as_size(BOXES / WH) * 100.0, "box_unit=percent,box=xywh"),
    ],
)
def test_box_in_another_form_is_named_and_read_with_that_option(table, boxes, fix):
    wrong = table(boxes)
    (suspicion,) = review_labels(wrong.records(), wrong)
    assert (suspicion.fix, suspicion.stops) == (fix, True)
    right = table(boxes, **dict(part.split("=") for part in fix.split(",")))
    records = right.records()
    assert review_labels(records, right) == []
    assert np.array([r.box_xyxy for r in records]) == pytest.approx(BOXES, abs=1e-3)


def test_boxes_with_y_before_x_are_named_where_images_are_not_square(table):
    moved = np.add(BOXES, [150, 0, 150, 0])
    wrong = table(moved[:, [1, 0, 3, 2]])
    (suspicion,) = review_labels(wrong.records(), wrong)
    assert suspicion.fix == "box=yxyx"


def test_boxes_of_larger_images_are_named(table):
    wrong = table(BOXES * 3.0)
    (suspicion,) = review_labels(wrong.records(), wrong)
    assert (suspicion.fix, suspicion.stops) == ("box_size=WIDTHxHEIGHT", True)
    right = table(BOXES * 3.0, box_size="1440x960")
    assert review_labels(right.records(), right) == []


def test_boxes_of_smaller_images_are_a_warning(table):
    wrong = table(BOXES * 0.5)
    (suspicion,) = review_labels(wrong.records(), wrong)
    assert (suspicion.code, suspicion.stops) == ("box_size", False)


def test_the_line_shows_the_numbers_as_they_are_written(table):
    wrong = table(BOXES / WH)
    (suspicion,) = review_labels(wrong.records(), wrong)
    line = suspicion.line("table", wrong)
    first = ",".join(f"{value:.6g}" for value in np.round(BOXES[0] / WH, 6))
    assert f"first {first} in an image of 480x320" in line
    assert f"write table={wrong.root}[box_unit=fraction]" in line


def test_honest_boxes_raise_no_alarm(table):
    right = table(BOXES)
    assert review_labels(right.records(), right) == []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("box", [(1e300, 1.0, 1e301, 50.0), (-1e308, -1e308, 1e308, 1e308)])
def test_one_absurd_box_among_honest_ones_raises_no_alarm_and_no_warning(table, box):
    right = table([*BOXES[:-1], box])
    assert review_labels(right.records(), right) == []


def test_box_of_the_stored_image_is_named_where_a_detector_finds_the_face(table):
    right = table(BOXES, orientation=6, exif="boxes")
    faces = iter([record.box_xyxy for record in right.records()])
    wrong = table(BOXES, orientation=6)
    found = review_labels(wrong.records(), wrong, lambda image: np.array([next(faces)]))
    assert [(s.fix, s.stops) for s in found] == [("exif=boxes", True)]


def test_box_that_lies_on_the_face_is_doubted_aloud_where_the_stored_one_fits_better(table):
    """A face in the middle of the photo lies in the box either way, so that neither is refused."""
    beside = np.tile([120.0, 100.0, 280.0, 220.0], (12, 1))  # turned by a half: from 199 to 359
    right = table(beside, orientation=3)
    found = review_labels(
        right.records(), right, lambda image: np.array([[170.0, 100.0, 330.0, 220.0]])
    )
    assert [(s.fix, s.stops) for s in found] == [("exif=boxes", False)]


def test_stored_box_that_lies_on_no_face_either_is_not_advised(table):
    beside = np.tile([100.0, 100.0, 200.0, 200.0], (12, 1))  # turned by a half: 280,120,380,220
    wrong = table(beside, orientation=3)
    bystander = np.array([[330.0, 170.0, 430.0, 270.0]])  # overlap 0.14
    found = review_labels(wrong.records(), wrong, lambda image: bystander)
    assert found
    assert "exif=boxes" not in {suspicion.fix for suspicion in found}


def test_box_of_the_upright_image_is_believed_where_it_fits_as_well(table):
    middle = np.tile([160.0, 100.0, 320.0, 220.0], (12, 1))
    right = table(middle, orientation=3)
    found = review_labels(
        right.records(), right, lambda image: np.array([[160.0, 110.0, 320.0, 230.0]])
    )
    assert found == []


@pytest.mark.parametrize("exif", ["upright", "boxes"])
def test_frame_that_the_user_has_named_is_not_doubted(table, exif):
    named = table(BOXES, orientation=3, exif=exif)
    assert review_labels(named.records(), named) == []


def test_exif_tag_without_a_detector_is_a_warning(table):
    # turned by a half, so that the box lies in the image either way
    wrong = table(BOXES, orientation=3)
    (suspicion,) = review_labels(wrong.records(), wrong)
    assert (suspicion.fix, suspicion.stops) == ("exif=boxes", False)


@pytest.fixture
def square(tmp_path: Path):
    """A table of 16 square images whose faces of 100 pixels lie off the diagonal."""

    def write(boxes, side: int = 500, **options: str) -> Table:
        lines = ["image,yaw,pitch,roll,x0,y0,x1,y1"]
        for number, box in enumerate(boxes):
            Image.new("RGB", (side, side)).save(tmp_path / f"{number}.png")
            lines.append(",".join([f"{number}.png", *map(str, (*ANGLES[number % 12], *box))]))
        (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
        return Table(tmp_path / "labels.csv", TableOptions(**options))

    return write


OFF_DIAGONAL = RNG.uniform((80, 280), (150, 420), (16, 2))
FACES = np.concatenate([OFF_DIAGONAL - 50, OFF_DIAGONAL + 50], axis=1)


def seeing(faces):
    """A detector that finds one face in each image, in the order of the table."""
    found = iter(faces)
    return lambda image: next(found)[None]


@pytest.mark.parametrize(
    ("boxes", "code", "fix"),
    [
        (FACES[:, [1, 0, 3, 2]], "box_format", "box=yxyx"),
        (FACES / 2.5, "box_size", "box_size=WIDTHxHEIGHT"),
        (FACES * 0 + [300, 0, 420, 120], "box", "write the box of the labelled face"),
    ],
    ids=["x and y exchanged", "of smaller images", "of other images"],
)
def test_detector_shows_boxes_that_lie_beside_the_faces(square, boxes, code, fix):
    table = square(boxes)
    assert not any(one.stops for one in review_labels(table.records(), table))
    (suspicion,) = review_labels(table.records(), table, seeing(FACES))
    assert (suspicion.code, suspicion.fix, suspicion.stops) == (code, fix, True)
    assert ("images of about 200x200" in suspicion.seen) == (code == "box_size")


@pytest.mark.parametrize(
    "boxes",
    [
        FACES,
        np.add(FACES, [-20, 10, -20, 10]),
        FACES * 0 + [0, 0, 500, 500],
        np.where(np.arange(16)[:, None] % 3 > 0, FACES[:, [1, 0, 3, 2]], FACES),
    ],
    ids=["tight", "shifted", "whole image", "some others found"],
)
def test_detector_that_finds_some_faces_elsewhere_raises_no_alarm(square, boxes):
    table = square(boxes)
    found = review_labels(table.records(), table, seeing(FACES))
    assert [one for one in found if one.code != "box_size"] == []


def test_faces_too_small_for_the_detector_are_a_warning(square):
    small = FACES * 0 + [300, 20, 330, 50] + RNG.uniform(0, 80, (16, 1))
    table = square(small)
    (suspicion,) = review_labels(table.records(), table, seeing(FACES))
    assert (suspicion.code, suspicion.stops) == ("box", False)


def test_detector_is_asked_about_five_images_where_boxes_lie_on_faces(square):
    table, asked = square(FACES), []
    find_faces = seeing(FACES)
    review_labels(table.records(), table, lambda image: asked.append(1) or find_faces(image))
    assert len(asked) == 5


def test_large_image_is_reduced_for_the_detector_and_its_boxes_are_not(square):
    table = square(FACES * 4.4, side=2200)
    shapes, find_faces = [], seeing(FACES * 2.2)
    found = review_labels(
        table.records(), table, lambda image: shapes.append(image.shape) or find_faces(image)
    )
    assert (shapes[0], found) == ((1100, 1100, 3), [])
