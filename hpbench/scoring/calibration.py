"""Whether the spread that a method claims is that of its errors.

A method that gives standard deviations of yaw, pitch and roll claims a region around each
prediction: with normal, independent errors the sum of (error / deviation) squared over the k
labelled angles is chi-squared with k degrees of freedom. The *claimed level* of a face is the level
of the smallest region that holds its ground truth; of a calibrated method, a share p of the faces
have a claimed level of at most p (probability integral transform; Gneiting, Balabdaoui and Raftery,
2007).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hpbench.results.results_file import Calibration
from hpbench.scoring.metrics import mean_of_finite
from hpbench.scoring.statistics import Resampling

if TYPE_CHECKING:
    from hpbench.scoring.scores import MethodScores

__all__ = ["calibration", "calibration_intervals", "claimed_levels", "observed_shares"]

Array = npt.NDArray[np.float64]

_LEVELS = {"within_50": 0.5, "within_80": 0.8, "within_95": 0.95}


def claimed_levels(method: MethodScores) -> Array:
    """Level of the smallest claimed region that holds the ground truth, shape (n,), 0 to 1.

    NaN where there is no prediction or no claimed spread. A spread of zero claims certainty: the
    level is 0 without error, else 1.
    """
    from scipy.special import chdtr

    errors = method.differences_deg
    labelled = np.isfinite(errors)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(errors == 0.0, 0.0, errors / method.spread_deg)
    squares = np.where(labelled, ratios**2, 0.0).sum(axis=1)
    levels = chdtr(labelled.sum(axis=1), squares)
    known = method.predicted & np.isfinite(method.spread_deg).all(axis=1)
    return np.where(known, levels, np.nan)


def observed_shares(method: MethodScores, levels: Array) -> Array | None:
    """Share of the predicted faces within the claimed region of each level, for the picture.

    None where :func:`calibration` names a problem, or no spread is claimed.
    """
    claimed = claimed_levels(method)[method.predicted]
    if not claimed.size or _problem(claimed) is not None:
        return None
    return np.asarray((claimed[:, None] <= levels).mean(axis=0))


def calibration(method: MethodScores) -> Calibration | None:
    """Shares of the faces within the claimed regions; None where the method claims no spread."""
    claimed = claimed_levels(method)[method.predicted]
    given = int(np.isfinite(claimed).sum())
    if not given:
        return None
    problem = _problem(claimed)
    shares = {} if problem else {name: float(np.mean(claimed <= p)) for name, p in _LEVELS.items()}
    spread = mean_of_finite(method.spread_deg[method.predicted].ravel())
    return Calibration(
        faces=len(claimed), given=given, problem=problem, mean_spread_deg=spread, **shares
    )


def calibration_intervals(
    method: MethodScores, resampling: Resampling
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of the shares of :func:`calibration`, by name; empty without."""
    claimed = claimed_levels(method)
    if not method.predicted.any() or _problem(claimed[method.predicted]) is not None:
        return {}
    columns = (np.where(np.isfinite(claimed), claimed <= p, np.nan) for p in _LEVELS.values())
    return dict(zip(_LEVELS, resampling.mean_intervals(columns), strict=True))


def _problem(claimed: Array) -> str | None:
    """Why the levels of the predicted faces are no measure of the method; None where they are."""
    given = int(np.isfinite(claimed).sum())
    if given < len(claimed):
        return f"only {given} of {len(claimed)} predicted faces have a claimed spread"
    return None
