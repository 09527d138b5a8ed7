"""Files that a reader sees complete or not at all, also when the writer is killed."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "PARTIAL",
    "atomic_path",
    "publish",
    "write_bytes",
    "write_json",
    "write_table",
    "write_tables",
    "write_text",
]

PARTIAL = ".partial"
"""Stands in the name of a file that is being written."""

ROW_GROUP_ROWS = 65_536


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Path of a temporary file beside `path` that replaces it once the block has written it.

    The temporary file keeps the suffix, since some writers choose the format by it. It is
    removed where the block raises.

    Raises
    ------
    OSError
        If the folder cannot be written, or the disk is full.
    """
    # unique, since two processes may write one file of the cache at the same time
    temporary = path.with_name(f"{path.stem}.{secrets.token_hex(4)}{PARTIAL}{path.suffix}")
    try:
        yield temporary
        publish(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # there is none, or the folder is none
            temporary.unlink()


def publish(temporary: Path, path: Path) -> None:
    """Give a finished file its name, once its content is on the disk."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, with the line ends that it has."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON, indented; a number that is not finite is an error."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_table(path: Path, table: pa.Table) -> None:
    """Write one table as Parquet."""
    write_tables(path, table.schema, [table])


def write_tables(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write tables one after the other as one Parquet file."""
    import pyarrow.parquet as pq

    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for table in tables:
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
