"""Work that is done ahead of those who ask for its results."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from hpbench.inference.prefetch import prefetch


def test_prefetch_keeps_the_order_and_never_runs_far_ahead():
    computed, lock = [], threading.Lock()

    def work(number):
        with lock:
            computed.append(number)
        return number

    with ThreadPoolExecutor(4) as pool:
        results = prefetch(partial(pool.submit, work), range(100), ahead=5)
        first = next(results)
        assert len(computed) <= 7
        assert [first, *results] == list(range(100))
