"""``hpbench faces``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpbench.errors import UsageError
from hpbench.paths import user_path
from hpbench.running.faces_config import FacesConfig

__all__ = ["faces"]


def faces(
    config: FacesConfig,
    out: Annotated[Path, typer.Option(help="CSV file to write.", metavar="FILE", parser=user_path)],
) -> None:
    """List the evaluated faces of a data set for another program.

    One row per face: id, image, box and camera. Give 'hpbench run' the same options, and the
    other program's predictions as predictions[file=...] (docs/compare-any-program.md).

    Examples
    --------
    hpbench faces aflw2000 --data aflw2000=DIR --out faces.csv
    hpbench faces sample --boxes yunet --limit 50 --out faces.csv
    """
    from hpbench.cli.terminal import open_bars, print_reasons
    from hpbench.running.face_list import FACE_COLUMNS, list_faces
    from hpbench.tables.rows import refuse_foreign_table

    if out.suffix != ".csv":
        raise UsageError(f"--out {out}: name a .csv file")
    refuse_foreign_table(out, FACE_COLUMNS, "hpbench faces")  # before the images are read
    with open_bars() as bars:
        found = list_faces(config, bars)
    found.write(out)
    for warning in found.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(
        f"{found.total} faces, {len(found.rows)} listed, {sum(found.left_out.values())} not listed"
    )
    print_reasons(found.left_out, most=15)
    typer.echo(str(out))
