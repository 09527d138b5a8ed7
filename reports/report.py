"""Write the documents of a finished run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

from hpbench.errors import DataError, UsageError, write_errors
from hpbench.reports.content import Report, load_report
from hpbench.scoring.summary import store_results
from hpbench.spec import suggest
from hpbench.storage.atomic import drop_partials
from hpbench.storage.checksums import differs, store_checksums
from hpbench.storage.folder_lock import folder_lock

__all__ = ["FORMATS", "write_documents", "write_report"]

FORMATS = {
    "md": "markdown.write_markdown",
    "html": "html.write_page",
    "csv": "csv.write_csv",
    "latex": "latex.write_latex",
    "svg": "figures.write_svg",
}
"""Formats of :func:`write_report`, with the function of ``hpbench.reports.formats`` for each."""

_DOCUMENTS = ("report.*", "tables.tex", "tables/*", "figures/*")
"""What reports are made of, in a run folder."""

_log = logging.getLogger("hpbench")


def write_report(
    run_folder: Path,
    formats: Sequence[str] = ("md", "html"),
    embed_images: bool = False,
    by: str | None = None,
    data: Mapping[str, Path] | None = None,
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
    data : mapping of str to Path, optional
        Folders of data sets, for `embed_images`: those that a run folder names are never opened by
        themselves, for it may be a stranger's.

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
    return write_documents(load_report(Path(run_folder), embed_images, by, data), formats)


def write_documents(report: Report, formats: Sequence[str]) -> list[Path]:
    """Write a report that is loaded, as :func:`write_report` does."""
    folder = report.folder
    with write_errors(folder), folder_lock(folder):
        for inner in {path.parent for path in _documents(folder)}:
            drop_partials(inner)
        store_results(folder, report.summary)
        for path in _documents(folder):
            if differs(folder, path.relative_to(folder).as_posix()):
                _log.warning("%s: corrupted or edited; written again", path)
        # the page packs and encodes without Python's lock, beside the figures that are drawn
        writers = {name: _writer(name) for name in formats}
        with ThreadPoolExecutor(1) as beside:
            page = beside.submit(writers["html"], report) if "html" in writers else None
            written = [
                page.result() if page and name == "html" else write(report)
                for name, write in writers.items()
            ]
        store_checksums(folder, _documents(folder))
        return written


def _writer(name: str) -> Callable[[Report], Path]:
    """What writes a format; its libraries are imported now."""
    module, _, function = FORMATS[name].partition(".")
    writer: Callable[[Report], Path] = getattr(
        import_module(f"hpbench.reports.formats.{module}"), function
    )
    return writer


def _documents(folder: Path) -> list[Path]:
    """Files of reports in a run folder.

    Raises
    ------
    DataError
        If one of its folders is a link: a stranger's may lead anywhere.
    """
    for name in ("tables", "figures"):
        if (folder / name).is_symlink():
            raise DataError(f"{folder / name}: is a link, and nothing is written through it")
    return [path for name in _DOCUMENTS for path in folder.glob(name) if path.is_file()]
