"""Following faces, and smoothing on the rotation group against SciPy's slerp and solver."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.spatial.transform import Rotation, Slerp

from hpbench.predicting.tracking import RotationSmoother, Tracker, slerp
from hpbench.rotation import angles_from_rotation, geodesic_deg, rotation_from_angles

FACE = (1, "method")
"""A track and a method."""


def box_at(x, y=0.0, size=10.0):
    return [x, y, x + size, y + size]


def test_slerp_is_scipys():
    rotations = Rotation.random(40, random_state=3)
    for k in range(0, 40, 2):
        share = k / 40
        expected = Slerp([0, 1], rotations[k : k + 2])(share).as_matrix()
        found = slerp(rotations[k].as_matrix(), rotations[k + 1].as_matrix(), share)
        assert found == pytest.approx(expected, abs=1e-12)


def test_slerp_of_rotations_within_the_tolerance_of_predictions_is_scipys():
    noise = np.random.default_rng(0).normal(0.0, 1e-4, (2, 3, 3))
    rotations = Rotation.random(2, random_state=0).as_matrix() + noise
    expected = Slerp([0, 1], Rotation.from_matrix(rotations))(0.3).as_matrix()
    assert slerp(*rotations, 0.3) == pytest.approx(expected, abs=1e-7)


def test_smoothed_rotations_stay_rotations_through_a_thousand_frames():
    """Every prediction is off by as much as is let through."""
    random, smoother = np.random.default_rng(0), RotationSmoother(0.2)
    for frame in range(1000):
        prediction = rotation_from_angles(random.uniform(-60.0, 60.0, 3))
        smoothed = smoother.update(FACE, prediction + random.normal(0.0, 2e-4, (3, 3)), frame / 25)
    assert smoothed.T @ smoothed == pytest.approx(np.eye(3), abs=1e-14)


def test_first_prediction_is_not_changed():
    R = rotation_from_angles([30, 20, 10])
    assert RotationSmoother(0.2).update(FACE, R, 5.0) == pytest.approx(R)


def test_prediction_at_the_time_of_the_one_before_changes_nothing():
    smoother = RotationSmoother(0.2)
    smoother.update(FACE, np.eye(3), 5.0)
    assert smoother.update(FACE, rotation_from_angles([50, 0, 0]), 5.0) == pytest.approx(np.eye(3))


def smoothed_yaw_deg(times_s, yaw_deg, time_constant_s):
    smoother = RotationSmoother(time_constant_s)
    rotations = rotation_from_angles([[yaw, 0.0, 0.0] for yaw in yaw_deg])
    pairs = zip(times_s, rotations, strict=True)
    return [angles_from_rotation(smoother.update(FACE, R, t))[0] for t, R in pairs]


def test_smoothing_is_the_filter_of_first_order_in_continuous_time():
    """Against a solver of T dy/dt = x - y, with x linear between frames that come unevenly."""
    random = np.random.default_rng(1)
    times_s = np.cumsum(random.choice([0.01, 0.04, 0.1, 0.6], 40))
    yaw_deg = random.uniform(-60.0, 60.0, 40)
    solution = solve_ivp(
        lambda t, y: (np.interp(t, times_s, yaw_deg) - y) / 0.15,
        times_s[[0, -1]], yaw_deg[:1], t_eval=times_s, max_step=0.002, rtol=1e-10, atol=1e-10,
    )  # fmt: skip
    assert smoothed_yaw_deg(times_s, yaw_deg, 0.15) == pytest.approx(solution.y[0], abs=1e-5)


@pytest.mark.parametrize("rate_hz", [5, 10, 25, 100])
def test_steady_turn_is_followed_one_time_constant_late_at_every_frame_rate(rate_hz):
    times_s = np.arange(3 * rate_hz) / rate_hz
    late_deg = 20 * times_s - smoothed_yaw_deg(times_s, 20 * times_s, 0.15)
    assert late_deg[-1] == pytest.approx(20 * 0.15, rel=1e-6)


def test_smoothing_does_not_depend_on_the_frame_rate():
    """A head that turns about an oblique axis and stops, at 5 and at 100 frames per second."""
    ends = []
    for rate_hz in (5, 100):
        smoother = RotationSmoother(0.2)
        for frame in range(rate_hz + 1):
            turn_rad = np.array([0.3, -0.9, 0.4]) * min(frame / rate_hz, 0.8)
            end = smoother.update(FACE, Rotation.from_rotvec(turn_rad).as_matrix(), frame / rate_hz)
        ends.append(end)
    assert ends[0] == pytest.approx(ends[1], abs=1e-9)


def test_smoothing_takes_jitter_out():
    """The filter is y = e y_before + a x_before + b x; expected is its share of the variance."""
    random = np.random.default_rng(0)
    ground_truth = rotation_from_angles([20, 10, -5])
    smoother = RotationSmoother(0.2)
    raw, smooth = [], []
    for k in range(600):
        prediction = (
            ground_truth @ Rotation.from_rotvec(random.normal(0, np.radians(2), 3)).as_matrix()
        )
        smoothed = smoother.update(FACE, prediction, k / 25)
        raw.append(geodesic_deg(ground_truth, prediction) ** 2)
        smooth.append(geodesic_deg(ground_truth, smoothed) ** 2)
    e = np.exp(-0.04 / 0.2)
    a, b = (1 - e) / 0.2 - e, 1 - (1 - e) / 0.2
    expected = (a**2 + b**2 + 2 * a * b * e) / (1 - e**2)
    assert np.mean(smooth[50:]) / np.mean(raw) == pytest.approx(expected, rel=0.2)


def test_rotation_across_180_degrees_takes_the_short_way():
    smoother = RotationSmoother(1.0)
    smoother.update(FACE, rotation_from_angles([0, 0, 170]), 0.0)
    smoothed = smoother.update(FACE, rotation_from_angles([0, 0, -170]), 1.0)
    # a turn of 20 degrees in one time constant, of which 1/e is followed at its end
    assert angles_from_rotation(smoothed)[2] == pytest.approx(170 + 20 / np.e)


def test_faces_and_methods_are_smoothed_apart():
    smoother = RotationSmoother(0.2)
    smoother.update((1, "a"), np.eye(3), 0.0)
    R = rotation_from_angles([60, 0, 0])
    assert smoother.update((2, "a"), R, 0.04) == pytest.approx(R)
    assert smoother.update((1, "b"), R, 0.04) == pytest.approx(R)


def test_track_that_has_ended_is_forgotten():
    smoother = RotationSmoother(0.2)
    smoother.update((1, "a"), np.eye(3), 0.0)
    smoother.update((2, "a"), np.eye(3), 0.0)
    smoother.keep({2})
    R = rotation_from_angles([60, 0, 0])
    assert smoother.update((1, "a"), R, 0.04) == pytest.approx(R)
    assert smoother.update((2, "a"), R, 0.04) != pytest.approx(R)


def test_time_constant_must_be_above_zero():
    with pytest.raises(ValueError, match="must be above 0"):
        RotationSmoother(0.0)


def test_faces_keep_their_numbers_when_the_detector_changes_their_order():
    tracker = Tracker()
    assert tracker.update([box_at(0), box_at(100)], 0.0) == [1, 2]
    assert tracker.update([box_at(102), box_at(1)], 0.04) == [2, 1]


def test_pairing_with_the_largest_sum_wins_over_greed():
    """The first face overlaps both tracks; giving it the nearer one would orphan the second."""
    tracker = Tracker(min_iou=0.2)
    tracker.update([box_at(0), box_at(6)], 0.0)
    # Overlaps (of 10): first 8 and 8, second none and 5: only one pairing keeps both.
    assert tracker.update([box_at(2), box_at(11)], 0.04) == [1, 2]


def test_new_face_gets_a_new_number():
    tracker = Tracker()
    tracker.update([box_at(0)], 0.0)
    assert tracker.update([box_at(50), box_at(0)], 0.04) == [2, 1]


def test_face_missed_for_a_moment_keeps_its_number():
    tracker = Tracker(keep_s=0.5)
    tracker.update([box_at(0)], 0.0)
    tracker.update([], 0.2)
    assert tracker.update([box_at(1)], 0.4) == [1]


def test_face_missed_for_long_is_a_new_one():
    tracker = Tracker(keep_s=0.5)
    tracker.update([box_at(0)], 0.0)
    assert tracker.update([box_at(0)], 0.6) == [2]


def test_tracks_are_those_that_may_still_be_seen():
    tracker = Tracker(keep_s=0.5)
    tracker.update([box_at(0), box_at(100)], 0.0)
    tracker.update([box_at(0)], 0.4)
    assert set(tracker.tracks) == {1, 2}
    tracker.update([box_at(0)], 0.8)
    assert set(tracker.tracks) == {1}
