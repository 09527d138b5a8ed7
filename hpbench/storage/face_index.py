"""The index of a data set's faces as Arrow columns: some 300 bytes a face, in the data set's order.

A face is known by its row in the index from here on; names are looked up only for the tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Label, Record
from hpbench.errors import DataError
from hpbench.face import Camera
from hpbench.storage.schemas import ANGLES_DEG, BOX_XYXY, ROTATION_COLUMNS, index_schema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FaceIndex"]

CHUNK_RECORDS = 1024


class FaceIndex(Sequence[Record]):
    """All faces of a data set.

    Parameters
    ----------
    table : pyarrow.Table
        Columns of :func:`hpbench.storage.schemas.index_schema`; a null stands for None.
    folder : Path or None
        Folder that relative image paths start from.
    """

    def __init__(self, table: pa.Table, folder: Path | None) -> None:
        self.table = table
        self._folder = folder or Path()

    @classmethod
    def read(cls, dataset: str, records: Iterable[Record], folder: Path | None) -> FaceIndex:
        """Go through the records of a data set once.

        Raises
        ------
        DataError
            If there is no face, an id occurs twice, or a name is not UTF-8.
        """
        import pyarrow as pa

        seen: set[str] = set()
        chunks = []
        remaining = iter(records)
        while chunk := list(islice(remaining, CHUNK_RECORDS)):
            for record in chunk:
                if record.image_id in seen:
                    raise DataError(
                        f"data set '{dataset}' has two faces with the id '{record.image_id}'"
                    )
                seen.add(record.image_id)
                _require_utf8(record)
            rows = [_row(record, folder) for record in chunk]
            chunks.append(pa.Table.from_pylist(rows, schema=index_schema()))
        if not chunks:
            raise DataError(f"data set '{dataset}' holds no faces")
        return cls(pa.concat_tables(chunks), folder)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return list(self.take(np.arange(len(self))[index]))
        return next(self.take(np.array([range(len(self))[index]])))

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Record]:
        return self.take(np.arange(len(self)))

    def take(self, rows: npt.NDArray[np.int64]) -> Iterator[Record]:
        """Records at some rows, in that order."""
        for start in range(0, len(rows), CHUNK_RECORDS):
            chunk = self.table.take(rows[start : start + CHUNK_RECORDS])
            yield from (_record(row, self._folder) for row in chunk.to_pylist())

    def included(self) -> npt.NDArray[np.bool_]:
        """Which faces the data set itself does not exclude, shape (n,)."""
        return self.table["excluded"].is_null().to_numpy()

    def angles_deg(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Labelled angles at some rows, shape (n, 3); NaN where an axis is missing."""
        chosen = self.table.select(ANGLES_DEG).take(rows)
        return np.stack([chosen[name].to_numpy() for name in ANGLES_DEG], axis=1)

    def factor_names(self) -> set[str]:
        """Columns of the data set that some face has a value in."""
        cells = self.table["factors"].drop_null().unique().to_pylist()
        return {name for cell in cells for name in json.loads(cell)}

    def faces(
        self, rows: npt.NDArray[np.int64]
    ) -> Iterator[tuple[str, str, tuple[float | None, ...]]]:
        """Id, image path and box x0, y0, x1, y1 at some rows."""
        chosen = self.table.select(["image_id", "image_path", *BOX_XYXY]).take(rows)
        for image_id, path, *box in zip(*(c.to_pylist() for c in chosen.columns), strict=True):
            yield image_id, str(self._folder / path), tuple(box)

    def has_some(self, column: str) -> bool:
        """Whether any included face has a value in a column, such as ``camera_matrix``."""
        import pyarrow as pa

        return self.table[column].filter(pa.array(self.included())).null_count < int(
            self.included().sum()
        )


def _require_utf8(record: Record) -> None:
    """Raise where no table can hold a name."""
    for name in (record.image_id, str(record.image_path)):
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"{name!a}: a name that is not UTF-8; rename it") from error


def _row(record: Record, folder: Path | None) -> dict[str, Any]:
    label, camera, path = record.label, record.camera, record.image_path
    if folder is not None and path.is_relative_to(folder):
        image_path = path.relative_to(folder).as_posix()
    else:
        image_path = str(path.absolute())
    return {
        "image_id": record.image_id,
        "image_path": image_path,
        "group": record.group,
        "excluded": record.excluded or ("no label" if label is None else None),
        **_cells(ANGLES_DEG, None if label is None else label.angles_deg),
        **_cells(ROTATION_COLUMNS, None if label is None else label.R_cam),
        **_cells(BOX_XYXY, record.box_xyxy),
        # a factor may be a number of NumPy
        "factors": json.dumps(dict(record.factors), default=lambda value: value.item())
        if record.factors
        else None,
        "camera_matrix": None if camera is None else np.ravel(camera.matrix),
        "camera_distortion": None if camera is None else np.ravel(camera.distortion),
        "landmarks_xy": None if record.landmarks_xy is None else np.ravel(record.landmarks_xy),
    }


def _record(row: dict[str, Any], folder: Path) -> Record:
    angles_deg = _array([row[name] for name in ANGLES_DEG])
    matrix, distortion = _array(row["camera_matrix"], 3, 3), _array(row["camera_distortion"])
    return Record(
        image_id=row["image_id"],
        image_path=folder / row["image_path"],
        label=None
        if angles_deg is None
        else Label(angles_deg, _array([row[name] for name in ROTATION_COLUMNS], 3, 3)),
        box_xyxy=_array([row[name] for name in BOX_XYXY]),
        excluded=row["excluded"],
        group=row["group"],
        camera=None if matrix is None or distortion is None else Camera(matrix, distortion),
        landmarks_xy=_array(row["landmarks_xy"], -1, 2),
        factors=json.loads(row["factors"]) if row["factors"] else {},
    )


def _cells(names: Sequence[str], values: npt.NDArray[np.float64] | None) -> dict[str, float]:
    """A small array as columns; nothing, so nulls, for None."""
    return {} if values is None else dict(zip(names, np.ravel(values).tolist(), strict=True))


def _array(values: Sequence[float] | None, *shape: int) -> npt.NDArray[np.float64] | None:
    if values is None or values[0] is None:
        return None
    return np.array(values, dtype=np.float64).reshape(shape or -1)
