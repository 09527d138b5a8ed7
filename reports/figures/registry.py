"""Every figure of a report in one entry: what it shows, what it needs, and what draws it.

Both report formats, the saved PNG and SVG files, and ``results.plot`` follow from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpbench.reports.figures import data
from hpbench.reports.figures.shapes import Shape

if TYPE_CHECKING:
    from hpbench.reports.content import Section

__all__ = ["FIGURES", "ReportFigure", "still_figures"]


@dataclass(frozen=True)
class ReportFigure:
    """One figure.

    Attributes
    ----------
    name : str
        In file names and in the template of the report.
    plot : str
        Method of ``results.plot``; empty for a figure of the page alone.
    caption : str
    needs : str
        What a run must hold, in words.
    make : callable
        From a section to what is drawn; None where the section does not hold it.
    in_report : bool
        False for a figure of ``results.plot`` alone.
    in_short : bool
        Whether ``report.md`` shows it of many data sets, too.
    """

    name: str
    plot: str
    caption: str
    needs: str
    make: Callable[[Section], Shape | None]
    in_report: bool = True
    in_short: bool = False


_WITHOUT_PREDICTION = "Thin dotted lines: the same with missing predictions imputed as frontal."

_FEW = " where 6 methods or fewer are drawn"

FIGURES: tuple[ReportFigure, ...] = (
    ReportFigure(
        "accuracy", "accuracy", "Mean absolute error of every method, with its 95 % interval.",
        "a predicted face", lambda section: data.accuracy(section.results), in_report=False,
    ),
    ReportFigure(
        "histogram", "errors",
        "Signed errors of each angle. A line that is shifted from zero is a bias, a broad line is "
        "scatter; the outermost bins collect everything beyond the axis.",
        "a predicted face", lambda section: data.histogram(section.scores),
    ),
    ReportFigure(
        "ced", "ced",
        "Cumulative error distribution: share of the evaluated faces whose error is at most the "
        "value on the axis. A face without a prediction is never within it, so a curve levels off "
        "at the coverage.",
        "a predicted face", lambda section: data.ced(section.scores), in_short=True,
    ),
    ReportFigure(
        "yaw", "by_yaw",
        "Error by yaw: mean of the labelled angles in steps of 10 degrees of absolute "
        "ground-truth yaw, with 95 % bands" + _FEW + "; steps with fewer than 5 predicted faces "
        "are left out. Below: number of faces.",
        "five predicted faces or more within 10 degrees of labelled yaw",
        lambda section: data.errors_by_yaw(section.scores), in_short=True,
    ),
    ReportFigure(
        "importance", "importance",
        "Factors that explain where methods fail: share of the differences between the errors of "
        "faces that each explains, on faces that the model has not seen. Hollow: not more than "
        "chance.",
        "a factor that matters", lambda section: data.importance(section.results),
    ),
    ReportFigure(
        "slices", "slices",
        "Mean error by slice, with 95 % intervals, one panel per factor. The number is that of the "
        "faces; a slice in which a method scored fewer than 20 is hollow. Of more than 6 methods "
        "the best are named, the others are grey ticks. "
        "At most 60 slices are drawn; the table has all.",
        "a factor with two values or more, such as a further column of a table",
        lambda section: data.forest(section.sliced),
    ),
    ReportFigure(
        "crossed", "crossed_slices",
        "Mean error in degrees over two crossed factors; cells in which a method scored fewer than "
        "20 faces are empty. At most 6 methods are drawn, the best ones.",
        "two crossed factors, such as by=camera*light, with a slice of 20 scored faces or more",
        lambda section: data.crossed_slices(section.results),
    ),
    ReportFigure(
        "map", "heat_map",
        "Mean error in cells of 15 degrees of ground-truth yaw and pitch; cells with fewer than 3 "
        "predicted faces are empty. All panels share one colour scale, which is clipped at the "
        "90th percentile. At most 6 methods are drawn, the best ones.",
        "three predicted faces or more of about the same labelled yaw and pitch",
        lambda section: data.error_maps(section.scores),
    ),
    ReportFigure(
        "scatter", "",
        "One point per face; the pointer shows the image's name and angles, and the face with its "
        "ground-truth axes (pale) and predicted axes (strong) where images are embedded: red to "
        "the right of the image, green down, blue out of the nose. Of very many faces the "
        "worst and a random sample are shown.",
        "a predicted face with labelled yaw", lambda section: data.faces(section.scores),
    ),
    ReportFigure(
        "confidence", "risk_coverage",
        "Risk-coverage curve: mean error of the most confident share of the predicted faces. A "
        "curve that rises to the right belongs to a method that knows when it is wrong; a level "
        "one orders faces no better than chance.",
        "a method with a different confidence for different faces, and one for every prediction",
        lambda section: data.confidence(section.scores),
    ),
    ReportFigure(
        "calibration", "calibration",
        "Calibration: share of the predicted faces whose ground truth lies within the region that "
        "the method claims to hold it with a probability. On the grey line a claim is true; below "
        "it the method is too sure of itself, above it too careful.",
        "a method that claims a spread in degrees for every prediction",
        lambda section: data.calibration(section.scores),
    ),
    ReportFigure(
        "runtime", "runtime", "Median time per face by stage.", "a timing pass",
        lambda section: data.runtime(section.results),
    ),
    ReportFigure(
        "pareto", "tradeoff",
        "Mean error against time per face. Methods on the line form the Pareto front. A hollow "
        "marker did not predict every face.",
        "two methods with a timing pass", lambda section: data.pareto(section.results),
    ),
    ReportFigure(
        "robustness", "robustness",
        "Mean error by severity of each corruption, with 95 % intervals" + _FEW + ". "
        + _WITHOUT_PREDICTION,
        "a run with corrupt=...", lambda section: data.levels(section.curves),
    ),
    ReportFigure(
        "sweep", "sweep",
        "Mean error by each swept factor, everything else unchanged, with 95 % intervals" + _FEW
        + ": a change of the error is caused by the factor. " + _WITHOUT_PREDICTION,
        "a data set in which factors are swept", lambda section: data.levels(section.swept),
    ),
)  # fmt: skip
"""In the order of the report."""


def still_figures(section: Section, in_short: bool = False) -> list[ReportFigure]:
    """Figures of the report that can be drawn on paper and that the results are enough for."""
    return [
        one
        for one in FIGURES
        if one.plot and one.name in section.shapes and (one.in_short or not in_short)
    ]
