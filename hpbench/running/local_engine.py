"""The accuracy pass: every method on every face of every data set, each image read once.

A few threads read images, find faces and prepare network inputs ahead of the main thread,
which runs the methods batch by batch and stores each finished batch. Methods that hold
Python's lock are solved face by face in processes of their own
(:mod:`hpbench.running.worker_processes`).
Where all methods are of that kind, these processes read the images, too, for handing an image
to another process costs about as much as finding its landmarks.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Dataset, Record
from hpbench.detectors.base import Detector
from hpbench.errors import DataError, HpbenchError, ImageError
from hpbench.face import Face
from hpbench.geometry.boxes import check_box, match_box
from hpbench.inference.cores import usable_cores
from hpbench.inference.solving import (
    Solved,
    is_failure,
    prepare_face,
    solve_face,
    solve_prepared,
)
from hpbench.method import Method, NoPrediction
from hpbench.protocol import Protocol as EvaluationProtocol
from hpbench.registry import DATASETS, make_method
from hpbench.running.corruptions import Corruption, corrupt_box, corrupt_image
from hpbench.running.records import ChosenRecords
from hpbench.running.worker_processes import (
    POOL_FROM_FACES,
    SolverPool,
    result_of,
    worker_died,
)
from hpbench.storage.run_folder import RunFolder, rotation_cells

__all__ = [
    "STORE_EVERY_FACES",
    "Evaluation",
    "EvaluationSpec",
    "NoProgress",
    "Part",
    "Progress",
    "ReadyFace",
    "evaluate_dataset",
    "pending_records",
    "predict_records",
    "read_face",
    "store_parts",
]

In = TypeVar("In")
Out = TypeVar("Out")

STORE_EVERY_FACES = 256
"""How many faces a killed run may lose."""


class Progress(Protocol):
    """Told about the work under way; the command line draws bars from it.

    The timing pass reports its rounds in the same way, with words in the place of a method.
    """

    def start(self, dataset: str, method: str, total: int, done: int) -> None:
        """`total` faces are to be predicted, `done` of them are stored from before."""

    def advance(self, dataset: str, method: str, count: int) -> None:
        """`count` more faces are predicted."""


class NoProgress:
    """Shows nothing (:class:`Progress`)."""

    def start(self, dataset: str, method: str, total: int, done: int) -> None:
        """Nothing is shown."""

    def advance(self, dataset: str, method: str, count: int) -> None:
        """Nothing is shown."""


@dataclass(frozen=True)
class Evaluation:
    """One data set of a run with its protocol and the methods that take part.

    Attributes
    ----------
    key : str
        Name in the tables; the canonical spec where one data set occurs with several options.
    dataset : Dataset
    protocol : hpbench.protocol.Protocol
    records : sequence of Record
    methods : mapping of str to Method
        Loaded, by canonical spec.
    detector : Detector or None
        None: annotated boxes.
    declined : mapping of str to str
        Methods that cannot be run here, with the reason.
    plugins : sequence of Path
        Files that worker processes have to import to know the methods.
    corruption : Corruption or None
        Damage done to every face; it is part of the protocol, too.
    clean_key : str or None
        Key of the same evaluation without corruption.
    content : str
        Hash that tells whether the files of the data set have changed.
    """

    key: str
    dataset: Dataset
    protocol: EvaluationProtocol
    records: Sequence[Record]
    methods: Mapping[str, Method]
    detector: Detector | None = None
    declined: Mapping[str, str] = field(default_factory=dict)
    plugins: Sequence[Path] = ()
    corruption: Corruption | None = None
    clean_key: str | None = None
    content: str = ""

    def methods_in(self, workers: str) -> dict[str, Method]:
        """Methods whose faces are prepared in ``threads``, or solved in ``processes``."""
        return {name: m for name, m in self.methods.items() if m.prepare_in == workers}


@dataclass(frozen=True)
class EvaluationSpec:
    """All that another process needs to make its own copy of a evaluation, without its records.

    Attributes
    ----------
    key : str
    dataset : tuple
        Name, root and options (as a dict) of the data set.
    protocol : hpbench.protocol.Protocol
    methods : tuple of str
        Canonical specs.
    device : str
    plugins : tuple of Path
    detector : Detector or None
    corruption : Corruption or None
    """

    key: str
    dataset: tuple[str, Path | None, Mapping[str, Any]]
    protocol: EvaluationProtocol
    methods: tuple[str, ...]
    device: str
    plugins: tuple[Path, ...]
    detector: Detector | None
    corruption: Corruption | None

    @classmethod
    def of(cls, evaluation: Evaluation) -> EvaluationSpec:
        """The recipe of a evaluation; its paths are absolute."""
        root = evaluation.dataset.root
        return cls(
            key=evaluation.key,
            dataset=(
                evaluation.dataset.name,
                None if root is None else root.absolute(),
                evaluation.dataset.options.model_dump(),
            ),
            protocol=evaluation.protocol,
            methods=tuple(evaluation.methods),
            device=next(iter(evaluation.methods.values())).device,
            plugins=tuple(path.resolve() for path in evaluation.plugins),
            detector=evaluation.detector,
            corruption=evaluation.corruption,
        )

    def make(self) -> Evaluation:
        """The evaluation with loaded methods.

        Raises
        ------
        HpbenchError
            If a plugin, a weights file or the detector's model is missing here.
        """
        name, root, options = self.dataset
        kind = DATASETS.load(name, self.plugins)
        dataset = kind(root, kind.Options.model_validate(options))
        methods = {spec: make_method(spec, self.device, self.plugins) for spec in self.methods}
        for method in methods.values():
            method.load()
        if self.detector is not None:
            self.detector.load()
        return Evaluation(
            key=self.key,
            dataset=dataset,
            protocol=self.protocol,
            records=(),
            methods=methods,
            detector=self.detector,
            plugins=self.plugins,
            corruption=self.corruption,
        )


@dataclass
class ReadyFace:
    """A face on its way through the pass."""

    record: Record
    excluded: str | None
    face: Face | None = None
    box_status: str = "annotated"
    inputs: dict[str, Any] = field(default_factory=dict)
    prepare_ms: dict[str, float] = field(default_factory=dict)
    solving: dict[str, Future[Solved]] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """Rows of the run folder for some faces, with the predictions of every method to them."""

    faces: list[dict[str, Any]]
    predictions: list[dict[str, Any]]


def evaluate_dataset(
    evaluation: Evaluation,
    folder: RunFolder,
    progress: Progress,
    batch_size: int,
    workers: int | None = None,
) -> None:
    """Run all methods of a evaluation on its faces and store the rows in the run folder.

    Faces that the folder holds from a stopped run are not computed again.

    Parameters
    ----------
    evaluation : Evaluation
    folder : RunFolder
    progress : Progress
    batch_size : int
    workers : int or None
        Threads that read and prepare, and processes that solve; None for the number of cores.

    Raises
    ------
    HpbenchError
        If a method fails on every face of its first batch: it is broken, not the faces.
    """
    pending = pending_records(evaluation, folder, progress)
    with closing(predict_records(evaluation, pending, batch_size, workers)) as parts:
        store_parts(evaluation, parts, folder, progress)


def pending_records(
    evaluation: Evaluation, folder: RunFolder, progress: Progress
) -> Sequence[Record]:
    """Records that a run folder does not hold yet; the progress is told of those it does."""
    stored = folder.stored_faces()
    places = np.arange(len(evaluation.records))
    if stored:
        ids = (record.image_id for record in evaluation.records)
        places = np.array(
            [k for k, i in enumerate(ids) if (evaluation.key, i) not in stored], np.int64
        )
    pending = ChosenRecords(evaluation.records, places)
    for name in evaluation.methods:
        progress.start(
            evaluation.key, name, len(evaluation.records), len(evaluation.records) - len(pending)
        )
    return pending


def predict_records(
    evaluation: Evaluation, records: Sequence[Record], batch_size: int, workers: int | None = None
) -> Generator[Part, None, None]:
    """Prediction faces on this machine, batch after batch; the parameters are as above."""
    count = workers or usable_cores()
    enough = count > 1 and len(records) >= POOL_FROM_FACES
    if enough and len(evaluation.methods_in("processes")) == len(evaluation.methods):
        yield from _predict_in_processes(evaluation, records, batch_size, count)
        return
    proven: set[str] = set()
    with ExitStack() as stack:
        solvers = stack.enter_context(_solver_pool(evaluation, count) if enough else nullcontext())
        pool = stack.enter_context(ThreadPoolExecutor(count, thread_name_prefix="hpbench-read"))
        ready = prefetch(
            pool, partial(read_and_prepare, evaluation, solvers), records, 2 * batch_size
        )
        for batch in batched(ready, batch_size):
            scored = [item for item in batch if item.excluded is None]
            predictions = [
                row
                for name, method in evaluation.methods.items()
                for row in _predict_batch(evaluation.key, name, method, scored, proven)
            ]
            yield Part([_face_row(evaluation, item) for item in batch], predictions)


def store_parts(
    evaluation: Evaluation, parts: Iterable[Part], folder: RunFolder, progress: Progress
) -> None:
    """Store parts as they come, so that a killed run loses little."""
    faces: list[dict[str, Any]] = []
    predictions: list[dict[str, Any]] = []
    for part in parts:
        faces.extend(part.faces)
        predictions.extend(part.predictions)
        for name in evaluation.methods:
            progress.advance(evaluation.key, name, len(part.faces))
        if len(faces) >= STORE_EVERY_FACES:
            folder.append(faces, predictions)
            faces, predictions = [], []
    if faces:
        folder.append(faces, predictions)


def _predict_in_processes(
    evaluation: Evaluation, records: Sequence[Record], batch_size: int, processes: int
) -> Iterator[Part]:
    """Parts in order, from processes that read the images themselves."""
    with ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(EvaluationSpec.of(evaluation),),
    ) as pool:
        shards = batched(records, batch_size)
        try:
            yield from prefetch(pool, _predict_in_worker, shards, 2 * processes)
        except BrokenProcessPool as error:
            raise worker_died(", ".join(evaluation.methods)) from error


_worker_evaluation: Evaluation | None = None


def _start_worker(recipe: EvaluationSpec) -> None:
    global _worker_evaluation
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the workers in order
    _worker_evaluation = recipe.make()


def _predict_in_worker(records: Sequence[Record]) -> Part:
    assert _worker_evaluation is not None
    parts = list(predict_records(_worker_evaluation, records, len(records), workers=1))
    return Part(
        [row for part in parts for row in part.faces],
        [row for part in parts for row in part.predictions],
    )


def _solver_pool(
    evaluation: Evaluation, processes: int
) -> AbstractContextManager[SolverPool | None]:
    specs = list(evaluation.methods_in("processes"))
    if not specs:
        return nullcontext()
    device = evaluation.methods[specs[0]].device
    return SolverPool(specs, processes, device, evaluation.plugins)


def prefetch(
    pool: Executor, work: Callable[[In], Out], items: Iterable[In], ahead: int
) -> Iterator[Out]:
    """Results of `work` in order, at most `ahead` items computed before they are asked for."""
    waiting: deque[Future[Out]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def batched(items: Iterable[In], size: int) -> Iterator[list[In]]:
    """Lists of `size` items in order; the last may be shorter."""
    batch: list[In] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def read_and_prepare(
    evaluation: Evaluation, solvers: SolverPool | None, record: Record
) -> ReadyFace:
    """Read one image, settle its box, and prepare or start solving it for all methods."""
    ready = read_face(evaluation, record)
    if ready.face is None:
        return ready
    if solvers is not None:
        for name in evaluation.methods_in("processes"):
            ready.solving[name] = solvers.submit(name, ready.face)
    for name, method in evaluation.methods_in("threads").items():
        ready.inputs[name], ready.prepare_ms[name] = prepare_face(method, ready.face)
    return ready


def read_face(evaluation: Evaluation, record: Record) -> ReadyFace:
    """Read one image and settle which box the methods are given.

    Returns
    -------
    ReadyFace
        Without a face where the record is excluded, its image or box is unusable (then
        `excluded` gets the reason), or the detector missed it (``box_status="missed"``).
    """
    if record.excluded is not None:
        return ReadyFace(record, record.excluded)
    if record.label is None:
        return ReadyFace(record, "no label")
    try:
        image = evaluation.dataset.read_image(record)
        box = record.box_xyxy
        if box is None and evaluation.detector is None:
            return ReadyFace(record, "no annotated box; use --boxes dlib or yunet")
        if box is not None:
            check_box(box, (image.shape[1], image.shape[0]))
        if evaluation.corruption is not None:
            image = corrupt_image(image, box, record.image_id, evaluation.corruption)
    except (ImageError, DataError) as error:
        return ReadyFace(record, _without_folder(str(error), record))
    status = "annotated"
    if evaluation.detector is not None:
        box = _detected_box(evaluation.detector, image, box)
        status = "missed" if box is None else "detected"
    if box is None:
        return ReadyFace(record, None, box_status=status)
    if evaluation.corruption is not None:
        box = corrupt_box(box, record.image_id, evaluation.corruption)
    face = Face(record.image_id, image, box, record.camera, record.landmarks_xy)
    return ReadyFace(record, None, face, status)


def _detected_box(
    detector: Detector, image: npt.NDArray[np.uint8], annotated: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.float64] | None:
    """Box of the detection that is the labelled face, or None if the detector missed it."""
    boxes, scores = detector.detect(image)
    if annotated is None:
        return boxes[int(np.argmax(scores))] if len(boxes) else None
    place = match_box(boxes, annotated)
    return None if place is None else boxes[place]


def _without_folder(message: str, record: Record) -> str:
    """The reason with the image's name only, so that equal reasons are counted together."""
    return message.replace(str(record.image_path), record.image_path.name)


