"""Paths that a user writes."""

from __future__ import annotations

from pathlib import Path

from hpbench.errors import UsageError

__all__ = ["user_path"]


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
