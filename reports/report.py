"""Write the documents of a finished run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from hpbench.errors import DataError, UsageError
from hpbench.reports.content import Report, load_report
from hpbench.results.results_file import ResultsFile
from hpbench.spec import suggest

__all__ = ["FORMATS", "write_documents", "write_report"]

FORMATS = {
    "md": "markdown.write_markdown",
    "html": "html.write_page",
    "csv": "csv.write_csv",
    "latex": "latex.write_latex",
}
"""Formats of :func:`write_report`, with the function of ``hpbench.reports.formats`` for each."""


def write_report(
    run_folder: Path,
    formats: Sequence[str] = ("md", "html"),
    embed_images: bool = False,
    by: str | None = None,
) -> list[Path]:
    """Write the report of a finished run into its folder, from stored predictions only.

    ``results.json`` is computed again, and written where it is missing or differs.

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
    by : str, optional
        Factors to slice the results by, such as ``light,camera*light``; those that the run was
        asked for if not given.

    Returns
    -------
    list of Path
        The written documents, in the order of `formats`.

    Raises
    ------
    UsageError
        For an unknown format, or none; for a `by` that cannot be read, or a factor that no data
        set of the run has.
    DataError
        If the folder is missing, half-written, of another schema, or cannot be written.
    """
    if not formats:
        raise UsageError(f"no report format given; known: {', '.join(sorted(FORMATS))}")
    for name in formats:
        if name not in FORMATS:
            raise UsageError(f"no report format '{name}'; {suggest(name, FORMATS)}")
    return write_documents(load_report(Path(run_folder), embed_images, by), formats)


def write_documents(report: Report, formats: Sequence[str]) -> list[Path]:
    """Write a report that is loaded, as :func:`write_report` does."""
    try:
        _store_results(report)
        return [_writer(name)(report) for name in formats]
    except OSError as error:
        raise DataError(f"{report.folder}: cannot write the report ({error.strerror})") from error


def _writer(name: str) -> Callable[[Report], Path]:
    """What writes a format; its libraries are imported now."""
    module, _, function = FORMATS[name].partition(".")
    writer: Callable[[Report], Path] = getattr(
        import_module(f"hpbench.reports.formats.{module}"), function
    )
    return writer


def _store_results(report: Report) -> None:
    try:
        stored = ResultsFile.read(report.folder)
    except DataError:
        stored = None
    if stored != report.summary:
        report.summary.write(report.folder)
