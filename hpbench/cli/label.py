"""``hpbench label``."""

from __future__ import annotations

import typer

from hpbench.labelling.config import LabelConfig

__all__ = ["label"]


def label(config: LabelConfig) -> None:
    """Label images with the mean prediction of other methods, and its spread.

    A table of your own images needs the columns image, x0, y0, x1, y1, and yaw and pitch, which may
    hold 0.

    Examples
    --------
    hpbench label pointing04 --data pointing04=DIR --methods hopenet,fsanet --out labels.parquet
    hpbench label table=boxes.csv --methods hopenet --max-spread 12 --out labels.csv
    """
    from hpbench.cli.terminal import open_bars, print_reasons, says_when_stopped
    from hpbench.labelling.label import label_dataset

    words = "\nStopped. To resume, repeat the command."
    with says_when_stopped(words), open_bars() as bars:
        found = label_dataset(config, bars, lambda line: typer.echo(line, err=True))
    if found.left_out:
        typer.echo(f"{sum(found.left_out.values())} without a label")
        print_reasons(found.left_out, most=15)
    typer.echo(f"{config.out}  {found.faces} faces; use it as: {found.use_as}")
