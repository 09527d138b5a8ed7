"""The accuracy pass: every method on every face of every data set, each image read once.

Images are read, faces found and the inputs of all methods prepared ahead of the main thread, which
runs the methods batch by batch and stores each finished batch. Threads do the former where there
are few faces or cores. Otherwise processes do, each with a lock of its own: two threads read 1.4 to
1.5 times as fast as one, two processes 1.7 to 2.2 times (docs/scale.md). Only prepared inputs
travel between processes, for an image costs more to hand over than to read.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import chain, islice
from threading import Lock
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Record
from hpbench.errors import HpbenchError
from hpbench.inference.cores import compute_threads
from hpbench.inference.prefetch import prefetch
from hpbench.inference.progress import Progress
from hpbench.inference.solving import (
    Failed,
    Solved,
    prepare_face,
    start_prepared,
)
from hpbench.inference.worker_processes import WorkerPool
from hpbench.method import Method, NoPrediction, Prediction
from hpbench.running.appearance import Appearance, measure_appearance
from hpbench.running.evaluation import (
    WITHOUT_BOX,
    Evaluation,
    EvaluationSpec,
    ReadFace,
    read_face,
)
from hpbench.storage.run_folder import RunFolder
from hpbench.storage.schemas import PartRow

__all__ = [
    "STORE_EVERY_S",
    "FailureWatch",
    "IndexedFace",
    "LocalEngine",
    "Part",
    "announce",
    "faces_at",
    "methods_that_work",
    "pending_rows",
    "predict_faces",
    "start_readers",
    "store_parts",
]

In = TypeVar("In")
Part = list[PartRow]
"""Rows of some faces as :meth:`hpbench.storage.run_folder.RunFolder.append` takes them."""

IndexedFace = tuple[int, Record]
"""Row of a face in the index of the run, and what is known of it."""

STORE_EVERY_S = 5.0
"""How much of its work a killed run may lose, in seconds."""

POOL_FROM_FACES = 1000
"""From how many faces on the start of worker processes (about two seconds each) pays."""

READERS_FROM_CORES = 4
"""From how many cores on processes read for methods that do not hold Python's lock: on fewer, the
network takes the cores that they would use."""

ENOUGH_FAILED = 32
"""So many failures without a prediction are the method's and not the faces'."""

FACES_AT_ONCE = 16
"""Faces that a worker process is given at once; fewer cost the main process more per face."""

_ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""There is a worker process for every core already."""

MAX_BYTES_AHEAD = 512 * 2**20
"""Of images that were read ahead, and of those in one batch."""


@dataclass
class PreparedFace:
    """A face on its way through the pass, with what each method has made of it so far."""

    row: int
    read: ReadFace
    inputs: dict[str, tuple[Any, float | None]] = field(default_factory=dict)
    appearance: Appearance = field(default_factory=Appearance)

    @property
    def image_bytes(self) -> int:
        """Memory of its image."""
        return 0 if self.read.face is None else self.read.face.image.nbytes

    def drop_image(self) -> None:
        """Free the memory of the image, which no method needs any more."""
        face = self.read.face
        if face is not None and face.image.size:
            self.read.face = replace(face, image=face.image[:0].copy())


class ImagesAhead:
    """Reads ahead as long as the images fit into memory; the others are read when it is their turn.

    Parameters
    ----------
    read : callable
        Reads and prepares one face.
    """

    def __init__(self, read: Callable[[IndexedFace], PreparedFace]) -> None:
        self._read = read
        self._lock = Lock()
        self._bytes = 0

    def read(self, face: IndexedFace) -> PreparedFace | IndexedFace:
        """What a thread does ahead: read the face, or give it back where memory is used up."""
        with self._lock:
            if self._bytes > MAX_BYTES_AHEAD:
                return face
        prepared = self._read(face)
        with self._lock:
            self._bytes += prepared.image_bytes
        return prepared

    def batches(
        self, faces: Iterator[PreparedFace | IndexedFace], batch_size: int
    ) -> Iterator[list[PreparedFace]]:
        """Batches in order; smaller ones where the images are large."""
        batch: list[PreparedFace] = []
        batch_bytes = 0
        for face in faces:
            if isinstance(face, PreparedFace):
                with self._lock:
                    self._bytes -= face.image_bytes
            else:
                face = self._read(face)
            batch.append(face)
            batch_bytes += face.image_bytes
            if len(batch) == batch_size or batch_bytes > MAX_BYTES_AHEAD:
                yield batch
                batch, batch_bytes = [], 0
        if batch:
            yield batch


