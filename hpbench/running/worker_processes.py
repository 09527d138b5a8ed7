"""Whole-face work for methods that hold Python's lock: here, or in worker processes.

A landmark detector that keeps the lock for milliseconds per face starves the thread that runs
a network. Its faces are therefore solved in processes of their own, or, where there are too
few faces to pay for starting those, one after the other between the network's batches.
"""

from __future__ import annotations

import multiprocessing
import re
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from hpbench.errors import HpbenchError
from hpbench.face import Face
from hpbench.method import Method, NoPrediction, Pose
from hpbench.registry import make_method

__all__ = [
    "POOL_FROM_FACES",
    "Solved",
    "SolverPool",
    "failure",
    "is_failure",
    "result_of",
    "solve_face",
    "worker_died",
]

POOL_FROM_FACES = 1000
"""From how many faces on the start of worker processes (about two seconds) pays."""


@dataclass(frozen=True, slots=True)
class Solved:
    """Prediction of one method to one face, with the milliseconds of its three steps."""

    prediction: Pose | NoPrediction
    prepare_ms: float | None = None
    infer_ms: float | None = None
    decode_ms: float | None = None


_FAILURE = re.compile(r"(prepare|infer|solve) failed: ")


def failure(step: str, error: Exception) -> NoPrediction:
    """The row of a face on which a method has raised; `step` is prepare, infer or solve."""
    return NoPrediction(f"{step} failed: {type(error).__name__}: {error}")


def is_failure(reason: str | None) -> bool:
    """Whether a reason is one of :func:`failure`, and not the method's own word."""
    return reason is not None and _FAILURE.match(reason) is not None


def solve_face(method: Method, face: Face) -> Solved:
    """All three steps on one face.

    Raises
    ------
    HpbenchError
        As the method raises it; any other exception of the method becomes a
        :class:`NoPrediction` that names it, for one face must not end a run.
    """
    start = perf_counter()
    try:
        prepared = method.prepare(face)
        after_prepare = perf_counter()
        if isinstance(prepared, NoPrediction):
            return Solved(prepared, 1e3 * (after_prepare - start))
        output = method.infer([prepared])
        after_infer = perf_counter()
        (prediction,) = method.decode(output)
    except HpbenchError:
        raise
    except Exception as error:
        return Solved(failure("solve", error))
    return Solved(
        prediction,
        1e3 * (after_prepare - start),
        1e3 * (after_infer - after_prepare),
        1e3 * (perf_counter() - after_infer),
    )


class SolverPool:
    """Processes that each hold a loaded copy of some methods.

    Parameters
    ----------
    specs : sequence of str
        Canonical specs of the methods.
    processes : int
    device : str
    plugins : sequence of Path
    """

    def __init__(
        self, specs: Sequence[str], processes: int, device: str, plugins: Sequence[Path]
    ) -> None:
        self._executor = ProcessPoolExecutor(
            processes,
            # a fork would copy the threads' locks of torch and OpenCV in whatever state they are
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_load_methods,
            initargs=(tuple(specs), device, tuple(plugins)),
        )

    def submit(self, spec: str, face: Face) -> Future[Solved]:
        """Have a face solved; the result arrives in the future."""
        return self._executor.submit(_solve_in_worker, spec, face)

    def __enter__(self) -> SolverPool:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(cancel_futures=True)


def result_of(future: Future[Solved], spec: str) -> Solved:
    """Wait for a face.

    Raises
    ------
    HpbenchError
        If the worker died, for example for want of memory.
    """
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise worker_died(spec) from error


def worker_died(spec: str) -> HpbenchError:
    """The one line for a worker process that is gone."""
    return HpbenchError(f"a worker process of '{spec}' died (out of memory?); run with --workers 1")


_loaded: Mapping[str, Method] = {}


def _load_methods(specs: Sequence[str], device: str, plugins: Sequence[Path]) -> None:
    global _loaded
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the workers in order
    methods = {spec: make_method(spec, device, plugins) for spec in specs}
    for method in methods.values():
        method.load()
    _loaded = methods


def _solve_in_worker(spec: str, face: Face) -> Any:
    return solve_face(_loaded[spec], face)
