"""Whole-face work for methods that hold Python's lock: here, or in worker processes.

A landmark detector that keeps the lock for milliseconds per face starves the thread that runs
a network. Its faces are therefore solved in processes of their own, or, where there are too
few faces to pay for starting those, one after the other between the network's batches.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from hpbench.errors import HpbenchError
from hpbench.face import Face
from hpbench.inference.solving import Solved, solve_face
from hpbench.method import Method
from hpbench.registry import make_method

__all__ = [
    "POOL_FROM_FACES",
    "SolverPool",
    "result_of",
    "worker_died",
]

POOL_FROM_FACES = 1000
"""From how many faces on the start of worker processes (about two seconds) pays."""


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
