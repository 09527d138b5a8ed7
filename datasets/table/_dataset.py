"""The data set of a user's own table."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Dataset, DatasetCard, Label, Record, require_scorable
from hpbench.datasets.table._columns import Columns, count_known, find_columns
from hpbench.datasets.table._labels import (
    TableOptions,
    image_path,
    needs_size,
    pixel_box,
    read_camera,
    read_label,
    refuse_unused_options,
)
from hpbench.errors import DataError, ImageError
from hpbench.face import Camera
from hpbench.images import ImageSize, read_rgb, read_size
from hpbench.labels.suspicion import spec_with
from hpbench.protocol import Protocol
from hpbench.spec import Spec
from hpbench.tables.rows import (
    TABLE_SUFFIXES,
    as_number,
    as_text,
    is_empty,
    is_empty_text,
    numbers_in,
    read_names,
    read_rows,
)

__all__ = ["Table"]


class Table(Dataset):
    """Images and labels listed in a CSV or Parquet file: ``--datasets labels.csv``.

    Columns: ``image`` (path, relative to the table's folder), ``yaw`` and ``pitch`` in degrees,
    perhaps ``roll`` (without it that axis is not scored), or a rotation as
    ``r00..r22``, ``qw,qx,qy,qz`` or ``rotvec_x,rotvec_y,rotvec_z``; ``x0,y0,x1,y1`` (tight face
    box in pixels), ``subject``, and ``fx,fy,cx,cy`` with ``k1,k2,p1,p2,k3`` (camera). Any further
    column is a factor that a report may break errors down by. docs/your-data.md lists the other
    names that are recognised.

    Notes
    -----
    An image may stand in several rows with different boxes, one per face; the ids of the
    further ones get ``#2``, ``#3``, ..., but no id that is another image's name. The same image
    with the same box twice is refused.
    """

    name: ClassVar[str] = "table"
    summary: ClassVar[str] = "your own images: a CSV or Parquet file with image,yaw,pitch,roll"
    Options = TableOptions
    root_is: ClassVar[Literal["DIR", "FILE"]] = "FILE"
    resample: ClassVar[Literal["image", "group"]] = "group"
    card: ClassVar[DatasetCard] = DatasetCard(
        name="table",
        title="User's table",
        licence="the user's own",
        how_to_get="Write a CSV file with the columns image,yaw,pitch,roll[,x0,y0,x1,y1,subject]",
        domain="unknown",
        label_source="unknown",
        notes=("Confidence intervals resample subjects or videos; without their column, images.",),
    )
    protocols: ClassVar[tuple[Protocol, ...]] = (
        Protocol(dataset="table", summary="all rows; the table's hash is part of the protocol"),
    )

    @classmethod
    def claims(cls, text: str) -> Spec | None:
        """``labels.csv`` stands for ``table=labels.csv``, and so do tables of other forms."""
        is_table = Path(text).suffix.lower() in TABLE_SUFFIXES
        return Spec(cls.name, path=text) if is_table else None

    def protocol_settings(self) -> dict[str, Any]:
        """How the table is read, and its hash: another table is another protocol."""
        digest = hashlib.sha256(self._file().read_bytes()).hexdigest()
        settings: dict[str, Any] = {"table_sha256": digest}
        read_as = self._options_that_count().given()
        return settings | {"read_as": read_as} if read_as else settings

    def _options_that_count(self) -> TableOptions:
        """The options without a unit that the names of the columns say, or that is the default."""
        if self.options.unit is None:
            return self.options
        path = self._file()
        of_names = find_columns(path, read_names(path, count_known)).unit or "deg"
        return self.options.model_copy(
            update={"unit": None if self.options.unit == of_names else self.options.unit}
        )

    def read_image(self, record: Record) -> npt.NDArray[np.uint8]:
        """Read the image of a record; see :meth:`hpbench.dataset.Dataset.read_image`."""
        return read_rgb(record.image_path, upright=self.options.exif != "ignore")

    def image_options(self) -> Mapping[str, Any]:
        """Whether the turn that EXIF names is left undone."""
        return {"exif_ignored": self.options.exif == "ignore"}

    def image_size(self, record: Record) -> ImageSize | None:
        """Size of a record's image; see :meth:`hpbench.dataset.Dataset.image_size`."""
        try:
            size = read_size(record.image_path)
        except ImageError:
            return None
        return ImageSize(size.stored_wh) if self.options.exif == "ignore" else size

    def records(self) -> Sequence[Record]:
        """Index in the order of the rows; see :meth:`hpbench.dataset.Dataset.records`."""
        path = self._file()
        names, rows = read_rows(path, count_known)
        columns = find_columns(path, names)
        if columns.rotation and all(
            is_empty(row[name]) for name in columns.angles.values() for row in rows
        ):
            columns = replace(columns, angles={})  # so that options are of the rotation
        refuse_unused_options(path, columns, self.options)
        images = [as_text(row[columns.image]) for row in rows]
        files = [image_path(path.parent, image) for image in images]
        boxes = [[row[name] for name in columns.box] for row in rows]
        _refuse_double_faces(path, images, files, boxes)
        records = []
        for row, image, file, image_id, factors in zip(
            rows, images, files, _ids(images), _factors(columns, rows), strict=True
        ):
            label, box, camera, defect = self._read_row(row, columns, file)
            subject = _subject(row[columns.subject]) if columns.subject else ""
            records.append(
                Record(
                    image_id,
                    file,
                    label,
                    box_xyxy=box,
                    excluded=defect if image else "the row names no image",
                    group=subject or image,
                    camera=camera,
                    factors=factors,
                )
            )
        if (self.options.unit or columns.unit) == "rad":
            self._refuse_degrees(records)
        return require_scorable(records, path, "row below the column names")

    def _read_row(
        self, row: Mapping[str, Any], columns: Columns, image: Path
    ) -> tuple[Label | None, npt.NDArray[np.float64] | None, Camera | None, str | None]:
        """Label, box and camera of a row, and the reason why it cannot be scored."""
        label = box = camera = None
        try:
            label = read_label(row, columns, self.options)
            numbers = numbers_in(row, columns.box, "box")
            if numbers is not None:
                size = read_size(image) if needs_size(self.options) else None
                layout = self.options.box or columns.layout
                box = pixel_box(numbers, layout, self.options, size)
            camera = read_camera(row, columns)
        except (DataError, ImageError) as error:
            return label, box, camera, str(error)
        return label, box, camera, None

    def _file(self) -> Path:
        if self.root is None:
            raise DataError("data set 'table' needs its file: --datasets table=labels.csv")
        if not self.root.exists():
            raise DataError(f"{self.root}: no such file; name a table: --datasets table=labels.csv")
        if self.root.is_dir():
            raise DataError(f"{self.root}: is a folder; name a file: --datasets table=labels.csv")
        return self.root

    def _refuse_degrees(self, records: Sequence[Record]) -> None:
        """Refuse a table in radians whose numbers are far too large for that."""
        angles = [r.label.angles_deg for r in records if r.label is not None]
        beyond_turn = [bool((np.abs(triple) > 360.0).any()) for triple in angles]
        if sum(beyond_turn) > len(angles) / 2:
            largest = math.radians(float(np.nanmax(np.abs(angles))))
            raise DataError(
                f"{self.root}: its angles are taken as radians but reach {largest:.4g}; "
                f"write {spec_with(self, 'unit=deg')}"
            )


def _ids(images: Sequence[str]) -> list[str]:
    """Id of each row: its image, for a further face of it with the next number that is free."""
    names = [image or f"row {number}" for number, image in enumerate(images, start=1)]
    taken = set(names)  # an image may itself be called a.jpg#2
    last: dict[str, int] = {}
    ids = []
    for name in names:
        number = last.get(name, 0) + 1
        while number > 1 and f"{name}#{number}" in taken:
            number += 1
        last[name] = number
        ids.append(name if number == 1 else f"{name}#{number}")
    return ids


def _refuse_double_faces(
    path: Path, images: Sequence[str], files: Sequence[Path], boxes: Sequence[Sequence[Any]]
) -> None:
    """Refuse a table in which one face stands twice, however it is written: it would count double.

    Raises
    ------
    DataError
        With the numbers of the two rows.
    """
    row_of_face: dict[tuple[str | float, ...], int] = {}
    rows = zip(images, files, boxes, strict=True)
    for number, (image, file, box) in enumerate(rows, start=1):
        face = (os.path.normpath(file.absolute()), *map(_comparable, box))
        earlier = row_of_face.setdefault(face, number)
        if image and earlier != number:
            raise DataError(
                f"{path}: rows {earlier} and {number} are the same face of '{image}'; "
                "keep one, or give each its box x0,y0,x1,y1"
            )


def _comparable(cell: Any) -> str | float:
    """What a cell of a box holds, the same for ``7`` and ``7.0``, for an empty one and ``NA``."""
    if is_empty(cell):
        return ""
    number = as_number(cell)
    return as_text(cell) if math.isnan(number) else number


def _subject(cell: Any) -> str:
    """Name of a subject; empty where the cell has none, which Python may have written as None."""
    text = "" if is_empty_text(cell) else as_text(cell)
    return "" if text in ("None", "none") else text


def _factors(columns: Columns, rows: Sequence[dict[str, Any]]) -> list[dict[str, str | float]]:
    """Per row the filled cells of all further columns."""
    factors: list[dict[str, str | float]] = [{} for _ in rows]
    for name in columns.factors:
        values = _factor_values([row[name] for row in rows])
        for of_row, value in zip(factors, values, strict=True):
            if value is not None:
                of_row[name] = value
    return factors


def _factor_values(cells: Sequence[Any]) -> list[str | float | None]:
    """Numbers where a column holds only these, else texts; None for an empty cell.

    The word ``none`` is an empty cell among numbers and a value among words; booleans, which only
    Parquet has, are the words that CSV has for them.
    """
    cells = [str(cell) if isinstance(cell, bool) else cell for cell in cells]
    numbers = [None if is_empty(cell) else as_number(cell) for cell in cells]
    filled = [number for number in numbers if number is not None]
    if filled and not any(map(math.isnan, filled)):
        return list(numbers)
    return [None if is_empty_text(cell) else as_text(cell) for cell in cells]
