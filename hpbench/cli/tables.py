"""Tables on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hpbench.storage.text import visible

__all__ = ["print_table"]


def print_table(
    title: str,
    columns: Iterable[tuple[str, bool]],
    rows: Iterable[Sequence[str]],
    caption: str | None = None,
) -> None:
    """Print a table.

    Parameters
    ----------
    title : str
    columns : iterable of (str, bool)
        Heading, and whether the column holds text, which is set left and folded.
    rows : iterable of sequence of str
    caption : str, optional
    """
    table = Table(title=escape(visible(title)), title_justify="left", caption=caption)
    for heading, is_text in columns:
        if is_text:
            table.add_column(heading, overflow="fold")
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(visible(cell)) for cell in row))
    # a log file is wider than the 80 columns that rich assumes of it
    Console(width=None if sys.stdout.isatty() else 120).print(table)
