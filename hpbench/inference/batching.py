"""Batches on the CPU: each core works on its own share of the faces, on one thread.

Libraries spread every *layer* of a network over the cores and let them wait for each other after
it. In a small network that is some hundred times a batch, and each time the slowest core decides,
for example one that a thread which reads images has just taken. Shares wait once per batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

__all__ = ["SHARE_FACES", "map_batch_on_threads"]

Out = TypeVar("Out")

SHARE_FACES = 8
"""Faces that a core takes at once, at most: few enough for its caches."""


def map_batch_on_threads(work: Callable[[Any], Out], batch: Any, cores: int) -> list[Out]:
    """Have a batch, shape (n, ...), worked on by several threads, and wait for all of them.

    `work` takes a share of the batch. It must release Python's lock for most of its time, use one
    thread, and not mind that it runs several times at once. The results are in order; the number of
    shares is a multiple of `cores` where n allows it, and their sizes are as equal as can be.

    Examples
    --------
    >>> map_batch_on_threads(sum, [1, 2, 3, 4, 5], cores=2)
    [6, 9]
    """
    size = math.ceil(len(batch) / cores / math.ceil(len(batch) / cores / SHARE_FACES))
    shares = [batch[start : start + size] for start in range(0, len(batch), size)]
    return list(_threads(cores).map(work, shares))


@lru_cache
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="hpbench-share")
