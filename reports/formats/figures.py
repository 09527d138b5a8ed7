"""Still figures of a report as files: PNG for ``report.md``, SVG for papers."""

from __future__ import annotations

from pathlib import Path

from hpbench.inference.worker_processes import each_result
from hpbench.reports.content import Report
from hpbench.reports.figures.registry import still_figures
from hpbench.reports.figures.static import start_rendering

__all__ = ["draw_figures", "write_svg"]

_MIN_TO_SHARE = 24
"""Figures for which processes pay that need a second to start."""


def write_svg(report: Report) -> Path:
    """Write the figures as SVG and return their folder."""
    return draw_figures(report, "svg")


def draw_figures(report: Report, kind: str, in_short: bool = False) -> Path:
    """Draw the figures of all data sets, many of them in several processes."""
    folder = report.folder / "figures"
    folder.mkdir(exist_ok=True)
    shapes = {
        folder / f"{section.key}_{figure.name}.{kind}": section.shapes[figure.name]
        for section in report.sections
        for figure in still_figures(section, in_short)
    }
    calls = [(shape,) for shape in shapes.values()]
    many = len(calls) >= _MIN_TO_SHARE
    drawn = each_result("figures", calls, many, start_rendering, report.styles, kind)
    for path, contents in zip(shapes, drawn, strict=True):
        path.write_bytes(contents)
    return folder
