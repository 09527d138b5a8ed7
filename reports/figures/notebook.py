"""Figures of a finished run, one by one: those of its report, for a notebook or a paper."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from hpbench.errors import DataError, UsageError
from hpbench.spec import suggest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpbench.reports.content import Content, Section

__all__ = ["Plots"]

_NEEDS = {
    "histogram": "a face that was predicted",
    "ced": "a face that was predicted",
    "yaw": "five predicted faces or more within 10 degrees of labelled yaw",
    "map": "five predicted faces or more of about the same labelled yaw and pitch",
    "runtime": "a timing pass",
    "pareto": "two methods with a timing pass",
    "robustness": "a run with corrupt=...",
    "sweep": "a data set in which factors are swept",
}
"""What a figure of a report is drawn from, by its name there."""


class Plots:
    """Figures of a finished run, as ``results.plot``.

    Every method draws one data set: the only one of the run, or the one that is named. The
    figures are those of the report: the same colour and line for a method in all of them. A
    notebook shows them as they are; ``figure.savefig("name.svg")`` writes one.

    Parameters
    ----------
    folder : Path
        A run folder.

    Examples
    --------
    ::

        results = hpbench.load("runs/first")
        results.plot.by_yaw().savefig("by_yaw.svg")
        results.plot.ced("aflw2000")
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def accuracy(self, dataset: str | None = None) -> Figure:
        """Mean absolute error of every method in degrees, with its 95 % interval.

        Parameters
        ----------
        dataset : str, optional
            Name of a data set of the run; needed where it has several.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        UsageError
            If the data set is not in the run, or has to be named.
        DataError
            If the run holds nothing to draw it from; so for all figures.
        """
        from hpbench.reports.figures.static import accuracy_figure, drawn

        section = self._section(dataset)
        if all(one.mae_deg.mean is None for one in section.results):
            raise DataError(f"{self._folder}: no method predicted a face of {section.scores.name}")
        return drawn(partial(accuracy_figure, section.results, self._content.styles))

    def errors(self, dataset: str | None = None) -> Figure:
        """Histograms of the signed errors of yaw, pitch and roll, all methods overlaid."""
        return self._figure("histogram", dataset)

    def ced(self, dataset: str | None = None) -> Figure:
        """Cumulative error distribution: share of faces that are solved within an error."""
        return self._figure("ced", dataset)

    def by_yaw(self, dataset: str | None = None) -> Figure:
        """Mean error against the true turn of the head, with 95 % bands."""
        return self._figure("yaw", dataset)

    def heat_map(self, dataset: str | None = None) -> Figure:
        """Mean error over true yaw and pitch."""
        return self._figure("map", dataset)

    def runtime(self, dataset: str | None = None) -> Figure:
        """Milliseconds per face by stage."""
        return self._figure("runtime", dataset)

    def tradeoff(self, dataset: str | None = None) -> Figure:
        """Mean error against milliseconds per face."""
        return self._figure("pareto", dataset)

    def robustness(self, dataset: str | None = None) -> Figure:
        """Error against the level of every corruption of the run."""
        return self._figure("robustness", dataset)

    def sweep(self, dataset: str | None = None) -> Figure:
        """Error against every factor that rendered images are swept over."""
        return self._figure("sweep", dataset)

    @cached_property
    def _content(self) -> Content:
        from hpbench.reports.content import gather

        return gather(self._folder)

    def _section(self, dataset: str | None) -> Section:
        sections = {section.scores.name: section for section in self._content.sections}
        if dataset is None and len(sections) == 1:
            return next(iter(sections.values()))
        if dataset is None:
            raise UsageError(f"this run has several data sets; name one of {', '.join(sections)}")
        if dataset not in sections:
            raise UsageError(f"no data set '{dataset}' in this run; {suggest(dataset, sections)}")
        return sections[dataset]

    def _figure(self, name: str, dataset: str | None) -> Figure:
        from hpbench.reports.figures.static import drawn
        from hpbench.reports.report import section_figures

        section = self._section(dataset)
        drawings = section_figures(self._content, section)
        if name not in drawings:
            raise DataError(
                f"{self._folder}: nothing to draw on {section.scores.name}; "
                f"this figure needs {_NEEDS[name]}"
            )
        return drawn(drawings[name])
