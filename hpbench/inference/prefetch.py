"""Work that is done ahead of those who ask for its results, but not far ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["prefetch"]

In = TypeVar("In")
Out = TypeVar("Out")


def prefetch(
    submit: Callable[[In], Future[Out]], items: Iterable[In], ahead: int
) -> Generator[Out, None, None]:
    """Results for all items in order, at most `ahead` of them computed before they are asked for.

    Parameters
    ----------
    submit : callable
        Starts the work on one item.
    items : iterable
    ahead : int
    """
    waiting: deque[Future[Out]] = deque()
    try:
        for item in items:
            waiting.append(submit(item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
