"""The timing pass: serial, one face at a time, apart from the accuracy pass.

Rounds are interleaved over the methods, so that a machine that slows down hits all alike;
the garbage collector is off inside a round; the device is waited for around every step. The
full pass adds what takes longer: throughput over batch sizes, and, in fresh processes, the
cold start, the peak memory, and one core against all.

How times are measured is described in docs/timing.md.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from hpbench.detectors.base import Detector
from hpbench.errors import PLUGIN_ERRORS, HpbenchError, in_one_line
from hpbench.face import Face
from hpbench.inference.cores import usable_cores
from hpbench.inference.progress import Progress
from hpbench.inference.solving import infer_inputs, prepare_face
from hpbench.method import Method, ModelSize, NoPrediction
from hpbench.results.run_config import TimingMode
from hpbench.results.timing_record import (
    MethodTiming,
    Throughput,
    TimeSummary,
    TimingConditions,
    TimingRecord,
)
from hpbench.scoring.runtime import summarise_times
from hpbench.storage.schemas import STAGES
from hpbench.timing.cold_start import FreshRun, describe_cold_start, describe_cores, measure_fresh
from hpbench.timing.throughput import MAX_BATCH, measure_throughput, no_garbage_collection

__all__ = ["TimedDataset", "TimingSettings", "time_datasets", "time_methods"]

_log = logging.getLogger("hpbench")

ROUNDS: dict[TimingMode, int] = {"off": 0, "quick": 3, "full": 5}
"""How often every method predicts every timed face."""

WARM_UP_FACES = 3
"""Faces that every method predicts before the clock counts."""

FRESH_ROUNDS = 3
"""How often a process is started for the cold start."""

Row = dict[str, Any]


@dataclass(frozen=True)
class TimingSettings:
    """What the timing pass measures: on `faces` faces, spread evenly over each data set.

    ``quick`` is the serial pass; ``full`` adds throughput, threads and cold start.
    """

    mode: TimingMode = "quick"
    faces: int = 32

    @property
    def rounds(self) -> int:
        """How often every method predicts every timed face."""
        return ROUNDS[self.mode]


@dataclass(frozen=True)
class TimedDataset:
    """What is timed on one data set: loaded methods, by canonical spec, on some of its faces.

    `key` is its name in the tables. The detector is loaded, and None where the faces have annotated
    boxes. `plugins` are files that a new process has to import to know the methods.
    """

    key: str
    faces: Sequence[Face]
    methods: Mapping[str, Method]
    detector: Detector | None = None
    plugins: Sequence[Path] = ()


_SERIAL, _BATCHES, _FRESH = "timing", "timing of batches", "timing of new processes"
"""What stands in the place of a method while times are taken."""


def time_datasets(
    datasets: Sequence[TimedDataset], settings: TimingSettings, device: str, progress: Progress
) -> tuple[list[Row], TimingRecord]:
    """Time all methods on all data sets of a run; none if the mode is ``off``.

    `device` is the one that the methods were made for; `progress` is told between the measurements,
    never inside one.

    Returns
    -------
    rows : list of dict
        For ``timing.parquet``: one row per face, method and round, times in milliseconds.
    record : TimingRecord
    """
    load_before = _load_average()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    rows: list[Row] = []
    described: dict[str, dict[str, MethodTiming]] = {}
    for dataset in datasets:
        dataset_rows = time_methods(dataset, settings.rounds, progress)
        rows += dataset_rows
        full = settings.mode == "full" and len(dataset.faces) > 0
        described[dataset.key] = _describe_methods(dataset, dataset_rows, full, progress)
    record = TimingRecord(
        created=started,
        **asdict(settings),
        rounds=settings.rounds,
        conditions=_conditions(device, load_before),
        datasets=described,
    )
    return rows, record


def time_methods(dataset: TimedDataset, rounds: int, progress: Progress) -> list[Row]:
    """Time the steps of all methods, face by face; the methods take turns.

    The rows are those of ``timing.parquet``, all times in milliseconds per face.
    """
    progress.start(dataset.key, _SERIAL, rounds, 0)
    for method in dataset.methods.values():
        for face in dataset.faces[:WARM_UP_FACES]:
            _time_face(method, face, dataset.detector)
    rows: list[Row] = []
    for number in range(rounds):
        with no_garbage_collection():
            for face in dataset.faces:
                for name, method in dataset.methods.items():
                    row = {"dataset": dataset.key, "method": name, "image_id": face.image_id}
                    times = _time_face(method, face, dataset.detector)
                    rows.append({**row, "round": number, **times})
        progress.advance(dataset.key, _SERIAL, 1)
    return rows


def _time_face(method: Method, face: Face, detector: Detector | None) -> Row:
    """Milliseconds of each step on one face; None for steps that an unsolvable face skips.

    Such a face has no total, and neither has one on which the method raises, which ends nothing, as
    in the accuracy pass.
    """
    times: Row = {f"{stage}_ms": None for stage in STAGES}
    if detector is not None:
        start = perf_counter()
        detector.detect(face.image)
        times["detect_ms"] = 1e3 * (perf_counter() - start)
    method.synchronize()
    prepared, times["prepare_ms"] = prepare_face(method, face)
    if isinstance(prepared, NoPrediction):
        return times  # a face that is given up early says nothing of what a prediction takes
    events: list[Any] = []
    try:
        (solved,) = infer_inputs(method, [prepared], _device_clock(method.device, events))
    except HpbenchError:
        raise
    except PLUGIN_ERRORS:  # the accuracy pass counts it, with what was raised
        return times
    times["infer_ms"], times["decode_ms"] = solved.infer_ms, solved.decode_ms
    if events:
        times["infer_device_ms"] = float(events[0].elapsed_time(events[1]))
    steps = ("detect", "prepare", "infer", "decode")
    times["total_ms"] = sum(times[f"{step}_ms"] or 0.0 for step in steps)
    return times


@contextmanager
def _device_clock(device: str, events: list[Any]) -> Iterator[None]:
    """Put two CUDA events around a step, on the current stream; none on other devices."""
    if not device.startswith("cuda"):
        yield
        return
    import torch

    with torch.cuda.device(torch.device(device)):
        events += [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        events[0].record()
        yield
        events[1].record()


def _describe_methods(
    dataset: TimedDataset, rows: Sequence[Row], full: bool, progress: Progress
) -> dict[str, MethodTiming]:
    """What was measured of every method on a data set."""
    throughput = _show_throughput(dataset, progress) if full else {}
    fresh = _measure_fresh(dataset, rows, progress) if full else {}

    def stages_ms(name: str) -> dict[str, TimeSummary | None]:
        chosen = [row for row in rows if row["method"] == name]
        rounds = [row["round"] for row in chosen]
        return {
            stage: summarise_times([row[f"{stage}_ms"] for row in chosen], rounds)
            for stage in STAGES
        }

    return {
        name: MethodTiming(
            stages_ms=stages_ms(name),
            size=_size_of(name, method),
            throughput=throughput.get(name),
            cold_start=describe_cold_start(fresh[name]["all"]) if name in fresh else None,
            cores=describe_cores(fresh[name]) if name in fresh else None,
        )
        for name, method in dataset.methods.items()
    }


def _size_of(name: str, method: Method) -> ModelSize:
    """Parameters and operations, as far as a method tells; a failure of it must not cost a run."""
    try:
        return method.size() or ModelSize()
    except PLUGIN_ERRORS as error:
        _log.warning("method '%s': its size() fails (%s)", name, in_one_line(error))
        return ModelSize()


def _show_throughput(dataset: TimedDataset, progress: Progress) -> dict[str, Throughput]:
    """Measure throughput with a bar of all batch sizes; those that are not needed pass at once."""
    sizes = MAX_BATCH.bit_length()
    progress.start(dataset.key, _BATCHES, sizes, 0)
    found = measure_throughput(
        dataset.methods, dataset.faces, lambda: progress.advance(dataset.key, _BATCHES, 1)
    )
    measured = max((len(one.batches) for one in found.values()), default=0)
    progress.advance(dataset.key, _BATCHES, sizes - measured)
    return found


def _measure_fresh(
    dataset: TimedDataset, rows: Sequence[Row], progress: Progress
) -> dict[str, dict[str, list[FreshRun]]]:
    """Fresh processes for every method, with all cores and with one, in turns.

    Faces without all steps are left out; a method is if none remains.
    """
    incomplete = {(row["method"], row["image_id"]) for row in rows if row["total_ms"] is None}
    faces = {
        name: [face for face in dataset.faces if (name, face.image_id) not in incomplete]
        for name in dataset.methods
    }
    found: dict[str, dict[str, list[FreshRun]]] = {
        name: {"all": [], "one": []} for name in dataset.methods if faces[name]
    }
    progress.start(dataset.key, _FRESH, 2 * FRESH_ROUNDS * len(found), 0)
    for _ in range(FRESH_ROUNDS):
        for name in found:
            for cores, runs in found[name].items():
                job = dataset.methods[name], dataset.plugins, faces[name]
                runs.append(measure_fresh(*job, one_core=cores == "one"))
                progress.advance(dataset.key, _FRESH, 1)
    return found


def _conditions(device: str, load_average_before: float | None) -> TimingConditions:
    """What else decides a time, written down beside it."""
    from hpbench.storage.environment import hardware

    threads = {}
    if "torch" in sys.modules:
        threads["torch"] = sys.modules["torch"].get_num_threads()
    if "cv2" in sys.modules:
        threads["opencv"] = sys.modules["cv2"].getNumThreads()
    return TimingConditions(
        **hardware(device),
        usable_cores=usable_cores(),
        threads=threads,
        garbage_collection="off inside a round",
        order="the methods take turns on every face",
        warm_up_faces=WARM_UP_FACES,
        batch_size=1,
        clock="CUDA events and perf_counter" if device.startswith("cuda") else "perf_counter",
        load_average_before=load_average_before,
        load_average_after=_load_average(),
    )


def _load_average() -> float | None:
    """Load of the last minute; None where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
