"""Every figure of a report in one entry: what it shows, what it needs, and what draws it.

Both report formats, the saved PNG and SVG files, and ``results.plot`` follow from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hpbench.reports.figures.data import (
    calibration_curves,
    has_error_map,
    has_yaw_line,
    pareto_points,
)
from hpbench.scoring.confidence import risk_coverage

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

    from hpbench.reports.content import Section
    from hpbench.reports.figures.style import MethodStyle

__all__ = ["FIGURES", "ReportFigure"]


@dataclass(frozen=True)
class ReportFigure:
    """One figure.

    Attributes
    ----------
    plot : str
        Method of ``results.plot``; empty for a figure of the page alone.
    needs : str
        What a run must hold, in words; `available` says whether a section holds it.
    data : callable
        From a section to the first argument of the drawing functions.
    static, interactive : str
        Functions of :mod:`hpbench.reports.figures.static` and ``interactive``; empty for none.
    """

    name: str
    plot: str
    caption: str
    needs: str
    available: Callable[[Section], bool]
    data: Callable[[Section], Any]
    static: str = ""
    interactive: str = ""
    in_report: bool = True

    def draw_static(self, section: Section, styles: Mapping[str, MethodStyle]) -> Figure:
        """Draw it with Matplotlib, which is imported now."""
        figure: Figure = self._draw("static", self.static, section, styles)
        return figure

    def draw_interactive(self, section: Section, styles: Mapping[str, MethodStyle]) -> go.Figure:
        """Make it with Plotly, which is imported now."""
        return self._draw("interactive", self.interactive, section, styles)

    def _draw(self, module: str, function: str, section: Section, styles: Any) -> Any:
        drawing = import_module(f"hpbench.reports.figures.{module}")
        return getattr(drawing, function)(self.data(section), styles)


def _predicted(section: Section) -> bool:
    return any(result.images.scored for result in section.results)


_WITHOUT_PREDICTION = (
    "Thin dotted lines, where faces have no prediction: the same with these imputed as frontal."
)

FIGURES: tuple[ReportFigure, ...] = (
    ReportFigure(
        "accuracy", "accuracy", "Mean absolute error of every method, with its 95 % interval.",
        "a predicted face", _predicted, lambda section: section.results, "accuracy_figure",
        in_report=False,
    ),
    ReportFigure(
        "histogram", "errors",
        "Signed errors of each angle. A line that is shifted from zero is a bias, a broad line is "
        "scatter; the outermost bins collect everything beyond the axis.",
        "a predicted face", _predicted, lambda section: section.scores,
        "histogram_figure", "histogram_plot",
    ),
    ReportFigure(
        "ced", "ced",
        "Cumulative error distribution: share of the evaluated faces whose error is at most the "
        "value on the axis. A face without a prediction is never within it, so a curve levels off "
        "at the coverage.",
        "a predicted face", _predicted, lambda section: section.scores, "ced_figure", "ced_plot",
    ),
    ReportFigure(
        "yaw", "by_yaw",
        "Error by yaw: mean of the labelled angles in steps of 10 degrees of absolute "
        "ground-truth yaw, with 95 % bands; steps with fewer than 5 predicted faces are left out. "
        "Below: number of faces.",
        "five predicted faces or more within 10 degrees of labelled yaw",
        lambda section: _predicted(section) and has_yaw_line(section.scores),
        lambda section: section.scores, "error_by_yaw_figure", "yaw_plot",
    ),
    ReportFigure(
        "slices", "slices",
        "Mean error by slice, with 95 % intervals, one panel per factor. The number is that of the "
        "faces; a slice in which a method scored fewer than 20 is hollow. "
        "At most 60 slices are drawn; the table has all.",
        "a factor with two values or more, such as a further column of a table",
        lambda section: _predicted(section) and any(one.slices for one in section.results),
        lambda section: section.results, "forest_figure", "forest_plot",
    ),
    ReportFigure(
        "map", "heat_map",
        "Mean error in cells of 15 degrees of ground-truth yaw and pitch; cells with fewer than 3 "
        "predicted faces are empty. All panels share one colour scale, which is clipped at the "
        "90th percentile.",
        "five predicted faces or more of about the same labelled yaw and pitch",
        lambda section: _predicted(section) and has_error_map(section.scores),
        lambda section: section.scores, "heat_map_figure", "map_plot",
    ),
    ReportFigure(
        "scatter", "",
        "One point per face; the pointer shows the image's name and angles, and the face with its "
        "ground-truth axes (pale) and predicted axes (strong) where images are embedded: red to "
        "the right of the image, green down, blue out of the nose. Of very many faces the hundred "
        "worst and a random sample are shown.",
        "a predicted face with labelled yaw",
        lambda section: _predicted(section) and section.has_yaw, lambda section: section.scores,
        interactive="scatter_plot",
    ),
    ReportFigure(
        "confidence", "risk_coverage",
        "Risk-coverage curve: mean error of the most confident share of the predicted faces. A "
        "curve that rises to the right belongs to a method that knows when it is wrong; a level "
        "one orders faces no better than chance.",
        "a method with a different confidence for different faces, and one for every prediction",
        lambda section: any(map(risk_coverage, section.scores.methods)),
        lambda section: section.scores, "risk_coverage_figure", "risk_coverage_plot",
    ),
    ReportFigure(
        "calibration", "calibration",
        "Calibration: share of the predicted faces whose ground truth lies within the region that "
        "the method claims to hold it with a probability. On the dashed line a claim is true; "
        "below it the method is too sure of itself, above it too careful.",
        "a method that claims a spread in degrees for every prediction",
        lambda section: bool(calibration_curves(section.scores)),
        lambda section: section.scores, "calibration_figure", "calibration_plot",
    ),
    ReportFigure(
        "runtime", "runtime", "Median time per face by stage.", "a timing pass",
        lambda section: any(
            result.runtime_ms["total"].p50 is not None for result in section.results
        ),
        lambda section: section.results, "runtime_figure", "runtime_plot",
    ),
    ReportFigure(
        "pareto", "tradeoff",
        "Mean error against time per face. Methods on the line form the Pareto front. A hollow "
        "marker did not predict every face.",
        "two methods with a timing pass",
        lambda section: len(pareto_points(section.results)) > 1,
        lambda section: section.results, "pareto_figure", "pareto_plot",
    ),
    ReportFigure(
        "robustness", "robustness",
        "Mean error by severity of each corruption, with 95 % intervals. " + _WITHOUT_PREDICTION,
        "a run with corrupt=...", lambda section: bool(section.curves),
        lambda section: section.curves, "level_figure", "level_plot",
    ),
    ReportFigure(
        "sweep", "sweep",
        "Mean error by each swept factor, everything else unchanged, with 95 % intervals: a change "
        "of the error is caused by the factor. " + _WITHOUT_PREDICTION,
        "a data set in which factors are swept", lambda section: bool(section.swept),
        lambda section: section.swept, "level_figure", "level_plot",
    ),
)  # fmt: skip
"""In the order of the report."""
