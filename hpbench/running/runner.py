"""A whole run: from what the user asked for to a finished run folder."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path

from hpbench.dataset import Dataset, Record
from hpbench.detectors.base import Detector, make_detector
from hpbench.errors import DataError, UsageError
from hpbench.inference.devices import resolve_device
from hpbench.method import Method
from hpbench.protocol import Protocol
from hpbench.registry import DATASETS, load_method, make_method
from hpbench.results.run_config import ANNOTATED, RunConfig
from hpbench.results.run_record import (
    CorruptionRecord,
    DatasetRecord,
    MethodRecord,
    RunRecord,
)
from hpbench.results.timing_record import TimingRecord
from hpbench.running.corruptions import Corruption, corrupted_protocol, parse_corruptions
from hpbench.running.data_folders import data_folders
from hpbench.running.local_engine import Evaluation, Progress, evaluate_dataset
from hpbench.running.records import LazyRecords
from hpbench.running.reuse import Reuse, keep_run, plan_reuse, seen_in
from hpbench.scoring.scores import load_run
from hpbench.scoring.summary import summarise
from hpbench.spec import Spec, build_options, parse_specs, suggest
from hpbench.storage.environment import git_revision, hardware, versions
from hpbench.storage.prediction_cache import PredictionCache, content_digest, faces_key
from hpbench.storage.run_folder import RunFolder
from hpbench.timing.measure import TimingPass, TimingSettings, time_evaluations

__all__ = ["dataset_items", "open_dataset", "predict_run", "run"]


def run(spec: RunConfig, out: Path, progress: Progress, command: Sequence[str] = ()) -> Path:
    """Run methods over data sets and write the run folder up to ``results.json``.

    Parameters
    ----------
    spec : RunConfig
    out : Path
        Run folder; one that holds the same run, stopped, is taken up where it was.
    progress : Progress
    command : sequence of str
        The command line, to be shown under "how to reproduce".

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    HpbenchError
        Before any work starts, for everything that can be known then.
    """
    predict_run(spec, out, progress, command)
    summarise(load_run(out, all_columns=False)).write(out)
    return out


def predict_run(
    spec: RunConfig, out: Path, progress: Progress, command: Sequence[str] = ()
) -> Path:
    """The same up to the tables of predictions and times, without their summary."""
    _use_system_allocator()
    spec = spec.model_copy(update={"data": data_folders(spec.data, spec.datasets)})
    corruptions = parse_corruptions(spec.corrupt, spec.seed)
    device = resolve_device(spec.device)
    methods = {
        str(item): make_method(item, device, spec.plugins) for item in parse_specs(spec.methods)
    }
    detector = None if spec.boxes == ANNOTATED else make_detector(spec.boxes, spec.plugins)
    prepared = _prepare_datasets(spec, detector.fingerprint() if detector else ANNOTATED)
    store = None if spec.fresh else PredictionCache()
    clean = [
        _make_evaluation(key, *item, methods, detector, spec, store)
        for key, item in prepared.items()
    ]
    evaluations = [
        evaluation
        for one in clean
        for evaluation in (one, *(_corrupt_evaluation(one, c) for c in corruptions))
    ]

    machine = hardware(device)
    timing = TimingSettings(spec.timing if spec.timing_images else "off", spec.timing_images)
    reuse = plan_reuse(evaluations, spec.limit, timing, machine, RunFolder(out), store)
    if spec.fresh:
        _refuse_old_predictions(RunFolder(out))
    with _open_engine(
        spec, any(reuse.open_methods(evaluation) for evaluation in evaluations)
    ) as evaluate:
        for name in reuse.must_load(evaluations, list(methods)):
            load_method(methods[name])
        if detector is not None and not reuse.covers(evaluations):
            detector.load()
        folder = _open_folder(out, _describe(spec, machine, methods, evaluations, reuse, command))
        if not folder.is_finished():
            reuse.fill(folder)
            for evaluation in evaluations:
                missing = reuse.open_methods(evaluation)
                if missing:
                    evaluate(
                        replace(evaluation, methods=missing), folder, progress, spec.batch_size
                    )
    if not folder.is_finished():
        timed = _timing_pass(clean, timing, reuse, progress)
        timed.summary.write(out)
        folder.finish(timed.rows, _order(evaluations, folder.reused_faces()))
        keep_run(store or PredictionCache(), reuse, evaluations, timed, folder)
    return out


def _use_system_allocator() -> None:
    """Let Arrow use the system's allocator; its own keeps what is freed, table after table."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())


