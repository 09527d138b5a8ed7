"""Columns of a table that hold a rotation, under the names that tools of the field give them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from hpbench.errors import DataError
from hpbench.plugin import Options
from hpbench.rotation import (
    ANGLES,
    Frame,
    angles_from_rotation,
    is_rotation,
    nearest_rotation,
    rotation_from_angles,
    rotation_from_quaternion,
    rotation_from_rotvec,
    rotation_in_camera_frame,
    wrap_deg,
)
from hpbench.storage.schemas import ROTATION_COLUMNS
from hpbench.tables.rows import is_empty, number_in, numbers_in

__all__ = [
    "LABEL_PREFIXES", "PREDICTION_PREFIXES", "AngleOptions", "Unit", "angle_and_unit",
    "angles_of", "find_angles", "find_rotation", "is_rotation_column", "plain_name", "rotation_of",
    "rotation_words",
]  # fmt: skip

Array = npt.NDArray[np.float64]
Unit = Literal["deg", "rad"]

QUATERNION = ("qw", "qx", "qy", "qz")
ROTVEC = ("rotvec_x", "rotvec_y", "rotvec_z")

_SUFFIXES: Mapping[str, Unit | None] = {
    "": None, "_deg": "deg", "_degree": "deg", "_degrees": "deg",
    "_rad": "rad", "_radian": "rad", "_radians": "rad",
}  # fmt: skip
_PREFIXES = ("", "pose_", "head_", "headpose_", "head_pose_")
LABEL_PREFIXES = (*_PREFIXES, "gt_", "true_", "label_")
PREDICTION_PREFIXES = (*_PREFIXES, "pred_", "predicted_", "est_", "estimated_")
"""Of the columns yaw, pitch and roll, in tables of labels and of predictions."""


class AngleOptions(Options):
    """What the names of the columns yaw, pitch and roll do not say.

    `signs`, `order` and `offset` act on what is read: on these columns, or where that is a matrix,
    quaternion or rotation vector, on its angles.
    """

    unit: Literal["deg", "rad"] | None = Field(
        default=None,
        description="unit of the angles; default: what the columns' names say, else degrees",
    )
    signs: str = Field(
        default="",
        description="angles that the table counts the other way: -yaw, or in quotes "
        '"-yaw,-roll"; positive is the nose to the image\'s left, up, clockwise',
    )
    order: str = Field(
        default="",
        description='what the columns yaw, pitch, roll hold, where it is another: "pitch,yaw,roll"',
    )
    offset: str = Field(
        default="",
        description='degrees to add to angles, after the signs: pitch-180, or "pitch+180,roll-90"',
    )

    @field_validator("signs")
    @classmethod
    def _three_signs(cls, value: str) -> str:
        if value and not re.fullmatch(r"([+-]?(yaw|pitch|roll)[\s,]*)+", value):
            raise ValueError('write the angles to turn: -yaw, or in quotes "-yaw,-roll"')
        if value and "-" not in value:
            raise ValueError("changes nothing; to reverse yaw, write signs=-yaw")
        _refuse_twice(value)
        return value

    @field_validator("order")
    @classmethod
    def _each_once(cls, value: str) -> str:
        if value and sorted(re.findall(r"\w+", value)) != sorted(ANGLES):
            raise ValueError('name yaw, pitch and roll once each: order="pitch,yaw,roll"')
        if re.findall(r"\w+", value) == list(ANGLES):
            raise ValueError("is the default order; leave it out")
        return value

    @field_validator("offset")
    @classmethod
    def _angle_and_number(cls, value: str) -> str:
        if value and not re.fullmatch(r"((yaw|pitch|roll)[+-]\d+(\.\d+)?[\s,]*)+", value):
            raise ValueError("write an angle and degrees: offset=pitch-180")
        for degrees in map(float, re.findall(r"[+-]([\d.]+)", value)):
            if degrees == 0.0:
                raise ValueError("zero changes nothing; leave that angle out")
            if degrees >= 360.0:
                raise ValueError("a full turn changes nothing; write less than 360 degrees")
        _refuse_twice(value)
        return value

    def angles_deg(self, written: Array, unit: Unit) -> Array:
        """Yaw, pitch, roll in degrees, shape (3,), of what the three columns hold.

        NaN stays NaN. Angles are not wrapped, unless something is added to them.
        """
        held = re.findall(r"\w+", self.order) or list(ANGLES)
        angles = np.full(3, np.nan)
        for meaning, number in zip(held, written, strict=True):
            angles[ANGLES.index(meaning)] = math.degrees(number) if unit == "rad" else number
        for sign, name in re.findall(r"([+-]?)(yaw|pitch|roll)", self.signs):
            if sign == "-":
                angles[ANGLES.index(name)] *= -1.0
        for name, degrees in re.findall(r"(yaw|pitch|roll)([+-][\d.]+)", self.offset):
            place = ANGLES.index(name)
            angles[place] = wrap_deg(angles[place] + float(degrees))
        return angles

    def without_column(self, columns: Collection[str]) -> tuple[str, str] | None:
        """The first option that changes an angle of which there is no column, and that angle."""
        held = re.findall(r"\w+", self.order) or list(ANGLES)
        known = {meaning for meaning, name in zip(held, ANGLES, strict=True) if name in columns}
        for option in ("signs", "offset"):
            value = getattr(self, option)
            for name in re.findall(r"yaw|pitch|roll", value):
                if name not in known:
                    return f"{option}={value}", name
        return None

    def rotation(self, R_cam: Array) -> Array:
        """Rotation, shape (3, 3), of the angles that `R_cam` has under these options.

        With ``S = diag(1, -1, -1)``, negative yaw and roll are ``S R S``, and pitch + 180 is
        ``S R``: together they are ``R S``, for a head model with y up.
        """
        if not (self.signs or self.order or self.offset):
            return R_cam
        return rotation_from_angles(self.angles_deg(angles_from_rotation(R_cam), "deg"))


def _refuse_twice(value: str) -> None:
    """Refuse an option that names an angle twice."""
    for name in ANGLES:
        if value.count(name) > 1:
            raise ValueError(f"names {name} twice; name it once")


def plain_name(name: str) -> str:
    """A name in small letters, ``Yaw (deg)`` as ``yaw_deg``."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def angle_and_unit(plain: str, prefixes: Sequence[str]) -> tuple[str, Unit | None] | None:
    """Angle that a column of this plain name holds, and its unit if the name says it."""
    for suffix, unit in _SUFFIXES.items():
        for prefix in prefixes:
            name = plain.removeprefix(prefix).removesuffix(suffix)
            if name in ANGLES and plain == f"{prefix}{name}{suffix}":
                return name, unit
    return None


