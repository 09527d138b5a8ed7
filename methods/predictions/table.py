"""A file of predictions: what its columns mean, and what it says of each face."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hpbench.errors import DataError, UsageError
from hpbench.method import NoPrediction, Prediction
from hpbench.rotation import (
    ANGLES,
    EulerName,
    EulerOrder,
    Frame,
    euler_order,
    rotation_from_euler,
)
from hpbench.storage.schemas import BOX_XYXY, MAX_TIME_MS
from hpbench.tables.rotation_columns import (
    PREDICTION_PREFIXES,
    AngleOptions,
    Unit,
    angle_and_unit,
    angles_of,
    find_angles,
    find_rotation,
    is_rotation_column,
    plain_name,
    rotation_of,
    rotation_words,
)
from hpbench.tables.rows import as_number, as_text, is_empty, numbers_in, read_rows

__all__ = ["PredictionTable", "PredictionsOptions", "StoredFace", "read_predictions"]

Array = npt.NDArray[np.float64]
Row = Mapping[str, Any]

EMPTY = "the file has an empty row for this face"
MAX_DEG = 360.0
BEYOND = f"is beyond {MAX_DEG:g}"

_IDS = ("image_id", "id", "face_id")
_QUATERNION = ("q0", "q1", "q2", "q3")
_FURTHER = ("dataset", "confidence", "ms", "reason")


class PredictionsOptions(AngleOptions):
    """Options of the method ``predictions``: what no file of predictions says by itself."""

    file: str = Field(
        default="", description="CSV or Parquet file with a row per face of 'hpbench faces'"
    )
    dataset: str = Field(
        default="",
        description="data set whose faces these are; default: what the column dataset says",
    )
    unit: Unit | None = Field(
        default=None,
        description="unit of yaw, pitch, roll; needed unless their names say it, as yaw_deg does",
    )
    euler: EulerName | None = Field(
        default=None,
        description="how yaw, pitch, roll make a rotation, needed with them: canonical (XYZ: "
        "Hopenet and most networks), rq (ZYX: cv2.RQDecomp3x3), or the order of the turns "
        "X = Rx(-pitch), Y = Ry(yaw), Z = Rz(roll)",
    )
    frame: Frame | None = Field(
        default=None,
        description="frame of a matrix, quaternion or rotation vector, needed with them: camera "
        "(OpenCV), y-up (3DDFA, MediaPipe), 6drepnet, opal",
    )
    quaternion: Literal["wxyz", "xyzw"] | None = Field(
        default=None, description="order of the columns q0, q1, q2, q3"
    )
    title: str = Field(default="", description="name in the report; default: that of the file")
    trained_on: str = Field(
        default="",
        description="data sets that the program was trained on, where a result is flagged: "
        'w300lp, or in quotes "w300lp,biwi"',
    )


@dataclass(frozen=True, slots=True)
class StoredFace:
    """What the file says of one face.

    Attributes
    ----------
    outcome : Prediction or NoPrediction
    box_xyxy : ndarray, shape (4,), or None
        The box that the prediction was made for, where the file has it.
    ms : float or None
        Time that the program states.
    """

    outcome: Prediction | NoPrediction
    box_xyxy: Array | None
    ms: float | None


@dataclass(frozen=True)
class PredictionTable:
    """A file of predictions that was read.

    Attributes
    ----------
    faces : dict of str to StoredFace
        By the id of the face.
    dataset : str
        Data set that they are of; empty where neither the file nor an option says it.
    read_as : str
        What was read from which columns, for the card.
    unused : tuple of str
        Columns that mean nothing here.
    """

    faces: Mapping[str, StoredFace]
    dataset: str
    read_as: str
    unused: tuple[str, ...]

    @property
    def has_times(self) -> bool:
        """Whether any row states a time."""
        return any(face.ms is not None for face in self.faces.values())


def read_predictions(path: Path, options: PredictionsOptions) -> PredictionTable:
    """Read a file of predictions.

    Raises
    ------
    UsageError
        If unit, Euler order, frame, order of a quaternion or data set is needed and not given.
    DataError
        If the file cannot be read, lacks a column, names a face twice, or holds no prediction.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; name the file of predictions: file=FILE")
    names, all_rows = read_rows(path, _count_known)
    used: set[str] = set()
    column = partial(_column, path, names, used)
    id_column = column(*_IDS)
    if id_column is None:
        raise DataError(
            f"{path}: no column 'image_id' with the ids that 'hpbench faces' wrote (columns: "
            f"{', '.join(names) or 'none'})"
        )
    further = {name: found for name in _FURTHER if (found := column(name))}
    box = _box_columns(path, names, used)
    read_rotation, read_as = _rotation_reader(path, names, options, used)
    dataset, rows = _of_one_dataset(path, all_rows, further.get("dataset"), options.dataset)
    faces: dict[str, StoredFace] = {}
    number_of: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        face_id = as_text(row[id_column])
        if not face_id:
            raise DataError(f"{path}: row {number} has no {id_column}")
        if face_id in faces:
            raise DataError(
                f"{path}: rows {number_of[face_id]} and {number} are both of face '{face_id}'; "
                "keep one"
            )
        number_of[face_id] = number
        faces[face_id] = _stored_face(row, further, box, read_rotation)
    _refuse_degrees(path, faces)
    _require_any(path, faces)
    unused = tuple(name for name in names if name and name not in used)
    return PredictionTable(faces, dataset, read_as, unused)


