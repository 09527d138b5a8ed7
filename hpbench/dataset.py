"""What a data set is: an index of labelled faces whose images are read on demand."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from hpbench.errors import DataError, ImageError, UsageError
from hpbench.face import Camera
from hpbench.images import ImageSize, read_rgb, read_size
from hpbench.plugin import BaseOptions, Plugin
from hpbench.protocol import Protocol
from hpbench.rotation import angles_from_rotation, rotation_from_angles

__all__ = [
    "Dataset",
    "DatasetCard",
    "Label",
    "Record",
    "evenly_spaced",
    "iter_scorable",
    "require_scorable",
    "require_well_formed",
]


@dataclass(frozen=True, slots=True)
class Label:
    """True pose of a face.

    Attributes
    ----------
    angles_deg : ndarray, shape (3,)
        Yaw, pitch, roll as annotated; NaN for an axis that the data set does not label.
    R_cam : ndarray, shape (3, 3), or None
        None when an axis is missing.
    """

    angles_deg: npt.NDArray[np.float64]
    R_cam: npt.NDArray[np.float64] | None

    @classmethod
    def from_angles(cls, yaw_deg: float, pitch_deg: float, roll_deg: float) -> Label:
        """Label from angles in degrees; NaN marks a missing axis."""
        angles = np.array([yaw_deg, pitch_deg, roll_deg], dtype=np.float64)
        complete = bool(np.isfinite(angles).all())
        return cls(angles, rotation_from_angles(angles) if complete else None)

    @classmethod
    def from_rotation(cls, R_cam: npt.ArrayLike) -> Label:
        """Label from a rotation matrix, shape (3, 3)."""
        matrix = np.asarray(R_cam, dtype=np.float64)
        return cls(angles_from_rotation(matrix), matrix)


@dataclass(frozen=True, slots=True)
class Record:
    """One face of a data set, without its image.

    Attributes
    ----------
    image_id : str
        Unique in the data set; shown in reports and used to pair methods.
    image_path : Path
        Image file.
    label : Label or None
        None only when `excluded` says why there is none.
    box_xyxy : ndarray, shape (4,), or None
        Annotated face box in pixels. None: the data set has none and a detector is needed.
    excluded : str or None
        Reason why the face is counted but not scored under the protocol.
    group : str
        Sequence or subject, for resampling whole groups; empty when every image stands alone.
    factors : mapping
        Anything else known about the image that a report may break errors down by.
    """

    image_id: str
    image_path: Path
    label: Label | None
    box_xyxy: npt.NDArray[np.float64] | None = None
    excluded: str | None = None
    group: str = ""
    camera: Camera | None = None
    landmarks_xy: npt.NDArray[np.float64] | None = None
    factors: Mapping[str, str | float] = field(default_factory=dict)


_HELD: Mapping[str, tuple[Any, str]] = {
    "image_id": (str, "a str"),
    "image_path": (Path, "a Path"),
    "label": (Label | None, "a Label or None"),
    "excluded": (str | None, "a str or None"),
    "group": (str, "a str"),
    "camera": (Camera | None, "a Camera or None"),
    "factors": (Mapping, "a mapping"),
}


def require_well_formed(record: Record) -> None:
    """Raise DataError where a plugin's record holds something else than :class:`Record` says."""
    subject = f"record of image '{record.image_id}'"
    for name, (kind, words) in _HELD.items():
        value = getattr(record, name)
        if not isinstance(value, kind):
            raise DataError(f"{subject}: {name} is a {type(value).__name__}, not {words}")
    label = record.label
    for name, array, shape in (
        ("box_xyxy", record.box_xyxy, (4,)),
        ("label.angles_deg", None if label is None else label.angles_deg, (3,)),
        ("label.R_cam", None if label is None else label.R_cam, (3, 3)),
    ):
        if array is not None and np.shape(array) != shape:
            raise DataError(f"{subject}: {name} has shape {np.shape(array)}, not {shape}")
    for name, value in record.factors.items():
        if not isinstance(value, str | int | float | np.generic):
            kind = type(value).__name__
            raise DataError(f"{subject}: factor '{name}' is a {kind}, not a text or number")


