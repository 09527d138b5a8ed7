"""Faces per second over batch sizes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np

from hpbench.errors import PLUGIN_ERRORS, HpbenchError
from hpbench.face import Face
from hpbench.inference.solving import Failed, prepare_face, solve_prepared
from hpbench.method import Method, NoPrediction
from hpbench.results.timing_record import BatchThroughput, Throughput

__all__ = ["MAX_BATCH", "faces_per_s", "measure_throughput", "no_garbage_collection"]

MAX_BATCH = 512
ROUNDS = 3
GROWTH = 1.05
"""Batch sizes are doubled while the throughput grows by this factor."""

BATCH_SECONDS = 0.3
"""How long a batch size is measured in each of its rounds, at least."""

Rate = Callable[[Method, Sequence[Any], int], float]


def faces_per_s(method: Method, inputs: Sequence[Any], size: int) -> float:
    """Throughput of infer and decode at one batch size, from prepared inputs."""
    batch = [inputs[index % len(inputs)] for index in range(size)]
    method.decode(method.infer(batch))  # a new batch size may compile or allocate
    done = 0
    with no_garbage_collection():
        method.synchronize()
        start = perf_counter()
        while perf_counter() - start < BATCH_SECONDS:
            method.decode(method.infer(batch))
            method.synchronize()
            done += size
        return done / (perf_counter() - start)


def measure_throughput(
    methods: Mapping[str, Method],
    faces: Sequence[Face],
    after_size: Callable[[], None] = lambda: None,
    rate: Rate = faces_per_s,
) -> dict[str, Throughput]:
    """Throughput over batch sizes 1, 2, 4, ..., by method; one that solves no face is not in it.

    A method's batches are doubled until its throughput stops growing; the methods take turns at
    each size. A method ends at a size at which it raises, for want of memory perhaps. `after_size`
    is called when a batch size has been measured; `rate` measures one method at one batch size.
    """
    inputs = {name: _solvable(method, faces) for name, method in methods.items()}
    growing = [name for name in methods if inputs[name]]
    batches: dict[str, list[BatchThroughput]] = {name: [] for name in growing}
    size = 1
    while growing and size <= MAX_BATCH:
        rates: dict[str, list[float]] = {name: [] for name in growing}
        for _ in range(ROUNDS):
            for name in [name for name in growing if name in rates]:
                try:
                    rates[name].append(rate(methods[name], inputs[name], size))
                except HpbenchError:
                    raise
                except PLUGIN_ERRORS:
                    del rates[name]
        growing = list(rates)
        for name in growing:
            low, median, high = np.quantile(rates[name], [0.0, 0.5, 1.0]).tolist()
            batches[name].append(BatchThroughput(size=size, faces_per_s=median, low=low, high=high))
        growing = [
            name
            for name in growing
            if size == 1 or batches[name][-1].faces_per_s > GROWTH * batches[name][-2].faces_per_s
        ]
        size *= 2
        after_size()
    return {
        name: Throughput(batches=found, best=max(found, key=lambda one: one.faces_per_s))
        for name, found in batches.items()
        if found
    }


def _solvable(method: Method, faces: Sequence[Face]) -> list[Any]:
    """Prepared inputs of the faces on which the method does not raise."""
    inputs = []
    for face in faces:
        prepared, _ = prepare_face(method, face)
        (solved,) = solve_prepared(method, [(prepared, None)])
        if not isinstance(prepared, NoPrediction) and not isinstance(solved.prediction, Failed):
            inputs.append(prepared)
    return inputs


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect now, and not while something is timed."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
