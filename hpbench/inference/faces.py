"""Records, images and faces of a data set, whatever the code of a plugin does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Dataset, Record
from hpbench.errors import PLUGIN_ERRORS, DataError, ImageError, in_one_line, plugin_errors
from hpbench.face import Face
from hpbench.geometry.boxes import check_box

__all__ = ["annotated_face", "each_record", "read_image"]


def each_record(dataset: Dataset) -> Iterator[Record]:
    """Records of a data set one by one.

    Raises
    ------
    HpbenchError
        If its code raises anything, also midway.
    """
    with plugin_errors(f"data set '{dataset.name}' cannot be read"):
        yield from dataset.iter_records()


def read_image(dataset: Dataset, record: Record) -> npt.NDArray[np.uint8]:
    """Image of a record, RGB, shape (height, width, 3).

    Raises
    ------
    ImageError
        If it cannot be read, or a plugin's reader raises anything or returns something else.
    """
    try:
        image = dataset.read_image(record)
    except DataError:
        raise
    except PLUGIN_ERRORS as error:
        raise ImageError(f"image cannot be read ({in_one_line(error)})") from error
    form = (getattr(image, "dtype", None), getattr(image, "ndim", 0))
    if form != (np.uint8, 3) or image.shape[2] != 3:
        what = type(image).__name__
        if isinstance(image, np.ndarray):
            what = f"an array of {image.dtype} and shape {image.shape}"
        raise ImageError(f"read_image gave {what}, not RGB of uint8, shape (height, width, 3)")
    return image


def annotated_face(dataset: Dataset, record: Record) -> Face:
    """The face that a record's annotated box is of.

    Raises
    ------
    ImageError
        As :func:`read_image` does.
    DataError
        If the record has no box, or no crop can be made of it.
    """
    if record.box_xyxy is None:
        raise DataError("no annotated box")
    image = read_image(dataset, record)
    check_box(record.box_xyxy, (image.shape[1], image.shape[0]))
    return Face(record.image_id, image, record.box_xyxy, record.camera, record.landmarks_xy)
