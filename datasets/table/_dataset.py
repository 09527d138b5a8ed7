"""The data set of a user's own table."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Dataset, DatasetCard, Label, Record, require_scorable
from hpbench.datasets.table._rows import as_number, as_text, is_empty, read_rows
from hpbench.errors import DataError
from hpbench.protocol import Protocol

__all__ = ["Table"]

_REQUIRED = ("image", "yaw", "pitch")
_BOX = ("x0", "y0", "x1", "y1")
_KNOWN = (*_REQUIRED, "roll", *_BOX, "subject")


class Table(Dataset):
    """Images and labels listed in a CSV or Parquet file: ``--datasets table=labels.csv``.

    Columns: ``image`` (path, relative to the table's folder), ``yaw`` and ``pitch`` in degrees,
    perhaps ``roll`` (without it that axis is left out of the figures), ``x0,y0,x1,y1`` (tight
    face box in pixels), ``subject``. Any further column is a factor that a report may break
    errors down by.

    Notes
    -----
    An image may stand in several rows with different boxes, one per face; the ids of the
    further ones get ``#2``, ``#3``, ... The same image with the same box twice is refused.
    """

    name: ClassVar[str] = "table"
    summary: ClassVar[str] = "your own images: a CSV or Parquet file with image,yaw,pitch,roll"
    root_is: ClassVar[Literal["DIR", "FILE"]] = "FILE"
    resample: ClassVar[Literal["image", "group"]] = "group"
    card: ClassVar[DatasetCard] = DatasetCard(
        name="table",
        title="User's table",
        licence="the user's own",
        how_to_get="Write a CSV file with the columns image,yaw,pitch,roll[,x0,y0,x1,y1,subject]",
        domain="unknown",
        label_source="unknown",
        notes=("Confidence intervals resample subjects; without a column 'subject', images.",),
    )
    protocols: ClassVar[tuple[Protocol, ...]] = (
        Protocol(dataset="table", summary="all rows; the table's hash is part of the protocol"),
    )

    def protocol_settings(self) -> dict[str, Any]:
        """The table's hash: another table, or another version of it, is another protocol."""
        digest = hashlib.sha256(self._file().read_bytes()).hexdigest()
        return {**super().protocol_settings(), "table_sha256": digest}

    def records(self) -> Sequence[Record]:
        """Index in the order of the rows; see :meth:`hpbench.dataset.Dataset.records`."""
        path = self._file()
        columns, rows = read_rows(path)
        has_box = _check_columns(path, columns)
        _refuse_double_faces(path, rows, has_box)
        factors = _factors(columns, rows)
        times_seen: Counter[str] = Counter()
        records = []
        for number, row in enumerate(rows, start=1):
            image = as_text(row["image"])
            times_seen[image] += 1
            image_id = image if times_seen[image] == 1 else f"{image}#{times_seen[image]}"
            records.append(
                Record(
                    image_id if image else f"row {number}",
                    path.parent / image,
                    _label(row),
                    box_xyxy=_box(row) if has_box else None,
                    excluded=_defect(row, has_box),
                    group=as_text(row.get("subject")) or image,
                    factors=factors[number - 1],
                )
            )
        return require_scorable(records, path, "row below the column names")

    def _file(self) -> Path:
        if self.root is None:
            raise DataError("data set 'table' needs its file: --datasets table=labels.csv")
        if not self.root.exists():
            raise DataError(f"{self.root}: no such file; name a table: --datasets table=labels.csv")
        if self.root.is_dir():
            raise DataError(f"{self.root}: is a folder; name a file: --datasets table=labels.csv")
        return self.root


def _check_columns(path: Path, columns: Sequence[str]) -> bool:
    """Whether there are boxes.

    Raises
    ------
    DataError
        If a column is missing, or spelled in capitals or with blanks.
    """
    given = ", ".join(columns) or "none"
    for name in _KNOWN:
        for column in columns:
            if column != name and column.strip().lower() == name and name not in columns:
                raise DataError(f"{path}: column '{column}' must be called '{name}'")
    for name in _REQUIRED:
        if name not in columns:
            raise DataError(f"{path}: no column '{name}' (columns: {given})")
    missing = [name for name in _BOX if name not in columns]
    if missing and len(missing) < len(_BOX):
        raise DataError(f"{path}: no column '{missing[0]}'; a box needs x0, y0, x1 and y1")
    return not missing


def _label(row: dict[str, Any]) -> Label | None:
    angles = [as_number(row[name]) for name in ("yaw", "pitch", "roll") if name in row]
    if any(math.isnan(angle) for angle in angles):
        return None
    roll = angles[2] if len(angles) == 3 else math.nan
    return Label.from_angles(angles[0], angles[1], roll)


def _box(row: dict[str, Any]) -> npt.NDArray[np.float64] | None:
    box = np.array([as_number(row[name]) for name in _BOX])
    return box if np.isfinite(box).all() else None


def _defect(row: dict[str, Any], has_box: bool) -> str | None:
    """Reason why a row cannot be scored, or None. A row without any box cell is no defect."""
    if not as_text(row["image"]):
        return "the row names no image"
    for name in ("yaw", "pitch", "roll"):
        if name in row and math.isnan(as_number(row[name])):
            return f"label is not a number ({name}: '{as_text(row[name])}')"
    if not has_box or all(is_empty(row[name]) for name in _BOX):
        return None
    for name in _BOX:
        if math.isnan(as_number(row[name])):
            return f"box is not a number ({name}: '{as_text(row[name])}')"
    return None


def _refuse_double_faces(path: Path, rows: Sequence[dict[str, Any]], has_box: bool) -> None:
    """Refuse a table in which one face stands twice: it would count double.

    Raises
    ------
    DataError
        With the numbers of the two rows.
    """
    row_of_face: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(rows, start=1):
        image = as_text(row["image"])
        face = (image, *(as_text(row[name]) for name in (_BOX if has_box else ())))
        earlier = row_of_face.setdefault(face, number)
        if image and earlier != number:
            raise DataError(
                f"{path}: rows {earlier} and {number} are the same face of '{image}'; "
                "keep one, or give each its box x0,y0,x1,y1"
            )


def _factors(
    columns: Sequence[str], rows: Sequence[dict[str, Any]]
) -> list[dict[str, str | float]]:
    """Per row the filled cells of all further columns: numbers where a column holds only these."""
    factors: list[dict[str, str | float]] = [{} for _ in rows]
    for name in columns:
        if name in _KNOWN:
            continue
        filled = [number for number, row in enumerate(rows) if not is_empty(row[name])]
        numeric = not any(math.isnan(as_number(rows[number][name])) for number in filled)
        for number in filled:
            cell = rows[number][name]
            factors[number][name] = as_number(cell) if numeric else as_text(cell)
    return factors
