"""Tables of finished runs in the user's cache, each under a key that hashes all it depends on."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpbench.errors import DataError
from hpbench.paths import cache_folder
from hpbench.storage.atomic import (
    CHECKSUM,
    PARTIAL,
    drop_partials,
    is_intact,
    read_table,
    write_checked_tables,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CacheEntry", "PredictionCache"]

LIMIT_BYTES = 2 * 2**30
"""Beyond this size the entries that were not used for longest are deleted."""

ROWS_AT_ONCE = 65_536
_DAY_S = 86_400.0
_METADATA = b"hpbench"
_log = logging.getLogger("hpbench")


@dataclass(frozen=True)
class CacheEntry:
    """One table of the cache.

    Attributes
    ----------
    path : Path
    metadata : dict
        What was put in with it.
    """

    path: Path
    metadata: dict[str, Any]

    def tables(self) -> Iterator[pa.Table]:
        """Rows, some ten thousands at a time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with self._still_there(), pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                yield pa.Table.from_batches([batch]).replace_schema_metadata(None)

    def table(self, columns: list[str] | None = None) -> pa.Table:
        """All rows."""
        with self._still_there():
            return read_table(self.path, columns).replace_schema_metadata(None)

    @contextlib.contextmanager
    def _still_there(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"{self.path}: cannot be read from the cache any more ({error.strerror or error}); "
                "repeat the command"
            ) from error


@functools.cache
def _say_once(folder: Path, reason: str) -> None:
    """Once in a process: a run stores a table for every method and data set."""
    _log.warning(
        "%s: nothing is stored there for later runs (%s); set HPBENCH_CACHE to another folder",
        folder,
        reason,
    )


class PredictionCache:
    """Tables by key, each in one Parquet file.

    Parameters
    ----------
    folder : Path, optional
        Default: that of :func:`hpbench.paths.cache_folder`.
    limit_bytes : int
    """

    def __init__(self, folder: Path | None = None, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder if folder is not None else cache_folder("predictions")
        self.limit_bytes = limit_bytes

    def get(self, key: str) -> CacheEntry | None:
        """Entry of a key; None where there is none, or it is corrupted."""
        import pyarrow.parquet as pq

        try:
            path = next(self._files(key), None)
            if path is None:
                return None
            if not is_intact(path):
                _log.warning("%s: corrupted; computed again and replaced", path)
                path.unlink()
                return None
            metadata = json.loads(pq.read_schema(path).metadata[_METADATA])
            with contextlib.suppress(OSError):  # nothing is written where nothing can be
                os.utime(path)  # when it was last used
        except (OSError, ValueError, KeyError, TypeError):
            return None  # it is computed again, and then replaced
        return CacheEntry(path, metadata)

    def put(self, key: str, table: pa.Table, metadata: Mapping[str, Any]) -> None:
        """Store a table; a full or read-only disk is no reason to fail a finished run."""
        text = json.dumps(dict(metadata)).encode()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            schema = table.schema.with_metadata({_METADATA: text})
            write_checked_tables(self.folder / f"{key}.parquet", schema, [table])
            self._prune()
        except OSError as error:
            _say_once(self.folder, error.strerror or str(error))

    def _files(self, key: str) -> Iterator[Path]:
        return self.folder.glob(f"{key}{CHECKSUM}.parquet")

    def _prune(self) -> None:
        drop_partials(self.folder, _DAY_S)
        files = ((path.stat(), path) for path in self.folder.iterdir() if PARTIAL not in path.name)
        total = 0
        for state, path in sorted(files, key=lambda item: item[0].st_mtime, reverse=True):
            total += state.st_size
            if total > self.limit_bytes:
                path.unlink(missing_ok=True)
