"""How far long work has come, told to whoever shows it."""

from __future__ import annotations

from typing import Protocol

__all__ = ["NoProgress", "Progress"]


class Progress(Protocol):
    """Told about the work under way; the command line draws bars from it.

    The timing pass reports its rounds in the same way, with words in the place of a method.
    """

    def start(self, dataset: str, method: str, total: int, done: int) -> None:
        """`total` faces are to be predicted, `done` of them are stored from before."""

    def advance(self, dataset: str, method: str, count: int) -> None:
        """`count` more faces are predicted."""


class NoProgress:
    """Shows nothing (:class:`Progress`)."""

    def start(self, dataset: str, method: str, total: int, done: int) -> None:
        """Nothing is shown."""

    def advance(self, dataset: str, method: str, count: int) -> None:
        """Nothing is shown."""
