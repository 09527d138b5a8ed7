"""Paths that a user writes, and where hpbench keeps what it can fetch or compute again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpbench.errors import UsageError

__all__ = ["cache_folder", "file_named", "file_state", "is_file", "user_path"]


def user_path(path: str | Path) -> Path:
    """A path of the user, with the home folder that ``~`` or ``~name`` stands for.

    Raises
    ------
    UsageError
        If there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        home = Path(path).parts[0]
        raise UsageError(f"{path}: there is no home folder '{home}'; write it out") from error


def is_file(path: Path) -> bool:
    """Whether there is such a file; False too for a text that no path can be, or is too long."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def file_named(text: str | Path) -> Path | None:
    """The file that a text names, with ``~`` as the home folder; None where there is none."""
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # no such user
        return None
    return path if is_file(path) else None


def file_state(path: Path) -> Sequence[Any]:
    """Name, size and time of change of a file: while these are the same, it has not changed."""
    try:
        state = path.stat()
    except OSError:
        return [path.name, None]
    return [path.name, state.st_size, state.st_mtime_ns]


def cache_folder(name: str) -> Path:
    """A folder below ``$HPBENCH_CACHE``, or else below the user's cache of the system."""
    named = os.environ.get("HPBENCH_CACHE")
    if named:
        return user_path(named) / name
    import platformdirs

    return platformdirs.user_cache_path("hpbench") / name
