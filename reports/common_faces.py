"""Tests on the faces that every method predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hpbench.results.results_file import Comparison
from hpbench.scoring.pairs import compare_pairs
from hpbench.scoring.scores import DatasetScores
from hpbench.scoring.statistics import make_resampling

__all__ = ["compare_on_common_faces"]


def compare_on_common_faces(
    dataset: DatasetScores,
) -> tuple[Sequence[Comparison], dict[str, int | None]]:
    """Compare every two methods on the faces that all of them predicted.

    The tests of ``results.json`` take every face that the two methods of a pair predicted: their
    p-values and ranks must not stand beside errors of fewer faces.

    Returns
    -------
    comparisons : sequence of Comparison
    ranks : dict of str to int or None
        By method; None without a comparison.
    """
    common = dataset.common[:, None]
    methods = [
        replace(method, differences_deg=np.where(common, method.differences_deg, np.nan))
        for method in dataset.methods
    ]
    resampling = make_resampling(len(dataset.image_ids), dataset.unit_groups)
    comparisons, ranks = compare_pairs(replace(dataset, methods=methods), resampling)
    return comparisons, {m.spec: rank for m, rank in zip(methods, ranks, strict=True)}
