"""Labels and boxes of a table's rows, in whatever form they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationInfo, field_validator

from hpbench.dataset import Label
from hpbench.datasets.table._columns import Columns
from hpbench.errors import DataError, UsageError
from hpbench.face import DISTORTION, Camera, camera_matrix
from hpbench.geometry.boxes import BoxLayout, corners_of
from hpbench.images import ImageSize
from hpbench.paths import is_file
from hpbench.rotation import (
    EulerName,
    Frame,
    euler_order,
    geodesic_deg,
    nearest_angles,
    rotation_from_euler,
    wrap_deg,
)
from hpbench.tables.rotation_columns import AngleOptions, angles_of, rotation_of, rotation_words
from hpbench.tables.rows import is_empty, number_in, numbers_in

__all__ = [
    "TableOptions", "image_path", "pixel_box", "read_camera", "read_label",
    "refuse_unused_options",
]  # fmt: skip

Array = npt.NDArray[np.float64]

_DISAGREE_DEG = 1.2
"""Angles in whole degrees may be off their rotation by up to 1.12: at 90 degrees of yaw half a
degree of pitch and of roll add up."""


class TableOptions(AngleOptions):
    """What the names of the columns do not say."""

    euler: EulerName = Field(
        default="canonical",
        description="how yaw, pitch, roll make a rotation: canonical (XYZ), rq (ZYX) for "
        "cv2.RQDecomp3x3 and cv2.decomposeProjectionMatrix, or the order of the turns "
        "X = Rx(-pitch), Y = Ry(yaw), Z = Rz(roll)",
    )
    frame: Frame = Field(
        default="camera",
        description="frame of r00..r22, of a quaternion or a rotation vector: camera (OpenCV), "
        "y-up (3DDFA, MediaPipe), 6drepnet, opal",
    )
    box: BoxLayout | None = Field(
        default=None,
        description="what the four columns of the box hold, in their order; default: what their "
        "names say. corners: any two opposite corners",
    )
    box_unit: Literal["px", "fraction", "percent"] = Field(
        default="px", description="unit of the boxes; fraction and percent are of the image"
    )
    box_size: str = Field(
        default="",
        description="WIDTHxHEIGHT of the images that the boxes were made on, if not these",
    )
    exif: Literal["upright", "boxes", "ignore"] = Field(
        default="upright",
        description="upright: images are turned by their EXIF tag, and boxes belong to the "
        "upright image; boxes: boxes belong to the stored image and are turned with it; ignore: "
        "neither is turned",
    )

    @field_validator("euler")
    @classmethod
    def _by_one_name(cls, value: EulerName) -> EulerName:
        return {"XYZ": "canonical", "ZYX": "rq"}.get(value, value)  # type: ignore[return-value]

    @field_validator("box_size")
    @classmethod
    def _of_pixels(cls, value: str, info: ValidationInfo) -> str:
        if value and not re.fullmatch(r"[1-9]\d*x[1-9]\d*", value):
            raise ValueError("write WIDTHxHEIGHT in pixels: box_size=1920x1080")
        unit = info.data.get("box_unit", "px")
        if value and unit != "px":
            raise ValueError(f"has no effect with box_unit={unit}; leave one out")
        return value

    def given(self) -> str:
        """The options that are not as they are by default, as a spec has them."""
        options = self.model_dump(mode="json", exclude_defaults=True)
        return ",".join(f"{name}={options[name]}" for name in sorted(options))


def refuse_unused_options(path: Path, columns: Columns, options: TableOptions) -> None:
    """Refuse an option that says how to read what the table does not have.

    Raises
    ------
    UsageError
        With the first such option.
    """
    given = options.model_dump(mode="json", exclude_defaults=True)
    if options.exif == "ignore":
        del given["exif"]  # acts on images, too
    of_boxes = ["box", "box_unit", "box_size", "exif"]
    for names, found, what in (
        (["unit", "euler"], columns.angles, "angles (yaw, pitch, roll)"),
        (["frame"], columns.rotation, "a rotation (r00..r22, qw,qx,qy,qz or rotvec_x,y,z)"),
        (of_boxes, columns.box, "boxes (x0, y0, x1, y1)"),
    ):
        unused = [name for name in names if name in given and not found]
        if unused:
            raise UsageError(
                f"{path}: {unused[0]}={given[unused[0]]} is of {what}, and the table has none; "
                "leave it out"
            )
    if columns.angles and (without := options.without_column(columns.angles)):
        option, angle = without
        raise UsageError(f"{path}: {option} has no effect: the table has no column of {angle}")


def read_label(row: Mapping[str, Any], columns: Columns, options: TableOptions) -> Label:
    """Label of a row: its angles, or where it has none its rotation.

    Raises
    ------
    DataError
        With the bare reason: something in it is not a number, no rotation, or not what the rest
        of it says.
    """
    rotation = None
    if columns.rotation:
        rotation = rotation_of(row, columns.rotation, options.frame, "label")
    written = angles_of(row, columns.angles, "label")
    if np.isnan(written).all():
        if rotation is None:
            raise DataError("the row has no label")
        # in a table of both the options are of the angles
        return Label.from_rotation(rotation if columns.angles else options.rotation(rotation))
    angles = options.angles_deg(written, options.unit or columns.unit or "deg")
    order = euler_order(options.euler)
    if order == "XYZ":
        label = Label.from_angles(*angles.tolist())
    elif np.isnan(angles).any():
        raise DataError(f"euler={options.euler} needs yaw, pitch and roll")
    else:
        label = Label.from_rotation(rotation_from_euler(angles, order))
    if rotation is not None:
        difference = _difference_deg(label, rotation)
        if difference > _DISAGREE_DEG:
            raise DataError(
                f"its angles and its {rotation_words(columns.rotation)} differ by "
                f"{difference:.1f} degrees; keep one of them, or name frame="
            )
        if label.R_cam is None:  # an angle is not written, and the rotation says it
            return Label(nearest_angles(rotation, label.angles_deg), rotation)
    return label


def _difference_deg(label: Label, R_cam: Array) -> float:
    """Angle between a label and a rotation; of a label that lacks an angle, the largest difference
    of those that it has.
    """
    if label.R_cam is not None:  # near 90 degrees of yaw its angles follow from rounding errors
        return float(geodesic_deg(label.R_cam, R_cam))
    angles = label.angles_deg
    return float(np.nanmax(np.abs(wrap_deg(angles - nearest_angles(R_cam, angles)))))


def pixel_box(
    numbers: Array, layout: BoxLayout, options: TableOptions, size: ImageSize | None
) -> Array:
    """Box x0, y0, x1, y1 in pixels of the image as methods see it.

    Parameters
    ----------
    numbers : ndarray, shape (4,)
        In the order of the table's columns.
    layout : str
    options : TableOptions
    size : ImageSize or None
        Needed for boxes that are not in pixels of this image; see :func:`needs_size`.
    """
    box = corners_of(numbers, layout)
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
        # whole numbers are pixel centres: an image begins half a pixel before its first one
        box = (box + 0.5) * np.array([width / made_w, height / made_h] * 2) - 0.5
    return size.upright_box(box) if turned else box


def read_camera(row: Mapping[str, Any], columns: Columns) -> Camera | None:
    """Camera of a row; None where its cells are empty.

    Raises
    ------
    DataError
        With the bare reason, where some of it is missing or a focal length is not positive.
    """
    numbers = numbers_in(row, columns.camera, "camera") if columns.camera else None
    if numbers is None:
        return None
    if not np.isfinite(numbers).all() or numbers[:2].min() <= 0.0:
        raise DataError("the camera has a focal length that is not positive, or lacks a number")
    distortion = [
        number_in(row, columns.distortion[name], "distortion")
        if name in columns.distortion and not is_empty(row[columns.distortion[name]])
        else 0.0
        for name in DISTORTION
    ]
    return Camera(camera_matrix(*numbers), np.array(distortion))


def needs_size(options: TableOptions) -> bool:
    """Whether boxes cannot be understood without the size of their image."""
    return options.box_unit != "px" or bool(options.box_size) or options.exif == "boxes"


def image_path(folder: Path, text: str) -> Path:
    r"""Path of an image, relative to the table's folder; one of Windows is found by its end.

    ``C:\faces\set 1\a.jpg`` is the first of ``faces/set 1/a.jpg``, ``set 1/a.jpg`` and
    ``a.jpg`` that exists.
    """
    path = folder / text
    if "\\" not in text or is_file(path):
        return path
    windows = PureWindowsPath(text)
    parts = windows.parts[1:] if windows.anchor else windows.parts
    ends = [folder.joinpath(*parts[k:]) for k in range(len(parts) if windows.anchor else 1)]
    return next(filter(is_file, ends), ends[0] if ends else path)
