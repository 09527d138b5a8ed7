"""What a run takes from the cache of finished predictions, and what it puts there."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpbench.inference.cores import usable_cores
from hpbench.method import MethodCard
from hpbench.results.run_record import ReusedRecord, RunRecord
from hpbench.running.evaluation import Evaluation
from hpbench.storage.fingerprints import hash_of, prediction_key
from hpbench.storage.prediction_cache import CacheEntry, PredictionCache
from hpbench.storage.run_folder import RunFolder
from hpbench.storage.schemas import BOX_XYXY
from hpbench.timing.measure import TimingSettings

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "CachedRun",
    "EqualFaces",
    "add_cached",
    "cache_run",
    "find_cached",
    "lacking_faces",
]

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables that decide how many cores a method takes."""

_SEEN_BY_METHODS = (
    "image_id", "image_path", *BOX_XYXY, "camera_matrix", "camera_distortion", "landmarks_xy",
)  # fmt: skip
"""Columns of an index that decide, with the detector, what a method is given of a face."""


@dataclass(frozen=True)
class CachedRun:
    """What the cache has of a run.

    Attributes
    ----------
    keys : dict
        Key of the predictions by (data set, method).
    predictions : dict
        Entries that exist, likewise.
    timing_key : str
    timing : CacheEntry or None
        Rows of ``timing.parquet``; its metadata are ``timing.json``.
    """

    keys: dict[tuple[str, str], str]
    predictions: dict[tuple[str, str], CacheEntry]
    timing_key: str
    timing: CacheEntry | None

    def cards(self) -> dict[str, MethodCard]:
        """Cards of the methods with an entry, by spec."""
        return {
            name: MethodCard.model_validate(entry.metadata["card"])
            for (_, name), entry in self.predictions.items()
        }

    def record(self) -> ReusedRecord:
        """What is reused, and when it was computed."""
        predictions: dict[str, dict[str, str]] = {}
        for (dataset, name), entry in self.predictions.items():
            predictions.setdefault(dataset, {})[name] = entry.metadata["created"]
        timing = None if self.timing is None else self.timing.metadata["created"]
        return ReusedRecord(predictions=predictions, timing=timing)


def find_cached(
    evaluations: Sequence[Evaluation],
    timing: TimingSettings,
    machine: Mapping[str, Any],
    cache: PredictionCache | None,
    digests: Mapping[str, str],
) -> CachedRun:
    """Look up a run; without a cache nothing is found.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Their methods need not be loaded.
    timing : TimingSettings
    machine : mapping
        The machine, as far as it decides times.
    cache : PredictionCache or None
    digests : mapping of str to str
        Of the methods, by spec.
    """
    keys = {
        (one.key, name): prediction_key(one.index_key, digests[name], method.device)
        for one in evaluations
        for name, method in one.methods.items()
    }
    clean = {one.key for one in evaluations if one.corruption is None}
    # the methods are timed against each other, so the times of a run are one entry
    timed = [key for (dataset, _), key in keys.items() if dataset in clean]
    cores = usable_cores(), [os.environ.get(name) for name in _THREADS]
    timing_key = hash_of("timing", timed, asdict(timing), dict(machine), cores, platform.node())
    found = {pair: cache.get(key) for pair, key in keys.items()} if cache else {}
    times = cache.get(timing_key) if cache and timing.mode != "off" else None
    return CachedRun(
        keys, {pair: entry for pair, entry in found.items() if entry}, timing_key, times
    )


def lacking_faces(
    evaluation: Evaluation, folder: RunFolder, cached: CachedRun
) -> dict[str, npt.NDArray[np.bool_]]:
    """Which faces, shape (n,), lack a row in folder and cache, by method that lacks any."""
    lacking = {}
    for name in evaluation.methods:
        done = folder.done(evaluation.indexed, name)
        entry = cached.predictions.get((evaluation.key, name))
        if entry is not None and not done.all():
            done[entry.table(["row"])["row"].to_numpy()] = True
        if not done.all():
            lacking[name] = ~done
    return lacking


