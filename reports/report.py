"""Write the documents of a finished run."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from hpbench.errors import DataError, UsageError
from hpbench.reports.content import Content, Section, gather
from hpbench.reports.figures.data import has_error_map, has_yaw_line, pareto_points
from hpbench.reports.formats import latex, markdown
from hpbench.reports.formats.html import write_page
from hpbench.reports.tables.accuracy import Cell, Column, Table, head
from hpbench.results.results_file import ResultsFile
from hpbench.spec import suggest
from hpbench.storage.atomic import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "section_figures", "write_report"]


def write_report(
    run_folder: Path, formats: Sequence[str] = ("md", "html"), embed_images: bool = False
) -> list[Path]:
    """Write the report of a finished run into its folder, from stored results only.

    Parameters
    ----------
    run_folder : Path
        What ``hpbench run`` wrote.
    formats : sequence of str
        Any of :data:`FORMATS`.
    embed_images : bool
        Put small images of the faces into ``report.html``, whatever data set they come from.
        The embedded sample's are always in. Mind the terms of the data set before passing such
        a report on.

    Returns
    -------
    list of Path
        The written documents, in the order of `formats`.

    Raises
    ------
    UsageError
        For an unknown format, or none.
    DataError
        If the folder is missing, half-written, of another schema, or cannot be written.
    """
    if not formats:
        raise UsageError(f"no report format is named; known: {', '.join(sorted(FORMATS))}")
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"no report format '{name}'; {suggest(name, FORMATS)}")
    content = gather(Path(run_folder), embed_images)
    try:
        _store_summary(content)
        return [FORMATS[name](content) for name in formats]
    except OSError as error:
        raise DataError(f"{run_folder}: report cannot be written ({error.strerror})") from error


def _store_summary(content: Content) -> None:
    """Bring ``results.json`` to what the report shows, after an update of hpbench for example."""
    try:
        stored = ResultsFile.read(content.folder)
    except DataError:
        stored = None
    if stored != content.summary:
        content.summary.write(content.folder)


def write_markdown(content: Content) -> Path:
    """Write ``report.md`` and the figures it shows."""
    images = {section.key: draw_figures(content, section) for section in content.sections}
    path = content.folder / "report.md"
    write_text(path, render_markdown(content, images))
    return path


def render_markdown(content: Content, images: Mapping[str, Mapping[str, str]]) -> str:
    """Text of ``report.md``.

    Parameters
    ----------
    content : Content
    images : mapping
        By key of a section, what :func:`draw_figures` returned; a figure that is not there is
        left out together with what is said about it.
    """
    environment = Environment(
        loader=PackageLoader("hpbench.reports"),
        finalize=markdown.escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        code_block=markdown.code_block, raw=markdown.Raw, table=markdown.table, head=head
    )
    return environment.get_template("report.md.j2").render(content=content, figures_of=images)


def draw_figures(content: Content, section: Section) -> dict[str, str]:
    """Write the still figures of a data set.

    Returns
    -------
    dict of str to str
        Path of each PNG, relative to the run folder, by the figure's name.
    """
    from hpbench.reports.figures.static import save

    folder = content.folder / "figures"
    folder.mkdir(exist_ok=True)
    written = {}
    for name, draw in section_figures(content, section).items():
        stem = folder / f"{section.key}_{name}"
        save(draw, stem)
        written[name] = f"{folder.name}/{stem.name}.png"
    return written


def section_figures(content: Content, section: Section) -> dict[str, Callable[[], Figure]]:
    """Still figures of a data set that its results are enough for, by name; not drawn yet."""
    drawings: dict[str, Callable[[], Figure]] = {}
    if any(result.images.scored for result in section.results):
        dataset, styles = section.scores, content.styles
        drawings["histogram"] = _figure("histogram_figure", dataset, styles)
        drawings["ced"] = _figure("ced_figure", dataset, styles)
        if has_yaw_line(dataset):
            drawings["yaw"] = _figure("error_by_yaw_figure", dataset, styles)
        if has_error_map(dataset):
            drawings["map"] = _figure("heat_map_figure", dataset, styles)
    if any(result.runtime_ms["total"].p50 is not None for result in section.results):
        drawings["runtime"] = _figure("runtime_figure", section.results, content.styles)
    if len(pareto_points(section.results)) > 1:
        drawings["pareto"] = _figure("pareto_figure", section.results, content.styles)
    if section.curves:
        drawings["robustness"] = _figure("level_figure", section.curves, content.styles)
    if section.swept:
        drawings["sweep"] = _figure("level_figure", section.swept, content.styles)
    return drawings


def _figure(function: str, *arguments: Any) -> Callable[[], Figure]:
    """A figure that is drawn, and its library imported, when it is called."""

    def draw() -> Figure:
        figure: Figure = getattr(import_module(_STATIC), function)(*arguments)
        return figure

    return draw


_STATIC = "hpbench.reports.figures.static"


def write_csv(content: Content) -> Path:
    """Write every table as a CSV file into ``tables/``, numbers unrounded."""
    folder = content.folder / "tables"
    folder.mkdir(exist_ok=True)
    for section in content.sections:
        for key, table in section.tables.items():
            stream = io.StringIO(newline="")
            writer = csv.writer(stream)
            writer.writerow(chain.from_iterable(map(_csv_titles, table.columns)))
            for row in table.rows:
                cells = map(_csv_values, table.columns, row)
                writer.writerow(chain.from_iterable(cells))
            write_text(folder / f"{section.key}_{key}.csv", stream.getvalue())
    return folder


def _csv_titles(column: Column) -> list[str]:
    ends = (", from", ", to") if column.interval else ("",)
    return [column.title + end for end in ends]


def _csv_values(column: Column, cell: Cell) -> Sequence[float | str | None]:
    return (cell.limits or (None, None)) if column.interval else (cell.value,)


LATEX_TABLES = ("accuracy", "common", "metrics", "yaw", "runtime", "pairs")
"""What a paper prints."""


def write_latex(content: Content) -> Path:
    """Write the tables that papers print into ``tables.tex``."""
    tables = [
        replace(
            section.tables[key],
            key=f"{section.key}-{key}",
            title=f"{section.title}: {section.tables[key].title}",
        )
        for section in content.sections
        for key in LATEX_TABLES
        if _has_figures(section.tables[key]) and not (key == "common" and section.complete)
    ]
    path = content.folder / "tables.tex"
    write_text(path, latex.document(tables))
    return path


def _has_figures(table: Table) -> bool:
    """Whether anything but names is in it: without a timing pass no time is."""
    return bool(table.rows) and len(table.columns) > 1


FORMATS: dict[str, Callable[[Content], Path]] = {
    "md": write_markdown,
    "html": write_page,
    "csv": write_csv,
    "latex": write_latex,
}
"""Formats of :func:`write_report`, with what writes each."""
