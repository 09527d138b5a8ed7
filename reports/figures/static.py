"""Still figures: every shape drawn with Matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, singledispatch
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from hpbench.reports import words
from hpbench.reports.figures.shapes import (
    Axis,
    BarPlot,
    HeatPanel,
    HeatPlot,
    Line,
    LinePlot,
    Panel,
    Shape,
)
from hpbench.reports.figures.style import FURTHER, MethodStyle, split

__all__ = ["ShownFigure", "draw", "render", "start_rendering"]

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
_WIDTH_INCH = 9.0
_MAX_INTERVALS = 6
"""With more lines, bands are not told apart any more."""

_REFERENCE = "#9aa7b2"


class ShownFigure(Figure):
    """A figure that a notebook shows without ``%matplotlib`` or pyplot."""

    def _repr_png_(self) -> bytes:
        stream = BytesIO()
        self.savefig(stream, format="png", dpi=90)
        return stream.getvalue()


def draw(shape: Shape, styles: Styles) -> Figure:
    """Draw a shape in the report's look."""
    with mpl.rc_context(_LOOK):
        return _draw(shape, styles)


def render(shape: Shape, styles: Styles, kind: str) -> bytes:
    """Draw a shape in the report's look; what a ``png`` or ``svg`` file of it holds."""
    stream = BytesIO()
    with mpl.rc_context(_LOOK):
        figure = _draw(shape, styles)
        # Figure.savefig would draw everything once more to find out its size.
        if kind == "svg":
            figure.set_dpi(72)
            FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None})  # type: ignore[no-untyped-call]
        else:
            figure.set_dpi(150)
            FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return stream.getvalue()


def start_rendering(styles: Styles, kind: str) -> Callable[[Shape], bytes]:
    """What :class:`hpbench.inference.worker_processes.WorkerPool` needs to draw in processes."""
    return partial(render, styles=styles, kind=kind)


@singledispatch
def _draw(shape: Shape, styles: Styles) -> Figure:
    raise TypeError(f"no still figure of {type(shape).__name__}")


# --- lines ------------------------------------------------------------------------------------


@_draw.register
def _lines(shape: LinePlot, styles: Styles) -> Figure:
    specs = list(dict.fromkeys(spec for panel in shape.panels for spec in panel.lines))
    named, further = split(specs, styles, shape.most)
    legend = _Legend(named, further, styles)
    stacked = shape.columns == 1
    left = 0.75
    if shape.in_rows:
        left = _words_inch(
            name for panel in shape.panels for name in (panel.y.ticks or {}).values()
        )
    figure, axes = _grid(
        [panel.height_inch for panel in shape.panels], shape.columns, left=left, right=0.25,
        top=0.3 if shape.panels[0].title else 0.12,
        gap_x=0.2, gap_y=0.62 if not stacked else 0.32 if shape.in_rows else 0.15,
        bottom=0.55 + legend.height_inch, share=True,
    )  # fmt: skip
    for place, panel in zip(axes, shape.panels, strict=True):
        _panel(place, panel, shape, styles, named, further)
    for place, panel in zip(axes, shape.panels, strict=True):
        # after all panels: it ends the search for common ends
        place.set_xlim(panel.x.low, panel.x.high)
        place.set_ylim(panel.y.low, panel.y.high)
    legend.draw(figure, lines=shape.look in ("lines", "steps"))
    return figure


def _grid(
    heights_inch: Sequence[float], columns: int, *, left: float, right: float, top: float,
    gap_x: float, gap_y: float, bottom: float, share: bool,
) -> tuple[Figure, list[Axes]]:  # fmt: skip
    """A figure with panels row by row, each as high as given, and margins in inches.

    Matplotlib's layout engines would take longer to find the margins than to draw the figure.
    Shared are the x axes of a single column, and the y axes of several.
    """
    rows = [
        max(heights_inch[start : start + columns]) for start in range(0, len(heights_inch), columns)
    ]
    height = top + sum(rows) + gap_y * (len(rows) - 1) + bottom
    width = (_WIDTH_INCH - left - right - gap_x * (columns - 1)) / columns
    figure = ShownFigure(figsize=(_WIDTH_INCH, height))
    axes: list[Axes] = []
    for index in range(len(heights_inch)):
        row, column = divmod(index, columns)
        x = left + column * (width + gap_x)
        y = height - top - sum(rows[: row + 1]) - gap_y * row
        shared: dict[str, Any] = (
            {} if not axes or not share else {"sharex" if columns == 1 else "sharey": axes[0]}
        )
        place = (x / _WIDTH_INCH, y / height, width / _WIDTH_INCH, rows[row] / height)
        axes.append(figure.add_axes(place, **shared))
    return figure, axes


