"""What stored predictions depend on, as hashes: the code, the data, and the key over all of it.

Files of a data set count as unchanged while their sizes and times are; reading them all would take
as long as the run, and is done with ``--verify-data``. Of code every source file is read, so that
an edit in a checkout, in a plugin or in a module that it uses is never missed.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from importlib.metadata import distributions, packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from hpbench.dataset import Dataset, Record
from hpbench.errors import HpbenchError, plugin_errors
from hpbench.method import CONTRACT_VERSION, Method
from hpbench.paths import file_named, file_state, is_file
from hpbench.plugin import Plugin
from hpbench.protocol import Protocol
from hpbench.registry import imported_by_plugin_files, plugin_modules
from hpbench.storage.atomic import sha256_of_file
from hpbench.storage.environment import versions

__all__ = [
    "code_digest",
    "content_hash",
    "files_digest",
    "folder_digest",
    "hash_of",
    "hash_or_none",
    "index_key",
    "is_versioned_code",
    "method_digest",
    "plugin_digest",
    "prediction_key",
    "records_digest",
    "require_unedited",
]

_SOURCE_SUFFIXES = frozenset({".py", ".toml", ".csv", ".json"})
_OPENED_BY_COMPILED_CODE = frozenset(
    {
        ".onnx", ".data", ".safetensors", ".bin", ".xml", ".tflite", ".pt", ".pth", ".pt2", ".ts",
        ".torchscript", ".h5", ".dat",
    }
)  # fmt: skip
"""Beside a plugin file; of what Python code opens :mod:`hpbench.storage.loaded_files` knows."""


def index_key(
    dataset: Dataset, protocol: Protocol, detector: str, limit: int | None, data: str
) -> str:
    """Key of the faces of a data set under a protocol.

    Parameters
    ----------
    dataset : Dataset
    protocol : Protocol
        Its settings and boxes, resolved.
    detector : str
        Of :func:`hpbench.storage.loaded_files.detector_digest`; empty where boxes are annotated.
    limit : int or None
    data : str
        Of :func:`folder_digest` or :func:`records_digest`.
    """
    code = [plugin_digest(dataset), detector]
    return hash_of(dataset.name, code, protocol.hash, limit, data, CONTRACT_VERSION, versions())


def method_digest(spec: str, method: Method, loaded_files: Iterable[Path] = ()) -> str:
    """Hash over all that decides the predictions of a method, but for the device.

    Parameters
    ----------
    spec : str
        Canonical; in the hash because the stored card is that of the method as it was named.
    method : Method
        It need not be loaded.
    loaded_files : iterable of Path
        What it reads while it is loaded (:mod:`hpbench.storage.loaded_files`).
    """
    files = [[str(path), hash_or_none(path)] for path in loaded_files]
    with plugin_errors(f"method '{spec}': its fingerprint() fails"):
        fingerprint = method.fingerprint()
    return hash_of(spec, method.name, fingerprint, plugin_digest(method), files)


def prediction_key(index: str, digest: str, device: str) -> str:
    """Key of the predictions of the method with a digest for the faces under an index key."""
    return hash_of(index, digest, device.partition(":")[0])


def plugin_digest(plugin: Plugin) -> str:
    """Hash over the code of a plugin, of the plugins that it holds, and the files of its options.

    ``pnp[landmarks=...]`` holds a landmark detector, which may be of another package, and
    ``ensemble`` several methods.
    """
    parts = [plugin_digest(part) for value in vars(plugin).values() for part in _plugins_in(value)]
    values = plugin.options.model_dump().values()
    named = [Path(value) for value in values if isinstance(value, str | Path)]
    files = [found for path in named if (found := hash_or_none(path)) is not None]
    return hash_of(code_digest(type(plugin)), files, parts)


def _plugins_in(value: object) -> list[Plugin]:
    """A plugin, or those in a list or a mapping."""
    if isinstance(value, dict):
        value = list(value.values())
    some = value if isinstance(value, list | tuple) else [value]
    return [part for part in some if isinstance(part, Plugin)]


def hash_or_none(path: Path) -> str | None:
    """Hash of the content of a file, or None where there is none."""
    file = file_named(path)
    return None if file is None else content_hash(file)


def content_hash(path: Path) -> str:
    """SHA-256 of a file, for an ONNX network with that of the files that hold its weights.

    It is read again only when its size or time has changed.
    """
    state = path.stat()
    sha256, beside = _content_hash(path, state.st_size, state.st_mtime_ns)
    return " ".join([sha256, *(str(hash_or_none(other)) for other in beside)])


@lru_cache(maxsize=64)
def _content_hash(path: Path, size: int, time_ns: int) -> tuple[str, tuple[Path, ...]]:
    beside = _external_data(path) if path.suffix.lower() == ".onnx" else ()
    return sha256_of_file(path), tuple(beside)


_LOCATION = b"\n\x08location\x12"
"""Protocol buffer of ``StringStringEntryProto(key="location", value=...)``, up to the value."""


def _external_data(path: Path) -> list[Path]:
    """Files that an ONNX network names as the places of its weights."""
    content = path.read_bytes()
    names = set()
    for found in re.finditer(re.escape(_LOCATION), content):
        length = content[found.end()] if found.end() < len(content) else 0
        start = found.end() + 1
        if length & 0x80:  # a second byte of the length
            length = (length & 0x7F) | content[start] << 7
            start += 1
        names.add(content[start : start + length].decode(errors="replace"))
    return [path.parent / name for name in sorted(names) if "\0" not in name]


def code_digest(cls: type) -> str:
    """Hash over all source files of hpbench, and of the packages that a plugin class comes from.

    Of a single plugin file these are all modules and packages that lie beside it, and what was
    imported with it from elsewhere; of a package all that were installed with it. What others may
    import counts by its version.
    """
    parents = [parent for parent in cls.__mro__ if issubclass(parent, Plugin)]
    of_files = [parent for parent in parents if _is_plugin_file(parent.__module__)]
    packages = {parent.__module__.partition(".")[0] for parent in parents if parent not in of_files}
    packages -= {"hpbench"}
    others = [_installed()] if of_files or packages else []
    digests = [_own_digest(), *map(_package_digest, sorted(packages))]
    return hash_of(*digests, *map(_plugin_file_digest, of_files), *others)


def _is_plugin_file(module_name: str) -> bool:
    """Whether a module was imported from a file that the user named, and not from a package."""
    return module_name.startswith("hpbench_plugin_")


@cache
def _installed() -> list[str]:
    """All installed packages with their versions."""
    return sorted({f"{one.name} {one.version}" for one in distributions()})


@cache
def _own_digest() -> str:
    # not hpbench.__path__: in a checkout that also names the folder which all packages lie in
    plugins = _package_folders("hpbench.methods") + _package_folders("hpbench.datasets")
    return _files_digest(_sources([Path(__file__).resolve().parents[1], *plugins]))


def _package_digest(name: str) -> str:
    files = [path for package in _installed_with(name) for path in _package_files(package)]
    require_unedited(files)
    return _files_digest(files)


_imported_code: dict[Path, tuple[Sequence[Any], str | None]] = {}
"""State and content of files with code of imported modules when this process first looked."""


def require_unedited(files: Iterable[Path]) -> None:
    """Refuse files of imported modules that were edited since.

    That is since their import with a plugin file, or else since this process first looked at them.
    What runs, or a part of it, is not what would be hashed, even where a notebook reloads modules.

    Raises
    ------
    HpbenchError
    """
    imported = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    noted = imported_by_plugin_files()
    for path in files:
        state = file_state(path)
        if path in noted:
            first: tuple[Sequence[Any], str | None] = noted[path], None
        elif str(path) in imported:
            if path not in _imported_code:
                _imported_code[path] = state, hash_or_none(path)
            first = _imported_code[path]
        else:
            continue
        if state != first[0] and hash_or_none(path) != first[1]:  # or it was saved again
            raise _edited(path)


def _edited(path: Path) -> HpbenchError:
    return HpbenchError(
        f"{path}: was edited since it was imported; restart Python (in a notebook, the kernel)"
    )


def _plugin_file_digest(cls: type) -> str:
    """Of the plugin file of a class, what lies beside it, and what plugin files have imported.

    Raises
    ------
    HpbenchError
        If code was edited since it was imported: what runs is not what would be hashed.
    """
    file = Path(str(sys.modules[cls.__module__].__file__))
    imported = plugin_modules()[file]
    if cls not in vars(imported.module).values() or hash_or_none(file) != imported.sha256:
        raise _edited(file)
    own = {
        path
        for path in imported_by_plugin_files()
        if not is_versioned_code(str(path)) and path.is_file()  # it may be gone since
    }
    behind = _modules_behind(imported.module)
    require_unedited(sorted(own | behind - {file}))
    return _files_digest(sorted({*_files_beside(file.parent), *own, *behind}))


def _modules_behind(module: ModuleType) -> set[Path]:
    """Files of the modules that a plugin file imports, and of those that these import.

    Only what this process has imported, which a script may have done before the plugin file.
    """
    found: set[Path] = set()
    remaining = [module]
    while remaining:
        for name in _imported_names(remaining.pop()):
            other = sys.modules.get(name)
            file = getattr(other, "__file__", None)
            if other is None or not file or is_versioned_code(file) or Path(file) in found:
                continue
            if is_file(Path(file)):  # else it lies in an archive
                found.add(Path(file))
                remaining.append(other)
    return found


def _imported_names(module: ModuleType) -> set[str]:
    """Names of modules, packages that hold them included, in the import statements of a module."""
    try:
        tree = ast.parse(Path(str(module.__file__)).read_bytes())
    except (OSError, SyntaxError, ValueError):  # compiled, or it is gone since
        return set()
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = (module.__package__ or "").split(".")
                base = ".".join([*package[: len(package) + 1 - node.level], *base.split()])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return {name.rsplit(".", cut)[0] for name in names for cut in range(name.count(".") + 1)}


def _files_digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name} ".encode(errors="surrogateescape"))
        if path.suffix in _SOURCE_SUFFIXES:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        else:
            digest.update(f"{file_state(path)}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def is_versioned_code(file: str) -> bool:
    """Whether a file is hpbench's own, or of Python or an installed package with its version."""
    return file.startswith(_versioned_folders())


