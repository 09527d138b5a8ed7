"""Interactive figures of the HTML report, drawn by Plotly in the reader's browser.

Every trace carries its method in ``meta``, so that the page's filter can hide it.
Above 400 lines since it is one short function per figure, and all share the same traces.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hpbench.reports import words
from hpbench.reports.figures.data import (
    CLAIMED_LEVELS,
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
from hpbench.reports.tables.robustness import Curve, FactorPoint
from hpbench.reports.tables.worst import predicted_angles
from hpbench.results.results_file import MethodResult
from hpbench.rotation import ANGLES
from hpbench.scoring import metrics
from hpbench.scoring.confidence import risk_coverage
from hpbench.scoring.scores import DatasetScores
from hpbench.scoring.slices import MIN_FACES

__all__ = [
    "calibration_plot", "ced_plot", "forest_plot", "histogram_plot", "level_plot", "map_plot",
    "pareto_plot", "risk_coverage_plot", "runtime_plot", "scatter_plot", "yaw_plot",
]  # fmt: skip

Trace = dict[str, Any]
Styles = Mapping[str, MethodStyle]

_DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
_MARKERS = {
    "o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down",
    "P": "cross", "X": "x",
}  # fmt: skip
MAX_POINTS = 2000
"""Points of one method in a scatter plot; a browser draws no more smoothly."""


def histogram_plot(dataset: DatasetScores, styles: Styles) -> go.Figure:
    """Signed errors of each angle as step lines."""
    shown = [k for k in range(3) if np.isfinite(dataset.angles_deg[:, k]).any()]
    figure = make_subplots(
        1, len(shown), shared_yaxes=True, subplot_titles=[ANGLES[k].capitalize() for k in shown]
    )
    limit = histogram_limit(dataset)
    edges = np.linspace(-limit, limit, 41)
    centres = (edges[:-1] + edges[1:]) / 2.0
    for column, angle in enumerate(shown, start=1):
        for spec, share in error_shares(dataset, angle, edges).items():
            steps = go.Scatter(
                x=_list(centres), y=_list(share), mode="lines",
                hovertemplate="%{x:.1f} degrees: %{y:.1f} %",
                **_line(styles[spec], first=column == 1),
            )  # fmt: skip
            figure.add_trace(steps.update(line_shape="hvh"), row=1, col=column)
    figure.update_xaxes(range=[-limit, limit])
    middle = (len(shown) + 1) // 2  # one title for all panels: three do not fit on a phone
    figure.update_xaxes(title_text="predicted minus ground truth, degrees", col=middle)
    figure.update_yaxes(title_text="share of predicted faces, %", col=1)
    return _finish(figure, 380)


def yaw_plot(dataset: DatasetScores, styles: Styles) -> go.Figure:
    """Mean error by yaw, with 95 % bands and face counts."""
    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.76, 0.24], vertical_spacing=0.05)
    curve = yaw_curve(dataset)
    for spec, line in curve.lines.items():
        style = styles[spec]
        if line.low_deg is not None and line.high_deg is not None:
            # A step without an interval closes the band on the mean, as a gap would cut it off.
            low, high = (
                np.where(np.isfinite(limit), limit, line.mean_deg)
                for limit in (line.low_deg, line.high_deg)
            )
            band = go.Scatter(
                x=_list(np.append(line.yaw_deg, line.yaw_deg[::-1])),
                y=_list(np.append(high, low[::-1])), mode="lines",
                fill="toself", fillcolor=style.colour, opacity=0.15, line={"width": 0},
                hoverinfo="skip", showlegend=False, legendgroup=spec, meta=spec,
            )  # fmt: skip
            figure.add_trace(band, row=1, col=1)
        means = go.Scatter(
            x=_list(line.yaw_deg), y=_list(line.mean_deg), mode="lines+markers",
            hovertemplate="|yaw| about %{x:.0f}: %{y:.2f} degrees", **_line(style),
        )  # fmt: skip
        figure.add_trace(means, row=1, col=1)
    bars = go.Bar(
        x=_list(curve.centres_deg), y=_list(curve.faces), marker_color="#9aa7b2",
        showlegend=False, hovertemplate="%{y} faces<extra></extra>",
    )  # fmt: skip
    figure.add_trace(bars, row=2, col=1)
    figure.update_yaxes(title_text="mean error, degrees", rangemode="tozero", row=1)
    figure.update_yaxes(title_text="faces", row=2)
    figure.update_xaxes(title_text="absolute ground-truth yaw, degrees", row=2)
    return _finish(figure, 460)


def ced_plot(dataset: DatasetScores, styles: Styles) -> go.Figure:
    """Share of all faces within an error."""
    thresholds = np.linspace(0.0, 30.0, 121)
    figure = go.Figure()
    for method in dataset.methods:
        share = 100.0 * metrics.ced(method.curve_errors_deg, thresholds)
        figure.add_scatter(
            x=_list(thresholds), y=_list(share), mode="lines",
            hovertemplate="within %{x:.1f} degrees: %{y:.1f} %", **_line(styles[method.spec]),
        )  # fmt: skip
    figure.update_xaxes(title_text=f"{error_name(dataset)}, degrees", range=[0, 30])
    figure.update_yaxes(title_text="faces within it, %", range=[0, 101])
    return _finish(figure, 420)


def forest_plot(results: Sequence[MethodResult], styles: Styles) -> go.Figure:
    """Mean error of every method in every slice, one panel per factor."""
    panels = forest_rows(results)
    heights = [len(rows) + 1.0 for rows in panels.values()]
    figure = make_subplots(
        len(panels), 1, shared_xaxes=True, row_heights=heights,
        vertical_spacing=min(0.03, 1.5 / (sum(heights) + 10)),
        subplot_titles=[_lines(cut_name(factor)) for factor in panels],
    )  # fmt: skip
    seen: set[str] = set()
    for panel, rows in enumerate(panels.values(), start=1):
        for spec in rows[0].errors:
            shown = [(y, row.errors[spec], row) for y, row in enumerate(rows)]
            shown = [entry for entry in shown if entry[1].mae_deg is not None]
            if not shown:
                continue
            trace = _line(styles[spec], first=spec not in seen)
            seen.add(spec)
            means = [one.mae_deg for _, one, _ in shown]
            limits = [one.interval_95 for _, one, _ in shown]
            symbol = trace["marker"]["symbol"]
            trace["marker"] = trace["marker"] | {
                "color": styles[spec].colour,
                "symbol": [
                    symbol if one.scored >= MIN_FACES else f"{symbol}-open" for _, one, _ in shown
                ],
            }
            trace.update(
                x=means, y=[y + row.offset(spec) for y, _, row in shown], mode="markers",
                error_x={
                    "array": [_gap(m, x and x[1]) for m, x in zip(means, limits, strict=True)],
                    "arrayminus": [_gap(x and x[0], m) for m, x in zip(means, limits, strict=True)],
                },
                text=[
                    f"{html.escape(one.slice)}: {one.mae_deg:.2f} degrees over {one.scored} of "
                    f"{one.faces} faces"
                    for _, one, _ in shown
                ],
                hovertemplate="%{text}",
            )  # fmt: skip
            figure.add_trace(go.Scatter(**trace), row=panel, col=1)
        figure.update_yaxes(
            tickvals=list(range(len(rows))), ticktext=[_lines(row.title) for row in rows],
            range=[len(rows) - 0.4, -0.6], row=panel, col=1,
        )  # fmt: skip
    figure.update_annotations(font_size=13)
    figure.update_xaxes(rangemode="tozero")
    figure.update_xaxes(title_text="mean error, degrees", row=len(panels), col=1)
    figure.update_layout(hovermode="closest")
    _finish(figure, int(160 + 34 * sum(heights)))
    return figure.update_layout(margin_l=150)


def risk_coverage_plot(dataset: DatasetScores, styles: Styles) -> go.Figure:
    """Mean error of the most confident share of the predicted faces."""
    figure = go.Figure()
    for method in dataset.methods:
        curve = risk_coverage(method)
        if curve is not None:
            figure.add_scatter(
                x=_list(100.0 * curve.share), y=_list(curve.error_deg), mode="lines",
                hovertemplate="surest %{x:.0f} %: %{y:.2f} degrees", **_line(styles[method.spec]),
            )  # fmt: skip
    figure.update_xaxes(
        title_text="share of the predicted faces, the most confident first, %", range=[0, 101]
    )
    figure.update_yaxes(title_text="mean error, degrees", rangemode="tozero")
    return _finish(figure, 420)


def calibration_plot(dataset: DatasetScores, styles: Styles) -> go.Figure:
    """Share of the faces within the claimed region, over its claimed probability."""
    figure = go.Figure()
    for spec, shares in calibration_curves(dataset).items():
        figure.add_scatter(
            x=_list(100.0 * CLAIMED_LEVELS), y=_list(100.0 * shares), mode="lines",
            hovertemplate="claimed %{x:.0f} %: %{y:.1f} % of the faces", **_line(styles[spec]),
        )  # fmt: skip
    figure.add_shape(
        type="line", x0=0, y0=0, x1=100, y1=100,
        line={"color": "#555555", "dash": "dash", "width": 1},
    )  # fmt: skip
    figure.update_xaxes(title_text="claimed to hold the ground truth, %", range=[0, 100])
    figure.update_yaxes(title_text="faces for which it does, %", range=[0, 101])
    return _finish(figure, 420)


def scatter_plot(dataset: DatasetScores, styles: Styles) -> go.Figure:
    """One point per face: error over true yaw; the hover text names the image."""
    figure = go.Figure()
    for method in dataset.methods:
        errors = method.curve_errors_deg
        indices = _some_faces(errors)
        style = styles[method.spec]
        predictions = predicted_angles(dataset, method, indices)
        figure.add_scatter(
            x=_list(dataset.angles_deg[indices, 0]), y=_list(errors[indices]), mode="markers",
            name=html.escape(style.label), meta=method.spec, legendgroup=method.spec,
            marker={
                "color": style.colour, "symbol": _MARKERS[style.marker], "size": 6, "opacity": 0.6,
            },
            text=[
                f"<b>{html.escape(str(dataset.image_ids[index]))}</b><br>"
                f"true {_triple(dataset.angles_deg[index])}<br>predicted {_triple(prediction)}"
                for index, prediction in zip(indices, predictions, strict=True)
            ],
            customdata=[str(dataset.image_ids[index]) for index in indices],
            hovertemplate="%{text}<br>off by %{y:.1f} degrees",
        )  # fmt: skip
    figure.update_xaxes(title_text="ground-truth yaw, degrees")
    figure.update_yaxes(title_text=f"{error_name(dataset)}, degrees", rangemode="tozero")
    figure.update_layout(hovermode="closest")
    return _finish(figure, 460)


def _some_faces(errors_deg: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """All predicted faces; of very many the worst hundred and a fixed random choice."""
    predicted = np.flatnonzero(np.isfinite(errors_deg))
    if len(predicted) <= MAX_POINTS:
        return predicted
    worst = predicted[np.argsort(-errors_deg[predicted])[:100]]
    others = np.setdiff1d(predicted, worst)
    chosen = np.random.default_rng(0).choice(others, MAX_POINTS - len(worst), replace=False)
    return np.sort(np.append(worst, chosen))


def _triple(angles_deg: npt.NDArray[np.float64]) -> str:
    shown = [
        f"{name} {value:.1f}"
        for name, value in zip(ANGLES, angles_deg, strict=True)
        if np.isfinite(value)
    ]
    return ", ".join(shown)


def map_plot(dataset: DatasetScores, styles: Styles) -> go.Figure:
    """Mean error over ground-truth yaw and pitch, one panel per method."""
    methods = [method for method in dataset.methods if method.predicted.any()]
    columns = min(2, len(methods))  # three are too narrow to read on a phone
    rows = -(-len(methods) // columns)
    figure = make_subplots(
        rows, columns, shared_xaxes=True, shared_yaxes=True,
        subplot_titles=[_lines(styles[method.spec].label) for method in methods],
    )  # fmt: skip
    maps = [error_map(dataset, method) for method in methods]
    for index, (method, one) in enumerate(zip(methods, maps, strict=True)):
        heat = go.Heatmap(
            x=_list((one.yaw_edges[:-1] + one.yaw_edges[1:]) / 2),
            y=_list((one.pitch_edges[:-1] + one.pitch_edges[1:]) / 2),
            z=[_list(row) for row in one.mean_deg],
            customdata=[_list(row) for row in one.faces],
            coloraxis="coloraxis", meta=method.spec,
            hovertemplate="yaw %{x:.0f}, pitch %{y:.0f}: %{z:.1f} degrees over %{customdata} faces"
            "<extra></extra>",
        )  # fmt: skip
        figure.add_trace(heat, row=1 + index // columns, col=1 + index % columns)
    figure.update_layout(
        coloraxis={
            "colorscale": "Viridis", "cmin": 0, "cmax": highest_shown(maps),
            "colorbar": {"title": "degrees", "thickness": 14},
        }
    )  # fmt: skip
    for index in range(len(methods) - columns, len(methods)):  # the lowest of each column
        row, col = 1 + index // columns, 1 + index % columns
        figure.update_xaxes(
            title_text="ground-truth yaw, degrees", showticklabels=True, row=row, col=col
        )
    figure.update_yaxes(title_text="ground-truth pitch, degrees", col=1)
    lines = max(_lines(styles[method.spec].label).count("<br>") for method in methods)
    _finish(figure, 100 + 260 * rows + 18 * lines)
    return figure.update_layout(margin_t=40 + 18 * lines)


def runtime_plot(results: Sequence[MethodResult], styles: Styles) -> go.Figure:
    """Median time per face by stage."""
    timed = [one for one in results if one.runtime_ms["total"].p50 is not None]
    names = [_lines(styles[one.method_spec].label) for one in timed]
    figure = go.Figure()
    for stage, colour in STAGE_COLOURS.items():
        medians = [one.runtime_ms[stage].p50 for one in timed]
        if any(medians):
            figure.add_bar(
                y=names, x=medians, orientation="h", name=stage, marker_color=colour,
                hovertemplate="%{x:.3g} ms",
            )  # fmt: skip
    figure.add_scatter(
        y=names, x=[one.runtime_ms["total"].p95 for one in timed], mode="markers",
        name="95th percentile", hovertemplate="%{x:.3g} ms",
        marker={"symbol": "line-ns-open", "size": 16, "color": "#000000"},
    )  # fmt: skip
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title_text="milliseconds per face, one at a time")
    figure.update_yaxes(autorange="reversed")
    return _finish(figure, 160 + 50 * len(timed))


def pareto_plot(results: Sequence[MethodResult], styles: Styles) -> go.Figure:
    """Mean error against time per face; the line is the Pareto front."""
    points = pareto_points(results)
    best = [point for point in points if point.best]
    figure = go.Figure(
        go.Scatter(
            x=[point.total_ms for point in best], y=[point.error_deg for point in best],
            mode="lines", line={"shape": "hv", "color": "#9aa7b2"}, hoverinfo="skip",
            showlegend=False,
        )
    )  # fmt: skip
    for point in points:
        style = styles[point.method]
        symbol = _MARKERS[style.marker] + ("" if point.coverage == 1.0 else "-open")
        figure.add_scatter(
            x=[point.total_ms], y=[point.error_deg], mode="markers", meta=point.method,
            name=html.escape(style.label), legendgroup=point.method,
            marker={"size": 13, "color": style.colour, "symbol": symbol},
            hovertemplate=f"%{{x:.3g}} ms, %{{y:.2f}} degrees, "
            f"{words.percent(point.coverage)} predicted",
        )  # fmt: skip
    figure.update_xaxes(
        title_text="milliseconds per face, one at a time", type="log",
        tickvals=_decades([point.total_ms for point in points]),
    )  # fmt: skip
    figure.update_yaxes(title_text="mean error on common faces, degrees", rangemode="tozero")
    return _finish(figure, 420)


def _decades(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 of every power of ten that values lie in; Plotly writes 2 and 5 without it."""
    low, high = (int(np.floor(np.log10(limit))) for limit in (min(values), max(values)))
    return [
        float(f"{digit}e{power}")
        for power in range(low, high + 1)
        for digit in ((1, 2, 5) if high - low < 2 else (1,))
    ]


