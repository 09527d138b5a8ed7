"""Faces of AFLW2000-3D and 300W-LP: one image and one MATLAB file each.

Both data sets come from the same 3D face fitting (Zhu et al., CVPR 2016) and share the layout
of their ``.mat`` files, the filter on large angles and the rules for the face box. That is a
module of its own, since data-set packages do not import each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from hpbench.dataset import Label, Record
from hpbench.datasets.mat_file import read_matrices
from hpbench.errors import DataError, io_failure
from hpbench.geometry.boxes import box_from_points
from hpbench.images import IMAGE_SUFFIXES
from hpbench.method import Options
from hpbench.rotation import ANGLES

__all__ = [
    "BoxRule",
    "FittedFace",
    "FittedOptions",
    "face_images",
    "read_mat",
    "record_of",
]

Array = npt.NDArray[np.float64]
BoxRule = Literal["pt3d_68", "pt2d-visible", "pt2d-positive", "pt2d"]

_VARIABLES = ("Pose_Para", "pt2d", "pt3d_68")
_HIDDEN = -1.0
"""x of a hidden ``pt2d`` point (its y is 452: the -1 was flipped with the image)."""


class FittedOptions(Options):
    """Options that change which faces are scored, or their boxes."""

    box: BoxRule = Field(
        default="pt3d_68",
        description="points whose extent is the face box: pt3d_68 (all 68, hidden ones too), "
        "pt2d-visible (annotated 2D points that are not marked hidden), pt2d-positive (FSA-Net's "
        "rule), pt2d (as stored, with the -1 of hidden points, as Hopenet's code takes it)",
    )
    max_abs_angle_deg: float | None = Field(
        default=99.0,
        gt=0,
        description="faces with an angle beyond this are excluded, as in the field; none keeps all",
    )

    @field_validator("max_abs_angle_deg", mode="before")
    @classmethod
    def _none_is_no_limit(cls, value: Any) -> Any:
        return None if isinstance(value, str) and value.lower() == "none" else value


@dataclass(frozen=True, slots=True)
class FittedFace:
    """What hpbench needs of one ``.mat`` file.

    Attributes
    ----------
    angles_deg : ndarray, shape (3,)
    pt2d_xy : ndarray, shape (n, 2), or None
        Annotated points; in AFLW2000 usually 21, hidden ones with x = -1.
    pt3d_68_xy : ndarray, shape (68, 2), or None
        All 68 fitted points, in iBUG order.

    Notes
    -----
    Pixel coordinates are those of the file. It seems to count from 1 as MATLAB does: a hidden
    point's y is 451 - (-1) in an image of 450 rows. Hopenet's and FSA-Net's loaders do not
    subtract the one, and neither is it done here, so that boxes agree with theirs.
    """

    angles_deg: Array
    pt2d_xy: Array | None
    pt3d_68_xy: Array | None

    def box_xyxy(self, rule: BoxRule) -> Array:
        """Face box x0, y0, x1, y1 under one of the rules."""
        name = "pt3d_68" if rule == "pt3d_68" else "pt2d"
        points = self.pt3d_68_xy if rule == "pt3d_68" else self.pt2d_xy
        if points is None:
            raise DataError(f"no {name} in it, which box={rule} needs")
        if rule == "pt2d-visible":
            points = points[points[:, 0] != _HIDDEN]
        elif rule == "pt2d-positive":
            # FSA-Net keeps points with x > 0, or those with y > 0 if these are fewer
            # (shamangary/FSA-Net, data/TYY_create_db_*.py).
            x_positive, y_positive = (points > 0).T
            fewer_y = x_positive.sum() > y_positive.sum()
            points = points[y_positive if fewer_y else x_positive]
        if len(points) == 0:
            raise DataError(f"no usable point for box={rule}: all are hidden")
        if not np.isfinite(points).all():
            raise DataError(f"a coordinate of {name} is not a number")
        return box_from_points(points)


def read_mat(path: Path) -> FittedFace:
    """Read pose and points of one face.

    Raises
    ------
    DataError
        With the bare reason (the caller knows the file): it is missing, corrupted, has no
        ``Pose_Para``, or a label that is not a number.
    """
    if not path.is_file():
        raise DataError("no such label file")
    try:
        content = read_matrices(path, _VARIABLES)
    except OSError as error:
        raise DataError(io_failure(error)) from error
    except ValueError as error:
        raise DataError(f"cannot be read as a MATLAB file ({error})") from error
    if "Pose_Para" not in content:
        raise DataError("no Pose_Para in it")
    pose = content["Pose_Para"].astype(np.float64).ravel()
    if pose.size < 3:
        raise DataError(f"Pose_Para holds {pose.size} values instead of pitch, yaw, roll, ...")
    pitch, yaw, roll = np.degrees(pose[:3])
    if not np.isfinite([pitch, yaw, roll]).all():
        raise DataError("label is not a number")
    return FittedFace(
        np.array([yaw, pitch, roll]), _points(content, "pt2d"), _points(content, "pt3d_68", 68)
    )


def _points(content: dict[str, Any], name: str, count: int | None = None) -> Array | None:
    """Points as (n, 2) from a matrix with rows x, y and perhaps z."""
    if name not in content:
        return None
    with np.errstate(invalid="ignore"):  # a signalling NaN
        rows = np.asarray(content[name], dtype=np.float64)
    if rows.ndim != 2 or rows.shape[0] not in (2, 3) or (count or rows.shape[1]) != rows.shape[1]:
        shape = "x".join(str(length) for length in rows.shape)
        raise DataError(f"{name} is {shape} instead of one row of x and one of y")
    return rows[:2].T


def _beyond(angles_deg: Array, limit_deg: float | None) -> str | None:
    """Reason to exclude a face by its largest angle, or None."""
    largest = int(np.argmax(np.abs(angles_deg)))
    size = abs(float(angles_deg[largest]))
    if limit_deg is None or size <= limit_deg:
        return None
    return f"|{ANGLES[largest]}| {size:.1f} deg is beyond {limit_deg:g}"


def face_images(folder: Path) -> list[Path]:
    """Images of a folder, sorted by name; one that has only its ``.mat`` file is among them.

    Raises
    ------
    DataError
        If two images differ in the suffix only, so that they would share one label.
    """
    by_stem: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        # Archives packed on a Mac leave "._image00002.jpg" files behind.
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            if path.stem in by_stem:
                raise DataError(f"{path}: {by_stem[path.stem].name} has the same name; remove one")
            by_stem[path.stem] = path
    for path in folder.glob("*.mat"):
        if not path.name.startswith("."):
            by_stem.setdefault(path.stem, path.with_suffix(".jpg"))
    return [by_stem[stem] for stem in sorted(by_stem)]


def record_of(image_id: str, image_path: Path, options: FittedOptions, group: str = "") -> Record:
    """Record of the image with a ``.mat`` file of the same name beside it.

    A face whose file is corrupted is a record with `excluded` set: one bad file among many
    must not stop a run, and must not vanish from the count either.
    """
    mat_path = image_path.with_suffix(".mat")
    try:
        face = read_mat(mat_path)
        box = face.box_xyxy(options.box)
    except DataError as error:
        return Record(image_id, image_path, None, excluded=f"{mat_path.name}: {error}", group=group)
    yaw, pitch, roll = (float(angle) for angle in face.angles_deg)
    points = face.pt2d_xy if face.pt3d_68_xy is None else face.pt3d_68_xy
    complete = points is not None and len(points) == 68 and bool(np.isfinite(points).all())
    return Record(
        image_id,
        image_path,
        Label.from_angles(yaw, pitch, roll),
        box_xyxy=box,
        excluded=_beyond(face.angles_deg, options.max_abs_angle_deg),
        group=group,
        landmarks_xy=points if complete else None,
    )
