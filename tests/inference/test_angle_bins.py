"""Angles of bins against SciPy's softmax and a plain weighted mean."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from hpbench.inference.angle_bins import expected_angles


@pytest.mark.parametrize("shift", [0.0, 2000.0, -2000.0])
def test_angle_is_the_mean_under_the_softmax_however_large_the_scores_are(shift):
    scores = np.random.default_rng(0).normal(0.0, 4.0, (50, 66)) + shift
    values_deg = -97.5 + 3.0 * np.arange(66)
    mean_deg, spread_deg = expected_angles(scores, values_deg)
    for shares, mean, spread in zip(softmax(scores, axis=1), mean_deg, spread_deg, strict=True):
        expected = np.average(values_deg, weights=shares)
        assert mean == pytest.approx(expected)
        assert spread**2 == pytest.approx(np.average((values_deg - expected) ** 2, weights=shares))
