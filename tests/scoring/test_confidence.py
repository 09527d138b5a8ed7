"""Risk-coverage and its relatives, against values worked by hand and brute force."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import spearmanr

from hpbench.scoring.confidence import (
    _harmonic_numbers,
    confidence_errors,
    confidence_intervals,
    risk_coverage,
)
from hpbench.scoring.scores import MethodScores
from hpbench.scoring.statistics import expanded_shares, make_resampling


def method(errors, confidence) -> MethodScores:
    """A method that errs by these degrees on each angle; NaN for no prediction."""
    differences = np.repeat(np.asarray(errors, dtype=float)[:, None], 3, axis=1)
    nothing = np.full((len(differences), 3, 3), np.nan)
    return MethodScores(
        nothing, nothing, differences, differences, spec="m", no_answer={},
        confidence=np.asarray(confidence, dtype=float),
        spread_deg=np.full((len(differences), 3), np.nan),
    )  # fmt: skip


def area(errors_in_order) -> float:
    """AURC by its definition: mean over k of the mean error of the first k faces."""
    return float(np.mean(np.cumsum(errors_in_order) / np.arange(1, len(errors_in_order) + 1)))


def test_values_are_those_worked_out_by_hand():
    # surest first: errors 1, 4, 2, 9, so the curve is 1, 5/2, 7/3, 4; the best order is 1, 2, 4, 9
    found = confidence_errors(method([2, 1, 9, 4], [-3, -1, -8, -2]))
    assert found.aurc_deg == pytest.approx((1 + 5 / 2 + 7 / 3 + 4) / 4, abs=1e-6)
    assert found.e_aurc_deg == pytest.approx(
        ((1 + 5 / 2 + 7 / 3 + 4) - (1 + 3 / 2 + 7 / 3 + 4)) / 4, abs=1e-6
    )
    assert found.spearman == pytest.approx(-0.8)  # squared differences of ranks: 0, 1, 1, 0


def test_error_at_a_coverage_is_over_the_most_confident_faces():
    found = confidence_errors(method(np.arange(10.0), -np.arange(10.0)))
    assert found.error_at_80_deg == pytest.approx(np.arange(8).mean())
    assert found.error_at_90_deg == pytest.approx(np.arange(9).mean())


def test_two_values_of_confidence_are_an_order():
    found = confidence_errors(method([1, 2, 3, 4], [1, 1, 0, 0]))
    assert found.problem is None
    assert found.error_at_80_deg == pytest.approx((1 + 2 + 3.5 + 3.5) / 4)  # either of the last two


def test_best_possible_order_has_no_excess():
    errors = np.random.default_rng(0).gamma(2.0, 3.0, 50)
    assert confidence_errors(method(errors, -errors)).e_aurc_deg == 0.0


def test_equal_confidences_count_as_the_mean_over_all_their_orders():
    errors, confidence = np.array([5.0, 1.0, 8.0, 2.0, 3.0]), np.array([1, 2, 1, 1, 0])
    orders = [[errors[1], *tied, errors[4]] for tied in permutations(errors[confidence == 1])]
    found = confidence_errors(method(errors, confidence))
    assert found.aurc_deg == pytest.approx(np.mean([area(order) for order in orders]), abs=1e-6)
    assert found.error_at_80_deg == pytest.approx(
        np.mean([np.mean(order[:4]) for order in orders]), abs=1e-6
    )


def test_rank_correlation_with_ties_is_that_of_scipy():
    generator = np.random.default_rng(1)
    errors, confidence = generator.integers(0, 9, 60), generator.integers(0, 5, 60)
    found = confidence_errors(method(errors, confidence))
    assert found.spearman == pytest.approx(spearmanr(errors, confidence).statistic, abs=1e-6)


def test_intervals_are_those_of_the_definition_on_every_drawn_sample():
    generator = np.random.default_rng(2)
    errors = generator.gamma(2.0, 3.0, 24)
    confidence = -errors + generator.normal(0.0, 4.0, 24)
    groups = np.array([f"sequence {i % 8}" for i in range(24)])
    resampling = make_resampling(24, groups, resamples=60)
    areas, correlations = [], []
    for counts in resampling.counts:
        drawn = np.repeat(np.arange(24), counts[resampling.unit_of_face])
        # drawn copies of a face are equal in confidence and in error: their order is no matter
        surest = drawn[np.argsort(-confidence[drawn], kind="stable")]
        areas.append(area(errors[surest]))
        correlations.append(spearmanr(errors[drawn], confidence[drawn]).statistic)
    found = confidence_intervals(method(errors, confidence), resampling)
    assert found["aurc_deg"] == pytest.approx(np.quantile(areas, expanded_shares(resampling.units)))
    assert found["spearman"] == pytest.approx(
        np.quantile(correlations, expanded_shares(resampling.units))
    )


def test_curve_ends_at_the_mean_error_and_starts_at_the_surest_face():
    curve = risk_coverage(method([2, 1, 9, 4, np.nan], [-3, -1, -8, -2, np.nan]))
    assert curve.share.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.error_deg == pytest.approx([1, 5 / 2, 7 / 3, 4])


def test_curve_of_many_faces_has_few_points():
    errors = np.random.default_rng(3).gamma(2.0, 3.0, 5000)
    curve = risk_coverage(method(errors, -errors))
    assert len(curve.share) <= 200
    assert curve.error_deg[-1] == pytest.approx(errors.mean())


@pytest.mark.parametrize(
    ("confidence", "problem"),
    [
        ([0.5] * 8, "every predicted face has the same confidence"),
        ([*range(7), np.nan], "only 7 of 8 predicted faces have a confidence"),
    ],
)
def test_confidence_that_orders_nothing_is_said_in_words(confidence, problem):
    one = method(np.arange(8.0), confidence)
    found = confidence_errors(one)
    assert found.problem == problem
    assert found.aurc_deg is None
    assert found.spearman is None
    assert risk_coverage(one) is None
    assert confidence_intervals(one, make_resampling(8)) == {}


def test_method_without_confidence_has_no_entry():
    one = method(np.arange(8.0), [np.nan] * 8)
    assert confidence_errors(one) is None
    assert risk_coverage(one) is None


def test_method_without_predictions_has_no_entry():
    assert confidence_errors(method([np.nan] * 8, [np.nan] * 8)) is None


def test_equal_errors_leave_no_correlation_and_no_excess():
    found = confidence_errors(method([3.0] * 8, np.arange(8.0)))
    assert found.spearman is None
    assert (found.aurc_deg, found.e_aurc_deg) == (3.0, 0.0)


def test_draws_without_any_predicted_face_do_not_count():
    """Six of 150 sequences have predictions, so many faces that one draw is judged at a time."""
    sequence = np.repeat(np.arange(150), 4300)
    errors = np.random.default_rng(1).gamma(2.0, 3.0, len(sequence))
    silent = sequence >= 6
    resampling = make_resampling(len(sequence), sequence)
    draws = 20_000_000 // int((~silent).sum())
    assert (resampling.counts[:draws, :6].sum(axis=1) == 0).any()
    found = confidence_intervals(
        method(np.where(silent, np.nan, errors), np.where(silent, np.nan, -errors)), resampling
    )
    low, high = found["aurc_deg"]
    assert low < area(np.sort(errors[~silent])) < high


def test_sums_for_draws_of_many_sizes_take_no_more_memory_than_a_few():
    errors = np.random.default_rng(2).gamma(2.0, 3.0, 5000)
    silent = np.arange(5000) % 5 == 0
    confidence_intervals(
        method(np.where(silent, np.nan, errors), np.where(silent, np.nan, -errors)),
        make_resampling(5000),
    )
    assert _harmonic_numbers.cache_info().currsize < 20


def test_too_few_units_have_no_interval():
    errors = np.arange(8.0)
    resampling = make_resampling(8, ["a"] * 4 + ["b"] * 4)
    assert confidence_intervals(method(errors, -errors), resampling) == {}