def _count_known(names: Sequence[str]) -> int:
    plain = [plain_name(name) for name in names]
    known = {*_IDS, *BOX_XYXY, *_QUATERNION, *_FURTHER}
    return sum(
        name in known
        or angle_and_unit(name, PREDICTION_PREFIXES) is not None
        or is_rotation_column(name)
        for name in plain
    )


def _column(path: Path, names: Sequence[str], used: set[str], *known: str) -> str | None:
    """The column of one of these plain names; the first name wins."""
    for wanted in known:
        found = [name for name in names if plain_name(name) == wanted]
        if len(found) > 1:
            listed = " and ".join(f"'{name}'" for name in found)
            raise DataError(f"{path}: columns {listed} may both be '{wanted}'; rename one of them")
        if found:
            used.add(found[0])
            return found[0]
    return None


def _box_columns(path: Path, names: Sequence[str], used: set[str]) -> tuple[str, ...]:
    """The four columns of a box, or none; one or two of them may be anything."""
    own = set[str]()
    found = [_column(path, names, own, name) for name in BOX_XYXY]
    if len(own) == 3:
        missing = BOX_XYXY[found.index(None)]
        raise DataError(f"{path}: no column '{missing}'; a box needs x0, y0, x1 and y1")
    if len(own) < 4:
        return ()
    used |= own
    return tuple(name for name in found if name)


def _rotation_reader(
    path: Path, names: Sequence[str], options: PredictionsOptions, used: set[str]
) -> tuple[Callable[[Row], Array | None], str]:
    """What reads ``R_cam`` from a row (None where it is empty), and what it reads, in words."""
    of_rotation, of_angles = set[str](), set[str]()
    angles, unit = find_angles(path, names, of_angles, PREDICTION_PREFIXES)
    rotation = find_rotation(path, names, of_rotation)
    is_ordered = False
    if angles and options.euler and options.frame is None:
        rotation = ()  # of a file that has both, euler= asks for the angles
    elif not rotation:
        rotation = _ordered_quaternion(path, names, options, of_rotation)
        is_ordered = bool(rotation)
    if rotation:
        used |= of_rotation
        reader, words = _reader_of_rotation(path, rotation, options)
        of_others = ["unit", "euler"]
    else:
        used |= of_angles
        reader, words = _reader_of_angles(path, names, angles, unit, options)
        of_others = ["frame"]
    if not is_ordered:
        of_others.append("quaternion")
    for name in of_others:
        if value := getattr(options, name):
            read = rotation_words(rotation) if rotation else "angles"
            raise UsageError(f"{path}: {name}={value} has no effect on its {read}; leave it out")
    for name in ("signs", "order", "offset"):
        if value := getattr(options, name):
            words += f", {name}={value}"
    return reader, words


def _reader_of_rotation(
    path: Path, columns: tuple[str, ...], options: PredictionsOptions
) -> tuple[Callable[[Row], Array | None], str]:
    kind = rotation_words(columns)
    if options.frame is None:
        raise UsageError(
            f"{path}: the frame of its {kind} cannot be known; add frame=camera (OpenCV: x right, "
            "y down, z away from the camera), y-up (3DDFA, MediaPipe), 6drepnet or opal"
        )
    reader = partial(_from_rotation, columns=columns, frame=options.frame, options=options)
    return reader, f"{kind} {', '.join(columns)}, frame={options.frame}"


def _reader_of_angles(
    path: Path,
    names: Sequence[str],
    angles: Mapping[str, str],
    unit: Unit | None,
    options: PredictionsOptions,
) -> tuple[Callable[[Row], Array | None], str]:
    lacking = [name for name in ANGLES if name not in angles]
    if lacking:
        raise DataError(
            f"{path}: no column '{lacking[0]}' (columns: {', '.join(names)}); a prediction is yaw, "
            "pitch and roll, or r00..r22, or qw,qx,qy,qz, or rotvec_x,rotvec_y,rotvec_z"
        )
    unit = options.unit or unit
    if unit is None:
        raise UsageError(
            f"{path}: the unit of {', '.join(angles.values())} cannot be known; add unit=deg or "
            "unit=rad, or rename them yaw_deg, pitch_deg, roll_deg"
        )
    if options.euler is None:
        raise UsageError(
            f"{path}: how {', '.join(angles.values())} make a rotation cannot be known; add "
            "euler=canonical (Hopenet and most networks), euler=rq (cv2.RQDecomp3x3) or the order "
            f"of the turns, one of {', '.join(get_args(EulerOrder))}"
        )
    order = euler_order(options.euler)
    reader = partial(_from_angles, columns=angles, unit=unit, order=order, options=options)
    return reader, f"{', '.join(angles.values())} in {unit}, euler={options.euler}"