class FailureWatch:
    """Tells a method that is broken from faces that it fails on.

    Parameters
    ----------
    faces : int
        Of the data set. A method is broken that fails on so many of them, or on 32, and has
        predicted none before.
    works : iterable of str
        Methods that have predicted faces already: :func:`methods_that_work`.
    """

    def __init__(self, faces: int, works: Iterable[str] = ()) -> None:
        self._enough = min(faces, ENOUGH_FAILED)
        self._failed: Counter[str] = Counter()
        self._works = set(works)

    def look(self, name: str, solved: Sequence[Solved]) -> None:
        """Count what a method made of some faces; raise an HpbenchError where it is broken."""
        predictions = [one.prediction for one in solved]
        if any(isinstance(one, Prediction) for one in predictions):
            self._works.add(name)
        failed = [one for one in predictions if isinstance(one, Failed)]
        self._failed[name] += len(failed)
        if failed and name not in self._works and self._failed[name] >= self._enough:
            raise HpbenchError(f"method '{name}' fails on every face: {failed[0].reason}")


class LocalEngine:
    """The accuracy pass on this machine; a context in which several data sets are evaluated.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        What will be evaluated; the methods need not be loaded yet.
    workers : int or None
        Threads or processes that read and prepare; None for the number of cores, or
        OMP_NUM_THREADS where that is smaller.
    """

    def __init__(self, evaluations: Sequence[Evaluation], workers: int | None = None) -> None:
        self._evaluations = evaluations
        self._workers = workers or compute_threads()
        self._readers: WorkerPool | None = None

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._readers is not None:
            self._readers.close()

    def start_readers(self, faces: int) -> None:
        """Start processes that read, if they pay for so many faces and are not there yet.

        They need no loaded methods, so they can start beside the loading.
        """
        needs_processes = self._workers >= READERS_FROM_CORES or any(
            one.methods_in("processes") for one in self._evaluations
        )
        pay = self._workers > 1 and faces >= POOL_FROM_FACES and needs_processes
        if pay and self._readers is None:
            self._readers = start_readers(self._evaluations, self._workers)

    def evaluate_dataset(
        self, evaluation: Evaluation, folder: RunFolder, progress: Progress, batch_size: int
    ) -> None:
        """Run all methods of an evaluation on its faces and store the rows in the run folder.

        Faces that the folder holds from a stopped run are not computed again.

        Raises
        ------
        HpbenchError
            If a method fails on every one of its first faces: it is broken, not the faces.
        """
        rows = pending_rows(evaluation, folder)
        announce(evaluation, rows, progress)
        self.start_readers(len(rows))
        faces = faces_at(evaluation, rows)
        included = int(evaluation.indexed.index.included().sum())
        watch = FailureWatch(included, methods_that_work(evaluation, folder))
        parts = predict_faces(evaluation, faces, batch_size, watch, self._workers, self._readers)
        with closing(parts):
            store_parts(evaluation, parts, folder, progress)


def pending_rows(evaluation: Evaluation, folder: RunFolder) -> npt.NDArray[np.int64]:
    """Rows in the data set's index that lack a prediction of some method."""
    lacking = [~folder.done(evaluation.indexed, name) for name in evaluation.methods]
    return np.flatnonzero(np.logical_or.reduce(lacking))


def methods_that_work(evaluation: Evaluation, folder: RunFolder) -> list[str]:
    """Methods of which the folder holds a prediction: left are the faces that they failed on."""
    import pyarrow.compute as pc

    found = {
        name: folder.found(evaluation.indexed, name, ["row", "status"])["status"]
        for name in evaluation.methods
    }
    return [name for name, status in found.items() if pc.any(pc.equal(status, "ok")).as_py()]


