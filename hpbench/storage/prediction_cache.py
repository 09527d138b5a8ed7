"""Predictions of finished runs, kept in the user's cache and taken again when nothing has changed.

Everything that a prediction depends on is hashed into its key: fingerprint and code of the method,
settings, files and code of the data set, protocol, boxes, device class, and the versions of
all packages that can change a figure. Files of a data set count as unchanged while their
sizes and times are; reading them all would take as long as the run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpbench.dataset import Dataset, Record
from hpbench.method import CONTRACT_VERSION, Method
from hpbench.protocol import Protocol
from hpbench.storage.environment import versions
from hpbench.storage.join import ROWS_AT_ONCE, write_batches

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Kept",
    "PredictionCache",
    "code_digest",
    "content_digest",
    "faces_key",
    "file_state",
    "hash_of",
    "predictions_key",
    "records_digest",
    "store_folder",
    "timing_key",
]

LIMIT_BYTES = 2 * 2**30
"""Beyond this size the entries that were not used for longest are deleted."""

_ABOUT = b"hpbench"
_CORE = (
    "running.corruptions", "crops", "dataset", "face", "images", "method", "protocol",
    "detectors.base", "detectors.dlib", "detectors.yunet", "geometry.boxes", "inference.solving",
    "rotation", "running.local_engine", "running.worker_processes", "inference.runtimes",
    "inference.batching",
)  # fmt: skip
"""Modules of the core that a prediction passes through; a change to a report changes none."""

_CODE_SUFFIXES = frozenset({".py", ".toml", ".csv", ".json"})


@dataclass(frozen=True)
class Kept:
    """One entry of the store.

    Attributes
    ----------
    path : Path
    about : dict
        What was kept with it.
    """

    path: Path
    about: dict[str, Any]

    def tables(self) -> Iterator[pa.Table]:
        """Rows of the entry, some thousands at a time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                yield pa.Table.from_batches([batch]).replace_schema_metadata(None)

    def rows(self) -> list[dict[str, Any]]:
        """All rows, of a small entry."""
        return [row for table in self.tables() for row in table.to_pylist()]


class PredictionCache:
    """Tables by key, each in one Parquet file.

    Parameters
    ----------
    folder : Path, optional
        Default: :func:`store_folder`.
    limit_bytes : int
    """

    def __init__(self, folder: Path | None = None, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder if folder is not None else store_folder()
        self.limit_bytes = limit_bytes

    def find(self, key: str) -> Kept | None:
        """Entry of a key; None where there is none, or it is corrupted."""
        import pyarrow.parquet as pq

        path = self._path(key)
        if not path.is_file():
            return None
        try:
            about = json.loads(pq.read_schema(path).metadata[_ABOUT])
            os.utime(path)  # when it was last used
        except (OSError, ValueError, KeyError, TypeError):
            return None  # it is computed again, and then replaced
        return Kept(path, about)

    def keep(
        self, key: str, schema: pa.Schema, tables: Iterable[pa.Table], about: Mapping[str, Any]
    ) -> None:
        """Keep rows; a full or read-only disk is no reason to fail a finished run."""
        labelled = schema.with_metadata({_ABOUT: json.dumps(dict(about)).encode()})
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".writing")
            os.close(handle)
            try:
                write_batches(Path(name), labelled, tables)
                os.replace(name, self._path(key))  # noqa: PTH105 - atomic on one file system
            finally:
                Path(name).unlink(missing_ok=True)
                Path(name).with_name(f"{Path(name).name}.partial").unlink(missing_ok=True)
            self._prune()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.parquet"

    def _prune(self) -> None:
        entries = [(path.stat(), path) for path in self.folder.glob("*.parquet")]
        entries.sort(key=lambda entry: entry[0].st_mtime, reverse=True)
        total = 0
        for state, path in entries:
            total += state.st_size
            if total > self.limit_bytes:
                path.unlink(missing_ok=True)


