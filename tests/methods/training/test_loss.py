"""The losses of training, and the rotations in torch that they need."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hpbench import rotation
from hpbench.methods.hopenet.bins import Bins
from hpbench.methods.hopenet.network import decode_angles, decode_rotations
from hpbench.methods.hopenet.rotations import (
    angles_from_rotations,
    geodesic_deg,
    rotations_from_angles,
)
from hpbench.methods.hopenet.training.loss import rotation_loss


@pytest.fixture(scope="module")
def angles_deg() -> np.ndarray:
    return np.random.default_rng(0).uniform(-89.0, 89.0, (200, 3))


def test_rotations_in_torch_are_those_of_the_project(angles_deg):
    R_cam = rotation.rotation_from_angles(angles_deg)
    made = rotations_from_angles(torch.from_numpy(angles_deg))
    np.testing.assert_allclose(made, R_cam, atol=1e-12)
    np.testing.assert_allclose(angles_from_rotations(made), angles_deg, atol=1e-9)


def test_geodesic_in_torch_is_that_of_the_project(angles_deg):
    a, b = (torch.from_numpy(rotation.rotation_from_angles(x)) for x in np.split(angles_deg, 2))
    expected = rotation.geodesic_deg(a.numpy(), b.numpy())
    np.testing.assert_allclose(geodesic_deg(a, b), expected, rtol=1e-9)


@pytest.mark.parametrize("turned_deg", [0.0, 1e-4, 179.99, 180.0])
def test_geodesic_has_a_finite_slope_for_equal_and_opposite_rotations(turned_deg):
    angles = torch.tensor([[0.0, 0.0, turned_deg]], requires_grad=True)
    geodesic_deg(rotations_from_angles(angles), torch.eye(3)[None]).sum().backward()
    assert torch.isfinite(angles.grad).all()


def test_heads_of_two_outputs_are_the_first_columns_of_the_rotation(angles_deg):
    """As differences from the frontal head, whatever their length; Gram and Schmidt in NumPy."""
    columns = np.random.default_rng(1).normal(size=(50, 3, 2))
    outputs = torch.from_numpy(columns - np.eye(3)[:, :2])
    sixth = np.concatenate([columns[..., 0], columns[..., 1]], axis=-1)
    R_cam = rotation.rotation_from_6d(sixth)
    np.testing.assert_allclose(decode_rotations(outputs, None), R_cam, atol=1e-9)
    np.testing.assert_allclose(
        decode_angles(outputs, None), rotation.angles_from_rotation(R_cam), atol=1e-7
    )


def test_outputs_of_zero_are_a_frontal_head_without_bins():
    for count in (1, 2):
        assert decode_angles(torch.zeros(1, 3, count), None).tolist() == [[0.0, 0.0, 0.0]]


def test_rotation_loss_is_the_mean_angle_of_fully_labelled_faces():
    """30 degrees of yaw off, then 10; the third face has no roll and does not count."""
    outputs = torch.tensor([[[1.0], [0.0], [0.0]], [[0.0], [0.0], [0.0]], [[5.0], [0.0], [0.0]]])
    labels = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 10.0], [0.0, 0.0, torch.nan]])
    assert float(rotation_loss(outputs, labels, None)) == pytest.approx(20.0, abs=1e-3)
    assert float(rotation_loss(outputs[2:], labels[2:], None)) == 0.0


def test_rotation_loss_of_bins_is_that_of_their_expectation():
    bins = Bins.centred(66, 3.0)
    logits = torch.full((1, 3, 66), -1e4)
    logits[:, :, [32, 33]] = 0.0  # middles of -1.5 and 1.5 degrees
    labels = torch.tensor([[0.0, 12.0, 0.0]])
    assert float(rotation_loss(logits, labels, bins)) == pytest.approx(12.0, abs=1e-3)
