"""How many labels have to look wrong, and how wrong, before something is said about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from hpbench.dataset import Label, Record
from hpbench.datasets.sample import Sample
from hpbench.datasets.table import Table
from hpbench.labels.landmarks import angles_seen_in_landmarks
from hpbench.labels.plausibility import (
    _rank_correlation,
    review_angles,
    review_columns,
    review_labels,
    screened,
)

RNG = np.random.default_rng(4)
HONEST = RNG.normal(0.0, (30.0, 15.0, 10.0), (100, 3)).clip(-90.0, 90.0)
TABLE = Table(Path("labels.csv"))


def codes(angles) -> list[str]:
    return [one.code for one in review_angles(np.array(angles, dtype=float))]


def record(angles, R_cam=None, **more) -> Record:
    label = Label.from_angles(*angles) if R_cam is None else Label(np.array(angles), R_cam)
    return Record("a", Path("a.jpg"), label, **more)


# ---- single labels ------------------------------------------------------------------------------


def test_matrix_that_is_no_rotation_is_excluded_with_its_reason():
    """Numbers of two decimals are one: scaled by s, R R^T is off by s^2 - 1, 0.009 and 0.013."""
    (bad,) = screened([record([0.0, 0.0, 0.0], 1.0065 * np.eye(3))])
    assert (bad.label, bad.excluded) == (None, "label is no rotation")
    (good,) = screened([record([0.0, 0.0, 0.0], 1.0045 * np.eye(3))])
    assert good.excluded is None


@pytest.mark.parametrize(("yaw", "wrapped"), [(180.0, 180.0), (190.0, -170.0), (359.0, -1.0)])
def test_angle_up_to_a_full_turn_is_the_same_direction_within_half_a_turn(yaw, wrapped):
    (screened_record,) = screened([record([yaw, 0.0, 0.0])])
    assert screened_record.label.angles_deg.tolist() == pytest.approx([wrapped, 0.0, 0.0])


def test_angle_that_is_furthest_beyond_is_the_one_that_is_named():
    (bad,) = screened([record([200.0, -4000.0, 361.0])])
    assert bad.excluded == "label pitch -4000 is no angle in degrees; a decimal point may be lost"


def test_angle_beyond_a_full_turn_is_none():
    (bad,) = screened([record([0.0, 0.0, -370.0])])
    assert bad.excluded.startswith("label roll -370 is no angle in degrees")


def test_face_that_is_excluded_or_has_no_label_stays_as_it_is():
    excluded = record([4000.0, 0.0, 0.0], excluded="blurred")
    bare = Record("a", Path("a.jpg"), None)
    assert list(screened([excluded, bare])) == [excluded, bare]


@pytest.mark.parametrize(("lost", "is_found"), [(15, False), (25, True)])
def test_a_quarter_of_labels_beyond_a_full_turn_is_another_unit(lost, is_found):
    found = review_columns(HONEST[lost:], lost, [], TABLE)
    assert [one.code for one in found] == ["unit"] * is_found
    if is_found:
        assert found[0].seen == "25 of 100 labels lie beyond 360 degrees"


@pytest.mark.parametrize(("lost", "expected"), [(1, []), (2, ["unit"])])
def test_one_lost_point_among_few_labels_is_no_other_unit(lost, expected):
    assert [one.code for one in review_columns(HONEST[lost:3], lost, [], TABLE)] == expected


def test_excluded_faces_are_left_out_of_account():
    records = [record(angles) for angles in HONEST[:20]]
    records += [record([0.0, 0.0, 0.0], excluded="blurred") for _ in range(20)]
    assert review_labels(records, TABLE) == []


# ---- few labels, and the same ones --------------------------------------------------------------


@pytest.mark.parametrize(("count", "expected"), [(2, []), (3, ["zero"])])
def test_two_equal_labels_are_nothing_and_three_are_something(count, expected):
    assert codes(np.zeros((count, 3))) == expected


@pytest.mark.parametrize(("count", "stops"), [(5, False), (6, True)])
def test_six_labels_that_are_all_zero_stop_a_run(count, stops):
    (found,) = review_angles(np.zeros((count, 3)))
    assert (found.code, found.stops) == ("zero", stops)


@pytest.mark.parametrize(("count", "expected"), [(5, []), (6, ["repeated"])])
def test_one_pose_in_whole_degrees_is_a_grid_only_for_a_few_faces(count, expected):
    assert codes([[15.0, 0.0, 0.0]] * count) == expected
    assert codes([[15.0, 2.5, 0.0]] * count) == ["repeated"]


def test_faces_without_any_angle_are_no_labels():
    nothing = np.full((4, 3), np.nan)
    assert codes(nothing) == []
    assert codes(np.concatenate([nothing, np.zeros((2, 3))])) == []


def test_labels_without_an_axis_are_looked_at_by_the_others():
    angles = np.radians(HONEST)
    angles[:, 2] = np.nan
    assert codes(angles) == ["radians"]
    (found,) = review_angles(np.tile([7.5, -3.0, np.nan], (40, 1)))
    assert found.seen == "all 40 labels are yaw 7.5, pitch -3, as if one row were repeated"


def with_many(label, share):
    """Honest labels, of which the first ones are this one."""
    return np.where(np.arange(100)[:, None] < 100 * share, label, HONEST)


@pytest.mark.parametrize(("share", "is_found"), [(0.4, False), (0.6, True)])
def test_one_row_in_more_than_half_of_the_labels_is_repeated(share, is_found):
    label = [7.5, -3.0, 1.5]
    found = review_angles(with_many(label, share))
    assert [one.code for one in found] == ["repeated"] * is_found
    if is_found:
        assert found[0].seen.startswith("60 of 100 labels are yaw 7.5, pitch -3, roll 1.5, as")


@pytest.mark.parametrize(
    ("share", "expected"), [(0.08, []), (0.13, ["placeholder"]), (0.6, ["placeholder"])]
)
def test_a_tenth_of_labels_that_are_zero_are_placeholders(share, expected):
    assert codes(with_many([0.0, 0.0, 0.0], share)) == expected


@pytest.mark.parametrize("label", [(-95.5, 1.25, 2.5), (0.0, 3.25, 1.5)])
def test_label_with_decimals_in_a_fifth_of_the_rows_is_no_placeholder(label):
    assert codes(with_many(label, 0.2)) == []


@pytest.mark.parametrize(("zeros", "expected"), [(5, []), (6, ["placeholder"])])
def test_five_labels_of_few_that_are_zero_may_be_frontal_faces(zeros, expected):
    assert codes(np.where(np.arange(30)[:, None] < zeros, 0.0, HONEST[:30])) == expected


def test_zeros_among_other_whole_degrees_are_no_placeholders():
    angles = with_many([0.0, 0.0, 0.0], 0.3)
    angles[50:62] = np.round(angles[50:62])
    assert codes(angles) == []
    angles[52:62] = HONEST[52:62]
    assert codes(angles) == ["placeholder"]


def test_zeros_among_other_repeated_labels_are_those_of_a_grid():
    angles = with_many([0.0, 0.0, 0.0], 0.3)
    angles[50:54] = HONEST[50]
    assert codes(angles) == []
    angles[50:54] = HONEST[50:54]
    angles[50:52] = HONEST[50]
    assert codes(angles) == ["placeholder"]


# ---- units --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("degrees_of_head", "expected"), [(4.0, []), (7.0, ["radians"])])
def test_labels_near_zero_are_not_called_radians(degrees_of_head, expected):
    """Within 0.07 everything may be frontal, in either unit; within 0.12 it is radians."""
    angles = np.radians(RNG.uniform(-degrees_of_head, degrees_of_head, (40, 3)))
    angles[0, 0] = np.radians(degrees_of_head)
    assert codes(angles) == expected


def test_whole_degrees_of_near_frontal_faces_are_no_radians():
    assert codes(RNG.integers(-2, 3, (40, 3))) == []
    few = np.radians(RNG.integers(-2, 3, (40, 3)) * 20.0)
    assert codes(few) == ["radians"]


@pytest.mark.parametrize(("whole", "is_found"), [(40, True), (65, False)])
def test_radians_have_decimals_in_half_of_the_labels_at_least(whole, is_found):
    angles = np.radians(HONEST.clip(-80.0, 80.0))
    angles[:whole] = np.round(angles[:whole])
    found = review_angles(angles)
    assert [one.code for one in found] == ["radians"] * is_found
    if is_found:
        low, high = (f"{value:.4g}" for value in (angles.min(), angles.max()))
        assert found[0].seen == f"all 100 labels lie between {low} and {high}, as radians do"
        assert (found[0].is_option, found[0].stops) == (True, True)


def test_yaw_alone_that_hardly_varies_is_nothing():
    angles = np.full((40, 3), np.nan)
    angles[:, 0] = RNG.uniform(-0.05, 0.05, 40)
    assert codes(angles) == []


@pytest.mark.parametrize(
    ("largest", "expected"), [(6.2, ["radians"]), (-6.2, ["radians"]), (8.0, []), (-8.0, [])]
)
def test_one_label_beyond_a_full_turn_of_radians_is_in_degrees(largest, expected):
    angles = np.radians(HONEST)
    angles[3, 0] = largest
    assert codes(angles) == expected


def test_labels_of_degrees_that_cover_a_few_degrees_to_both_sides_are_no_radians():
    """Many lie beyond half a turn of radians, which no head of a camera does."""
    assert codes(RNG.uniform(-6.0, 6.0, (100, 3))) == []


def test_radians_of_zero_to_a_full_turn_are_told_from_degrees_on_one_side():
    wrapped = np.radians(HONEST) % (2.0 * np.pi)
    assert codes(wrapped) == ["radians"]
    assert codes(RNG.uniform(2.5, 6.2, (100, 3))) == []
    assert codes(RNG.uniform(0.0, 3.9, (100, 3)) % 3.9) == []


@pytest.mark.parametrize(
    ("angles", "expected"),
    [
        ([[0.2, -0.4, 0.1], [1.4, 0.3, 0.2], [-0.9, 0.1, 0.3]], ["radians"]),
        ([[0.2, -0.4, 0.1], [1.7, 0.3, 0.2], [-0.9, 0.1, 0.3]], []),
        ([[0.0, -0.4, 0.1], [0.7, 0.3, 0.2], [-0.9, 0.1, 0.3]], []),
    ],
    ids=["radians", "beyond a right angle", "a whole number"],
)
def test_of_few_labels_only_plain_radians_are_called_so(angles, expected):
    assert codes(angles) == expected


def yaw_in_radians(pitch_scale=1.0, count=100, yaw_scale=1.0):
    angles = HONEST[:count] * [np.pi / 180.0 * yaw_scale, pitch_scale, pitch_scale]
    return angles.clip([-1.4 * yaw_scale, -90, -90], [1.4 * yaw_scale, 90, 90])


@pytest.mark.parametrize(
    ("angles", "expected"),
    [
        (yaw_in_radians(), ["radians"]),
        (yaw_in_radians(count=14), ["radians"]),
        (yaw_in_radians(count=9), []),
        (yaw_in_radians(pitch_scale=0.45), ["radians"]),
        (yaw_in_radians(pitch_scale=0.25), []),
        (yaw_in_radians(yaw_scale=1.5), []),
        (np.round(yaw_in_radians()), []),
    ],
    ids=["plain", "14", "9", "others of 12", "others of 7", "beyond 90", "whole"],
)
def test_yaw_in_radians_shows_beside_others_that_reach_further(angles, expected):
    assert codes(angles) == expected


# ---- turned axes --------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "expected"), [(0.4, []), (0.6, ["around_180"])])
def test_axis_is_turned_where_most_labels_lie_behind(share, expected):
    angles = HONEST.copy()
    angles[: int(100 * share), 0] = RNG.uniform(140.0, 170.0, int(100 * share))
    angles[: int(50 * share), 0] *= -1.0
    assert codes(angles) == expected


def test_heads_seen_from_all_around_raise_no_alarm():
    angles = HONEST.copy()
    angles[:, 0] = np.linspace(-179.5, 179.5, 100)
    assert codes(angles) == []


@pytest.mark.parametrize(("yaw", "expected"), [(110.0, []), (130.0, ["around_180"])])
def test_what_lies_beyond_120_degrees_is_behind(yaw, expected):
    angles = HONEST.copy()
    angles[:, 0] = yaw * np.where(np.arange(100) % 2, 1.0, -1.0) + 0.001 * HONEST[:, 0]
    assert codes(angles) == expected


def test_axis_that_few_labels_have_is_not_judged():
    angles = HONEST.copy()
    angles[:, 2] = np.nan
    angles[:2, 2] = 170.5
    assert codes(angles) == []
    angles[2, 2] = 170.5
    assert codes(angles) == ["around_180"]


def yaw_to_one_side(beyond, behind_45=1.0):
    """Yaw of 50 to 90 degrees, a share of them beyond 99, and some of less than 45."""
    angles = HONEST.copy()
    angles[:, 0] = np.linspace(50.5, 89.5, 100)
    angles[: int(beyond * 100), 0] = 105.5
    angles[int(behind_45 * 100) :, 0] = 38.5
    return angles


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("beyond", "behind_45", "is_found"),
    [(0.15, 1.0, False), (0.25, 1.0, True), (0.25, 0.95, True), (0.25, 0.8, False)],
)
def test_profiles_are_counted_from_the_side_where_many_lie_beyond_it(
    beyond, behind_45, is_found, sign
):
    found = review_angles(yaw_to_one_side(beyond, behind_45) * [sign, 1.0, 1.0])
    assert [one.code for one in found] == ["around_90"] * is_found
    if is_found:
        assert found[0].fix == ("offset=yaw-90" if sign > 0 else "offset=yaw+90")
        assert f"{90 * sign:g} degrees, 25% of the labels beyond it" in found[0].seen


def test_five_labels_counted_from_the_side_show_nothing():
    beyond = HONEST[:6] * 0.1 + [100.5, 0.0, 0.0]
    assert codes(beyond) == ["around_90"]
    beyond[0, 0] = np.nan
    assert codes(beyond) == []


def exchanged(pitch_p95, yaw_p95, count=100):
    angles = HONEST[:count].copy()
    angles[:, 0] = np.linspace(-1.0, 1.0, count) * yaw_p95 / 0.95
    angles[:, 1] = np.linspace(-1.0, 1.0, count)[::-1] * pitch_p95 / 0.95
    return angles


@pytest.mark.parametrize(
    ("angles", "expected"),
    [
        (exchanged(65.0, 30.0), ["exchanged"]),
        (exchanged(55.0, 30.0), []),
        (exchanged(65.0, 38.0), ["exchanged"]),
        (exchanged(65.0, 48.0), []),
        (exchanged(65.0, 30.0, count=14), ["exchanged"]),
        (exchanged(65.0, 30.0, count=10), []),
    ],
)
def test_pitch_that_reaches_far_beyond_yaw_may_be_exchanged(angles, expected):
    assert codes(angles) == expected


# ---- single columns -----------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "is_found"), [(95.0, False), (103.0, True)])
def test_whole_number_beyond_all_others_has_lost_its_point(value, is_found):
    angles = HONEST.copy()
    angles[7, 1] = value
    found = review_angles(angles)
    assert [one.code for one in found] == ["decimal_point"] * is_found
    if is_found:
        within = np.abs(np.delete(HONEST[:, 1], 7)).max()
        assert found[0].seen == (
            f"pitch 103 stands among labels with decimals within {within:.0f} degrees, as if its "
            "point were lost"
        )


def test_whole_number_among_whole_ones_or_among_large_ones_is_one_of_them():
    angles = HONEST.copy()
    angles[7, 1] = 103.0
    whole = angles.copy()
    whole[20:35, 1] = np.round(whole[20:35, 1])
    assert codes(whole) == []
    large = angles.copy()
    large[8, 1] = 95.5
    assert codes(large) == []


def test_axis_that_is_zero_among_decimals_was_not_annotated():
    one_zero = HONEST * [1.0, 1.0, 0.0]
    assert [one.seen for one in review_angles(one_zero)] == [
        "roll is 0 in all 100 labels, as if it were not annotated"
    ]
    assert codes(np.round(one_zero)) == []
    few = HONEST.copy()
    few[:, 2] = np.nan
    few[:5, 2] = 0.0
    assert codes(few) == []
    few[5, 2] = 0.0
    assert codes(few) == ["zero_axis"]


# ---- landmarks ----------------------------------------------------------------------------------


def labelled_sample(change, step=1, count=None):
    records = []
    for number, one in enumerate(Sample().records()[::step][:count]):
        label = Label.from_angles(*change(one.label.angles_deg, number))
        records.append(Record(one.image_id, one.image_path, label, landmarks_xy=one.landmarks_xy))
    return records


def seen_in(records):
    return [one.code for one in review_labels(records, Sample())]


@pytest.mark.parametrize(("count", "expected"), [(11, []), (12, ["sign"])])
def test_twelve_faces_with_landmarks_show_a_turned_sign(count, expected):
    def turned(angles, number):
        return angles * [-1.0, 1.0, 1.0]

    assert seen_in(labelled_sample(turned, 12, count)) == expected


def test_landmarks_are_not_asked_about_labels_that_stop_a_run_by_themselves():
    """Pitch of 180 less what it is: its sign is turned, too, by the same mistake."""

    def turned(angles, number):
        return np.array([angles[0], 180.0 - angles[1], angles[2]])

    assert seen_in(list(screened(labelled_sample(turned)))) == ["around_180"]


def test_labels_that_hardly_vary_have_no_sign_that_landmarks_could_show():
    def small_roll(angles, number):
        return angles * [1.0, 1.0, -0.05]

    assert seen_in(labelled_sample(small_roll)) == []


@pytest.mark.parametrize(("share", "expected"), [(0.6, []), (0.95, ["sign"])])
def test_sign_is_doubted_where_nearly_all_labels_have_the_other_one(share, expected):
    def some_turned(angles, number):
        return angles * [1.0, 1.0, -1.0 if number % 20 < 20 * share else 1.0]

    assert seen_in(labelled_sample(some_turned)) == expected


def test_rank_correlation_is_spearmans_where_ranks_are_shared():
    a, b = RNG.integers(0, 6, (2, 50)).astype(float)
    assert _rank_correlation(a, b + a) == pytest.approx(spearmanr(a, b + a).statistic)


def test_landmarks_in_one_point_show_no_angle():
    assert np.isnan(angles_seen_in_landmarks(np.full((68, 2), 50.0))).all()


def test_face_drawn_by_hand_shows_its_angles():
    """Eyes at y = 0, mouth 40 below them, ends of the jaw 10 below the eyes, nose 8 to the left."""
    points = np.zeros((68, 2))
    points[36:42], points[42:48], points[48:68] = (-30.0, 0.0), (30.0, 0.0), (0.0, 40.0)
    points[0], points[16], points[30] = (-60.0, 10.0), (60.0, 10.0), (-8.0, 20.0)
    assert angles_seen_in_landmarks(points) == pytest.approx([8.0 / 40.0, 10.0 / 40.0, 0.0])
    turn = np.radians(25.0)  # clockwise in the image, where y points down
    clockwise = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    expected = pytest.approx([8.0 / 40.0, 10.0 / 40.0, turn])
    assert angles_seen_in_landmarks(points @ clockwise.T + 90.0) == expected