def is_rotation_column(plain: str) -> bool:
    """Whether a plain name may be that of a column of a rotation."""
    return _rotation_name(plain, one_based=False) is not None


def _rotation_name(plain: str, one_based: bool) -> str | None:
    """Canonical name of a column of a rotation, or None."""
    if match := re.fullmatch(r"(?:r|rot|m)_?([0-3])_?([0-3])", plain):
        i, j = (int(digit) - one_based for digit in match.groups())
        return f"r{i}{j}" if 0 <= i < 3 and 0 <= j < 3 else None
    if match := re.fullmatch(r"(?:q|quat|quaternion)_?([wxyz])", plain):
        return f"q{match[1]}"
    if match := re.fullmatch(r"(?:rotvec|rvec|rot_vec|rotation_vector)_?([xyz012])", plain):
        return f"rotvec_{'xyz'['xyz012'.index(match[1]) % 3]}"
    return None


def find_angles(
    path: Path, names: Sequence[str], taken: set[str], prefixes: Sequence[str]
) -> tuple[dict[str, str], Unit | None]:
    """Columns of yaw, pitch and roll, those that there are, and the unit in their names.

    They are added to `taken`. Two columns of one angle, or columns of different prefixes or
    units, are a DataError.
    """
    found: dict[str, list[tuple[str, Unit | None]]] = {}
    first_of_prefix: dict[str, str] = {}
    for name in names:
        plain = plain_name(name)
        if meaning := angle_and_unit(plain, prefixes):
            angle, unit = meaning
            found.setdefault(angle, []).append((name, unit))
            first_of_prefix.setdefault(plain.partition(angle)[0], name)
    if len(first_of_prefix) > 1:
        raise _wrong_columns(
            path,
            first_of_prefix.values(),
            "belong to different sets of angles; rename those that are not to be read, for "
            "instance other_yaw",
        )
    angles: dict[str, str] = {}
    first_of_unit: dict[Unit | None, str] = {}
    for angle, columns in found.items():
        exact = [item for item in columns if item[0] == angle]
        if len(columns) > 1 and not exact:
            both = (name for name, _ in columns)
            raise _wrong_columns(path, both, f"may both be '{angle}'; rename one of them")
        name, unit = (exact or columns)[0]
        angles[angle] = name
        taken.add(name)
        first_of_unit.setdefault(unit, name)
    if len(first_of_unit) > 1:
        raise _wrong_columns(
            path,
            first_of_unit.values(),
            "have different units in their names, or one has none; write one unit in all of them",
        )
    return angles, next(iter(first_of_unit), None)


