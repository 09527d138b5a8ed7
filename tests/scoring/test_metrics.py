"""Metrics against hand-computed cases and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.spatial.transform import Rotation

from hpbench.rotation import (
    angles_from_rotation,
    geodesic_deg,
    maev_deg,
    rotation_from_angles,
)
from hpbench.scoring import metrics, statistics

NAN = float("nan")


def random_rotations(count: int, seed: int = 0) -> np.ndarray:
    return Rotation.random(count, random_state=np.random.default_rng(seed)).as_matrix()


def test_difference_is_predicted_minus_ground_truth() -> None:
    predicted = rotation_from_angles([[12.0, -7.0, 3.0]])
    np.testing.assert_allclose(
        metrics.angle_differences_deg(predicted, [[10.0, -10.0, 4.0]]), [[2.0, 3.0, -1.0]]
    )


def test_missing_axis_and_missing_prediction_are_nan_not_zero() -> None:
    predicted = rotation_from_angles([[12.0, 5.0, 3.0], [0.0, 0.0, 0.0]])
    predicted[1] = NAN
    found = metrics.angle_differences_deg(predicted, [[10.0, NAN, 3.0], [1.0, 1.0, 1.0]])
    np.testing.assert_allclose(found, [[2.0, NAN, 0.0], [NAN] * 3], atol=1e-12)


def test_perfect_prediction_to_a_label_beyond_90_costs_nothing_when_read_nearest() -> None:
    label = [[97.0, 3.0, -8.0]]
    found = metrics.angle_differences_deg(rotation_from_angles(label), label)
    np.testing.assert_allclose(found, 0.0, atol=1e-9)


def test_canonical_reading_charges_the_other_triple_for_a_label_beyond_90() -> None:
    label = [[97.0, 3.0, -8.0]]
    found = metrics.angle_differences_deg(rotation_from_angles(label), label, euler="canonical")
    np.testing.assert_allclose(np.abs(found), [[14.0, 180.0, 180.0]], atol=1e-9)


def test_rq_reading_gives_the_triple_of_the_published_thread() -> None:
    # natanielruiz/deep-head-pose#39: one matrix, read in the order of BIWI's .bin files.
    R = np.array(
        [
            [0.45684, -0.404949, -0.792031],
            [-0.103806, 0.860022, -0.499587],
            [0.883471, 0.310449, 0.350856],
        ]
    )
    found = metrics.angle_differences_deg(R[None], [[0.0, 0.0, 0.0]], euler="rq")
    np.testing.assert_allclose(np.abs(found), [[62.064, 41.503, 12.802]], atol=0.02)


def test_rq_reading_passes_over_faces_without_prediction() -> None:
    R = np.stack([np.eye(3), np.full((3, 3), NAN)])
    found = metrics.angle_differences_deg(R, np.zeros((2, 3)), euler="rq")
    np.testing.assert_array_equal(np.isnan(found), [[False] * 3, [True] * 3])


@pytest.mark.parametrize(("wrap", "error"), [("360", 2.0), ("none", 358.0)])
def test_wrap_rule(wrap, error) -> None:
    predicted = rotation_from_angles([[0.0, 179.0, 0.0]])
    found = metrics.angle_differences_deg(predicted, [[0.0, -179.0, 0.0]], "canonical", wrap)
    assert abs(found[0, 1]) == pytest.approx(error)


def test_an_error_of_180_degrees_is_180_and_not_0() -> None:
    # 6DRepNet's test.py counts a half turn as no error; this project must not.
    found = metrics.angle_differences_deg(
        rotation_from_angles([[0.0, 0.0, 180.0]]), [[0.0, 0.0, 0.0]]
    )
    assert metrics.mae_deg(found)[2] == pytest.approx(180.0)


def test_mae_of_equally_labelled_faces_is_the_mean_of_the_three_angles() -> None:
    differences = np.random.default_rng(1).normal(size=(50, 3))
    yaw, pitch, roll, mean = metrics.mae_deg(differences)
    assert mean == pytest.approx((yaw + pitch + roll) / 3)


def test_mae_leaves_an_unlabelled_axis_out_of_the_mean() -> None:
    np.testing.assert_allclose(
        metrics.mae_deg([[2.0, -4.0, NAN], [0.0, 2.0, NAN]]), [1.0, 3.0, NAN, 2.0]
    )


def test_mae_of_no_faces_is_nan() -> None:
    assert np.isnan(metrics.mae_deg(np.empty((0, 3)))).all()


def test_ced_is_the_share_of_all_faces_predicted_or_not() -> None:
    errors = [1.0, 5.0, NAN, 20.0]
    np.testing.assert_allclose(metrics.ced(errors, [0.5, 1.0, 5.0, 90.0]), [0, 0.25, 0.5, 0.75])


def test_ced_of_one_face_is_a_step_and_of_none_is_not_known() -> None:
    assert metrics.ced([5.0], [4.0, 5.0]).tolist() == [0.0, 1.0]
    assert np.isnan(metrics.ced([], [4.0, 5.0])).all()


def test_auc_equals_the_area_under_a_finely_stepped_curve() -> None:
    errors = np.append(np.random.default_rng(2).gamma(2.0, 4.0, 300), NAN)
    steps = np.linspace(0.0, 15.0, 200_001)
    area = trapezoid(metrics.ced(errors, steps), steps) / 15.0
    assert metrics.auc_gains(errors, 15.0).mean() == pytest.approx(area, abs=1e-5)


def test_accuracy_counts_a_missing_prediction_as_a_miss() -> None:
    assert metrics.ced([4.9, 5.0, 5.1, NAN], [5.0]) == 0.5


def test_failures_are_predictions_beyond_90_degrees() -> None:
    assert np.nansum(metrics.failures([90.0, 90.1, 180.0, NAN, 3.0])) == 2


def test_yaw_bins_partition_the_labels_up_to_99_degrees() -> None:
    yaw = np.array([0.0, -29.9, 30.0, -59.9, 60.0, 90.0, -99.0, NAN])
    bins = metrics.yaw_bins(np.arange(8.0), yaw)
    assert [(b.from_deg, b.to_deg, b.images) for b in bins] == [
        (0, 30, 2),
        (30, 60, 2),
        (60, 90, 3),
    ]
    assert [b.mae_deg for b in bins] == [0.5, 2.5, 5.0]


def test_heads_seen_from_behind_get_a_bin_of_their_own() -> None:
    bins = metrics.yaw_bins([1.0, 2.0], [10.0, -170.0])
    assert (bins[-1].from_deg, bins[-1].to_deg, bins[-1].mae_deg) == (99, 180, 2.0)


def test_balanced_mae_weighs_the_bins_alike() -> None:
    errors, yaw = [1.0, 1.0, 1.0, 4.0, 10.0], [0.0, 5.0, 9.0, 40.0, 80.0]
    assert metrics.balanced_mae_deg(metrics.yaw_bins(errors, yaw)) == pytest.approx(5.0)


def test_bins_without_labelled_faces_are_left_out_of_the_balanced_mae() -> None:
    assert metrics.balanced_mae_deg(metrics.yaw_bins([1.0, 4.0], [0.0, 80.0])) == 2.5
    assert np.isnan(metrics.balanced_mae_deg(metrics.yaw_bins([1.0], [NAN])))


def test_predicting_nothing_in_the_hard_bin_does_not_lower_the_balanced_mae() -> None:
    bins = metrics.yaw_bins([1.0, 4.0, NAN], [0.0, 40.0, 80.0])
    assert np.isnan(metrics.balanced_mae_deg(bins))


def test_camera_side_alignment_removes_a_turned_camera() -> None:
    R_gt = random_rotations(40)
    turn = rotation_from_angles([10.0, -20.0, 5.0])
    aligned = metrics.align_camera_side(turn @ R_gt, R_gt)
    np.testing.assert_allclose(aligned, R_gt, atol=1e-12)


def test_head_side_alignment_removes_another_neutral_head() -> None:
    R_gt = random_rotations(40)
    turn = rotation_from_angles([10.0, -20.0, 5.0])
    aligned = metrics.align_head_side(R_gt @ turn, R_gt)
    np.testing.assert_allclose(aligned, R_gt, atol=1e-12)


def test_camera_side_alignment_per_group_removes_one_turn_for_each() -> None:
    R_gt = random_rotations(40)
    turns = np.repeat(rotation_from_angles([[10.0, 0.0, 0.0], [0.0, -30.0, 8.0]]), 20, axis=0)
    groups = np.repeat(["a", "b"], 20)
    aligned = metrics.align_camera_side(turns @ R_gt, R_gt, groups)
    np.testing.assert_allclose(aligned, R_gt, atol=1e-12)


@pytest.mark.parametrize(("turn_deg", "left_deg"), [(89.0, 0.0), (91.0, 91.0)])
def test_offset_is_learnt_from_errors_below_90_degrees(turn_deg, left_deg) -> None:
    R_gt = random_rotations(20)
    turn = rotation_from_angles([0.0, turn_deg, 0.0])
    for aligned in (
        metrics.align_camera_side(turn @ R_gt, R_gt),
        metrics.align_head_side(R_gt @ turn, R_gt),
    ):
        np.testing.assert_allclose(geodesic_deg(aligned, R_gt), left_deg, atol=1e-9)


def test_alignment_ignores_failures_and_missing_predictions() -> None:
    R_gt = random_rotations(30)
    R_pred = rotation_from_angles([4.0, 0.0, 0.0]) @ R_gt
    R_pred[0] = R_gt[0] @ rotation_from_angles([0.0, 180.0, 0.0])
    R_pred[1] = NAN
    aligned = metrics.align_camera_side(R_pred, R_gt)
    np.testing.assert_allclose(geodesic_deg(aligned[2:], R_gt[2:]), 0.0, atol=1e-9)


def test_group_that_is_backwards_stays_in_the_mean_of_the_aligned() -> None:
    R_gt = random_rotations(20)
    R_pred = R_gt.copy()
    R_pred[:10] = rotation_from_angles([180.0, 0.0, 0.0]) @ R_gt[:10]
    groups = np.repeat(["backwards", "right"], 10)
    aligned = metrics.align_camera_side(R_pred, R_gt, groups)
    assert geodesic_deg(aligned, R_gt) == pytest.approx([180.0] * 10 + [0.0] * 10, abs=1e-5)


def test_aligning_noise_without_offset_hardly_changes_the_error() -> None:
    R_gt = random_rotations(2000)
    noise = Rotation.from_rotvec(np.random.default_rng(3).normal(0, 0.05, (2000, 3))).as_matrix()
    R_pred = noise @ R_gt
    raw = geodesic_deg(R_pred, R_gt).mean()
    assert geodesic_deg(metrics.align_camera_side(R_pred, R_gt), R_gt).mean() == pytest.approx(
        raw, rel=0.01
    )


def test_missing_predictions_become_frontal_heads() -> None:
    R_pred = np.stack([rotation_from_angles([20.0, 1.0, 2.0]), np.full((3, 3), NAN)])
    filled = metrics.fill_missing_with_frontal(R_pred)
    np.testing.assert_allclose(angles_from_rotation(filled), [[20.0, 1.0, 2.0], [0, 0, 0]])


def test_always_frontal_scores_the_reference_figures_on_real_labels(aflw2000_dir) -> None:
    # measured apart from this project on the 491 faces within 99 degrees
    from hpbench.datasets.aflw2000 import Aflw2000

    labels = [record.label for record in Aflw2000(aflw2000_dir).records() if not record.excluded]
    angles = np.stack([label.angles_deg for label in labels])
    frontal = np.broadcast_to(np.eye(3), (len(angles), 3, 3))
    found = metrics.mae_deg(metrics.angle_differences_deg(frontal, angles))
    assert len(angles) == 491
    np.testing.assert_allclose(found, [27.2, 14.1, 13.9, 18.4], atol=0.05)


def test_reading_perfect_rotations_in_the_rq_order_costs_degrees_on_real_labels(
    aflw2000_dir,
) -> None:
    # 2.22 / 8.25 / 7.42 on all 1969 labels, measured apart from this project; here a quarter
    from hpbench.datasets.aflw2000 import Aflw2000

    labels = [record.label for record in Aflw2000(aflw2000_dir).records() if not record.excluded]
    angles = np.stack([label.angles_deg for label in labels])
    R = np.stack([label.R_cam for label in labels])
    found = metrics.mae_deg(metrics.angle_differences_deg(R, angles, euler="rq"))
    np.testing.assert_allclose(found, [2.22, 8.25, 7.42, 5.97], rtol=0.15)


R_3, ANGLES_3 = np.tile(np.eye(3), (3, 1, 1)), np.zeros((3, 3))


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (
            lambda: metrics.angle_differences_deg(R_3, ANGLES_3[0]),
            r"gt_angles_deg has shape \(3,\)",
        ),
        (lambda: metrics.angle_differences_deg(R_3, ANGLES_3[:1]), "has 1 rows; expected 3"),
        (lambda: metrics.angle_differences_deg(R_3[:1], ANGLES_3), "has 3 rows; expected 1"),
        (lambda: metrics.mae_deg(ANGLES_3[:, :1]), r"shape \(3, 1\); expected \(n, 3\)"),
        (lambda: metrics.face_mae_deg([1.0, 2.0, 3.0]), "differences_deg has shape"),
        (lambda: metrics.ced([[1.0, 2.0]], [5.0]), r"errors_deg has shape \(1, 2\)"),
        (lambda: metrics.ced([1.0, np.inf], [5.0]), "errors_deg holds infinite numbers"),
        (lambda: metrics.yaw_bins([1.0], [1.0, 2.0]), "gt_yaw_deg has 2 rows; expected 1"),
        (lambda: metrics.align_camera_side(R_3, R_3[:1]), "R_gt has 1 rows; expected 3"),
        (lambda: metrics.align_camera_side(R_3, R_3, ["a"]), "groups has shape"),
        (lambda: metrics.align_head_side(R_3[0], R_3), "R_pred has shape"),
        (lambda: geodesic_deg(R_3, R_3[:1]), r"shapes \(3, 3, 3\) and \(1, 3, 3\)"),
        (lambda: geodesic_deg(R_3 + np.inf, R_3), "infinite"),
        (lambda: maev_deg(R_3, np.eye(3)[0]), r"shapes \(3, 3, 3\) and \(3,\)"),
        (lambda: statistics.make_resampling(3, ["a", "b"]), "groups has 2 entries; expected 3"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(call, complaint) -> None:
    """Each of these was broadcast, and gave a number."""
    with pytest.raises(ValueError, match=complaint):
        call()