def _predict_batch(
    dataset: str, name: str, method: Method, batch: Sequence[ReadyFace], proven: set[str]
) -> list[dict[str, Any]]:
    """Rows of one method for the scored faces of a batch."""
    found = [item for item in batch if item.face is not None]
    if method.prepare_in == "processes":
        solved = [_solve(name, method, item) for item in found]
    else:
        solved = _infer(name, method, found, proven)
    by_id = {item.record.image_id: one for item, one in zip(found, solved, strict=True)}
    missed = Solved(NoPrediction("no face found by the detector"))
    return [
        _prediction_row(dataset, name, image_id, by_id.get(image_id, missed))
        for image_id in (item.record.image_id for item in batch)
    ]


def _prediction_row(dataset: str, name: str, image_id: str, solved: Solved) -> dict[str, Any]:
    prediction = solved.prediction
    R_cam = None if isinstance(prediction, NoPrediction) else prediction.R_cam
    return {
        "dataset": dataset,
        "method": name,
        "image_id": image_id,
        "status": "no_answer" if isinstance(prediction, NoPrediction) else "ok",
        "reason": prediction.reason if isinstance(prediction, NoPrediction) else None,
        **rotation_cells(R_cam),
        "confidence": None if isinstance(prediction, NoPrediction) else prediction.confidence,
        "prepare_ms": solved.prepare_ms,
        "infer_ms": solved.infer_ms,
        "decode_ms": solved.decode_ms,
    }