def add_cached(evaluations: Iterable[Evaluation], folder: RunFolder, cached: CachedRun) -> None:
    """Put what the cache has into the run folder."""
    for evaluation in evaluations:
        for name in evaluation.methods:
            entry = cached.predictions.get((evaluation.key, name))
            if entry is not None and not folder.done(evaluation.indexed, name).all():
                folder.add_found("cached", evaluation.indexed, name, entry.tables())


def cache_run(
    cache: PredictionCache,
    evaluations: Iterable[Evaluation],
    folder: RunFolder,
    cached: CachedRun,
    record: RunRecord,
    computed: Mapping[str, Iterable[str]],
) -> None:
    """Put what a run has computed into the cache, but for what may turn out otherwise next time.

    Parameters
    ----------
    cache : PredictionCache
    evaluations : iterable of Evaluation
    folder : RunFolder
        With all its parts.
    cached : CachedRun
    record : RunRecord
    computed : mapping of str to iterable of str
        By data set, the methods that were not wholly in the cache.
    """
    import pyarrow.compute as pc

    for evaluation in evaluations:
        first_row = evaluation.indexed.first_row
        for name in evaluation.methods:
            pair = evaluation.key, name
            if pair in cached.predictions and name not in computed[evaluation.key]:
                continue
            found = folder.found(evaluation.indexed, name)
            found = found.filter(pc.invert(found["transient"])).drop_columns(["method"])
            local = found.set_column(0, "row", pc.subtract(found["row"], first_row))
            card = record.methods[name].card.model_dump(mode="json")
            cache.put(cached.keys[pair], local, {"created": record.created, "card": card})


@dataclass(frozen=True)
class EqualFaces:
    """Predictions that runs of one command share: of faces that a method is given alike.

    Two protocols of a data set may differ in a few faces only; their other predictions are the
    same. The runs must have the same methods, data folders and no corruption.
    """

    _finished: list[_FinishedFaces] = field(default_factory=list)

    def add(self, evaluations: Iterable[Evaluation], cached: CachedRun) -> None:
        """Remember a finished run, whose predictions are in the cache."""
        for one in evaluations:
            entries = {name: cached.keys[one.key, name] for name in one.methods}
            self._finished.append(_FinishedFaces(_given_by(one), _face_keys(one), entries))

    def take(self, evaluation: Evaluation, folder: RunFolder, cache: PredictionCache) -> None:
        """Put what finished runs have of the faces of an evaluation into its run folder."""
        alike = [one for one in self._finished if one.given_by == _given_by(evaluation)]
        keys = _face_keys(evaluation)
        included = np.flatnonzero(evaluation.indexed.index.included()).tolist()
        row_of = {keys[row]: row for row in included}
        for name in evaluation.methods:
            if folder.done(evaluation.indexed, name).all():
                continue
            tables = [
                _rows_of_equal_faces(entry.table(), earlier.keys, row_of)
                for earlier in alike
                if (entry := cache.get(earlier.entries[name])) is not None
            ]
            if any(map(len, tables)):
                folder.add_found("shared", evaluation.indexed, name, tables)


@dataclass(frozen=True)
class _FinishedFaces:
    """Faces of a finished evaluation, and the keys of their predictions by method."""

    given_by: str
    keys: Sequence[str]
    entries: Mapping[str, str]


def _given_by(evaluation: Evaluation) -> str:
    """All but the columns of :data:`_SEEN_BY_METHODS` that decides what a method is given."""
    dataset = evaluation.dataset
    root = None if dataset.root is None else str(dataset.root.resolve())
    return hash_of(
        dataset.name, root, dict(dataset.image_options()), evaluation.boxes, evaluation.several
    )


def _face_keys(evaluation: Evaluation) -> list[str]:
    table = evaluation.indexed.index.table.select(list(_SEEN_BY_METHODS))
    return [repr(row) for row in table.to_pylist()]


def _rows_of_equal_faces(
    table: pa.Table, keys: Sequence[str], row_of: Mapping[str, int]
) -> pa.Table:
    """Rows of a cache entry whose faces are wanted, each with the row that it has there."""
    import pyarrow as pa

    rows = [row_of.get(keys[row]) for row in table["row"].to_pylist()]
    moved = table.set_column(table.schema.get_field_index("row"), "row", pa.array(rows, pa.int64()))
    return moved.filter(moved["row"].is_valid())
