"""Files that a reader sees complete or not at all, also when the writer is killed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "CHECKSUM",
    "PARTIAL",
    "atomic_path",
    "drop_partials",
    "is_intact",
    "publish",
    "read_table",
    "sha256_of_file",
    "write_bytes",
    "write_checked_tables",
    "write_json",
    "write_table",
    "write_tables",
    "write_text",
]

PARTIAL = ".partial"
"""Stands in the name of a file that is being written."""

CHECKSUM = "." + 12 * "[0-9a-f]"
"""Pattern of a file's checksum, which stands before its suffix."""

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
    with _temporary(path) as temporary:
        yield temporary
        publish(temporary, path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    # unique, since two processes may write one file of the cache at the same time
    # and no longer than the final name may be
    temporary = path.with_name(f"{path.stem[:40]}.{secrets.token_hex(4)}{PARTIAL}{path.suffix}")
    try:
        yield temporary
    except OSError as error:
        if error.filename is not None:
            raise
        # pyarrow's has neither the path nor the system's words
        text = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, text, str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # there is none, or the folder is none
            temporary.unlink()


def drop_partials(folder: Path, older_than_s: float = 0.0) -> None:
    """Delete what writers that were killed have left in a folder.

    Nobody may be writing to it, or nobody for so long.
    """
    limit = time.time() - older_than_s
    for path in folder.glob(f"*.{8 * '[0-9a-f]'}{PARTIAL}*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime <= limit:
                path.unlink()


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
    write_text(path, json_text(content))


def json_text(content: Any) -> str:
    """JSON, indented; a number that is not finite is an error."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def write_table(path: Path, table: pa.Table) -> None:
    """Write one table as Parquet."""
    write_tables(path, table.schema, [table])


def write_checked_tables(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write tables as :func:`write_tables`, with a checksum in the file's name.

    An earlier file of the same name, but for its checksum, is deleted.
    """
    with _temporary(path) as temporary:
        write_tables(temporary, schema, tables)
        checked = path.with_name(f"{path.stem}.{_checksum(temporary)}{path.suffix}")
        temporary.replace(checked)
    for older in path.parent.glob(f"{path.stem}{CHECKSUM}{path.suffix}"):
        if older != checked:
            older.unlink(missing_ok=True)


def is_intact(path: Path) -> bool:
    """Whether a file is still the one that its name has the checksum of."""
    return path.stem.rpartition(".")[2] == _checksum(path)


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum(path: Path) -> str:
    return sha256_of_file(path)[:12]


def write_tables(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write tables one after the other as one Parquet file."""
    import pyarrow.parquet as pq

    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for table in tables:
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file, or some of its columns; checksums of its pages are compared.

    ``pyarrow.parquet.read_table`` would import ``pyarrow.dataset``, a quarter of a second.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read(columns)
