"""One writer per run folder, or file."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from hpbench.errors import DataError, write_errors
from hpbench.storage.atomic import drop_partials

__all__ = ["LOCK", "file_lock", "folder_lock"]

LOCK = ".lock"
"""Name of the file; the kernel lets go of it when the process ends, however it ends."""


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder, which is made where there is none.

    The lock of a run that was killed is taken over, and named in the log; half-written files that
    it has left are deleted.

    Raises
    ------
    DataError
        If a run is under way in it, with its process, host and start time; or if the folder cannot
        be written.
    """
    created = not folder.exists()
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with file_lock(folder / LOCK, folder):
            with write_errors(folder):
                drop_partials(folder)
            yield
    finally:
        if created:
            with suppress(OSError):  # something was written, or the folder is gone
                folder.rmdir()


@contextmanager
def file_lock(path: Path, subject: Path) -> Iterator[None]:
    """Keep other runs from writing to `subject`, by a lock at `path` that ends with the process.

    Raises
    ------
    DataError
        As :func:`folder_lock` does.
    """
    with write_errors(subject):
        try:
            descriptor = _open_locked(path)
        except BlockingIOError as error:
            holder = b""
            with suppress(OSError):  # it may have ended meanwhile
                holder = path.read_bytes()
            raise DataError(
                f"{subject}: the run of {_named(holder)} writes to it; wait for its end, or use "
                "another --out"
            ) from error
    try:
        with write_errors(subject):
            holder = os.pread(descriptor, 4096, 0)
            if holder:
                logging.getLogger("hpbench").warning(
                    "%s: the run of %s did not end; its lock is taken over", subject, _named(holder)
                )
            started = datetime.now(UTC).isoformat(timespec="seconds")
            content = {"pid": os.getpid(), "host": platform.node(), "started": started}
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(content).encode(), 0)
        yield
    finally:
        with suppress(OSError):  # the folder may be gone
            path.unlink()
        os.close(descriptor)


def _open_locked(path: Path) -> int:
    while True:
        # through a link in a stranger's folder any file of the user would be emptied
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        links = os.fstat(descriptor).st_nlink
        if links == 1:
            return descriptor
        os.close(descriptor)
        if links > 1:  # emptied, it would be so in the other place, too
            raise DataError(f"{path}: is a file of another place, too (a hard link); delete it")
        # its holder has just removed it


def _named(holder: bytes) -> str:
    """Who holds a lock, by what the file says."""
    try:
        content = json.loads(holder)
        return f"process {content['pid']:d} on {content['host']!s} since {content['started']!s}"
    except (ValueError, KeyError, TypeError):
        return "an unnamed process"
