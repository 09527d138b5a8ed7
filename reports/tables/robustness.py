"""Error against one swept factor: the severity of a corruption, or a factor of rendered heads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.errors import DataError
from hpbench.reports.tables.table import (
    Column,
    Table,
    interval,
    item_table,
    number,
    text,
    text_column,
    whole,
)
from hpbench.results.results_file import MethodResult, value_at
from hpbench.results.run_record import DatasetRecord
from hpbench.running.corruptions import CORRUPTIONS
from hpbench.scoring import metrics, statistics
from hpbench.scoring.scores import DatasetScores

__all__ = ["Curve", "FactorPoint", "corruption_curves", "level_table", "sweep_curves"]

_FACTOR_UNITS = {
    "yaw": "degrees", "pitch": "degrees", "roll": "degrees", "fov": "degrees",
    "light_azimuth": "degrees", "light_elevation": "degrees", "exposure": "stops",
    "expression": "share of full strength", "occlusion": "share of the box",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FactorPoint:
    """Error of one method at one value of a swept factor.

    Attributes
    ----------
    mae_deg : float or None
        Mean over the predicted faces; None without any.
    interval_95_deg : tuple of float, or None
    scored, no_answer : int
        Faces with and without a prediction.
    mae_missing_as_frontal_deg : float or None
        Over all faces, those without a prediction counted as frontal: a method that predicts
        fewer faces when the image gets worse does not look better by it.
    """

    mae_deg: float | None
    interval_95_deg: tuple[float, float] | None
    scored: int
    no_answer: int
    mae_missing_as_frontal_deg: float | None


@dataclass(frozen=True)
class Curve:
    """One corruption of one data set, or one swept factor.

    Attributes
    ----------
    levels : list of str
        From mild to strong, the clean images first; of a factor, in rising order.
    positions : list of float or None
        Places on an axis, for a factor that is a number; None for levels side by side.
    points : dict of str to list of FactorPoint
        By method, one per level.
    """

    name: str
    unit: str
    levels: list[str]
    positions: list[float] | None
    points: dict[str, list[FactorPoint]]

    @property
    def title(self) -> str:
        """Name with the unit, where there is one."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


def corruption_curves(
    dataset: str, results: Sequence[MethodResult], datasets: Mapping[str, DatasetRecord]
) -> list[Curve]:
    """All corruptions of one clean data set of a run, from mild to strong."""
    by_name = {(result.dataset, result.method_spec): result for result in results}
    levels: dict[str, list[tuple[float | None, str]]] = {}
    for key, record in datasets.items():
        corruption = record.corruption
        if corruption is not None and corruption.of == dataset:
            if corruption.name not in CORRUPTIONS:
                raise DataError(
                    f"run.json: data set '{key}' is corrupted by '{corruption.name}', which this "
                    "hpbench does not know; use the hpbench that wrote it"
                )
            clean = (CORRUPTIONS[corruption.name].clean, dataset)
            levels.setdefault(corruption.name, [clean]).append((corruption.level, key))
    curves = []
    for name, found in levels.items():
        sign = -1 if name == "jpeg" else 1  # quality falls
        found.sort(key=lambda item: -math.inf if item[0] is None else sign * item[0])
        points = {
            spec: [_corrupted_point(by_name[key, spec]) for _, key in found]
            for spec in dict.fromkeys(result.method_spec for result in results)
            if all((key, spec) in by_name for _, key in found)
        }
        if points:
            shown = ["clean" if level is None else f"{level:g}" for level, _ in found]
            curves.append(Curve(name, CORRUPTIONS[name].unit, shown, None, points))
    return curves


def _corrupted_point(result: MethodResult) -> FactorPoint:
    return FactorPoint(
        mae_deg=result.mae_deg.mean,
        interval_95_deg=value_at(result.intervals_95, "mae_deg.mean"),
        scored=result.images.scored,
        no_answer=result.images.no_answer,
        mae_missing_as_frontal_deg=result.missing_as_frontal.mae_deg.mean,
    )


