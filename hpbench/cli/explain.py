"""``hpbench explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from hpbench.arguments import Config, DataFolders, Files, Metavar, Plugins, Specs, Workers
from hpbench.cli.report import EmbedImages

__all__ = ["explain"]


class ExplainConfig(Config):
    """Options of ``hpbench explain``."""

    rundir: Annotated[Path, Metavar("RUN", positional=True)] = Field(
        description="Folder that 'hpbench run' wrote."
    )
    data: DataFolders = Field({}, description="Folder of a data set of the run; repeatable.")
    allow: Files = Field(
        (),
        description="Other file that the run names, such as weights, or a folder that holds such "
        "files; repeatable.",
    )
    workers: Workers = None
    plugins: Plugins = ()
    methods: Specs = Field("", description="The run's methods, where their files have moved since.")


def explain(config: ExplainConfig, embed_images: EmbedImages = False) -> None:
    """Show how evaluation choices change the results of a run.

    Reruns the methods with different boxes, exclusions and angle conventions. The rows are in
    explain.json and in the report.

    Examples
    --------
    hpbench explain runs/biwi --data biwi=/data/hpdb
    hpbench explain runs/mine --data aflw2000=/data/aflw2000 --allow nets
    """
    from hpbench.cli.terminal import echo, open_bars, print_table
    from hpbench.reports.content import load_report
    from hpbench.reports.report import write_documents
    from hpbench.running.explain import explain as rerun

    with open_bars() as bars:
        rerun(
            config.rundir,
            bars,
            config.data,
            config.plugins,
            config.allow,
            config.workers,
            config.methods,
        )
    report = load_report(config.rundir, embed_images, data=config.data)
    for section in report.sections:
        table = section.tables["explain"]
        columns = [(column.title, column.text) for column in table.columns]
        rows = [[cell.shown for cell in row] for row in table.rows]
        print_table(f"{section.title}: {table.title.lower()}", columns, rows)
        echo(table.note)
    # tables that an earlier report has written would be out of date
    formats = ["md", "html", "csv"] if (config.rundir / "tables").is_dir() else ["md", "html"]
    for path in write_documents(report, formats):
        typer.echo(str(path))