def level_plot(curves: Sequence[Curve], styles: Styles) -> go.Figure:
    """Error by swept factor, one panel per curve, with 95 % intervals as bars."""
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    titles = [
        html.escape(curve.name) + (f"<br>({html.escape(curve.unit)})" if curve.unit else "")
        for curve in curves
    ]
    figure = make_subplots(
        rows, columns, shared_yaxes="all", subplot_titles=titles, vertical_spacing=0.25 / rows
    )
    figure.update_annotations(font_size=13)
    for index, curve in enumerate(curves):
        for spec, points in curve.points.items():
            trace = _line(styles[spec], first=index == 0)
            limits = [point.interval_95_deg for point in points]
            means = [point.mae_deg for point in points]
            trace.update(
                x=curve.positions or curve.levels, y=means, mode="lines+markers",
                error_y={
                    "array": [_gap(m, x and x[1]) for m, x in zip(means, limits, strict=True)],
                    "arrayminus": [_gap(x and x[0], m) for m, x in zip(means, limits, strict=True)],
                },
                hovertemplate="%{x}: %{y:.2f} degrees",
            )  # fmt: skip
            row, column = 1 + index // columns, 1 + index % columns
            figure.add_trace(go.Scatter(**trace), row=row, col=column)
            if any(point.no_answer for point in points):
                figure.add_trace(_with_frontal(trace, points), row=row, col=column)
            figure.update_xaxes(
                type="linear" if curve.positions else "category", row=row, col=column
            )
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title_text="mean error, degrees", col=1)
    _finish(figure, 140 + 260 * rows)
    return figure.update_layout(margin_t=70)


