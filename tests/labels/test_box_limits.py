"""How many boxes have to look wrong, and how wrong, before something is said; sizes in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpbench.dataset import Dataset, DatasetCard, Label, Record
from hpbench.errors import DataError
from hpbench.images import ImageSize
from hpbench.labels.boxes import review_boxes

NOWHERE = (-800.0, -800.0, -900.0, -900.0)
"""A box in no form, whatever is exchanged."""


class InMemory(Dataset):
    """Boxes, sizes of images, and black images of these sizes."""

    name, summary, needs_root = "in_memory", "for a test", False
    card = DatasetCard(name="in_memory", title="In memory", domain="photo")

    def __init__(self, boxes, sizes):
        super().__init__()
        self.boxes, self.sizes, self.asked = boxes, sizes, set()

    def records(self):
        return [
            Record(str(i), Path(str(i)), Label.from_angles(1.0, 2.0, 3.0), box)
            for i, box in enumerate(self.boxes)
        ]

    def image_size(self, record):
        self.asked.add(record.image_id)
        return self.sizes[int(record.image_id)]

    def read_image(self, record):
        width, height = self.sizes[int(record.image_id)].upright_wh
        image = np.zeros((height, width, 3), np.uint8)
        image[0, 0, 0] = int(record.image_id)  # so that a detector knows it
        return image


def in_memory(boxes, size_wh=(600, 400), orientation=1):
    boxes = [None if box is None else np.array(box, dtype=float) for box in boxes]
    return InMemory(boxes, [ImageSize(size_wh, orientation)] * len(boxes))


def review(dataset, find_faces=None):
    return review_boxes(dataset.records(), dataset, find_faces)


def reviewed(boxes, size_wh=(600, 400), find_faces=None, orientation=1):
    """Fix and whether it stops of what is found, or None."""
    found = review(in_memory(boxes, size_wh, orientation), find_faces)
    assert len(found) < 2
    return (found[0].fix, found[0].stops) if found else None


def faces(count, around=(300.0, 200.0), side=100.0):
    """Honest boxes, none the same, near the middle of 600x400."""
    shift = np.linspace(-40.0, 40.0, count)
    middles = np.array(around) + np.stack([shift, shift[::-1] / 2], axis=1)
    return np.concatenate([middles - side / 2, middles + side / 2], axis=1)


def as_size(boxes):
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


XYWH = ("box=xywh", True)


# ---- how many have to be wrong ------------------------------------------------------------------


@pytest.mark.parametrize(("count", "expected"), [(2, None), (3, XYWH)])
def test_two_boxes_show_no_form_and_three_do(count, expected):
    assert reviewed(as_size(faces(count))) == expected


def as_size_and_readable(count):
    """Width and height of a face near the corner are a box in pixels, too."""
    return np.tile([20.0, 20.0, 210.0, 190.0], (count, 1))


@pytest.mark.parametrize(("wrong", "expected"), [(1, None), (3, XYWH)])
def test_of_twenty_boxes_one_that_does_not_fit_is_borne_and_three_are_not(wrong, expected):
    boxes = [*as_size_and_readable(20 - wrong), *as_size(faces(wrong))]
    assert reviewed(boxes) == expected


@pytest.mark.parametrize(("absurd", "expected"), [(1, XYWH), (3, None)])
def test_another_form_is_named_where_nearly_all_boxes_fit_in_it(absurd, expected):
    found = reviewed([*as_size(faces(24 - absurd)), *[NOWHERE] * absurd])
    assert found == (expected or ("write x0,y0,x1,y1 in pixels", True))


@pytest.mark.parametrize(
    ("absurd", "expected"), [(9, None), (11, ("write x0,y0,x1,y1 in pixels", True))]
)
def test_boxes_of_which_more_than_half_fit_are_left_to_be_counted(absurd, expected):
    assert reviewed([*faces(20 - absurd), *[NOWHERE] * absurd]) == expected


def test_numbers_of_the_message_are_those_of_the_boxes():
    dataset = in_memory([*as_size_and_readable(2), *as_size(faces(10))])
    (suspicion,) = review(dataset)
    first = ",".join(f"{value:.6g}" for value in as_size(faces(10))[0])
    assert suspicion.seen == (
        f"10 of 12 face boxes are none in pixels (first {first} in an image of 600x400), but 100% "
        "fit as x, y, width, height"
    )


def test_boxes_beyond_their_images_are_of_images_of_another_size():
    dataset = in_memory(faces(12) + 900.0)
    (suspicion,) = review(dataset)
    assert (suspicion.fix, suspicion.is_option) == ("box_size=WIDTHxHEIGHT", True)
    assert "as if they were made on images of another size" in suspicion.seen


def test_faces_without_a_box_and_images_of_unknown_size_are_left_out():
    dataset = in_memory([None, None, *as_size(faces(6)), None])
    dataset.sizes[3] = None
    (suspicion,) = review(dataset)
    assert suspicion.fix == "box=xywh"
    assert suspicion.seen.startswith("5 of 5 face boxes")
    assert review(in_memory([None] * 9)) == []


def test_sizes_of_64_images_from_all_over_are_asked_for():
    dataset = in_memory(faces(200))
    assert review(dataset) == []
    assert len(dataset.asked) == 64
    assert {"0", "199"} < dataset.asked


@pytest.mark.parametrize(
    ("box", "is_one"),
    [
        ((300, 200, 305, 205), True),
        ((300, 200, 303, 205), False),
        ((300, 200, 305, 203), False),
        ((300, 200, 350, 300), True),
        ((300, 200, 335, 300), False),
        ((300, 200, 414, 250), True),
        ((300, 200, 435, 250), False),
        ((530, 200, 630, 300), True),
        ((550, 200, 650, 300), False),
        ((-30, 200, 70, 300), True),
        ((-50, 200, 50, 300), False),
    ],
)
def test_box_of_a_face_is_no_speck_no_strip_and_mostly_inside_the_image(box, is_one):
    """Sides of 5 and 3 pixels; width by height 0.5 and 0.35, 2.3 and 2.7; 70 % inside, and 50."""
    stops = [one.stops for one in review(in_memory([box] * 12)) if one.stops]
    assert stops == [True] * (not is_one)


# ---- boxes in a corner --------------------------------------------------------------------------

SMALL = faces(8, around=(55.0, 50.0), side=40.0) * [0.5, 0.7, 0.5, 0.7] + [20, 5, 20, 5]
"""Eight boxes that are faces in pixels and in percent."""
PERCENT = ("box_unit=percent", True)


def test_eight_boxes_within_100_pixels_of_a_large_image_are_percent():
    assert SMALL.min() > 0.0
    assert SMALL.max() < 100.0
    dataset = in_memory(SMALL)
    (suspicion,) = review(dataset)
    assert (suspicion.fix, suspicion.stops) == PERCENT
    assert suspicion.seen.startswith("all 8 face boxes lie within the first 100 pixels (first ")


def test_image_of_250_pixels_is_large_enough_for_that():
    assert reviewed(SMALL, (250, 250)) == PERCENT


@pytest.mark.parametrize(
    ("boxes", "size_wh"),
    [
        (SMALL[:7], (600, 400)),
        (SMALL, (180, 400)),
        (SMALL, (600, 180)),
        ([*SMALL[:7], (30.0, 30.0, 115.0, 110.0)], (600, 400)),
    ],
    ids=["seven boxes", "narrow images", "low images", "one lies beyond"],
)
def test_boxes_that_need_not_be_percent_are_not_called_so(boxes, size_wh):
    assert reviewed(boxes, size_wh) in (None, ("box_size=WIDTHxHEIGHT", False))


def test_boxes_in_a_corner_that_are_no_faces_in_percent_are_left_alone():
    """Of an image five times as wide as high a square of percent is none."""
    assert reviewed(np.tile([30.0, 30.0, 70.0, 70.0], (8, 1)), (2000, 400)) is None


@pytest.mark.parametrize(
    ("count", "reach", "expected"),
    [
        (8, (0.45, 0.45), ("box_size=WIDTHxHEIGHT", False)),
        (7, (0.45, 0.45), None),
        (8, (0.55, 0.45), None),
        (8, (0.45, 0.55), None),
    ],
)
def test_boxes_in_the_first_quarter_may_be_of_smaller_images(count, reach, expected):
    boxes = faces(count, side=150.0)
    boxes += np.tile(np.array(reach) * (1000, 1000) - boxes[:, 2:].max(axis=0), 2)
    assert reviewed(boxes, (1000, 1000)) == expected
    if expected is not None:
        (suspicion,) = review(in_memory(np.add(boxes, [0, -50, 0, -50]), (1000, 1000)))
        assert "first 45% of the width and 40% of the height" in suspicion.seen


def test_what_looks_odd_is_still_said_where_a_detector_contradicts_nothing():
    dataset = in_memory(faces(12, around=(200.0, 200.0)), (1000, 1000))
    (suspicion,) = review(dataset, lambda image: np.empty((0, 4)))
    assert (suspicion.fix, suspicion.stops) == ("box_size=WIDTHxHEIGHT", False)


@pytest.mark.parametrize("kinds", [1, 2])
def test_one_or_two_boxes_for_all_images_say_nothing_about_their_size(kinds):
    boxes = np.tile([100.0, 100.0, 300.0, 300.0], (12, 1)) + np.arange(12)[:, None] % kinds
    assert reviewed(boxes, (1000, 1000)) is None
    assert reviewed([*boxes, boxes[0] + 5.0, boxes[0] + 7.0], (1000, 1000)) is not None


# ---- images that are turned ---------------------------------------------------------------------


def test_boxes_that_only_fit_the_stored_images_are_named():
    """Stored 600x400, seen 400x600: what lies at x = 520 is outside."""
    beyond = faces(12, around=(520.0, 200.0), side=60.0)
    dataset = in_memory(beyond, orientation=6)
    (suspicion,) = review(dataset)
    assert (suspicion.fix, suspicion.stops, suspicion.is_option) == ("exif=boxes", True, True)
    # images that are stored upright change nothing about it
    dataset.boxes += list(faces(2))
    dataset.sizes = [*dataset.sizes, *[ImageSize((600, 400))] * 2]
    assert [suspicion.fix for suspicion in review(dataset)] == ["exif=boxes"]


def one_face(box):
    return lambda image: np.array([box], dtype=float)


STORED = np.array([100.0, 100.0, 200.0, 200.0])
UPRIGHT = np.array([399.0, 199.0, 499.0, 299.0])
"""The same, turned by a half: x is 599 - x, and y is 399 - y."""


def shifted_for(overlap):
    """A square beside :data:`STORED` that overlaps it so much: (100 - d) / (100 + d)."""
    d = 100.0 * (1.0 - overlap) / (1.0 + overlap)
    return np.add(STORED, [d, 0.0, d, 0.0])


@pytest.mark.parametrize(
    ("upright_overlap", "is_advised"), [(0.56, False), (0.52, False), (0.47, True)]
)
def test_stored_boxes_are_advised_where_they_fit_clearly_better(upright_overlap, is_advised):
    """Squares to both sides of the image's middle; the face overlaps the stored one by 0.6."""
    to_stored, to_upright = (
        100.0 * (1.0 - overlap) / (1.0 + overlap) for overlap in (0.6, upright_overlap)
    )
    apart = (to_stored + to_upright) / 2.0
    middle = np.array([249.5, 149.5, 349.5, 249.5])
    right = np.array([1.0, 0.0, 1.0, 0.0])
    found = reviewed(
        np.tile(middle + apart * right, (6, 1)),
        find_faces=one_face(middle - (apart - to_stored) * right),
        orientation=3,
    )
    assert found == (("exif=boxes", False) if is_advised else None)


