"""From what a user writes to a training run: data sets with shares, augmentation, card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from hpbench.errors import UsageError
from hpbench.methods.hopenet.card import WeightsCard
from hpbench.methods.hopenet.training.augment import Augmentation
from hpbench.methods.hopenet.training.loop import Note, train
from hpbench.methods.hopenet.training.samples import (
    OutOfRange,
    TrainingSource,
    collect_samples,
    parse_source,
)
from hpbench.methods.hopenet.training.settings import TrainSettings
from hpbench.registry import DATASETS, make_dataset
from hpbench.spec import suggest

__all__ = ["train_on"]


def train_on(
    data: Sequence[str],
    validate: Sequence[str],
    settings: TrainSettings,
    augment: Mapping[str, str],
    card: Mapping[str, str],
    out: Path,
    resume: bool = False,
    plugins: Sequence[Path] = (),
    note: Note = print,
) -> Path:
    """Train on data sets as they are named on the command line.

    Parameters
    ----------
    data, validate : sequence of str
        ``NAME[KEY=VALUE,...][=DIR][:SHARE]`` to train on, and to validate on only.
    settings : TrainSettings
    augment : mapping of str to str
        Changed fields of `Augmentation`.
    card : mapping of str to str
        ``name``, ``summary``, ``licence``, and ``trained_on``: names of data sets, separated by
        commas, in place of those in `data`.
    out, resume, note
        See :func:`hpbench.methods.hopenet.training.loop.train`.
    plugins : sequence of Path

    Returns
    -------
    Path
        The weights file.

    Raises
    ------
    UsageError
        If an augmentation or a data set is not named correctly.
    """
    augmentation = _augmentation(augment)
    sources = [_open(text, settings, settings.out_of_range, plugins) for text in data]
    validations = [_open(text, settings, "drop", plugins) for text in validate]
    names = [part.strip() for part in card.get("trained_on", "").split(",") if part.strip()]
    filled = WeightsCard(
        name=card.get("name") or out.name,
        summary=card.get("summary", ""),
        licence=card.get("licence", ""),
        backbone=settings.backbone,
        trained_on=tuple(names or dict.fromkeys(source.dataset.name for source in sources)),
        trained_domains=_domains(sources, names, plugins),
    )
    return train(sources, validations, settings, augmentation, filled, out, resume, note)


def _augmentation(changes: Mapping[str, str]) -> Augmentation:
    for key in changes:
        if key not in Augmentation.model_fields:
            raise UsageError(f"--augment {key}: {suggest(key, Augmentation.model_fields)}")
    try:
        return Augmentation.model_validate(changes)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--augment {first['loc'][0]}: {first['msg']}") from error


def _open(
    text: str, settings: TrainSettings, out_of_range: OutOfRange, plugins: Sequence[Path]
) -> TrainingSource:
    spec, folder, share = parse_source(text)
    dataset = make_dataset(spec, Path(folder).expanduser() if folder else None, plugins)
    return collect_samples(spec, dataset, share, settings.angle_bins, out_of_range)


def _domains(
    sources: Sequence[TrainingSource], names: Sequence[str], plugins: Sequence[Path]
) -> tuple[str, ...]:
    """Photos or renders: what the data sets are, and those whose images a table holds."""
    known = DATASETS.plugins(plugins)
    cards = [source.dataset.card for source in sources]
    cards += [DATASETS.load(name, plugins).card for name in names if name in known]
    return tuple(sorted({card.domain for card in cards} - {"unknown"}))
