"""Still figures of a report, as PNG for reading and SVG for papers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from hpbench.reports import words
from hpbench.reports.figures.data import (
    CLAIMED_LEVELS,
    ErrorMap,
    calibration_curves,
    cut_name,
    error_map,
    error_name,
    error_shares,
    forest_rows,
    highest_shown,
    histogram_limit,
    pareto_points,
    yaw_curve,
)
from hpbench.reports.figures.style import STAGE_COLOURS, MethodStyle
from hpbench.reports.tables.robustness import Curve
from hpbench.results.results_file import MethodResult, value_at
from hpbench.rotation import ANGLES
from hpbench.scoring import metrics
from hpbench.scoring.confidence import risk_coverage
from hpbench.scoring.scores import DatasetScores
from hpbench.scoring.slices import MIN_FACES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "ShownFigure", "accuracy_figure", "calibration_figure", "ced_figure", "drawn",
    "error_by_yaw_figure", "forest_figure", "heat_map_figure", "histogram_figure",
    "level_figure", "pareto_figure", "risk_coverage_figure", "runtime_figure", "save",
]  # fmt: skip

Styles = Mapping[str, MethodStyle]

_LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "hpbench",  # the same run gives the same file
    "text.parse_math": False,  # a file name with dollar signs is no formula
}
_MAX_PANELS = 6


class ShownFigure(Figure):
    """A figure that a notebook shows without ``%matplotlib`` or pyplot."""

    def _repr_png_(self) -> bytes:
        stream = BytesIO()
        self.savefig(stream, format="png", dpi=90)
        return stream.getvalue()


def drawn(draw: Callable[[], Figure]) -> Figure:
    """Draw a figure in the report's look."""
    with mpl.rc_context(_LOOK):
        return draw()


def save(draw: Callable[[], Figure], stem: Path) -> None:
    """Draw a figure in the report's look and write ``stem.png`` and ``stem.svg``."""
    png, svg = (stem.with_name(stem.name + end) for end in (".png", ".svg"))
    with mpl.rc_context(_LOOK):
        figure = draw()
        # Figure.savefig would draw everything once more to find out its size.
        figure.set_dpi(150)
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})  # type: ignore[no-untyped-call]
        figure.set_layout_engine("none")  # the layout of the PNG holds; finding it again is slow
        figure.set_dpi(72)
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})  # type: ignore[no-untyped-call]


