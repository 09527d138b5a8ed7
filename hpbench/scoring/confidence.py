"""Whether a method knows when it is wrong: its confidences against its errors.

All values are over the predicted faces of one method, with each face's mean absolute error.
Faces with equal confidence stand in no order, so every value is its expectation over all orders
of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from hpbench.results.results_file import ConfidenceErrors
from hpbench.scoring.scores import MethodScores
from hpbench.scoring.statistics import MIN_UNITS, Resampling, percentile_interval

__all__ = ["RiskCoverage", "confidence_errors", "confidence_intervals", "risk_coverage"]

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint8]

_CHUNK_CELLS = 50_000
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
    one_each = np.ones((1, len(errors)), dtype=np.uint8)
    drawn = _Order.by(-method.confidence[predicted], errors).drawn(one_each)
    positions = np.unique(np.linspace(1, len(errors), _MAX_POINTS).round().astype(np.int32))
    error_deg = np.array([drawn.mean_of_first(np.array([k]))[0] for k in positions])
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
        orders = _both_orders(confidence, method.face_mae_deg[method.predicted])
        one_each = np.ones((1, len(confidence)), dtype=np.uint8)
        values = {name: float(found[0]) for name, found in _values(*orders, one_each).items()}
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
    orders = _both_orders(confidence, errors)
    found: dict[str, list[Array]] = {}
    for start in range(0, draws, step):
        weights = resampling.counts[start : min(start + step, draws), unit_of_face]
        weights = weights[weights.any(axis=1)]  # a draw of groups may hold no predicted face
        if not len(weights):
            continue
        for name, values in _values(*orders, weights).items():
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


def _both_orders(confidence: Array, errors_deg: Array) -> tuple[_Order, _Order]:
    """The order by confidence, and the best possible one, that by error."""
    return _Order.by(-confidence, errors_deg), _Order.by(errors_deg, errors_deg)


def _values(sure: _Order, best: _Order, weights: Counts) -> dict[str, Array]:
    """All values for every row of weights, shape (draws, faces): how often a face is drawn."""
    by_confidence, by_error = sure.drawn(weights), best.drawn(weights)
    aurc = by_confidence.area()
    return {
        "aurc_deg": aurc,
        "e_aurc_deg": aurc - by_error.area(),
        **{
            name: by_confidence.mean_of_first(np.ceil(share * by_confidence.faces - 1e-9))
            for name, share in _SHARES.items()
        },
        "spearman": -_correlation(by_confidence.ranks(), by_error.ranks(), weights),
    }


@dataclass(frozen=True, eq=False)
class _Order:
    """Faces in the order of a key, equal keys as one block.

    Attributes
    ----------
    faces : ndarray, shape (faces,)
        Their indices, in this order.
    starts : ndarray, shape (blocks,)
        Where each block starts in `faces`.
    block_of_face : ndarray, shape (faces,)
    errors_deg : ndarray, shape (faces,)
        In this order.
    """

    faces: Integers
    starts: Integers
    block_of_face: Integers
    errors_deg: Array

    @classmethod
    def by(cls, keys: Array, errors_deg: Array) -> _Order:
        order = np.argsort(keys, kind="stable")
        _, starts, block_in_order = np.unique(keys[order], return_index=True, return_inverse=True)
        block_of_face = np.empty(len(keys), dtype=np.int64)
        block_of_face[order] = block_in_order
        return cls(order, starts, block_of_face, errors_deg[order])

    def drawn(self, weights: Counts) -> _Drawn:
        """Faces as often as they are drawn: weights of shape (draws, faces)."""
        drawn = weights[:, self.faces]
        if len(self.starts) == len(self.faces):
            return _Drawn.of(self, drawn, self.errors_deg[None])
        size = np.add.reduceat(drawn, self.starts, axis=1, dtype=np.int32)
        total = np.add.reduceat(drawn * self.errors_deg, self.starts, axis=1)
        return _Drawn.of(self, size, total / np.maximum(size, 1))


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Draws of the faces in an order.

    Every value is a sum over positions of the error there times the weight of the position. Of a
    weight that adds up to F(k) over the first k positions, the block from position a + 1 to b
    gets F(b) - F(a) times its mean error; summed by parts, that is F at the end of each block
    times the drop of the mean error to the next block.

    Attributes
    ----------
    order : _Order
    size : ndarray, shape (draws, blocks)
        Faces in each block.
    after : ndarray, shape (draws, blocks), int32
        Faces up to the end of each block.
    drop_deg : ndarray, shape (draws, blocks) or (1, blocks)
        Mean error of each block minus that of the next one, which is 0 after the last.
    """

    order: _Order
    size: Counts | Integers
    after: npt.NDArray[np.int32]
    drop_deg: Array

    @classmethod
    def of(cls, order: _Order, size: Counts | Integers, mean_deg: Array) -> _Drawn:
        drop_deg = -np.diff(mean_deg, axis=1, append=0.0)
        return cls(order, size, np.cumsum(size, axis=1, dtype=np.int32), drop_deg)

    @property
    def faces(self) -> npt.NDArray[np.int32]:
        """Number of faces, shape (draws,)."""
        return self.after[:, -1]

    def area(self) -> Array:
        """Mean over k of the mean error of the first k faces, shape (draws,).

        Position p counts in the means of k = p to n, by 1 / k: H(n) - H(p - 1), with the harmonic
        numbers H.
        """
        harmonic, total = _harmonic_numbers(int(self.faces.max()).bit_length())
        weighted = harmonic[self.faces] * self._sum(self.after) - self._sum(total[self.after])
        return weighted / self.faces

    def mean_of_first(self, count: Array) -> Array:
        """Mean error of the first `count` faces, shape (draws,)."""
        return self._sum(np.minimum(self.after, count[:, None].astype(np.int32))) / count

    def _sum(self, weight_to_end: npt.NDArray[np.int32] | Array) -> Array:
        return np.asarray(np.einsum("db,db->d", weight_to_end, self.drop_deg))

    def ranks(self) -> npt.NDArray[np.int32]:
        """Twice the rank of every face minus the mean rank, shape (draws, faces), a whole number.

        Equal keys share their mean rank.
        """
        twice = 2 * self.after
        twice -= self.size
        twice -= self.faces[:, None]
        return twice[:, self.order.block_of_face]


@cache  # of powers of two, because every draw may hold another number of faces
def _harmonic_numbers(bits: int) -> tuple[Array, Array]:
    """H(k), and the sum of H(0) to H(k - 1), each for all k of so many bits."""
    k = np.arange(1, 2**bits)
    harmonic = np.cumsum(1.0 / k)
    return np.append(0.0, harmonic), np.append(0.0, k * (harmonic - 1.0))


def _correlation(a: npt.NDArray[np.int32], b: npt.NDArray[np.int32], weights: Counts) -> Array:
    """Pearson's correlation of each row, of mean 0; NaN where one of both is constant."""
    sums = [
        np.einsum("df,df,df->d", weights, x, y, dtype=np.float64)
        for x, y in ((a, b), (a, a), (b, b))
    ]
    scale = np.sqrt(sums[1] * sums[2])
    return np.divide(sums[0], scale, out=np.full(scale.shape, np.nan), where=scale > 0)
