"""``--batch-size auto``: how many faces a GPU is given at once, found by trying."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Literal

from hpbench.face import Face
from hpbench.inference.solving import prepare_face
from hpbench.method import Method, NoPrediction
from hpbench.running.evaluation import Evaluation, read_face

__all__ = ["CPU_FACES", "largest_that_pays", "settle_batch_size"]

CPU_FACES = 32
"""Where no network is on a GPU: each core works on a few faces at once in any case."""

_MIN, _MAX = 16, 1024
_GAIN = 1.05
"""What twice as many faces at once have to add to the faces per second."""

_ROUNDS = 3


def settle_batch_size(wanted: int | Literal["auto"], evaluations: Sequence[Evaluation]) -> int:
    """A batch size as a number; ``auto`` is tried with the first usable face of the run.

    Parameters
    ----------
    wanted : int or 'auto'
    evaluations : sequence of Evaluation
        With loaded methods. All that start on a GPU (:meth:`Method.infer_ahead`) are timed
        together, for they are given the same batches.
    """
    if wanted != "auto":
        return wanted
    methods = {
        name: method
        for one in evaluations
        for name, method in one.methods.items()
        if method.device.startswith("cuda")
    }
    face = _first_face(evaluations) if methods else None
    if face is None:
        return CPU_FACES
    inputs = [(method, prepare_face(method, face)[0]) for method in methods.values()]
    on_gpu = [
        (method, value)
        for method, value in inputs
        if not isinstance(value, NoPrediction) and method.infer_ahead([value]) is not None
    ]
    return largest_that_pays(lambda size: _faces_per_second(on_gpu, size)) if on_gpu else CPU_FACES


def largest_that_pays(faces_per_second: Callable[[int], float | None]) -> int:
    """The size after which doubling adds less than 5 %, or needs more memory than there is (None).

    Examples
    --------
    >>> largest_that_pays({16: 900.0, 32: 1700.0, 64: 2000.0, 128: 2050.0}.get)
    64
    >>> largest_that_pays({16: 900.0, 32: 1700.0}.get)
    32
    """
    size, rate = _MIN, faces_per_second(_MIN)
    while rate is not None and size < _MAX:
        doubled = faces_per_second(2 * size)
        if doubled is None or doubled < _GAIN * rate:
            break
        size, rate = 2 * size, doubled
    return size


def _first_face(evaluations: Sequence[Evaluation]) -> Face | None:
    for one in evaluations:
        index = one.indexed.index
        for record in index.take(index.included().nonzero()[0][:10]):
            if (face := read_face(one, record).face) is not None:
                return face
    return None


def _faces_per_second(inputs: Sequence[tuple[Method, Any]], size: int) -> float | None:
    """Rate of the networks with batches of a size, copies to the device included."""
    import torch

    seconds = []
    try:
        for _ in range(1 + _ROUNDS):  # memory is allocated in the first
            start = perf_counter()
            for method, value in inputs:
                method.infer_ahead([value] * size)
                method.synchronize()
            seconds.append(perf_counter() - start)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None
    return size / min(seconds[1:])