def announce(evaluation: Evaluation, rows: npt.NDArray[np.int64], progress: Progress) -> None:
    """Tell the progress how many faces there are, and that all but some rows are done already."""
    total = len(evaluation.indexed.index)
    for name in evaluation.methods:
        progress.start(evaluation.key, name, total, total - len(rows))


def faces_at(evaluation: Evaluation, rows: npt.NDArray[np.int64]) -> Iterator[IndexedFace]:
    """Faces at some rows of the data set's index, each with its row in the run's index."""
    indexed = evaluation.indexed
    return zip((rows + indexed.first_row).tolist(), indexed.index.take(rows), strict=True)


def predict_faces(
    evaluation: Evaluation,
    faces: Iterable[IndexedFace],
    batch_size: int,
    watch: FailureWatch,
    workers: int = 1,
    readers: WorkerPool | None = None,
) -> Generator[Part, None, None]:
    """Predict faces on this machine, batch after batch, in order.

    Parameters
    ----------
    evaluation : Evaluation
        With loaded methods.
    faces : iterable of (int, Record)
    batch_size : int
    watch : FailureWatch
    workers : int
        Threads or processes that read and prepare.
    readers : WorkerPool, optional
        The processes, started with :func:`start_readers`; without them, threads read.
    """
    if readers is None:
        reading = _read_in_threads(evaluation, iter(faces), batch_size, workers)
    else:
        reading = _read_in_processes(readers, evaluation, iter(faces), batch_size, workers)
    with closing(reading) as batches:
        started: deque[list[Callable[[], list[PartRow]]]] = deque()
        for batch in batches:
            started.append(
                [
                    _start_batch(name, method, batch, watch)
                    for name, method in evaluation.methods.items()
                ]
            )
            for face in batch:
                face.drop_image()
            if len(started) > 1:  # a GPU is busy with this batch while the last one is decoded
                yield [row for finish in started.popleft() for row in finish()]
        while started:
            yield [row for finish in started.popleft() for row in finish()]


def store_parts(
    evaluation: Evaluation, parts: Iterable[Part], folder: RunFolder, progress: Progress
) -> None:
    """Store parts as they come, so that a killed run loses little."""
    waiting: Part = []
    stored_s = perf_counter()
    for part in parts:
        waiting += part
        faces = len(part) // len(evaluation.methods)
        for name in evaluation.methods:
            progress.advance(evaluation.key, name, faces)
        if perf_counter() - stored_s >= STORE_EVERY_S:
            folder.append(evaluation.indexed, waiting)
            waiting, stored_s = [], perf_counter()
    if waiting:
        folder.append(evaluation.indexed, waiting)


def _read_in_threads(
    evaluation: Evaluation, faces: Iterator[IndexedFace], batch_size: int, workers: int
) -> Generator[list[PreparedFace], None, None]:
    """Batches of prepared faces, in order.

    Methods that hold Python's lock are left to the main thread: beside a network, each of its
    layers would wait for them.
    """
    names = list(evaluation.methods_in("threads"))
    ahead = ImagesAhead(partial(_read_and_prepare, evaluation, names))
    with ThreadPoolExecutor(workers, "hpbench-read") as threads:
        ahead_of_us = prefetch(lambda face: threads.submit(ahead.read, face), faces, 2 * batch_size)
        with closing(ahead_of_us) as prepared:
            yield from ahead.batches(prepared, batch_size)


def _read_in_processes(
    readers: WorkerPool,
    evaluation: Evaluation,
    faces: Iterator[IndexedFace],
    batch_size: int,
    workers: int,
) -> Generator[list[PreparedFace], None, None]:
    """Batches of prepared faces without their images, in order."""
    given = _in_lists(faces, FACES_AT_ONCE)
    read = partial(readers.submit, evaluation.key)
    with closing(prefetch(read, given, 2 * workers)) as prepared:
        yield from _in_lists(chain.from_iterable(prepared), batch_size)


def _in_lists(items: Iterator[In], size: int) -> Iterator[list[In]]:
    return iter(lambda: list(islice(items, size)), [])


