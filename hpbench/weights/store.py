"""Weights files in the user's cache: fetched, verified by their hash, and found again.

A download is verified before it gets its final name, so nothing half-written is ever used. What
has arrived of one that breaks off, or is killed, is kept as ``FILE.part``, and the next try goes
on from there.
Beside each file lies ``FILE.sha256`` (as ``sha256sum -c`` reads it) with the hash that it had
when it was stored.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from hpbench.errors import UsageError, WeightsError, write_errors
from hpbench.method import WeightsInfo
from hpbench.paths import cache_folder
from hpbench.spec import suggest
from hpbench.storage.atomic import atomic_path, publish, sha256_of_file, write_text
from hpbench.weights.downloads import ADD_COMMAND, DownloadLimits, ask_git_blob, fetch_rest

__all__ = [
    "add_weights",
    "cached_file",
    "check_file",
    "check_weights",
    "fetch_file",
    "fetch_weights",
    "find_named",
    "git_blob_of",
    "sha256_of",
]

_LIMITS = DownloadLimits()
_OTHER_FOLDER = "name another folder with $HPBENCH_CACHE"


def cached_file(name: str) -> Path | None:
    """A file of the cache by its name, or None where there is none."""
    path = cache_folder("weights") / name
    return path if name and path.is_file() else None


# ---- hashes ------------------------------------------------------------------------------------


def sha256_of(path: Path) -> str:
    """SHA-256 of a file; read again only when its size or time has changed."""
    try:
        state = path.stat()
        return _sha256(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, time_ns: int) -> str:
    return sha256_of_file(path)


def git_blob_of(path: Path) -> str:
    """Id that git gives to a file's content: SHA-1 of a header with the size, and the content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def check_file(path: Path, sha256: str | None, git_blob: str | None = None) -> None:
    """Raise WeightsError if a file's content is not the pinned one; the message has both hashes."""
    wrong = _difference(path, sha256, git_blob)
    if wrong:
        raise WeightsError(f"{path}: {wrong}; remove it and fetch it again")


def _difference(path: Path, sha256: str | None, git_blob: str | None) -> str | None:
    """How a file differs from what pins its content, or None."""
    if sha256 is not None and sha256_of(path) != sha256:
        return f"altered or incomplete: its SHA-256 is {sha256_of(path)}, not {sha256}"
    if git_blob is not None and git_blob_of(path) != git_blob:
        return f"altered or incomplete: its git blob id is {git_blob_of(path)}, not {git_blob}"
    return None


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def check_weights(info: WeightsInfo) -> Literal["missing", "verified", "unchanged", "unpinned"]:
    """State of weights on this machine; WeightsError if the content is not the pinned one.

    ``verified`` against a published hash; ``unchanged`` since they were stored (no hash is
    published); ``unpinned``: nothing to compare with.
    """
    if info.path is None:
        return "missing"
    check_file(info.path, info.sha256, info.git_blob)
    if info.sha256 is not None or info.git_blob is not None:
        return "verified"
    record = _record_of(info.path)
    if not record.is_file():
        return "unpinned"
    stored = record.read_text(encoding="utf-8", errors="replace").partition(" ")[0].lower()
    if not re.fullmatch("[0-9a-f]{64}", stored):
        raise WeightsError(f"{record}: holds no SHA-256; add the weights file again")
    check_file(info.path, stored)
    return "unchanged"


# ---- names -------------------------------------------------------------------------------------


def find_named(
    name: str, known: Mapping[str, Sequence[WeightsInfo]]
) -> list[tuple[str, WeightsInfo]]:
    """Methods and weights behind a name that the user typed.

    It is ``METHOD/NAME``, ``NAME`` where only one method has it, the name of the file, or
    ``METHOD`` for all files of a method.

    Raises
    ------
    UsageError
        If the name is unknown or stands for weights of several methods.
    """
    all_known = [(method, info) for method, infos in known.items() for info in infos]
    if known.get(name):
        return [(method, info) for method, info in all_known if method == name]
    matching = [
        (method, info)
        for method, info in all_known
        if name in (info.name, info.file, f"{method}/{info.name}")
    ]
    if not matching:
        names = [f"{method}/{info.name}" for method, info in all_known]
        raise UsageError(f"no weights '{name}'; {suggest(name, names)}")
    if len(matching) > 1:
        full = ", ".join(f"{method}/{info.name}" for method, info in matching)
        raise UsageError(f"'{name}': ambiguous; choose {full}")
    return matching


# ---- fetching and adding -----------------------------------------------------------------------


