"""Small images of faces with ground-truth and predicted axes, for the HTML report."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Dataset, Record
from hpbench.errors import DataError
from hpbench.face import crop_with_black
from hpbench.geometry.pose_drawing import axis_tips
from hpbench.inference.faces import each_record, read_image
from hpbench.registry import DATASETS
from hpbench.reports.tables.worst import worst_faces
from hpbench.results.run_record import RunRecord
from hpbench.running.data_folders import data_folders
from hpbench.running.named_files import require_named
from hpbench.running.plan import dataset_items, open_dataset
from hpbench.scoring.scores import DatasetScores
from hpbench.storage.schemas import BOX_XYXY

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EmbeddedFace", "embedded_faces"]

MAX_FACES = 240
"""Images in one section; a page with more is slow to open."""

_SIDE_PX = 128
_MARGIN = 1.7
"""Side of the shown square in parts of the larger side of the face box."""

_VIEW = 100.0
_AXIS_LENGTH = 30.0


Tips = list[list[float]] | None
"""Ends of the three axes in a square of side 100; None where the label is incomplete."""


class EmbeddedFace(TypedDict):
    """What the page's script shows of one face; predictions and errors (degrees) by method."""

    image: str
    ground_truth: Tips
    predictions: dict[str, Tips]
    errors: dict[str, float]


def embedded_faces(
    dataset: DatasetScores, faces: pd.DataFrame, run: RunRecord, data: Mapping[str, Path]
) -> dict[str, EmbeddedFace]:
    """Images of a data set's faces by image id, the worst of each method first.

    An image that cannot be read is left out. `data` holds the folders that may be opened, by name
    of data set.

    Raises
    ------
    HpbenchError
        If the data set itself is not there any more, or its folder is not among `data`.
    """
    source, records = _open(dataset.name, run, data)
    errors = {method.spec: method.curve_errors_deg for method in dataset.methods}
    found: dict[str, EmbeddedFace] = {}
    for index in _choose(dataset):
        image_id = str(dataset.image_ids[index])
        box = faces.iloc[dataset.rows[index]][list(BOX_XYXY)].to_numpy(dtype=np.float64)
        try:
            image = _cropped_jpeg(read_image(source, records[image_id]), box)
        except (DataError, KeyError):  # the folder has changed since the run
            continue
        predicted = [method for method in dataset.methods if method.predicted[index]]
        found[image_id] = {
            "image": image,
            "ground_truth": _tips(dataset.R_gt[index]),
            "predictions": {method.spec: _tips(method.R_pred[index]) for method in predicted},
            "errors": {
                method.spec: round(float(errors[method.spec][index]), 2) for method in predicted
            },
        }
    return found


def _open(key: str, run: RunRecord, data: Mapping[str, Path]) -> tuple[Dataset, dict[str, Record]]:
    """The data set of a run, and its records by image id."""
    # plugin files that a run folder names are never imported: it may be a stranger's
    spec = run.spec.model_copy(update={"plugins": (), "data": {}})
    item = dataset_items(spec).get(key)
    if item is None or item.name != run.datasets[key].name:
        raise DataError(f"data set '{key}': its images come from a plugin, which no report imports")
    if DATASETS.load(item.name).needs_root:
        folders = {**data_folders({}, [item]), **data}
        stored = {} if item.path else {item.name: run.spec.data.get(item.name, Path("DIR"))}
        require_named((), {key: item}, stored, folders)
        spec = spec.model_copy(update={"data": folders})
    else:  # it comes with its images
        item = replace(item, path=None)
    dataset, _ = open_dataset(item, spec)
    return dataset, {record.image_id: record for record in each_record(dataset)}


def _choose(dataset: DatasetScores) -> list[int]:
    # in turns, so that all methods have some of theirs where not all of them have room
    places = zip_longest(*map(worst_faces, dataset.methods))
    worst = [index for place in places for index in place if index is not None]
    first = list(dict.fromkeys(worst))[:MAX_FACES]
    count = len(dataset.image_ids)
    step = max(1, -(-count // (MAX_FACES - len(first) or 1)))
    even = [index for index in range(0, count, step) if index not in set(first)]
    return [*first, *even][:MAX_FACES]


def _cropped_jpeg(image: npt.NDArray[np.uint8], box_xyxy: npt.NDArray[np.float64]) -> str:
    """Square around a face as a JPEG in a data address; the whole image without a box."""
    from PIL import Image

    if np.isfinite(box_xyxy).all():
        center = (box_xyxy[:2] + box_xyxy[2:]) / 2.0
        half = _MARGIN * float((box_xyxy[2:] - box_xyxy[:2]).max()) / 2.0
        x0, y0 = (int(value) for value in np.floor(center - half))
        side = max(2, int(np.ceil(2.0 * half)))
        image = crop_with_black(image, (x0, y0, x0 + side, y0 + side))
    small = Image.fromarray(image).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _tips(R_cam: npt.NDArray[np.float64]) -> Tips:
    if not np.isfinite(R_cam).all():
        return None
    tips = axis_tips(R_cam, [_VIEW / 2.0, _VIEW / 2.0], _AXIS_LENGTH)
    return [[round(float(x), 1), round(float(y), 1)] for x, y in tips]
