"""Which factors explain a method's error, each alone and all together.

The model is additive: log error = sum over the factors of one number per slice. Factors enter one
by one, always the one that explains most of what is left, as long as it explains more than chance
(forward selection): a factor that only goes together with one that is in already adds nothing, so
"glasses" is not blamed for what "night" does. Chance is what the best of all remaining factors
explains when the residuals are shuffled (Freedman and Lane, 1983); where several faces are one
unit, such as the frames of a sequence, the signs of whole units are flipped instead (wild cluster
bootstrap; Cameron, Gelbach and Miller, 2008).

Shares of variance are taken on faces that the model has not seen: those that a bootstrap draw of
units leaves out. Permutation importance is not used, since with an additive model it counts the
variance of a factor's effect twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from hpbench.dataset import evenly_spaced
from hpbench.results.results_file import FactorShare, Importance
from hpbench.scoring.scores import MethodScores
from hpbench.scoring.slices import Slice
from hpbench.scoring.statistics import MIN_UNITS, SEED, Resampling, percentile_interval

__all__ = ["LEVEL", "explain_errors"]

Array = npt.NDArray[np.float64]
Design = dict[str, Array]
"""Columns of every factor, shape (faces, slices): 1 in the slice that a face is in, else 0."""

LEVEL = 0.01
"""Chance that any factor of a method is found where none matters."""

MIN_ERROR_DEG = 0.01
"""Smaller errors count as this one, for the logarithm."""

_MIN_FACES = 50
_MIN_FLIPPED = 8
"""With fewer units to flip, 2 of all sign patterns are more than :data:`LEVEL` of them."""

_MAX_FACES = 2000
_SHUFFLES = 999
_DRAWS = 100
_MIN_FREEDOM = 10


def explain_errors(
    method: MethodScores, slices: Sequence[Slice], resampling: Resampling
) -> Importance:
    """Factors that explain the error of a method's predicted faces; at most 2000 are looked at.

    Parameters
    ----------
    method : MethodScores
    slices : sequence of Slice
        Of every factor, all of its slices.
    resampling : Resampling
        Of the same faces.
    """
    faces = np.flatnonzero(method.predicted)
    faces = faces[evenly_spaced(len(faces), _MAX_FACES)] if len(faces) else faces
    names, unit_of_face = np.unique(resampling.unit_of_face[faces], return_inverse=True)
    problem = None
    if len(faces) < _MIN_FACES:
        problem = f"{len(faces)} predicted faces are too few; {_MIN_FACES} are needed"
    elif len(names) < _MIN_FLIPPED:
        problem = f"{len(names)} sequences or subjects are too few; {_MIN_FLIPPED} are needed"
    if problem is not None:
        return Importance(faces=len(faces), problem=problem)
    design = _design(slices, faces, unit_of_face)
    log_error = np.log(np.maximum(method.face_mae_deg[faces], MIN_ERROR_DEG))
    log_error -= log_error.mean()
    alone = resampling.independent == len(resampling.unit_of_face)
    flipped = np.arange(len(faces)) if alone else unit_of_face  # images may share a unit by chance
    chosen, p_values = _select(log_error, design, flipped)
    counts = resampling.counts[:_DRAWS, names]
    shares = _Shares.of(log_error, design, chosen, counts[:, unit_of_face])
    found = [
        FactorShare(
            factor=name,
            matters=name in chosen,
            p_value=p_values[name],
            alone=_share(shares.alone[name]),
            alone_95=_limits(shares.alone[name], len(names)),
            together=_share(shares.together[name]) if name in chosen else None,
            together_95=_limits(shares.together[name], len(names)) if name in chosen else None,
        )
        for name in design
    ]
    rank = {name: index for index, name in enumerate(chosen)}
    found.sort(key=lambda one: (rank.get(one.factor, len(rank)), -(one.alone or 0.0)))
    return Importance(
        faces=len(faces),
        explained=_share(shares.chosen),
        explained_95=_limits(shares.chosen, len(names)),
        factors=found,
    )


def _design(
    slices: Sequence[Slice], faces: npt.NDArray[np.intp], unit_of_face: npt.NDArray[np.intp]
) -> Design:
    """Columns of all factors, without slices in fewer than 6 units, which may differ by chance.

    So a factor that only names the units, such as the subject, is not judged at all.
    """
    design: Design = {}
    for one in slices:
        column = one.faces[faces].astype(np.float64)[:, None]
        if len(np.unique(unit_of_face[column[:, 0] > 0])) >= MIN_UNITS:
            design[one.factor] = np.hstack([design.get(one.factor, column[:, :0]), column])
    return design


def _select(
    log_error: Array, design: Design, unit_of_face: npt.NDArray[np.intp]
) -> tuple[list[str], dict[str, float]]:
    """Factors in the order in which they enter, and every factor's p-value when it was judged last.

    A p-value is corrected for the number of factors that were judged with it.
    """
    generator = np.random.default_rng(SEED)
    faces = len(log_error)
    known = np.full((faces, 1), faces**-0.5)  # orthonormal basis of what is in the model
    chosen: list[str] = []
    p_values = dict.fromkeys(design, 1.0)
    while True:
        residuals = log_error - known @ (known.T @ log_error)
        bases = {
            name: _new_directions(columns, known)
            for name, columns in design.items()
            if name not in chosen
        }
        bases = {
            name: basis
            for name, basis in bases.items()
            if basis.shape[1] and faces - known.shape[1] - basis.shape[1] >= _MIN_FREEDOM
        }
        if not bases or residuals @ residuals < 1e-12:
            return chosen, p_values
        left = _left(residuals[:, None], known, bases)[:, 0]
        observed, as_good = _f_tests(left, faces - known.shape[1], bases)
        by_chance = _left(_shuffled(residuals, unit_of_face, generator), known, bases)
        reached = [(by_chance <= one[:, None]).any(axis=0).sum() for one in as_good]
        corrected = (1.0 + np.array(reached)) / (1.0 + by_chance.shape[1])
        p_values |= dict(zip(bases, corrected.tolist(), strict=True))
        gains = {name: float(((b.T @ residuals) ** 2).sum()) for name, b in bases.items()}
        # p-values of strong factors may all be zero in floating point
        best = min(bases, key=lambda name: (observed[list(bases).index(name)], -gains[name]))
        if p_values[best] > LEVEL:
            return chosen, p_values
        chosen.append(best)
        known = np.hstack([known, bases[best]])


def _new_directions(columns: Array, known: Array) -> Array:
    """Orthonormal basis of what some columns add to a model."""
    left, sizes, _ = np.linalg.svd(columns - known @ (known.T @ columns), full_matrices=False)
    return np.asarray(left[:, sizes > 1e-8 * np.sqrt(len(columns))])


def _shuffled(
    residuals: Array, unit_of_face: npt.NDArray[np.intp], generator: np.random.Generator
) -> Array:
    """Residuals as chance may have arranged them otherwise, shape (faces, shuffles).

    Of few units every way to flip them is among these once.
    """
    units = int(unit_of_face.max()) + 1
    if units == len(residuals):
        return generator.permuted(np.tile(residuals, (_SHUFFLES, 1)), axis=1).T
    if 2 ** (units - 1) <= _SHUFFLES + 1:  # flipping all units changes no share of variance
        signs = np.array(list(product((1.0, -1.0), repeat=units - 1)))[1:].T
        signs = np.vstack([np.ones(signs.shape[1]), signs])
    else:
        signs = generator.choice([-1.0, 1.0], (units, _SHUFFLES))
    return np.asarray(residuals[:, None] * signs[unit_of_face])


def _left(residuals: Array, known: Array, bases: dict[str, Array]) -> Array:
    """Share of the variance of every column of residuals that each factor leaves.

    Of shape (factors, columns).
    """
    total = (residuals**2).sum(axis=0) - ((known.T @ residuals) ** 2).sum(axis=0)
    gains = np.stack([((basis.T @ residuals) ** 2).sum(axis=0) for basis in bases.values()])
    with np.errstate(divide="ignore", invalid="ignore"):  # flipped signs may leave nothing
        return np.asarray(np.maximum(1.0 - gains / total, 0.0))


def _f_tests(left: Array, freedom: int, bases: dict[str, Array]) -> tuple[Array, Array]:
    """F tests of the shares of variance, shape (factors,), that factors leave of so many degrees.

    Returns
    -------
    p_values : ndarray, shape (factors,)
    as_good : ndarray, shape (factors, factors)
        Share that the factor of the column has to leave for the p-value of that of the row.
    """
    from scipy.special import betainc, betaincinv

    a = np.array([(freedom - basis.shape[1]) / 2.0 for basis in bases.values()])
    b = np.array([basis.shape[1] / 2.0 for basis in bases.values()])
    p_values = betainc(a, b, left)
    as_good = betaincinv(a, b, p_values[:, None])
    np.fill_diagonal(as_good, left * (1.0 + 1e-9))  # the observed order, drawn again, must count
    return p_values, as_good


@dataclass(frozen=True)
class _Shares:
    """Shares of the variance of log error on unseen faces, one per draw.

    Attributes
    ----------
    alone : dict of str to ndarray, shape (draws,)
        Of a model of one factor.
    together : dict of str to ndarray, shape (draws,)
        Share that is lost when a chosen factor is taken out of the model of all chosen ones.
    chosen : ndarray, shape (draws,)
        Of the model of all chosen ones.
    """

    alone: dict[str, Array]
    together: dict[str, Array]
    chosen: Array

    @classmethod
    def of(
        cls, log_error: Array, design: Design, chosen: Sequence[str], counts: npt.NDArray[np.uint8]
    ) -> _Shares:
        """`counts`, shape (draws, faces): how often each draw holds a face."""
        start = 1
        place = {}
        for name, columns in design.items():
            place[name] = np.arange(start, start + columns.shape[1])
            start += columns.shape[1]
        table = np.hstack([np.ones((len(log_error), 1)), *design.values(), log_error[:, None]])
        models = {
            **{("alone", name): [name] for name in design},
            **{("without", name): [one for one in chosen if one != name] for name in chosen},
            ("chosen", ""): list(chosen),
        }
        seen = np.stack([table.T @ (table * drawn[:, None]) for drawn in counts])
        unseen = np.stack([table[drawn == 0].T @ table[drawn == 0] for drawn in counts])
        shares = {
            key: _explained(seen, unseen, np.concatenate([[0], *(place[n] for n in names)]))
            for key, names in models.items()
        }
        everything = shares["chosen", ""]
        return cls(
            {name: shares["alone", name] for name in design},
            {name: everything - shares["without", name] for name in chosen},
            everything,
        )


def _explained(seen: Array, unseen: Array, columns: npt.NDArray) -> Array:
    """Share of the variance of the last column that others explain, shape (draws,).

    Fitted by least squares on the products `seen` of all columns with each other, shape (draws,
    columns, columns), and judged on the faces behind `unseen`.
    """
    columns = columns.astype(np.intp)
    products = seen[:, columns[:, None], columns]
    inverse = np.linalg.pinv(products, rcond=1e-10, hermitian=True)
    fitted = (inverse @ seen[:, columns, -1, None])[..., 0]
    error = unseen[:, -1, -1] - 2 * (fitted * unseen[:, columns, -1]).sum(axis=1)
    error += np.einsum("di,dij,dj->d", fitted, unseen[:, columns[:, None], columns], fitted)
    mean = seen[:, 0, -1] / seen[:, 0, 0]
    spread = unseen[:, -1, -1] - 2 * mean * unseen[:, 0, -1] + mean**2 * unseen[:, 0, 0]
    # a draw may leave out no face, or only such as are alike
    return 1.0 - np.divide(error, spread, out=np.full(len(error), np.nan), where=spread > 1e-12)


def _share(draws: Array) -> float:
    """Mean over the draws; what explains nothing does worse than the mean on unseen faces."""
    known = draws[np.isfinite(draws)]
    return max(float(known.mean()), 0.0) if known.size else 0.0


def _limits(draws: Array, units: int) -> tuple[float, float]:
    low, high = percentile_interval(draws, units)
    return max(low, 0.0), max(high, 0.0)
