"""Still figures of a report, as PNG for reading and SVG for papers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hpbench import metrics, statistics
from hpbench.reports import words
from hpbench.reports.style import STAGE_COLOURS, MethodStyle
from hpbench.results import DatasetScores
from hpbench.rotation import ANGLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ced_figure", "error_by_yaw_figure", "histogram_figure", "runtime_figure", "save"]

Json = dict[str, Any]
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
}
_FEWEST_FACES = 5
"""A mean over fewer faces is not drawn."""


def save(draw: Callable[[], Figure], stem: Path) -> Path:
    """Draw a figure in the report's look and write ``stem.png`` and ``stem.svg``.

    Returns
    -------
    Path
        The PNG.
    """
    with mpl.rc_context(_LOOK):
        figure = draw()
        png = stem.with_name(stem.name + ".png")
        figure.savefig(png, dpi=150, metadata={"Software": None})
        figure.savefig(stem.with_name(stem.name + ".svg"), metadata={"Date": None})
    return png


def histogram_figure(dataset: DatasetScores, styles: Styles) -> Figure:
    """Signed errors of each angle, all methods overlaid; the end bars collect all beyond."""
    shown = [place for place in range(3) if _has_numbers(dataset, place)]
    figure = Figure(figsize=(9.0, 3.4), layout="constrained")
    limit = _histogram_limit(dataset)
    edges = np.linspace(-limit, limit, 41)
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for panel, place in zip(panels, shown, strict=True):
        for method in dataset.methods:
            errors = method.differences_deg[:, place]
            errors = np.clip(errors[np.isfinite(errors)], -limit, limit)
            if not errors.size:
                continue
            counts, _ = np.histogram(errors, edges)
            style = styles[method.spec]
            panel.stairs(
                100.0 * counts / errors.size, edges, label=style.label, color=style.colour,
                linestyle=style.dash, linewidth=1.8,
            )  # fmt: skip
        panel.axvline(0.0, color="#555555", linewidth=0.8)
        panel.set_title(ANGLES[place].capitalize())
        panel.set_xlabel("predicted minus true, degrees")
        panel.set_xlim(-limit, limit)
        panel.xaxis.set_major_locator(MaxNLocator(5, prune="both"))
    panels[0].set_ylabel("share of answered faces, %")
    _legend_below(figure, panels[0], len(dataset.methods))
    return figure


def _has_numbers(dataset: DatasetScores, angle: int) -> bool:
    return any(np.isfinite(method.differences_deg[:, angle]).any() for method in dataset.methods)


def _histogram_limit(dataset: DatasetScores) -> float:
    """Round limit that holds 95 % of the errors of the worst method, within 10..90 degrees."""
    widest = 10.0
    for method in dataset.methods:
        errors = np.abs(method.differences_deg)
        errors = errors[np.isfinite(errors)]
        if errors.size:
            widest = max(widest, float(np.percentile(errors, 95)))
    return float(min(90.0, 5.0 * np.ceil(widest / 5.0)))


def error_by_yaw_figure(dataset: DatasetScores, styles: Styles) -> Figure:
    """Mean error against the true turn of the head, with 95 % bands, over the number of faces."""
    yaw = np.abs(dataset.angles_deg[:, 0])
    last = 180.0 if (yaw > 99.0).any() else 100.0
    edges = np.arange(0.0, last + 1.0, 10.0)
    centres = edges[:-1] + 5.0
    masks = [(yaw >= low) & (yaw < low + 10.0) for low in edges[:-1]]
    resampling = statistics.make_resampling(len(yaw), dataset.unit_groups, resamples=500)
    figure = Figure(figsize=(9.0, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1.0))
    for method in dataset.methods:
        columns = np.stack([np.where(mask, method.face_mae_deg, np.nan) for mask in masks], axis=-1)
        answered = np.isfinite(columns).sum(axis=0)
        drawn = answered >= _FEWEST_FACES
        if not drawn.any():
            continue
        sums = np.nansum(columns, axis=0)
        means = np.divide(sums, answered, out=np.full(len(masks), np.nan), where=drawn)
        style = styles[method.spec]
        upper.plot(
            centres[drawn], means[drawn], label=style.label, color=style.colour,
            linestyle=style.dash, marker=style.marker, markersize=5,
        )  # fmt: skip
        if resampling.units >= statistics.FEWEST_UNITS:
            draws = resampling.means(columns[:, drawn])
            low, high = np.nanquantile(draws, [0.025, 0.975], axis=0)
            upper.fill_between(centres[drawn], low, high, color=style.colour, alpha=0.15, lw=0)
    upper.set_ylim(bottom=0.0)
    upper.set_ylabel("mean error, degrees")
    lower.bar(centres, [np.count_nonzero(mask) for mask in masks], width=8.5, color="#9aa7b2")
    lower.set_ylabel("faces")
    lower.set_xlabel("absolute true yaw, degrees")
    lower.set_xlim(0.0, last)
    lower.set_xticks(edges)
    _legend_below(figure, upper, len(dataset.methods))
    return figure


def ced_figure(dataset: DatasetScores, styles: Styles) -> Figure:
    """Share of all faces that a method solves within an error."""
    thresholds = np.linspace(0.0, 30.0, 301)
    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    axes = figure.subplots()
    for method in dataset.methods:
        style = styles[method.spec]
        curve = 100.0 * metrics.ced(dataset.curve_errors_deg(method), thresholds)
        axes.plot(
            thresholds, curve, label=style.label, color=style.colour, linestyle=style.dash,
            marker=style.marker, markevery=50, markersize=5,
        )  # fmt: skip
    kind = "geodesic error" if dataset.has_rotations else "mean error of the labelled angles"
    axes.set_xlabel(f"{kind}, degrees")
    axes.set_ylabel("faces solved within it, %")
    axes.set_xlim(0.0, 30.0)
    axes.set_ylim(0.0, 101.0)
    _legend_below(figure, axes, len(dataset.methods))
    return figure


def runtime_figure(results: list[Json], styles: Styles) -> Figure:
    """Median time per face by stage, with the 95th percentile of the total."""
    timed = [result for result in results if result["runtime_ms"]["total"]["p50"] is not None]
    figure = Figure(figsize=(9.0, 1.3 + 0.55 * len(timed)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(timed))
    start = np.zeros(len(timed))
    for stage, colour in STAGE_COLOURS.items():
        medians = np.array([result["runtime_ms"][stage]["p50"] or 0.0 for result in timed])
        axes.barh(places, medians, left=start, height=0.62, color=colour, label=stage)
        start += medians
    totals = [result["runtime_ms"]["total"] for result in timed]
    slowest = [total["p95"] for total in totals]
    axes.plot(slowest, places, "|", color="black", markersize=14, label="95th percentile")
    for place, total in enumerate(totals):
        axes.annotate(
            f"{words.milliseconds(total['p50'])} ms", (max(total["p95"], start[place]), place),
            xytext=(6, 0), textcoords="offset points", va="center",
        )  # fmt: skip
    axes.set_yticks(places, [styles[result["method_spec"]].label for result in timed])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("milliseconds per face, one at a time (number: median of the total)")
    axes.set_xlim(0.0, 1.15 * max([*slowest, *start]))
    _legend_below(figure, axes, 4)
    return figure


def _legend_below(figure: Figure, axes: Axes, entries: int) -> None:
    handles, names = axes.get_legend_handles_labels()
    longest = max((len(name) for name in names), default=1)
    columns = max(1, min(entries, 110 // (longest + 8)))
    figure.legend(handles, names, loc="outside lower center", ncols=columns)