def sweep_curves(dataset: DatasetScores) -> list[Curve]:
    """Error against each factor that renders were swept over while all else stood still.

    The factors of a face name the one that was moved as ``sweep`` and its value as
    ``sweep_value``.
    """
    unknown = np.full(len(dataset.rows), None)
    moved, values = (dataset.factors.get(name, unknown) for name in ("sweep", "sweep_value"))
    swept = [
        (str(name), value) if _is_known(name) and _is_known(value) else (None, None)
        for name, value in zip(moved, values, strict=True)
    ]
    return [
        _sweep_curve(dataset, name, [value if own == name else None for own, value in swept])
        for name in sorted({name for name, _ in swept if name is not None})
    ]


def _is_known(value: Any) -> bool:
    """Whether a factor has a value: texts are None where not, numbers NaN."""
    return value is not None and value == value


def _sweep_curve(dataset: DatasetScores, name: str, values: Sequence[Any]) -> Curve:
    """Error against the values of one factor; None marks faces that belong to another."""
    unit = _FACTOR_UNITS.get(name, "")
    levels = sorted({value for value in values if value is not None}, key=_order)
    masks = np.array([[value == level for level in levels] for value in values])
    resampling = statistics.make_resampling(len(values), dataset.unit_groups, resamples=500)
    points: dict[str, list[FactorPoint]] = {}
    for method in dataset.methods:
        filled = dataset.errors(metrics.fill_missing_with_frontal(method.R_pred)).face_mae_deg
        columns = np.where(masks, method.face_mae_deg[:, None], np.nan)
        intervals = resampling.mean_intervals(columns.T)
        points[method.spec] = [
            FactorPoint(
                mae_deg=_mean(columns[:, index]),
                interval_95_deg=None if np.isnan(intervals[index][0]) else intervals[index],
                scored=int(np.isfinite(columns[:, index]).sum()),
                no_answer=int((masks[:, index] & ~method.predicted).sum()),
                mae_missing_as_frontal_deg=_mean(filled[masks[:, index]]),
            )
            for index in range(len(levels))
        ]
    numbers = [_as_number(level) for level in levels]
    positions = [number for number in numbers if number is not None]
    if len(positions) < len(levels):
        return Curve(name, unit, [str(level) for level in levels], None, points)
    return Curve(name, unit, [f"{number:g}" for number in positions], positions, points)


def _order(level: Any) -> tuple[float, str]:
    value = _as_number(level)
    return (0.0, str(level)) if value is None else (value, "")


def _as_number(level: Any) -> float | None:
    try:
        return float(level)
    except (TypeError, ValueError):
        return None


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else None


def level_table(
    key: str, title: str, curves: Sequence[Curve], labels: Mapping[str, str]
) -> Table | None:
    """Mean error at every level, and how many faces were not predicted; None without curves."""
    rows = [
        (curve.title, level, spec, points[index])
        for curve in curves
        for index, level in enumerate(curve.levels)
        for spec, points in curve.points.items()
    ]
    if not rows:
        return None
    note = ""
    if all(point.interval_95_deg is None for *_, point in rows):
        note = (
            f"No intervals: a level needs predictions on at least {statistics.MIN_UNITS} "
            "independent faces, subjects or sequences."
        )
    return item_table(
        key, title, rows,
        [
            text_column("What is changed", lambda row: row[0]),
            (Column("Level"), lambda row: text(row[1])),
            text_column("Method", lambda row: labels[row[2]]),
            (Column("Mean"), lambda row: number(row[3].mae_deg)),
            (Column("95 % interval", interval=True), lambda row: interval(row[3].interval_95_deg)),
            (Column("No prediction"), lambda row: whole(row[3].no_answer)),
            (Column("Missing as frontal"),
             lambda row: number(row[3].mae_missing_as_frontal_deg)),
        ],
        note, [spec for _, _, spec, _ in rows],
    )  # fmt: skip
