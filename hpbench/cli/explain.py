"""``hpbench explain``."""

from __future__ import annotations

import typer

from hpbench.cli.report import EmbedImages
from hpbench.running.explain_config import ExplainConfig

__all__ = ["explain"]


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
        rerun(config, bars)
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