@cache
def _versioned_folders() -> tuple[str, ...]:
    """Folders of hpbench, the standard library and installed packages, each with its slash."""
    own = [Path(__file__).resolve().parents[1]]
    own += [path for name in ("methods", "datasets", "reports")
            for path in _package_folders(f"hpbench.{name}")]  # fmt: skip
    python = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    folders = (*own, *python, *site.getsitepackages(), *user)
    return tuple(f"{folder}{os.sep}" for folder in folders)


@cache
def _installed_with(name: str) -> list[str]:
    """A top-level package and those that the same distribution installs."""
    known = packages_distributions()
    owners = set(known.get(name, ()))
    return sorted({name, *(other for other, by in known.items() if owners & set(by))})


def _package_files(name: str) -> list[Path]:
    """Files of a package, or of a module that is one file."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # what a broken installation lists
        return []
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    if folders:
        return _files_of(folders)
    return [Path(spec.origin)] if spec and spec.has_location and spec.origin else []


def _package_folders(name: str) -> list[Path]:
    spec = importlib.util.find_spec(name)
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


def _files_of(folders: Iterable[Path]) -> list[Path]:
    return [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix != ".pyc" and path.is_file()
    ]


def _sources(folders: Iterable[Path]) -> list[Path]:
    return [path for path in _files_of(folders) if path.suffix in _SOURCE_SUFFIXES]


def _files_beside(folder: Path) -> list[Path]:
    """Modules and networks in a folder, and packages below it, but no other folders.

    It may be anyone's home.
    """
    packages = [path.parent for path in sorted(folder.glob("*/__init__.py"))]
    suffixes = _OPENED_BY_COMPILED_CODE | {".py"}
    beside = [path for path in sorted(folder.iterdir()) if path.suffix in suffixes]
    return [*(path for path in beside if path.is_file()), *_files_of(packages)]


def folder_digest(root: Path, contents: bool = False) -> str:
    """Hash over path, size and time of every file below a folder, in whatever order they come.

    With `contents` also over what is in the files.
    """
    total = 0
    top = os.path.realpath(root)
    for line in _files_below(top, top, {top}, contents):
        total += int.from_bytes(hashlib.sha256(line.encode(errors="surrogateescape")).digest())
    return f"{total % 2**256:064x}"


def _files_below(folder: str, top: str, seen: set[str], contents: bool) -> Iterator[str]:
    """A line for each file, and for each link to a folder; each folder once, where it really is."""
    place = os.path.relpath(folder, top)
    for entry in os.scandir(folder):
        try:
            state = entry.stat()
        except OSError:
            continue  # a link to nowhere
        if entry.is_dir():
            real = os.path.realpath(entry.path)
            if entry.is_symlink():
                yield f"{place}/{entry.name} -> {os.path.relpath(real, top)}"
            if real not in seen:  # links may lead in circles
                seen.add(real)
                yield from _files_below(real, top, seen, contents)
        else:
            known = f"{place}/{entry.name} {state.st_size} {state.st_mtime_ns}"
            yield f"{known} {_content_of(Path(entry.path))}" if contents else known


def _content_of(path: Path) -> str | None:
    """SHA-256 of a regular file; None for others, and where it cannot be read."""
    try:
        return sha256_of_file(path) if path.is_file() else None
    except OSError:
        return None


def files_digest(paths: Iterable[Path], contents: bool = False) -> str:
    """Hash over names, sizes and times of files; with `contents` also over what is in them."""
    return hash_of([_described(path, contents) for path in paths])


def _described(path: Path, contents: bool) -> list[Any]:
    """State of a file, and where it is wanted the hash of what is in it."""
    return [*file_state(path), contents and _content_of(path)]


def records_digest(records: Iterable[Record], contents: bool = False) -> str:
    """Hash over faces: all that is known of them, and the sizes and times of their images.

    With `contents` also over what is in the images.
    """
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
        image = _described(record.image_path, contents)
        parts = [
            record.image_id, image, record.excluded, record.group,
            dict(record.factors), *(None if array is None else array.tolist() for array in arrays),
        ]  # fmt: skip
        digest.update(json.dumps(parts).encode())
    return digest.hexdigest()


def hash_of(*parts: Any) -> str:
    """Hash over anything that JSON can hold."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:40]
