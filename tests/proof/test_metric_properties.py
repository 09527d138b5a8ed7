"""What must hold of the metrics for all poses."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpbench.rotation import (
    geodesic_deg,
    mirror_angles,
    mirror_rotation,
    rotation_from_angles,
    wrap_deg,
)
from hpbench.scoring.metrics import angle_differences_deg
from hpbench.scoring.registry import METRICS
from hpbench.scoring.scores import FaceErrors

few = settings(max_examples=30, deadline=None, derandomize=True, database=None)
# gimbal itself is left to the geodesic: pitch and roll are not separable there
degrees = st.one_of(
    st.floats(-180, 180, allow_subnormal=False),
    st.sampled_from([0.0, 30.0, 60.0, 89.9, 90.1, 99.0, 179.9, 180.0, -180.0, -90.1, -30.0]),
)
triples = st.tuples(degrees.filter(lambda yaw: abs(abs(yaw) - 90) > 1e-3), degrees, degrees)
faces = st.lists(st.tuples(triples, triples, st.booleans()), min_size=1, max_size=12)
rotations = arrays(np.float64, (3,), elements=st.floats(-180, 180)).map(rotation_from_angles)


def face_errors(labels: np.ndarray, R_pred: np.ndarray) -> FaceErrors:
    return FaceErrors(
        R_pred, rotation_from_angles(labels), labels, angle_differences_deg(R_pred, labels)
    )


def errors_of(case: list) -> FaceErrors:
    labels = np.array([label for label, _, _ in case])
    R_pred = rotation_from_angles(np.array([predicted for _, predicted, _ in case]))
    R_pred[[not answered for _, _, answered in case]] = np.nan
    return face_errors(labels, R_pred)


def values(errors: FaceErrors, names: str = "") -> dict[str, float]:
    return {one.name: one.compute(errors) for one in METRICS if one.name.startswith(names)}


def assert_same(found: dict[str, float], expected: dict[str, float], atol: float = 1e-6) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=atol, err_msg=name)


def unambiguous(errors: FaceErrors) -> bool:
    """Whether no error lies on a seam, a bin's edge or a limit, from which rounding moves it."""
    near = [
        np.abs(np.abs(errors.differences_deg) - 180.0),
        *(np.abs(errors.geodesic_deg - limit) for limit in (5, 10, 15, 90)),
    ]
    return all(np.nanmin(one, initial=1.0) > 1e-6 for one in near) and _one_triple_is_nearer(errors)


def _one_triple_is_nearer(errors: FaceErrors) -> bool:
    other = wrap_deg(np.stack([180.0 - 2.0 * errors.angles_deg[:, 0] - errors.differences_deg[:, 0],
                               errors.differences_deg[:, 1] + 180.0,
                               errors.differences_deg[:, 2] + 180.0], axis=-1))  # fmt: skip
    sums = [np.abs(three).sum(axis=-1) for three in (other, errors.differences_deg)]
    return bool(np.nanmin(np.abs(sums[0] - sums[1]), initial=1.0) > 1e-6)


@given(degrees, st.integers(-5, 5))
@few
def test_wrapping_forgets_whole_turns_and_nothing_else(angle, turns):
    wrapped = float(wrap_deg(angle + 360.0 * turns))
    assert -180.0 <= wrapped < 180.0
    np.testing.assert_allclose(np.exp(1j * np.radians(wrapped - angle)), 1.0, atol=1e-9)


@given(faces, st.integers(-2, 2), st.sampled_from([0, 1, 2]))
@few
def test_whole_turns_in_a_label_change_no_metric_but_the_bins_of_yaw(case, turns, axis):
    errors = errors_of(case)
    if not unambiguous(errors):
        return
    labels = errors.angles_deg.copy()
    labels[:, axis] += 360.0 * turns
    found, expected = values(face_errors(labels, errors.R_pred)), values(errors)
    if axis == 0:  # bins hold labels as they are written
        found.pop("balanced_mae_deg"), expected.pop("balanced_mae_deg")
    assert_same(found, expected)


@given(faces)
@few
def test_mirrored_faces_have_the_same_errors_and_the_opposite_bias(case):
    errors = errors_of(case)
    if not unambiguous(errors):
        return
    labels = mirror_angles(errors.angles_deg)
    mirrored = values(face_errors(labels, mirror_rotation(errors.R_pred)))
    expected = values(errors)
    for name in ("bias_deg.yaw", "bias_deg.roll"):
        expected[name] *= -1.0
    assert_same(mirrored, expected)


@given(faces, st.randoms(use_true_random=False))
@few
def test_order_of_the_faces_changes_no_metric(case, chance):
    order = list(range(len(case)))
    chance.shuffle(order)
    errors = errors_of(case)
    assert_same(values(errors.of(np.array(order))), values(errors), atol=1e-9)


@given(faces, st.integers(1, 11))
@few
def test_errors_of_a_face_do_not_depend_on_its_batch_or_shard(case, size):
    errors = errors_of(case)
    shards = [np.arange(k, min(k + size, len(case))) for k in range(0, len(case), size)]
    parts = [
        face_errors(errors.angles_deg[shard], errors.R_pred[shard]) for shard in shards
    ]  # computed on their own
    for name in ("differences_deg", "geodesic_deg", "maev_deg", "face_mae_deg"):
        together = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(together, getattr(errors, name))


@given(rotations, rotations, rotations)
@few
def test_geodesic_error_is_a_metric(a, b, c):
    def distance(x, y):
        return float(geodesic_deg(x, y))

    assert distance(a, a) <= 1e-5
    assert 0.0 <= distance(a, b) <= 180.0
    assert abs(distance(a, b) - distance(b, a)) <= 1e-6
    assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-5
    # it is that of the rotations alone, not of the frame that they are written in
    assert abs(distance(c @ a, c @ b) - distance(a, b)) <= 1e-5
    assert abs(distance(a @ c, b @ c) - distance(a, b)) <= 1e-5


@given(rotations, st.floats(0.0, 180.0))
@few
def test_geodesic_error_of_a_turn_is_its_angle(a, angle):
    turn = rotation_from_angles([0.0, 0.0, angle])
    assert abs(float(geodesic_deg(turn @ a, a)) - angle) <= 1e-5
