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
    from hpbench.cli.terminal import open_bars, says_when_stopped
    from hpbench.labelling.label import label_dataset

    words = "\nStopped. To resume, repeat the command."
    with says_when_stopped(words), open_bars() as bars:
        use_as, faces = label_dataset(config, bars, lambda line: typer.echo(line, err=True))
    typer.echo(f"{config.out}  {faces} faces; use it as: {use_as}")