def _refuse_old_predictions(folder: RunFolder) -> None:
    if folder.is_finished() or folder.reused_predictions():
        raise UsageError(f"{folder.path}: holds predictions already; --fresh needs another --out")


Evaluate = Callable[[Evaluation, RunFolder, Progress, int], None]


@contextmanager
def _open_engine(spec: RunConfig, needed: bool) -> Iterator[Evaluate]:
    """The accuracy pass of this machine, or of a cluster that is connected to for it."""
    if spec.engine == "ray" and needed:
        from hpbench.running.ray_engine import RayCluster

        with RayCluster(spec.address, spec.workers) as cluster:
            yield cluster.evaluate_dataset
    else:
        yield partial(evaluate_dataset, workers=spec.workers)


def _timing_pass(
    evaluations: Sequence[Evaluation], settings: TimingSettings, reuse: Reuse, progress: Progress
) -> TimingPass:
    if reuse.timing is not None:
        return TimingPass(reuse.timing.rows(), TimingRecord.model_validate(reuse.timing.about))
    return time_evaluations(evaluations, settings, progress)


def open_dataset(
    kind: type[Dataset],
    item: Spec,
    root: Path | None = None,
    protocol_name: str = "default",
    boxes: str = ANNOTATED,
) -> tuple[Dataset, Protocol]:
    """Make a data set and settle the protocol that its options amount to.

    Parameters
    ----------
    kind : type of Dataset
    item : Spec
        The user's spec; its options win over those of the named protocol.
    root : Path or None
        Folder of the data set.
    protocol_name : str
    boxes : str
        ``annotated``, or the fingerprint of a detector.

    Returns
    -------
    dataset : Dataset
        Nothing is read yet, save a file that an option names.
    protocol : Protocol
        With all settings of the data set; options that differ from the named protocol are in
        its name, as in ``default (box=pt2d-visible)``.

    Raises
    ------
    UsageError
        If the data set has no such protocol, or an option does not fit.
    """
    known = {protocol.name: protocol for protocol in kind.protocols}
    if protocol_name not in known:
        raise UsageError(
            f"data set '{kind.name}' has no protocol '{protocol_name}'; "
            f"{suggest(protocol_name, known)}"
        )
    base = known[protocol_name]
    options = {**base.settings, **item.options}
    dataset = kind(root, build_options(kind.Options, options, f"data set '{item.name}'"))
    settings = dataset.protocol_settings()
    changed = ",".join(
        f"{key}={settings.get(key)}"
        for key in sorted(item.options)
        if settings.get(key) != base.settings.get(key)
    )
    name = f"{base.name} ({changed})" if changed else base.name
    update = {"name": name, "boxes": boxes, "settings": settings}
    return dataset, base.model_copy(update=update)


def dataset_items(spec: RunConfig) -> dict[str, Spec]:
    """Data sets of a run as the user wrote them, by the name they have in the tables."""
    items = DATASETS.parse(spec.datasets, spec.plugins)
    names = [item.name for item in items]
    found: dict[str, Spec] = {}
    for item in items:
        key = item.name if names.count(item.name) == 1 else str(item)
        if key == item.name and key in found:
            key = f"{item.name}={item.path}"
        found[key] = item
    return found


def _prepare_datasets(spec: RunConfig, boxes: str) -> dict[str, tuple[Dataset, Protocol]]:
    """Data sets with their protocols, by the name they have in the tables."""
    items = dataset_items(spec)
    known = {item.name for item in items.values()}
    for name in spec.data:
        if name not in known:
            raise UsageError(
                f"--data {name}=...: no such data set in this run; {suggest(name, known)}"
            )
    prepared: dict[str, tuple[Dataset, Protocol]] = {}
    for key, item in items.items():
        kind = DATASETS.load(item.name, spec.plugins)
        root = Path(item.path) if item.path else spec.data.get(item.name)
        prepared[key] = open_dataset(kind, item, root, spec.protocol, boxes)
    return prepared


