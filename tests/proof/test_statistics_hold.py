"""Intervals hold the population value as often as they say, and Holm errs as seldom as it says.

Simulated: samples of a population whose value is known. A hundred samples and more are one matrix
product, for the draws of the bootstrap are the same for every data set of a size.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from hpbench.scoring import statistics

LEVEL, WITHIN = 0.95, 0.015


def coverage(samples: np.ndarray, value: float, groups: np.ndarray | None = None) -> float:
    """Share of the samples, shape (samples, faces), whose interval holds a value."""
    resampling = statistics.make_resampling(samples.shape[1], groups)
    limits = resampling.mean_intervals(samples)
    return float(np.mean([low <= value <= high for low, high in limits]))


def allowed(samples: int) -> float:
    """1.5 % and what so few samples add: three standard errors."""
    return WITHIN + 3.0 * np.sqrt(LEVEL * (1 - LEVEL) / samples)


@pytest.mark.parametrize("faces", [150, 500, 2000])
def test_interval_of_the_mean_error_covers_95_percent_over_images(faces, many):
    samples = many(400, 4000) if faces < 2000 else many(200, 4000)
    errors = np.random.default_rng(faces).gamma(1.3, 4.0, (samples, faces))
    found = coverage(errors, 5.2)
    print(f"{faces} images: {found:.4f} of {samples} samples")
    assert abs(found - LEVEL) <= (allowed(samples) if samples < 4000 else WITHIN)


@pytest.mark.parametrize("subjects", [20, 24, 60])
def test_interval_of_the_mean_error_covers_95_percent_over_subjects(subjects, many):
    """As BIWI: 24 sequences of frames that share what makes their person hard."""
    samples, frames = many(400, 4000), 40
    generator = np.random.default_rng(subjects)
    person = generator.normal(5.0, 1.5, (samples, subjects)).repeat(frames, axis=1)
    errors = np.abs(person + generator.normal(0.0, 1.0, person.shape))
    found = coverage(errors, _folded_mean(5.0, np.hypot(1.5, 1.0)), _names(subjects, frames))
    print(f"{subjects} subjects of {frames} frames: {found:.4f} of {samples} samples")
    assert abs(found - LEVEL) <= (allowed(samples) if samples < 4000 else WITHIN)


def test_interval_over_frames_instead_of_subjects_would_cover_far_less(many):
    """Why groups are drawn whole."""
    samples, frames, subjects = many(100, 1000), 40, 24
    generator = np.random.default_rng(0)
    person = generator.normal(5.0, 1.5, (samples, subjects)).repeat(frames, axis=1)
    found = coverage(person + generator.normal(0.0, 1.0, person.shape), 5.0)
    print(f"{subjects} subjects, frames drawn: {found:.4f}")
    assert found < 0.5


@pytest.mark.parametrize("faces", [151])
def test_interval_of_the_median_covers_95_percent(faces, many):
    samples = many(40, 2000)
    resampling = statistics.make_resampling(faces, resamples=many(500, 2000))
    errors = np.random.default_rng(faces).exponential(4.0, (samples, faces))
    limits = [resampling.median_interval(one) for one in errors]
    found = float(np.mean([low <= 4.0 * np.log(2.0) <= high for low, high in limits]))
    print(f"median of {faces} images: {found:.4f} of {samples} samples")
    assert abs(found - LEVEL) <= allowed(samples)


@pytest.mark.parametrize("better", [0, 2], ids=["all equal", "two of six better"])
def test_holm_keeps_its_level_over_all_pairs_of_methods(better, many):
    """Chance of any false finding among the pairs of equal methods: at most 5 %."""
    studies, units, methods = many(250, 4000), 40, 6
    generator = np.random.default_rng(better)
    pairs = list(combinations(range(methods), 2))
    equal = [k for k, (a, b) in enumerate(pairs) if (a < better) == (b < better)]
    false_findings = 0
    for _ in range(studies):
        hard = generator.gamma(2.0, 2.0, (units, 1))  # some images are hard for all
        errors = hard * generator.gamma(3.0, 1.0 / 3.0, (units, methods))
        errors[:, :better] *= 0.25
        sums = np.stack([errors[:, a] - errors[:, b] for a, b in pairs], axis=1)
        p_values, _exact = statistics.sign_flip_p_values(sums, flips=499)
        false_findings += bool((statistics.holm(p_values)[equal] < 0.05).any())
    found = false_findings / studies
    print(f"{'two of six better' if better else 'all equal'}: {found:.4f} of {studies} studies")
    assert found <= 0.05 + 3.0 * np.sqrt(0.05 * 0.95 / studies)


def _names(groups: int, faces: int) -> np.ndarray:
    return np.repeat([f"{k:03d}" for k in range(groups)], faces)


def _folded_mean(mean: float, deviation: float) -> float:
    """Mean of the absolute value of a normal variable."""
    from scipy.stats import foldnorm

    return float(foldnorm.mean(mean / deviation, scale=deviation))
