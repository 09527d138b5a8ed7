"""Each mistake is planted here as its words say, with SciPy; errors are made to measure."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import ttest_rel

from hpbench.datasets.table import Table
from hpbench.datasets.table._labels import TableOptions
from hpbench.scoring.known_mistakes import MISTAKES, RotationMistake, diagnose, t_of_gain
from hpbench.spec import parse_spec

ANGLES = ("yaw", "pitch", "roll")
ANGLES_DEG = np.random.default_rng(3).uniform((-60, -40, -40), (60, 40, 40), (40, 3))
FRAMES = {
    "y up and z to the viewer": np.diag([1.0, -1.0, -1.0]),
    "x to the left and y up": np.diag([-1.0, -1.0, 1.0]),
    "x to the left and z to the viewer": np.diag([-1.0, 1.0, -1.0]),
}


def rotations(angles_deg) -> np.ndarray:
    yaw, pitch, roll = np.transpose(angles_deg)
    return Rotation.from_euler("XYZ", np.stack([-pitch, yaw, roll], 1), degrees=True).as_matrix()


def angles_of(R) -> np.ndarray:
    x, y, z = Rotation.from_matrix(R).as_euler("XYZ", degrees=True).T
    return np.stack([y, -x, z], axis=1)


GROUND_TRUTH = rotations(ANGLES_DEG)


def turns(words: str) -> str:
    """``Rz(roll) Ry(yaw) Rx(-pitch)`` as SciPy's ZYX."""
    return "".join(re.findall(r"R([xyz])", words)).upper()


def composed(order: str, angles_deg) -> np.ndarray:
    yaw, pitch, roll = np.transpose(angles_deg)
    about = {"X": -pitch, "Y": yaw, "Z": roll}
    columns = np.stack([about[axis] for axis in order], axis=1)
    return Rotation.from_euler(order, columns, degrees=True).as_matrix()


def read_in_order(order: str, R) -> np.ndarray:
    read = dict(zip(order, Rotation.from_matrix(R).as_euler(order, degrees=True).T, strict=True))
    return np.stack([read["Y"], -read["X"], read["Z"]], axis=1)


def with_swapped_signs(words: str, R) -> np.ndarray:
    return rotations(angles_of(R) * [-1.0 if angle in words else 1.0 for angle in ANGLES])


def with_axes(words: str, axes) -> np.ndarray:
    """Axes as they are now, shape (n, axis, 3), whose right ones are -y, x, z of them."""
    now = np.empty_like(axes)
    for right, (sign, name) in enumerate(re.findall(r"(-?)([xyz])(?=,|$)", words)):
        now[:, "xyz".index(name)] = (-1.0 if sign else 1.0) * axes[:, right]
    return now


def planted(text: str) -> np.ndarray:
    """The ground truth with the mistake of these words."""
    R = GROUND_TRUTH
    if "inverted" in text:
        return with_swapped_signs(text.partition("transposed")[2], np.swapaxes(R, 1, 2))
    if match := re.match("the sign of (.*) is swapped", text):
        return with_swapped_signs(match[1], R)
    if match := re.match("the Euler angles are put together as (.*) instead of (.*)", text):
        assert turns(match[2]) == "XYZ"
        return composed(turns(match[1]), ANGLES_DEG)
    if match := re.match("angles of the order (.*) are put together as (.*)", text):
        assert turns(match[2]) == "XYZ"
        return rotations(read_in_order(turns(match[1]), R))
    if match := re.search("the order is (.*), (.*), (.*)", text):
        return rotations(ANGLES_DEG[:, [ANGLES.index(angle) for angle in match.groups()]])
    if match := re.match("(.*) and (.*) are exchanged", text):
        other = {match[1]: match[2], match[2]: match[1]}
        return rotations(ANGLES_DEG[:, [ANGLES.index(other.get(a, a)) for a in ANGLES]])
    if text == "a rotation vector is read as Euler angles":
        x, y, z = np.degrees(Rotation.from_matrix(R).as_rotvec()).T
        return rotations(np.stack([y, -x, z], axis=1))
    if text == "Euler angles are read as a rotation vector":
        yaw, pitch, roll = np.radians(ANGLES_DEG).T
        return Rotation.from_rotvec(np.stack([-pitch, yaw, roll], axis=1)).as_matrix()
    if match := re.match("the head's axes x, y, z should be (.*)", text):
        return np.swapaxes(with_axes(match[1], np.swapaxes(R, 1, 2)), 1, 2)  # columns of R
    if match := re.match("the camera's axes x, y, z should be (.*)", text):
        return with_axes(match[1], R)
    if match := re.match("(.*) alone is in radians and read as degrees", text):
        return rotations(
            np.where([angle == match[1] for angle in ANGLES], np.radians(ANGLES_DEG), ANGLES_DEG)
        )
    assert text == "angles in radians are read as degrees"
    return rotations(np.radians(ANGLES_DEG))


