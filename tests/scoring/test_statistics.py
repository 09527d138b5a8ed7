"""Statistics against SciPy's own bootstrap and permutation test, and hand-computed cases."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.stats

from hpbench.scoring import statistics


def seeded(seed: int) -> dict[str, np.random.Generator]:
    """SciPy's argument, which has another name from 1.15 on."""
    is_old = tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 15)
    return {"random_state" if is_old else "rng": np.random.default_rng(seed)}


def interval_of_mean(values: np.ndarray, groups=None, draws: int = 2000) -> tuple[float, float]:
    resampling = statistics.make_resampling(len(values), groups, draws, seed=1)
    return statistics.percentile_interval(
        resampling.mean_draws([values]).means[:, 0], resampling.units
    )


def test_interval_of_a_mean_agrees_with_scipy_bootstrap() -> None:
    values = np.random.default_rng(0).gamma(2.0, 3.0, 400)
    reference = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=5000, method="percentile", **seeded(0)
    ).confidence_interval
    width = reference.high - reference.low
    np.testing.assert_allclose(interval_of_mean(values), reference, atol=0.05 * width)


def test_interval_of_a_median_agrees_with_scipy_bootstrap() -> None:
    values = np.random.default_rng(0).gamma(2.0, 3.0, 401)
    reference = scipy.stats.bootstrap(
        (values,), np.median, n_resamples=5000, method="percentile", **seeded(0)
    ).confidence_interval
    found = statistics.make_resampling(401, seed=1).median_interval(values)
    width = reference.high - reference.low
    np.testing.assert_allclose(found, reference, atol=0.1 * width)


def test_drawing_whole_groups_widens_the_interval_of_repeated_frames() -> None:
    # 20 sequences of 50 equal frames hold the information of 20 numbers, not of 1000.
    per_sequence = np.random.default_rng(0).normal(5.0, 1.0, 20)
    values = np.repeat(per_sequence, 50)
    low, high = interval_of_mean(values, np.repeat(np.arange(20).astype(str), 50))
    alone_low, alone_high = interval_of_mean(per_sequence)
    assert (low, high) == pytest.approx((alone_low, alone_high), abs=0.05)


def test_random_blocks_of_very_many_images_keep_the_standard_error() -> None:
    values = np.random.default_rng(0).normal(5.0, 2.0, 100_000)
    low, high = interval_of_mean(values)
    assert high - low == pytest.approx(2 * 1.96 * 2.0 / np.sqrt(100_000), rel=0.06)


def test_interval_covers_the_true_mean_in_about_95_percent_of_samples() -> None:
    generator = np.random.default_rng(7)
    hits = 0
    for _ in range(300):
        low, high = interval_of_mean(generator.exponential(4.0, 150), draws=300)
        hits += low <= 4.0 <= high
    assert 0.90 <= hits / 300 <= 0.98


def test_missing_values_are_left_out_of_the_mean() -> None:
    values = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    means = statistics.make_resampling(3).mean_draws(values.T).means
    assert np.nanmin(means[:, 0]) == 1.0
    assert np.nanmax(means[:, 0]) == 3.0
    assert np.isnan(means[:, 1]).all()


