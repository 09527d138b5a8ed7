"""Records of a data set that wait on disk, so that memory does not grow with the data set."""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, overload

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Label, Record
from hpbench.face import Camera

__all__ = ["ChosenRecords", "LazyRecords"]

CHUNK_RECORDS = 256
MEMORY_RECORDS = 2048
"""Up to so many records wait in memory as they are."""


class LazyRecords(Sequence[Record]):
    """Records of a data set that are read when the first one is asked for.

    Many are kept in a temporary file of this process and come back in chunks; the last chunk
    stays in memory, so going through them in order is fast.

    Parameters
    ----------
    load : callable
        Gives the records; called once, or never where all predictions are taken from the store.
    """

    def __init__(self, load: Callable[[], Iterable[Record]]) -> None:
        self._load = load
        self._few: list[Record] | None = None
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
        if self._few is not None:
            return self._few[place]
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
        if self._few is not None:
            yield from self._few
        for number in range(len(self._chunk_ends)):
            yield from self._chunk(number)

    def _read_all(self) -> None:
        if self._file is not None or self._few is not None:
            return
        records = iter(self._load())
        few = list(islice(records, MEMORY_RECORDS + 1))
        if len(few) <= MEMORY_RECORDS:
            self._few, self._count = few, len(few)
            return
        records = chain(few, records)
        file = tempfile.TemporaryFile(prefix="hpbench-")  # noqa: SIM115
        while chunk := list(islice(records, CHUNK_RECORDS)):
            file.write(_pack(chunk))
            self._chunk_ends.append(file.tell())
            self._count += len(chunk)
        self._file = file

    def _chunk(self, number: int) -> list[Record]:
        if number != self._held_number:
            assert self._file is not None
            start = self._chunk_ends[number - 1] if number else 0
            self._file.seek(start)
            packed = self._file.read(self._chunk_ends[number] - start)
            self._held, self._held_number = _unpack(packed), number
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


def _pack(records: Sequence[Record]) -> bytes:
    """Records as compressed JSON; arrays are the hexadecimal bytes of their float64 numbers."""
    rows = [
        {
            "image_id": one.image_id,
            "image_path": str(one.image_path),
            "angles_deg": None if one.label is None else _text(one.label.angles_deg),
            "R_cam": None if one.label is None else _text(one.label.R_cam),
            "box_xyxy": _text(one.box_xyxy),
            "excluded": one.excluded,
            "group": one.group,
            "camera_matrix": None if one.camera is None else _text(one.camera.matrix),
            "distortion": None if one.camera is None else _text(one.camera.distortion),
            "landmarks_xy": _text(one.landmarks_xy),
            "factors": dict(one.factors),
        }
        for one in records
    ]
    return zlib.compress(json.dumps(rows, default=_plain).encode(), 1)


def _unpack(packed: bytes) -> list[Record]:
    return [_record(row) for row in json.loads(zlib.decompress(packed))]


def _record(row: dict[str, Any]) -> Record:
    angles_deg = _array(row["angles_deg"], 3)
    matrix, distortion = _array(row["camera_matrix"], 3, 3), _array(row["distortion"], 5)
    return Record(
        image_id=row["image_id"],
        image_path=Path(row["image_path"]),
        label=None if angles_deg is None else Label(angles_deg, _array(row["R_cam"], 3, 3)),
        box_xyxy=_array(row["box_xyxy"], 4),
        excluded=row["excluded"],
        group=row["group"],
        camera=None if matrix is None or distortion is None else Camera(matrix, distortion),
        landmarks_xy=_array(row["landmarks_xy"], -1, 2),
        factors=row["factors"],
    )


def _text(array: npt.NDArray[np.float64] | None) -> str | None:
    return None if array is None else np.asarray(array, dtype=np.float64).tobytes().hex()


def _array(text: str | None, *shape: int) -> npt.NDArray[np.float64] | None:
    if text is None:
        return None
    # a copy, for an array over the bytes themselves could not be written to
    return np.frombuffer(bytes.fromhex(text), dtype=np.float64).reshape(shape).copy()


def _plain(value: Any) -> Any:
    """A number of NumPy as Python's own; a factor may be one."""
    return value.item()
