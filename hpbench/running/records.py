"""Records of a data set that wait on disk, so that memory does not grow with the data set."""

from __future__ import annotations

import pickle
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import IO, overload

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Record

__all__ = ["ChosenRecords", "LazyRecords"]

CHUNK_RECORDS = 256
_MEMORY_BYTES = 2**20  # a small data set never touches the disk


class LazyRecords(Sequence[Record]):
    """Records of a data set that are read when the first one is asked for.

    They are kept in a temporary file of this process and come back in chunks; the last chunk
    stays in memory, so going through them in order is fast.

    Parameters
    ----------
    load : callable
        Gives the records; called once, or never where all answers are taken from the store.
    """

    def __init__(self, load: Callable[[], Iterable[Record]]) -> None:
        self._load = load
        self._file: IO[bytes] | None = None
        self._chunk_ends: list[int] = []
        self._count = 0
        self._held_number = -1
        self._held: list[Record] = []

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | Sequence[Record]:
        count = len(self)
        if isinstance(place, slice):
            return [self[k] for k in range(*place.indices(count))]
        if not -count <= place < count:
            raise IndexError(place)
        number, row = divmod(place % count, CHUNK_RECORDS)
        return self._chunk(number)[row]

    def __len__(self) -> int:
        self._read_all()
        return self._count

    def __iter__(self) -> Iterator[Record]:
        self._read_all()
        for number in range(len(self._chunk_ends)):
            yield from self._chunk(number)

    def _read_all(self) -> None:
        if self._file is not None:
            return
        # a file of this process alone, so that pickle is safe
        file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES, prefix="hpbench-")  # noqa: SIM115
        records = iter(self._load())
        while chunk := list(islice(records, CHUNK_RECORDS)):
            file.write(zlib.compress(pickle.dumps(chunk, pickle.HIGHEST_PROTOCOL), 1))
            self._chunk_ends.append(file.tell())
            self._count += len(chunk)
        self._file = file

    def _chunk(self, number: int) -> list[Record]:
        if number != self._held_number:
            assert self._file is not None
            start = self._chunk_ends[number - 1] if number else 0
            self._file.seek(start)
            packed = self._file.read(self._chunk_ends[number] - start)
            self._held, self._held_number = pickle.loads(zlib.decompress(packed)), number
        return self._held


class ChosenRecords(Sequence[Record]):
    """Some records of a data set, in order, that are looked up when they are asked for.

    Parameters
    ----------
    records : sequence of Record
    places : ndarray of int, shape (chosen,)
    """

    def __init__(self, records: Sequence[Record], places: npt.NDArray[np.int64]) -> None:
        self._records = records
        self._places = places

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | Sequence[Record]:
        if isinstance(place, slice):
            return [self._records[k] for k in self._places[place].tolist()]
        return self._records[int(self._places[place])]

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Record]:
        return (self._records[k] for k in self._places.tolist())