def _words_inch(names: Iterable[str]) -> float:
    """Room for names at the left of a panel."""
    longest = max((len(line) for name in names for line in _wrapped(name).splitlines()), default=0)
    return 0.3 + 0.085 * longest


def _panel(
    axes: Axes, panel: Panel, shape: LinePlot, styles: Styles, named: Sequence[str],
    further: Sequence[str],
) -> None:  # fmt: skip
    if panel.bars is not None:
        width = 0.85 * float(np.diff(panel.bars[:, 0]).min(initial=10.0))
        axes.bar(panel.bars[:, 0], panel.bars[:, 1], width=width, color=_REFERENCE)
    if panel.reference is not None:
        axes.plot(*panel.reference.T, color=_REFERENCE, linewidth=1.2, zorder=1)
    if shape.look == "steps":
        axes.axvline(0.0, color="#555555", linewidth=0.8)
    for spec in further:
        if spec in panel.lines:
            _further_line(axes, panel.lines[spec], shape)
    shown = [spec for spec in named if spec in panel.lines]
    for spec in shown:
        line, style = panel.lines[spec], styles[spec]
        if shape.in_rows:
            offset = 0.7 * ((named.index(spec) + 0.5) / len(named) - 0.5)
            if shape.look == "bars":
                axes.barh(
                    line.y + offset, line.x, height=0.6 / len(named), color=style.colour, alpha=0.4
                )
            _row_points(axes, line, style, offset)
        elif shape.look == "points":
            _markers(axes, line, line.y, style, size=9.0)
        else:
            _one_line(axes, line, style, shape, interval=len(named) <= _MAX_INTERVALS)
    if panel.title:
        rows = shape.in_rows
        axes.set_title(panel.title, fontsize=10, loc="left" if rows else "center")
    if shape.in_rows:
        axes.grid(visible=False, axis="y")
    if shape.look == "points":
        axes.margins(x=0.25)
    _set_axis(axes, panel.x, "x")
    _set_axis(axes, panel.y, "y")
    varied = len({one.x.title for one in shape.panels}) > 1
    _outer_words(axes, shape.panels.index(panel), shape.columns, len(shape.panels), varied)
    if shape.columns > 1 and panel.x.ticks is None:
        axes.xaxis.set_major_locator(MaxNLocator(5, prune="both"))


def _outer_words(axes: Axes, index: int, columns: int, panels: int, varied: bool = True) -> None:
    """Keep the words of a shared axis at the outer panels, equal x titles at the middle one."""
    if columns == 1 and index < panels - 1:
        axes.set_xlabel("")
        axes.tick_params(labelbottom=False)
    if index % columns:
        axes.set_ylabel("")
        axes.tick_params(labelleft=False)
    if columns > 1 and index % columns != min(columns, panels) // 2 and not varied:
        axes.set_xlabel("")


def _one_line(axes: Axes, line: Line, style: MethodStyle, shape: LinePlot, interval: bool) -> None:
    look: dict[str, Any] = {"color": style.colour, "linestyle": style.dash}
    if shape.look == "steps":
        axes.plot(line.x, line.y, drawstyle="steps-mid", **look)
        return
    few = len(line.x) <= 30
    axes.plot(
        line.x, line.y, marker=style.marker, markersize=5, markevery=1 if few else 0.1, **look
    )
    if interval and line.low is not None and line.high is not None:
        axes.fill_between(line.x, line.low, line.high, color=style.colour, alpha=0.15, lw=0)
    if line.frontal is not None:
        axes.plot(
            line.x, line.frontal, color=style.colour, lw=1.0, linestyle=":", marker=style.marker,
            markersize=3, fillstyle="none",
        )  # fmt: skip


