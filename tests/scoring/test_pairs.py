"""Paired comparison of methods: what counts as a difference, and what as a test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from hpbench.protocol import Protocol
from hpbench.scoring.pairs import compare_pairs
from hpbench.scoring.scores import DatasetScores, MethodScores
from hpbench.scoring.statistics import make_resampling


def compared(*errors_deg, groups=None):
    """Comparisons and ranks of methods named a, b, c that err by these degrees on every angle."""
    faces = len(errors_deg[0])
    nothing, ids = np.full((faces, 3, 3), np.nan), np.arange(faces).astype(str).astype(object)
    methods = [
        MethodScores(
            nothing, nothing, np.zeros((faces, 3)), np.repeat(errors[:, None], 3, axis=1),
            spec=name, no_answer={},
            confidence=np.full(faces, np.nan), spread_deg=np.full((faces, 3), np.nan),
        )
        for name, errors in zip("abc", errors_deg, strict=False)
    ]  # fmt: skip
    dataset = DatasetScores(
        "heads", Protocol(dataset="heads"), ids, np.arange(faces), ids, False,
        np.zeros((faces, 3)), nothing, {}, methods, {},
    )  # fmt: skip
    return compare_pairs(dataset, make_resampling(faces, groups))


def errors(seed: int, faces: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, 3.0, faces)


def test_errors_that_differ_by_rounding_are_equal():
    a = errors(0)
    (pair,), ranks = compared(a, np.nextafter(a, np.inf))
    assert pair.p_value == 1.0
    assert ranks == [1, 1]


def test_silent_method_costs_the_others_no_significance():
    a = errors(0)
    b, silent = a + 0.5 + np.sin(np.arange(40)), np.full(40, np.nan)
    (pair,), ranks = compared(a, b, silent)
    assert pair.p_holm == pair.p_value
    assert ranks == [1, 2, None]


def test_pair_with_five_common_faces_is_not_tested():
    few = np.where(np.arange(40) < 5, errors(1), np.nan)
    (pair,), ranks = compared(errors(0), errors(2), few)
    assert (pair.method_spec_a, pair.method_spec_b) == ("a", "b")
    assert ranks == [1, 1, None]


def test_of_three_methods_on_six_sequences_none_has_a_rank():
    """The smallest p-value of six sequences is 0.031, and times three pairs never below 5 %."""
    groups = np.repeat(np.arange(6), 20)
    a = errors(4, 120)
    found, ranks = compared(a, a + 10.0, a + 30.0, groups=groups)
    assert [(one.p_value, one.p_holm) for one in found] == [(2 / 2**6, None)] * 3
    assert [round(one.difference_deg) for one in found] == [-10, -30, -20]
    assert ranks == [None, None, None]


def test_method_with_few_faces_beside_others_is_not_called_equal_to_them():
    """Its six common faces cannot give a p-value below 5 % beside two such pairs more."""
    a = errors(0)
    few = np.where(np.arange(40) < 6, a + 20.0, np.nan)
    found, ranks = compared(a, a + 0.5 + np.sin(np.arange(40)), few)
    assert [one.images for one in found] == [40, 6, 6]
    of_few = [one for one in found if one.method_spec_b == "c"]
    assert of_few[0].difference_deg == pytest.approx(-20.0)
    assert [one.p_value for one in of_few] == pytest.approx([2 / 2**6] * 2, abs=0.01)
    assert [one.p_holm for one in of_few] == [None, None]
    assert ranks == [1, 2, None]


def test_interval_of_a_difference_known_in_six_of_24_sequences_is_as_wide_as_students_of_six():
    generator = np.random.default_rng(3)
    of_sequence = np.where(np.arange(24) < 6, generator.normal(0.0, 1.0, 24), np.nan)
    base = np.repeat(errors(1, 24), 10)
    (pair,), _ = compared(
        base + 5.0 + np.repeat(of_sequence, 10), base, groups=np.repeat(np.arange(24), 10)
    )
    low, high = pair.interval_95
    half_width = student.ppf(0.975, 5) * of_sequence[:6].std(ddof=1) / np.sqrt(6)
    assert half_width < (high - low) / 2 < 1.25 * half_width
