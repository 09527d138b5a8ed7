"""Weights files in the user's cache: fetched, verified by their hash, and found again.

Nothing is used unverified where a hash is known, and nothing half-written is ever left under
the final name: a download that breaks off starts again from the beginning.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from hpbench.errors import UsageError, WeightsError
from hpbench.method import WeightsInfo
from hpbench.spec import suggest

__all__ = [
    "add_weights",
    "cache_folder",
    "cached_file",
    "check_file",
    "fetch_file",
    "fetch_weights",
    "find_named",
    "git_blob_of",
    "sha256_of",
]

STALL_S = 30.0
"""A server that sends nothing for so long is given up."""


def cache_folder() -> Path:
    """Folder where weights are kept: ``$HPBENCH_CACHE/weights``, or below the user's cache."""
    named = os.environ.get("HPBENCH_CACHE")
    if named:
        return Path(named).expanduser() / "weights"
    import pooch

    return Path(pooch.os_cache("hpbench")) / "weights"


def cached_file(name: str) -> Path | None:
    """A file of the cache by its name, or None where there is none."""
    path = cache_folder() / name
    return path if name and path.is_file() else None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file; read again only when its size or time has changed.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    try:
        state = path.stat()
        return _sha256(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, time_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_blob_of(path: Path) -> str:
    """Id that git gives to a file's content: SHA-1 of a header with the size, and the content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def check_file(path: Path, sha256: str | None, git_blob: str | None = None) -> None:
    """Compare a file with what pins its content.

    Raises
    ------
    WeightsError
        If the content is another; the message says both hashes.
    """
    if sha256 is not None and sha256_of(path) != sha256:
        raise WeightsError(
            f"{path}: altered or incomplete: its SHA-256 is {sha256_of(path)}, not {sha256}; "
            "remove it and fetch it again"
        )
    if git_blob is not None and git_blob_of(path) != git_blob:
        raise WeightsError(
            f"{path}: altered or incomplete: its git blob id is {git_blob_of(path)}, "
            f"not {git_blob}; remove it and fetch it again"
        )


def fetch_file(
    name: str,
    url: str,
    sha256: str | None,
    git_blob: str | None = None,
    *,
    progress: bool = False,
    stall_s: float = STALL_S,
) -> Path:
    """Fetch a file into the cache, unless it lies there already.

    Parameters
    ----------
    name : str
        Name in the cache.
    url : str
    sha256, git_blob : str or None
        What pins the content; at least one of them.
    progress : bool
        Draw a bar on the terminal.
    stall_s : float
        Seconds without a byte after which the server is given up.

    Returns
    -------
    Path
        The verified file.

    Raises
    ------
    WeightsError
        If it cannot be fetched, or its content is not the pinned one; then nothing is stored.
    """
    if sha256 is None and git_blob is None:
        raise WeightsError(f"{name}: no hash is known, so a download could not be verified")
    path = cache_folder() / name
    if path.is_file():
        check_file(path, sha256, git_blob)
        return path

    def download(temporary: Path) -> None:
        _download(url, temporary, name, progress, stall_s)
        try:
            check_file(temporary, sha256, git_blob)
        except WeightsError as error:
            reason = str(error).partition(": ")[2].partition(";")[0]
            raise WeightsError(f"{url}: {reason}; nothing was stored") from None

    _put(path, download)
    return path


def _download(url: str, target: Path, name: str, progress: bool, stall_s: float) -> None:
    import pooch
    import requests

    by_hand = f"or fetch it elsewhere and 'hpbench weights add {name} FILE'"
    get = pooch.HTTPDownloader(timeout=stall_s, progressbar=progress)
    try:
        get(url, str(target), None)
    except requests.exceptions.HTTPError as error:
        status = error.response.status_code if error.response is not None else "?"
        raise WeightsError(f"{url}: the server answers {status}; try later, {by_hand}") from error
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
        raise WeightsError(f"{url}: the download broke off; start it again, {by_hand}") from None
    except (requests.exceptions.Timeout, requests.exceptions.ConnectionError) as error:
        what = "sends nothing" if "timed out" in str(error).lower() else "cannot be reached"
        raise WeightsError(
            f"{url}: {what}; check the network and start it again, {by_hand}"
        ) from error
    except requests.exceptions.RequestException as error:
        line = str(error).splitlines()[0]
        raise WeightsError(f"{url}: cannot be fetched ({line}); try later, {by_hand}") from error


def _put(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under a temporary name and move it into place when it is whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise WeightsError(
            f"{path.parent}: cannot be written ({error.strerror}); name another folder with "
            "$HPBENCH_CACHE"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def find_named(name: str, known: dict[str, list[WeightsInfo]]) -> list[tuple[str, WeightsInfo]]:
    """Weights behind a name that the user typed.

    Parameters
    ----------
    name : str
        ``METHOD/NAME``, ``NAME`` where only one method has it, the name of the file, or
        ``METHOD`` for all files of a method.
    known : dict of str to list of WeightsInfo
        By method.

    Returns
    -------
    list of tuple
        Method and weights.

    Raises
    ------
    UsageError
        If the name is unknown or stands for weights of several methods.
    """
    matching = [
        (method, info)
        for method, infos in known.items()
        for info in infos
        if name in (info.name, info.file, f"{method}/{info.name}", method)
    ]
    if not matching:
        names = [f"{method}/{info.name}" for method, infos in known.items() for info in infos]
        raise UsageError(f"no weights '{name}'; {suggest(name, names)}")
    if len({method for method, _ in matching}) > 1:
        full = ", ".join(f"{method}/{info.name}" for method, info in matching)
        raise UsageError(f"'{name}' stands for several weights; write one of {full}")
    return matching


def fetch_weights(info: WeightsInfo, *, progress: bool = False, stall_s: float = STALL_S) -> Path:
    """Fetch weights that a method knows by name.

    Raises
    ------
    WeightsError
        If they can only be fetched by a person; the message says where and what then.
    """
    if info.path is not None:
        check_file(info.path, info.sha256, info.git_blob)
        return info.path
    if not info.url or (info.sha256 is None and info.git_blob is None):
        why = "only a browser can fetch them" if not info.url else "no hash of them is known"
        raise WeightsError(
            f"weights '{info.name}': {why}; get them from {info.url or info.source}, then "
            f"'hpbench weights add {info.name} FILE'"
        )
    return fetch_file(
        info.file, info.url, info.sha256, info.git_blob, progress=progress, stall_s=stall_s
    )


def add_weights(info: WeightsInfo, file: Path) -> Path:
    """Copy a file that the user has into the cache, under the name that the method looks for.

    Parameters
    ----------
    info : WeightsInfo
    file : Path

    Returns
    -------
    Path
        The stored file.

    Raises
    ------
    WeightsError
        If the file is missing, its content is not the pinned one, or these weights are not
        kept in the cache.
    """
    if not file.is_file():
        raise WeightsError(f"{file}: no such file")
    if not info.file:
        raise WeightsError(f"weights '{info.name}' are not kept in the cache: {info.source}")
    check_file(file, info.sha256, info.git_blob)
    path = cache_folder() / info.file
    _put(path, lambda temporary: _copy(file, temporary))
    return path


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise WeightsError(f"{source}: cannot be copied ({error.strerror})") from error
