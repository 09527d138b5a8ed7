"""``hpbench train``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpbench.errors import UsageError

if TYPE_CHECKING:
    from hpbench.methods.hopenet.training.samples import OutOfRange, Source
    from hpbench.methods.hopenet.training.settings import TrainSettings

__all__ = ["parse_source", "train"]

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
    _train(
        settings,
        _pairs(augment or []),
        [parse_source(text) for text in data],
        [parse_source(text) for text in validate or []],
        {"name": name, "summary": summary, "licence": licence, "trained_on": trained_on},
        out,
        resume,
        tuple(plugin or ()),
    )


def parse_source(text: str) -> tuple[str, str, float]:
    """Split ``NAME[KEY=VALUE,...][=DIR][:SHARE]``.

    Returns
    -------
    spec : str
        Data set with options.
    folder : str
        Empty for a data set that brings its own images.
    share : float
        1 where none is given.

    Raises
    ------
    UsageError
        If the text has another form.

    Examples
    --------
    >>> parse_source("synthetic=renders/a:0.7")
    ('synthetic', 'renders/a', 0.7)
    >>> parse_source("sample:0.3")
    ('sample', '', 0.3)
    """
    source, share = text, 1.0
    before, colon, number = text.rpartition(":")
    if colon and number.replace(".", "", 1).isdigit():
        source, share = before, float(number)
    head, bracket, rest = source.partition("]=") if "[" in source.split("=")[0] else ("", "", "")
    if bracket:
        spec, folder = head + "]", rest
    elif source.endswith("]") or "=" not in source:
        spec, folder = source, ""
    else:
        spec, _, folder = source.partition("=")
    if not spec or share <= 0.0:
        raise UsageError(
            f"'{text}': write NAME=DIR or NAME=DIR:SHARE with a share above zero, "
            "such as synthetic=renders:0.7"
        )
    return spec, folder, share


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


def _train(
    settings: TrainSettings,
    augment: dict[str, str],
    data: Sequence[tuple[str, str, float]],
    validate: Sequence[tuple[str, str, float]],
    words: dict[str, str],
    out: Path,
    resume: bool,
    plugins: Sequence[Path],
) -> None:
    from pydantic import ValidationError

    from hpbench.cli.stopping import says_when_stopped
    from hpbench.methods.hopenet.card import WeightsCard
    from hpbench.methods.hopenet.training.augment import Augmentation
    from hpbench.methods.hopenet.training.loop import CHECKPOINT
    from hpbench.methods.hopenet.training.loop import train as run_training
    from hpbench.spec import suggest

    for key in augment:
        if key not in Augmentation.model_fields:
            raise UsageError(f"--augment {key}: {suggest(key, Augmentation.model_fields)}")
    try:
        augmentation = Augmentation.model_validate(augment)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--augment {first['loc'][0]}: {first['msg']}") from error
    sources = [_source(item, settings, settings.out_of_range, plugins) for item in data]
    checks = [_source(item, settings, "drop", plugins) for item in validate]
    names = [part.strip() for part in words["trained_on"].split(",") if part.strip()]
    card = WeightsCard(
        name=words["name"] or out.name,
        summary=words["summary"],
        licence=words["licence"],
        backbone=settings.backbone,
        trained_on=tuple(names or dict.fromkeys(source.dataset.name for source in sources)),
        trained_domains=_domains(sources, names, plugins),
    )
    with says_when_stopped(
        "\nStopped. The same command with --resume goes on from here.", kept=out / CHECKPOINT
    ):
        weights = run_training(
            sources, checks, settings, augmentation, card, out, resume, typer.echo
        )
    typer.echo(f'{weights}  use it with: hpbench run --methods "{_spec(settings, weights)}"')


def _domains(
    sources: Sequence[Source], names: Sequence[str], plugins: Sequence[Path]
) -> tuple[str, ...]:
    """Photos or renders: what the data sets are, and those whose images a table holds."""
    from hpbench.registry import DATASETS

    known = DATASETS.plugins(plugins)
    cards = [source.dataset.card for source in sources]
    cards += [DATASETS.load(name, plugins).card for name in names if name in known]
    return tuple(sorted({card.domain for card in cards} - {"unknown"}))


def _source(
    item: tuple[str, str, float],
    settings: TrainSettings,
    out_of_range: OutOfRange,
    plugins: Sequence[Path],
) -> Source:
    from hpbench.methods.hopenet.training.samples import gather
    from hpbench.registry import make_dataset

    spec, folder, share = item
    dataset = make_dataset(spec, Path(folder).expanduser() if folder else None, plugins)
    return gather(spec, dataset, share, settings.angle_bins, out_of_range)


def _spec(settings: TrainSettings, weights: Path) -> str:
    method = "hopenet" if settings.heads == "bins" else "regression"
    return f"{method}[weights={weights}]"
