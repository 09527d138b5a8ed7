"""Claimed spreads against errors: by hand, by simulation, and by an independent integral."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.stats import norm, t

from hpbench.scoring.calibration import (
    calibration,
    calibration_intervals,
    claimed_levels,
    observed_shares,
)
from hpbench.scoring.scores import MethodScores
from hpbench.scoring.statistics import make_resampling


def method(differences, spread) -> MethodScores:
    """A method that errs by these degrees of yaw, pitch, roll and claims these deviations."""
    differences = np.asarray(differences, dtype=float).reshape(-1, 3)
    nothing = np.full((len(differences), 3, 3), np.nan)
    return MethodScores(
        nothing, nothing, differences, differences, spec="m", no_answer={},
        confidence=np.full(len(differences), np.nan),
        spread_deg=np.broadcast_to(np.asarray(spread, dtype=float), differences.shape).copy(),
    )  # fmt: skip


def test_level_with_two_labelled_angles_is_that_of_a_plane_worked_by_hand():
    # in the plane, P(x^2 + y^2 <= d^2) = 1 - exp(-d^2 / 2)
    one = method([[3.0, -8.0, np.nan]], [3.0, 4.0, 5.0])
    assert claimed_levels(one)[0] == pytest.approx(1.0 - np.exp(-(1.0 + 4.0) / 2.0))


def test_level_with_one_labelled_angle_is_that_of_the_normal_distribution():
    one = method([[6.0, np.nan, np.nan]], 4.0)
    assert claimed_levels(one)[0] == pytest.approx(norm.cdf(1.5) - norm.cdf(-1.5))


def test_level_with_three_angles_is_the_normal_density_over_the_ellipsoid():
    one = method([[2.0, -1.0, 3.0]], [2.0, 4.0, 3.0])
    radius = np.sqrt(1.0 + 1.0 / 16.0 + 1.0)
    # spherical coordinates: the density over the ball of that radius
    inside, _ = dblquad(
        lambda r, theta: 2 * np.pi * r**2 * np.sin(theta) * norm.pdf(r) * norm.pdf(0.0) ** 2,
        0.0, np.pi, 0.0, radius,
    )  # fmt: skip
    assert claimed_levels(one)[0] == pytest.approx(inside, abs=1e-8)


def test_errors_drawn_from_the_claimed_spread_are_calibrated_and_twice_as_large_ones_are_not():
    generator = np.random.default_rng(0)
    spread = generator.uniform(1.0, 12.0, (4000, 3))
    errors = generator.normal(0.0, spread)
    found = calibration(method(errors, spread))
    assert (found.within_50, found.within_80, found.within_95) == pytest.approx(
        (0.5, 0.8, 0.95), abs=0.025
    )
    too_sure = calibration(method(2.0 * errors, spread))
    assert too_sure.within_95 < 0.8
    assert found.mean_spread_deg == pytest.approx(spread.mean())


def test_interval_of_a_share_agrees_with_the_binomial_one():
    generator = np.random.default_rng(1)
    one = method(generator.normal(0.0, 5.0, (400, 3)), 5.0)
    low, high = calibration_intervals(one, make_resampling(400))["within_80"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 400), rel=0.2)


def test_interval_of_a_method_that_predicts_six_of_24_sequences_is_as_wide_as_students_of_six():
    generator = np.random.default_rng(3)
    spread = np.repeat(generator.uniform(2.0, 9.0, 24), 50)  # a share of its own in each sequence
    errors = generator.normal(0.0, 5.0, (1200, 3))
    errors[6 * 50 :] = np.nan
    one = method(errors, spread[:, None])
    resampling = make_resampling(1200, np.repeat(np.arange(24), 50))
    low, high = calibration_intervals(one, resampling)["within_80"]
    shares = (claimed_levels(one)[: 6 * 50].reshape(6, 50) <= 0.8).mean(axis=1)
    half_width = t.ppf(0.975, 5) * shares.std(ddof=1) / np.sqrt(6)
    assert half_width < (high - low) / 2 < 1.25 * half_width


def test_picture_holds_the_same_shares():
    generator = np.random.default_rng(2)
    one = method(generator.normal(0.0, 5.0, (50, 3)), 5.0)
    shares = observed_shares(one, np.array([0.5, 0.8, 0.95]))
    found = calibration(one)
    assert shares == pytest.approx([found.within_50, found.within_80, found.within_95])


def test_spread_of_zero_claims_certainty():
    assert claimed_levels(method([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]], 0.0)).tolist() == [0.0, 1.0]


def test_method_without_a_spread_is_not_measured():
    one = method([[1.0, 2.0, 3.0]], np.nan)
    assert calibration(one) is None
    assert observed_shares(one, np.array([0.5])) is None


def test_spread_of_some_faces_only_is_said_and_not_measured():
    one = method([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], [[1.0, 1.0, 1.0], [1.0, np.nan, 1.0]])
    found = calibration(one)
    assert found.problem == "only 1 of 2 predicted faces have a claimed spread"
    assert (found.within_50, found.within_80, found.within_95) == (None, None, None)
    assert observed_shares(one, np.array([0.5])) is None
    assert calibration_intervals(one, make_resampling(2)) == {}


def test_faces_without_a_prediction_count_neither_way():
    one = method([[1.0, 1.0, 1.0], [np.nan] * 3], 10.0)
    found = calibration(one)
    assert (found.faces, found.within_50) == (1, 1.0)
