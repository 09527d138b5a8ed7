"""Files that a method reads while it is loaded, so that its stored predictions end with them.

Which these are is seen by Python's audit hook: what Python code opens, also in libraries. Compiled
code opens files unseen: a method names those in its options or its fingerprint, or they lie beside
its code (:mod:`hpbench.storage.fingerprints`).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any

from hpbench.method import Method
from hpbench.plugin import Plugin
from hpbench.registry import load_method
from hpbench.storage.atomic import write_json
from hpbench.storage.fingerprints import (
    hash_of,
    hash_or_none,
    is_versioned_code,
    method_digest,
    plugin_digest,
    require_unedited,
)
from hpbench.storage.prediction_cache import PredictionCache

__all__ = ["detector_digest", "files_read", "known_files", "method_digests"]

_LIBRARIES = (".so",)
_CODE = (".py", ".pyc")
_SYSTEM = ("/proc/", "/sys/", "/dev/")

_open_now: list[set[str]] = []
_installed = False


def method_digests(methods: Mapping[str, Method]) -> tuple[dict[str, str], set[str]]:
    """Digests of methods by spec, and the methods that had to be loaded to see what they read."""
    loaded: set[str] = set()

    def load(name: str) -> None:
        load_method(methods[name])
        loaded.add(name)

    digests = {}
    for name, method in methods.items():
        digests[name] = method_digest(name, method)
        if not method.fingerprint_is_complete():
            files = known_files(digests[name], type(method).__module__, partial(load, name))
            digests[name] = method_digest(name, method, files)
    return digests, loaded


def detector_digest(detector: Plugin, load: Callable[[], None]) -> str:
    """Hash over all that decides the boxes of a face detector, which `load` loads."""
    digest = plugin_digest(detector)
    if detector.fingerprint_is_complete():
        return digest
    files = known_files(digest, type(detector).__module__, load)
    return hash_of(digest, _states(map(str, files)))


_read_by: dict[str, set[str]] = {}
"""Files that plugins of a module read in this process: a second one imports no module again."""


def known_files(key: str, module: str, load: Callable[[], None]) -> list[Path]:
    """Files that `load` reads: as known of a key from an earlier time, or by calling it.

    Parameters
    ----------
    key : str
        Hash over all that is known of what is loaded.
    module : str
        That of the plugin, which may keep what it has read for the next that is loaded.
    load : callable
        Called where the key is new, or one of the files has changed: it may name others now.

    Raises
    ------
    HpbenchError
        If code that was read was edited since.
    """
    read = _read_by.setdefault(module, set())
    require_unedited(map(Path, read))
    path = PredictionCache().folder / f"{key}.loaded.json"  # the oldest files there make room
    with suppress(OSError, ValueError, TypeError, AttributeError):
        known = json.loads(path.read_bytes())
        if known == _states(known.keys()):
            read |= known.keys()
            return [Path(name) for name in known]
    with files_read() as found:
        load()
    require_unedited(map(Path, found))  # which notes what the code among them is now
    read |= found
    with suppress(OSError):  # a cache that cannot be written is none
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, _states(read))
    return [Path(name) for name in sorted(read)]


def _states(names: Iterable[str]) -> dict[str, str | None]:
    """Hashes of the contents of files, None where there is none any more."""
    return {name: hash_or_none(Path(name)) for name in sorted(names)}


@contextmanager
def files_read() -> Iterator[set[str]]:
    """Paths that Python code of this process opens to read, installed code left out."""
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
    if name.endswith(_LIBRARIES) or name.startswith(_SYSTEM):
        return
    if name.endswith(_CODE):
        if is_versioned_code(name):
            return
        name = _source_of(name)
    for found in _open_now:
        found.add(name)


def _source_of(name: str) -> str:
    """Source file of a compiled module; other files are their own."""
    try:
        return source_from_cache(name)
    except (ValueError, NotImplementedError):
        return name