def _solve(name: str, method: Method, item: ReadyFace) -> Solved:
    if name in item.solving:
        return result_of(item.solving[name], name)
    assert item.face is not None
    return solve_face(method, item.face)


def _infer(name: str, method: Method, items: Sequence[ReadyFace], proven: set[str]) -> list[Solved]:
    """Predictions of a network for one batch of prepared faces."""
    solved = solve_prepared(method, [(item.inputs[name], item.prepare_ms[name]) for item in items])
    inferred = [
        one.prediction
        for item, one in zip(items, solved, strict=True)
        if not isinstance(item.inputs[name], NoPrediction)
    ]
    if inferred and name not in proven:
        reasons = [one.reason for one in inferred if isinstance(one, NoPrediction)]
        if len(reasons) == len(inferred) and all(map(is_failure, reasons)):
            error = reasons[0].removeprefix("infer failed: ")
            raise HpbenchError(f"method '{name}' fails on every face: {error}")
        proven.add(name)
    return solved


def _face_row(evaluation: Evaluation, item: ReadyFace) -> dict[str, Any]:
    record, label = item.record, item.record.label
    angles = label.angles_deg if label is not None else np.full(3, np.nan)
    box = item.face.box_xyxy if item.face is not None else np.full(4, np.nan)
    return {
        "dataset": evaluation.key,
        "image_id": record.image_id,
        "image_path": _relative(record.image_path, evaluation.dataset.root),
        "group": record.group,
        "excluded": item.excluded,
        **dict(zip(("yaw_deg", "pitch_deg", "roll_deg"), angles.tolist(), strict=True)),
        **rotation_cells(label.R_cam if label is not None else None),
        **dict(zip(("x0", "y0", "x1", "y1"), box.tolist(), strict=True)),
        "box_status": item.box_status,
        "factors": json.dumps(dict(record.factors)) if record.factors else None,
    }


def _relative(path: Path, root: Path | None) -> str:
    """Path below the data set's folder: a run folder may be shared, the disk is private."""
    folder = root.parent if root is not None and root.is_file() else root
    if folder is not None and path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    return path.name
