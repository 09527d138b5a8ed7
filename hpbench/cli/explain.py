"""``hpbench explain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpbench.cli.report import EmbedImages

if TYPE_CHECKING:
    from hpbench.reports.tables.accuracy import Table

__all__ = ["explain"]


def explain(
    rundir: Annotated[Path, typer.Argument(help="Folder that 'hpbench run' wrote.")],
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder of a data set that has moved since the run; repeatable.",
            metavar="NAME=DIR",
        ),
    ] = None,
    embed_images: EmbedImages = False,
) -> None:
    """Show what other rules make of a run: boxes, exclusions, Euler order, profile faces.

    The methods run again under every other setting of the run's data sets, and with a
    frontal-face detector. The rows stand in explain.json and in the report.
    """
    from hpbench.cli.paths import data_roots
    from hpbench.cli.progress import Bars
    from hpbench.reports import write_report
    from hpbench.reports.content import gather
    from hpbench.running.explain import explain as run_again

    bars: Bars
    with Bars() as bars:
        run_again(rundir, bars, data_roots(data or [], "sample"))
    for section in gather(rundir).sections:
        _print(section.title, section.tables["explain"])
    for path in write_report(rundir, _formats(rundir), embed_images):
        typer.echo(str(path))


def _formats(rundir: Path) -> list[str]:
    """The usual documents, and the tables if there are any, which would be out of date else."""
    return ["md", "html", *(["csv"] if (rundir / "tables").is_dir() else [])]


def _print(title: str, table: Table) -> None:
    import sys

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Grid

    grid = Grid(title=escape(f"{title}: {table.title.lower()}"), title_justify="left")
    for column in table.columns:
        grid.add_column(
            column.title,
            justify="left" if column.text else "right",
            overflow="fold",
            no_wrap=not column.text,
        )
    for row in table.rows:
        grid.add_row(*(escape(cell.shown) for cell in row))
    # a log file is wider than the 80 columns that rich assumes of it
    Console(width=None if sys.stdout.isatty() else 120).print(grid)
    typer.echo(table.note)
