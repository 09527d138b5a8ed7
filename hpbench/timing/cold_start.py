"""One method in a process of its own: cold start, peak memory, and one core against all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import numpy as np

from hpbench.face import Face
from hpbench.inference.cores import usable_cores
from hpbench.inference.worker_processes import WorkerPool
from hpbench.method import Method
from hpbench.registry import MethodSpec
from hpbench.results.timing_record import ColdStart, CoresTiming, Spread
from hpbench.scoring.runtime import summarise_times

if TYPE_CHECKING:
    import psutil

__all__ = ["FreshRun", "describe_cold_start", "describe_cores", "measure_fresh"]

FACES = 16
"""Most faces that a fresh process is timed on."""


@dataclass(frozen=True)
class FreshRun:
    """What one fresh process has shown.

    Attributes
    ----------
    first_answer_s : float
        From the start of the process to its first prediction.
    load_s : float
        The part of it that :meth:`hpbench.method.Method.load` took.
    cores, threads : int
        That the process was allowed to use; threads of torch, where the method uses it.
    total_ms : tuple of float
        Prepare, infer and decode of further faces, one by one.
    processor_ms : float
        Processor time per face meanwhile, of the process and of those it has started.
    peak_memory_mib, peak_device_memory_mib : float
        Largest resident memory of the process and of those it has started; most that torch has
        allocated on the GPU.
    """

    first_answer_s: float
    load_s: float
    cores: int
    threads: int | None
    total_ms: tuple[float, ...]
    processor_ms: float
    peak_memory_mib: float
    peak_device_memory_mib: float | None


def measure_fresh(
    method: Method, plugins: Sequence[Path], faces: Sequence[Face], one_core: bool
) -> FreshRun:
    """Start a process that loads a method and predicts faces one by one, the first one cold.

    With `one_core` it is pinned to one core, so that every library in it uses one thread.
    """
    environment = {"OMP_NUM_THREADS": "1"} if one_core else {}
    # the others are sent later: carrying them is no part of the start
    job = (MethodSpec.of(method), method.device, tuple(plugins), faces[0], one_core)
    with WorkerPool(method.name, 1, _predict_first, *job, environment=environment) as pool:
        start = perf_counter()
        load_s = pool.submit("load_s").result()
        first_answer_s = perf_counter() - start
        return FreshRun(first_answer_s, load_s, *pool.submit("rest", faces[:FACES]).result())


def _predict_first(
    spec: MethodSpec, device: str, plugins: Sequence[Path], first: Face, one_core: bool
) -> Callable[..., float | tuple[object, ...]]:
    if one_core and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    method = spec.make(device, plugins)
    start = perf_counter()
    method.load()
    load_s = perf_counter() - start
    method.predict([first])
    method.synchronize()

    def measure(wanted: str, faces: Sequence[Face] = ()) -> float | tuple[object, ...]:
        if wanted == "load_s":
            return load_s
        method.predict([first])
        total_ms = []
        used_before_s = _processor_s()
        for face in faces:
            start = perf_counter()
            method.predict([face])
            method.synchronize()
            total_ms.append(1e3 * (perf_counter() - start))
        processor_ms = 1e3 * (_processor_s() - used_before_s) / len(faces)
        torch = sys.modules.get("torch")
        threads = device_mib = None
        if torch is not None:
            threads = torch.get_num_threads()
            if device.startswith("cuda"):
                device_mib = torch.cuda.max_memory_allocated() / 2**20
        times = tuple(total_ms), processor_ms
        return usable_cores(), threads, *times, _peak_memory_mib(), device_mib

    return measure


def _processor_s() -> float:
    """Processor seconds so far of this process and of those it has started, added up."""
    import psutil

    used_s = process_time()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = child.cpu_times()  # to a hundredth of a second
            used_s += times.user + times.system
    return used_s


def _peak_memory_mib() -> float:
    """Largest resident memory so far of this process and of those it has started, added up.

    A method may live in a program of its own. Peaks need not coincide: the sum is an upper bound.
    """
    import psutil

    this = psutil.Process()
    return sum(map(_peak_of, [this, *this.children(recursive=True)]))


def _peak_of(process: psutil.Process) -> float:
    """Largest resident memory of a process so far, in MiB; 0 where it has ended meanwhile."""
    import psutil

    status = Path(f"/proc/{process.pid}/status")
    try:
        if status.exists():  # Linux: getrusage would count the parent's memory at the fork
            (line,) = [x for x in status.read_text().splitlines() if x.startswith("VmHWM:")]
            return float(line.split()[1]) / 1024
        memory = process.memory_info()
    except (OSError, ValueError, psutil.NoSuchProcess):
        return 0.0
    return float(getattr(memory, "peak_wset", memory.rss)) / 2**20


def describe_cold_start(runs: Sequence[FreshRun]) -> ColdStart:
    """Spread of the cold start over some processes, and the most memory that one took."""
    device_memory = [run.peak_device_memory_mib for run in runs if run.peak_device_memory_mib]
    return ColdStart(
        first_answer_s=_spread([run.first_answer_s for run in runs]),
        load_s=_spread([run.load_s for run in runs]),
        peak_memory_mib=max(run.peak_memory_mib for run in runs),
        peak_device_memory_mib=max(device_memory, default=None),
    )


def describe_cores(runs: Mapping[str, Sequence[FreshRun]]) -> dict[str, CoresTiming]:
    """Time per face with ``all`` cores and with ``one``."""
    return {
        cores: CoresTiming(
            count=some[0].cores,
            threads=some[0].threads,
            total_ms=summarise_times([ms for run in some for ms in run.total_ms]),
            processor_ms=float(np.median([run.processor_ms for run in some])),
        )
        for cores, some in runs.items()
    }


def _spread(values: Sequence[float]) -> Spread:
    return Spread(low=min(values), median=float(np.median(values)), high=max(values))