def start_readers(evaluations: Sequence[Evaluation], processes: int) -> WorkerPool:
    """Processes that read and prepare faces of some data sets, one data set after the other.

    They start at once, with what they need for the first.
    """
    specs = {one.key: EvaluationSpec.of(one) for one in evaluations}
    names = ", ".join(dict.fromkeys(name for one in evaluations for name in one.methods))
    readers = WorkerPool(names, processes, _start_reader, specs, environment=_ONE_THREAD)
    for _ in range(processes):
        readers.submit(evaluations[0].key, ())
    return readers


def _start_reader(
    specs: Mapping[str, EvaluationSpec],
) -> Callable[[str, Sequence[IndexedFace]], list[PreparedFace]]:
    """What a process does: read faces of a data set and prepare them for all of its methods."""

    @lru_cache(maxsize=1)  # the last data set does not come back
    def evaluation_of(key: str) -> Evaluation:
        return specs[key].make(only_prepare=True)

    def read(key: str, faces: Sequence[IndexedFace]) -> list[PreparedFace]:
        evaluation = evaluation_of(key)
        names = list(evaluation.methods)
        prepared = [_read_and_prepare(evaluation, names, face) for face in faces]
        for one in prepared:
            one.drop_image()
        return prepared

    return read


def _read_and_prepare(
    evaluation: Evaluation, names: Sequence[str], indexed_face: IndexedFace
) -> PreparedFace:
    """Read one image, settle its box, and prepare it for the methods of these names."""
    row, record = indexed_face
    prepared = PreparedFace(row, read_face(evaluation, record))
    face = prepared.read.face
    if face is None:
        return prepared
    prepared.appearance = measure_appearance(face)
    for name in names:
        prepared.inputs[name] = prepare_face(evaluation.methods[name], face)
    return prepared


def _start_batch(
    name: str, method: Method, batch: Sequence[PreparedFace], watch: FailureWatch
) -> Callable[[], list[PartRow]]:
    """Start one method on a batch; to call what is returned waits for the rows."""
    for item in batch:
        if item.read.face is not None and name not in item.inputs:
            item.inputs[name] = prepare_face(method, item.read.face)
    readable = [item for item in batch if item.read.face is not None]
    inputs = [item.inputs.pop(name) for item in readable]
    finish = start_prepared(method, inputs)

    def rows() -> list[PartRow]:
        solved = finish()
        watch.look(name, solved)
        if method.stored_members:  # the time of looking it up is none of the program's
            solved = [
                Solved(one.prediction, infer_ms=method.stated_ms(item.read.image_id))
                for item, one in zip(readable, solved, strict=True)
            ]
        following = iter(solved)
        return [_row(item, name, _outcome(item, following)) for item in batch]

    return rows


def _outcome(item: PreparedFace, solved: Iterator[Solved]) -> Solved | None:
    """What a method made of a face, the next of `solved` where it saw it; None: it is excluded."""
    if item.read.face is not None:
        return next(solved)
    if item.read.excluded is not None:
        return None
    return Solved(NoPrediction(WITHOUT_BOX[item.read.box_status]))


def _row(item: PreparedFace, name: str, solved: Solved | None) -> PartRow:
    """Row of a part; without a prediction where the face is excluded."""
    read = item.read
    known = partial(
        PartRow,
        row=item.row,
        method=name,
        excluded=read.excluded,
        box_status=read.box_status,
        box_xyxy=None if read.face is None else read.face.box_xyxy,
        brightness=item.appearance.brightness,
        sharpness=item.appearance.sharpness,
    )
    if solved is None:
        return known(transient=read.unreadable)
    known = partial(
        known,
        prepare_ms=solved.prepare_ms,
        infer_ms=solved.infer_ms,
        decode_ms=solved.decode_ms,
    )
    prediction = solved.prediction
    if isinstance(prediction, NoPrediction):
        transient = read.unreadable or isinstance(prediction, Failed)
        return known(status="no_answer", reason=prediction.reason, transient=transient)
    return known(
        status="ok",
        transient=read.unreadable,
        R_cam=prediction.R_cam,
        confidence=prediction.confidence,
        spread_deg=prediction.spread_deg,
    )