def accuracy_figure(results: Sequence[MethodResult], styles: Styles) -> Figure:
    """Mean error of every method as published tables count it, with its 95 % interval."""
    scored = [(one, one.mae_deg.mean) for one in results if one.mae_deg.mean is not None]
    figure = ShownFigure(figsize=(9.0, 1.2 + 0.55 * len(scored)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(scored))
    for y, (one, mean) in zip(rows, scored, strict=True):
        axes.barh(y, mean, height=0.62, color=styles[one.method_spec].colour, alpha=0.75)
        low, high = value_at(one.intervals_95, "mae_deg.mean") or (mean, mean)
        if high > low:
            axes.plot([low, high], [y, y], color="black", linewidth=1.4)
        shown = f"{mean:.2f}"
        if one.coverage is not None and one.coverage < 1.0:
            shown += f" ({words.percent(one.coverage)} predicted)"
        axes.annotate(
            shown, (max(mean, high), y), xytext=(6, 0), textcoords="offset points",
            va="center",
        )  # fmt: skip
    axes.set_yticks(rows, [styles[one.method_spec].label for one, _ in scored])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("mean absolute error of the angles, degrees (line: 95 % interval)")
    axes.margins(x=0.2)
    return figure


def histogram_figure(dataset: DatasetScores, styles: Styles) -> Figure:
    """Signed errors of each angle, all methods overlaid; the end bars collect all beyond."""
    limit = histogram_limit(dataset)
    edges = np.linspace(-limit, limit, 41)
    shares = {angle: error_shares(dataset, index, edges) for index, angle in enumerate(ANGLES)}
    shares = {angle: found for angle, found in shares.items() if found}
    figure = ShownFigure(figsize=(9.0, 3.4), layout="constrained")
    panels = figure.subplots(1, len(shares), sharey=True, squeeze=False)[0]
    for panel, (angle, by_method) in zip(panels, shares.items(), strict=True):
        for spec, share in by_method.items():
            style = styles[spec]
            panel.stairs(
                share, edges, label=style.label, color=style.colour, linestyle=style.dash,
                linewidth=1.8,
            )  # fmt: skip
        panel.axvline(0.0, color="#555555", linewidth=0.8)
        panel.set_title(angle.capitalize())
        panel.set(xlabel="predicted minus ground truth, degrees", xlim=(-limit, limit))
        panel.xaxis.set_major_locator(MaxNLocator(5, prune="both"))
    panels[0].set_ylabel("share of predicted faces, %")
    _legend_below(figure, panels[0], len(dataset.methods))
    return figure


def error_by_yaw_figure(dataset: DatasetScores, styles: Styles) -> Figure:
    """Mean error by yaw, with 95 % bands, over the number of faces."""
    curve = yaw_curve(dataset)
    figure = ShownFigure(figsize=(9.0, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1.0))
    for spec, line in curve.lines.items():
        style = styles[spec]
        upper.plot(
            line.yaw_deg, line.mean_deg, label=style.label, color=style.colour,
            linestyle=style.dash, marker=style.marker, markersize=5,
        )  # fmt: skip
        if line.low_deg is not None and line.high_deg is not None:
            upper.fill_between(
                line.yaw_deg, line.low_deg, line.high_deg, color=style.colour, alpha=0.15, lw=0
            )
    upper.set(ylim=(0.0, None), ylabel="mean error, degrees")
    lower.bar(curve.centres_deg, curve.faces, width=8.5, color="#9aa7b2")
    lower.set(
        ylabel="faces", xlabel="absolute ground-truth yaw, degrees", xlim=(0.0, curve.last_deg),
        xticks=np.arange(0.0, curve.last_deg + 1.0, 10.0),
    )  # fmt: skip
    _legend_below(figure, upper, len(dataset.methods))
    return figure


def ced_figure(dataset: DatasetScores, styles: Styles) -> Figure:
    """Share of all faces within an error."""
    thresholds = np.linspace(0.0, 30.0, 301)
    lines = {
        method.spec: (thresholds, 100.0 * metrics.ced(method.curve_errors_deg, thresholds))
        for method in dataset.methods
    }
    return _line_figure(
        lines, styles, 50, xlabel=f"{error_name(dataset)}, degrees", ylabel="faces within it, %",
        xlim=(0.0, 30.0), ylim=(0.0, 101.0),
    )  # fmt: skip


def risk_coverage_figure(dataset: DatasetScores, styles: Styles) -> Figure:
    """Mean error of the most confident share of the predicted faces."""
    curves = {method.spec: risk_coverage(method) for method in dataset.methods}
    lines = {spec: (100.0 * one.share, one.error_deg) for spec, one in curves.items() if one}
    return _line_figure(
        lines, styles, 0.1, xlabel="share of the predicted faces, the most confident first, %",
        ylabel="mean error, degrees", xlim=(0.0, 101.0), ylim=(0.0, None),
    )  # fmt: skip


def calibration_figure(dataset: DatasetScores, styles: Styles) -> Figure:
    """Share of the faces within the claimed region, over its claimed probability."""
    lines = {
        spec: (100.0 * CLAIMED_LEVELS, 100.0 * shares)
        for spec, shares in calibration_curves(dataset).items()
    }
    figure = _line_figure(
        lines, styles, 4, xlabel="claimed to hold the ground truth, %",
        ylabel="faces for which it does, %", xlim=(0.0, 100.0), ylim=(0.0, 101.0),
    )  # fmt: skip
    figure.axes[0].plot([0.0, 100.0], [0.0, 100.0], color="#555555", linestyle="--", linewidth=0.8)
    return figure


def _line_figure(
    lines: Mapping[str, tuple[Any, Any]], styles: Styles, markevery: float, **axes_settings: Any
) -> Figure:
    """One line per method, given as x and y."""
    figure = ShownFigure(figsize=(9.0, 4.2), layout="constrained")
    axes = figure.subplots()
    for spec, (x, y) in lines.items():
        style = styles[spec]
        axes.plot(
            x, y, label=style.label, color=style.colour, linestyle=style.dash,
            marker=style.marker, markevery=markevery, markersize=5,
        )  # fmt: skip
    axes.set(**axes_settings)
    _legend_below(figure, axes, len(styles))
    return figure


def forest_figure(results: Sequence[MethodResult], styles: Styles) -> Figure:
    """Mean error of every method in every slice, one panel per factor."""
    panels_of = forest_rows(results)
    heights = [len(rows) + 1.0 for rows in panels_of.values()]
    figure = ShownFigure(figsize=(9.0, 1.0 + 0.34 * sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[
        :, 0
    ]
    named: set[str] = set()  # methods that the legend has, which reads the first panel
    for panel, (factor, rows) in zip(panels, panels_of.items(), strict=True):
        for y, row in enumerate(rows):
            for spec, one in row.errors.items():
                if one.mae_deg is None:
                    continue
                style = styles[spec]
                low, high = one.interval_95 or (one.mae_deg, one.mae_deg)
                place = y + row.offset(spec)
                panel.plot([low, high], [place, place], color=style.colour, linewidth=1.4)
                panel.plot(
                    one.mae_deg, place, marker=style.marker, markersize=5, linestyle="none",
                    markeredgecolor=style.colour, label=None if spec in named else style.label,
                    color=style.colour if one.scored >= MIN_FACES else "white",
                )  # fmt: skip
                named.add(spec)
        panel.set_yticks(range(len(rows)), [row.title for row in rows])
        panel.set_ylim(len(rows) - 0.4, -0.6)
        panel.grid(visible=False, axis="y")
        panel.set_title(cut_name(factor), fontsize=10, loc="left")
    panels[-1].set_xlabel("mean error, degrees (line: 95 % interval)")
    panels[-1].set_xlim(left=0.0)
    _legend_below(figure, panels[0], len(results))
    return figure


def runtime_figure(results: Sequence[MethodResult], styles: Styles) -> Figure:
    """Median time per face by stage, with the 95th percentile of the total."""
    timed = [result for result in results if result.runtime_ms["total"].p50 is not None]
    figure = ShownFigure(figsize=(9.0, 1.3 + 0.55 * len(timed)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(timed))
    start = np.zeros(len(timed))
    for stage, colour in STAGE_COLOURS.items():
        medians = np.array([result.runtime_ms[stage].p50 or 0.0 for result in timed])
        if not medians.any():
            continue
        axes.barh(rows, medians, left=start, height=0.62, color=colour, label=stage)
        start += medians
    totals = [result.runtime_ms["total"] for result in timed]
    slowest = [total.p95 or 0.0 for total in totals]
    axes.plot(slowest, rows, "|", color="black", markersize=14, label="95th percentile")
    for y, total in enumerate(totals):
        shown = words.milliseconds(total.p50, total.decimals)
        axes.annotate(
            f"{shown} ms", (max(slowest[y], start[y]), y), xytext=(6, 0),
            textcoords="offset points", va="center",
        )  # fmt: skip
    axes.set_yticks(rows, [_lines(styles[result.method_spec].label) for result in timed])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("milliseconds per face, one at a time (number: median of the total)")
    axes.set_xlim(0.0, 1.15 * max([*slowest, *start]))
    _legend_below(figure, axes, 4)
    return figure


def _lines(label: str) -> str:
    """Name of a method where it has little room."""
    return "\n".join(words.wrapped(label, 26))


def _legend_below(figure: Figure, axes: Axes, entries: int) -> None:
    handles, names = axes.get_legend_handles_labels()
    longest = max((len(name) for name in names), default=1)
    columns = max(1, min(entries, 110 // (longest + 8)))
    figure.legend(handles, names, loc="outside lower center", ncols=columns)


def heat_map_figure(dataset: DatasetScores, styles: Styles) -> Figure:
    """Mean error over ground-truth yaw and pitch, one panel per method, one colour scale."""
    methods = [method for method in dataset.methods if method.predicted.any()][:_MAX_PANELS]
    maps = [error_map(dataset, method) for method in methods]
    columns = min(3, len(methods))
    rows = -(-len(methods) // columns)
    figure = ShownFigure(figsize=(9.0, 0.8 + 2.5 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    highest = highest_shown(maps)
    for panel, method, one in zip(panels, methods, maps, strict=False):
        panel.pcolormesh(
            one.yaw_edges, one.pitch_edges, one.mean_deg, cmap="viridis", vmin=0.0, vmax=highest
        )
        panel.set_title(_lines(styles[method.spec].label), fontsize=9)
        panel.grid(visible=False)
        panel.set_facecolor("#f0f0f0")
        panel.set(xlim=_shown_range(maps, "yaw"), ylim=_shown_range(maps, "pitch"))
    for panel in panels[::columns]:
        panel.set_ylabel("ground-truth pitch, degrees")
    for panel in panels[len(methods) :]:
        panel.set_visible(False)
    for panel in panels[: len(methods)][-columns:]:  # the lowest of each column
        panel.tick_params(labelbottom=True)
        panel.set_xlabel("ground-truth yaw, degrees")
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0.0, highest), "viridis")
    bar = figure.colorbar(scale, ax=list(panels), extend="max")
    bar.set_label("mean error, degrees")
    return figure


def _shown_range(maps: Sequence[ErrorMap], angle: Literal["yaw", "pitch"]) -> tuple[float, float]:
    """From the first to the last edge of the cells that any method has a mean in."""
    filled = np.logical_or.reduce([np.isfinite(one.mean_deg) for one in maps])
    edges = maps[0].yaw_edges if angle == "yaw" else maps[0].pitch_edges
    used = np.flatnonzero(filled.any(axis=0 if angle == "yaw" else 1))
    if not used.size:
        return float(edges[0]), float(edges[-1])
    return float(edges[used[0]]), float(edges[used[-1] + 1])


def pareto_figure(results: Sequence[MethodResult], styles: Styles) -> Figure:
    """Mean error against time per face; the line is the Pareto front."""
    points = pareto_points(results)
    figure = ShownFigure(figsize=(9.0, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    best = [point for point in points if point.best]
    axes.step(
        [point.total_ms for point in best], [point.error_deg for point in best],
        where="post", color="#9aa7b2", linewidth=1.2, zorder=1,
    )  # fmt: skip
    for point in points:
        style = styles[point.method]
        axes.plot(
            point.total_ms, point.error_deg, marker=style.marker, markersize=9, linestyle="none",
            markeredgecolor=style.colour, markeredgewidth=1.8,
            color=style.colour if point.coverage == 1.0 else "white",
        )  # fmt: skip
        shown = _lines(style.label)
        if point.coverage < 1.0:
            shown += f" ({words.percent(point.coverage)} predicted)"
        axes.annotate(
            shown, (point.total_ms, point.error_deg), xytext=(9, 5), textcoords="offset points"
        )
    axes.margins(x=0.25)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set(
        xlabel="milliseconds per face, one at a time (logarithmic)",
        ylabel="mean error on common faces, degrees",
        ylim=(0.0, 1.12 * max(point.error_deg for point in points)),
    )
    return figure


def level_figure(curves: Sequence[Curve], styles: Styles) -> Figure:
    """Error by swept factor, one panel per curve, with 95 % intervals.

    Where a method left faces without a prediction, a thin dotted line counts these as frontal
    heads: its error on the easy faces that are left may well fall with the corruption.
    """
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = ShownFigure(figsize=(9.0, 0.7 + 2.7 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel, curve in zip(panels, curves, strict=False):
        positions = np.array(curve.positions or range(len(curve.levels)), dtype=np.float64)
        for spec, points in curve.points.items():
            style = styles[spec]
            shown = [index for index, point in enumerate(points) if point.mae_deg is not None]
            axis = positions[shown]
            panel.plot(
                axis, [points[index].mae_deg for index in shown], label=style.label,
                color=style.colour, linestyle=style.dash, marker=style.marker, markersize=5,
            )  # fmt: skip
            limits = np.array([points[index].interval_95_deg or (np.nan,) * 2 for index in shown])
            if limits.size:
                panel.fill_between(axis, *limits.T, color=style.colour, alpha=0.15, lw=0)
            if any(point.no_answer for point in points):
                filled = [point.mae_missing_as_frontal_deg for point in points]
                panel.plot(
                    positions, np.array(filled, dtype=np.float64), color=style.colour, lw=1.0,
                    linestyle=":", marker=style.marker, markersize=3, fillstyle="none",
                )  # fmt: skip
        if curve.positions is None:
            panel.set_xticks(positions, curve.levels)
            panel.set_xlim(-0.2, len(positions) - 0.8)
        panel.set_title(curve.name)
        panel.set_xlabel(curve.unit)
    panels[0].set_ylim(bottom=0.0)  # after all panels: it ends the search for the common top
    for panel in panels[::columns]:
        panel.set_ylabel("mean error, degrees")
    for panel in panels[len(curves) :]:
        panel.set_visible(False)
    _legend_below(figure, panels[0], len(styles))
    return figure
