"""What stored predictions depend on, as hashes: the code, the data, and the key over all of it.

Files of a data set count as unchanged while their sizes and times are; reading them all would take
as long as the run. Of code every source file is read, so that an edit in a checkout, in a plugin
or in a module that it uses is never missed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from hpbench.dataset import Dataset, Record
from hpbench.method import CONTRACT_VERSION, Method
from hpbench.plugin import Plugin
from hpbench.protocol import Protocol
from hpbench.storage.environment import versions

__all__ = [
    "code_digest",
    "file_state",
    "folder_digest",
    "hash_of",
    "index_key",
    "prediction_key",
    "records_digest",
]

_SOURCE_SUFFIXES = frozenset({".py", ".toml", ".csv", ".json"})


def index_key(
    dataset: Dataset, protocol: Protocol, detector: Plugin | None, limit: int | None, data: str
) -> str:
    """Key of the faces of a data set under a protocol.

    Parameters
    ----------
    dataset : Dataset
    protocol : Protocol
        Its settings and boxes, resolved.
    detector : Plugin or None
        The face detector, where the boxes are not the annotated ones.
    limit : int or None
    data : str
        Of :func:`folder_digest` or :func:`records_digest`.
    """
    code = [code_digest(type(plugin)) for plugin in (dataset, detector) if plugin is not None]
    return hash_of(dataset.name, code, protocol.hash, limit, data, CONTRACT_VERSION, versions())


def prediction_key(index: str, method: Method) -> str:
    """Key of a method's predictions for the faces under a key of :func:`index_key`."""
    device_class = method.device.partition(":")[0]
    return hash_of(
        index, method.name, method.fingerprint(), code_digest(type(method)), device_class
    )


def code_digest(cls: type) -> str:
    """Hash over all source files of hpbench, and of the packages that a plugin class comes from.

    Of a single plugin file these are all modules and packages that lie beside it.
    """
    modules = {parent.__module__ for parent in cls.__mro__ if issubclass(parent, Plugin)}
    packages = {name if _is_file(name) else name.partition(".")[0] for name in modules}
    return hash_of(*(_package_digest(name) for name in sorted(packages | {"hpbench"})))


def _is_file(module_name: str) -> bool:
    """Whether a module was imported from a file that the user named, and not from a package."""
    return module_name.startswith("hpbench_plugin_")


@cache
def _package_digest(name: str) -> str:
    digest = hashlib.sha256()
    if name == "hpbench":
        # not hpbench.__path__: in a checkout that also names the folder which all packages lie in
        plugins = _package_folders("hpbench.methods") + _package_folders("hpbench.datasets")
        files = _sources([Path(__file__).resolve().parents[1], *plugins])
    elif _is_file(name):
        files = _sources_beside(Path(str(sys.modules[name].__file__)).parent)
    else:
        file = getattr(sys.modules[name], "__file__", None)
        files = _sources(_package_folders(name)) or ([Path(file)] if file else [])
        for distribution in packages_distributions().get(name, ()):
            digest.update(f"{distribution} {version(distribution)}".encode())
    for path in files:
        digest.update(f"{path.name} ".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _package_folders(name: str) -> list[Path]:
    spec = importlib.util.find_spec(name)
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


def _sources(folders: Iterable[Path]) -> list[Path]:
    return [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix in _SOURCE_SUFFIXES and path.is_file()
    ]


def _sources_beside(folder: Path) -> list[Path]:
    """Modules in a folder and packages below it, but no other folders: it may be anyone's home."""
    packages = [path.parent for path in sorted(folder.glob("*/__init__.py"))]
    return [*sorted(folder.glob("*.py")), *_sources(packages)]


def folder_digest(root: Path) -> str:
    """Hash over path, size and time of every file below a folder, in whatever order they come."""
    total = 0
    for line in _files_below(root, "", set()):
        total += int.from_bytes(hashlib.sha256(line.encode(errors="surrogateescape")).digest())
    return f"{total % 2**256:064x}"


def _files_below(folder: Path | str, prefix: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    for entry in os.scandir(folder):
        try:
            state = entry.stat()
        except OSError:
            continue  # a link to nowhere
        if entry.is_dir():
            inode = (state.st_dev, state.st_ino)
            if inode not in seen:  # links may lead in circles
                seen.add(inode)
                yield from _files_below(entry.path, f"{prefix}{entry.name}/", seen)
        else:
            yield f"{prefix}{entry.name} {state.st_size} {state.st_mtime_ns}"


def records_digest(records: Iterable[Record]) -> str:
    """Hash over faces: all that is known of them, and the sizes and times of their images."""
    digest = hashlib.sha256()
    for record in records:
        label, camera = record.label, record.camera
        arrays = (
            record.box_xyxy,
            record.landmarks_xy,
            None if label is None else label.angles_deg,
            None if label is None else label.R_cam,
            None if camera is None else camera.matrix,
            None if camera is None else camera.distortion,
        )
        parts = [
            record.image_id, file_state(record.image_path), record.excluded, record.group,
            dict(record.factors), *(None if array is None else array.tolist() for array in arrays),
        ]  # fmt: skip
        digest.update(json.dumps(parts).encode())
    return digest.hexdigest()


def file_state(path: Path) -> Sequence[Any]:
    """Name, size and time of change of a file: while these are the same, it has not changed."""
    try:
        state = path.stat()
    except OSError:
        return [path.name, None]
    return [path.name, state.st_size, state.st_mtime_ns]


def hash_of(*parts: Any) -> str:
    """Hash over anything that JSON can hold."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:40]
