"""A whole run: from what the user asked for to a finished run folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpbench.dataset import evenly_spaced
from hpbench.detectors.base import Detector, make_detector
from hpbench.errors import (
    PLUGIN_ERRORS,
    DataError,
    UsageError,
    in_one_line,
    plugin_errors,
    write_errors,
)
from hpbench.images import pixel_limit
from hpbench.inference.devices import resolve_device
from hpbench.inference.progress import Progress
from hpbench.method import Method, MethodCard
from hpbench.registry import load_method, make_methods
from hpbench.results.run_config import ANNOTATED, RunConfig
from hpbench.results.run_record import CorruptionRecord, DatasetRecord, MethodRecord, RunRecord
from hpbench.results.timing_record import TimingRecord
from hpbench.running.batch_size import settle_batch_size
from hpbench.running.corruptions import parse_corruptions
from hpbench.running.data_folders import data_folders
from hpbench.running.evaluation import Evaluation, read_face
from hpbench.running.local_engine import LocalEngine
from hpbench.running.other_run import differences
from hpbench.running.plan import plan
from hpbench.running.reuse import (
    CachedRun,
    EqualFaces,
    add_cached,
    cache_run,
    find_cached,
    lacking_faces,
)
from hpbench.scoring.scores import load_run
from hpbench.scoring.summary import store_results, summarise
from hpbench.storage.atomic import PARTIAL
from hpbench.storage.environment import git_revision, hardware, versions
from hpbench.storage.fingerprints import hash_of
from hpbench.storage.folder_lock import LOCK, folder_lock
from hpbench.storage.loaded_files import method_digests
from hpbench.storage.prediction_cache import PredictionCache
from hpbench.storage.run_folder import RunFolder
from hpbench.storage.schemas import timing_schema
from hpbench.timing.measure import TimedDataset, TimingSettings, time_datasets

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ImagesVanishedError", "predict_run", "run"]

MAX_VANISHED_SHARE = 0.05
"""Of a data set's images: with more the run stops."""


class ImagesVanishedError(DataError):
    """Many images of a data set were there when a run began and are not any more."""


Evaluate = Callable[[Evaluation, RunFolder, Progress, int], None]


def run(config: RunConfig, out: Path, progress: Progress, command: Sequence[str] = ()) -> Path:
    """Run methods over data sets and write the run folder up to ``results.json``.

    Parameters
    ----------
    config : RunConfig
    out : Path
        Run folder; one that holds the same run, stopped, is resumed.
    progress : Progress
    command : sequence of str
        The command line, to be shown under "how to reproduce"; the call of the Python API if there
        is none.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    HpbenchError
        Before any work starts, for everything that can be known then.
    """
    try:
        predict_run(config, out, progress, command)
    except ImagesVanishedError as error:
        raise ImagesVanishedError(f"{error} with --out {out}") from error
    store_results(out, summarise(load_run(out, all_columns=False)))
    return out


def predict_run(
    config: RunConfig,
    out: Path,
    progress: Progress,
    command: Sequence[str] = (),
    shared: EqualFaces | None = None,
) -> Path:
    """Write a run folder as :func:`run` does, but score nothing.

    `shared` has predictions of earlier runs of one command, and is given those of this one.
    """
    _use_system_allocator()
    with pixel_limit(config.max_pixels):
        return _predict_run(config, out, progress, command, shared)


def _predict_run(
    config: RunConfig,
    out: Path,
    progress: Progress,
    command: Sequence[str],
    shared: EqualFaces | None,
) -> Path:
    config = config.model_copy(
        update={"data": data_folders(config.data, config.datasets, config.plugins)}
    )
    prepared = _prepare(config)
    folder = RunFolder(out)
    _stopped_run(out, config, prepared)
    folder.reopen_if_corrupted()
    if config.fresh and (folder.is_finished() or folder.uses_cache()):
        raise UsageError(f"{out}: already contains predictions; use a new --out or drop --fresh")
    if folder.is_finished():
        _refuse_other_options(out, config)
        _remember_by(out, config.by)
        return out
    with folder_lock(out):
        stopped = _stopped_run(out, config, prepared)
        if not folder.is_finished():  # meanwhile, by another process
            _Filling(folder, config, prepared, progress, shared).fill(stopped, command)
    return out