def test_draws_are_the_same_for_the_same_seed() -> None:
    first, second = (statistics.make_resampling(50, seed=3).counts for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_exact_p_value_agrees_with_scipy_permutation_test() -> None:
    differences = np.array([0.4, 1.1, -0.3, 0.9, 0.2, 1.4, 0.8, -0.1])
    reference = scipy.stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    p_values, exact = statistics.sign_flip_p_values(differences[:, None])
    assert exact
    assert p_values[0] == pytest.approx(reference.pvalue)


def test_random_p_value_agrees_with_the_t_test_on_normal_differences() -> None:
    differences = np.random.default_rng(5).normal(0.1, 1.0, 400)
    reference = scipy.stats.ttest_1samp(differences, 0.0).pvalue
    p_values, exact = statistics.sign_flip_p_values(differences[:, None])
    assert not exact
    assert p_values[0] == pytest.approx(reference, abs=0.015)


def test_p_value_of_equal_methods_is_one() -> None:
    p_values, _ = statistics.sign_flip_p_values(np.zeros((100, 1)))
    assert p_values[0] == 1.0


def test_random_p_value_is_never_zero() -> None:
    p_values, _ = statistics.sign_flip_p_values(np.ones((200, 1)), flips=999)
    assert p_values[0] == pytest.approx(1 / 1000)


def test_holm_on_the_example_worked_by_hand() -> None:
    # sorted .005 .01 .03 .04 times 4 3 2 1 = .02 .03 .06 .04, made monotone
    np.testing.assert_allclose(statistics.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_out_what_was_not_tested() -> None:
    found = statistics.holm([0.01, np.nan, 0.04, np.nan])
    np.testing.assert_allclose(found, [0.02, np.nan, 0.04, np.nan])


def test_interval_of_values_in_six_of_24_sequences_covers_95_percent() -> None:
    samples, frames = 2000, 5
    resampling = statistics.make_resampling(24 * frames, np.repeat(np.arange(24), frames))
    columns = np.full((samples, 24 * frames), np.nan)
    of_sequence = np.random.default_rng(0).normal(5.0, 1.0, (samples, 6))
    columns[:, : 6 * frames] = of_sequence.repeat(frames, axis=1)
    low, high = np.array(resampling.mean_intervals(columns)).T
    assert np.mean((low <= 5.0) & (high >= 5.0)) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("spread", [(1.0, 1.0, 1.0), (1.0, 1.5, 3.0), (3.0, 1.5, 1.0)])
def test_interval_of_an_average_of_unequally_filled_columns_covers_95_percent(spread) -> None:
    generator, samples = np.random.default_rng(2), 1000
    resampling = statistics.make_resampling(24)
    hits = 0
    for _ in range(samples):
        of_sequence = generator.normal(0.0, 1.0, 24)  # part of every column
        columns = 5.0 + np.array(spread)[:, None] * (
            of_sequence + generator.normal(0.0, 1.0, (3, 24))
        )
        columns[1, 16:] = columns[2, 6:] = np.nan
        ((low, high),) = resampling.mean_draws(columns).averaged().intervals()
        hits += low <= 5.0 <= high
    assert hits / samples == pytest.approx(0.95, abs=0.025)


def test_average_is_as_sure_as_welch_and_satterthwaite_say() -> None:
    # variances 1 and 4 of 24 and 7 units: 25 / (1 / 23 + 16 / 6) is 9.22 degrees of freedom
    means = np.array([[-1.0, -2.0], [1.0, 2.0]] * 50)
    averaged = statistics.MeanDraws(means, np.array([24, 7])).averaged()
    assert averaged.units.tolist() == [10]
    assert averaged.means[:2, 0].tolist() == [-1.5, 1.5]


def test_average_of_columns_that_never_vary_has_an_interval_of_no_width() -> None:
    drawn = statistics.make_resampling(8).mean_draws([np.full(8, 1.0), np.full(8, 2.0)])
    assert drawn.averaged().intervals() == [(1.5, 1.5)]


def test_values_in_five_sequences_have_no_interval_and_no_p_value() -> None:
    column = np.where(np.arange(24) < 5, 1.0 + np.arange(24), np.nan)
    resampling = statistics.make_resampling(24)
    assert np.isnan(resampling.mean_intervals([column])).all()
    assert np.isnan(resampling.paired_tests([column]).p_values).all()


def test_differences_by_rounding_are_none() -> None:
    rounding, small = np.full(40, 1e-14), np.full(40, 1e-6)
    tests = statistics.make_resampling(40).paired_tests([rounding, small])
    assert tests.p_values.tolist() == [1.0, 1.0 / 10_000]


@pytest.mark.parametrize(("units", "pairs"), [(6, 1), (7, 3), (9, 10), (10, 15)])
def test_as_many_pairs_are_tested_as_could_be_told_apart(units, pairs) -> None:
    """Two of 2^units sign patterns, times the pairs, are below 5 %; of one unit less not."""
    for have, below in ((units, True), (units - 1, False)):
        tests = statistics.make_resampling(have).paired_tests([np.ones(have)] * pairs)
        assert (2.0 / 2**have * pairs < 0.05) == below
        corrected = tests.corrected()
        assert (corrected < 0.05).all() if below else np.isnan(corrected).all()


def test_pair_with_fewer_units_than_others_is_not_tested_where_it_comes_too_late() -> None:
    """Of 7, 7, 7 and 6 units: 4 times 2/128 is above 5 %, and the last cannot be below that."""
    smallest = np.array([2 / 2**7] * 3 + [2 / 2**6])
    assert np.isnan(statistics.holm(smallest, smallest)).all()
    smallest[:3] = 2 / 2**8
    assert np.isnan(statistics.holm(smallest, smallest)).tolist() == [False] * 4


def test_of_many_methods_so_many_flips_are_drawn_that_they_can_be_told_apart() -> None:
    pairs = 40 * 39 // 2
    tests = statistics.make_resampling(50).paired_tests([np.ones(50)] * pairs)
    assert (tests.corrected() < 0.05).all()


def test_methods_that_cannot_be_told_apart_share_a_rank() -> None:
    differences = np.array([[0.0, -0.1, -3.0], [0.1, 0.0, -2.9], [3.0, 2.9, 0.0]])
    p_values = np.array([[1.0, 0.6, 0.001], [0.6, 1.0, 0.001], [0.001, 0.001, 1.0]])
    assert statistics.ranks_with_ties(differences, p_values).tolist() == [1, 1, 3]


def test_median_of_too_few_units_or_of_nothing_has_no_interval() -> None:
    column = np.where(np.arange(24) < 5, 1.0 + np.arange(24), np.nan)
    resampling = statistics.make_resampling(24)
    assert np.isnan(resampling.median_interval(column, min_units=6)).all()
    assert np.isfinite(resampling.median_interval(column, min_units=5)).all()
    assert np.isnan(resampling.median_interval(np.full(24, np.nan))).all()


@pytest.mark.parametrize(("p_value", "rank"), [(0.04, 2), (0.06, 1)])
def test_method_that_is_beaten_at_the_5_percent_level_has_a_rank_behind(p_value, rank) -> None:
    differences = np.array([[0.0, -1.0], [1.0, 0.0]])
    p_values = np.array([[1.0, p_value], [p_value, 1.0]])
    assert statistics.ranks_with_ties(differences, p_values).tolist() == [1, rank]


def test_many_groups_are_drawn_in_a_bounded_number_of_units():
    groups = [f"g{number // 2}" for number in range(30_000)]
    resampling = statistics.make_resampling(30_000, groups, resamples=2)
    assert resampling.units == 4000
    same = resampling.unit_of_face.reshape(-1, 2)
    assert (same[:, 0] == same[:, 1]).all()  # the two faces of a group stay together


def test_draw_holds_each_face_as_often_as_it_counts():
    values = np.random.default_rng(5).normal(size=(60, 3))
    values[7, 1] = np.nan
    resampling = statistics.make_resampling(60, resamples=50)
    means = resampling.mean_draws(column for column in values.T).means
    draw = np.repeat(np.arange(60), resampling.counts[0])
    expected = [np.nanmean(values[draw, k]) for k in range(3)]
    np.testing.assert_allclose(means[0], expected)


def test_median_interval_is_that_of_the_drawn_medians():
    values = np.random.default_rng(3).gamma(2.0, 3.0, 501)  # odd, so no median is between two
    values[:100], values[100:130] = np.nan, 0.0  # without a prediction, and without an error
    resampling = statistics.make_resampling(501, resamples=400, seed=9)
    drawn = [np.repeat(values, counts) for counts in resampling.counts]
    medians = [np.quantile(one[~np.isnan(one)], 0.5, method="inverted_cdf") for one in drawn]
    low, high = resampling.median_interval(values)
    below, above = statistics.expanded_shares(401)
    # the interval's ends are drawn medians; a percentile interpolates between two of them
    assert low == pytest.approx(np.quantile(medians, below, method="inverted_cdf"))
    assert high == pytest.approx(np.quantile(medians, above, method="inverted_cdf"))


@pytest.mark.parametrize("units", [14, 24])
def test_p_values_of_thousands_of_pairs_need_little_memory(units) -> None:
    """Of 2,000 pairs, one matrix of all sign patterns took 262 MB, and 160 MB of random ones."""
    differences = np.random.default_rng(0).normal(0.2, 1.0, (units, 2000))
    tracemalloc.start()
    p_values, _ = statistics.sign_flip_p_values(differences, flips=9999)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64e6
    alone, _ = statistics.sign_flip_p_values(differences[:, :1], flips=9999)
    assert p_values[0] == pytest.approx(alone[0], abs=0.02)
