"""From what a user writes to a training run: data sets with shares, and the card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hpbench.errors import UsageError
from hpbench.methods.hopenet.card import WeightsCard
from hpbench.methods.hopenet.training.loop import Note, Training
from hpbench.methods.hopenet.training.samples import TrainingSource, collect_samples, parse_source
from hpbench.methods.hopenet.training.settings import OutOfRange, TrainConfig, TrainSettings
from hpbench.registry import DATASETS, make_dataset
from hpbench.running.data_folders import data_folders
from hpbench.spec import Spec
from hpbench.storage.folder_lock import folder_lock

__all__ = ["train_on"]


def train_on(config: TrainConfig, settings: TrainSettings, note: Note = print) -> Path:
    """Train on data sets as they are named on the command line; return the weights file."""
    training = Training(settings, config.augment, config.out, config.resume, note)
    train_specs = [parse_source(text) for text in config.datasets]
    validation_specs = [_whole_source(text) for text in config.validate_on]
    in_use = {spec.text: spec for spec, _ in (*train_specs, *validation_specs)}
    folders = data_folders(config.data, in_use.values(), config.plugins)

    used: Counter[str] = Counter()

    def open_source(spec: Spec, share: float, out_of_range: OutOfRange) -> TrainingSource:
        dataset = make_dataset(spec, folders.get(spec.name), config.plugins)
        # validation errors and the card tell sources apart by these names
        name = f"{spec}={Path(spec.path).name}" if spec.path else str(spec)
        used[name] += 1
        name += f" ({used[name]})" if used[name] > 1 else ""
        whole = settings.heads == "rotation6d"
        return collect_samples(name, dataset, share, settings.angle_bins, out_of_range, whole)

    sources = [open_source(*one, settings.out_of_range) for one in train_specs]
    validations = [open_source(*one, "drop") for one in validation_specs]
    names = [part.strip() for part in config.trained_on.split(",") if part.strip()]
    card = WeightsCard(
        name=config.name or config.out.name,
        summary=config.summary,
        licence=config.licence,
        backbone=settings.backbone,
        trained_on=tuple(names or dict.fromkeys(source.dataset.name for source in sources)),
        trained_domains=_domains(sources, names, config.plugins),
    )
    with folder_lock(config.out):
        return training.run(sources, validations, card)


def _whole_source(text: str) -> tuple[Spec, float]:
    """A data set to validate on, all of it."""
    spec, share = parse_source(text)
    if share != 1.0:
        raise UsageError(f"--validate {text}: a share is for --datasets; leave ':{share:g}' out")
    return spec, share


def _domains(
    sources: Sequence[TrainingSource], names: Sequence[str], plugins: Sequence[Path]
) -> tuple[str, ...]:
    """Photos or renders: what the data sets are, and those whose images a table holds."""
    known = DATASETS.plugins(plugins)
    cards = [source.dataset.card for source in sources]
    cards += [DATASETS.load(name, plugins).card for name in names if name in known]
    return tuple(sorted({card.domain for card in cards} - {"unknown"}))
