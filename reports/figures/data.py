"""The numbers behind the figures, the same for still and interactive ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpbench.results.results_file import MethodResult, SliceErrors
from hpbench.scoring import statistics
from hpbench.scoring.calibration import observed_shares
from hpbench.scoring.scores import DatasetScores, MethodScores

__all__ = [
    "CLAIMED_LEVELS", "ErrorMap", "ForestRow", "ParetoPoint", "YawCurve", "YawLine",
    "calibration_curves", "cut_name", "error_map",
    "forest_rows", "has_error_map", "has_yaw_line", "highest_shown", "histogram_limit",
    "pareto_points", "yaw_curve",
]  # fmt: skip

_MIN_FACES = 5
"""A mean over fewer faces is not drawn."""

_MIN_CELL_FACES = 3
_CELL_DEG = 15.0

CLAIMED_LEVELS = np.linspace(0.0, 1.0, 41)
"""Probabilities at which claimed regions are drawn."""

_MAX_FOREST_ROWS = 60
_MAX_NAME = 40


def histogram_limit(dataset: DatasetScores) -> float:
    """Round limit that holds 95 % of the errors of the worst method, within 10..90 degrees."""
    widest = 10.0
    for method in dataset.methods:
        errors = np.abs(method.differences_deg)
        errors = errors[np.isfinite(errors)]
        if errors.size:
            widest = max(widest, float(np.percentile(errors, 95)))
    return float(min(90.0, 5.0 * np.ceil(widest / 5.0)))


def error_shares(
    dataset: DatasetScores, angle: int, edges_deg: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[np.float64]]:
    """Percentage of the predicted faces by signed error, by method; end bins hold all beyond."""
    shares = {}
    for method in dataset.methods:
        errors = method.differences_deg[:, angle]
        errors = np.clip(errors[np.isfinite(errors)], edges_deg[0], edges_deg[-1])
        if errors.size:
            shares[method.spec] = 100.0 * np.histogram(errors, edges_deg)[0] / errors.size
    return shares


def error_name(dataset: DatasetScores) -> str:
    """Which error of a face is drawn."""
    return "geodesic error" if dataset.has_rotations else "mean error of the labelled angles"


@dataclass(frozen=True)
class YawLine:
    """Mean error of one method, in the steps of yaw that have enough predicted faces.

    The 95 % interval is NaN in a step, and None altogether, with too few independent faces.
    """

    yaw_deg: npt.NDArray[np.float64]
    mean_deg: npt.NDArray[np.float64]
    low_deg: npt.NDArray[np.float64] | None
    high_deg: npt.NDArray[np.float64] | None


@dataclass(frozen=True)
class YawCurve:
    """Mean errors in steps of 10 degrees of absolute ground-truth yaw, by method."""

    last_deg: float
    centres_deg: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int64]
    lines: dict[str, YawLine]


def has_yaw_line(dataset: DatasetScores) -> bool:
    """Whether any method has a step of yaw with enough predicted faces to be drawn."""
    _, masks = _yaw_steps(dataset)
    return any(_drawn(masks & method.predicted[:, None]).any() for method in dataset.methods)


def has_error_map(dataset: DatasetScores) -> bool:
    """Whether any method has a cell of yaw and pitch with enough predicted faces to be shown."""
    return any(np.isfinite(error_map(dataset, one).mean_deg).any() for one in dataset.methods)


def _yaw_steps(dataset: DatasetScores) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """First yaw of each step, shape (steps,), and which faces are in it, shape (faces, steps)."""
    yaw = np.abs(dataset.angles_deg[:, 0])
    starts = np.arange(0.0, 180.0 if (yaw > 99.0).any() else 100.0, 10.0)
    return starts, (yaw[:, None] >= starts) & (yaw[:, None] < starts + 10.0)


def _drawn(predicted: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.asarray(predicted.sum(axis=0) >= _MIN_FACES)


def yaw_curve(dataset: DatasetScores) -> YawCurve:
    """Mean error of every method by yaw."""
    starts, masks = _yaw_steps(dataset)
    resampling = statistics.make_resampling(len(masks), dataset.unit_groups, resamples=500)
    lines = {}
    for method in dataset.methods:
        columns = np.where(masks, method.face_mae_deg[:, None], np.nan)
        drawn = _drawn(np.isfinite(columns))
        if not drawn.any():
            continue
        columns = columns[:, drawn]
        low = high = None
        if resampling.units >= statistics.MIN_UNITS:
            draws = resampling.means(columns.T, statistics.MIN_UNITS)
            low, high = np.array([statistics.percentile_interval(one) for one in draws.T]).T
        mean = np.nanmean(columns, axis=0)
        lines[method.spec] = YawLine(starts[drawn] + 5.0, mean, low, high)
    return YawCurve(float(starts[-1]) + 10.0, starts + 5.0, masks.sum(axis=0), lines)


@dataclass(frozen=True)
class ErrorMap:
    """Mean error in cells, shape (pitch, yaw); NaN where there are too few predicted faces."""

    yaw_edges: npt.NDArray[np.float64]
    pitch_edges: npt.NDArray[np.float64]
    mean_deg: npt.NDArray[np.float64]
    faces: npt.NDArray[np.float64]


def error_map(dataset: DatasetScores, method: MethodScores) -> ErrorMap:
    """Mean of the labelled angles' errors in cells of 15 degrees of ground-truth yaw and pitch."""
    yaw_edges, pitch_edges = (_cell_edges(dataset.angles_deg[:, column]) for column in (0, 1))
    yaw, pitch = dataset.angles_deg[:, 0], dataset.angles_deg[:, 1]
    known = method.predicted & np.isfinite(yaw) & np.isfinite(pitch)
    edges = [pitch_edges, yaw_edges]
    faces, _, _ = np.histogram2d(pitch[known], yaw[known], edges)
    sums, _, _ = np.histogram2d(pitch[known], yaw[known], edges, weights=method.face_mae_deg[known])
    enough = faces >= _MIN_CELL_FACES
    mean = np.divide(sums, faces, out=np.full(sums.shape, np.nan), where=enough)
    return ErrorMap(yaw_edges, pitch_edges, mean, faces)


