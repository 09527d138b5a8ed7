"""Figures that wait to be drawn, and those that an earlier report has drawn from the same numbers.

Drawing is most of the work of a report, and importing what draws comes next. A figure depends
on its arguments, on the code of the report and on the drawing library alone; it is kept in the
user's cache under a hash of these, and copied when the hash is met again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from hpbench.storage.prediction_cache import store_folder

__all__ = ["Drawing", "keep", "kept"]

LIMIT_BYTES = 256 * 2**20
"""Beyond this size the figures that were not used for longest are deleted."""

_LIBRARIES = ("matplotlib", "numpy", "plotly")


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure that is drawn, and its library imported, when it is called.

    Attributes
    ----------
    module, function : str
        Where the drawing function is.
    arguments : tuple
        Arrays, dataclasses, models, and whatever JSON can hold.
    """

    module: str
    function: str
    arguments: tuple[Any, ...]

    def __call__(self) -> Any:
        """Draw it."""
        return getattr(import_module(self.module), self.function)(*self.arguments)

    def key(self) -> str:
        """Hash over all that the figure depends on."""
        digest = hashlib.sha256(f"{_code_digest()} {self.module} {self.function}".encode())
        for argument in self.arguments:
            _feed(digest.update, argument)
        return digest.hexdigest()[:40]


def kept(key: str, suffix: str) -> bytes | None:
    """A figure that was kept under a key of :meth:`Drawing.key`; None where there is none."""
    path = _path(key, suffix)
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        os.utime(path)  # when it was last used
        return content
    return None


def keep(key: str, suffix: str, content: bytes) -> None:
    """Keep a figure; a full or read-only disk is no reason to fail."""
    path = _path(key, suffix)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        partial.write_bytes(content)
        os.replace(partial, path)  # noqa: PTH105 - atomic on one file system
        _prune(path.parent)


def _path(key: str, suffix: str) -> Path:
    return store_folder().with_name("figures") / f"{key}{suffix}"


def _prune(folder: Path) -> None:
    entries = [(path.stat(), path) for path in folder.iterdir()]
    entries.sort(key=lambda entry: entry[0].st_mtime, reverse=True)
    total = 0
    for state, path in entries:
        total += state.st_size
        if total > LIMIT_BYTES:
            path.unlink(missing_ok=True)


def _feed(update: Callable[[bytes], None], value: Any) -> None:
    """Hash a value with its type and shape, so that different values are different bytes."""
    update(f"{type(value).__name__}(".encode())
    if isinstance(value, np.ndarray) and value.dtype != object:
        update(f"{value.dtype}{value.shape}".encode())
        update(value.tobytes())
    elif isinstance(value, np.ndarray):
        update(json.dumps(value.tolist()).encode())
    elif isinstance(value, BaseModel):
        update(value.model_dump_json().encode())
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            _feed(update, getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _feed(update, key)
            _feed(update, item)
    elif isinstance(value, list | tuple):
        for item in value:
            _feed(update, item)
    else:
        update(repr(value).encode())
    update(b")")


@cache
def _code_digest() -> str:
    """Hash over the sources that figures come from, and the versions of what draws them."""
    modules = (__name__, "hpbench.scoring.results", "hpbench.rotation")
    digest = hashlib.sha256(" ".join(version(name) for name in _LIBRARIES).encode())
    for module in modules:
        folder = Path(import_module(module).__file__ or "").resolve().parent
        for source in sorted(folder.glob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()
