"""Pseudo-labels: the mean prediction of teachers for faces that have no (good) labels.

Each teacher sees a face several times, with its box moved and scaled a little and the image
mirrored; the predictions are averaged as rotations. Where they disagree, the spread is large and
the face can be left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Dataset, Record
from hpbench.errors import DataError
from hpbench.face import Face
from hpbench.geometry.boxes import check_box
from hpbench.geometry.views import jittered, mirrored
from hpbench.labelling.journal import Journal
from hpbench.method import Method, NoPrediction
from hpbench.rotation import (
    angles_from_rotation,
    geodesic_deg,
    mean_rotation,
    mirror_rotation,
    rotation_from_angles,
)
from hpbench.storage.environment import versions
from hpbench.storage.prediction_cache import code_digest, hash_of, predictions_key, records_digest

__all__ = [
    "BLEND_FROM_DEG",
    "PseudoLabel",
    "blend_own_yaw",
    "jittered_views",
    "label_faces",
    "labels_key",
]

Array = npt.NDArray[np.float64]

BLEND_FROM_DEG = 30.0
"""Yaw up to which teachers are trusted alone."""

MAX_SHIFT = 0.06
"""Largest move of the box, as a share of its sides."""

MAX_SCALE = 0.10
"""Largest change of the box's sides."""


@dataclass(frozen=True, slots=True)
class PseudoLabel:
    """What the teachers say about one face.

    Attributes
    ----------
    record : Record
    R_cam : ndarray, shape (3, 3)
        Chordal mean of all predictions; each teacher counts the same.
    spread_deg : float
        Mean geodesic distance of the predictions to it.
    predictions : int
        How many predictions it is made of.
    """

    record: Record
    R_cam: Array
    spread_deg: float
    predictions: int


def jittered_views(
    face: Face, views: int, generator: np.random.Generator
) -> list[tuple[Face, bool]]:
    """Views of a face: the box as it is, then moved and scaled boxes, each plain and mirrored.

    Parameters
    ----------
    face : Face
    views : int
        Number of boxes.
    generator : numpy Generator

    Returns
    -------
    list of (Face, bool)
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
    records: Iterable[Record],
    teachers: Sequence[Method],
    views: int = 4,
    seed: int = 0,
    journal: Journal | None = None,
) -> tuple[list[PseudoLabel], dict[str, str]]:
    """Let teachers label the faces of a data set that have a box.

    Parameters
    ----------
    dataset : Dataset
        Where the images are read from.
    records : iterable of Record
        Its faces. Their labels are not looked at.
    teachers : sequence of Method
        Loaded.
    views : int
        Boxes per face; each is seen plain and mirrored.
    seed : int
    journal : Journal, optional
        Made with :func:`labels_key`; faces that it holds are not shown to the teachers again, and
        every further prediction is kept in it.

    Returns
    -------
    labels : list of PseudoLabel
    failures : dict of str to str
        Image id and reason of every face without a label.

    Raises
    ------
    DataError
        If no face could be labelled, or the journal cannot be written.
    """
    labels: list[PseudoLabel] = []
    failures: dict[str, str] = {}
    for place, record in enumerate(records):
        kept = journal.find(record.image_id) if journal is not None else None
        if kept is not None:
            prediction = _from_json(record, kept)
        else:
            generator = np.random.default_rng([seed, place])
            prediction = _read_and_label(dataset, record, teachers, views, generator)
            if journal is not None:
                journal.keep(record.image_id, _to_json(prediction))
        if isinstance(prediction, str):
            failures[record.image_id] = prediction
        else:
            labels.append(prediction)
    if not labels:
        reason = next(iter(failures.values()), "it has no faces")
        raise DataError(f"{dataset.name}: no face could be labelled ({reason})")
    return labels, failures


def labels_key(
    dataset: Dataset, records: Sequence[Record], teachers: Sequence[Method], views: int, seed: int
) -> str:
    """Hash of everything that labels depend on, for their journal.

    Images count as unchanged while their size and time of change are.
    """
    faces = records_digest(records)
    return hash_of(
        "labels",
        code_digest(type(dataset)),
        [[predictions_key(faces, one), one.device] for one in teachers],
        [views, seed, MAX_SHIFT, MAX_SCALE],
        versions(),
    )


def _to_json(prediction: PseudoLabel | str) -> dict[str, Any] | str:
    if isinstance(prediction, str):
        return prediction
    # numbers of JSON are read back to the last bit
    return {
        "R_cam": prediction.R_cam.tolist(),
        "spread_deg": prediction.spread_deg,
        "predictions": prediction.predictions,
    }


def _from_json(record: Record, kept: dict[str, Any] | str) -> PseudoLabel | str:
    if isinstance(kept, str):
        return kept
    return PseudoLabel(record, np.array(kept["R_cam"]), kept["spread_deg"], kept["predictions"])


def _read_and_label(
    dataset: Dataset,
    record: Record,
    teachers: Sequence[Method],
    views: int,
    generator: np.random.Generator,
) -> PseudoLabel | str:
    face = _read(dataset, record)
    if isinstance(face, str):
        return face
    return _label(record, face, teachers, views, generator)


def _read(dataset: Dataset, record: Record) -> Face | str:
    """The face, or the reason why there is none."""
    if record.box_xyxy is None:
        return record.excluded or "no face box"
    try:
        image = dataset.read_image(record)
        check_box(record.box_xyxy, (image.shape[1], image.shape[0]))
    except DataError as error:
        return str(error)
    return Face(record.image_id, image, record.box_xyxy, record.camera, record.landmarks_xy)


def _label(
    record: Record,
    face: Face,
    teachers: Sequence[Method],
    views: int,
    generator: np.random.Generator,
) -> PseudoLabel | str:
    pairs = jittered_views(face, views, generator)
    rotations: list[Array] = []
    weights: list[float] = []
    reason = ""
    for teacher in teachers:
        predictions = teacher.predict([view for view, _ in pairs])
        solved: list[Array] = []
        for (_, is_mirrored), prediction in zip(pairs, predictions, strict=True):
            if isinstance(prediction, NoPrediction):
                reason = prediction.reason
            else:
                R_cam = prediction.R_cam
                solved.append(mirror_rotation(R_cam) if is_mirrored else R_cam)
        rotations += solved
        weights += [1.0 / len(solved)] * len(solved)
    if not rotations:
        return f"no teacher has a prediction ({reason})"
    mean = mean_rotation(rotations, weights)
    spread = float(np.average(geodesic_deg(np.stack(rotations), mean), weights=weights))
    return PseudoLabel(record, mean, spread, len(rotations))


def blend_own_yaw(R_cam: Array, own_yaw_deg: float, from_deg: float, share_at_90: float) -> Array:
    """Pull the yaw of a pseudo-label towards the data set's own at profile.

    Teachers say too little in profile, while a data set like Pointing'04 knows where people
    were asked to look. The weight of its own yaw grows linearly from zero at `from_deg` to
    `share_at_90` at 90 degrees.

    Parameters
    ----------
    R_cam : ndarray, shape (3, 3)
    own_yaw_deg : float
        NaN leaves the label as it is.
    from_deg, share_at_90 : float

    Returns
    -------
    ndarray, shape (3, 3)
    """
    if not np.isfinite(own_yaw_deg):
        return R_cam
    yaw, pitch, roll = angles_from_rotation(R_cam)
    beyond = np.clip((abs(own_yaw_deg) - from_deg) / (90.0 - from_deg), 0.0, 1.0)
    share = float(share_at_90 * beyond)
    blended = (1.0 - share) * yaw + share * own_yaw_deg
    return rotation_from_angles([blended, pitch, roll])
