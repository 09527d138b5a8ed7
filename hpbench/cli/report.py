"""``hpbench report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    rundir: Annotated[Path, typer.Argument(help="Folder that 'hpbench run' wrote.")],
) -> None:
    """Write the report of a finished run again, from its stored results."""
    from hpbench.reports import write_report

    for path in write_report(rundir):
        typer.echo(str(path))
