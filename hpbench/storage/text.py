"""Text from elsewhere (names of files, of faces, of methods) as it may be shown and stored."""

from __future__ import annotations

import re
from typing import TypeVar

__all__ = ["spreadsheet_cell", "visible"]

T = TypeVar("T")

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_FORMULA = re.compile(r"[=+\-@\t\r].")


def visible(text: str) -> str:
    r"""Text whose control characters are shown and not obeyed; tabs and line ends stay.

    Examples
    --------
    >>> print(visible("\x1b[2Jgone"))
    \x1b[2Jgone
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def spreadsheet_cell(value: T) -> T | str:
    """Value of a CSV cell that no spreadsheet takes for a formula; numbers stay as they are.

    Examples
    --------
    >>> spreadsheet_cell("=1+1"), spreadsheet_cell("-1.5, 2"), spreadsheet_cell("-")
    ("'=1+1", '-1.5, 2', '-')
    """
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    try:
        for number in value.split(", "):
            float(number)
    except ValueError:
        return f"'{value}"
    return value