class DatasetCard(BaseModel):
    """What a reader must know about a data set to judge results on it.

    Attributes
    ----------
    faces : int or None
        How many there are in the complete data set; a run on fewer says so.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    paper: str = ""
    licence: str = ""
    homepage: str = ""
    how_to_get: str = ""
    domain: Literal["photo", "render", "unknown"] = "photo"
    label_source: str = ""
    faces: int | None = None
    notes: tuple[str, ...] = ()


class Dataset(Plugin):
    """Base class of all data sets, built-in or plugged in.

    Parameters
    ----------
    root : Path or None
        Folder (or table file) that the user named; None for a data set that brings its own.
    options : Options
        An instance of the class attribute ``Options``. All options that change which faces
        are scored, or their boxes, are part of the protocol and of its hash.
    """

    needs_root: ClassVar[bool] = True
    root_is: ClassVar[Literal["DIR", "FILE"]] = "DIR"
    """What the user names with ``--data NAME=...``."""
    card: ClassVar[DatasetCard]
    protocols: ClassVar[tuple[Protocol, ...]]
    """Named protocols; the first one is the recommended default and is called ``default``."""
    resample: ClassVar[Literal["image", "group"]] = "image"
    """What the bootstrap draws: images, or whole groups (BIWI's sequences)."""
    label_file: ClassVar[str] = ""
    """Name of the one file with all labels in the user's folder; empty where there is none."""

    def __init__(self, root: Path | None = None, options: BaseOptions | None = None) -> None:
        self.root = root
        super().__init__(options)

    def complete_faces(self) -> int | None:
        """How many faces there are under these options where none is lacking; None: unknown."""
        return self.card.faces

    @abstractmethod
    def records(self) -> Sequence[Record]:
        """Index of all faces in a fixed order, excluded ones included.

        Raises
        ------
        DataError
            If the folder is missing, holds no usable image, or a label file is corrupted
            beyond one face. One bad label among many is a record with `excluded` set.
        """

    def iter_records(self) -> Iterator[Record]:
        """The faces of :meth:`records` one by one, as a run reads them.

        A data set with a label file per image overrides it, so that the labels of a million
        faces are never in memory together.
        """
        yield from self.records()

    def protocol_settings(self) -> dict[str, Any]:
        """Settings that decide which faces are scored and where boxes come from, fully resolved.

        They become part of the protocol's hash, so a data set that is defined by a file adds
        the file's hash.
        """
        return dict(self.options.model_dump(mode="json"))

    def read_image(self, record: Record) -> npt.NDArray[np.uint8]:
        """Read the image of a record: RGB, shape (height, width, 3), uint8.

        Raises
        ------
        hpbench.errors.ImageError
            If the file is missing or corrupted.
        """
        return read_rgb(record.image_path)

    def image_options(self) -> Mapping[str, Any]:
        """Options that change what :meth:`read_image` returns.

        Faces that are alike under other options share their predictions (``hpbench explain``). The
        default is none, and all of a data set that overrides :meth:`read_image`.
        """
        if type(self).read_image is Dataset.read_image:
            return {}
        return dict(self.options.model_dump(mode="json"))

    def image_size(self, record: Record) -> ImageSize | None:
        """Size of a record's image from its header; None where it is not known without reading.

        A data set that overrides :meth:`read_image` and changes the image's size or frame
        overrides this as well.
        """
        if type(self).read_image is not Dataset.read_image:
            return None
        try:
            return read_size(record.image_path)
        except ImageError:
            return None

    def refuse_to_overwrite(self, out: Path) -> None:
        """Raise a UsageError where a file to be written is the one that this is read from."""
        if self.root is None:
            return
        read = self.root / self.label_file
        if read.exists() and out.exists() and out.samefile(read):
            raise UsageError(f"--out {out}: is read and would be overwritten; name another file")

    def require_folder(self, inner: str = "") -> Path:
        """The user's folder, for data sets that cannot be a single file.

        Parameters
        ----------
        inner : str
            Folder of the archive that is used where the user names the one around it.

        Raises
        ------
        DataError
            If none was named, it does not exist, or it is a file.
        """
        root = self.root
        if root is None:
            raise DataError(
                f"data set '{self.name}' needs a folder: pass --data {self.name}={self.root_is} "
                f"(or put it into $HPBENCH_DATA/{self.name}). {self.card.how_to_get}".rstrip(" .")
            )
        if not root.exists():
            raise DataError(f"{root}: no such folder; pass --data {self.name}=DIR")
        if not root.is_dir():
            raise DataError(f"{root}: is a file; pass a folder: --data {self.name}=DIR")
        return root / inner if (root / inner).is_dir() else root


def evenly_spaced(count: int, most: int) -> npt.NDArray[np.int64]:
    """Indices of `most` of `count` items, or of all if there are fewer, the ends among them.

    Examples
    --------
    >>> evenly_spaced(10, 4).tolist(), evenly_spaced(2, 4).tolist()
    ([0, 3, 6, 9], [0, 1])
    """
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))


def require_scorable(records: Sequence[Record], root: Path, wanted: str) -> Sequence[Record]:
    """List of :func:`iter_scorable`."""
    return list(iter_scorable(records, root, wanted))


def iter_scorable(records: Iterable[Record], root: Path, wanted: str) -> Iterator[Record]:
    """Records of a data set as they are; after the last one, an error if none can be scored.

    Parameters
    ----------
    records : iterable of Record
    root : Path
        Folder or table that the user named.
    wanted : str
        What it should hold; shown when it holds none of it.

    Raises
    ------
    DataError
        If there is no record, or every one is excluded; then with the first one's reason.
    """
    first: Record | None = None
    count = scored = 0
    for record in records:
        first = first or record
        count += 1
        scored += record.excluded is None
        yield record
    if first is None:
        raise DataError(f"{root}: contains no {wanted}")
    if not scored:
        raise DataError(
            f"{root}: none of its {count} faces can be scored; "
            f"the first, {first.image_id}: {first.excluded}"
        )
