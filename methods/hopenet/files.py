"""Hashes of weights files."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from hpbench.errors import WeightsError

__all__ = ["sha256_of"]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file; read again only when its size or time has changed.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    try:
        state = path.stat()
        return _sha256(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error


@lru_cache(maxsize=32)
def _sha256(path: Path, size: int, time_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