def fetch_weights(info: WeightsInfo, limits: DownloadLimits = _LIMITS) -> Path:
    """Fetch weights that a method knows by name, unless they are here; return the verified file.

    Raises
    ------
    WeightsError
        If they cannot be fetched (the message says what to do by hand), or their content is not
        the pinned one; then nothing is stored.
    """
    if info.path is not None:
        check_weights(info)
        return info.path
    if not info.can_be_fetched:
        why = "no hash of the file is known" if info.url else "the file has to be fetched by hand"
        raise WeightsError(f"weights '{info.name}': {why}; {info.by_hand}")
    git_blob = info.git_blob
    if info.sha256 is None and git_blob is None:
        git_blob = ask_git_blob(info.git_blob_url, limits, _add_it(info.file))
    if info.size_bytes is not None:
        limits = replace(limits, max_bytes=info.size_bytes)
    return fetch_file(info.file, info.url, info.sha256, git_blob, limits=limits)


def fetch_file(
    name: str,
    url: str,
    sha256: str | None,
    git_blob: str | None = None,
    *,
    by_hand: str = "",
    limits: DownloadLimits = _LIMITS,
) -> Path:
    """Fetch a file into the cache under a name, unless it lies there already.

    At least one of the hashes pins the content. `by_hand` says what to do with a file that was
    fetched elsewhere; the default names ``weights add``. Errors are those of `fetch_weights`.
    """
    if sha256 is None and git_blob is None:
        raise WeightsError(f"{name}: no hash is known, so a download could not be verified")
    path = cache_folder("weights") / name
    if path.is_file():
        check_file(path, sha256, git_blob)
        return path

    part = path.with_name(f"{name}.part")
    with write_errors(path.parent, _OTHER_FOLDER, WeightsError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(part):
            if not path.is_file():  # else another process has fetched it meanwhile
                then = by_hand or _add_it(name)
                _download(url, part, sha256, git_blob, limits, then)
                record = f"{sha256_of(part)}  {name}\n"
                publish(part, path)
                write_text(_record_of(path), record)
                return path
    check_file(path, sha256, git_blob)
    return path


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Wait until no other process writes a file, and keep it; an empty one is removed at the end.

    The kernel lets go of it when a process ends, however it ends: what has arrived stays.
    """
    while True:
        with part.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(part, file.fileno()):
                continue  # whoever had it is done with it
            try:
                yield
            finally:
                if not os.fstat(file.fileno()).st_size:
                    part.unlink()
            return


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _download(
    url: str,
    part: Path,
    sha256: str | None,
    git_blob: str | None,
    limits: DownloadLimits,
    by_hand: str,
) -> None:
    """Fetch what a file lacks, and empty it unless it is then the right one."""
    resumed = part.stat().st_size > 0
    fetch_rest(url, part, limits, by_hand)
    wrong = _difference(part, sha256, git_blob)
    if not wrong:
        return
    os.truncate(part, 0)
    if resumed:  # the start was of another file, or corrupted
        _download(url, part, sha256, git_blob, limits, by_hand)
    else:
        raise WeightsError(
            f"{url}: {wrong}; nothing was stored; try again, or fetch it elsewhere and {by_hand}"
        )


def _add_it(name: str) -> str:
    return f"'{ADD_COMMAND} {name} FILE'"


def add_weights(
    info: WeightsInfo, file: Path, validate: Callable[[Path], None] | None = None
) -> Path:
    """Copy a file that the user has into the cache, under the name that the method looks for.

    `validate` reads the file and raises unless it can be these weights.

    Raises
    ------
    WeightsError
        If the file is missing, its content is not the pinned one, or these weights are not
        kept in the cache.
    """
    if not file.is_file():
        raise WeightsError(f"{file}: {'is a folder' if file.is_dir() else 'no such file'}")
    if not info.file:
        raise WeightsError(f"weights '{info.name}': not kept in the cache; {info.source}")
    wrong = _difference(file, info.sha256, info.git_blob)
    if wrong:
        raise WeightsError(f"{file}: not the weights '{info.name}', or {wrong}")
    if validate is not None:
        validate(file)

    path = cache_folder("weights") / info.file
    with write_errors(path.parent, _OTHER_FOLDER, WeightsError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            try:
                shutil.copyfile(file, temporary)
            except OSError as error:
                raise WeightsError(f"{file}: cannot be copied ({error.strerror})") from error
            record = f"{sha256_of(temporary)}  {path.name}\n"
        write_text(_record_of(path), record)
    return path
