"""Every error that hpbench raises on purpose.

A message is one line that names the file or the option and says how to fix it;
the command line prints it without a traceback and exits with `exit_code`.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

__all__ = [
    "NO_SUCH_IMAGE",
    "PLUGIN_ERRORS",
    "DataError",
    "HpbenchError",
    "ImageError",
    "MissingDependencyError",
    "UsageError",
    "WeightsError",
    "first_line",
    "in_one_line",
    "invalid_field",
    "invalid_value",
    "io_failure",
    "is_io_failure",
    "last_line",
    "plugin_errors",
    "system_failure",
    "write_errors",
]


class HpbenchError(Exception):
    """Root of all errors that hpbench raises on purpose."""

    exit_code = 1


class UsageError(HpbenchError):
    """The command or call itself is wrong: an unknown name, key or value."""

    exit_code = 2


class DataError(HpbenchError):
    """A file or folder that was named exists in the wrong form, or not at all."""


class ImageError(DataError):
    """One image cannot be read; the run counts it and goes on."""


NO_SUCH_IMAGE = ": no such image"
"""Ends the ImageError of a file that is not there: it may have vanished, and be back later."""


class WeightsError(DataError):
    """A weights file does not fit the network, is corrupted, or is missing."""


class MissingDependencyError(HpbenchError):
    """An optional package or system library is needed and not installed."""


def invalid_value(error: ErrorDetails) -> str:
    """What pydantic finds wrong with a value, for a message that has named it.

    Examples
    --------
    >>> invalid_value({"msg": "Input should be greater than 0"})
    'must be greater than 0'
    >>> invalid_value({"msg": "Input should be a valid boolean, unable to interpret input"})
    'must be true or false'
    >>> invalid_value({"msg": "String should have at least 1 character"})
    'must have at least 1 character'
    """
    text = error["msg"].removeprefix("Value error, ")
    text = re.sub(r"^\w+ should ", "must ", text)
    return text.replace("a valid boolean", "true or false").partition(", unable to ")[0]


def invalid_field(error: ValidationError) -> tuple[str, str]:
    """Place of the first thing that pydantic finds wrong, with dots, and what is wrong with it.

    Of a value that may be of several kinds, all kinds are named.
    """
    errors = error.errors()
    place = _place(errors[0])
    first, *others = dict.fromkeys(invalid_value(one) for one in errors if _place(one) == place)
    return place, " or ".join([first, *(other.removeprefix("must be ") for other in others)])


def _place(error: ErrorDetails) -> str:
    """Keys that lead to a value; pydantic puts the kinds of a union among them."""
    kinds = ("str", "int", "float", "bool")
    parts = [str(part) for part in error["loc"]]
    return ".".join(part for part in parts if "[" not in part and part not in kinds)


_SYSTEM_FIXES = {
    errno.ENOSPC: "free some space and repeat the command",
    errno.EDQUOT: "free some space and repeat the command",
    errno.EMFILE: "raise the limit with 'ulimit -n 4096', or lower --workers",
    errno.ENAMETOOLONG: "use a shorter one",
    errno.ENOMEM: "lower --workers or --batch-size",
    errno.EAGAIN: "the system starts no more processes; lower --workers",
}


def system_failure(error: Exception) -> str | None:
    """One line for what the system does not do, and hpbench cannot help; None for other errors.

    Examples
    --------
    >>> system_failure(OSError(errno.ENOSPC, "", "runs/a"))
    'runs/a: No space left on device; free some space and repeat the command'
    """
    no_room = isinstance(error, ImportError) and "failed to map segment" in str(error)
    if isinstance(error, MemoryError) or no_room:
        return f"out of memory; {_SYSTEM_FIXES[errno.ENOMEM]}"
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return f"{error.object!a}: a name that is not UTF-8; rename it"
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return f"cannot start a thread; {_SYSTEM_FIXES[errno.EAGAIN]}"
    if not isinstance(error, OSError):
        return None
    line = os.strerror(error.errno) if error.errno else (str(error) or type(error).__name__)
    name = error.filename2 or error.filename  # of a file and its new name, the one that was named
    subject = "" if name is None else f"{os.fsdecode(name)}: "
    fix = _SYSTEM_FIXES.get(error.errno or 0)
    return f"{subject}{line.splitlines()[0]}" + (f"; {fix}" if fix else "")


_IO_FAILURE = "read failed: "


def io_failure(error: OSError) -> str:
    """Reason for a file that the system does not read: no property of it, so never stored."""
    return f"{_IO_FAILURE}{error.strerror or type(error).__name__}"


def is_io_failure(reason: str) -> bool:
    """Whether a reason ends with one of :func:`io_failure`."""
    return _IO_FAILURE in reason


def first_line(error: BaseException) -> str:
    """First line of the message of an error that a library has raised, or else its kind."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def last_line(error: BaseException) -> str:
    """Last line of such a message, for errors whose text is a traceback."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()


def in_one_line(error: BaseException) -> str:
    """Kind of an error that other code has raised, and the first line of its message."""
    return f"{type(error).__name__}: {first_line(error) if str(error).strip() else 'no message'}"


PLUGIN_ERRORS = (Exception, SystemExit)
"""What a plugin's code may raise; SystemExit: of a script's own argument parser."""


@contextmanager
def plugin_errors(what: str) -> Iterator[None]:
    """Let whatever a plugin's own code raises become one HpbenchError that says where.

    `what` cannot be done, such as ``method 'my_net' cannot be loaded``.
    """
    try:
        yield
    except HpbenchError:
        raise
    except PLUGIN_ERRORS as error:
        frame = extract_tb(error.__traceback__)[-1]
        source = f"{Path(frame.filename).name}, line {frame.lineno}"
        raise HpbenchError(f"{what}: {in_one_line(error)} ({source})") from error


@contextmanager
def write_errors(path: Path, fix: str = "", kind: type[HpbenchError] = DataError) -> Iterator[None]:
    """Turn an OSError into one error that names `path` and the fix."""
    try:
        yield
    except OSError as error:
        line = f"{path}: cannot be written ({error.strerror or error})"
        raise kind(f"{line}; {fix}" if fix else line) from error
