"""What commands show: bars, words when they are stopped, tables of results."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from operator import itemgetter
from pathlib import Path
from time import monotonic

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from hpbench.results.results_file import MethodResult, ResultsFile
from hpbench.results.run_record import RunRecord
from hpbench.storage.text import visible

__all__ = [
    "echo",
    "open_bar",
    "open_bars",
    "print_not_sliced",
    "print_reasons",
    "print_results",
    "print_reused",
    "print_table",
    "says_when_stopped",
]


def echo(text: str, err: bool = False) -> None:
    """Print a line in which names from elsewhere may stand."""
    typer.echo(visible(text), err=err)


LINE_EVERY_S = 15.0
"""Between two lines of a bar, where stderr is a file and bars cannot move."""


class Bars:
    """One bar per method and data set (:class:`hpbench.inference.progress.Progress`)."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._last_line = monotonic()

    def start(self, dataset: str, method: str, total: int | None, done: int) -> None:
        """Show a bar for a method on a data set."""
        label = escape(" · ".join(filter(None, (dataset, method))))
        self._progress.start()
        self._tasks[dataset, method] = self._progress.add_task(label, total=total, completed=done)

    def advance(self, dataset: str, method: str, count: int) -> None:
        """Move its bar on."""
        task = self._tasks[dataset, method]
        self._progress.advance(task, count)
        console = self._progress.console
        if not console.is_terminal and monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = monotonic()
            state = self._progress.tasks[self._progress.task_ids.index(task)]
            total = "" if state.total is None else f" of {state.total:.0f}"
            console.print(f"{state.description} {state.completed:.0f}{total}", highlight=False)


@contextmanager
def open_bars() -> Iterator[Bars]:
    """Bars of a run, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
    try:
        yield Bars(progress)
    finally:
        if progress.live.is_started:  # one that shows nothing would end with an empty line
            progress.stop()


@contextmanager
def open_bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A single bar; yields what moves it on by a number of steps."""
    with open_bars() as bars:
        bars.start(what, "", total, 0)
        yield partial(bars.advance, what, "")


@contextmanager
def says_when_stopped(words: str, kept: Path | None = None) -> Iterator[None]:
    """Say how to go on when Ctrl-C ends the work inside.

    `kept` has to be there to go on from; without it nothing is said.
    """
    try:
        yield
    except KeyboardInterrupt:
        if kept is None or kept.exists():
            typer.echo(words, err=True)
        raise


_ROOM_FOR_LINES = 100
"""Columns of a screen that has room for lines between the columns of a table."""


