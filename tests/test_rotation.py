"""Conventions of protocols A: readings, signs, mirror, distances."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hpbench.rotation import (
    EulerOrder,
    angles_from_rotation,
    equivalent_angles,
    euler_from_rotation,
    geodesic_deg,
    is_rotation,
    maev_deg,
    mean_rotation,
    mirror_angles,
    mirror_rotation,
    nearest_angles,
    nearest_rotation,
    rotation_from_angles,
    rotation_from_euler,
    rotation_from_rotvec,
    rotation_from_rows,
    rotvec_from_rotation,
    rq_angles_from_rotation,
    wrap_deg,
)

# natanielruiz/deep-head-pose, issue 39: one matrix, read in two orders.
KNOWN_MATRIX = np.array(
    [
        [0.45684, -0.404949, -0.792031],
        [-0.103806, 0.860022, -0.499587],
        [0.883471, 0.310449, 0.350856],
    ]
)

within_profile = st.floats(-89.0, 89.0)
any_angle = st.floats(-179.0, 179.0)


def random_rotations(count: int) -> np.ndarray:
    return Rotation.random(count, random_state=np.random.default_rng(3)).as_matrix()


def test_known_matrix_reads_the_published_angles():
    assert angles_from_rotation(KNOWN_MATRIX) == pytest.approx([-52.376, -54.920, 41.554], abs=1e-3)


def test_known_matrix_reads_another_triple_in_the_rq_order():
    # as (x, y, z) of SciPy's 'xyz': 41.503, -62.064, -12.802; x is minus our pitch
    assert rq_angles_from_rotation(KNOWN_MATRIX) == pytest.approx(
        [-62.064, -41.503, -12.802], abs=1e-3
    )


def test_reading_agrees_with_scipy_intrinsic_xyz():
    R = random_rotations(1000)
    minus_pitch, yaw, roll = Rotation.from_matrix(R).as_euler("XYZ", degrees=True).T
    assert angles_from_rotation(R) == pytest.approx(np.stack([yaw, -minus_pitch, roll], axis=-1))


def test_reading_of_the_transpose_agrees_with_scipy_extrinsic_xyz():
    R = random_rotations(1000)
    pitch, minus_yaw, minus_roll = (
        Rotation.from_matrix(R.swapaxes(1, 2)).as_euler("xyz", degrees=True).T
    )
    expected = np.stack([-minus_yaw, pitch, -minus_roll], axis=-1)
    assert angles_from_rotation(R) == pytest.approx(expected)


@given(within_profile, any_angle, any_angle)
def test_angles_survive_the_round_trip(yaw_deg, pitch_deg, roll_deg):
    angles = [yaw_deg, pitch_deg, roll_deg]
    assert angles_from_rotation(rotation_from_angles(angles)) == pytest.approx(angles, abs=1e-6)


def test_positive_yaw_turns_the_nose_to_the_left_of_the_image():
    nose_towards_camera = np.array([0.0, 0.0, -1.0])
    assert (rotation_from_angles([30.0, 0.0, 0.0]) @ nose_towards_camera)[0] < 0


def test_positive_pitch_looks_up():
    nose_towards_camera = np.array([0.0, 0.0, -1.0])
    assert (rotation_from_angles([0.0, 30.0, 0.0]) @ nose_towards_camera)[1] < 0


def test_positive_roll_turns_the_head_clockwise():
    top_of_head = np.array([0.0, -1.0, 0.0])
    assert (rotation_from_angles([0.0, 0.0, 30.0]) @ top_of_head)[0] > 0


@given(within_profile, any_angle, any_angle)
def test_mirroring_negates_yaw_and_roll(yaw_deg, pitch_deg, roll_deg):
    mirrored = mirror_rotation(rotation_from_angles([yaw_deg, pitch_deg, roll_deg]))
    expected = [-yaw_deg, pitch_deg, -roll_deg]
    assert angles_from_rotation(mirrored) == pytest.approx(expected, abs=1e-6)


def test_both_triples_of_a_pose_are_the_same_rotation():
    angles = np.random.default_rng(0).uniform(-180, 180, (200, 3))
    assert rotation_from_angles(equivalent_angles(angles)) == pytest.approx(
        rotation_from_angles(angles)
    )


def test_perfect_prediction_of_a_label_beyond_profile_has_no_error():
    label = np.array([95.0, 10.0, -5.0])
    assert nearest_angles(rotation_from_angles(label), label) == pytest.approx(label)


def test_missing_label_axis_is_ignored_when_the_nearer_triple_is_sought():
    label = np.array([95.0, 10.0, np.nan])
    R = rotation_from_angles([95.0, 10.0, -5.0])
    assert nearest_angles(R, label)[:2] == pytest.approx([95.0, 10.0])


def test_geodesic_is_the_magnitude_of_scipys_relative_rotation():
    a, b = random_rotations(500), random_rotations(1000)[500:]
    relative = Rotation.from_matrix(a).inv() * Rotation.from_matrix(b)
    assert geodesic_deg(a, b) == pytest.approx(np.degrees(relative.magnitude()))


def test_geodesic_resolves_a_millionth_of_a_degree():
    tiny = rotation_from_angles([1e-6, 0.0, 0.0])
    assert geodesic_deg(np.eye(3), tiny) == pytest.approx(1e-6, rel=1e-6)


def test_maev_of_a_turn_about_one_axis_is_two_thirds_of_its_angle():
    # the axis itself stays where it is, the two others move by the whole angle
    assert maev_deg(np.eye(3), rotation_from_angles([30.0, 0.0, 0.0])) == pytest.approx(20.0)


def test_perfect_prediction_has_an_maev_of_zero_whatever_rounding_does():
    # the product of a unit vector with itself may exceed 1, of which there is no arccosine
    R = random_rotations(1000)
    assert maev_deg(R, R).tolist() == pytest.approx([0.0] * 1000, abs=1e-5)


def test_wrap_maps_350_degrees_to_minus_10():
    assert wrap_deg([350.0, -350.0, 180.0]) == pytest.approx([-10.0, 10.0, -180.0])


@pytest.mark.parametrize(
    "change", [np.diag([1.0, 1.0, -1.0]), 0.9 * np.eye(3), 1.1 * np.eye(3), np.eye(3)[[1, 0, 2]]]
)
def test_reflected_and_scaled_rotations_are_none(change):
    R = random_rotations(20)
    assert is_rotation(R).all()
    assert not is_rotation(change @ R).any()


@pytest.mark.parametrize(("yaw", "read"), [(170.0, 170.0), (10.0, 10.0), (-130.0, -130.0)])
def test_head_that_faces_away_is_not_read_as_one_that_looks_here_by_yaw_alone(yaw, read):
    """Yaw 10 and 170 are two triples of different rotations with an upright head."""
    label = [10.0, np.nan, np.nan]
    assert nearest_angles(rotation_from_angles([yaw, 0.0, 0.0]), label)[0] == pytest.approx(read)


def test_matrix_with_three_digits_is_corrected_to_the_nearest_rotation():
    R = random_rotations(50)
    mended = nearest_rotation(R.round(3))
    assert is_rotation(mended, tolerance=1e-12).all()
    assert geodesic_deg(mended, R).max() < 0.1


def test_rq_angles_are_those_of_scipy_and_give_the_rotation_back_at_the_gimbal_lock():
    from scipy.spatial.transform import Rotation

    free = Rotation.random(200, random_state=0)
    minus_pitch, yaw, roll = free.as_euler("xyz", degrees=True).T
    found = rq_angles_from_rotation(free.as_matrix())
    np.testing.assert_allclose(found, np.stack([yaw, -minus_pitch, roll], axis=-1), atol=1e-9)
    locked = Rotation.from_euler("xyz", [[20, 90, 50], [-30, -90, 10]], degrees=True).as_matrix()
    yaw, pitch, roll = rq_angles_from_rotation(locked).T
    again = Rotation.from_euler("xyz", np.stack([-pitch, yaw, roll], axis=-1), degrees=True)
    np.testing.assert_allclose(again.as_matrix(), locked, atol=1e-9)


@pytest.mark.parametrize("order", get_args(EulerOrder))
def test_rotation_of_any_order_is_that_of_scipy(order):
    angles_deg = np.random.default_rng(0).uniform(-180.0, 180.0, (1000, 3))
    angles_deg[:300] = np.round(angles_deg[:300] / 90.0) * 90.0
    turns = dict(zip("YXZ", (angles_deg * (1, -1, 1)).T, strict=True))
    scipys = Rotation.from_euler(order, np.stack([turns[k] for k in order], axis=1), degrees=True)
    np.testing.assert_allclose(
        rotation_from_euler(angles_deg, order), scipys.as_matrix(), atol=1e-14
    )


@pytest.mark.parametrize("order", get_args(EulerOrder))
def test_reading_in_any_order_is_that_of_scipy(order):
    R = random_rotations(1000)
    read = dict(zip("YXZ", (euler_from_rotation(R, order) * (1, -1, 1)).T, strict=True))
    scipys = Rotation.from_matrix(R).as_euler(order, degrees=True)
    np.testing.assert_allclose(np.stack([read[k] for k in order], axis=1), scipys, atol=1e-9)


@pytest.mark.parametrize("order", get_args(EulerOrder))
def test_reading_where_the_turn_in_the_middle_is_90_degrees_gives_the_rotation_back(order):
    triples = np.random.default_rng(0).uniform(-180.0, 180.0, (100, 3))
    triples[:, "YXZ".index(order[1])] = np.repeat([90.0, -90.0], 50)
    R = rotation_from_euler(triples, order)
    again = rotation_from_euler(euler_from_rotation(R, order), order)
    np.testing.assert_allclose(again, R, atol=1e-9)


def test_rotation_with_an_angle_that_is_not_known_is_not_known():
    for triple in ([np.nan, 0, 0], [0, np.nan, 0], [0, 0, np.nan], [0, np.inf, 0]):
        assert np.isnan(rotation_from_angles(triple)).all()


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-4, 1.0, 3.0, np.pi - 1e-9, np.pi])
def test_rotation_vectors_are_those_of_scipy(angle):
    axes = np.random.default_rng(0).normal(size=(200, 3))
    vectors = angle * axes / np.linalg.norm(axes, axis=1, keepdims=True)
    R = rotation_from_rotvec(vectors)
    np.testing.assert_allclose(R, Rotation.from_rotvec(vectors).as_matrix(), atol=1e-14)
    found = rotvec_from_rotation(R)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), angle, atol=1e-14)
    np.testing.assert_allclose(Rotation.from_rotvec(found).as_matrix(), R, atol=1e-14)


@pytest.mark.filterwarnings("error")
def test_rotation_vector_that_is_none_gives_no_rotation():
    for vector in ([np.nan, 0, 0], [np.inf, 0, 0], [1e200, 0, 0]):
        assert not is_rotation(rotation_from_rotvec(vector))


def test_mean_of_rotations_agrees_with_scipy():
    rotations = Rotation.from_rotvec(np.random.default_rng(0).normal(0.0, 0.3, (20, 3)))
    weights = np.random.default_rng(1).random(20)
    expected = rotations.mean(weights=weights).as_matrix()
    found = mean_rotation(rotations.as_matrix(), weights)
    assert float(geodesic_deg(found, expected)) < 1e-6


def test_mirrored_angles_are_those_of_the_mirrored_rotation():
    angles = [[40.0, -20.0, 15.0], [-75.0, 30.0, -5.0]]
    mirrored = mirror_rotation(rotation_from_angles(angles))
    np.testing.assert_allclose(mirror_angles(angles), angles_from_rotation(mirrored), atol=1e-9)


@pytest.mark.parametrize("yaw", [90.0, -90.0])
def test_prediction_at_gimbal_that_is_the_label_has_no_error(yaw):
    # pitch and roll are not separable there, and were once read from rounding errors
    label = np.array([[yaw, 99.0, 120.0], [20.0, -35.0, 50.0]])  # beside a face that is not
    found = nearest_angles(rotation_from_angles(label), label)
    np.testing.assert_allclose(wrap_deg(found - label), 0.0, atol=1e-6)


@pytest.mark.parametrize("yaw", [90.0, -90.0])
def test_angles_that_are_read_at_gimbal_are_the_rotation(yaw):
    R = rotation_from_angles([yaw, 33.0, -71.0])
    np.testing.assert_allclose(rotation_from_angles(angles_from_rotation(R)), R, atol=1e-9)


def test_nearest_rotation_of_what_is_not_finite_is_nan_and_the_others_are_found():
    R = rotation_from_angles([[10.0, 20.0, 30.0]] * 3)
    R[1, 0, 2] = np.nan
    found = nearest_rotation(R)
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[[0, 2]], R[[0, 2]], atol=1e-12)


def test_rotation_of_two_rows_is_that_of_the_authors_of_3ddfa():
    """R1 / |R1|, R2 / |R2| and their cross product, brought to the nearest rotation."""
    rows = np.random.default_rng(0).normal(size=(20, 2, 3))
    for (first, second), R in zip(rows, rotation_from_rows(rows), strict=True):
        first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
        M = np.stack([first, second, np.cross(first, second)])
        U, _, Vt = np.linalg.svd(M)
        np.testing.assert_allclose(R, U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (2,), (5, 2), (5, 4)])
def test_angles_that_are_no_triples_are_refused(shape):
    with pytest.raises(ValueError, match=r"angles have shape .*expected \(\.\.\., 3\)"):
        rotation_from_angles(np.zeros(shape))
