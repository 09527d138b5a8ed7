"""Errors by what is known of the faces: light, glasses, camera, subject, face size, pose.

The difference of a slice to all other faces is tested with the bootstrap's standard error, because
faces of one sequence may lie in one slice or in several: t = difference / standard error, with one
degree of freedom less than the smaller side has independent units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hpbench.results import slicing
from hpbench.results.results_file import SliceErrors, SliceGap, WorstSlice
from hpbench.results.slicing import Cut, SliceSpec
from hpbench.scoring.factors import DERIVED, Factor
from hpbench.scoring.metrics import mean_of_finite
from hpbench.scoring.scores import DatasetScores, MethodScores
from hpbench.scoring.statistics import EQUAL_DEG, MIN_UNITS, Resampling, holm
from hpbench.spec import suggest

__all__ = [
    "MIN_FACES",
    "MethodSlices",
    "Slice",
    "Slices",
    "cut_slices",
    "require_factors",
    "score_slices",
    "worst_slice_mae_deg",
]

Mask = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float64]

MIN_FACES = 20
"""Slices with fewer scored faces are neither the worst nor the best of a method."""

MAX_SLICES = 30
"""A factor with more values is not shown: its slices would be too small, and too many."""

MAX_FACTORS = 24
"""So many factors are looked at where none are asked for."""

UNKNOWN, OUTSIDE = "unknown", "outside the ranges"

_MAX_WHOLE_VALUES = 6
_QUANTILES = 4
_SWEPT = ("sweep", "sweep_value")
"""Not shown unless asked for: swept factors have a section of their own."""


@dataclass(frozen=True, eq=False)
class Slice:
    """Some faces of a data set.

    Attributes
    ----------
    factor : str
    values : tuple of str
        Value or range; of crossed factors that of each.
    faces : ndarray of bool, shape (n,)
        Among the evaluated faces.
    """

    factor: str
    values: tuple[str, ...]
    faces: Mask

    @property
    def name(self) -> str:
        """Values as a report shows them."""
        return " * ".join(self.values)


@dataclass(frozen=True)
class Slices:
    """All slices of a data set, and the factors that give none, with the reason."""

    shown: list[Slice]
    refused: dict[str, str]


@dataclass(frozen=True)
class MethodSlices:
    """Slices of one method, as ``results.json`` holds them."""

    slices: list[SliceErrors]
    worst_slice: WorstSlice | None
    slice_gap: SliceGap | None


def cut_slices(dataset: DatasetScores, by: Sequence[SliceSpec] = ()) -> Slices:
    """Cut the evaluated faces of a data set into slices.

    Parameters
    ----------
    dataset : DatasetScores
    by : sequence of SliceSpec
        The default is every factor with two values or more, at most 24 of them: the derived ones,
        then the data set's in their order.
    """
    shown: list[Slice] = []
    refused: dict[str, str] = {}
    factors = dataset.factors
    asked = by or [SliceSpec((Cut(name),)) for name in _default_factors(factors)]
    factors_shown = 0
    for spec in asked:
        missing = [cut.factor for cut in spec.cuts if cut.factor not in factors]
        if missing:
            refused[spec.name] = f"no factor '{missing[0]}'; {suggest(missing[0], list(factors))}"
            continue
        if texts := [cut.factor for cut in spec.cuts if _cuts_texts(factors[cut.factor], cut)]:
            refused[spec.name] = f"'{texts[0]}' holds texts, which edges cannot cut; leave them out"
            continue
        slices = _crossed(spec, factors)
        if len(slices) < 2:
            if by:
                value = slices[0].name if slices else UNKNOWN
                refused[spec.name] = f"all faces have the same value, {value}"
        elif len(slices) > MAX_SLICES:
            refused[spec.name] = f"{len(slices)} values; at most {MAX_SLICES} can be shown"
        elif not by and factors_shown == MAX_FACTORS:
            refused[spec.name] = f"{MAX_FACTORS} other factors are looked at; ask for it with --by"
        else:
            factors_shown += 1
            shown += slices
    return Slices(shown, refused)


def require_factors(by: str, datasets: Sequence[DatasetScores]) -> None:
    """Refuse what no data set has, which is a typing error; one data set may well lack a factor.

    Raises
    ------
    UsageError
    """
    known = dict.fromkeys(name for dataset in datasets for name in dataset.factors)
    slicing.require_factors(by, list(known))


def _default_factors(factors: dict[str, Factor]) -> list[str]:
    derived = [name for name in DERIVED if name in factors]
    return derived + [name for name in factors if name not in (*DERIVED, *_SWEPT)]


def _crossed(spec: SliceSpec, factors: dict[str, Factor]) -> list[Slice]:
    """Slices of a factor, or of the combinations of several that any face has."""
    found: list[tuple[str, ...]] = [()]
    numbers: npt.NDArray[np.int64] | None = None
    for cut in spec.cuts:
        names, own_numbers = _cut(factors[cut.factor], cut.edges)
        if numbers is None:
            found, numbers = [(name,) for name in names], own_numbers
            continue
        both, numbers = np.unique(numbers * len(names) + own_numbers, return_inverse=True)
        found = [(*found[i // len(names)], names[i % len(names)]) for i in both]
    assert numbers is not None
    if len(found) > MAX_SLICES:  # only their number is needed
        return [Slice(spec.name, values, np.zeros(0, dtype=bool)) for values in found]
    return [Slice(spec.name, values, numbers == index) for index, values in enumerate(found)]


def _cuts_texts(values: Factor, cut: Cut) -> bool:
    """Whether edges are given for a factor without any number."""
    is_text = cut.edges is not None and values.dtype == object
    return is_text and not any(np.isfinite(_as_number(value)) for value in values)


def _cut(
    values: Factor, edges: tuple[float, ...] | None
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Names of the slices that have faces, and which one each face is in, shape (n,)."""
    if values.dtype == object and edges is not None:  # numbers that are written as text
        values = np.array([_as_number(value) for value in values])
    if values.dtype == object:
        known = values != np.array(None)
        kinds, inverse = np.unique(values[known].astype(str), return_inverse=True)
        names = [str(kind) for kind in kinds]
        # A column may hold the word itself; faces without a value must not count as that.
        return _with_unknown(names, inverse, known)
    known = np.isfinite(values) if edges is None else ~np.isnan(values)
    numbers = values[known]
    kinds, inverse = np.unique(numbers, return_inverse=True)
    if edges is None and len(kinds) <= _MAX_WHOLE_VALUES:
        return _with_unknown(_told_apart(kinds, 10), inverse, known)
    if edges is None:
        edges = tuple(np.unique(np.quantile(numbers, np.linspace(0, 1, _QUANTILES + 1))))
        if len(edges) < 3:  # almost all faces have the same value
            edges = (kinds[0], kinds[1], kinds[-1])
        index = np.searchsorted(edges[1:-1], numbers, side="right")
    else:
        index = np.searchsorted(edges, numbers, side="right") - 1
        # a number on the last edge belongs to the last range only where that edge is infinite
        index[(numbers == edges[-1]) & np.isinf(numbers)] = len(edges) - 2
    names = [*_range_names(edges), OUTSIDE]
    index = np.where((index < 0) | (index > len(edges) - 2), len(edges) - 1, index)
    filled, inverse = np.unique(index, return_inverse=True)
    return _with_unknown([names[i] for i in filled], inverse, known)


