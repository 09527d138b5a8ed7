"""What becomes of what a method's decode gives for a face."""

from __future__ import annotations

import numpy as np
import pytest

from hpbench.checking.requirements import ConformanceError, require_valid
from hpbench.face import Face
from hpbench.inference.solving import prepare_face, valid_predictions
from hpbench.method import NoPrediction, Prediction
from hpbench.methods.constant import Constant

NO_SPREADS = [
    np.array([1.0, 2.0]), np.array([1.0, np.nan, 2.0]), np.array([-1.0, 1.0, 1.0]),
    np.array([np.inf, 1.0, 1.0]), np.ones((1, 3)),
]  # fmt: skip


def _valid(*predictions):
    return valid_predictions(Constant(), predictions)


def test_a_matrix_that_is_no_rotation_costs_only_its_own_face():
    wrong = [2.0 * np.eye(3), np.diag([1.0, 1.0, -1.0]), np.full((3, 3), np.nan), np.eye(2)]
    found = _valid(*[Prediction(one) for one in (np.eye(3), *wrong, np.eye(3))])
    assert [isinstance(one, Prediction) for one in found] == [True, *[False] * 4, True]
    assert found[1].reason == found[2].reason == "prediction is not a rotation matrix"
    assert found[3].reason == "prediction holds NaN or infinity"
    assert found[4].reason == "prediction of shape (2, 2) instead of (3, 3)"


def test_a_batch_without_any_prediction_stays_one():
    reasons = [NoPrediction("dark"), NoPrediction("small")]
    assert _valid(*reasons) == reasons


def test_prediction_stays_when_the_method_writes_over_its_array():
    R_cam, spread = np.eye(3), np.ones(3)
    (kept,) = _valid(Prediction(R_cam, spread_deg=spread))
    R_cam[:], spread[:] = 0.0, 9.0
    assert (kept.R_cam == np.eye(3)).all()
    assert (kept.spread_deg == 1.0).all()


@pytest.mark.parametrize("reason", [ValueError("no face"), 5, "\ud800"])
def test_reason_that_is_no_text_becomes_one(reason):
    class Blind(Constant):
        def prepare(self, face):
            return NoPrediction(reason)

    (decoded,) = _valid(NoPrediction(reason))
    face = Face("a", np.zeros((9, 9, 3), np.uint8), np.array([1.0, 1.0, 8.0, 8.0]))
    prepared, _ = prepare_face(Blind(), face)
    assert decoded.reason == prepared.reason == str(reason).replace("\ud800", "?")


def test_claimed_spread_is_kept_as_floats():
    [found] = _valid(Prediction(np.eye(3), spread_deg=np.array([0, 2, 3])))
    assert found.spread_deg.dtype == np.float64
    assert found.spread_deg.tolist() == [0.0, 2.0, 3.0]


@pytest.mark.parametrize("spread", [*NO_SPREADS, "wide", None])
def test_what_is_no_spread_counts_as_none_and_the_rotation_stays(spread):
    [found] = _valid(Prediction(np.eye(3), spread_deg=spread))
    assert isinstance(found, Prediction)
    assert found.spread_deg is None


NO_CONFIDENCES = [float("nan"), float("inf"), "high", [1.0, 2.0]]


@pytest.mark.parametrize("confidence", NO_CONFIDENCES)
def test_what_is_no_confidence_counts_as_none(confidence):
    [found] = _valid(Prediction(np.eye(3), confidence=confidence))
    assert found.confidence is None


@pytest.mark.parametrize("spread", NO_SPREADS)
def test_check_says_what_is_wrong_with_a_spread(spread):
    with pytest.raises(ConformanceError, match=r"spread_deg is .*three finite standard deviations"):
        require_valid(Prediction(np.eye(3), spread_deg=spread), "face 'a'")


@pytest.mark.parametrize("confidence", NO_CONFIDENCES)
def test_check_says_what_is_wrong_with_a_confidence(confidence):
    with pytest.raises(ConformanceError, match=r"confidence is .*give a finite number or None"):
        require_valid(Prediction(np.eye(3), confidence=confidence), "face 'a'")


@pytest.mark.parametrize("confidence", [None, 1, 0.5, np.float32(0.5), np.array(0.5)[()]])
def test_check_takes_any_finite_number_as_a_confidence(confidence):
    require_valid(Prediction(np.eye(3), confidence=confidence), "face 'a'")