@dataclass(frozen=True)
class _Filling:
    """Predicts and times what a run folder and the cache lack, and finishes the folder."""

    folder: RunFolder
    config: RunConfig
    prepared: _PreparedRun
    progress: Progress
    shared: EqualFaces | None

    def fill(self, stopped: Mapping[str, MethodRecord], command: Sequence[str]) -> None:
        """Do all of it; `stopped` is what a run that is resumed has recorded of its methods."""
        folder, evaluations, cached = self.folder, self.prepared.evaluations, self.prepared.cached
        folder.drop_corrupted_parts()
        needed, faces = self._needed()
        stored_times = _stored_times(cached)
        with _open_engine(self.config, needed, faces) as evaluate:
            cards = self._load(needed, stopped)
            batch_size = settle_batch_size(self.config.batch_size, needed)
            record = _describe(self.config, self.prepared, cards, stopped, command, batch_size)
            _create(folder, record, evaluations)
            add_cached(evaluations, folder, cached)
            with _incidents_kept(record, self.prepared.methods, folder.path):
                self._predict(needed, evaluate, batch_size)
        folder.drop_corrupted_parts()
        if any(map(self._lacks_rows, evaluations)):
            raise DataError(
                f"{folder.path}: files of the run are gone or corrupted; repeat the command"
            )
        self._finish(record, needed, stored_times)

    def _lacks_rows(self, evaluation: Evaluation) -> bool:
        """Whether the folder itself lacks a prediction; what the cache has was put there."""
        done = (self.folder.done(evaluation.indexed, name) for name in evaluation.methods)
        return not all(one.all() for one in done)

    def _needed(self) -> tuple[list[Evaluation], int]:
        """The evaluations with the methods that lack a row, and how many faces lack one."""
        cached = self.prepared.cached
        needed, faces = [], 0
        for one in self.prepared.evaluations:
            lacking = lacking_faces(one, self.folder, cached)
            needed.append(replace(one, methods={name: one.methods[name] for name in lacking}))
            if lacking:
                faces += int(np.logical_or.reduce(list(lacking.values())).sum())
        # what earlier runs share is taken later, and may leave only a few faces
        return needed, faces if self.shared is None else 0

    def _load(
        self, needed: Sequence[Evaluation], stopped: Mapping[str, MethodRecord]
    ) -> dict[str, MethodCard]:
        """Load what will predict or be timed, and read the cards of that; all cards by method."""
        prepared = self.prepared
        cards = {name: method.card for name, method in stopped.items()} | prepared.cached.cards()
        must_time = prepared.settings.mode != "off" and prepared.cached.timing is None
        to_run = {name for one in needed for name in one.methods}
        for name, method in prepared.methods.items():
            if must_time or name not in cards or name in to_run:
                if name not in prepared.loaded:
                    load_method(method)
                with plugin_errors(f"method '{name}' cannot describe itself, its card() fails"):
                    cards[name] = method.card()
        if prepared.detector is not None and (must_time or to_run):
            prepared.detector.load()
        return cards

    def _predict(self, needed: Sequence[Evaluation], evaluate: Evaluate, batch_size: int) -> None:
        for one, lacking in zip(self.prepared.evaluations, needed, strict=True):
            if self.shared is not None and lacking.methods:
                self.shared.take(lacking, self.folder, PredictionCache())
            if self._lacks_rows(one):
                absent = _absent_share(one)
                evaluate(lacking, self.folder, self.progress, batch_size)
                _stop_if_images_vanished(one, self.folder, absent)

    def _finish(
        self,
        record: RunRecord,
        computed: Sequence[Evaluation],
        stored_times: tuple[pa.Table, TimingRecord] | None,
    ) -> None:
        """Time the methods, put what was computed into the cache, and write the tables."""
        folder, evaluations, cached = self.folder, self.prepared.evaluations, self.prepared.cached
        cache = PredictionCache()
        times, timing = stored_times or _measure_times(self.prepared, cache, self.progress)
        timing.write(folder.path)
        cache_run(cache, evaluations, folder, cached, record, {o.key: o.methods for o in computed})
        if self.shared is not None:
            self.shared.add(evaluations, cached)
        _record_incidents(record, self.prepared.methods, folder.path)
        folder.finish([(one.indexed, list(one.methods)) for one in evaluations], times)


@dataclass(frozen=True)
class _PreparedRun:
    """What is settled before any work starts.

    Nothing is loaded yet but methods of which it is not known what files they read then.
    """

    methods: Mapping[str, Method]
    detector: Detector | None
    evaluations: Sequence[Evaluation]
    settings: TimingSettings
    machine: Mapping[str, str | int | float | None]
    cached: CachedRun
    digests: Mapping[str, str]
    loaded: Collection[str]

    @property
    def fingerprint(self) -> str:
        """Hash that tells whether a folder holds the same run."""
        keys = [one.index_key for one in self.evaluations], list(self.cached.keys.values())
        return hash_of(*keys)

    def evaluations_to_time(self) -> list[Evaluation]:
        """Those on clean images; none where no time is taken."""
        clean = [one for one in self.evaluations if one.corruption is None]
        return clean if self.settings.mode != "off" else []