def test_every_fix_undoes_what_the_words_of_its_mistake_say():
    for mistake in MISTAKES:
        undone = mistake.fix(planted(mistake.text))
        np.testing.assert_allclose(undone, GROUND_TRUTH, atol=1e-9, err_msg=mistake.text)


def test_every_frame_that_is_named_has_the_signs_that_it_is_named_with():
    named = 0
    for mistake in MISTAKES:
        if match := re.search("axes of a frame with (.*) are kept", mistake.text):
            S, named = FRAMES[match[1]], named + 1
            np.testing.assert_allclose(mistake.fix(S @ GROUND_TRUTH @ S), GROUND_TRUTH, atol=1e-9)
    assert named == len(FRAMES)


def test_no_sign_order_or_axis_is_left_out_or_there_twice():
    """2^3 - 1 signs; 5 orders, wrong way in and out; 3! - 1 exchanges; 24 - 1 turns of axes.

    Inverted are rotations in this project's frame and in three others.
    """
    texts = [mistake.text for mistake in MISTAKES]
    assert len(set(texts)) == len(texts)

    def count(words):
        return sum(bool(re.match(words, text)) for text in texts)

    assert count("the sign") == 7
    assert count("the Euler angles are put") == count("angles of the order") == 5
    assert count(".*exchanged") == 5
    assert count("the head's axes") == count("the camera's axes") == 23
    assert count("the rotation is inverted") == 1 + 3
    assert "the rotation is inverted (the matrix is transposed)" in texts
    assert count(".*alone is in radians") == 3
    assert len(texts) == 7 + 2 * 5 + 5 + 2 * 23 + 4 + 3 + 3  # a rotation vector twice, radians


def test_labels_with_a_mistake_are_read_right_under_its_option_of_a_table(tmp_path: Path):
    named = [mistake for mistake in MISTAKES if mistake.table_option]
    assert len(named) == 7 + 5
    for mistake in named:
        rows = [
            f"{number}.png,{yaw},{pitch},{roll}"
            for number, (yaw, pitch, roll) in enumerate(angles_of(planted(mistake.text)))
        ]
        (tmp_path / "labels.csv").write_text("\n".join(["image,yaw,pitch,roll", *rows]) + "\n")
        options = TableOptions(**parse_spec(f"table[{mistake.table_option}]").options)
        records = Table(tmp_path / "labels.csv", options).records()
        read = np.array([record.label.R_cam for record in records])
        np.testing.assert_allclose(read, GROUND_TRUTH, atol=1e-9, err_msg=mistake.text)


# ---- when a mistake is concluded ----------------------------------------------------------------


def off_by(errors_deg) -> np.ndarray:
    """The first rotations of the ground truth, each off by so many degrees."""
    about_z = np.outer(np.radians(errors_deg), [0.0, 0.0, 1.0])
    return GROUND_TRUTH[: len(about_z)] @ Rotation.from_rotvec(about_z).as_matrix()


def diagnosed(errors_deg, *left_deg):
    """Diagnosis of predictions with these errors, of which mistakes leave those."""
    mistakes = [
        RotationMistake(f"mistake {number}", "sign", lambda R, left=left: off_by(left))
        for number, left in enumerate(left_deg)
    ]
    return diagnose(off_by(errors_deg), GROUND_TRUTH[: len(errors_deg)], mistakes)


