"""Pseudo-labels: the mean prediction of teachers for faces that have no (good) labels.

Each teacher sees a face several times, with its box moved and scaled a little and the image
mirrored; the predictions are averaged as rotations. Where they disagree, the spread is large and
the face can be left out.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Dataset, Record
from hpbench.errors import DataError, UsageError, write_errors
from hpbench.face import Face
from hpbench.geometry.views import jittered, mirrored
from hpbench.images import max_pixels
from hpbench.inference.faces import annotated_face
from hpbench.inference.solving import solve_batch
from hpbench.method import Method, NoPrediction
from hpbench.registry import load_method
from hpbench.rotation import (
    angles_from_rotation,
    geodesic_deg,
    mean_rotation,
    mirror_rotation,
)
from hpbench.storage.atomic import atomic_path
from hpbench.storage.environment import versions
from hpbench.storage.fingerprints import hash_of, plugin_digest, records_digest
from hpbench.storage.loaded_files import method_digests

__all__ = [
    "PseudoLabel",
    "blend_dataset_label",
    "jittered_views",
    "label_dataset",
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


def label_dataset(
    dataset: Dataset,
    records: Sequence[Record],
    teachers: Sequence[Method],
    out: Path,
    *,
    views: int = 4,
    seed: int = 0,
    max_spread_deg: float | None = None,
    dataset_share: float = 0.0,
    note: Callable[[str], None] = print,
    on_progress: Callable[[int], None] = lambda count: None,
) -> int:
    """Write a table of labels that teachers give, to be read as the data set ``table``.

    Repeated after it was stopped, it resumes from ``OUT.progress``.

    Parameters
    ----------
    dataset, records, teachers, views, seed, on_progress
        See :func:`label_faces`.
    out
        ``.parquet`` or ``.csv`` file with one row per face, replaced only when it is complete.
    max_spread_deg
        Faces whose predictions differ by more are left out.
    dataset_share
        See :func:`blend_dataset_label`.
    note
        Takes one line for the user: how many faces have no label, and why.

    Returns
    -------
    int
        Rows of the table.
    """
    progress_file = out.with_name(out.name + ".progress")
    labels, failures = label_faces(
        dataset, records, teachers, progress_file, views, seed, note, on_progress
    )
    for reason, count in Counter(failures.values()).most_common():
        note(f"{count} without a label: {reason}")
    if max_spread_deg is not None:
        certain = [label for label in labels if label.spread_deg <= max_spread_deg]
        note(f"{len(labels) - len(certain)} left out: spread above {max_spread_deg:g} degrees")
        labels = certain
    if not labels:
        raise DataError(f"data set '{dataset.name}': no face is left; raise --max-spread")
    _write_table(labels, out, dataset_share)
    progress_file.unlink(missing_ok=True)
    return len(labels)


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
        If no face could be labelled, or the file cannot be written.
    UsageError
        If the file holds labels of a call with other arguments.
    """
    labels: list[PseudoLabel] = []
    failures: dict[str, str] = {}
    digests, loaded = method_digests({f"{n} {one.name}": one for n, one in enumerate(teachers)})
    key = _labels_key(dataset, records, digests.values(), teachers, views, seed)
    for name, teacher in zip(digests, teachers, strict=True):
        if name not in loaded:
            load_method(teacher)
    done = _read_progress(progress_file, key)
    if done:
        note(f"resuming: {len(done)} faces are labelled")
    else:
        _write_progress(progress_file, key, "w")  # no label is lost
    for index, record in enumerate(records):
        result = done.get(record.image_id)
        if result is None:
            generator = np.random.default_rng([seed, index])
            result = _label(dataset, record, teachers, views, generator)
            # the line end comes first: what a killed run has torn off stays on a line alone
            _write_progress(progress_file, "\n" + json.dumps([record.image_id, result]), "a")
        if isinstance(result, str):
            failures[record.image_id] = result
        else:
            R_cam, spread_deg = result
            labels.append(PseudoLabel(record, np.array(R_cam), spread_deg))
        on_progress(1)
    if not labels:
        reason = next(iter(failures.values()), "it has no faces")
        raise DataError(f"data set '{dataset.name}': no face could be labelled ({reason})")
    return labels, failures


def _write_progress(path: Path, text: str, mode: str) -> None:
    with (
        write_errors(path, "make room, then repeat the command to resume"),
        path.open(mode, encoding="utf-8") as file,
    ):
        file.write(text)


def _read_progress(path: Path, key: str) -> dict[str, Any]:
    """Results of a stopped call by image id; torn lines do not count.

    Raises
    ------
    UsageError
        If there are some of a call with other arguments.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    first, *lines = text.split("\n")
    results: list[tuple[str, Any]] = []
    for line in lines:
        with suppress(ValueError):
            results.append(json.loads(line))
    if first == key:
        return dict(results)
    if labels := [label for _, label in results if not isinstance(label, str)]:
        raise UsageError(
            f"{path}: holds {len(labels)} labels that were made with other options, data or "
            "versions; repeat the command as it was to resume, or delete the file"
        )
    return {}


def _labels_key(
    dataset: Dataset,
    records: Sequence[Record],
    digests: Collection[str],
    teachers: Sequence[Method],
    views: int,
    seed: int,
) -> str:
    """Hash of everything that labels depend on; of images, the size and time of change."""
    faces = records_digest(records)
    return hash_of(
        "labels",
        plugin_digest(dataset),
        faces,
        [[digest, one.device] for digest, one in zip(digests, teachers, strict=True)],
        [views, seed, MAX_SHIFT, MAX_SCALE, max_pixels()],
        versions(),
    )


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


def _write_table(labels: Sequence[PseudoLabel], path: Path, dataset_share: float) -> None:
    """Write labels as a table that the data set ``table`` reads."""
    import pandas as pd

    folder = path.resolve().parent
    rows = []
    for one in labels:
        record = one.record
        R_cam = blend_dataset_label(one, dataset_share)
        yaw, pitch, roll = angles_from_rotation(R_cam).round(4)
        assert record.box_xyxy is not None
        x0, y0, x1, y1 = record.box_xyxy
        rows.append(
            {
                "image": os.path.relpath(record.image_path.resolve(), folder),
                "yaw": yaw, "pitch": pitch, "roll": roll,
                "x0": x0, "y0": y0, "x1": x1, "y1": y1,
                "subject": record.group, "spread_deg": round(one.spread_deg, 3),
            }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    kept = "the predictions are kept, repeat the command to resume"
    with write_errors(path, kept), atomic_path(path) as temporary:
        write = table.to_csv if path.suffix == ".csv" else table.to_parquet
        write(temporary, index=False)