def _prepare(config: RunConfig) -> _PreparedRun:
    device = resolve_device(config.device)
    corruptions = parse_corruptions(config.corrupt, config.seed)
    methods = make_methods(config.methods, device, config.plugins)
    detector = None if config.boxes == ANNOTATED else make_detector(config.boxes, config.plugins)
    cache = None if config.fresh else PredictionCache()
    evaluations = plan(config, methods, detector, corruptions, cache)
    mode = config.timing if config.timing_images else "off"
    settings = TimingSettings(mode, config.timing_images)
    machine = hardware(device)
    digests, loaded = method_digests(methods)
    cached = find_cached(evaluations, settings, machine, cache, digests)
    return _PreparedRun(methods, detector, evaluations, settings, machine, cached, digests, loaded)


def _use_system_allocator() -> None:
    """Let Arrow use the system's allocator; its own keeps what is freed, table after table."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())


@contextmanager
def _open_engine(
    config: RunConfig, evaluations: Sequence[Evaluation], faces: int
) -> Iterator[Evaluate]:
    """The accuracy pass of this machine, or of a cluster that is connected to for it.

    `faces` is how many of the evaluations are known to lack a prediction.
    """
    lacking = [one for one in evaluations if one.methods]
    if config.engine == "ray" and lacking:
        from hpbench.running.ray_engine import RayCluster

        with RayCluster(config.address, config.workers) as cluster:
            yield cluster.evaluate_dataset
    else:
        with LocalEngine(lacking, config.workers) as engine:
            engine.start_readers(faces)
            yield engine.evaluate_dataset


def _stopped_run(
    out: Path, config: RunConfig, prepared: _PreparedRun
) -> Mapping[str, MethodRecord]:
    """What a run that is resumed has recorded of its methods; nothing where the folder is new.

    Raises
    ------
    UsageError
        If the folder holds something else, or a run of another configuration.
    """
    if (out / RunRecord.file_name).exists():
        record = RunRecord.read(out)
        if record.fingerprint != prepared.fingerprint:
            found = differences(
                record, config, prepared.evaluations, prepared.methods, prepared.digests
            )
            raise UsageError(
                f"{out}: contains another run ({'; '.join(found)}); use a new --out, or delete "
                "the folder"
            )
        return record.methods
    if out.exists() and (not out.is_dir() or any(not _is_leftover(p) for p in out.iterdir())):
        raise UsageError(f"{out}: is not empty and not a run folder; use a new --out")
    return {}


def _absent_share(evaluation: Evaluation) -> float:
    """Share of a data set's images that are no files, estimated from some of them."""
    index = evaluation.indexed.index
    some = index.take(evenly_spaced(len(index), 1000))
    return float(np.mean([not record.image_path.is_file() for record in some]))


def _stop_if_images_vanished(evaluation: Evaluation, folder: RunFolder, absent: float) -> None:
    """Raise where more images could not be found than were absent before.

    What is stored of them is deleted, so that they are read again when the run is resumed.
    """
    indexed, total = evaluation.indexed, len(evaluation.indexed.index)
    vanished = folder.missing_images(indexed)
    if len(vanished) > (absent + MAX_VANISHED_SHARE) * total:
        folder.drop_faces(indexed, vanished)
        raise ImagesVanishedError(
            f"data set '{evaluation.key}': {len(vanished)} of {total} images vanished during the "
            "run; bring its folder back and repeat the command"
        )


def _is_leftover(path: Path) -> bool:
    """Whether a run that was killed at once has left a file; the folder is as good as empty."""
    return PARTIAL in path.name or path.name == LOCK


def _refuse_other_options(out: Path, config: RunConfig) -> None:
    """Raise where a finished run was made with options that its fingerprint leaves out."""
    spec = RunRecord.read(out).spec
    names = ["seed", "timing", *(["timing_images"] if config.timing != "off" else [])]
    other = [
        f"--{name.replace('_', '-')} {getattr(spec, name)}"
        for name in names
        if getattr(spec, name) != getattr(config, name)
    ]
    if other:
        raise UsageError(
            f"{out}: is finished, with {', '.join(other)}; use a new --out for other values"
        )


def _remember_by(out: Path, by: str) -> None:
    """A finished run may be asked for other slices: they need no new predictions."""
    record = RunRecord.read(out)
    if record.spec.by != by:
        spec = record.spec.model_copy(update={"by": by})
        with folder_lock(out):
            record.model_copy(update={"spec": spec}).write(out)


def _create(folder: RunFolder, record: RunRecord, evaluations: Sequence[Evaluation]) -> None:
    """Write what is known before the first face is read."""
    with write_errors(folder.path):
        folder.path.mkdir(parents=True, exist_ok=True)
        record.write(folder.path)
        folder.write_index(one.indexed for one in evaluations)


