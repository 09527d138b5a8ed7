"""What becomes of what a method's decode gives for a face."""

from __future__ import annotations

import numpy as np
import pytest

from hpbench.checking.requirements import ConformanceError, require_valid
from hpbench.inference.solving import valid_prediction
from hpbench.method import Prediction
from hpbench.methods.constant import Constant

NO_SPREADS = [
    np.array([1.0, 2.0]), np.array([1.0, np.nan, 2.0]), np.array([-1.0, 1.0, 1.0]),
    np.array([np.inf, 1.0, 1.0]), np.ones((1, 3)),
]  # fmt: skip


def test_claimed_spread_is_kept_as_floats():
    found = valid_prediction(Constant(), Prediction(np.eye(3), spread_deg=np.array([0, 2, 3])))
    assert found.spread_deg.dtype == np.float64
    assert found.spread_deg.tolist() == [0.0, 2.0, 3.0]


@pytest.mark.parametrize("spread", [*NO_SPREADS, "wide", None])
def test_what_is_no_spread_counts_as_none_and_the_rotation_stays(spread):
    found = valid_prediction(Constant(), Prediction(np.eye(3), spread_deg=spread))
    assert isinstance(found, Prediction)
    assert found.spread_deg is None


@pytest.mark.parametrize("confidence", [float("nan"), float("inf"), "high", [1.0, 2.0]])
def test_what_is_no_confidence_counts_as_none(confidence):
    found = valid_prediction(Constant(), Prediction(np.eye(3), confidence=confidence))
    assert found.confidence is None


@pytest.mark.parametrize("spread", NO_SPREADS)
def test_check_says_what_is_wrong_with_a_spread(spread):
    with pytest.raises(ConformanceError, match=r"spread_deg is .*three finite standard deviations"):
        require_valid(Prediction(np.eye(3), spread_deg=spread), "face 'a'")