def store_folder() -> Path:
    """``$HPBENCH_CACHE/predictions``, or below the user's cache."""
    named = os.environ.get("HPBENCH_CACHE")
    if named:
        return Path(named).expanduser() / "predictions"
    import pooch

    return Path(pooch.os_cache("hpbench")) / "predictions"


def content_digest(dataset: Dataset, records: Sequence[Record]) -> str:
    """Hash over the files of a data set, by their sizes and times.

    Parameters
    ----------
    dataset : Dataset
    records : sequence of Record
        Looked into only for a data set that is no folder.
    """
    root = dataset.root
    if root is not None and root.is_dir():
        return _folder_digest(root)
    return records_digest(records)


def faces_key(dataset: Dataset, protocol: Protocol, limit: int | None, content: str) -> str:
    """Key of the faces of a data set under a protocol: what was scored, and the boxes.

    Parameters
    ----------
    dataset : Dataset
    protocol : Protocol
        Its settings and boxes, resolved.
    limit : int or None
    content : str
        Of :func:`content_digest`.
    """
    return hash_of(
        "faces",
        dataset.name,
        code_digest(type(dataset)),
        protocol.hash,
        limit,
        content,
        CONTRACT_VERSION,
        versions(),
    )


def predictions_key(faces: str, method: Method) -> str:
    """Key of a method's predictions to the faces under a key of :func:`faces_key`."""
    device_class = method.device.partition(":")[0]
    return hash_of(
        "predictions",
        faces,
        method.name,
        method.fingerprint(),
        code_digest(type(method)),
        device_class,
    )


def timing_key(
    predictions: Sequence[str], settings: Mapping[str, Any], hardware: Mapping[str, Any]
) -> str:
    """Key of a timing pass: its methods are timed against each other, so they are one entry."""
    return hash_of("timing", list(predictions), dict(settings), dict(hardware), platform.node())


def code_digest(kind: type) -> str:
    """Hash over the sources of a plugin class: its folder, those of its bases, and the core."""
    modules = {parent.__module__ for parent in kind.__mro__} - {"builtins", "abc"}
    core = {f"hpbench.{name}" for name in _CORE}
    return hash_of(_core_digest(), *(_source_digest(module) for module in sorted(modules - core)))


@cache
def _core_digest() -> str:
    digest = hashlib.sha256()
    folder = Path(__file__).resolve().parents[1]
    for name in _CORE:
        digest.update(folder.joinpath(*name.split(".")).with_suffix(".py").read_bytes())
    return digest.hexdigest()


@cache
def _source_digest(module_name: str) -> str:
    module = sys.modules[module_name]
    file = getattr(module, "__file__", None)
    if file is None:
        return ""
    path = Path(file)
    files = sorted(path.parent.rglob("*")) if module.__package__ else [path]
    digest = hashlib.sha256()
    for source in files:
        if source.suffix in _CODE_SUFFIXES:
            digest.update(f"{source.relative_to(path.parent)}\n".encode())
            digest.update(source.read_bytes())
    return digest.hexdigest()


def _folder_digest(root: Path) -> str:
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
            place = (state.st_dev, state.st_ino)
            if place not in seen:  # links may lead in circles
                seen.add(place)
                yield from _files_below(entry.path, f"{prefix}{entry.name}/", seen)
        else:
            yield f"{prefix}{entry.name} {state.st_size} {state.st_mtime_ns}"


def records_digest(records: Sequence[Record]) -> str:
    """Hash over faces: all that is known of them, and the sizes and times of their images."""
    digest = hashlib.sha256()
    for record in records:
        label, camera = record.label, record.camera
        parts: list[Any] = [
            record.image_id,
            file_state(record.image_path),
            record.excluded,
            record.group,
            dict(record.factors),
            *(
                None if array is None else array.tolist()
                for array in (
                    record.box_xyxy,
                    record.landmarks_xy,
                    label.angles_deg if label else None,
                    label.R_cam if label else None,
                    camera.matrix if camera else None,
                    camera.distortion if camera else None,
                )
            ),
        ]
        digest.update(json.dumps(parts).encode())
    return digest.hexdigest()


def file_state(path: Path) -> list[Any]:
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