def test_mirrored_photos_are_turned_photos():
    beside = np.array([399.0, 100.0, 499.0, 200.0])  # x is 599 - x
    found = reviewed(np.tile(beside, (6, 1)), find_faces=one_face(STORED), orientation=2)
    assert found == ("exif=boxes", True)


@pytest.mark.parametrize(("overlap", "is_named"), [(0.34, False), (0.46, True)])
def test_stored_boxes_are_advised_where_they_lie_on_faces(overlap, is_named):
    found = reviewed(
        np.tile(UPRIGHT, (6, 1)), find_faces=one_face(shifted_for(overlap)), orientation=3
    )
    assert (found == ("exif=boxes", True)) == is_named


def test_largest_overlap_of_several_faces_counts_and_one_odd_image_does_not():
    others = np.array([[0.0, 0.0, 60.0, 60.0], STORED, [500.0, 10.0, 560.0, 70.0]])

    def find_faces(image):
        return np.array([UPRIGHT]) if image[0, 0, 0] in (0, 4) else others

    dataset = in_memory(np.tile(UPRIGHT, (7, 1)), orientation=3)
    (suspicion,) = review(dataset, find_faces)
    assert (suspicion.fix, suspicion.is_option) == ("exif=boxes", True)
    assert "7 images with boxes are turned" in suspicion.seen
    assert "(median overlap 1.00, in the upright ones 0.00)" in suspicion.seen


