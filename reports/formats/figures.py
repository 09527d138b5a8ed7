"""Still figures of a report as files: PNG for ``report.md``, SVG for papers."""

from __future__ import annotations

from pathlib import Path

from hpbench.inference.cores import usable_cores
from hpbench.inference.worker_processes import WorkerPool
from hpbench.reports.content import Report
from hpbench.reports.figures.registry import still_figures
from hpbench.reports.figures.static import render, start_rendering

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
    processes = usable_cores()
    if len(shapes) < _MIN_TO_SHARE or processes == 1:
        for path, shape in shapes.items():
            path.write_bytes(render(shape, report.styles, kind))
        return folder
    with WorkerPool("figures", processes, start_rendering, report.styles, kind) as pool:
        drawn = {path: pool.submit(shape) for path, shape in shapes.items()}
        for path, contents in drawn.items():
            path.write_bytes(contents.result())
    return folder
