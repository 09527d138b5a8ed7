"""Shares of a batch: all of it, in order, as equal as can be."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from hpbench.inference.batching import SHARE_FACES, map_batch_on_threads


@pytest.mark.parametrize("count", [1, 2, 3, 16, 17, 20, 33, 100])
@pytest.mark.parametrize("cores", [1, 2, 3, 16])
def test_every_face_is_in_one_share_and_in_order(count, cores):
    shares = map_batch_on_threads(np.copy, np.arange(count), cores)
    np.testing.assert_array_equal(np.concatenate(shares), np.arange(count))


@pytest.mark.parametrize(
    ("count", "sizes"), [(2, [1, 1]), (16, [8, 8]), (20, [5, 5, 5, 5]), (32, [8, 8, 8, 8])]
)
def test_two_cores_get_equally_many_faces(count, sizes):
    assert map_batch_on_threads(len, np.arange(count), cores=2) == sizes
    assert max(sizes) <= SHARE_FACES


def test_shares_are_worked_on_at_the_same_time():
    both = threading.Barrier(2, timeout=20)
    map_batch_on_threads(lambda share: both.wait(), np.arange(2), cores=2)


def test_error_of_a_share_reaches_the_caller():
    def refuse(share):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        map_batch_on_threads(refuse, np.arange(4), cores=2)
