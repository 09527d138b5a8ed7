"""Whether a method knows when it is wrong: its confidences against its errors.

All values are over the predicted faces of one method, with each face's mean absolute error.
Faces with equal confidence stand in no order, so every value is its expectation over all orders
of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpbench.results.results_file import ConfidenceErrors
from hpbench.scoring.scores import MethodScores
from hpbench.scoring.statistics import MIN_UNITS, Resampling, percentile_interval

__all__ = ["RiskCoverage", "confidence_errors", "confidence_intervals", "risk_coverage"]

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_CHUNK_CELLS = 1_000_000
_MAX_CELLS = 20_000_000
_MIN_DRAWS = 200
_MAX_POINTS = 200

_SHARES = {"error_at_80_deg": 0.8, "error_at_90_deg": 0.9}


@dataclass(frozen=True)
class RiskCoverage:
    """Mean error of the most confident share of the predicted faces.

    Attributes
    ----------
    share : ndarray, shape (points,)
        Ascending, the last is 1.
    error_deg : ndarray, shape (points,)
    """

    share: Array
    error_deg: Array


def risk_coverage(method: MethodScores) -> RiskCoverage | None:
    """Risk-coverage curve of a method (El-Yaniv and Wiener, JMLR 2010), at most 200 points.

    Returns
    -------
    RiskCoverage or None
        None where :func:`confidence_errors` names a problem, or there is no confidence at all.
    """
    predicted = method.predicted
    if not predicted.any() or _problem(method.confidence[predicted]) is not None:
        return None
    errors = method.face_mae_deg[predicted]
    ordered = _Ordered.by(-method.confidence[predicted], errors, np.ones((1, len(errors)), int))
    positions = np.unique(np.linspace(1, len(errors), _MAX_POINTS).round().astype(np.int64))
    error_deg = np.array([ordered.mean_of_first(np.array([k]))[0] for k in positions])
    return RiskCoverage(positions / len(errors), error_deg)


def confidence_errors(method: MethodScores) -> ConfidenceErrors | None:
    """What the confidences of a method are worth; None where it gives none.

    Returns
    -------
    ConfidenceErrors or None
        Values are None, and ``problem`` says why, where confidences cannot order the faces.
    """
    confidence = method.confidence[method.predicted]
    given = int(np.isfinite(confidence).sum())
    if not given:
        return None
    problem = _problem(confidence)
    values: dict[str, float] = {}
    if problem is None:
        errors = method.face_mae_deg[method.predicted]
        values = {
            name: float(found[0])
            for name, found in _values(
                confidence, errors, np.ones((1, len(errors)), np.int64)
            ).items()
        }
    return ConfidenceErrors(faces=len(confidence), given=given, problem=problem, **values)


def confidence_intervals(
    method: MethodScores, resampling: Resampling
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of the values of :func:`confidence_errors`, by name.

    Fewer draws are taken with more than 10,000 predicted faces, because every draw orders all.

    Returns
    -------
    dict
        Empty without confidence, or with fewer than 6 units.
    """
    predicted = method.predicted
    confidence, errors = method.confidence[predicted], method.face_mae_deg[predicted]
    unit_of_face = resampling.unit_of_face[predicted]
    units = len(np.unique(unit_of_face))
    if units < MIN_UNITS or _problem(confidence) is not None:
        return {}
    draws = min(len(resampling.counts), max(_MIN_DRAWS, _MAX_CELLS // len(errors)))
    step = max(1, _CHUNK_CELLS // len(errors))
    found: dict[str, list[Array]] = {}
    for start in range(0, draws, step):
        counts = resampling.counts[start : min(start + step, draws)]
        weights = counts[:, unit_of_face].astype(np.int64)
        for name, values in _values(confidence, errors, weights[weights.any(axis=1)]).items():
            found.setdefault(name, []).append(values)
    return {
        name: percentile_interval(np.concatenate(parts), units) for name, parts in found.items()
    }


def _problem(confidence: Array) -> str | None:
    """Why confidences, shape (predicted faces,), cannot order the faces; None where they can."""
    given = int(np.isfinite(confidence).sum())
    if given < len(confidence):
        return f"only {given} of {len(confidence)} predicted faces have a confidence"
    if len(np.unique(confidence)) < 2:
        return "every predicted face has the same confidence"
    return None


def _values(confidence: Array, errors_deg: Array, weights: Integers) -> dict[str, Array]:
    """All values for every row of weights, shape (draws, faces): how often a face is drawn."""
    by_confidence = _Ordered.by(-confidence, errors_deg, weights)
    by_error = _Ordered.by(errors_deg, errors_deg, weights)
    aurc = by_confidence.area()
    faces = weights.sum(axis=1)
    return {
        "aurc_deg": aurc,
        "e_aurc_deg": aurc - by_error.area(),
        **{
            name: by_confidence.mean_of_first(np.ceil(share * faces - 1e-9).astype(np.int64))
            for name, share in _SHARES.items()
        },
        "spearman": -_correlation(by_confidence.ranks(), by_error.ranks(), weights),
    }


@dataclass(frozen=True, eq=False)
class _Ordered:
    """Faces in the order of a key, equal keys as one block, for many draws at once.

    Attributes
    ----------
    block_of_face : ndarray, shape (faces,)
    size : ndarray, shape (draws, blocks)
        Faces of each block, as often as they are drawn.
    mean : ndarray, shape (draws, blocks)
        Mean error of each block; 0 where it is empty.
    size_before, sum_before : ndarray, shape (draws, blocks)
        Number and error sum of all faces before the block.
    """

    block_of_face: Integers
    size: Integers
    mean: Array
    size_before: Integers
    sum_before: Array

    @classmethod
    def by(cls, keys: Array, errors_deg: Array, weights: Integers) -> _Ordered:
        order = np.argsort(keys, kind="stable")
        _, starts, block_of_face = np.unique(keys[order], return_index=True, return_inverse=True)
        drawn = weights[:, order]
        size = np.add.reduceat(drawn, starts, axis=1)
        total = np.add.reduceat(drawn * errors_deg[order], starts, axis=1)
        blocks = np.empty(len(keys), dtype=np.int64)
        blocks[order] = block_of_face
        mean = np.divide(total, size, out=np.zeros(total.shape), where=size > 0)
        return cls(
            blocks, size, mean, np.cumsum(size, axis=1) - size, np.cumsum(total, axis=1) - total
        )

    def area(self) -> Array:
        """Mean over k of the mean error of the first k faces, shape (draws,).

        Within a block of equal keys the expected error of the first k is m + (S - W m) / k, with
        W faces and the error sum S before the block and m its mean, so that 1 / k adds up to a
        difference of harmonic numbers.
        """
        faces = self.size.sum(axis=1)
        harmonic = np.append(0.0, np.cumsum(1.0 / np.arange(1, faces.max() + 1)))
        steps = harmonic[self.size_before + self.size] - harmonic[self.size_before]
        areas = self.size * self.mean + (self.sum_before - self.size_before * self.mean) * steps
        return np.asarray(areas.sum(axis=1) / faces)

    def mean_of_first(self, count: Integers) -> Array:
        """Mean error of the first `count` faces, shape (draws,)."""
        block = (self.size_before + self.size < count[:, None]).sum(axis=1)
        row = np.arange(len(count))
        inside = count - self.size_before[row, block]
        total = self.sum_before[row, block] + inside * self.mean[row, block]
        return np.asarray(total / count)

    def ranks(self) -> Array:
        """Rank of every face, equal keys sharing their mean rank, shape (draws, faces)."""
        return np.asarray((self.size_before + (self.size + 1) / 2.0)[:, self.block_of_face])


def _correlation(a: Array, b: Array, weights: Integers) -> Array:
    """Pearson's correlation of each row; NaN where one of both is constant."""
    faces = weights.sum(axis=1, keepdims=True)
    a, b = (one - (weights * one).sum(axis=1, keepdims=True) / faces for one in (a, b))
    both, of_a, of_b = ((weights * x * y).sum(axis=1) for x, y in ((a, b), (a, a), (b, b)))
    scale = np.sqrt(of_a * of_b)
    return np.divide(both, scale, out=np.full(scale.shape, np.nan), where=scale > 0)
