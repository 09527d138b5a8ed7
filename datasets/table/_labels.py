"""Labels and boxes of a table's rows, in whatever form they are written."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hpbench.dataset import Label
from hpbench.datasets.table._columns import Columns
from hpbench.errors import DataError
from hpbench.images import ImageSize
from hpbench.rotation import (
    Frame,
    angles_from_rotation,
    rotation_from_rq_angles,
    wrap_deg,
)
from hpbench.tables.rotation_columns import AngleOptions, angles_of, rotation_of, rotation_words
from hpbench.tables.rows import as_number, as_text, is_empty

__all__ = ["TableOptions", "image_path", "pixel_box", "read_box", "read_label"]

Array = npt.NDArray[np.float64]
BoxFormat = Literal["xyxy", "xywh", "cxcywh", "yxyx", "yxhw", "xxyy", "corners"]

_ORDERS = {"yxyx": (1, 0, 3, 2), "yxhw": (1, 0, 3, 2), "xxyy": (0, 2, 1, 3)}
_DISAGREE_DEG = 1.0


class TableOptions(AngleOptions):
    """What the names of the columns do not say."""

    euler: Literal["canonical", "rq"] = Field(
        default="canonical",
        description="which triple the angles are: rq for cv2.RQDecomp3x3 and "
        "cv2.decomposeProjectionMatrix",
    )
    frame: Frame = Field(
        default="camera",
        description="frame of r00..r22, of a quaternion or a rotation vector: camera (OpenCV), "
        "y-up (3DDFA, MediaPipe), 6drepnet, opal",
    )
    box: BoxFormat | None = Field(
        default=None,
        description="what the four columns of the box hold, in their order; default: what their "
        "names say. corners: any two opposite corners",
    )
    box_unit: Literal["px", "fraction", "percent"] = Field(
        default="px", description="unit of the boxes; fraction and percent are of the image"
    )
    box_size: str = Field(
        default="",
        pattern=r"^(\d+x\d+)?$",
        description="WIDTHxHEIGHT of the images that the boxes were made on, if not these",
    )
    exif: Literal["upright", "boxes", "ignore"] = Field(
        default="upright",
        description="upright: images are turned by their EXIF tag, and boxes belong to the "
        "upright image; boxes: boxes belong to the stored image and are turned with it; ignore: "
        "neither is turned",
    )

    def given(self) -> str:
        """The options that are not as they are by default, as a spec has them."""
        options = self.model_dump(mode="json", exclude_defaults=True)
        return ",".join(f"{name}={options[name]}" for name in sorted(options))


def read_label(row: Mapping[str, Any], columns: Columns, options: TableOptions) -> Label:
    """Label of a row.

    Raises
    ------
    DataError
        With the bare reason: something in it is not a number, or no rotation.
    """
    rotation = None
    if columns.rotation:
        rotation = rotation_of(row, columns.rotation, options.frame, "label")
    if not columns.angles:
        assert rotation is not None
        return Label.from_rotation(rotation)
    written = angles_of(row, columns.angles, "label")
    angles = options.angles_deg(written, options.unit or columns.unit or "deg")
    if options.euler == "rq":
        if np.isnan(angles).any():
            raise DataError("euler=rq needs yaw, pitch and roll")
        return Label.from_rotation(rotation_from_rq_angles(angles))
    if np.isnan(angles).all():
        if rotation is None:
            raise DataError("the row has no label")
        return Label.from_rotation(rotation)
    if rotation is not None:
        difference = np.abs(wrap_deg(angles - angles_from_rotation(rotation)))
        label = Label.from_angles(*angles.tolist())
        if label.R_cam is not None:
            difference = np.abs(angles_from_rotation(label.R_cam) - angles_from_rotation(rotation))
            difference = np.minimum(difference, 360.0 - difference)
        if np.nanmax(difference) > _DISAGREE_DEG:
            raise DataError(
                f"its angles and its {rotation_words(columns.rotation)} differ by "
                f"{np.nanmax(difference):.1f} degrees; keep one of them, or name frame="
            )
    return Label.from_angles(*angles.tolist())


def read_box(row: Mapping[str, Any], columns: Columns) -> Array | None:
    """The four numbers of a row's box as they are written; None where all cells are empty.

    Raises
    ------
    DataError
        With the bare reason.
    """
    if not columns.box or all(is_empty(row[name]) for name in columns.box):
        return None
    numbers = np.array([as_number(row[name]) for name in columns.box])
    for name, number in zip(columns.box, numbers, strict=True):
        if math.isnan(number):
            raise DataError(f"box is not a number ({name}: '{as_text(row[name])}')")
    return numbers


def pixel_box(
    numbers: Array, box_format: BoxFormat, options: TableOptions, size: ImageSize | None
) -> Array:
    """Box x0, y0, x1, y1 in pixels of the image as methods see it.

    Parameters
    ----------
    numbers : ndarray, shape (4,)
        In the order of the table's columns.
    box_format : str
    options : TableOptions
    size : ImageSize or None
        Needed for boxes that are not in pixels of this image; see :func:`needs_size`.
    """
    box = numbers[list(_ORDERS[box_format])] if box_format in _ORDERS else numbers.copy()
    if box_format in ("xywh", "yxhw"):
        box[2:] += box[:2]
    elif box_format == "cxcywh":
        box = np.concatenate([box[:2] - box[2:] / 2.0, box[:2] + box[2:] / 2.0])
    elif box_format == "corners":
        box = np.concatenate([np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])])
    if size is None:
        return box
    turned = options.exif == "boxes" and size.orientation > 1
    width, height = size.stored_wh if options.exif in ("boxes", "ignore") else size.upright_wh
    if options.box_unit != "px":
        box = (
            box * np.array([width, height] * 2) / (100.0 if options.box_unit == "percent" else 1.0)
        )
    elif options.box_size:
        made_w, made_h = map(int, options.box_size.split("x"))
        box = box * np.array([width / made_w, height / made_h] * 2)
    return size.upright_box(box) if turned else box


def needs_size(options: TableOptions) -> bool:
    """Whether boxes cannot be understood without the size of their image."""
    return options.box_unit != "px" or bool(options.box_size) or options.exif == "boxes"


def _is_file(path: Path) -> bool:
    """As ``Path.is_file``, and False for a name that no file can have."""
    return os.path.isfile(path)  # noqa: PTH113


def image_path(folder: Path, text: str) -> Path:
    r"""Path of an image, relative to the table's folder; one of Windows is found by its end.

    ``C:\faces\set 1\a.jpg`` is the first of ``faces/set 1/a.jpg``, ``set 1/a.jpg`` and
    ``a.jpg`` that exists.
    """
    path = folder / text
    if "\\" not in text or _is_file(path):
        return path
    windows = PureWindowsPath(text)
    parts = windows.parts[1:] if windows.anchor else windows.parts
    ends = [folder.joinpath(*parts[k:]) for k in range(len(parts) if windows.anchor else 1)]
    return next(filter(_is_file, ends), ends[0] if ends else path)