def _ordered_quaternion(
    path: Path, names: Sequence[str], options: PredictionsOptions, used: set[str]
) -> tuple[str, ...]:
    """Columns q0 .. q3 as w, x, y, z; nothing where there are none."""
    found = [_column(path, names, used, name) for name in _QUATERNION]
    if not all(found):
        return ()
    if options.quaternion is None:
        raise UsageError(
            f"{path}: the order of the quaternion q0, q1, q2, q3 cannot be known; add "
            "quaternion=wxyz or quaternion=xyzw"
        )
    return tuple(str(found[options.quaternion.index(part)]) for part in "wxyz")


def _from_rotation(
    row: Row, columns: tuple[str, ...], frame: Frame, options: PredictionsOptions
) -> Array | None:
    R_cam = rotation_of(row, columns, frame, "the prediction")
    return None if R_cam is None else options.rotation(R_cam)


def _from_angles(
    row: Row,
    columns: Mapping[str, str],
    unit: Unit,
    order: EulerOrder,
    options: PredictionsOptions,
) -> Array | None:
    written = angles_of(row, columns, "the prediction")
    if np.isnan(written).all():
        return None
    for name, number in zip(ANGLES, written, strict=True):
        if math.isnan(number):
            raise DataError(f"the prediction has no {name}")
    angles = options.angles_deg(written, unit)
    for name, degrees in zip(ANGLES, angles, strict=True):
        if abs(degrees) > MAX_DEG:
            raise DataError(f"{name} {degrees:.4g} deg {BEYOND}")
    return rotation_from_euler(angles, order)


def _of_one_dataset(
    path: Path, rows: Sequence[Row], column: str | None, wanted: str
) -> tuple[str, Sequence[Row]]:
    """The data set, and its rows."""
    if column is None:
        return wanted, rows
    present = list(dict.fromkeys(as_text(row[column]) for row in rows))
    if wanted:
        chosen = [row for row in rows if as_text(row[column]) == wanted]
        if not chosen:
            raise UsageError(
                f"{path}: dataset={wanted}: the file has no row of it, but of {', '.join(present)}"
            )
        return wanted, chosen
    if len(present) > 1:
        raise UsageError(
            f"{path}: has faces of the data sets {', '.join(present)}; name one: "
            f"dataset={present[0]}"
        )
    return present[0] if present else "", rows


def _stored_face(
    row: Row,
    further: Mapping[str, str],
    box: Sequence[str],
    read_rotation: Callable[[Row], Array | None],
) -> StoredFace:
    try:
        box_xyxy = numbers_in(row, box, "the prediction's box")
        ms = _number(row, further.get("ms"))
        if ms is not None and ms < 0.0:
            raise DataError(f"the prediction's ms is negative ({ms:g}); leave it empty")
        if ms is not None and ms > MAX_TIME_MS:
            raise DataError(f"the prediction's ms is no time in milliseconds ({ms:g})")
    except DataError as error:
        return StoredFace(NoPrediction(str(error)), None, None)
    return StoredFace(_outcome(row, further, read_rotation), box_xyxy, ms)


def _outcome(
    row: Row, further: Mapping[str, str], read_rotation: Callable[[Row], Array | None]
) -> Prediction | NoPrediction:
    try:
        R_cam = read_rotation(row)
        if R_cam is None:
            given = as_text(row[further["reason"]]) if "reason" in further else ""
            return NoPrediction(given or EMPTY)
        return Prediction(R_cam, confidence=_number(row, further.get("confidence")))
    except DataError as error:
        return NoPrediction(str(error))


def _number(row: Row, column: str | None) -> float | None:
    """Number in a cell, or None where it is empty or there is no such column."""
    if column is None or is_empty(row[column]):
        return None
    number = as_number(row[column])
    if not math.isfinite(number):
        raise DataError(f"the prediction's {column} is not a number ('{as_text(row[column])}')")
    return number


def _refuse_degrees(path: Path, faces: Mapping[str, StoredFace]) -> None:
    """Refuse a file whose angles are mostly far too large: degrees that are taken as radians."""
    beyond = [
        face.outcome.reason
        for face in faces.values()
        if isinstance(face.outcome, NoPrediction) and face.outcome.reason.endswith(BEYOND)
    ]
    if len(beyond) > len(faces) / 2:
        raise DataError(
            f"{path}: {len(beyond)} of its {len(faces)} rows are no poses, the first: {beyond[0]}; "
            "is the unit right? (unit=deg, unit=rad)"
        )


def _require_any(path: Path, faces: Mapping[str, StoredFace]) -> None:
    if not faces:
        raise DataError(f"{path}: contains no row below the column names")
    if not any(isinstance(face.outcome, Prediction) for face in faces.values()):
        face_id, first = next(iter(faces.items()))
        assert isinstance(first.outcome, NoPrediction)
        raise DataError(
            f"{path}: none of its {len(faces)} rows holds a prediction; the first, {face_id}: "
            f"{first.outcome.reason}"
        )