def test_images_in_which_no_face_is_found_decide_nothing():
    boxes = np.tile(UPRIGHT, (7, 1))
    assert reviewed(boxes, find_faces=lambda image: np.empty((0, 4)), orientation=3) is None
    half = lambda image: np.array([STORED])[: image[0, 0, 0] % 2]  # noqa: E731
    assert reviewed(boxes, find_faces=half, orientation=3) == ("exif=boxes", True)


def test_eight_turned_images_are_looked_at():
    looked_at = []

    def find_faces(image):
        looked_at.append(int(image[0, 0, 0]))
        return np.array([STORED])

    dataset = in_memory(np.tile(UPRIGHT, (30, 1)), orientation=3)
    review(dataset, find_faces)
    assert len(looked_at) == 8


# ---- boxes beside the faces ---------------------------------------------------------------------

ELSEWHERE = np.array([450.0, 250.0, 550.0, 350.0])


def looking(dataset, on_faces):
    """A detector that finds the first boxes, and a face elsewhere in the other images."""
    return lambda image: np.array(
        [dataset.boxes[image[0, 0, 0]] if image[0, 0, 0] < on_faces else ELSEWHERE]
    )


@pytest.mark.parametrize(
    ("count", "on_faces", "is_doubted"),
    [(12, 2, True), (12, 4, False), (8, 0, True), (7, 0, False)],
)
def test_boxes_are_doubted_where_a_detector_finds_most_faces_elsewhere(count, on_faces, is_doubted):
    dataset = in_memory(faces(count, around=(200.0, 180.0)))
    found = review(dataset, looking(dataset, on_faces))
    assert [one.code for one in found if one.stops] == ["box"] * is_doubted
    if is_doubted:
        assert found[0].seen.startswith(f"{count - on_faces} of {count} face boxes lie where")


