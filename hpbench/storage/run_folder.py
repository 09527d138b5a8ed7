"""The tables of a run: an index of all faces first, then parts, and at the end the joined tables.

``faces.parquet`` is written before anything is computed; the row of a face in it is what the parts
below ``parts/`` are keyed by. A part appears whole or not at all, so the rows of the parts are
exactly what a killed run has finished. Everything is Parquet or JSON; there is no pickle.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from hpbench.errors import NO_SUCH_IMAGE
from hpbench.storage.atomic import (
    CHECKSUM,
    is_intact,
    read_table,
    write_checked_tables,
    write_table,
    write_tables,
)
from hpbench.storage.checksums import CHECKSUMS, differs, read_checksums, store_checksums
from hpbench.storage.face_index import FaceIndex
from hpbench.storage.schemas import (
    APPEARANCE,
    BOX_XYXY,
    PartRow,
    faces_schema,
    part_schema,
    part_table,
    predictions_schema,
    timing_schema,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TABLES", "IndexedDataset", "RunFolder"]

TABLES = ("faces.parquet", "predictions.parquet", "timing.parquet")
"""Of a finished run."""

Origin = Literal["cached", "shared"]
"""Where rows that were not computed are from: the cache, or a run of the same command."""

_FACE_COLUMNS = ("excluded", *BOX_XYXY, "box_status", *APPEARANCE)
"""What a run finds out about a face, whatever the method."""


@dataclass(frozen=True)
class IndexedDataset:
    """A data set of a run and where it stands in the index.

    Attributes
    ----------
    key : str
        Name in the tables.
    index : FaceIndex
    first_row : int
        Row of its first face in ``faces.parquet``.
    """

    key: str
    index: FaceIndex
    first_row: int


class RunFolder:
    """The tables of one run on disk.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts = path / "parts"
        self._appended: dict[str, int] = {}

    def write_index(self, datasets: Iterable[IndexedDataset]) -> None:
        """Write ``faces.parquet`` as far as it is known before the run."""
        write_tables(
            self.path / "faces.parquet", faces_schema(), (_index_table(one) for one in datasets)
        )

    def drop_corrupted_parts(self) -> None:
        """Delete parts that are not as they were written; what they held is to be found again."""
        corrupted = [
            path for path in self.parts.glob(f"*/*{CHECKSUM}.parquet") if not is_intact(path)
        ]
        for path in corrupted:
            path.unlink()
        if corrupted:
            logging.getLogger("hpbench").warning(
                "%s: %d corrupted files of the stopped run are replaced", self.path, len(corrupted)
            )

    def missing_images(self, dataset: IndexedDataset) -> npt.NDArray[np.int64]:
        """Rows of the faces whose image was not there when it was read."""
        import pyarrow.compute as pc

        found = self.found(dataset, columns=["row", "excluded"])
        missing = pc.match_substring(found["excluded"], NO_SUCH_IMAGE)
        return found["row"].filter(pc.fill_null(missing, False)).to_numpy()

    def drop_faces(self, dataset: IndexedDataset, rows: npt.NDArray[np.int64]) -> None:
        """Delete what was found of some faces."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for path in self._parts(dataset, "*"):
            table = read_table(path)
            remaining = table.filter(pc.invert(pc.is_in(table["row"], pa.array(rows))))
            self._write(dataset, path.name.split(".")[0], [remaining])

    def append(self, dataset: IndexedDataset, rows: Sequence[PartRow]) -> None:
        """Store what was found of some faces."""
        if dataset.key not in self._appended:
            numbers = [
                int(part.name.split("-")[1].split(".")[0]) for part in self._parts(dataset, "part")
            ]
            self._appended[dataset.key] = max(numbers, default=-1) + 1
        self._write(dataset, f"part-{self._appended[dataset.key]:06d}", [part_table(rows)])
        self._appended[dataset.key] += 1

    def add_found(
        self, origin: Origin, dataset: IndexedDataset, method: str, tables: Iterable[pa.Table]
    ) -> None:
        """Store what an earlier run has found with a method, in place of what it had from there."""
        import pyarrow as pa
        import pyarrow.compute as pc

        def keyed(table: pa.Table) -> pa.Table:
            row = pc.add(table["row"], dataset.first_row)
            columns = {"row": row, "method": pa.repeat(method, len(table))}
            columns |= {n: table[n] for n in table.column_names if n not in columns}
            return pa.table(columns).select(part_schema().names)

        # digits, as _parts() expects; of the name, for the methods that are left have other places
        number = int(hashlib.sha256(method.encode()).hexdigest()[:12], 16)
        self._write(dataset, f"{origin}-{number:015d}", map(keyed, tables))

    def done(self, dataset: IndexedDataset, method: str) -> npt.NDArray[np.bool_]:
        """Which faces need no more work with a method, shape (n,): stored, or excluded anyway."""
        done = ~dataset.index.included()
        done[self.found(dataset, method, ["row"])["row"].to_numpy() - dataset.first_row] = True
        return done

    def found(
        self, dataset: IndexedDataset, method: str | None = None, columns: Sequence[str] = ()
    ) -> pa.Table:
        """Stored rows of a data set, sorted by face, each once.

        Parameters
        ----------
        dataset : IndexedDataset
        method : str, optional
            None for the rows of all methods; where these differ, one that excludes the face.
        columns : sequence of str
            With ``row`` among them. Default: all of a part.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        schema = part_schema()
        names = list(columns) or schema.names
        tables = [schema.empty_table().select(names)]
        for path in self._parts(dataset, "*"):
            part = read_table(path, list(dict.fromkeys([*names, "method"])))
            of_method = part if method is None else part.filter(pc.equal(part["method"], method))
            tables.append(of_method.select(names))
        table = pa.concat_tables(tables)
        rows = table["row"].to_numpy()
        if method is None:
            order = np.lexsort((table["excluded"].is_null().to_numpy(), rows))
        else:
            order = np.argsort(rows, kind="stable")
        return table.take(order[np.diff(rows[order], prepend=-1) > 0])

    def finish(
        self, datasets: Sequence[tuple[IndexedDataset, Sequence[str]]], timing: pa.Table
    ) -> None:
        """Join the parts and store the timing pass.

        Parameters
        ----------
        datasets : sequence of (IndexedDataset, sequence of str)
            In the order of the index, with the methods that were run.
        timing : pyarrow.Table
        """
        excluded: list[pa.ChunkedArray] = []

        def faces_tables() -> Iterator[pa.Table]:
            for dataset, _ in datasets:
                table = self._faces_table(dataset)
                excluded.append(table["excluded"])
                yield table

        write_tables(self.path / "faces.parquet", faces_schema(), faces_tables())
        write_tables(
            self.path / "predictions.parquet",
            predictions_schema(),
            self._predictions(datasets, excluded),
        )
        write_table(self.path / "timing.parquet", timing.cast(timing_schema()))
        files = [self.path / name for name in (*TABLES, "run.json", "timing.json")]
        store_checksums(self.path, files, start=True)
        if self.parts.exists():  # no face was predicted where all are excluded
            shutil.rmtree(self.parts)

    def is_finished(self) -> bool:
        """Whether the joined tables exist; their checksums are written last."""
        return "timing.parquet" in read_checksums(self.path)

    def reopen_if_corrupted(self) -> None:
        """Take a finished run whose tables are not as they were written for an unfinished one."""
        checked = (*TABLES, "timing.json")
        corrupted = [name for name in checked if differs(self.path, name)]
        if corrupted:
            logging.getLogger("hpbench").warning(
                "%s: %s corrupted; computed again and replaced", self.path, ", ".join(corrupted)
            )
            for name in (*corrupted, CHECKSUMS):  # without checksums they would be scored
                (self.path / name).unlink(missing_ok=True)

    def uses_cache(self) -> bool:
        """Whether the folder holds what an earlier run has found."""
        return any(self.parts.glob("*/cached-*"))

    def _faces_table(self, dataset: IndexedDataset) -> pa.Table:
        """Rows of ``faces.parquet`` with what the run has found."""
        import pyarrow as pa
        import pyarrow.compute as pc

        table = _index_table(dataset)
        found = self.found(dataset, columns=["row", *_FACE_COLUMNS])
        is_found = np.zeros(len(table), dtype=bool)
        is_found[found["row"].to_numpy() - dataset.first_row] = True
        for name in _FACE_COLUMNS:
            before = table[name].combine_chunks()
            if name in BOX_XYXY:  # a face that no method saw was given no box
                before = pa.nulls(len(table), pa.float64())
            column = pc.replace_with_mask(before, is_found, found[name].combine_chunks())
            table = table.set_column(table.schema.get_field_index(name), name, column)
        return table

    def _predictions(
        self,
        datasets: Sequence[tuple[IndexedDataset, Sequence[str]]],
        excluded_of: Sequence[pa.ChunkedArray],
    ) -> Iterator[pa.Table]:
        """Rows of ``predictions.parquet``, by data set, method and face that is not excluded."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for (dataset, methods), excluded in zip(datasets, excluded_of, strict=True):
            ids = dataset.index.table["image_id"]
            for method in methods:
                found = self.found(dataset, method)
                row = pc.subtract(found["row"], dataset.first_row)
                table = (
                    found.append_column("image_id", ids.take(row))
                    .append_column("dataset", pa.repeat(dataset.key, len(found)))
                    .filter(excluded.take(row).is_null())
                )
                yield table.select(predictions_schema().names)

    def _parts(self, dataset: IndexedDataset, name: str) -> list[Path]:
        return sorted(self._folder(dataset).glob(f"{name}-*[0-9]{CHECKSUM}.parquet"))

    def _write(self, dataset: IndexedDataset, name: str, tables: Iterable[pa.Table]) -> None:
        self._folder(dataset).mkdir(parents=True, exist_ok=True)
        path = self._folder(dataset) / f"{name}.parquet"
        write_checked_tables(path, part_schema(), tables)

    def _folder(self, dataset: IndexedDataset) -> Path:
        return self.parts / f"{dataset.first_row:09d}"


def _index_table(dataset: IndexedDataset) -> pa.Table:
    """Rows of ``faces.parquet`` as the data set has them."""
    import pyarrow as pa

    table = dataset.index.table
    # a run folder may be shared, the disk is private
    paths = table["image_path"].to_pylist()
    shown = [os.path.basename(path) if os.path.isabs(path) else path for path in paths]  # noqa: PTH117, PTH119
    columns = {
        "dataset": pa.repeat(dataset.key, len(table)),
        "image_path": pa.array(shown, pa.string()),
        "box_status": pa.repeat("annotated", len(table)),
        **dict.fromkeys(APPEARANCE, pa.nulls(len(table), pa.float64())),
    }
    return pa.table(
        [columns.get(n) if n in columns else table[n] for n in faces_schema().names],
        schema=faces_schema(),
    )
