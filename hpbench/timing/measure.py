"""The timing pass: serial, one face at a time, apart from the accuracy pass.

Rounds are interleaved over the methods, so that a machine that slows down hits all alike;
the garbage collector is off inside a round; the device is waited for around every step. The
full pass adds what takes longer: throughput over batch sizes, and, in fresh processes, the
cold start, the peak memory, and one core against all.

How the figures are made is described in docs/timing.md, their format in ``timing.json`` too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import numpy as np

from hpbench.detectors.base import Detector
from hpbench.face import Face
from hpbench.method import Method, ModelSize, NoPrediction
from hpbench.results.run_config import TimingMode
from hpbench.results.timing_record import (
    MethodTiming,
    Throughput,
    TimeSummary,
    TimingConditions,
    TimingRecord,
)
from hpbench.running.evaluation import Evaluation, NoProgress, Progress, read_face
from hpbench.scoring.runtime import summarise_times
from hpbench.storage.schemas import STAGES
from hpbench.timing.cold_start import FreshRun, describe_cold_start, describe_cores, measure_fresh
from hpbench.timing.throughput import MAX_BATCH, measure_throughput, no_garbage_collection

__all__ = [
    "TimingPass",
    "TimingSettings",
    "time_evaluations",
    "time_methods",
]

ROUNDS = 3
"""How often every method predicts every timed face."""

WARM_UP_FACES = 3
"""Faces that every method predicts before the clock counts."""

FRESH_ROUNDS = 3
"""How often a process is started for the cold start."""

Row = dict[str, Any]


@dataclass(frozen=True)
class TimingSettings:
    """What the timing pass measures.

    Attributes
    ----------
    mode : {'off', 'quick', 'full'}
        ``quick``: the serial pass. ``full``: throughput, threads and cold start as well.
    faces : int
        Number of faces, spread evenly over each data set.
    rounds : int
    """

    mode: TimingMode = "quick"
    faces: int = 32
    rounds: int = ROUNDS

    def describe(self) -> dict[str, str | int]:
        """As JSON, for the cache's key."""
        return asdict(self)


@dataclass(frozen=True)
class TimingPass:
    """What a timing pass has found.

    Attributes
    ----------
    rows : list of dict
        For ``timing.parquet``: one row per face, method and round, times in milliseconds.
    summary : TimingRecord
    """

    rows: list[Row]
    summary: TimingRecord


_SERIAL, _BATCHES, _FRESH = "timing", "timing of batches", "timing of new processes"
"""What stands in the place of a method while times are taken."""


def time_evaluations(
    evaluations: Sequence[Evaluation], settings: TimingSettings, progress: Progress
) -> TimingPass:
    """Time all methods on all data sets of a run.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        With loaded methods.
    settings : TimingSettings
    progress : Progress
        Told between the measurements, never inside one.

    Returns
    -------
    TimingPass
        Without rows if the mode is ``off``.
    """
    load_before = _load_average()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    rows: list[Row] = []
    described: dict[str, dict[str, MethodTiming]] = {}
    if settings.mode != "off":
        for evaluation in evaluations:
            faces = _spread_faces(evaluation, settings.faces)
            evaluation_rows = time_methods(evaluation, faces, settings.rounds, progress)
            rows += evaluation_rows
            described[evaluation.key] = _describe_methods(
                evaluation, faces, evaluation_rows, settings.mode, progress
            )
    devices = {
        method.device for evaluation in evaluations for method in evaluation.methods.values()
    }
    summary = TimingRecord(
        created=started,
        mode=settings.mode,
        faces=settings.faces,
        rounds=settings.rounds,
        conditions=_conditions(next(iter(devices), "cpu"), load_before),
        datasets=described,
    )
    return TimingPass(rows, summary)


def time_methods(
    evaluation: Evaluation,
    faces: Sequence[Face],
    rounds: int = ROUNDS,
    progress: Progress | None = None,
) -> list[Row]:
    """Time the steps of all methods of a evaluation, face by face; the methods take turns.

    Parameters
    ----------
    evaluation : Evaluation
    faces : sequence of Face
    rounds : int
    progress : Progress or None
        Told after each round.

    Returns
    -------
    list of dict
        Rows of ``timing.parquet``, all times in milliseconds per face.
    """
    told = progress or NoProgress()
    told.start(evaluation.key, _SERIAL, rounds, 0)
    for method in evaluation.methods.values():
        for face in faces[:WARM_UP_FACES]:
            _time_face(method, face, evaluation.detector)
    rows: list[Row] = []
    for number in range(rounds):
        with no_garbage_collection():
            for face in faces:
                for name, method in evaluation.methods.items():
                    times = _time_face(method, face, evaluation.detector)
                    rows.append(
                        {
                            "dataset": evaluation.key, "method": name, "image_id": face.image_id,
                            "round": number, **times,
                        }
                    )  # fmt: skip
        told.advance(evaluation.key, _SERIAL, 1)
    return rows