def _with_unknown(
    names: list[str], inverse: npt.NDArray[np.intp], known: Mask
) -> tuple[list[str], npt.NDArray[np.int64]]:
    if known.all():
        return names, inverse.astype(np.int64)
    numbers = np.full(len(known), len(names), dtype=np.int64)
    numbers[known] = inverse
    return [*names, UNKNOWN if UNKNOWN not in names else f"{UNKNOWN} (no value)"], numbers


def _as_number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return float("nan")


def _range_names(edges: Sequence[float]) -> list[str]:
    """``0 to 64`` and so on, with four digits or more."""
    return [f"{low} to {high}" for low, high in pairwise(_told_apart(edges, 4))]


def _told_apart(numbers: Sequence[float] | Array, digits: int) -> list[str]:
    """Different numbers with so many digits, or as many as tell all of them apart."""
    for enough in range(digits, 18):
        shown = [f"{number:.{enough}g}" for number in numbers]
        if len(set(shown)) == len(shown):
            break
    return shown


def score_slices(
    dataset: DatasetScores, slices: Sequence[Slice], resampling: Resampling
) -> list[MethodSlices]:
    """Errors of every method in every slice, in the order of the data set's methods."""
    tests = [_Tested.of(method, slices, resampling) for method in dataset.methods]
    p_values = np.reshape([one.p_values for one in tests], (len(tests), len(slices)))
    return [
        _summed_up(
            [
                _slice_errors(method, one, tested, index, float(p_holm[index]))
                for index, one in enumerate(slices)
            ]
        )
        for method, tested, p_holm in zip(
            dataset.methods, tests, _corrected(p_values, slices), strict=True
        )
    ]


