"""``hpbench train``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpbench.errors import UsageError

if TYPE_CHECKING:
    from hpbench.methods.hopenet.training.settings import TrainSettings

__all__ = ["train"]

_DATA_HELP = (
    "Training data, repeatable: a data set with options, its folder, and its share of the faces "
    "that are drawn. 'hpbench list' names the data sets."
)


def train(
    method: Annotated[str, typer.Argument(help="What to train: hopenet.")],
    data: Annotated[
        list[str], typer.Option(help=_DATA_HELP, metavar="NAME[KEY=VALUE,...][=DIR][:SHARE]")
    ],
    validate: Annotated[
        list[str] | None,
        typer.Option(help="Data set to validate on only; repeatable.", metavar="NAME=DIR"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for weights, checkpoint and curves.")] = Path(
        "runs/train"
    ),
    resume: Annotated[bool, typer.Option(help="Take up the checkpoint in --out.")] = False,
    backbone: Annotated[
        str, typer.Option(help="thin_resnet_s, thin_resnet_m, or a torchvision network.")
    ] = "resnet50",
    heads: Annotated[
        str, typer.Option(help="bins, or regression: the same backbone without bins.")
    ] = "bins",
    bins: Annotated[int, typer.Option(help="Bins per angle, around zero.")] = 66,
    bin_width: Annotated[float, typer.Option(help="Width of a bin in degrees.")] = 3.0,
    alpha: Annotated[float, typer.Option(help="Weight of the regression term.")] = 1.0,
    targets: Annotated[
        str, typer.Option(help="hard: one bin, as in the paper; soft: neighbours count too.")
    ] = "hard",
    penalty: Annotated[
        str, typer.Option(help="Regression term: mse, as in the paper, or huber.")
    ] = "mse",
    out_of_range: Annotated[
        str, typer.Option(help="Labels outside the bins are counted and: drop, or clip.")
    ] = "drop",
    epochs: Annotated[int, typer.Option(help="Passes over the training faces.")] = 25,
    epoch_faces: Annotated[
        int | None, typer.Option(help="Faces per epoch; default: as many as there are.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="End after this time at the latest; the schedule shrinks with it."),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Faces per step.")] = 64,
    lr: Annotated[float, typer.Option(help="Peak learning rate of AdamW.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(help="Weight decay of AdamW.")] = 0.02,
    average: Annotated[
        float, typer.Option(help="Decay of the moving average of the weights; 0: none.")
    ] = 0.998,
    input_size: Annotated[int, typer.Option(help="Side of the input in pixels.")] = 224,
    first_size: Annotated[
        int | None, typer.Option(help="Start with smaller inputs that grow to --input-size.")
    ] = None,
    holdout: Annotated[
        float, typer.Option(help="Share of each data set (whole groups) kept for validation.")
    ] = 0.05,
    augment: Annotated[
        list[str] | None,
        typer.Option(help="Change an augmentation; repeatable.", metavar="KEY=VALUE"),
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help="Weights to start from: Hopenet's, or ImageNet's.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "cpu",
    precision: Annotated[str, typer.Option(help="fp32, bf16, or auto: bf16 on cuda.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    name: Annotated[str, typer.Option(help="Name for the weights' card.")] = "",
    summary: Annotated[str, typer.Option(help="One line for the weights' card.")] = "",
    licence: Annotated[str, typer.Option(help="Licence for the weights' card.")] = "",
    trained_on: Annotated[
        str,
        typer.Option(
            help="Data sets for the card, comma-separated, where a table holds another one's "
            "images; default: the names in --data."
        ),
    ] = "",
    plugin: Annotated[
        list[Path] | None,
        typer.Option(help="Python file with further data sets; repeatable."),
    ] = None,
) -> None:
    """Train a network, and write weights with a card that 'hpbench run' takes."""
    if method != "hopenet":
        raise UsageError(f"'{method}' cannot be trained; write: hpbench train hopenet")
    settings = _settings(
        backbone=backbone, heads=heads, bins=bins, bin_width=bin_width, alpha=alpha,
        targets=targets, penalty=penalty, out_of_range=out_of_range, epochs=epochs,
        epoch_faces=epoch_faces, minutes=minutes, batch_size=batch_size, lr=lr,
        weight_decay=weight_decay, average=average, input_size=input_size,
        first_size=first_size, holdout=holdout, precision=precision, device=device,
        seed=seed, init=init,
    )  # fmt: skip
    from hpbench.cli.stopping import says_when_stopped
    from hpbench.methods.hopenet.training.files import CHECKPOINT
    from hpbench.methods.hopenet.training.setup import train_on

    checkpoint = out / CHECKPOINT
    with says_when_stopped(
        "\nStopped. The same command with --resume goes on from here.", kept=checkpoint
    ):
        weights = train_on(
            data, validate or [], settings, _pairs(augment or []),
            {"name": name, "summary": summary, "licence": licence, "trained_on": trained_on},
            out, resume, tuple(plugin or ()), typer.echo,
        )  # fmt: skip
    trained = "hopenet" if settings.heads == "bins" else "regression"
    typer.echo(f'{weights}  use it with: hpbench run --methods "{trained}[weights={weights}]"')


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--augment {text}: write KEY=VALUE")
        pairs[key] = value
    return pairs


def _settings(**given: Any) -> TrainSettings:
    from pydantic import ValidationError

    from hpbench.methods.hopenet.training.settings import TrainSettings

    try:
        return TrainSettings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0])
        flag = option.replace("_", "-")
        raise UsageError(f"--{flag} {given[option]}: {first['msg']}") from error