def _time_face(method: Method, face: Face, detector: Detector | None) -> Row:
    """Milliseconds of each step on one face; None for steps that an unsolvable face skips."""
    times: Row = {f"{stage}_ms": None for stage in STAGES}
    detect_ms = 0.0
    if detector is not None:
        start = perf_counter()
        detector.detect(face.image)
        detect_ms = 1e3 * (perf_counter() - start)
        times["detect_ms"] = detect_ms
    method.synchronize()
    start = perf_counter()
    prepared = method.prepare(face)
    prepared_at = end = perf_counter()
    times["prepare_ms"] = 1e3 * (prepared_at - start)
    if not isinstance(prepared, NoPrediction):
        with _device_clock(method.device) as device_times:
            output = method.infer([prepared])
        method.synchronize()
        inferred_at = perf_counter()
        method.decode(output)
        end = perf_counter()
        times["infer_ms"] = 1e3 * (inferred_at - prepared_at)
        times["infer_device_ms"] = _elapsed_ms(device_times)
        times["decode_ms"] = 1e3 * (end - inferred_at)
    times["total_ms"] = detect_ms + 1e3 * (end - start)
    return times


@contextmanager
def _device_clock(device: str) -> Iterator[list[Any]]:
    """Two CUDA events around a step, on the current stream; none on other devices."""
    if not device.startswith("cuda"):
        yield []
        return
    import torch

    with torch.cuda.device(torch.device(device)):
        events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        events[0].record()
        yield events
        events[1].record()


def _elapsed_ms(events: Sequence[Any]) -> float | None:
    return float(events[0].elapsed_time(events[1])) if events else None


def _describe_methods(
    evaluation: Evaluation,
    faces: Sequence[Face],
    rows: Sequence[Row],
    mode: TimingMode,
    progress: Progress,
) -> dict[str, MethodTiming]:
    """What was measured of every method of an evaluation."""
    full = mode == "full" and len(faces) > 0
    throughput = _show_throughput(evaluation, faces, progress) if full else {}
    fresh = _measure_fresh(evaluation, faces, progress) if full else {}
    return {
        name: MethodTiming(
            stages_ms=_summarise_stages([row for row in rows if row["method"] == name]),
            size=method.size() or ModelSize(),
            throughput=throughput.get(name),
            cold_start=describe_cold_start(fresh[name]["all"]) if name in fresh else None,
            cores=describe_cores(fresh[name]) if name in fresh else None,
        )
        for name, method in evaluation.methods.items()
    }


def _summarise_stages(rows: Sequence[Row]) -> dict[str, TimeSummary | None]:
    return {stage: summarise_times([row[f"{stage}_ms"] for row in rows]) for stage in STAGES}


def _show_throughput(
    evaluation: Evaluation, faces: Sequence[Face], progress: Progress
) -> dict[str, Throughput]:
    """Measure throughput with a bar of all batch sizes; those that are not needed pass at once."""
    sizes = MAX_BATCH.bit_length()
    progress.start(evaluation.key, _BATCHES, sizes, 0)
    found = measure_throughput(
        evaluation.methods, faces, after_size=lambda: progress.advance(evaluation.key, _BATCHES, 1)
    )
    measured = max((len(one.batches) for one in found.values()), default=0)
    progress.advance(evaluation.key, _BATCHES, sizes - measured)
    return found


def _measure_fresh(
    evaluation: Evaluation, faces: Sequence[Face], progress: Progress
) -> dict[str, dict[str, list[FreshRun]]]:
    """Fresh processes for every method, with all cores and with one, in turns."""
    progress.start(evaluation.key, _FRESH, 2 * FRESH_ROUNDS * len(evaluation.methods), 0)
    found: dict[str, dict[str, list[FreshRun]]] = {
        name: {"all": [], "one": []} for name in evaluation.methods
    }
    for _ in range(FRESH_ROUNDS):
        for name, method in evaluation.methods.items():
            for cores in ("all", "one"):
                found[name][cores].append(
                    measure_fresh(
                        name, method.device, evaluation.plugins, faces, one_core=cores == "one"
                    )
                )
                progress.advance(evaluation.key, _FRESH, 1)
    return found


def _spread_faces(evaluation: Evaluation, count: int) -> Sequence[Face]:
    """Faces spread evenly over a data set; those that cannot be used are left out."""
    if count < 1 or not evaluation.methods:
        return []
    index = evaluation.indexed.index
    usable = np.flatnonzero(index.included())
    chosen = usable[:: max(1, len(usable) // count)][:count]
    read = (read_face(evaluation, record) for record in index.take(chosen))
    return [one.face for one in read if one.face is not None]


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
