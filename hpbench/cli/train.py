"""``hpbench train``."""

from __future__ import annotations

from typing import Annotated

import typer

from hpbench.errors import UsageError
from hpbench.methods.hopenet.training.settings import TrainConfig, TrainSettings

__all__ = ["train"]


def train(
    method: Annotated[str, typer.Argument(help="What to train: hopenet.", metavar="METHOD")],
    config: TrainConfig,
    settings: TrainSettings,
) -> None:
    """Train a network, and write weights with a card that 'hpbench run' takes.

    Examples
    --------
    hpbench train hopenet --datasets synthetic=renders --epochs 5 --penalty huber --alpha 0.1
    hpbench train hopenet --datasets w300lp --data w300lp=DIR --penalty huber --alpha 0.1
    """
    if method != "hopenet":
        raise UsageError(f"'{method}': cannot be trained; write: hpbench train hopenet")
    from hpbench.cli.terminal import says_when_stopped
    from hpbench.methods.hopenet.training.files import CHECKPOINT
    from hpbench.methods.hopenet.training.setup import train_on

    with says_when_stopped(
        "\nStopped. To resume, repeat the command with --resume.", kept=config.out / CHECKPOINT
    ):
        weights = train_on(config, settings, typer.echo)
    trained = "hopenet" if settings.heads == "bins" else "regression"
    typer.echo(f'{weights}  use it with: hpbench run --methods "{trained}[weights={weights}]"')
