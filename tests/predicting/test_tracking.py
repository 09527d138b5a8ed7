"""Following faces, and smoothing on the rotation group against SciPy's slerp."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from hpbench.predicting.tracking import RotationSmoother, Tracker, slerp
from hpbench.rotation import angles_from_rotation, geodesic_deg, rotation_from_angles


def box_at(x, y=0.0, size=10.0):
    return [x, y, x + size, y + size]


def test_slerp_is_scipys():
    rotations = Rotation.random(40, random_state=3)
    for k in range(0, 40, 2):
        share = k / 40
        expected = Slerp([0, 1], rotations[k : k + 2])(share).as_matrix()
        found = slerp(rotations[k].as_matrix(), rotations[k + 1].as_matrix(), share)
        assert found == pytest.approx(expected, abs=1e-12)


def test_first_prediction_is_not_changed():
    R = rotation_from_angles([30, 20, 10])
    assert RotationSmoother(0.2).update("face", R, 5.0) == pytest.approx(R)


def test_smoothed_rotation_goes_the_exponential_share_of_the_way():
    smoother = RotationSmoother(0.2)
    smoother.update("face", np.eye(3), 0.0)
    smoothed = smoother.update("face", rotation_from_angles([50, 0, 0]), 0.1)
    assert angles_from_rotation(smoothed)[0] == pytest.approx(50 * (1 - np.exp(-0.5)))


def test_smoothing_does_not_depend_on_the_frame_rate():
    """A head that jumps to a pose and stays: the prediction after 0.4 s is the same at any rate."""
    target = rotation_from_angles([40, -20, 15])
    ends = []
    for steps in (1, 4, 16):
        smoother = RotationSmoother(0.2)
        smoother.update("face", np.eye(3), 0.0)
        for k in range(steps):
            end = smoother.update("face", target, 0.4 * (k + 1) / steps)
        ends.append(end)
    assert ends[0] == pytest.approx(ends[1])
    assert ends[0] == pytest.approx(ends[2])


def test_steady_turn_is_followed_one_time_constant_late():
    smoother = RotationSmoother(0.2)
    times = np.arange(0.0, 2.0, 0.01)
    for time_s in times:
        smoothed = smoother.update("face", rotation_from_angles([20 * time_s, 0, 0]), time_s)
    late_deg = 20 * times[-1] - angles_from_rotation(smoothed)[0]
    assert late_deg == pytest.approx(20 * 0.2, rel=0.03)  # half a frame


def test_smoothing_takes_jitter_out():
    """White noise behind share a of an exponential filter keeps a / (2 - a) of its variance."""
    random = np.random.default_rng(0)
    ground_truth = rotation_from_angles([20, 10, -5])
    smoother = RotationSmoother(0.2)
    raw, smooth = [], []
    for k in range(600):
        prediction = (
            ground_truth @ Rotation.from_rotvec(random.normal(0, np.radians(2), 3)).as_matrix()
        )
        smoothed = smoother.update("face", prediction, k / 25)
        raw.append(geodesic_deg(ground_truth, prediction) ** 2)
        smooth.append(geodesic_deg(ground_truth, smoothed) ** 2)
    share = 1 - np.exp(-0.04 / 0.2)
    assert np.mean(smooth[50:]) / np.mean(raw) == pytest.approx(share / (2 - share), rel=0.2)


def test_rotation_across_180_degrees_takes_the_short_way():
    smoother = RotationSmoother(1.0)
    smoother.update("face", rotation_from_angles([0, 0, 170]), 0.0)
    smoothed = smoother.update("face", rotation_from_angles([0, 0, -170]), np.log(2))
    assert geodesic_deg(smoothed, rotation_from_angles([0, 0, 180])) == pytest.approx(0, abs=1e-6)


def test_faces_are_smoothed_apart():
    smoother = RotationSmoother(0.2)
    smoother.update(("face", 1), np.eye(3), 0.0)
    R = rotation_from_angles([60, 0, 0])
    assert smoother.update(("face", 2), R, 0.04) == pytest.approx(R)


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
