"""Every figure as a shape, from the results of one data set; None without anything to draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hpbench.reports import words
from hpbench.reports.figures.shapes import (
    Axis,
    BarPlot,
    FacePlot,
    HeatPanel,
    HeatPlot,
    Line,
    LinePlot,
    Panel,
)
from hpbench.reports.figures.style import STAGE_COLOURS
from hpbench.reports.tables.importance import factors_that_matter
from hpbench.reports.tables.robustness import Curve, FactorPoint
from hpbench.reports.tables.table import is_reference
from hpbench.reports.tables.worst import predicted_angles, worst_faces
from hpbench.results.results_file import FactorShare, MethodResult, SliceErrors, value_at
from hpbench.rotation import ANGLES
from hpbench.scoring import metrics, statistics
from hpbench.scoring.calibration import observed_shares
from hpbench.scoring.confidence import risk_coverage
from hpbench.scoring.scores import DatasetScores, MethodScores
from hpbench.scoring.slices import MIN_FACES
from hpbench.spec import parse_spec

__all__ = [
    "accuracy", "calibration", "ced", "confidence", "crossed_slices", "error_maps",
    "errors_by_yaw", "faces", "forest", "histogram", "importance", "levels", "pareto", "runtime",
]  # fmt: skip

Array = npt.NDArray[np.float64]

_MIN_FACES = 5
"""A mean over fewer faces is not drawn."""

_MIN_CELL_FACES = 3
_CELL_DEG = 15.0

_MAX_FACTORS = 10
_MAX_FOREST_ROWS = 60
_MAX_NAME = 40
_MAX_FACES = 2000
"""Faces of the plot with one point per face; a browser draws no more smoothly."""

_MAX_POINTS = 60_000
"""Points of all methods in it; each takes some ten bytes of the page."""

MEAN_ERROR = "mean error, degrees"


# --- errors of all faces ----------------------------------------------------------------------


def accuracy(results: Sequence[MethodResult]) -> BarPlot | None:
    """Mean error of every method as published tables count it, with its 95 % interval."""
    means = {one.method_spec: one.mae_deg.mean for one in results if one.mae_deg.mean is not None}
    if not means:
        return None
    texts, limits = {}, {}
    for one in results:
        if one.method_spec not in means:
            continue
        texts[one.method_spec] = f"{one.mae_deg.mean:.2f}"
        if one.coverage is not None and one.coverage < 1.0:
            texts[one.method_spec] += f" ({words.percent(one.coverage)} predicted)"
        interval = value_at(one.intervals_95, "mae_deg.mean")
        if interval is not None:
            limits[one.method_spec] = (interval[0], interval[1])
    title = "mean absolute error of the angles, degrees (line: 95 % interval)"
    return BarPlot(Axis(title, low=0.0), {"": means}, {}, texts, limits)


def histogram(dataset: DatasetScores) -> LinePlot | None:
    """Signed errors of each angle, all methods overlaid; the end steps collect all beyond."""
    limit = _histogram_limit(dataset)
    edges = np.linspace(-limit, limit, 41)
    centres = (edges[:-1] + edges[1:]) / 2.0
    panels = []
    for index, angle in enumerate(ANGLES):
        lines = {
            method.spec: Line(centres, share)
            for method in dataset.methods
            if (share := _error_shares(method.differences_deg[:, index], edges)) is not None
        }
        if lines:
            x = Axis("predicted minus ground truth, degrees", -limit, limit)
            y = Axis("share of predicted faces, %", low=0.0)
            panels.append(Panel(x, y, lines, angle.capitalize(), height_inch=2.6))
    hover = "{x:.1f} degrees: {y:.1f} %"
    return LinePlot(panels, "steps", len(panels), hover) if panels else None


def _histogram_limit(dataset: DatasetScores) -> float:
    """Round limit that holds 95 % of the errors of the worst method, within 10..90 degrees."""
    widest = 10.0
    for method in _judged(dataset.methods):
        errors = np.abs(method.differences_deg)
        errors = errors[np.isfinite(errors)]
        if errors.size:
            widest = max(widest, float(np.percentile(errors, 95)))
    return float(min(90.0, 5.0 * np.ceil(widest / 5.0)))


def _judged(methods: Sequence[MethodScores]) -> Sequence[MethodScores]:
    """All methods but the frontal baseline, which would set the scale; it too if it is alone."""
    return [one for one in methods if not is_reference(parse_spec(one.spec).name)] or methods


def _error_shares(errors_deg: Array, edges_deg: Array) -> Array | None:
    """Percentage of the predicted faces by signed error; the end bins hold all beyond."""
    errors = np.clip(errors_deg[np.isfinite(errors_deg)], edges_deg[0], edges_deg[-1])
    return 100.0 * np.histogram(errors, edges_deg)[0] / errors.size if errors.size else None


def ced(dataset: DatasetScores) -> LinePlot | None:
    """Share of all faces within an error."""
    if not any(method.predicted.any() for method in dataset.methods):
        return None
    thresholds = np.linspace(0.0, 30.0, 121)
    lines = {
        method.spec: Line(thresholds, 100.0 * metrics.ced(method.curve_errors_deg, thresholds))
        for method in dataset.methods
    }
    panel = Panel(
        Axis(f"{_error_name(dataset)}, degrees", 0.0, 30.0),
        Axis("faces within it, %", 0.0, 101.0),
        lines,
    )
    return LinePlot([panel], hover="within {x:.1f} degrees: {y:.1f} %")


def _error_name(dataset: DatasetScores) -> str:
    """Which error of a face is drawn."""
    return "geodesic error" if dataset.has_rotations else "mean error of the labelled angles"


def faces(dataset: DatasetScores) -> FacePlot | None:
    """One point per face; of very many the worst of each method and a fixed random choice."""
    known = np.isfinite(dataset.angles_deg[:, 0])
    if not any((method.predicted & known).any() for method in dataset.methods):
        return None
    shown = _some_faces(dataset)
    return FacePlot(
        Axis("ground-truth yaw, degrees"),
        Axis(f"{_error_name(dataset)}, degrees", low=0.0),
        [str(name) for name in dataset.image_ids[shown]],
        dataset.angles_deg[shown],
        {method.spec: method.curve_errors_deg[shown] for method in dataset.methods},
        {method.spec: predicted_angles(dataset, method, shown) for method in dataset.methods},
    )


def _some_faces(dataset: DatasetScores) -> npt.NDArray[np.intp]:
    count = len(dataset.image_ids)
    most = min(_MAX_FACES, _MAX_POINTS // len(dataset.methods))
    if count <= most:
        return np.arange(count)
    worst = {index for method in dataset.methods for index in worst_faces(method)}
    worst = set(sorted(worst)[: most // 2])
    others = np.setdiff1d(np.arange(count), list(worst))
    chosen = np.random.default_rng(0).choice(others, most - len(worst), replace=False)
    return np.sort(np.append(chosen, list(worst))).astype(np.intp)


# --- where errors are -------------------------------------------------------------------------


def errors_by_yaw(dataset: DatasetScores) -> LinePlot | None:
    """Mean error in steps of 10 degrees of absolute yaw, over the number of faces.

    Only steps with enough predicted faces. An interval is NaN in a step, and None altogether, with
    too few independent faces.
    """
    starts, masks = _yaw_steps(dataset)
    resampling = statistics.make_resampling(len(masks), dataset.unit_groups, resamples=500)
    lines = {}
    for method in dataset.methods:
        columns = np.where(masks, method.face_mae_deg[:, None], np.nan)
        drawn = np.isfinite(columns).sum(axis=0) >= _MIN_FACES
        if not drawn.any():
            continue
        columns = columns[:, drawn]
        low = high = None
        if resampling.units >= statistics.MIN_UNITS:
            low, high = np.array(resampling.mean_intervals(columns.T)).T
        lines[method.spec] = Line(starts[drawn] + 5.0, np.nanmean(columns, axis=0), low, high)
    if not lines:
        return None
    end = float(starts[-1]) + 10.0
    x = Axis("absolute ground-truth yaw, degrees", 0.0, end, _ticks(np.arange(0.0, end + 1, 10.0)))
    upper = Panel(x, Axis(MEAN_ERROR, low=0.0), lines, height_inch=3.0)
    counts = np.column_stack([starts + 5.0, masks.sum(axis=0)])
    lower = Panel(x, Axis("faces", low=0.0), bars=counts, height_inch=0.9)
    return LinePlot([upper, lower], hover="|yaw| about {x:.0f}: {y:.2f} degrees")


def _yaw_steps(dataset: DatasetScores) -> tuple[Array, npt.NDArray[np.bool_]]:
    """First yaw of each step, shape (steps,), and which faces are in it, shape (faces, steps)."""
    yaw = np.abs(dataset.angles_deg[:, 0])
    starts = np.arange(0.0, 180.0 if (yaw > 99.0).any() else 100.0, 10.0)
    last = np.append(np.zeros(len(starts) - 1, dtype=bool), True)  # which has both its ends
    return starts, (yaw[:, None] >= starts) & ((yaw[:, None] < starts + 10.0) | last)


def _ticks(places: Array) -> dict[float, str]:
    return {float(place): f"{place:g}" for place in places}


def error_maps(dataset: DatasetScores) -> HeatPlot | None:
    """Mean error in cells of 15 degrees of ground-truth yaw and pitch, a map per method."""
    yaw_edges, pitch_edges = (_cell_edges(dataset.angles_deg[:, column]) for column in (0, 1))
    means, counts = {}, {}
    for method in dataset.methods:
        if method.predicted.any():
            means[method.spec], counts[method.spec] = _error_map(
                dataset, method, yaw_edges, pitch_edges
            )
    filled = np.isfinite(list(means.values()))
    if not filled.any():
        return None
    used_yaw = _used(np.any(filled, axis=(0, 1)))
    used_pitch = _used(np.any(filled, axis=(0, 2)))
    panel = HeatPanel(
        Axis("ground-truth yaw, degrees"),
        Axis("ground-truth pitch, degrees"),
        yaw_edges[used_yaw.start : used_yaw.stop + 1],
        pitch_edges[used_pitch.start : used_pitch.stop + 1],
        {spec: one[used_pitch, used_yaw] for spec, one in means.items()},
        {spec: one[used_pitch, used_yaw] for spec, one in counts.items()},
    )
    judged = {one.spec for one in _judged(dataset.methods)}
    shown = [one for spec, one in panel.values.items() if spec in judged]
    return HeatPlot([panel], _highest_shown(shown or list(panel.values.values())))


def _error_map(
    dataset: DatasetScores, method: MethodScores, yaw_edges: Array, pitch_edges: Array
) -> tuple[Array, Array]:
    """Mean error of the labelled angles and number of faces, each of shape (pitch, yaw)."""
    yaw, pitch = dataset.angles_deg[:, 0], dataset.angles_deg[:, 1]
    known = method.predicted & np.isfinite(yaw) & np.isfinite(pitch)
    edges = [pitch_edges, yaw_edges]
    counts, _, _ = np.histogram2d(pitch[known], yaw[known], edges)
    sums, _, _ = np.histogram2d(pitch[known], yaw[known], edges, weights=method.face_mae_deg[known])
    enough = counts >= _MIN_CELL_FACES
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=enough), counts


def _used(filled: npt.ArrayLike) -> slice:
    """From the first to the last row or column in which any method has a mean."""
    places = np.flatnonzero(filled)
    return slice(int(places[0]), int(places[-1]) + 1)


def _highest_shown(values: Sequence[Array]) -> float:
    """End of the colour scale that panels share: a tenth of the cells lies above it.

    A single bad cell of one method would otherwise leave all others in one colour.
    """
    means = np.concatenate([one[np.isfinite(one)] for one in values])
    return max(5.0, float(np.percentile(means, 90))) if means.size else 5.0


def _cell_edges(angles_deg: Array) -> Array:
    """Edges of cells that hold all angles, zero in the middle of one."""
    widest = float(np.nanmax(np.abs(angles_deg), initial=_CELL_DEG))
    cells = int(np.ceil(widest / _CELL_DEG - 0.5))
    return (np.arange(-cells, cells + 2, dtype=np.float64) - 0.5) * _CELL_DEG


def forest(results: Sequence[MethodResult]) -> LinePlot | None:
    """Mean error of every method in every slice, one panel per factor.

    Factors with which there would be more than 60 slices are left out.
    """
    by_factor: dict[str, list[list[SliceErrors]]] = {}
    for same in zip(*(result.slices for result in results), strict=True):
        by_factor.setdefault(same[0].factor, []).append(list(same))
    specs = [result.method_spec for result in results]
    panels: list[Panel] = []
    slices = 0
    for factor, rows in by_factor.items():
        if not panels or slices + len(rows) <= _MAX_FOREST_ROWS:
            panels.append(_forest_panel(factor, rows, specs))
            slices += len(rows)
    if not panels or all(result.images.scored == 0 for result in results):
        return None
    return LinePlot(panels, "rows", most=6)


def _forest_panel(
    factor: str, rows: Sequence[Sequence[SliceErrors]], specs: Sequence[str]
) -> Panel:
    lines = {}
    for column, spec in enumerate(specs):
        found = [(y, row[column]) for y, row in enumerate(rows) if row[column].mae_deg is not None]
        if not found:
            continue
        means = np.array([one.mae_deg for _, one in found], dtype=np.float64)
        limits = np.array([one.interval_95 or (np.nan, np.nan) for _, one in found])
        lines[spec] = Line(
            means, np.array([float(y) for y, _ in found]), limits[:, 0], limits[:, 1],
            hollow=np.array([one.scored < MIN_FACES for _, one in found]),
            texts=[
                f"{one.slice}: {one.mae_deg:.2f} degrees over {one.scored} of {one.faces} faces"
                for _, one in found
            ],
        )  # fmt: skip
    names = [f"{cut_name(row[0].slice)} ({row[0].faces})" for row in rows]
    return _panel_of_rows("mean error, degrees", names, lines, cut_name(factor))


def _panel_of_rows(
    quantity: str, names: Sequence[str], lines: dict[str, Line], title: str
) -> Panel:
    """Values with their intervals in rows with names, the first one on top."""
    ticks = {float(y): name for y, name in enumerate(names)}
    return Panel(
        Axis(f"{quantity} (line: 95 % interval)", low=0.0),
        Axis(low=len(names) - 0.4, high=-0.6, ticks=ticks),
        lines,
        title,
        height_inch=0.34 * (len(names) + 0.2),
    )


def importance(results: Sequence[MethodResult]) -> LinePlot | None:
    """Share of the differences between errors that each factor explains, alone and together.

    Those that matter for any method come first; None where none does.
    """
    matter = factors_that_matter(results)
    if not matter:
        return None
    found = {
        one.method_spec: {share.factor: share for share in one.importance.factors}
        for one in results
        if one.importance is not None and not is_reference(one.method)
    }

    def weight(factor: str) -> tuple[bool, float]:
        shares = (by_factor.get(factor) for by_factor in found.values())
        return factor in matter, max(one.alone or 0.0 for one in shares if one)

    # of equal weight, as the first method has them: a set would order them by chance
    names = dict.fromkeys(name for shares in found.values() for name in shares)
    factors = sorted(names, key=weight, reverse=True)[:_MAX_FACTORS]
    titles = {"alone": "Alone", "together": "Lost without it, given the others that matter"}
    panels = []
    for key, title in titles.items():
        lines = {}
        for spec, by_factor in found.items():
            shown = [
                (float(y), by_factor[name])
                for y, name in enumerate(factors)
                if name in by_factor and getattr(by_factor[name], key) is not None
            ]
            if shown:
                lines[spec] = _importance_line(key, shown)
        quantity = "share of the variance of log error, %"
        panels.append(_panel_of_rows(quantity, [*map(cut_name, factors)], lines, title))
    return LinePlot(panels, "bars", most=6)


def _importance_line(key: str, shown: Sequence[tuple[float, FactorShare]]) -> Line:
    shares = 100.0 * np.array([getattr(one, key) for _, one in shown], dtype=np.float64)
    limits = [getattr(one, f"{key}_95") or (np.nan, np.nan) for _, one in shown]
    low, high = 100.0 * np.array(limits, dtype=np.float64).T
    return Line(
        shares,
        np.array([y for y, _ in shown]),
        low,
        high,
        hollow=np.array([not one.matters for _, one in shown]),
        texts=[f"{one.factor}: {s:.1f} %" for s, (_, one) in zip(shares, shown, strict=True)],
    )


def crossed_slices(results: Sequence[MethodResult]) -> HeatPlot | None:
    """Mean error over two crossed factors, a table of cells per pair of factors and method.

    Cells in which a method scored fewer faces than a worst slice needs are empty.
    """
    pairs: dict[str, list[list[SliceErrors]]] = {}
    for same in zip(*(result.slices for result in results), strict=True):
        if len(same[0].values) == 2:
            pairs.setdefault(same[0].factor, []).append(list(same))
    specs = [result.method_spec for result in results]
    panels = [_crossed_panel(factor, cells, specs) for factor, cells in pairs.items()]
    means = [one[np.isfinite(one)] for panel in panels for one in panel.values.values()]
    if not any(one.size for one in means):
        return None
    return HeatPlot(panels, max(5.0, float(np.concatenate(means).max())), written=True)


def _crossed_panel(
    factor: str, cells: Sequence[Sequence[SliceErrors]], specs: Sequence[str]
) -> HeatPanel:
    """Cells of two crossed factors: the first from left to right, the second from above."""
    columns = list(dict.fromkeys(same[0].values[0] for same in cells))
    rows = list(dict.fromkeys(same[0].values[1] for same in cells))[::-1]
    means = {spec: np.full((len(rows), len(columns)), np.nan) for spec in specs}
    counts = {spec: np.zeros((len(rows), len(columns))) for spec in specs}
    for same in cells:
        cell = rows.index(same[0].values[1]), columns.index(same[0].values[0])
        for spec, one in zip(specs, same, strict=True):
            counts[spec][cell] = one.scored
            if one.mae_deg is not None and one.scored >= MIN_FACES:
                means[spec][cell] = one.mae_deg
    return HeatPanel(
        Axis(ticks={x + 0.5: cut_name(name) for x, name in enumerate(columns)}),
        Axis(ticks={y + 0.5: cut_name(name) for y, name in enumerate(rows)}),
        np.arange(len(columns) + 1.0),
        np.arange(len(rows) + 1.0),
        means,
        counts,
        cut_name(factor),
    )


def cut_name(name: str) -> str:
    """A name as a figure has room for it."""
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 3]}..."


# --- confidence, time, swept factors ----------------------------------------------------------


def confidence(dataset: DatasetScores) -> LinePlot | None:
    """Mean error of the most confident share of the predicted faces."""
    curves = {method.spec: risk_coverage(method) for method in dataset.methods}
    lines = {spec: Line(100.0 * one.share, one.error_deg) for spec, one in curves.items() if one}
    panel = Panel(
        Axis("share of the predicted faces, the most confident first, %", 0.0, 101.0),
        Axis(MEAN_ERROR, low=0.0),
        lines,
    )
    return LinePlot([panel], hover="surest {x:.0f} %: {y:.2f} degrees") if lines else None


def calibration(dataset: DatasetScores) -> LinePlot | None:
    """Share of the faces within the claimed region, over its claimed probability."""
    claimed = np.linspace(0.0, 1.0, 41)
    shares = {method.spec: observed_shares(method, claimed) for method in dataset.methods}
    lines = {
        spec: Line(100.0 * claimed, 100.0 * share)
        for spec, share in shares.items()
        if share is not None
    }
    panel = Panel(
        Axis("claimed to hold the ground truth, %", 0.0, 100.0),
        Axis("faces for which it does, %", 0.0, 101.0),
        lines,
        reference=np.array([[0.0, 0.0], [100.0, 100.0]]),
    )
    return LinePlot([panel], hover="claimed {x:.0f} %: {y:.1f} % of the faces") if lines else None


def runtime(results: Sequence[MethodResult]) -> BarPlot | None:
    """Median time per face by stage, with the 95th percentile of the total."""
    times = {r.method_spec: r.runtime_ms for r in results if r.runtime_ms["total"].p50 is not None}
    if not times:
        return None
    parts = {
        stage: {spec: one[stage].p50 or 0.0 for spec, one in times.items()}
        for stage in STAGE_COLOURS
    }
    totals = {spec: one["total"] for spec, one in times.items()}
    return BarPlot(
        Axis("milliseconds per face, one at a time (number: median of the total)", low=0.0),
        {stage: medians for stage, medians in parts.items() if any(medians.values())},
        STAGE_COLOURS,
        {spec: f"{words.milliseconds(one.p50, one.decimals)} ms" for spec, one in totals.items()},
        marks={spec: one.p95 for spec, one in totals.items() if one.p95 is not None},
        mark_name="95th percentile",
        hover="{x:.3g} ms",
    )


def pareto(results: Sequence[MethodResult]) -> LinePlot | None:
    """Mean error against time per face; the line is the Pareto front."""
    known = [
        (one.runtime_ms["total"].p50, one.common_images.mae_deg.mean, one)
        for one in results
        if one.runtime_ms["total"].p50 and one.common_images.mae_deg.mean is not None
    ]
    if len(known) < 2:
        return None
    known.sort(key=lambda point: point[:2])
    lines: dict[str, Line] = {}
    front: list[tuple[float, float]] = []
    for total_ms, error_deg, one in known:
        # no other method is as fast and more accurate, or as accurate and faster
        if not front or error_deg < front[-1][1]:
            if front:
                front.append((total_ms, front[-1][1]))
            front.append((total_ms, error_deg))
        coverage = one.coverage or 0.0
        lines[one.method_spec] = Line(
            np.array([total_ms]), np.array([error_deg]), hollow=np.array([coverage < 1.0]),
            texts=[
                f"{total_ms:.3g} ms, {error_deg:.2f} degrees, {words.percent(coverage)} predicted"
            ],
        )  # fmt: skip
    panel = Panel(
        Axis("milliseconds per face, one at a time (logarithmic)", log=True),
        Axis("mean error on common faces, degrees", low=0.0),
        lines,
        reference=np.array(front),
    )
    return LinePlot([panel], "points")


def levels(curves: Sequence[Curve]) -> LinePlot | None:
    """Error by swept factor, one panel per curve, with 95 % intervals.

    Where a method left faces without a prediction, ``frontal`` counts these as frontal heads: its
    error on the easy faces that are left may well fall with the corruption.
    """
    panels = []
    for curve in curves:
        places = np.array(curve.positions or range(len(curve.levels)), dtype=np.float64)
        x = Axis(curve.unit)
        if curve.positions is None:
            ticks = dict(zip(places.tolist(), curve.levels, strict=True))
            x = Axis(curve.unit, -0.2, len(places) - 0.8, ticks)
        lines = {spec: _level_line(places, points) for spec, points in curve.points.items()}
        panels.append(Panel(x, Axis(MEAN_ERROR, low=0.0), lines, curve.name, height_inch=2.3))
    hover = "{y:.2f} degrees"
    return LinePlot(panels, columns=min(3, len(panels)), hover=hover) if panels else None


def _level_line(places: Array, points: Sequence[FactorPoint]) -> Line:
    limits = np.array([point.interval_95_deg or (np.nan, np.nan) for point in points])
    frontal = None
    if any(point.no_answer for point in points):
        frontal = _numbers([point.mae_missing_as_frontal_deg for point in points])
    means = _numbers([point.mae_deg for point in points])
    return Line(places, means, limits[:, 0], limits[:, 1], frontal)


def _numbers(values: Sequence[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