def highest_shown(maps: Sequence[ErrorMap]) -> float:
    """End of the colour scale that panels share: a tenth of the cells lies above it.

    A single bad cell of one method would otherwise leave all others in one colour.
    """
    means = np.concatenate([one.mean_deg[np.isfinite(one.mean_deg)] for one in maps])
    return max(5.0, float(np.percentile(means, 90))) if means.size else 5.0


def _cell_edges(angles_deg: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Edges of cells that hold all angles, zero in the middle of one."""
    widest = float(np.nanmax(np.abs(angles_deg), initial=_CELL_DEG))
    cells = int(np.ceil(widest / _CELL_DEG - 0.5))
    return (np.arange(-cells, cells + 2, dtype=np.float64) - 0.5) * _CELL_DEG


@dataclass(frozen=True)
class ParetoPoint:
    """One method in the plane of time and error."""

    method: str
    total_ms: float
    error_deg: float
    coverage: float
    best: bool
    """No other method is as fast and more accurate, or as accurate and faster."""


def pareto_points(results: Sequence[MethodResult]) -> list[ParetoPoint]:
    """Methods with a time and an error, the fastest first."""
    known = [
        (one.runtime_ms["total"].p50, one.common_images.mae_deg.mean, one)
        for one in results
        if one.runtime_ms["total"].p50 and one.common_images.mae_deg.mean is not None
    ]
    known.sort(key=lambda point: point[:2])
    points = []
    lowest = np.inf
    for total_ms, error_deg, one in known:
        best = error_deg < lowest
        lowest = min(lowest, error_deg)
        points.append(ParetoPoint(one.method_spec, total_ms, error_deg, one.coverage or 0.0, best))
    return points


def calibration_curves(dataset: DatasetScores) -> dict[str, npt.NDArray[np.float64]]:
    """Share of the faces within the region of each of :data:`CLAIMED_LEVELS`, by method."""
    found = {one.spec: observed_shares(one, CLAIMED_LEVELS) for one in dataset.methods}
    return {spec: shares for spec, shares in found.items() if shares is not None}


@dataclass(frozen=True)
class ForestRow:
    """One slice of a forest plot, with the errors by method."""

    title: str
    errors: dict[str, SliceErrors]

    def offset(self, spec: str) -> float:
        """How far below the middle of the row a method is drawn, in rows."""
        index = list(self.errors).index(spec)
        return 0.7 * ((index + 0.5) / len(self.errors) - 0.5)


def forest_rows(results: Sequence[MethodResult]) -> dict[str, list[ForestRow]]:
    """Slices of all methods by factor, in the order of the results.

    Factors with which there would be more than 60 slices are left out.
    """
    found: dict[str, list[ForestRow]] = {}
    for same in zip(*(result.slices for result in results), strict=True):
        row = ForestRow(
            f"{cut_name(same[0].slice)} ({same[0].faces})",
            {result.method_spec: one for result, one in zip(results, same, strict=True)},
        )
        found.setdefault(same[0].factor, []).append(row)
    shown: dict[str, list[ForestRow]] = {}
    slices = 0
    for factor, rows in found.items():
        if not shown or slices + len(rows) <= _MAX_FOREST_ROWS:
            shown[factor] = rows
            slices += len(rows)
    return shown


def cut_name(name: str) -> str:
    """A name as a figure has room for it."""
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 3]}..."