def test_detector_looks_at_sixteen_images_at_most():
    dataset, looked_at = in_memory(faces(60, around=(200.0, 180.0))), []
    find_faces = looking(dataset, 0)
    review(dataset, lambda image: looked_at.append(image[0, 0, 0]) or find_faces(image))
    assert len(looked_at) == 16


@pytest.mark.parametrize(
    ("width", "height", "stops"), [(70.0, 110.0, False), (110.0, 70.0, False), (90.0, 90.0, True)]
)
def test_faces_below_80_pixels_may_be_too_small_for_the_detector(width, height, stops):
    boxes = np.add(faces(12, around=(200.0, 180.0), side=0.0), [0.0, 0.0, width, height])
    boxes[0, 2:] = boxes[0, :2] + [400.0, 300.0]
    dataset = in_memory(boxes, (900, 700))
    (suspicion,) = review(dataset, one_face((700.0, 500.0, 800.0, 600.0)))
    assert (suspicion.code, suspicion.stops) == ("box", stops)


SMALL_FACE, AROUND_IT = (300.0, 250.0, 320.0, 270.0), (200.0, 220.0, 330.0, 280.0)
"""The middle of the first is 310, 260; that of the second is 265, 250, beside the first."""


@pytest.mark.parametrize(
    ("box", "face", "is_on_it"),
    [
        (SMALL_FACE, AROUND_IT, True),
        (AROUND_IT, SMALL_FACE, True),
        ((300, 250, 380, 330), (240, 190, 330, 280), False),
        ((300, 250, 380, 330), (300, 100, 380, 180), False),
        ((300, 250, 380, 330), (100, 250, 180, 330), False),
    ],
    ids=["face around box", "box around face", "corners touch", "above", "beside"],
)
def test_box_lies_on_a_face_where_one_holds_the_middle_of_the_other(box, face, is_on_it):
    """A second face, elsewhere, changes nothing."""
    both = np.array([ELSEWHERE, face], dtype=float)
    found = review(in_memory(np.tile(np.array(box, dtype=float), (12, 1))), lambda image: both)
    assert [one.code for one in found] == [] if is_on_it else ["box"]