class _Words:
    """A cell of text, broken after commas, too: half of an option would not be copied whole."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, Text(self._text))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [""]
        for piece in re.findall(r"[^\s,]*[\s,]", f"{self._text} "):
            if lines[-1] and cell_len(lines[-1] + piece.rstrip()) > options.max_width:
                lines.append("")
            lines[-1] += piece
        yield Text("\n".join(line.rstrip() for line in lines), overflow="fold")


def print_table(
    title: str,
    columns: Iterable[tuple[str, bool]],
    rows: Iterable[Sequence[str]],
    caption: str | None = None,
) -> None:
    """Print a table; a column of text is set left and broken into lines, one of numbers right."""
    # a log file is wider than the 80 columns that rich assumes of it
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table(title=escape(visible(title)), title_justify="left", caption=caption)
    if console.width < _ROOM_FOR_LINES:  # else they would leave no room for the names of methods
        table.box, table.padding = box.SIMPLE, 0
    for heading, is_text in columns:
        if is_text:
            table.add_column(heading)
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(_Words(visible(cell)) for cell in row))
    console.print(table)


def print_results(folder: Path) -> None:
    """Print ``results.json``: a table per data set, and one of all corrupted copies."""
    run = RunRecord.read(folder)
    summary = ResultsFile.read(folder)
    results = summary.results
    for key, dataset in run.datasets.items():
        rows = [row for row in results if row.dataset == key]
        if rows and dataset.corruption is None:
            title = f"{key}, protocol {rows[0].protocol.name} ({rows[0].protocol.hash})"
            print_table(title, _COLUMNS, map(_result_cells, rows), _caption(rows))
            if rows[0].excluded_reasons:
                typer.echo(f"Excluded on {visible(key)}:")
                print_reasons(rows[0].excluded_reasons)
    corrupted = [row for row in results if run.datasets[row.dataset].corruption]
    if corrupted:
        columns = [("corrupted data set", True), *_OF_CORRUPTED(_COLUMNS)]
        cells = ((row.dataset, *_OF_CORRUPTED(_result_cells(row))) for row in corrupted)
        print_table("Corruption robustness", columns, cells)
    for line in _not_run(run, summary):
        typer.echo(line)
    for warning in summary.warnings:
        echo(f"warning: {warning.text}", err=True)
    if run.spec.by:
        print_not_sliced(run, summary)


def print_reasons(counts: Mapping[str, int], most: int = 5) -> None:
    """Print why faces were left out, the commonest reasons first.

    Parameters
    ----------
    counts : mapping of str to int
        Faces by reason.
    most : int
        Reasons that are shown.
    """
    from hpbench.reports.tables.unscored import alike

    reasons = sorted(alike(counts), key=lambda item: -item[1])
    for reason, count in reasons[:most]:
        echo(f"  {count}: {reason}")
    if len(reasons) > most:
        echo(f"  {sum(count for _, count in reasons[most:])}: for rarer reasons")


def print_not_sliced(run: RunRecord, summary: ResultsFile) -> None:
    """Say which factors that were asked for with ``--by`` give no slices, and why."""
    refused = {row.dataset: row.not_sliced for row in summary.results}
    for dataset, reasons in refused.items():
        if run.datasets[dataset].corruption is None:  # of the same faces
            for factor, reason in reasons.items():
                echo(f"warning: {dataset}: no slices by {factor}: {reason}", err=True)


def _not_run(run: RunRecord, summary: ResultsFile) -> list[str]:
    """Which methods took no part, one line for all corrupted copies of a data set."""
    lines = []
    for row in summary.not_run:
        corruption = run.datasets[row.dataset].corruption
        if corruption is None:
            lines.append(f"{row.method_spec} was not run on {row.dataset}: {row.reason}")
        elif row.method_spec not in run.datasets[corruption.of].not_run:
            where = f"corrupted images of {corruption.of}"
            lines.append(f"{row.method_spec} was not run on {where}: {row.reason}")
    return list(dict.fromkeys(lines))


_COLUMNS = [
    ("method", True),
    *((heading, False) for heading in ("yaw", "pitch", "roll", "MAE deg", "geodesic")),
    *((heading, False) for heading in ("scored", "no prediction", "ms/face")),
]
_OF_CORRUPTED = itemgetter(0, 4, 6, 7)
"""Of these the method, its mean error, and the numbers of faces."""


def _result_cells(row: MethodResult) -> list[str]:
    flags = " †" * row.trained_on_this + " ‡" * row.trained_on_renders
    errors, time = row.mae_deg, row.runtime_ms.get("total")
    values = (errors.yaw, errors.pitch, errors.roll, errors.mean, row.geodesic_deg.mean)
    return [
        row.method_spec + flags,
        *map(_decimal, values),
        str(row.images.scored),
        str(row.images.no_answer),
        _decimal(time.p50 if time else None),
    ]


def _caption(rows: Sequence[MethodResult]) -> str:
    images = rows[0].images
    notes = [f"{images.total} faces, {images.excluded} excluded"]
    if any(row.trained_on_this for row in rows):
        notes.append("† trained on this data set")
    if any(row.trained_on_renders for row in rows):
        notes.append("‡ trained on renders and scored on renders: an advantage")
    return "; ".join(notes)


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def print_reused(folder: Path) -> None:
    """Say which predictions and times are those of an earlier run."""
    reused = RunRecord.read(folder).reused
    for dataset, methods in reused.predictions.items():
        echo(f"Stored predictions on {dataset}: {', '.join(sorted(methods))}.")
    if reused.timing:
        echo(f"Stored times of {reused.timing}.")
    if reused.predictions:
        echo("Nothing has changed since; --fresh computes them again.")
