"""Files that a method reads while it is loaded, so that its stored predictions end with them.

Which these are is seen by Python's audit hook: what Python code opens, also in libraries. Compiled
code opens files unseen: a method names those in its options or its fingerprint, or they lie beside
its code (:mod:`hpbench.storage.fingerprints`).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hpbench.storage.atomic import write_json
from hpbench.storage.prediction_cache import PredictionCache

__all__ = ["files_read", "known_files"]

_CODE = (".py", ".pyc", ".pyi", ".so", ".pth")
_SYSTEM = ("/proc/", "/sys/", "/dev/")

_open_now: list[set[str]] = []
_installed = False


def known_files(key: str, load: Callable[[], None]) -> list[Path]:
    """Files that `load` reads: as known of a key from an earlier time, or by calling it.

    Parameters
    ----------
    key : str
        Hash over all that is known of what is loaded.
    load : callable
        Called only where the key is new.
    """
    path = PredictionCache().folder / f"{key}.loaded.json"  # the oldest files there make room
    with suppress(OSError, ValueError, TypeError):
        return [Path(name) for name in json.loads(path.read_bytes())]
    with files_read() as found:
        load()
    names = sorted(found)
    with suppress(OSError):  # a cache that cannot be written is none
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, names)
    return [Path(name) for name in names]


@contextmanager
def files_read() -> Iterator[set[str]]:
    """Paths that Python code of this process opens to read, code left out."""
    global _installed
    if not _installed:
        sys.addaudithook(_note)  # there is no way to take it away again
        _installed = True
    found: set[str] = set()
    _open_now.append(found)
    try:
        yield found
    finally:
        _open_now.remove(found)


def _note(event: str, arguments: Sequence[Any]) -> None:
    if event != "open" or not _open_now:
        return
    path, mode, flags = arguments
    if isinstance(path, int) or (mode and set(mode) & set("wax+")):
        return
    if not mode and flags & (os.O_WRONLY | os.O_RDWR | os.O_DIRECTORY):
        return
    name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - a hook must not open anything itself
    if not name.endswith(_CODE) and not name.startswith(_SYSTEM):
        for found in _open_now:
            found.add(name)
