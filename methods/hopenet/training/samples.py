"""Training faces: collected from data sets, counted, and split from the validation faces."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Dataset, Record
from hpbench.errors import DataError, UsageError
from hpbench.inference.faces import each_record
from hpbench.labels.files import faces_of, review_files
from hpbench.labels.plausibility import review_labels, screened
from hpbench.labels.suspicion import stop_at
from hpbench.methods.hopenet.bins import Bins
from hpbench.methods.hopenet.training.settings import OutOfRange
from hpbench.spec import Spec, parse_spec
from hpbench.storage.fingerprints import hash_of

__all__ = ["Sample", "TrainingSource", "collect_samples", "held_out", "parse_source"]

_OUTSIDE = "label outside the bins"


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled face with its box; NaN marks an angle that is not labelled."""

    record: Record
    box_xyxy: npt.NDArray[np.float64]
    angles_deg: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrainingSource:
    """The usable faces of one data set, by the name that the user wrote.

    `weight` is the share of the training faces that is drawn from here, relative to other sources;
    `left_out` counts unusable faces by reason, `clipped` labels that were moved to the nearest bin;
    `warnings` say what looks wrong with labels, boxes and files, and does not stop the training.
    """

    name: str
    dataset: Dataset
    weight: float
    samples: list[Sample]
    left_out: Counter[str]
    clipped: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """Text that changes with whatever is trained or validated on."""
        faces = hash_of(
            [(one.record.image_id, one.box_xyxy.tolist(), one.angles_deg.tolist())
             for one in self.samples]
        )  # fmt: skip
        return f"{self.name}:{self.weight:g} ({len(self.samples)} faces, {faces[:12]})"

    @property
    def summary(self) -> str:
        """One line for the log."""
        parts = [f"{self.name}: {len(self.samples)} faces"]
        if self.clipped:
            parts.append(f"{self.clipped} of them clipped: {_OUTSIDE}")
        parts += [f"{count} left out: {why}" for why, count in self.left_out.items()]
        return "; ".join(parts)


def parse_source(text: str) -> tuple[Spec, float]:
    """Data set and share, 1 if not given, of ``NAME[=DIR][KEY=VALUE,...][:SHARE]``.

    Raises
    ------
    UsageError
        If the text has another form.

    Examples
    --------
    >>> spec, share = parse_source("synthetic=renders/a:0.7")
    >>> spec.path, share
    ('renders/a', 0.7)
    """
    shared = re.fullmatch(r"(.*):(\d*\.?\d+)", text)
    source, share = (shared[1], float(shared[2])) if shared else (text, 1.0)
    if share <= 0.0:
        raise UsageError(f"'{text}': the share is zero; write one above, such as {source}:0.7")
    return parse_spec(source), share


def collect_samples(
    name: str,
    dataset: Dataset,
    weight: float,
    bins: Bins,
    out_of_range: OutOfRange,
    whole_labels: bool = False,
) -> TrainingSource:
    """Take the faces of a data set that can be trained on, with `whole_labels` of three angles.

    A label outside the bins is dropped or clipped; either way it is counted.

    Raises
    ------
    DataError
        If no face is left, or labels look like radians or other mistakes.
    """
    samples: list[Sample] = []
    left_out: Counter[str] = Counter()
    clipped = 0
    records = list(screened(each_record(dataset)))
    suspicions = [*review_labels(records, dataset), *review_files(dataset, faces_of(records))]
    stop_at(suspicions, name, dataset, trust="")
    warnings = tuple(one.line(name, dataset, trust="") for one in suspicions)
    for record in records:
        sample = _usable(record, whole_labels)
        if isinstance(sample, str):
            left_out[sample] += 1
            continue
        angles = sample.angles_deg
        if not bool(bins.covers(np.nan_to_num(angles))):
            if out_of_range == "drop":
                left_out[_OUTSIDE] += 1
                continue
            clipped += 1
            inside = np.clip(angles, bins.first_edge_deg, bins.last_edge_deg - 1e-6)
            sample = Sample(sample.record, sample.box_xyxy, inside)
        samples.append(sample)
    source = TrainingSource(name, dataset, weight, samples, left_out, clipped, warnings)
    if not samples:
        raise DataError(f"no face to train on in {source.summary}")
    return source


def _usable(record: Record, whole_label: bool) -> Sample | str:
    """The face as a sample, or the reason why it is none."""
    if record.excluded is not None:
        return record.excluded
    if record.label is None or not np.isfinite(record.label.angles_deg).any():
        return "no label"
    if whole_label and not np.isfinite(record.label.angles_deg).all():
        return "a label that lacks an angle, which rotation6d needs"
    box = record.box_xyxy
    if box is None:
        return "no face box"
    if not np.isfinite(box).all() or (box[2:] - box[:2] < 2.0).any():
        return "face box without area"
    return Sample(record, np.asarray(box, dtype=np.float64), record.label.angles_deg)


def held_out(sources: Sequence[TrainingSource], share: float) -> list[npt.NDArray[np.bool_]]:
    """Choose the faces of every source for validation: whole groups (people, sequences) if any.

    A name is chosen by its hash, in every run, and whoever else is added. Of the few names of a
    source at least one is chosen, but never all of them. What is chosen of one source is held out
    of all that call it the same.

    Raises
    ------
    UsageError
        If nothing is left of a source to train on.
    """
    names = [
        [sample.record.group or sample.record.image_id for sample in source.samples]
        for source in sources
    ]
    chosen = set().union(*(_chosen(set(of_source), share) for of_source in names))
    masks = [np.array([name in chosen for name in of_source], dtype=bool) for of_source in names]
    for source, mask in zip(sources, masks, strict=True):
        if mask.all():
            raise UsageError(
                f"{source.name}: all of its people or sequences are held out with those of another "
                "data set; leave it out, or give another --holdout"
            )
    return masks


def _chosen(names: set[str], share: float) -> set[str]:
    first, *others = sorted(names, key=_place)
    if share <= 0.0 or not others:
        return set()
    return {first} | {name for name in others[:-1] if _place(name) < share}


def _place(key: str) -> float:
    """Where a name falls by chance between 0 and 1, always at the same place."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2.0**64