def _make_evaluation(
    key: str,
    dataset: Dataset,
    protocol: Protocol,
    methods: Mapping[str, Method],
    detector: Detector | None,
    spec: RunConfig,
    store: PredictionCache | None,
) -> Evaluation:
    records = LazyRecords(partial(_each_record, key, dataset, spec.limit))
    content = content_digest(dataset, records)
    kept = store.find(faces_key(dataset, protocol, spec.limit, content)) if store else None
    seen = kept.about if kept is not None else seen_in(records)
    declined = {}
    for name, method in methods.items():
        reason = method.unsupported_reason(dataset.name, seen["has_camera"], seen["has_landmarks"])
        if reason is not None:
            declined[name] = reason
    taking_part = {name: method for name, method in methods.items() if name not in declined}
    return Evaluation(
        key, dataset, protocol, records, taking_part, detector, declined, spec.plugins,
        content=content,
    )  # fmt: skip


def _corrupt_evaluation(evaluation: Evaluation, corruption: Corruption) -> Evaluation:
    """The same faces and methods, with every face corrupted."""
    if corruption.kind.by_box and all(record.box_xyxy is None for record in evaluation.records):
        raise UsageError(
            f"--corrupt {corruption}: needs annotated boxes, and data set '{evaluation.key}' "
            "has none; use downsample, noise, jpeg or dark"
        )
    return replace(
        evaluation,
        key=f"{evaluation.key} + {corruption}",
        protocol=corrupted_protocol(evaluation.protocol, corruption),
        corruption=corruption,
        clean_key=evaluation.key,
    )


def _each_record(key: str, dataset: Dataset, limit: int | None) -> Iterator[Record]:
    seen: set[str] = set()
    for record in islice(dataset.iter_records(), limit):
        if record.image_id in seen:
            raise DataError(f"data set '{key}' has two faces with the id '{record.image_id}'")
        seen.add(record.image_id)
        yield record
    if not seen:
        raise DataError(f"data set '{key}' holds no faces")


def _open_folder(path: Path, record: RunRecord) -> RunFolder:
    """Start a run folder, or resume the stopped run in it.

    Raises
    ------
    UsageError
        If the folder holds something else, or a run of another specification.
    DataError
        If the folder cannot be written.
    """
    if (path / RunRecord.file_name).exists():
        if RunRecord.read(path).fingerprint != record.fingerprint:
            raise UsageError(
                f"{path}: contains a run of other methods, data or options; use a new --out"
            )
    elif path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path}: is not empty and not a run folder; use a new --out")
    folder = RunFolder(path)
    try:
        folder.parts.mkdir(parents=True, exist_ok=True)
        record.write(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
    return folder


def _describe(
    spec: RunConfig,
    machine: Mapping[str, str | int | float | None],
    methods: Mapping[str, Method],
    evaluations: Sequence[Evaluation],
    reuse: Reuse,
    command: Sequence[str],
) -> RunRecord:
    """Content of ``run.json``."""
    answers_depend_on = [*reuse.faces_keys.values(), *reuse.predictions_keys.values()]
    return RunRecord(
        hpbench=versions()["hpbench"],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=tuple(command) or (Path(sys.argv[0]).name, *sys.argv[1:]),
        fingerprint=hashlib.sha256(json.dumps(answers_depend_on).encode()).hexdigest(),
        spec=spec,
        seed=spec.seed,
        versions=versions(),
        hardware=dict(machine),
        reused=reuse.describe(),
        git=git_revision(),
        methods={
            name: MethodRecord(
                name=method.name, fingerprint=method.fingerprint(), card=reuse.card(name, method)
            )
            for name, method in methods.items()
        },
        datasets={evaluation.key: _describe_dataset(evaluation) for evaluation in evaluations},
    )


def _describe_dataset(evaluation: Evaluation) -> DatasetRecord:
    corruption = evaluation.corruption
    return DatasetRecord(
        name=evaluation.dataset.name,
        card=evaluation.dataset.card,
        protocol=evaluation.protocol,
        protocol_hash=evaluation.protocol.hash,
        boxes=evaluation.detector.name if evaluation.detector else ANNOTATED,
        resample=evaluation.dataset.resample,
        not_run=dict(evaluation.declined),
        corruption=corruption
        and CorruptionRecord(name=corruption.name, level=corruption.level, of=evaluation.clean_key),
    )


def _order(
    evaluations: Sequence[Evaluation], reused: Mapping[str, Sequence[str]]
) -> dict[str, Iterable[str]]:
    """Ids of all faces in order; data sets whose faces are reused are not read for it."""
    return {
        evaluation.key: reused.get(evaluation.key)
        or (record.image_id for record in evaluation.records)
        for evaluation in evaluations
    }
