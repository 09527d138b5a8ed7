"""Markdown in which names from outside cannot become markup."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hpbench.reports.tables.accuracy import Cell, Table

__all__ = ["Raw", "code_block", "escape", "table"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]|#~$])")


class Raw(str):
    """Text that is Markdown already and is printed as it is."""


def escape(value: object) -> str:
    r"""Show a value as plain text, in a table cell too.

    Examples
    --------
    >>> print(escape("a|b <i>_x_</i>"))
    a\|b &lt;i&gt;\_x\_&lt;/i&gt;
    """
    if isinstance(value, Raw):
        return value
    shown = " ".join(str(value).split())
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", shown)


def code_block(text: str) -> Raw:
    """Fenced block; the fence is longer than any run of backticks in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Raw(f"{fence}text\n{text}\n{fence}")


def table(content: Table) -> Raw:
    """Table in GitHub's form, the best of a column in bold, its note below."""
    lines = [
        _row(escape(column.title) for column in content.columns),
        _row(":--" if column.text else "--:" for column in content.columns),
        *(_row(_cell(cell) for cell in row) for row in content.rows),
    ]
    if content.note:
        lines += ["", escape(content.note)]
    return Raw("\n".join(lines))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    shown = escape(cell.shown)
    return f"**{shown}**" if cell.place == 1 else shown