def _further_line(axes: Axes, line: Line, shape: LinePlot) -> None:
    if shape.in_rows or shape.look == "points":
        marker = FURTHER.marker if shape.in_rows else "."
        axes.plot(line.x, line.y, marker, color=FURTHER.colour, markersize=8, mew=1.5, zorder=0.5)
        return
    steps: Any = "steps-mid" if shape.look == "steps" else "default"
    axes.plot(line.x, line.y, color=FURTHER.colour, lw=0.7, zorder=0.5, drawstyle=steps)


def _row_points(axes: Axes, line: Line, style: MethodStyle, offset: float) -> None:
    """Markers in rows with their intervals, moved so that no method covers another."""
    y = line.y + offset
    if line.low is not None and line.high is not None:
        axes.hlines(y, line.low, line.high, color=style.colour, linewidth=1.4)
    _markers(axes, line, y, style, size=5.0)


def _markers(axes: Axes, line: Line, y: Any, style: MethodStyle, size: float) -> None:
    hollow = np.zeros(len(line.x), dtype=bool) if line.hollow is None else line.hollow
    for chosen, fill in ((hollow, "white"), (~hollow, style.colour)):
        if chosen.any():
            axes.plot(
                line.x[chosen], y[chosen], marker=style.marker, markersize=size, linestyle="none",
                color=fill, markeredgecolor=style.colour, markeredgewidth=1.4,
                clip_on=False, zorder=3,  # else the axis cuts a marker at 0 in half
            )  # fmt: skip


def _set_axis(axes: Axes, axis: Axis, name: str) -> None:
    whole = axes.xaxis if name == "x" else axes.yaxis
    whole.set_label_text(axis.title)
    if axis.log:
        (axes.set_xscale if name == "x" else axes.set_yscale)("log")
        whole.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        whole.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        whole.set_minor_formatter(NullFormatter())
    if axis.ticks is not None:
        whole.set_ticks(list(axis.ticks), [_wrapped(one) for one in axis.ticks.values()])