def _corrected(p_values: Array, slices: Sequence[Slice]) -> Array:
    """P-values, shape (methods, slices), corrected for the number of different tests.

    Of two values of a factor each is all that the other is not: they are one test.
    """
    values_of = Counter(one.factor for one in slices)
    first = [
        index
        for index, (one, following) in enumerate(pairwise(slices))
        if one.factor == following.factor and values_of[one.factor] == 2
    ]
    second = [index + 1 for index in first]
    counted = p_values.copy()
    counted[:, second] = np.nan
    corrected = holm(counted.ravel()).reshape(p_values.shape)
    corrected[:, second] = corrected[:, first]
    return corrected


@dataclass(frozen=True, eq=False)
class _Tested:
    """Intervals and tests of one method in all slices, each of shape (slices, 2) or (slices,)."""

    intervals: Array
    differences: Array
    difference_intervals: Array
    p_values: Array

    @classmethod
    def of(cls, method: MethodScores, slices: Sequence[Slice], resampling: Resampling) -> _Tested:
        from scipy.special import stdtr

        if not slices:
            nothing = np.zeros(0)
            return cls(np.zeros((0, 2)), nothing, np.zeros((0, 2)), nothing)
        errors = method.face_mae_deg
        inside = [np.where(one.faces, errors, np.nan) for one in slices]
        outside = [np.where(one.faces, np.nan, errors) for one in slices]
        draws = resampling.mean_draws(inside)
        gaps = draws.minus(resampling.mean_draws(outside))
        differences = np.array(
            [mean_of_finite(a) - mean_of_finite(b) for a, b in zip(inside, outside, strict=True)]
        )
        apart = np.abs(differences)
        with np.errstate(all="ignore"):
            t = np.where(apart < EQUAL_DEG, 0.0, apart / _spread(gaps.means))
            p_values = np.where(gaps.units < MIN_UNITS, np.nan, 2.0 * stdtr(gaps.units - 1.0, -t))
        intervals, gap_intervals = np.array(draws.intervals()), np.array(gaps.intervals())
        return cls(intervals, differences, gap_intervals, p_values)


def _spread(draws: Array) -> Array:
    """Standard deviation of each column over the draws that are numbers; NaN with none."""
    columns = [column[np.isfinite(column)] for column in draws.T]
    return np.array([column.std(ddof=1) if column.size > 1 else np.nan for column in columns])


def _slice_errors(
    method: MethodScores, one: Slice, tested: _Tested, index: int, p_holm: float
) -> SliceErrors:
    faces = int(one.faces.sum())
    scored = int((one.faces & method.predicted).sum())
    return SliceErrors(
        factor=one.factor,
        slice=one.name,
        values=one.values,
        faces=faces,
        scored=scored,
        coverage=scored / faces,
        mae_deg=mean_of_finite(method.face_mae_deg[one.faces]),
        interval_95=tuple(tested.intervals[index].tolist()),
        difference_deg=float(tested.differences[index]),
        difference_interval_95=tuple(tested.difference_intervals[index].tolist()),
        p_value=float(tested.p_values[index]),
        p_holm=p_holm,
    )


def _summed_up(slices: list[SliceErrors]) -> MethodSlices:
    """Worst slice and widest gap among the slices with enough scored faces."""
    large = [one for one in slices if one.scored >= MIN_FACES and one.mae_deg is not None]
    if not large:
        return MethodSlices(slices, None, None)
    worst = max(large, key=_error)
    pairs = []
    for factor in dict.fromkeys(one.factor for one in large):
        same = [one for one in large if one.factor == factor]
        pairs.append((max(same, key=_error), min(same, key=_error)))
    high, low = max(pairs, key=lambda pair: _error(pair[0]) - _error(pair[1]))
    gap = None
    if high is not low:
        gap = SliceGap(
            factor=high.factor, worst=high.slice, best=low.slice, gap_deg=_error(high) - _error(low)
        )
    return MethodSlices(
        slices,
        WorstSlice(
            factor=worst.factor, slice=worst.slice, scored=worst.scored, mae_deg=worst.mae_deg
        ),
        gap,
    )


def worst_slice_mae_deg(errors_deg: Array, slices: Sequence[Slice]) -> float:
    """Highest mean error of a slice; NaN if none has enough faces with an error."""
    large = [one for one in slices if np.isfinite(errors_deg[one.faces]).sum() >= MIN_FACES]
    return max((mean_of_finite(errors_deg[one.faces]) for one in large), default=float("nan"))


def _error(one: SliceErrors) -> float:
    return one.mae_deg or 0.0
