"""``hpbench explain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field

from hpbench.arguments import Config, DataFolders, Metavar
from hpbench.cli.report import EmbedImages

if TYPE_CHECKING:
    from hpbench.reports.tables.accuracy import Table

__all__ = ["explain"]


class ExplainConfig(Config):
    """Options of ``hpbench explain``."""

    rundir: Annotated[Path, Metavar("RUN", positional=True)] = Field(
        description="Folder that 'hpbench run' wrote."
    )
    data: DataFolders = Field(
        {}, description="Folder of a data set that has moved since the run; repeatable."
    )


def explain(config: ExplainConfig, embed_images: EmbedImages = False) -> None:
    """Show how evaluation choices change the results of a run.

    Reruns the methods with different boxes, exclusions and angle conventions. The rows are in
    explain.json and in the report.

    Examples
    --------
    hpbench explain runs/aflw2000
    hpbench explain runs/biwi --data biwi=/data/hpdb
    """
    from hpbench.cli.progress import Bars
    from hpbench.reports import write_report
    from hpbench.reports.content import gather
    from hpbench.running.data_folders import data_folders
    from hpbench.running.explain import explain as run_again

    rundir = config.rundir
    bars: Bars
    with Bars() as bars:
        run_again(rundir, bars, data_folders(config.data, "sample"))
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