def _wrong_columns(path: Path, names: Iterable[str], wrong: str) -> DataError:
    listed = " and ".join(f"'{name}'" for name in names)
    return DataError(f"{path}: columns {listed} {wrong}")


def find_rotation(path: Path, names: Sequence[str], taken: set[str]) -> tuple[str, ...]:
    """Columns of a whole rotation: nine of a matrix, four of a quaternion, three of a vector.

    They are added to `taken`, in the order of :data:`ROTATION_COLUMNS`, :data:`QUATERNION`
    or :data:`ROTVEC`. A rotation that lacks a column, or has one twice, is a DataError.
    """
    plain = [plain_name(name) for name in names]
    indices = [
        match[1] for name in plain if (match := re.fullmatch(r"(?:r|rot|m)_?(\d_?\d)", name))
    ]
    one_based = any("3" in pair for pair in indices) and not any("0" in pair for pair in indices)
    found: dict[str, str] = {}
    for name, simple in zip(names, plain, strict=True):
        if meaning := _rotation_name(simple, one_based):
            if meaning in found:
                raise DataError(
                    f"{path}: columns '{found[meaning]}' and '{name}' may both be '{meaning}'; "
                    "rename one of them"
                )
            found[meaning] = name
    if {"w", "x", "y", "z"} <= set(plain) and "h" not in plain:
        raise DataError(
            f"{path}: columns w, x, y, z may be a quaternion; rename them qw, qx, qy, qz"
        )
    for wanted in (ROTATION_COLUMNS, QUATERNION, ROTVEC):
        missing = [name for name in wanted if name not in found]
        if not missing:
            taken.update(found[name] for name in wanted)
            return tuple(found[name] for name in wanted)
        if len(missing) < len(wanted) - 1:
            raise DataError(
                f"{path}: no column '{missing[0]}'; a rotation needs {', '.join(wanted)}"
            )
    return ()


def angles_of(row: Mapping[str, Any], columns: Mapping[str, str], what: str) -> Array:
    """What the columns yaw, pitch and roll of a row hold, shape (3,); NaN for an empty cell.

    A cell that is no number is a DataError; `what` begins its text.
    """
    written = np.full(3, np.nan)
    for place, name in enumerate(ANGLES):
        if name in columns and not is_empty(row[columns[name]]):
            written[place] = number_in(row, columns[name], what)
    return written


def rotation_of(
    row: Mapping[str, Any], names: Sequence[str], frame: Frame, what: str
) -> Array | None:
    """``R_cam``, shape (3, 3), in columns of :func:`find_rotation`; None if all cells are empty.

    Cells that are no rotation are a DataError; `what` begins its text.
    """
    numbers = numbers_in(row, names, what)
    if numbers is None:
        return None
    if len(numbers) == 9:
        R = numbers.reshape(3, 3)
        if not is_rotation(R, tolerance=1e-2):
            raise DataError(
                f"{what} is no rotation ({names[0]}..{names[8]}, determinant "
                f"{np.linalg.det(R):.4g})"
            )
        R = nearest_rotation(R)
    elif len(numbers) == 4:
        length = float(np.linalg.norm(numbers))
        if abs(length - 1.0) > 0.05:
            raise DataError(f"{what} is no rotation (quaternion of length {length:.4g})")
        R = rotation_from_quaternion(numbers)
    else:
        turn_rad = float(np.linalg.norm(numbers))
        if turn_rad > 2.0 * math.pi:
            raise DataError(f"{what} is no rotation vector in radians (length {turn_rad:.4g})")
        R = rotation_from_rotvec(numbers)
    return rotation_in_camera_frame(R, frame)


def rotation_words(names: Sequence[str]) -> str:
    """What some columns of :func:`find_rotation` hold, in words."""
    return {9: "matrix", 4: "quaternion", 3: "rotation vector"}[len(names)]
