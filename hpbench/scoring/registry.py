"""Every metric, in one entry each: what it computes, and how it is named, read and printed.

``results.json``, intervals, the tables of every report format, the conditions of
``hpbench compare --fail-if`` and the table in docs/metrics.md follow from these entries.
Installed packages add theirs by entry points of the group ``hpbench.metrics``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from hpbench.errors import HpbenchError, plugin_errors
from hpbench.results.results_file import MethodResult
from hpbench.rotation import ANGLES
from hpbench.scoring import metrics

if TYPE_CHECKING:
    from hpbench.scoring.scores import FaceErrors

__all__ = ["COMPARED_BESIDE_METRICS", "METRICS", "Metric", "all_metrics"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name : str
        Key in ``results.json``; a dot leads into an object, as in ``ced.auc_15``.
    short : str
        Name in a condition of ``hpbench compare --fail-if``.
    title : str
        Heading of its column in a report.
    unit : {'degrees', 'share', 'faces'}
    better : {'low', 'high'} or None
        Which end is better; None where neither is.
    digits : int
        Decimals that are printed.
    help : str
        One sentence for the documentation.
    values : callable
        From :class:`hpbench.scoring.scores.FaceErrors` to one value per face, shape (n,);
        NaN leaves a face out.
    statistic : {'mean', 'median', 'sum', 'yaw_balanced'}
        How the values become one. All but a sum have a bootstrap interval.
    table : {'accuracy', 'metrics'} or None
        Table of the report that shows it.
    faces : {'predicted', 'evaluated'}
        Faces that it is over: those with a prediction, or all, where a missing prediction counts
        against the method.
    """

    name: str
    short: str
    title: str
    unit: Literal["degrees", "share", "faces"]
    better: Literal["low", "high"] | None
    digits: int
    help: str
    values: Callable[[FaceErrors], Array]
    statistic: Literal["mean", "median", "sum", "yaw_balanced"] = "mean"
    table: Literal["accuracy", "metrics"] | None = "metrics"
    faces: Literal["predicted", "evaluated"] = "predicted"

    def face_values(self, errors: FaceErrors) -> Array:
        """Values of all faces, shape (n,).

        Raises
        ------
        HpbenchError
            If the function fails, or returns something else.
        """
        with plugin_errors(f"metric '{self.name}' cannot be computed"):
            values = np.asarray(self.values(errors), dtype=np.float64)
        expected = (len(errors.differences_deg),)
        if values.shape != expected:
            raise HpbenchError(
                f"metric '{self.name}': values have shape {values.shape}, expected one per face, "
                f"{expected}"
            )
        return values

    def compute(self, errors: FaceErrors) -> float:
        """Value over all faces; NaN where no face has one."""
        values = self.face_values(errors)
        if self.statistic == "yaw_balanced":
            return metrics.balanced_mae_deg(metrics.yaw_bins(values, errors.angles_deg[:, 0]))
        finite = values[np.isfinite(values)]
        if not finite.size:
            return float("nan")
        if self.statistic == "median":
            return float(np.median(finite))
        return float(finite.mean() if self.statistic == "mean" else finite.sum())

    def show(self, value: float | None) -> str:
        """Value as it is printed; a dash for None."""
        return "-" if value is None else f"{value:.{self.digits}f}"


def _degrees(
    name: str, short: str, title: str, help: str, values: Callable[[FaceErrors], Array],
    statistic: Literal["mean", "median", "yaw_balanced"] = "mean",
    table: Literal["accuracy", "metrics"] | None = "metrics",
    better: Literal["low"] | None = "low",
    faces: Literal["predicted", "evaluated"] = "predicted",
) -> Metric:  # fmt: skip
    return Metric(name, short, title, "degrees", better, 2, help, values, statistic, table, faces)


def _auc(limit: int) -> Metric:
    return Metric(
        f"ced.auc_{limit}", f"auc_{limit}", f"AUC {limit}", "share", "high", 3,
        f"Area under the cumulative error curve up to {limit} degrees, divided by {limit}; "
        "a missing prediction is beyond the limit.",
        lambda errors: metrics.auc_gains(errors.curve_errors_deg, limit), faces="evaluated",
    )  # fmt: skip