def test_images_that_cannot_be_read_show_nothing():
    class Unreadable(InMemory):
        def read_image(self, record):
            raise DataError("not there")

    boxes = list(faces(12))
    dataset = Unreadable(boxes, [ImageSize((600, 400))] * 12)
    assert review(dataset, one_face((500, 300, 590, 390))) == []


def test_longer_side_says_how_far_an_image_is_reduced_for_the_detector():
    boxes = np.tile([1000.0, 300.0, 1200.0, 500.0], (12, 1)) + np.arange(12)[:, None]
    dataset, shapes = in_memory(boxes, (2200, 900)), set()

    def find_faces(image):
        shapes.add(image.shape)
        return np.array([[505.0, 150.0, 605.0, 250.0]])

    assert review(dataset, find_faces) == []
    assert shapes == {(450, 1100, 3)}


@pytest.mark.parametrize(("overlap", "is_named"), [(0.34, False), (0.46, True)])
def test_another_form_is_named_where_it_lies_on_the_faces(overlap, is_named):
    """In a square image y before x shows nothing but to the detector.

    A second face in each image, and one image with another face, change nothing.
    """
    boxes = np.tile([310.0, 90.0, 410.0, 190.0], (12, 1))
    d = 100.0 * (1.0 - overlap) / (1.0 + overlap)
    seen = np.array([(90.0 + d, 310.0, 190.0 + d, 410.0), (500.0, 500.0, 590.0, 590.0)])
    dataset = in_memory(boxes, (600, 600))
    (found,) = review(dataset, lambda image: seen if image[0, 0, 0] else seen[1:])
    expected = ("box=yxyx", True) if is_named else ("write the box of the labelled face", False)
    assert (found.fix, found.is_option, found.stops) == (*expected, True)


@pytest.mark.parametrize("sizes_wh", [[(600, 400)], [(600, 400), (500, 400)]])
def test_smaller_images_are_named_with_their_size_where_all_have_one(sizes_wh):
    boxes = faces(12, around=(150.0, 100.0), side=60.0)
    dataset = in_memory(boxes)
    dataset.sizes = [ImageSize(sizes_wh[i % len(sizes_wh)]) for i in range(12)]

    def find_faces(image):  # the surest face first, but for one image
        number = image[0, 0, 0]
        both = np.array([2.0 * dataset.boxes[number], ELSEWHERE])
        return both if number else both[1:]

    (suspicion,) = review(dataset, find_faces)
    assert (suspicion.code, suspicion.fix) == ("box_size", "box_size=WIDTHxHEIGHT")
    assert suspicion.is_option
    made_on = "images of about 300x200" if len(sizes_wh) == 1 else "smaller images"
    assert suspicion.seen.endswith(f"but fit as boxes of {made_on}")
