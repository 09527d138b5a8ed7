"""Intervals and paired tests that respect what was sampled: images, or whole groups.

Frames of one video are not independent, so BIWI's intervals draw whole sequences. Everything
here works on *units* (an image, or a group), each reduced to its sums, which makes a bootstrap
of means one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, product

import numpy as np
import numpy.typing as npt

__all__ = [
    "EQUAL_DEG", "LEVEL", "MAX_UNITS", "MIN_UNITS", "MeanDraws", "PairedTests", "Resampling",
    "expanded_shares", "holm", "make_resampling", "percentile_interval", "ranks_with_ties",
    "sign_flip_p_values",
]  # fmt: skip

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

RESAMPLES = 2000
FLIPS = 9999
_FLIPS_PER_PAIR = 40  # corrected for so many pairs, a p-value can be as small as 2.5 percent
SEED = 20180205

MIN_UNITS = 6
"""With fewer independent units no interval is worth printing and no p-value can be below 5 %."""

MAX_UNITS = 4000
"""More images or groups are pooled at random into so many bootstrap units."""

LEVEL = 0.05
"""A corrected p-value below it is a finding."""

EQUAL_DEG = 1e-9
"""Errors that differ by less are equal: rounding to one side would pass for a sure difference."""

_MAX_EXACT_UNITS = 14
_CHUNK_CELLS = 1_000_000  # bounds every temporary matrix to 8 MB
_RANKS_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class MeanDraws:
    """Means of some columns in every bootstrap draw.

    Attributes
    ----------
    means : ndarray, shape (resamples, columns)
        NaN where a draw holds no value of the column.
    units : ndarray, shape (columns,)
        How many units hold values of the column. Its interval rests on these, not on all.
    """

    means: Array
    units: Integers

    def intervals(self) -> list[tuple[float, float]]:
        """95 % interval of each column; NaN with values in fewer than 6 units."""
        unknown = float("nan"), float("nan")
        return [
            percentile_interval(column, units) if units >= MIN_UNITS else unknown
            for column, units in zip(self.means.T, self.units.tolist(), strict=True)
        ]

    def minus(self, other: MeanDraws) -> MeanDraws:
        """Differences to as many other columns, each as sure as its side with fewer units."""
        return MeanDraws(self.means - other.means, np.minimum(self.units, other.units))

    def averaged(self) -> MeanDraws:
        """One column, the average of all.

        Its units follow from Welch's and Satterthwaite's degrees of freedom: those of the columns
        that vary most decide. Columns share units, so no more than the fullest one has.
        """
        units = self.units.min()
        if units >= MIN_UNITS:
            variances = np.nanvar(self.means, axis=0)
            with np.errstate(invalid="ignore"):  # where nothing varies
                freedom = variances.sum() ** 2 / (variances**2 / (self.units - 1)).sum()
            units = np.fmin(freedom + 1, self.units.max())
        return MeanDraws(self.means.mean(axis=1, keepdims=True), np.array([units], dtype=np.int64))


@dataclass(frozen=True, eq=False)
class PairedTests:
    """Tests of differences between methods, one each.

    Attributes
    ----------
    p_values : ndarray, shape (pairs,)
        NaN with differences in fewer than 6 units, where none can be below 5 %.
    smallest : ndarray, shape (pairs,)
        The smallest that each could have been: of all sign patterns of its units, two reach the
        sum of differences of one sign.
    test : str
        What was done, in words.
    """

    p_values: Array
    smallest: Array
    test: str

    def corrected(self) -> Array:
        """The p-values, :func:`holm` corrected."""
        return holm(self.p_values, self.smallest)


@dataclass(frozen=True)
class Resampling:
    """Bootstrap draws that all metrics and methods of one data set share.

    Shared draws keep the methods paired: the difference of two columns of :meth:`mean_draws` is
    a bootstrap of the difference.

    Attributes
    ----------
    unit_of_face : ndarray, shape (n,), int32
        Which unit a face belongs to.
    counts : ndarray, shape (resamples, units), uint8
        How often each draw holds each unit; every row sums to the number of units.
    independent : int
        Number of images or groups; more than 4,000 are pooled into units at random.
    """

    unit_of_face: npt.NDArray[np.int32]
    counts: npt.NDArray[np.uint8]
    independent: int

    @property
    def units(self) -> int:
        """Number of units that are drawn."""
        return int(self.counts.shape[1])

    def mean_draws(self, columns: Iterable[npt.ArrayLike]) -> MeanDraws:
        """Mean of each column in every draw.

        Parameters
        ----------
        columns : iterable of array_like, each of shape (n,)
            A generator of columns needs the memory of one column only. NaN is left out, of the
            sum and of the count.
        """
        sums, sizes = [], []
        for column in columns:
            values = np.asarray(column, dtype=np.float64)
            present = np.isfinite(values)
            sums.append(self._unit_sum(np.where(present, values, 0.0)))
            sizes.append(self._unit_sum(present))
        sum_of_unit, size_of_unit = np.stack(sums, axis=-1), np.stack(sizes, axis=-1)
        means = np.empty((len(self.counts), len(sums)))
        for rows, weights in self._blocks(np.dtype(np.float64)):
            size = weights @ size_of_unit
            means[rows] = np.divide(
                weights @ sum_of_unit, size, out=np.full(size.shape, np.nan), where=size > 0
            )
        return MeanDraws(means, np.count_nonzero(size_of_unit, axis=0))

    def mean_intervals(self, columns: Iterable[npt.ArrayLike]) -> list[tuple[float, float]]:
        """95 % interval of the mean of each column, as :meth:`mean_draws` takes them.

        NaN for a column with values in fewer than 6 units: an interval over two or three
        predicted faces would be narrow and mean nothing.
        """
        return self.mean_draws(columns).intervals()

    def paired_tests(self, differences_deg: Iterable[npt.ArrayLike]) -> PairedTests:
        """Test whether two methods are equally good, by :func:`sign_flip_p_values`.

        Parameters
        ----------
        differences_deg : iterable of array_like, each of shape (n,)
            Error of one method minus that of another; NaN where one has no prediction.
        """
        sums, units = [], []
        for column in differences_deg:
            values = np.asarray(column, dtype=np.float64)
            sums.append(self._unit_sum(np.where(np.abs(values) >= EQUAL_DEG, values, 0.0)))
            units.append(np.count_nonzero(self._unit_sum(np.isfinite(values))))
        flips = max(FLIPS, _FLIPS_PER_PAIR * len(sums))
        p_values, exact = sign_flip_p_values(np.stack(sums, axis=-1), flips)
        smallest = np.maximum(np.exp2(1.0 - np.array(units)), 0.0 if exact else 1 / (flips + 1))
        return PairedTests(
            np.where(np.array(units) < MIN_UNITS, np.nan, p_values),
            smallest,
            "sign flip, exact" if exact else f"sign flip, {flips} random",
        )

    def median_interval(self, values: npt.ArrayLike, min_units: int = 1) -> tuple[float, float]:
        """Interval of the median of one column, as :func:`percentile_interval`.

        A drawn median is at most x just when at least half of the draw is at most x. That is a
        mean, so the limits are searched for among the sorted values, without sorting any draw.

        Parameters
        ----------
        values : array_like, shape (n,)
        min_units : int

        Returns
        -------
        tuple of float
            NaN with values in fewer units.
        """
        column = np.asarray(values, dtype=np.float64)
        order = np.argsort(column)[: np.count_nonzero(np.isfinite(column))]  # NaN sorts last
        unit_of_rank = self.unit_of_face[order]
        units = len(np.unique(unit_of_rank))
        if units < max(min_units, 1):
            return float("nan"), float("nan")

        def limit(share: float) -> float:
            low, high = 0, order.size - 1
            while low < high:
                ranks = np.unique(np.linspace(low, high - 1, _RANKS_AT_ONCE).astype(np.int64))
                enough = self._medians_within(unit_of_rank, ranks) >= share
                first = int(np.argmax(enough)) if enough.any() else len(ranks)
                low = low if first == 0 else int(ranks[first - 1]) + 1
                high = high if first == len(ranks) else int(ranks[first])
            return float(column[order[low]])

        low_share, high_share = expanded_shares(units)
        return limit(low_share), limit(high_share)

    def _medians_within(
        self, unit_of_rank: npt.NDArray[np.int32], ranks: npt.NDArray[np.int64]
    ) -> Array:
        """Share of the draws whose median is at most the value of each rank, shape (ranks,)."""
        parts = np.split(unit_of_rank, ranks + 1)
        # Whole numbers below 2**24, so single precision is exact and reads half the memory.
        sizes = np.stack([np.bincount(part, minlength=self.units) for part in parts], axis=-1)
        below = np.cumsum(sizes, axis=-1).astype(np.float32)
        reached = np.zeros(len(ranks))
        filled = 0
        for _, weights in self._blocks(np.dtype(np.float32)):
            drawn = weights @ below
            some = drawn[:, -1:] > 0
            reached += ((2.0 * drawn[:, :-1] >= drawn[:, -1:]) & some).sum(axis=0)
            filled += int(some.sum())
        return reached / filled

    def _unit_sum(self, column: npt.ArrayLike) -> Array:
        weights = np.asarray(column, dtype=np.float64)
        sums = np.bincount(self.unit_of_face, weights, minlength=self.units)
        return sums.astype(np.float64, copy=False)

    def _blocks(self, dtype: np.dtype) -> Iterator[tuple[slice, npt.NDArray]]:
        """The counts as numbers to calculate with, some draws at a time."""
        step = max(1, _CHUNK_CELLS // self.units)
        for start in range(0, len(self.counts), step):
            rows = slice(start, start + step)
            yield rows, self.counts[rows].astype(dtype)


def make_resampling(
    faces: int,
    groups: Sequence[str] | npt.NDArray[np.object_] | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Resampling:
    """Draw bootstrap samples of images, or of whole groups.

    Parameters
    ----------
    faces : int
        Number of faces.
    groups : sequence of str, shape (faces,), optional
        Sequence or subject of each face; whole groups are drawn. The default draws images.
    resamples : int
    seed : int

    Notes
    -----
    More than 4,000 images or groups are first pooled at random into 4,000 units, and
    these are drawn. For independent images that changes the width of an interval by about a
    percent, less than the 2,000 draws themselves do, and keeps work and memory bounded.
    """
    generator = np.random.default_rng(seed)
    if groups is not None:
        names, unit_of_face = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
        if len(unit_of_face) != faces:
            raise ValueError(
                f"groups has {len(unit_of_face)} entries; expected {faces}, one per face"
            )
        units = len(names)
    else:
        unit_of_face, units = np.arange(faces), faces
    independent = units
    if units > MAX_UNITS:
        unit_of_face = (generator.permutation(units) % MAX_UNITS)[unit_of_face]
        units = MAX_UNITS
    counts = np.empty((resamples, units), dtype=np.uint8)  # no draw holds a unit 256 times
    for row in counts:
        row[:] = np.bincount(generator.integers(0, max(units, 1), units), minlength=units)
    return Resampling(unit_of_face.astype(np.int32), counts, independent)


def percentile_interval(draws: npt.ArrayLike, units: int) -> tuple[float, float]:
    """Middle 95 % of bootstrap draws, shape (resamples,), of so many independent units.

    Returns
    -------
    tuple of float
        Lower and upper limit; NaN when fewer than two draws are numbers.

    Notes
    -----
    Draws of few units spread too little: with 24 the plain middle 95 % hold the population value
    in 93 % of samples. The *expanded* percentile interval (Hesterberg, "What Teachers Should Know
    About the Bootstrap", The American Statistician 69(4), 2015, section 4.3) takes as much more of
    the draws as Student's t is wider than the normal distribution.
    """
    values = np.asarray(draws, dtype=np.float64)
    ordered = np.sort(values[np.isfinite(values)])
    if ordered.size < 2:
        return float("nan"), float("nan")
    positions = np.multiply(expanded_shares(units), ordered.size - 1)
    low, high = np.interp(positions, np.arange(ordered.size), ordered)
    return float(low), float(high)


@cache
def expanded_shares(units: int) -> tuple[float, float]:
    """Shares of draws of so many units that lie below the limits of a 95 % interval."""
    from scipy.special import ndtr, stdtrit

    freedom = max(units - 1, 1)
    below = float(ndtr(-np.sqrt((freedom + 1) / freedom) * stdtrit(freedom, 0.975)))
    return below, 1.0 - below


def sign_flip_p_values(unit_sums: npt.ArrayLike, flips: int = FLIPS) -> tuple[Array, bool]:
    """Two-sided p-values of paired mean differences by flipping the signs of whole units.

    If two methods were equally good, each unit's difference could as well have had the other
    sign (Fisher's randomisation test). With at most 14 units all sign patterns are tried
    and the p-value is exact; otherwise `flips` random ones, and the observed one is counted in
    (Phipson and Smyth, "Permutation P-values Should Never Be Zero", 2010).

    Parameters
    ----------
    unit_sums : array_like, shape (units, pairs)
        Sum of the differences in each unit, for each pair of methods.
    flips : int

    Returns
    -------
    p_values : ndarray, shape (pairs,)
    exact : bool
    """
    sums = np.asarray(unit_sums, dtype=np.float64)
    units, pairs = sums.shape
    observed = np.abs(sums.sum(axis=0)) * (1.0 - 1e-12)  # equal sums must count as equal
    exact = units <= _MAX_EXACT_UNITS
    tried = 2**units if exact else flips
    reached = np.zeros(pairs)
    for signs in _sign_patterns(units, exact, tried, _CHUNK_CELLS // max(units, pairs, 1)):
        reached += (np.abs(signs @ sums) >= observed).sum(axis=0)
    return (reached / tried if exact else (reached + 1) / (flips + 1)), exact


def _sign_patterns(units: int, every: bool, count: int, at_once: int) -> Iterator[Array]:
    """All sign patterns of some units, or random ones, in blocks of shape (at_once, units)."""
    all_patterns = product((1.0, -1.0), repeat=units)
    generator = np.random.default_rng(SEED)
    at_once = max(at_once, 1)
    for start in range(0, count, at_once):
        rows = min(at_once, count - start)
        if every:
            yield np.array(list(islice(all_patterns, rows)))
        else:
            yield generator.integers(0, 2, (rows, units), dtype=np.int8).astype(np.float64) * 2 - 1


def holm(p_values: npt.ArrayLike, smallest: npt.ArrayLike = 0.0) -> Array:
    """Adjust p-values for their number so that 5 % is the chance of *any* false finding.

    Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.

    Parameters
    ----------
    p_values : array_like, shape (tests,)
        NaN where nothing was tested: it stays NaN and does not count.
    smallest : array_like, shape (tests,)
        The smallest p-value that each test could have had.

    Returns
    -------
    ndarray, shape (tests,)
        NaN where it could not have been below 5 % after the correction, whatever the differences:
        with so few units so many tests find nothing.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")[: np.count_nonzero(np.isfinite(p))]  # NaN sorts last
    stepped = np.maximum.accumulate(p[order] * np.arange(order.size, 0, -1))
    adjusted = np.full_like(p, np.nan)
    adjusted[order] = np.minimum(stepped, 1.0)
    # the same of the smallest p-values is what each test can be at best
    possible = np.broadcast_to(np.asarray(smallest, dtype=np.float64), p.shape)[order]
    by_size = np.argsort(possible, kind="stable")
    best = np.maximum.accumulate(possible[by_size] * np.arange(order.size, 0, -1))
    adjusted[order[by_size[best >= LEVEL]]] = np.nan
    return adjusted


def ranks_with_ties(differences_deg: npt.ArrayLike, p_values: npt.ArrayLike) -> Integers:
    """Ranks that methods without a significant difference may share.

    Parameters
    ----------
    differences_deg : array_like, shape (methods, methods)
        Error of the row's method minus error of the column's, on the faces both predicted.
    p_values : array_like, shape (methods, methods)
        Adjusted p-values of these differences; NaN where there was nothing to compare.

    Returns
    -------
    ndarray, shape (methods,), int64
        One more than the number of methods that are better at the 5 % level.
    """
    beaten = (np.asarray(differences_deg) > 0.0) & (np.asarray(p_values) < LEVEL)
    return np.asarray(1 + beaten.sum(axis=1), dtype=np.int64)
