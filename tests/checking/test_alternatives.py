"""Mistakes of a method's input: what undoing one does to it, and when one is concluded."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from scipy.special import softmax

from hpbench.checking.alternatives import INPUT_MISTAKES, errors_deg, find_input_mistake
from hpbench.errors import HpbenchError
from hpbench.face import Face
from hpbench.method import Method, MethodCard, NoPrediction, Prediction
from hpbench.rotation import rotation_from_angles

RNG = np.random.default_rng(0)
IMAGENET = (255.0 * np.array([0.485, 0.456, 0.406]), 255.0 * np.array([0.229, 0.224, 0.225]))
SCALES = {  # shift and divisor, as torchvision, Keras and most code have them
    "0..255": (0.0, 1.0),
    "0..1": (0.0, 255.0),
    "-1..1": (127.5, 127.5),
    "ImageNet's mean and std": IMAGENET,
}
MISSING = {
    "the mean is missing (ImageNet's)": ((0.0, IMAGENET[1]), IMAGENET),
    "the std is missing (ImageNet's)": ((IMAGENET[0], 255.0), IMAGENET),
    "the mean is missing (that of -1..1)": ((0.0, 127.5), (127.5, 127.5)),
    "the std is missing (that of -1..1)": ((127.5, 255.0), (127.5, 127.5)),
    "the std is missing (that of -1..1 in bytes)": ((127.5, 1.0), (127.5, 127.5)),
}
SCALING = [mistake for mistake in INPUT_MISTAKES if mistake.category == "scaling"]
(BGR,) = (mistake for mistake in INPUT_MISTAKES if mistake.category == "colour")
SOFTMAX, LOGARITHM = (mistake for mistake in INPUT_MISTAKES if mistake.category == "scores")


class Recorder(Method):
    """Keeps what its network and its decoder are given, and predicts frontal."""

    name, summary = "recorder", "for a test"

    def __init__(self, made, output=None):
        super().__init__()
        self.made, self.output = made, output

    def card(self):
        return MethodCard(name=self.name, title=self.name)

    def prepare(self, face):
        return self.made(face.image)

    def infer(self, batch):
        self.given = batch
        return batch if self.output is None else self.output

    def decode(self, output):
        self.decoded = output
        return [Prediction(np.eye(3))] * len(self.given)


def coloured_face(number=0):
    return Face(str(number), RNG.integers(0, 256, (5, 4, 3), dtype=np.uint8), np.ones(4))


def scaled(image, scale):
    shift, divisor = scale
    return (image.astype(np.float64) - shift) / divisor


def declared_and_wanted(text):
    """The two scales that the words of a mistake name."""
    if text in MISSING:
        return MISSING[text]
    match = re.search(r"input is (?:scaled to )?(.+?)(?:,| and) the network wants (.+)\)", text)
    return SCALES[match[1]], SCALES[match[2]]


def undone_input(mistake, made, face):
    recorder = Recorder(made)
    assert errors_deg(recorder, [face], np.eye(3)[None], mistake) is not None
    return recorder.given[0]


def test_every_pair_of_usual_scales_can_be_a_mistake():
    texts = {mistake.text for mistake in SCALING}
    pairs = {str(declared_and_wanted(text)) for text in texts - MISSING.keys()}
    assert len(pairs) == 4 * 3
    assert MISSING.keys() < texts
    assert len(texts) == len(SCALING) == 12 + 5


@pytest.mark.parametrize("mistake", SCALING, ids=lambda mistake: mistake.text)
def test_undone_scaling_gives_the_input_that_the_words_say_the_network_wants(mistake):
    face = coloured_face()
    declared, wanted = declared_and_wanted(mistake.text)
    right = scaled(face.image, wanted)
    made = undone_input(mistake, lambda image: scaled(image, declared).astype(np.float32), face)
    np.testing.assert_allclose(made, right, rtol=1e-5, atol=2e-4)
    # a network that scales bytes itself is given the pixels that come out right
    pixels = undone_input(mistake, lambda image: image, face)
    np.testing.assert_allclose(scaled(pixels, declared), right, rtol=1e-5, atol=2e-4)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0..255 and the network wants 0..1)", "white is wrong"),
        ("0..1, the network wants -1..1)", "mean and std are missing"),
        ("-1..1, the network wants 0..255)", "mean and std are too many"),
        ("-1..1, the network wants ImageNet's mean and std)", "mean and std are wrong"),
    ],
)
def test_scaling_mistake_says_what_is_wrong_with_the_card(text, kind):
    (mistake,) = (one for one in SCALING if one.text.endswith(text))
    assert mistake.text.startswith(kind)


def layouts():
    def colours_first(image):
        return np.moveaxis(image, -1, 0)

    return {
        "colours last": (lambda image: image, lambda given: given),
        "colours first": (colours_first, lambda given: np.moveaxis(given, 0, -1)),
        "a batch of one": (
            lambda image: colours_first(image)[None],
            lambda given: np.moveaxis(given[0], 0, -1),
        ),
        "image and box": (
            lambda image: (image, np.array([1.0, 2.0])),
            lambda given: given[0],
        ),
    }


@pytest.mark.parametrize("layout", layouts())
def test_input_is_changed_in_whatever_layout_the_network_takes_it(layout):
    into, back = layouts()[layout]
    (mistake,) = (one for one in SCALING if one.text.startswith("the mean is missing (ImageN"))
    declared, wanted = MISSING[mistake.text]
    face = coloured_face()
    given = undone_input(
        mistake, lambda image: into(scaled(image, declared).astype(np.float32)), face
    )
    np.testing.assert_allclose(back(given), scaled(face.image, wanted), atol=1e-4)
    if isinstance(given, tuple):
        assert given[1].tolist() == [1.0, 2.0]


def test_black_border_of_a_crop_is_not_what_white_becomes():
    (mistake,) = (one for one in SCALING if one.text.startswith("the mean is missing (ImageN"))
    declared, wanted = MISSING[mistake.text]
    face = coloured_face()

    def made(image):
        cut = np.zeros((7, 4, 3), np.float32)
        cut[1:6] = scaled(image, declared)
        return cut

    given = undone_input(mistake, made, face)
    np.testing.assert_allclose(given[1:6], scaled(face.image, wanted), atol=1e-4)


def test_tensor_stays_a_tensor():
    import torch

    face = coloured_face()
    given = undone_input(SCALING[0], lambda image: torch.from_numpy(image.copy()), face)
    assert isinstance(given, torch.Tensor)
    assert given.shape == (5, 4, 3)


@pytest.mark.parametrize(
    "made",
    [
        lambda image: {"spots": 3},
        lambda image: np.ones(7),
        lambda image: image.mean(axis=-1, dtype=np.float32)[None],
        lambda image: (image - image.mean()).astype(np.float32),
        lambda image: image * np.array([1.0, 0.0, 1.0], np.float32),
    ],
    ids=["no array", "numbers", "grey", "brightness taken out", "one colour taken out"],
)
def test_input_without_black_and_white_of_three_colours_has_no_scale_to_undo(made):
    assert errors_deg(Recorder(made), [coloured_face()], np.eye(3)[None], SCALING[0]) is None


def test_exchanged_colours_are_those_of_the_image_and_the_face_stays_as_it_is():
    face = coloured_face()
    before = face.image.copy()
    given = undone_input(BGR, lambda image: image, face)
    assert np.array_equal(given, np.stack([before[..., 2], before[..., 1], before[..., 0]], -1))
    assert np.array_equal(face.image, before)


# ---- scores of bins -----------------------------------------------------------------------------

HEADS = RNG.normal(0.0, 3.0, (3, 2, 66))  # three angles of two faces
SCORES = {
    "a list of heads": (list, lambda decoded: np.array(decoded)),
    "heads side by side": (
        lambda heads: np.concatenate(list(heads), axis=1),
        lambda decoded: np.moveaxis(decoded.reshape(2, 3, 66), 1, 0),
    ),
    "heads side by side, in a list of one": (
        lambda heads: [np.concatenate(list(heads), axis=1)],
        lambda decoded: np.moveaxis(decoded[0].reshape(2, 3, 66), 1, 0),
    ),
    "faces, heads, bins": (
        lambda heads: np.moveaxis(heads, 0, 1),
        lambda decoded: np.moveaxis(decoded, 1, 0),
    ),
    "heads beside offsets": (
        lambda heads: (*heads, np.zeros((2, 3))),
        lambda decoded: np.array(decoded[:3]),
    ),
}


def undone_scores(mistake, output):
    recorder = Recorder(lambda image: image, output)
    faces = [coloured_face(0), coloured_face(1)]
    errors = errors_deg(recorder, faces, np.tile(np.eye(3), (2, 1, 1)), mistake)
    return None if errors is None else recorder.decoded


@pytest.mark.parametrize("form", SCORES)
def test_missing_softmax_is_over_the_bins_of_each_angle(form):
    into, back = SCORES[form]
    decoded = undone_scores(SOFTMAX, into(HEADS))
    np.testing.assert_allclose(back(decoded), softmax(HEADS, axis=-1), rtol=1e-9)
    if isinstance(decoded, tuple):
        assert decoded[3].shape == (2, 3)
        assert not decoded[3].any()


@pytest.mark.parametrize("form", SCORES)
def test_second_softmax_is_undone_up_to_a_constant_that_no_softmax_sees(form):
    into, back = SCORES[form]
    decoded = undone_scores(LOGARITHM, into(softmax(HEADS, axis=-1)))
    np.testing.assert_allclose(softmax(back(decoded), axis=-1), softmax(HEADS, axis=-1), rtol=1e-6)


def test_what_are_no_probabilities_has_had_no_softmax_and_what_are_has_had_one():
    assert undone_scores(LOGARITHM, list(HEADS)) is None
    assert undone_scores(LOGARITHM, list(np.abs(HEADS))) is None
    assert undone_scores(SOFTMAX, list(softmax(HEADS, axis=-1))) is None
    sum_to_one = HEADS - HEADS.mean(axis=-1, keepdims=True) + 1.0 / 66.0
    assert undone_scores(LOGARITHM, list(sum_to_one)) is None
    assert undone_scores(SOFTMAX, list(sum_to_one)) is not None


@pytest.mark.parametrize("output", [np.ones((2, 9)), [np.ones((2, 6))] * 3, np.ones(66)])
def test_a_rotation_or_a_few_numbers_are_no_scores_of_bins(output):
    assert undone_scores(SOFTMAX, output) is None


def test_scores_of_a_tensor_are_changed_as_those_of_an_array():
    import torch

    decoded = undone_scores(SOFTMAX, [torch.from_numpy(head) for head in HEADS])
    assert all(isinstance(one, torch.Tensor) for one in decoded)
    np.testing.assert_allclose([one.numpy() for one in decoded], softmax(HEADS, axis=-1))


# ---- when a mistake is concluded ----------------------------------------------------------------


class RedIsBlue(Method):
    """Knows every pose; off by `right` degrees where blue is above red and `wrong` where not."""

    name, summary = "red_is_blue", "for a test"

    def __init__(self, wrong, right, only_right=()):
        super().__init__()
        self.wrong, self.right, self.only_right = wrong, right, only_right
        self.shown = Counter()

    def card(self):
        return MethodCard(name=self.name, title=self.name)

    def prepare(self, face):
        red, _, blue = face.image[0, 0].astype(int)
        is_right, number = blue > red, int(face.image_id)
        is_plain = {red, blue} == {40, 200}
        self.shown["exchanged" if is_right else "as it is", is_plain] += 1
        if not is_right and number in self.only_right:
            return NoPrediction("nothing seen")
        error_deg = (self.right if is_right else self.wrong)[number]
        return TRUTH[number] @ rotation_from_angles([error_deg, 0.0, 0.0])

    def infer(self, batch):
        return batch

    def decode(self, output):
        return [Prediction(R_cam) for R_cam in output]


COUNT = 72
TRUTH = rotation_from_angles(RNG.uniform((-40, -30, -30), (40, 30, 30), (COUNT, 3)))


def reddish_face(number):
    image = np.full((4, 4, 3), 120, np.uint8)
    image[..., 0], image[..., 2] = 200, 40
    return Face(str(number), image, np.ones(4))


FACES = [reddish_face(number) for number in range(COUNT)]


def around(mean, half_width=0.0):
    return mean + half_width * np.where(np.arange(COUNT) // 12 % 2, 1.0, -1.0)


def found(wrong, right, count=COUNT, **more):
    method = RedIsBlue(np.asarray(wrong), np.asarray(right), **more)
    return find_input_mistake(method, FACES[:count], TRUTH[:count], ["face"]), method.shown


def test_finding_has_the_errors_with_and_without_the_mistake():
    finding, _ = found(around(20.0), around(5.0))
    assert finding.mistake.text == "BGR for RGB"
    assert (finding.error_deg, finding.fixed_deg) == pytest.approx((20.0, 5.0))
    assert (finding.plain_deg, finding.plain_fixed_deg) == pytest.approx((20.0, 5.0))
    assert (finding.predicted, finding.predicted_fixed) == (COUNT, COUNT)


def test_face_without_a_prediction_counts_as_one_that_has_nothing_to_do_with_it():
    finding, _ = found(around(20.0), around(5.0), only_right=range(0, COUNT, 4))
    assert finding.plain_deg == pytest.approx(0.75 * 20.0 + 0.25 * 90.0)
    assert finding.plain_fixed_deg == pytest.approx(5.0)
    assert (finding.predicted, finding.predicted_fixed) == (COUNT * 3 // 4, COUNT)


def test_large_gain_on_plain_images_is_proof_and_a_small_one_is_looked_at_on_changed_images():
    finding, shown = found(around(20.0), around(12.5))
    assert finding is not None
    assert shown == {("as it is", True): COUNT, ("exchanged", True): COUNT}
    finding, shown = found(around(20.0), around(15.0))
    assert finding is not None
    changed = 6 * COUNT // 3  # a third of the faces under each of six changes
    assert shown["as it is", False] == shown["exchanged", False] == changed
    assert shown["as it is", True] == shown["exchanged", True] == COUNT


def test_alternative_that_is_clearly_worse_is_tried_on_twelve_faces_only():
    finding, shown = found(around(10.0), around(20.0, 1.0))
    assert finding is None
    assert shown == {("as it is", True): 12, ("exchanged", True): 12}


@pytest.mark.parametrize(("t_of_12", "faces"), [(-2.5, 12), (-1.5, 36), (-0.75, 36), (-0.5, 72)])
def test_the_worse_an_alternative_looks_the_sooner_it_is_given_up(t_of_12, faces):
    """After 12 faces by more than 2 standard errors, after 36 and 72 by more than one.

    Differences d - s and d + s, equally often, have the standard error s / sqrt(n - 1), so that
    those of 36 faces are sqrt(35 / 11) = 1.8 times as sure: -0.75 and -0.5 become -1.3 and -0.9.
    """
    half_width = 3.0
    mean = 20.0 - t_of_12 * half_width / np.sqrt(11.0)
    signs = np.where(np.arange(COUNT) // 6 % 2, 1.0, -1.0)  # equally often among every sixth
    _, shown = found(around(20.0), mean + half_width * signs)
    assert shown["exchanged", True] == faces


def test_changed_images_have_more_colour_more_and_less_contrast_and_less_and_more_light():
    """Red 200, green 120, blue 40: the mean is 120, the grey 0.299 R + 0.587 G + 0.114 B 134.8."""
    colours, times = set(), Counter()

    class Looks(RedIsBlue):
        def prepare(self, face):
            colours.add(tuple(face.image[0, 0].tolist()))
            times[face.image_id] += 1
            return super().prepare(face)

    find_input_mistake(Looks(around(20.0), around(15.0)), FACES, TRUTH, ["face"])
    as_it_is = {(red, green, blue) for red, green, blue in colours if red > blue}
    assert as_it_is == {
        (200, 120, 40),
        (255, 90, 0),  # three times as far from the grey, within 0 to 255
        (144, 120, 96),  # 0.3 times as far from the mean
        (255, 120, 0),  # 2.5 times
        (70, 42, 14),  # 0.35 times as light
        (236, 208, 180),  # 0.35 times as far from white
    }
    assert colours == as_it_is | {colour[::-1] for colour in as_it_is}
    assert set(times.values()) == {2 * (1 + 2)}  # plain and changed twice, as it is and exchanged


@pytest.mark.parametrize(("gain", "is_found"), [(0.022, False), (0.04, True)])
def test_a_gain_of_two_percent_is_a_trifle_and_one_of_four_is_none(gain, is_found):
    finding, _ = found(around(20.0), around(20.0 * (1.0 - gain)))
    assert (finding is not None) == is_found


@pytest.mark.parametrize(("right", "is_found"), [(42.0, True), (48.0, False)])
def test_predictions_that_stay_far_off_are_not_explained(right, is_found):
    finding, shown = found(around(100.0), around(right))
    assert (finding is not None) == is_found
    assert shown["exchanged", True] == (COUNT if is_found else 36)
    finding, _ = found(around(100.0), around(right), count=12)
    assert (finding is not None) == is_found


class WantsScale(Method):
    """Off by 2 degrees on the input that it wants, and by up to 30 on another."""

    name, summary = "wants_scale", "for a test"

    def __init__(self, declared, wanted):
        super().__init__()
        self.declared, self.wanted = declared, wanted

    def card(self):
        return MethodCard(name=self.name, title=self.name)

    def prepare(self, face):
        image = scaled(face.image, self.declared).astype(np.float32)
        wanted = scaled(face.image, self.wanted)
        return image, np.array([int(face.image_id), *wanted.ravel()])  # the second is no image

    def infer(self, batch):
        off = [(int(what[0]), np.abs(image.ravel() - what[1:]).mean()) for image, what in batch]
        return [
            TRUTH[number] @ rotation_from_angles([2.0 + 28.0 * np.tanh(by), 0.0, 0.0])
            for number, by in off
        ]

    def decode(self, output):
        return [Prediction(R_cam) for R_cam in output]


@pytest.mark.parametrize(
    ("declared", "wanted"),
    [("0..1", "-1..1"), ("-1..1", "ImageNet's mean and std"), ("0..255", "0..1")],
)
def test_of_all_alternatives_the_one_that_the_network_wants_is_named(declared, wanted):
    method = WantsScale(SCALES[declared], SCALES[wanted])
    faces = [coloured_face(number) for number in range(24)]
    finding = find_input_mistake(method, faces, TRUTH[:24], ["face", "input"])
    assert declared_and_wanted(finding.mistake.text) == (SCALES[declared], SCALES[wanted])
    assert finding.plain_fixed_deg == pytest.approx(2.0, abs=0.01)


def test_gain_that_may_be_chance_is_no_finding():
    """Half of the faces gain 12 degrees of 20 and half lose 8: a mean of 2, far below 4 errors."""
    finding, _ = found(around(20.0), around(18.0, 10.0))
    assert finding is None
    finding, _ = found(around(20.0), around(18.0, 3.0))
    assert finding is not None


@pytest.mark.parametrize(("count", "is_found"), [(11, False), (12, True)])
def test_a_mistake_is_concluded_from_twelve_faces_on(count, is_found):
    finding, _ = found(around(20.0), around(5.0), count)
    assert (finding is not None) == is_found


# ---- methods that do not play along -------------------------------------------------------------


def test_method_that_is_exact_whatever_it_sees_has_no_mistake():
    """A stored or an ideal prediction is off by nothing, of which nothing can be a share."""
    exact = np.zeros(COUNT)
    finding, _ = found(exact, exact)
    assert finding is None


def test_first_face_without_a_prediction_does_not_hide_a_wrong_scale():
    """Black and white, as the network gets them, can be seen on any other face."""
    declared = SCALES["0..1"]

    def made(image):
        if image.shape == (6, 6, 3):
            return NoPrediction("no face found")
        return scaled(image, declared).astype(np.float32)

    blind = Face("blind", np.zeros((6, 6, 3), np.uint8), np.ones(4))
    recorder = Recorder(made)
    (mistake,) = (one for one in SCALING if one.text.endswith("0..1, the network wants -1..1)"))
    seen = coloured_face(1)
    errors = errors_deg(recorder, [blind, seen], np.tile(np.eye(3), (2, 1, 1)), mistake)
    assert errors.tolist() == pytest.approx([90.0, 0.0])
    np.testing.assert_allclose(recorder.given[0], scaled(seen.image, SCALES["-1..1"]), atol=1e-5)


@pytest.mark.parametrize("error", [HpbenchError("the worker has ended"), ValueError("no such")])
def test_what_a_method_raises_on_images_as_they_are_is_not_hidden(error):
    class Raises(RedIsBlue):
        def infer(self, batch):
            raise error

    method = Raises(around(20.0), around(5.0))
    with pytest.raises(type(error), match=str(error)):
        find_input_mistake(method, FACES, TRUTH, ["face"])


def test_alternative_on_which_a_method_raises_is_none():
    class Raises(RedIsBlue):
        def prepare(self, face):
            if face.image[0, 0, 2] > face.image[0, 0, 0]:
                raise ValueError("red faces only")
            return super().prepare(face)

    method = Raises(around(20.0), around(5.0))
    assert find_input_mistake(method, FACES, TRUTH, ["face"]) is None


def test_rotation_that_is_not_a_number_counts_as_no_prediction():
    recorder = Recorder(lambda image: image)
    recorder.decode = lambda output: [Prediction(np.full((3, 3), np.nan))]
    assert errors_deg(recorder, [coloured_face()], np.eye(3)[None]).tolist() == [90.0]