@contextmanager
def _incidents_kept(record: RunRecord, methods: Mapping[str, Method], out: Path) -> Iterator[None]:
    """Record what went wrong on the way also of a run that stops; the resumed run adds its own."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # what stopped the run is the news
            _record_incidents(record, methods, out)
        raise


def _record_incidents(record: RunRecord, methods: Mapping[str, Method], out: Path) -> None:
    """Write what went wrong on the way into ``run.json``, where there was anything."""
    incidents = {name: _incidents_of(method) for name, method in methods.items()}
    if any(incidents.values()):
        described = {
            name: one.model_copy(update={"incidents": (*one.incidents, *incidents[name])})
            for name, one in record.methods.items()
        }
        record.model_copy(update={"methods": described}).write(out)


def _incidents_of(method: Method) -> tuple[str, ...]:
    """What went wrong on the way; a method that fails to say it must not cost a run."""
    try:
        return tuple(method.incidents())
    except PLUGIN_ERRORS as error:
        return (f"its incidents() fails: {in_one_line(error)}",)


def _stored_times(cached: CachedRun) -> tuple[pa.Table, TimingRecord] | None:
    """What :func:`_measure_times` has put into the cache; read before the run has taken hours."""
    if cached.timing is None:
        return None
    return cached.timing.table(), TimingRecord.model_validate(cached.timing.metadata)


def _measure_times(
    prepared: _PreparedRun, cache: PredictionCache, progress: Progress
) -> tuple[pa.Table, TimingRecord]:
    """Rows of ``timing.parquet``, and what they amount to."""
    import pyarrow as pa

    rows, record = time_datasets(
        [_timed(one, prepared.settings.faces) for one in prepared.evaluations_to_time()],
        prepared.settings,
        str(prepared.machine["device"]),
        progress,
    )
    table = pa.Table.from_pylist(rows, schema=timing_schema())
    if prepared.settings.mode != "off":
        cache.put(prepared.cached.timing_key, table, record.as_json())
    return table, record


def _timed(evaluation: Evaluation, count: int) -> TimedDataset:
    """Faces spread evenly over a data set; those that cannot be used are left out."""
    index = evaluation.indexed.index
    usable = np.flatnonzero(index.included() if evaluation.methods else [])
    chosen = usable[evenly_spaced(len(usable), count)]
    read = (read_face(evaluation, record).face for record in index.take(chosen))
    faces = [face for face in read if face is not None]
    methods = {n: m for n, m in evaluation.methods.items() if not m.stored_members}
    return TimedDataset(evaluation.key, faces, methods, evaluation.detector, evaluation.plugins)


def _as_call(config: RunConfig) -> str:
    """The call of the Python API that makes such a run."""

    def plain(value: object) -> object:
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, tuple):
            return [plain(one) for one in value]
        return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value

    given = [
        f"{field.validation_alias or name}={plain(getattr(config, name))!r}"
        for name, field in type(config).model_fields.items()
        if getattr(config, name) != field.default
    ]
    return f"hpbench.run({', '.join(given)})"


def _describe(
    config: RunConfig,
    prepared: _PreparedRun,
    cards: Mapping[str, MethodCard],
    stopped: Mapping[str, MethodRecord],
    command: Sequence[str],
    batch_size: int,
) -> RunRecord:
    return RunRecord(
        hpbench=versions()["hpbench"],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=tuple(command) or (_as_call(config),),
        fingerprint=prepared.fingerprint,
        spec=config,
        seed=config.seed,
        versions=versions(),
        hardware=dict(prepared.machine),
        batch_size=batch_size,
        reused=prepared.cached.record(),
        git=git_revision(),
        methods={
            name: MethodRecord(
                name=method.name,
                fingerprint=method.fingerprint(),
                digest=prepared.digests[name],
                card=cards[name],
                stored=bool(method.stored_members),
                incidents=stopped[name].incidents if name in stopped else (),
            )
            for name, method in prepared.methods.items()
        },
        datasets={one.key: _describe_dataset(one) for one in prepared.evaluations},
    )


def _describe_dataset(evaluation: Evaluation) -> DatasetRecord:
    dataset, protocol, corruption = evaluation.dataset, evaluation.protocol, evaluation.corruption
    return DatasetRecord(
        name=dataset.name,
        card=dataset.card,
        protocol=protocol,
        protocol_hash=protocol.hash,
        boxes=evaluation.detector.name if evaluation.detector else ANNOTATED,
        resample=dataset.resample,
        digest=evaluation.index_key,
        not_run=dict(evaluation.unsupported),
        warnings=tuple(evaluation.warnings),
        corruption=corruption
        and CorruptionRecord(
            name=corruption.name, level=corruption.level, of=str(evaluation.clean_key)
        ),
    )