def around(mean, half_width, count=16):
    """Numbers of this mean; their standard deviation is `half_width` * sqrt(count / (count-1))."""
    return mean + half_width * np.where(np.arange(count) % 2, 1.0, -1.0)


def test_diagnosis_has_the_mean_errors_with_and_without_the_mistake():
    found = diagnosed(around(20.0, 3.0), around(5.0, 1.0))
    assert (found.faces, found.mistake.text) == (16, "mistake 0")
    assert (found.error_deg, found.fixed_deg) == pytest.approx((20.0, 5.0))


def test_what_no_mistake_explains_keeps_its_error():
    found = diagnosed(around(20.0, 3.0), around(30.0, 1.0))
    assert found.mistake is None
    assert found.fixed_deg == found.error_deg == pytest.approx(20.0)


@pytest.mark.parametrize(("faces", "is_concluded"), [(11, False), (12, True)])
def test_a_mistake_is_concluded_from_twelve_faces_on(faces, is_concluded):
    found = diagnosed(np.full(faces, 20.0), np.full(faces, 2.0))
    assert (found.mistake is not None) == is_concluded


@pytest.mark.parametrize(("left_deg", "is_concluded"), [(18.4, False), (17.4, True)])
def test_a_gain_of_eight_percent_is_a_trifle_and_one_of_thirteen_is_none(left_deg, is_concluded):
    found = diagnosed(np.full(16, 20.0), np.full(16, left_deg))
    assert (found.mistake is not None) == is_concluded


@pytest.mark.parametrize(("t", "is_concluded"), [(3.3, False), (4.7, True)])
def test_a_gain_has_to_stand_out_from_the_spread_of_the_faces(t, is_concluded):
    """5 degrees of 20; the standard error of the mean is s / sqrt(15) of gains 5 - s and 5 + s."""
    half_width = 5.0 / t * np.sqrt(15.0)
    found = diagnosed(np.full(16, 20.0), around(15.0, half_width))
    assert (found.mistake is not None) == is_concluded


@pytest.mark.parametrize(("left_deg", "is_concluded"), [(48.0, False), (42.0, True)])
def test_predictions_that_stay_far_off_are_not_explained(left_deg, is_concluded):
    found = diagnosed(np.full(16, 100.0), np.full(16, left_deg))
    assert (found.mistake is not None) == is_concluded


@pytest.mark.parametrize(("t", "named"), [(0.75, "mistake 0"), (1.3, "mistake 1")])
def test_of_mistakes_that_explain_as_well_within_chance_the_more_usual_is_named(t, named):
    half_width = 0.2 / t * np.sqrt(15.0)
    found = diagnosed(np.full(16, 20.0), around(5.2, half_width), np.full(16, 5.0))
    assert found.mistake.text == named
    assert found.fixed_deg == pytest.approx(5.2 if named == "mistake 0" else 5.0)


def test_nothing_predicted_is_no_evidence_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = diagnose(np.empty((0, 3, 3)), np.empty((0, 3, 3)))
    assert (found.faces, found.mistake) == (0, None)
    assert np.isnan(found.error_deg)


def test_exact_and_opposite_rotations_are_off_by_nothing_and_by_half_a_turn():
    """Rounding takes a cosine beyond 1 and -1, where there is no angle."""
    many = Rotation.from_quat(np.random.default_rng(6).normal(size=(500, 4)))
    opposite = many * Rotation.from_rotvec([0.0, np.pi, 0.0])
    exact = diagnose(many.as_matrix(), many.as_matrix(), [])
    assert exact.error_deg == pytest.approx(0.0, abs=1e-5)
    half = diagnose(opposite.as_matrix(), many.as_matrix(), [])
    assert half.error_deg == pytest.approx(180.0, abs=1e-5)


def test_t_of_a_gain_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(5)
    errors, than = rng.gamma(2.0, 3.0, (2, 30))
    assert t_of_gain(errors, than) == pytest.approx(ttest_rel(than, errors).statistic)