def _with_frontal(trace: Trace, points: Sequence[FactorPoint]) -> go.Scatter:
    """A thin dotted line beside that of the predicted faces: the others count as frontal heads."""
    return go.Scatter(
        x=trace["x"], y=[point.mae_missing_as_frontal_deg for point in points],
        name=trace["name"], meta=trace["meta"], legendgroup=trace["legendgroup"],
        showlegend=False, mode="lines+markers",
        line={"color": trace["line"]["color"], "dash": "dot", "width": 1},
        marker={"symbol": f"{trace['marker']['symbol']}-open", "size": 5},
        hovertemplate="%{x}: %{y:.2f} degrees, missing predictions as frontal",
    )  # fmt: skip


def _gap(low: float | None, high: float | None) -> float | None:
    return None if low is None or high is None else high - low


def _line(style: MethodStyle, first: bool = True) -> Trace:
    """What all lines of a method have in common; only the first of a figure is in the legend."""
    return {
        "name": html.escape(style.label), "meta": style.spec, "legendgroup": style.spec,
        "showlegend": first,
        "line": {"color": style.colour, "dash": _DASHES[style.dash], "width": 2},
        "marker": {"symbol": _MARKERS[style.marker], "size": 7},
    }  # fmt: skip


def _list(values: npt.NDArray[Any]) -> list[float | None]:
    """Numbers for JSON, to a thousandth; NaN is a gap."""
    return [round(float(v), 3) if np.isfinite(v) else None for v in values]


def _lines(label: str) -> str:
    """Name of a method where it has little room, as Plotly's kind of HTML."""
    return "<br>".join(html.escape(line) for line in words.wrapped(label, 20))


def _finish(figure: go.Figure, height: int) -> go.Figure:
    figure.update_layout(
        template="plotly_white", height=height, margin={"l": 60, "r": 20, "t": 40, "b": 90},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        font={"size": 13},
    )  # fmt: skip
    return figure
