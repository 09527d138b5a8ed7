"""Figures of a finished run, one by one: those of its report, for a notebook or a paper."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from hpbench.errors import DataError, UsageError
from hpbench.reports.figures.registry import FIGURES, ReportFigure
from hpbench.spec import suggest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpbench.reports.content import Report, Section

__all__ = ["Plots"]

_BY_PLOT = {figure.plot: figure for figure in FIGURES if figure.plot}


class Plots:
    """Figures of a finished run, as ``results.plot``.

    Every method takes the name of a data set, needed where a run has several, and returns a
    ``matplotlib.figure.Figure``: ``accuracy``, ``errors``, ``ced``, ``by_yaw``, ``heat_map``,
    ``slices``, ``crossed_slices``, ``importance``, ``risk_coverage``, ``calibration``,
    ``runtime``, ``tradeoff``, ``robustness``, ``sweep``.
    They are the figures of the report, with the same colour and line for a method in all of them.

    Examples
    --------
    ::

        results = hpbench.load("runs/first")
        results.plot.by_yaw().savefig("by_yaw.svg")
        results.plot.ced("aflw2000")
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getattr__(self, name: str) -> Callable[..., Figure]:
        if name not in _BY_PLOT:
            raise AttributeError(f"no figure '{name}'; {suggest(name, _BY_PLOT)}")
        return partial(self._draw, _BY_PLOT[name])

    def __dir__(self) -> list[str]:
        return list(_BY_PLOT)

    def _draw(self, figure: ReportFigure, dataset: str | None = None) -> Figure:
        """Draw a figure of a data set.

        Raises
        ------
        UsageError
            If the data set is not in the run, or has to be named.
        DataError
            If the run holds nothing to draw it from.
        """
        from hpbench.reports.figures.static import draw

        section = self._section(dataset)
        shape = figure.make(section)
        if shape is None:
            raise DataError(
                f"{self._folder}: nothing to draw on {section.scores.name}; this figure needs "
                f"{figure.needs}"
            )
        return draw(shape, self._report.styles)

    @cached_property
    def _report(self) -> Report:
        from hpbench.reports.content import load_report

        return load_report(self._folder)

    def _section(self, dataset: str | None) -> Section:
        sections = {section.scores.name: section for section in self._report.sections}
        if dataset is None and len(sections) == 1:
            return next(iter(sections.values()))
        if dataset is None:
            raise UsageError(f"this run has several data sets; name one of {', '.join(sections)}")
        if dataset not in sections:
            raise UsageError(f"no data set '{dataset}' in this run; {suggest(dataset, sections)}")
        return sections[dataset]
