"""``hpbench report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["EmbedImages", "report"]

EmbedImages = Annotated[
    bool,
    typer.Option(
        "--embed-images",
        help="Put small images of the faces into report.html; mind the data set's terms.",
    ),
]
"""The option of every command that writes a report from a run folder."""


def report(
    rundir: Annotated[Path, typer.Argument(help="Folder that 'hpbench run' wrote.")],
    formats: Annotated[
        str, typer.Option("--format", help="Any of md, html, csv, latex, separated by commas.")
    ] = "md,html",
    embed_images: EmbedImages = False,
) -> None:
    """Write the report of a finished run again, from its stored results."""
    from hpbench.reports import write_report

    chosen = [name.strip() for name in formats.split(",") if name.strip()]
    for path in write_report(rundir, chosen, embed_images):
        typer.echo(str(path))
