"""Paired comparison of all methods of a run on a data set, and their ranks."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from hpbench.results.results_file import Comparison
from hpbench.scoring import statistics
from hpbench.scoring.scores import DatasetScores

__all__ = ["compare_pairs"]


def compare_pairs(
    dataset: DatasetScores, resampling: statistics.Resampling
) -> tuple[list[Comparison], list[int | None]]:
    """Compare every two methods on the faces that both predicted.

    Returns
    -------
    comparisons : list of Comparison
        Empty with too few independent faces.
    ranks : list of int or None
        1 + number of significantly better methods, in the order of the methods; None without
        a comparison.
    """
    count = len(dataset.methods)
    pairs = list(combinations(range(count), 2))
    differences = np.full((count, count), np.nan)
    p_values = np.full((count, count), np.nan)
    compared: list[Comparison] = []
    if pairs and resampling.units >= statistics.MIN_UNITS:
        errors = [method.face_mae_deg for method in dataset.methods]
        sums = [
            resampling.unit_sums(np.nan_to_num(errors[a] - errors[b])[:, None]) for a, b in pairs
        ]
        raw, exact = statistics.sign_flip_p_values(np.concatenate(sums, axis=-1))
        adjusted = statistics.holm(raw)
        draws = resampling.means((errors[a] - errors[b] for a, b in pairs), statistics.MIN_UNITS)
        for index, (a, b) in enumerate(pairs):
            column = errors[a] - errors[b]
            both = np.isfinite(column)
            if not both.any():
                continue
            mean = float(column[both].mean())
            differences[a, b], differences[b, a] = mean, -mean
            p_values[a, b] = p_values[b, a] = adjusted[index]
            compared.append(
                Comparison(
                    dataset=dataset.name,
                    method_spec_a=dataset.methods[a].spec,
                    method_spec_b=dataset.methods[b].spec,
                    images=int(np.count_nonzero(both)),
                    difference_deg=mean,
                    interval_95=statistics.percentile_interval(draws[:, index], resampling.units),
                    p_value=float(raw[index]),
                    p_holm=float(adjusted[index]),
                    test="sign flip, exact" if exact else "sign flip, 9999 random",
                )
            )
    ranks = statistics.ranks_with_ties(differences, p_values)
    shown = [
        int(rank) if method.predicted.any() and compared else None
        for rank, method in zip(ranks, dataset.methods, strict=True)
    ]
    return compared, shown
