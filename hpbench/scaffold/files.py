"""Templates of what is generated, and writing it."""

from __future__ import annotations

from pathlib import Path

from hpbench.errors import UsageError
from hpbench.storage.atomic import write_text

__all__ = ["exists", "template", "write"]


def template(folder: str, name: str) -> str:
    """Text of a template."""
    path = Path(__file__).parent / folder / f"{name}.template"
    return path.read_text(encoding="utf-8")


def exists(path: Path) -> bool:
    """Whether something of this name is there; UsageError where one cannot look."""
    try:
        return path.exists()
    except OSError as error:  # a file where a folder should be, or no permission to look
        raise UsageError(f"{path}: {error.strerror}; choose another --folder") from error


def write(path: Path, text: str) -> Path:
    """Write a file and the folders above it; UsageError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except (OSError, UnicodeEncodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is no UTF-8"
        raise UsageError(
            f"{path}: cannot be written ({reason}); choose another --folder"
        ) from error
    return path
