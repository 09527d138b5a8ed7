"""Pseudo-labels: the mean prediction of teachers for faces that have no (good) labels.

Each teacher sees a face several times, with its box moved and scaled a little and the image
mirrored; the predictions are averaged as rotations. Where they disagree, the spread is large and
the face can be left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Dataset, Record
from hpbench.errors import NO_SUCH_IMAGE, DataError, UsageError, write_errors
from hpbench.face import Face
from hpbench.geometry.views import jittered, mirrored
from hpbench.images import max_pixels
from hpbench.inference.faces import annotated_face
from hpbench.inference.solving import solve_batch
from hpbench.method import Method, NoPrediction
from hpbench.registry import load_method
from hpbench.rotation import (
    geodesic_deg,
    mean_rotation,
    mirror_rotation,
)
from hpbench.running.runner import MAX_VANISHED_SHARE
from hpbench.storage.environment import versions
from hpbench.storage.fingerprints import hash_of, plugin_digest, records_digest
from hpbench.storage.loaded_files import method_digests

__all__ = [
    "PseudoLabel",
    "blend_dataset_label",
    "jittered_views",
    "label_faces",
]

Array = npt.NDArray[np.float64]

MAX_SHIFT = 0.06
"""Largest move of the box, as a share of its sides."""

MAX_SCALE = 0.10
"""Largest change of the box's sides."""


@dataclass(frozen=True, slots=True)
class PseudoLabel:
    """What the teachers say about one face.

    `R_cam` is the chordal mean of all predictions, where each teacher counts the same;
    `spread_deg` the mean geodesic distance of the predictions to it.
    """

    record: Record
    R_cam: Array
    spread_deg: float


def jittered_views(
    face: Face, views: int, generator: np.random.Generator
) -> list[tuple[Face, bool]]:
    """Views of a face: the box as it is, then moved and scaled boxes, each plain and mirrored.

    The flag says that the face is mirrored.
    """
    pairs: list[tuple[Face, bool]] = []
    mirror = mirrored(face)
    for view in range(views):
        strength = 0.0 if view == 0 else 1.0
        shift = strength * generator.uniform(-MAX_SHIFT, MAX_SHIFT, 2)
        growth = strength * generator.uniform(-MAX_SCALE, MAX_SCALE)
        pairs.append((jittered(face, shift, growth), False))
        pairs.append((jittered(mirror, shift * (-1.0, 1.0), growth), True))
    return pairs


def label_faces(
    dataset: Dataset,
    records: Sequence[Record],
    teachers: Sequence[Method],
    progress_file: Path,
    views: int = 4,
    seed: int = 0,
    note: Callable[[str], None] = print,
    on_progress: Callable[[int], None] = lambda count: None,
) -> tuple[list[PseudoLabel], dict[str, str]]:
    """Let teachers label the faces of a data set that have a box.

    Parameters
    ----------
    dataset, records
        Faces, whose labels are not looked at.
    teachers
        Methods, which are loaded here.
    progress_file
        Every label is written to it at once; faces that it holds from a stopped call with the same
        arguments are not shown to the teachers again.
    views
        Boxes per face; each is seen plain and mirrored.
    note, on_progress
        Called with a line for the user, and with the number of faces that are just finished.

    Returns
    -------
    labels : list of PseudoLabel
    failures : dict of str to str
        Image id and reason of every face without a label.

    Raises
    ------
    DataError
        If no face could be labelled, many images have vanished since the call, or the file cannot
        be written.
    UsageError
        If the file holds labels of a call with other arguments.
    """
    labels: list[PseudoLabel] = []
    failures: dict[str, str] = {}
    digests, loaded = method_digests({f"{n} {one.name}": one for n, one in enumerate(teachers)})
    depends_on = {
        "methods": hash_of(
            *([digest, one.device] for digest, one in zip(digests.values(), teachers, strict=True))
        ),
        "data or --limit": hash_of(plugin_digest(dataset), records_digest(records)),
        "--views": hash_of(views, MAX_SHIFT, MAX_SCALE),
        "--seed": hash_of(seed),
        "--max-pixels": hash_of(max_pixels()),
        "versions of packages": hash_of(versions()),
    }
    for name, teacher in zip(digests, teachers, strict=True):
        if name not in loaded:
            load_method(teacher)
    absent = {one.image_id for one in records if not one.image_path.is_file()}
    vanished = 0
    with _Progress(progress_file, depends_on) as progress:
        if progress.done:
            note(f"resuming: {len(progress.done)} faces are labelled")
        for index, record in enumerate(records):
            result = progress.done.get(record.image_id)
            if result is None:
                generator = np.random.default_rng([seed, index])
                result = _label(dataset, record, teachers, views, generator)
                if _is_lost(result) and record.image_id not in absent:
                    vanished += 1  # not stored: a repeated command reads it again
                else:
                    progress.add(record.image_id, result)
            if isinstance(result, str):
                failures[record.image_id] = result
            else:
                R_cam, spread_deg = result
                labels.append(PseudoLabel(record, np.array(R_cam), spread_deg))
            on_progress(1)
    if vanished > MAX_VANISHED_SHARE * len(records):
        raise DataError(
            f"data set '{dataset.name}': {vanished} of {len(records)} images vanished while they "
            "were labelled; bring its folder back and repeat the command to resume"
        )
    if not labels:
        reason = next(iter(failures.values()), "it has no faces")
        raise DataError(f"data set '{dataset.name}': no face could be labelled ({reason})")
    return labels, failures


