"""One writer per run folder."""

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

from hpbench.errors import DataError
from hpbench.storage.atomic import drop_partials

__all__ = ["LOCK", "folder_lock"]

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
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _open_locked(path)
        try:
            holder = os.pread(descriptor, 4096, 0)
            if holder:
                logging.getLogger("hpbench").warning(
                    "%s: the run of %s did not end; its lock is taken over", folder, _named(holder)
                )
            started = datetime.now(UTC).isoformat(timespec="seconds")
            content = {"pid": os.getpid(), "host": platform.node(), "started": started}
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(content).encode(), 0)
            drop_partials(folder)
        except BaseException:
            os.close(descriptor)
            raise
    except BlockingIOError as error:
        holder = path.read_bytes() if path.exists() else b""
        raise DataError(
            f"{folder}: the run of {_named(holder)} writes to it; wait for its end, or use another "
            "--out"
        ) from error
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror})") from error
    try:
        yield
    finally:
        with suppress(OSError):  # the folder may be gone
            path.unlink()
            if created:
                folder.rmdir()  # unless something was written
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