class _Legend:
    """Names below a figure, and how much room they take."""

    def __init__(self, named: Sequence[str], further: Sequence[str], styles: Styles) -> None:
        self._styles = [styles[spec] for spec in named]
        self._names = [style.label for style in self._styles]
        if further:
            self._styles.append(FURTHER)
            self._names.append(f"{len(further)} further method{'s' * (len(further) > 1)}")
        longest = max((len(name) for name in self._names), default=1)
        self._columns = max(1, min(len(self._names), 110 // (longest + 8)))
        self.height_inch = 0.1 + 0.2 * -(-len(self._names) // self._columns)

    def draw(self, figure: Figure, lines: bool) -> None:
        handles = []
        for style in self._styles:
            look: dict[str, Any] = {"linestyle": style.dash if lines else "none", "markersize": 5}
            if style.named or not lines:
                look["marker"] = style.marker
            handles.append(
                Line2D([], [], color=style.colour, linewidth=1.8 if style.named else 0.7, **look)
            )
        figure.legend(handles, self._names, loc="lower center", ncols=self._columns)


# --- bars -------------------------------------------------------------------------------------


@_draw.register
def _bars(shape: BarPlot, styles: Styles) -> Figure:
    specs = list(shape.texts)
    names = [_wrapped(styles[spec].label) for spec in specs]
    pitch = 0.32 if max(name.count("\n") for name in names) == 0 else 0.5
    figure, (axes,) = _grid(
        [max(1.1, pitch * len(specs) + 0.1)], 1,
        left=_words_inch(names), right=0.2, top=0.12, gap_x=0.0,
        gap_y=0.0, bottom=0.9 if shape.mark_name else 0.55, share=False,
    )  # fmt: skip
    rows = np.arange(len(specs))
    ends = np.zeros(len(specs))
    for part, lengths in shape.parts.items():
        values = np.array([lengths[spec] for spec in specs])
        colours = shape.colours.get(part) or [styles[spec].colour for spec in specs]
        axes.barh(
            rows, values, left=ends, height=0.65, color=colours, label=part,
            alpha=1.0 if part in shape.colours else 0.75,
        )  # fmt: skip
        ends += values
    for y, spec in enumerate(specs):
        if spec in shape.limits:
            axes.plot(shape.limits[spec], [y, y], color="black", linewidth=1.4)
    marked = [y for y, spec in enumerate(specs) if spec in shape.marks]
    if marked:
        marks = [shape.marks[specs[y]] for y in marked]
        axes.plot(marks, marked, "|", color="black", markersize=12, label=shape.mark_name)
        ends[marked] = np.maximum(ends[marked], marks)
    for y, spec in enumerate(specs):
        right = max(ends[y], shape.limits.get(spec, (0.0, 0.0))[1])
        axes.annotate(
            shape.texts[spec], (right, y), xytext=(6, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(rows, names)
    axes.set_ylim(len(specs) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.18)
    axes.set_xlabel(shape.x.title)
    axes.set_xlim(left=shape.x.low)
    if shape.mark_name:
        figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=5)
    return figure


def _wrapped(label: str) -> str:
    """Name of a method where it has little room."""
    return "\n".join(words.wrapped(label, 32))


# --- heat -------------------------------------------------------------------------------------


@_draw.register
def _heat(shape: HeatPlot, styles: Styles) -> Figure:
    drawn = [
        (panel, spec)
        for panel in shape.panels
        for spec in split(panel.values, styles, shape.most)[0]
    ]
    beside, below = (
        _words_inch(name for axis in axes_of for name in (axis.ticks or {}).values())
        for axes_of in zip(*((panel.y, panel.x) for panel in shape.panels), strict=True)
    )
    columns = min(3, len(drawn))
    left, gap_x, gap_y, bottom = 0.75, 0.2, 0.3, 0.6
    if shape.written:
        columns = max(1, min(columns, int(8.0 / (beside + 1.6))))
        bottom = 0.2 + 0.5 * below  # words at 30 degrees
        left, gap_x, gap_y = beside + 0.2, beside, bottom
    titles = [
        "\n".join(filter(None, [panel.title, _wrapped(styles[spec].label)]))
        for panel, spec in drawn
    ]
    above = 0.1 + 0.16 * max(title.count("\n") + 1 for title in titles)
    figure, axes = _grid(
        [1.9] * len(drawn), columns, left=left, right=1.0, top=above, gap_x=gap_x,
        gap_y=above + gap_y, bottom=bottom, share=False,
    )  # fmt: skip
    for index, (place, title, (panel, spec)) in enumerate(zip(axes, titles, drawn, strict=True)):
        _heat_panel(place, panel, spec, shape)
        place.set_title(title, fontsize=9)
        if not shape.written:
            _outer_words(place, index, columns, len(drawn))
            if index < len(drawn) - columns:
                place.set_xlabel("")
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0.0, shape.highest), "viridis")
    height = figure.get_figheight()
    place_of_bar = (1.0 - 0.8 / _WIDTH_INCH, bottom / height, 0.17 / _WIDTH_INCH, 1.9 / height)
    bar = figure.add_axes(place_of_bar)
    figure.colorbar(scale, cax=bar, extend="max").set_label("mean error, degrees")
    return figure


def _heat_panel(axes: Axes, panel: HeatPanel, spec: str, shape: HeatPlot) -> None:
    values = panel.values[spec]
    axes.pcolormesh(
        panel.x_edges, panel.y_edges, values, cmap="viridis", vmin=0.0, vmax=shape.highest
    )
    axes.grid(visible=False)
    axes.set_facecolor("#f0f0f0")
    _set_axis(axes, panel.x, "x")
    _set_axis(axes, panel.y, "y")
    if not shape.written:
        return
    for name in axes.get_xticklabels():
        name.set(rotation=30, ha="right", rotation_mode="anchor")
    x, y = ((edges[:-1] + edges[1:]) / 2.0 for edges in (panel.x_edges, panel.y_edges))
    for row, column in np.argwhere(np.isfinite(values)):
        value = float(values[row, column])
        axes.text(
            x[column], y[row], f"{value:.1f}", ha="center", va="center", fontsize=8,
            color="black" if value > 0.6 * shape.highest else "white",
        )  # fmt: skip
