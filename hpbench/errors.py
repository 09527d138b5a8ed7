"""Every error that hpbench raises on purpose.

A message is one line that names the file or the option and says how to mend it;
the command line prints it without a traceback and exits with `exit_code`.
"""

from __future__ import annotations

__all__ = [
    "DataError",
    "HpbenchError",
    "ImageError",
    "MissingDependencyError",
    "UsageError",
    "WeightsError",
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


class WeightsError(DataError):
    """A weights file does not fit the network, is damaged, or is missing."""


class MissingDependencyError(HpbenchError):
    """An optional package or system library is needed and not installed."""