class _Progress:
    """The file that holds every label as soon as it is made.

    The first line has hashes of all that labels depend on, each other one an image id and a result.

    Attributes
    ----------
    done : dict of str to str or list
        Results of a stopped call, by image id.
    """

    def __init__(self, path: Path, depends_on: dict[str, str]) -> None:
        self._path, self._depends_on = path, depends_on
        self.done: dict[str, Any] = {}

    def __enter__(self) -> _Progress:
        with self._write_errors():
            self._file = self._path.open("a+", encoding="utf-8", errors="replace")
        try:
            self.done = self._read()
            if not self.done:  # no label is lost
                with self._write_errors():
                    self._file.truncate(0)
                self._write(json.dumps(self._depends_on))
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, image_id: str, result: Any) -> None:
        """Store a result; the line end comes first, so that torn-off ones stay on a line alone."""
        self._write("\n" + json.dumps([image_id, result]))

    def _read(self) -> dict[str, Any]:
        """Results of a stopped call by image id; torn lines do not count.

        Raises
        ------
        UsageError
            If there are some of a call with other arguments.
        """
        self._file.seek(0)
        first, *lines = self._file.read().split("\n")
        results: list[tuple[str, Any]] = []
        for line in lines:
            with suppress(ValueError):
                results.append(json.loads(line))
        before: dict[str, str] = {}
        with suppress(ValueError, TypeError):
            before = dict(json.loads(first))
        other = [name for name, key in self._depends_on.items() if before.get(name) != key]
        if not other:
            return dict(results)
        if labels := [label for _, label in results if not isinstance(label, str)]:
            raise UsageError(
                f"{self._path}: holds {len(labels)} labels that were made with other "
                f"{', '.join(other)}; repeat the command as it was to resume, or delete the file"
            )
        return {}

    def _write(self, text: str) -> None:
        with self._write_errors():
            self._file.write(text)
            self._file.flush()

    def _write_errors(self) -> AbstractContextManager[None]:
        return write_errors(self._path, "make room, then repeat the command to resume")


def _is_lost(result: object) -> bool:
    """Whether it is the reason of a face whose image was not there when it was read."""
    return isinstance(result, str) and NO_SUCH_IMAGE in result


def _label(
    dataset: Dataset,
    record: Record,
    teachers: Sequence[Method],
    views: int,
    generator: np.random.Generator,
) -> tuple[list[list[float]], float] | str:
    """Rotation and spread, or the reason why there is no label."""
    if record.box_xyxy is None:
        return record.excluded or "no face box"
    try:
        face = annotated_face(dataset, record)
    except DataError as error:
        return str(error)
    pairs = jittered_views(face, views, generator)
    rotations: list[Array] = []
    weights: list[float] = []
    reason = ""
    for teacher in teachers:
        solved = solve_batch(teacher, [view for view, _ in pairs])
        predicted: list[Array] = []
        for (_, is_mirrored), one in zip(pairs, solved, strict=True):
            if isinstance(one.prediction, NoPrediction):
                reason = one.prediction.reason
            else:
                R_cam = one.prediction.R_cam
                predicted.append(mirror_rotation(R_cam) if is_mirrored else R_cam)
        rotations += predicted
        weights += [1.0 / len(predicted) for _ in predicted]  # none of a teacher without any
    if not rotations:
        return f"no teacher has a prediction ({reason})"
    mean = mean_rotation(rotations, weights)
    spread = float(np.average(geodesic_deg(np.stack(rotations), mean), weights=weights))
    return mean.tolist(), spread


def blend_dataset_label(label: PseudoLabel, share: float) -> Array:
    """Rotation between that of the teachers and the data set's own, which has the weight `share`.

    For labels whose mistakes have other causes than those of teachers, such as a known turn of a
    photo. A face without its own label of all three angles keeps that of the teachers.
    """
    own = label.record.label
    if share == 0.0 or own is None or own.R_cam is None:
        return label.R_cam
    return mean_rotation([label.R_cam, own.R_cam], [1.0 - share, share])
