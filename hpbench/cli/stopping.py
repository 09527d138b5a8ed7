"""What a command says when it is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

__all__ = ["says_when_stopped"]


@contextmanager
def says_when_stopped(words: str, kept: Path | None = None) -> Iterator[None]:
    """Say how to go on when Ctrl-C ends the work inside.

    Parameters
    ----------
    words : str
    kept : Path or None
        What has to be there to go on from; without it nothing is said.
    """
    try:
        yield
    except KeyboardInterrupt:
        if kept is None or kept.exists():
            typer.echo(words, err=True)
        raise
