"""Parts of a run joined into one table in the data sets' own order, some rows at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hpbench.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ROWS_AT_ONCE", "join_parts", "matching_rows", "write_batches"]

ROWS_AT_ONCE = 2048
"""Rows in memory, and in one row group of a joined file."""

Places = npt.NDArray[np.int64]


def join_parts(
    parts: Sequence[Path], ids_of: Mapping[str, pa.Array], target: Path, schema: pa.Schema
) -> None:
    """Write the rows of all parts into one Parquet file, sorted by face.

    Only the places of the rows (some bytes each) are held for the whole table. Rows of one face
    keep the order in which the parts hold them.

    Parameters
    ----------
    parts : sequence of Path
        Parquet files with the columns of `schema`, among them ``dataset`` and ``image_id``.
    ids_of : mapping of str to pyarrow.Array
        Image ids of every data set in its own order; the data sets in the run's order.
    target : Path
    schema : pyarrow.Schema

    Raises
    ------
    DataError
        If a part holds a face that is not among the ids.
    """
    import pyarrow.parquet as pq

    groups = [(part, k) for part in parts for k in range(pq.read_metadata(part).num_row_groups)]
    places, rows_in_group = _places(groups, ids_of)
    sorted_rows = np.argsort(places, kind="stable")
    ends = np.cumsum(rows_in_group)
    write_batches(target, schema, _blocks(groups, ends, sorted_rows))


def write_batches(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write tables one after the other as one Parquet file; a reader sees all of it or nothing."""
    import pyarrow.parquet as pq

    partial = path.with_name(path.name + ".partial")
    with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table, row_group_size=ROWS_AT_ONCE)
    os.replace(partial, path)  # noqa: PTH105 - atomic on one file system


def matching_rows(path: Path, values: Mapping[str, str]) -> Iterator[pa.Table]:
    """Rows of a Parquet file that hold some values, by column, without those columns; in pieces.

    Pieces that cannot hold a value, by the lowest and highest that the file notes, are not read.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            noted = {name: group.column(names.index(name)).statistics for name in values}
            if any(
                note is not None and note.has_min_max and not note.min <= values[name] <= note.max
                for name, note in noted.items()
            ):
                continue
            table = file.read_row_group(number, use_threads=False)
            for name, value in values.items():
                table = table.filter(pc.equal(table[name], value))
            if len(table):
                yield table.drop_columns(list(values))


def _places(
    groups: Sequence[tuple[Path, int]], ids_of: Mapping[str, pa.Array]
) -> tuple[Places, Places]:
    """Place of every row among all faces of the run, and the number of rows of each group."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not groups:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    names = [_read_group(*group, columns=["dataset", "image_id"]) for group in groups]
    rows = pa.concat_tables(names)
    places = np.full(len(rows), -1, dtype=np.int64)
    first = 0
    for dataset, ids in ids_of.items():
        own = pc.equal(rows["dataset"], dataset)
        found = pc.index_in(rows["image_id"].filter(own), value_set=ids).fill_null(-1)
        place = found.to_numpy().astype(np.int64)
        places[own.to_numpy()] = np.where(place < 0, -1, place + first)
        first += len(ids)
    if (places < 0).any():
        row = rows.slice(int(np.argmin(places)), 1).to_pylist()[0]
        raise DataError(
            f"{groups[0][0].parent}: holds the face '{row['image_id']}' that data set "
            f"'{row['dataset']}' lacks; run into another --out folder"
        )
    return places, np.array([len(table) for table in names], dtype=np.int64)


def _blocks(
    groups: Sequence[tuple[Path, int]], ends: Places, sorted_rows: Places
) -> Iterable[pa.Table]:
    """Sorted rows, block by block; of the parts only those that a block needs are read."""
    import pyarrow as pa

    for start in range(0, len(sorted_rows), ROWS_AT_ONCE):
        rows = sorted_rows[start : start + ROWS_AT_ONCE]
        group_of_row = np.searchsorted(ends, rows, side="right")
        needed, position = np.unique(group_of_row, return_inverse=True)
        tables = [_read_group(*groups[number]) for number in needed]
        sizes = np.array([len(table) for table in tables], dtype=np.int64)
        row_in_group = rows - (ends[needed] - sizes)[position]
        joined = pa.concat_tables(tables).combine_chunks()
        yield joined.take(pa.array((np.cumsum(sizes) - sizes)[position] + row_in_group))


def _read_group(part: Path, number: int, columns: Sequence[str] | None = None) -> pa.Table:
    import pyarrow.parquet as pq

    with pq.ParquetFile(part) as file:
        return file.read_row_group(number, columns=columns, use_threads=False)
