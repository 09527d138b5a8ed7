"""The faces of a data set as a run evaluates them: what any other program needs to predict them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hpbench.dataset import Dataset, Record
from hpbench.detectors.base import make_detector
from hpbench.errors import DataError, UsageError, write_errors
from hpbench.face import DISTORTION, INTRINSICS, Camera, intrinsics_of
from hpbench.images import pixel_limit
from hpbench.inference.cores import compute_threads
from hpbench.inference.prefetch import prefetch
from hpbench.inference.progress import Progress
from hpbench.results.run_config import ANNOTATED, RunConfig
from hpbench.running.data_folders import data_folders
from hpbench.running.evaluation import WITHOUT_BOX, Evaluation, read_face
from hpbench.running.faces_config import FacesConfig
from hpbench.running.plan import dataset_items, plan
from hpbench.storage.atomic import write_text
from hpbench.storage.schemas import BOX_XYXY
from hpbench.tables.rows import refuse_foreign_table

__all__ = ["FACE_COLUMNS", "FaceList", "list_faces"]

FACE_COLUMNS = ("dataset", "image_id", "image", *BOX_XYXY, *INTRINSICS, *DISTORTION)
"""Columns of a list of faces (docs/compare-any-program.md)."""


@dataclass(frozen=True)
class FaceList:
    """Faces that methods are given, in the order of the data set.

    Attributes
    ----------
    rows : list of dict
        A value for each of :data:`FACE_COLUMNS`: the name of the data set, the id of the face, the
        absolute path of its image, the box x0, y0, x1, y1 in pixels, and the camera in pixels with
        its distortion in OpenCV's order; None without a camera.
    total : int
        Faces of the data set.
    left_out : dict of str to int
        All others by the reason, the commonest first.
    warnings : list of str
        What looks wrong with labels or boxes.
    dataset : Dataset
        Whose faces they are.
    """

    rows: list[dict[str, Any]]
    total: int
    left_out: Mapping[str, int]
    warnings: list[str]
    dataset: Dataset

    def write(self, path: Path) -> None:
        """Write a CSV file; the ids stay as they are.

        Raises
        ------
        UsageError
            If the data set is read from this file, or it holds anything but a list of faces.
        DataError
            If it cannot be written.
        """
        refuse_foreign_table(path, FACE_COLUMNS, "hpbench faces")
        self.dataset.refuse_to_overwrite(path)
        text = io.StringIO()
        writer = csv.DictWriter(text, FACE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        with write_errors(path):
            path.resolve().parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text.getvalue())


def list_faces(config: FacesConfig, progress: Progress) -> FaceList:
    """Read all images of a data set and settle their faces, by the rules of a run.

    Raises
    ------
    HpbenchError
        If a run of the data set would not start, or none of its faces can be read.
    """
    run = RunConfig(methods="", datasets=config.dataset, **config.model_dump(exclude={"dataset"}))
    run = run.model_copy(update={"data": data_folders(run.data, run.datasets, run.plugins)})
    if len(dataset_items(run)) > 1:
        raise UsageError(f"'{config.dataset}': name one data set")
    detector = None if run.boxes == ANNOTATED else make_detector(run.boxes, run.plugins)
    with pixel_limit(run.max_pixels):
        (evaluation,) = plan(run, {}, detector, (), None)
        if detector is not None:
            detector.load()
        return _read_all(evaluation, progress)


def _read_all(evaluation: Evaluation, progress: Progress) -> FaceList:
    index = evaluation.indexed.index
    included = np.flatnonzero(index.included())
    left_out = Counter(index.table["excluded"].drop_null().to_pylist())
    rows: list[dict[str, Any]] = []
    progress.start(evaluation.key, "faces", len(included), 0)
    workers = compute_threads()
    with ThreadPoolExecutor(workers, "hpbench-read") as threads:
        read = partial(_row_or_reason, evaluation)
        submit = partial(threads.submit, read)
        for found in prefetch(submit, index.take(included), 2 * workers):
            if isinstance(found, str):
                left_out[found] += 1
            else:
                rows.append(found)
            progress.advance(evaluation.key, "faces", 1)
    if not rows:
        reason, count = left_out.most_common(1)[0]
        raise DataError(
            f"data set '{evaluation.key}': none of its {len(index)} faces is evaluated; "
            f"{count}: {reason}"
        )
    warnings = [warning.text for warning in evaluation.warnings]
    return FaceList(rows, len(index), dict(left_out.most_common()), warnings, evaluation.dataset)


def _row_or_reason(evaluation: Evaluation, record: Record) -> dict[str, Any] | str:
    """Row of a face, or why methods are not given it."""
    read = read_face(evaluation, record)
    if read.face is None:
        return read.excluded or WITHOUT_BOX[read.box_status]
    box = zip(BOX_XYXY, read.face.box_xyxy.tolist(), strict=True)
    return {
        "dataset": evaluation.dataset.name,
        "image_id": record.image_id,
        "image": str(record.image_path.absolute()),
        **dict(box),
        **_camera_cells(record.camera),
    }


def _camera_cells(camera: Camera | None) -> dict[str, float]:
    """Columns of a camera; none without one."""
    if camera is None:
        return {}
    distortion = zip(DISTORTION, camera.distortion.tolist(), strict=True)
    return intrinsics_of(camera.matrix) | dict(distortion)