def _within(limit: int) -> Metric:
    return Metric(
        f"ced.accuracy_{limit}", f"accuracy_{limit}", f"Within {limit}", "share", "high", 3,
        f"Share of the evaluated faces with an error of at most {limit} degrees; "
        "a missing prediction is a miss.",
        lambda errors: (errors.curve_errors_deg <= limit).astype(np.float64), faces="evaluated",
    )  # fmt: skip


def _angle_error(angle: str) -> Metric:
    column = ANGLES.index(angle)
    return _degrees(
        f"mae_deg.{angle}", angle, angle.capitalize(), f"Mean absolute error of {angle}.",
        lambda errors: np.abs(errors.differences_deg[:, column]), table="accuracy",
    )  # fmt: skip


def _bias(angle: str) -> Metric:
    column = ANGLES.index(angle)
    return _degrees(
        f"bias_deg.{angle}", f"bias_{angle}", f"{angle.capitalize()} bias",
        f"Mean signed error of {angle}, predicted minus ground truth.",
        lambda errors: errors.differences_deg[:, column], table=None, better=None,
    )  # fmt: skip


METRICS: tuple[Metric, ...] = (
    *map(_angle_error, ANGLES),
    _degrees(
        "mae_deg.mean", "mae", "Mean",
        "Mean absolute error (MAE): mean over the faces of each face's mean over its labelled "
        "angles.",
        lambda errors: errors.face_mae_deg, table="accuracy",
    ),
    _degrees(
        "geodesic_deg.mean", "geodesic", "Geodesic",
        "Angle of the rotation between prediction and ground truth.",
        lambda errors: errors.geodesic_deg, table="accuracy",
    ),
    _degrees(
        "balanced_mae_deg", "balanced", "Balanced MAE",
        "Mean of the MAE of the yaw bins, so that profile faces weigh as much as frontal ones.",
        lambda errors: errors.face_mae_deg, "yaw_balanced", faces="evaluated",
    ),
    _degrees(
        "geodesic_deg.median", "geodesic_median", "Geodesic median",
        "Median of the geodesic error.", lambda errors: errors.geodesic_deg, "median",
    ),
    _degrees(
        "maev_deg", "maev", "MAEV",
        "Mean angle between the head's three axes, predicted and ground truth (TriNet).",
        lambda errors: errors.maev_deg,
    ),
    _auc(15), _auc(30), _within(5), _within(10), _within(15),
    Metric(
        "failures", "failures", "Over 90", "faces", "low", 0,
        "Predictions with a geodesic error above 90 degrees.",
        lambda errors: metrics.failures(errors.geodesic_deg), "sum",
    ),
    *map(_bias, ANGLES),
)  # fmt: skip
"""Metrics of hpbench itself, in the order of the report."""


COMPARED_BESIDE_METRICS = ("no_answer", "time", "worst_slice_mae")
"""Names that conditions of ``hpbench compare`` have for what is no metric."""


@cache
def all_metrics() -> tuple[Metric, ...]:
    """All metrics: those of hpbench, then those of installed packages by name.

    Raises
    ------
    HpbenchError
        If a package's metric cannot be imported, is none, or has a name that is taken.
    """
    found = list(METRICS)
    for entry in sorted(entry_points(group="hpbench.metrics"), key=lambda entry: entry.name):
        metric = _load(entry)
        names = {key for one in found for key in (one.name, one.short)}
        taken = names | {*MethodResult.model_fields, *COMPARED_BESIDE_METRICS}
        if metric.name in taken or metric.short in taken or "." in metric.name:
            raise HpbenchError(
                f"{_origin(entry)}: the name '{metric.name}' ('{metric.short}') is taken or has a "
                "dot; rename it"
            )
        found.append(metric)
    return tuple(found)


def _load(entry: EntryPoint) -> Metric:
    with plugin_errors(f"{_origin(entry)} cannot be imported"):
        metric = entry.load()
    if not isinstance(metric, Metric):
        raise HpbenchError(f"{_origin(entry)} is not an hpbench.scoring.registry.Metric")
    return metric


def _origin(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist is not None else entry.value
    return f"metric '{entry.name}' of package {package}"
