"""``hpbench report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpbench.paths import user_path

__all__ = ["EmbedImages", "RunFolder", "report"]

RunFolder = Annotated[
    Path, typer.Argument(help="Folder that 'hpbench run' wrote.", metavar="RUN", parser=user_path)
]
EmbedImages = Annotated[
    bool,
    typer.Option(
        "--embed-images",
        help="Put small images of the faces into report.html; mind the data set's terms. "
        "The embedded sample's are always in.",
    ),
]
"""The option of every command that writes a report from a run folder."""


def report(
    rundir: RunFolder,
    formats: Annotated[
        str,
        typer.Option(
            "--format", help="Any of md, html, csv, latex, svg, separated by commas.", metavar="A,B"
        ),
    ] = "md,html",
    embed_images: EmbedImages = False,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder of a data set, to embed its images; repeatable.", metavar="NAME=DIR"
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Factors to slice the results by, such as light,camera*light or "
            "face_px=0:64:128:inf (docs/slices.md); those of the run if not given.",
            metavar="A,B*C",
        ),
    ] = None,
) -> None:
    """Write the report of a finished run again, from its stored results.

    Examples
    --------
    hpbench report runs/aflw2000 --format csv,latex
    hpbench report runs/aflw2000 --by "face_px=0:128:256:inf"
    """
    from hpbench.cli.options import pairs
    from hpbench.cli.terminal import print_not_sliced
    from hpbench.errors import UsageError
    from hpbench.reports import write_report
    from hpbench.results.results_file import ResultsFile
    from hpbench.results.run_record import RunRecord

    named = pairs("--data", data or [], "NAME=DIR")
    folders = {name: user_path(path) for name, path in named.items()}
    for name, path in folders.items():
        if not path.exists():
            raise UsageError(f"--data {name}={path}: no such file or folder")
    chosen = [name.strip() for name in formats.split(",") if name.strip()]
    written = write_report(rundir, chosen, embed_images, by, folders)
    if by:
        print_not_sliced(RunRecord.read(rundir), ResultsFile.read(rundir))
    for path in written:
        typer.echo(str(path))
