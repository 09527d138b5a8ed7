"""Paired comparison of all methods of a run on a data set, and their ranks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt

from hpbench.results.results_file import Comparison
from hpbench.scoring import statistics
from hpbench.scoring.metrics import mean_of_finite
from hpbench.scoring.scores import DatasetScores

__all__ = ["compare_pairs"]

Array = npt.NDArray[np.float64]


def compare_pairs(
    dataset: DatasetScores, resampling: statistics.Resampling
) -> tuple[list[Comparison], list[int | None]]:
    """Compare every two methods on the faces that both predicted.

    Returns
    -------
    comparisons : list of Comparison
        Without the pairs that share too few independent faces.
    ranks : list of int or None
        1 + number of significantly better methods, in the order of the methods; None without
        a comparison, and where there are too few faces to tell so many methods apart.
    """
    count = len(dataset.methods)
    pairs = list(combinations(range(count), 2))
    if not pairs:
        return [], [None] * count
    errors = [method.face_mae_deg for method in dataset.methods]

    def differences() -> Iterator[Array]:
        return (errors[a] - errors[b] for a, b in pairs)

    tests = resampling.paired_tests(differences())
    adjusted = tests.corrected()
    intervals = resampling.mean_intervals(differences())
    means = np.full((count, count), np.nan)
    p_values = np.full((count, count), np.nan)
    compared: list[Comparison] = []
    for index, ((a, b), column) in enumerate(zip(pairs, differences(), strict=True)):
        if np.isnan(tests.p_values[index]):
            continue
        mean = mean_of_finite(column)
        means[a, b], means[b, a] = mean, -mean
        p_values[a, b] = p_values[b, a] = adjusted[index]
        compared.append(
            Comparison(
                dataset=dataset.name,
                method_spec_a=dataset.methods[a].spec,
                method_spec_b=dataset.methods[b].spec,
                images=int(np.count_nonzero(np.isfinite(column))),
                difference_deg=mean,
                interval_95=intervals[index],
                p_value=float(tests.p_values[index]),
                p_holm=None if np.isnan(adjusted[index]) else float(adjusted[index]),
                test=tests.test,
            )
        )
    ranks = statistics.ranks_with_ties(means, p_values)
    tested = np.isfinite(p_values).any(axis=1)
    return compared, [int(rank) if one else None for rank, one in zip(ranks, tested, strict=True)]
