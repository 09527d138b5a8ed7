"""Rows of a CSV or Parquet file, and the numbers and texts in their cells."""

from __future__ import annotations

import codecs
import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.errors import DataError, UsageError, first_line
from hpbench.storage.atomic import read_table

__all__ = [
    "TABLE_SUFFIXES",
    "as_number",
    "as_text",
    "is_empty",
    "is_empty_text",
    "number_in",
    "numbers_in",
    "read_rows",
    "refuse_foreign_table",
]

Row = dict[str, Any]

_PARQUET_SUFFIXES = (".parquet", ".pq")
_NO_TABLES = (
    ".xlsx", ".xls", ".ods", ".json", ".jsonl", ".feather", ".mat", ".npz", ".npy", ".xml", ".pkl",
)  # fmt: skip
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", *_PARQUET_SUFFIXES, *_NO_TABLES)
"""Of files that are taken for tables where they are named: some to be read, some refused."""
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|[0-9]*[.,][0-9]+)([eE][+-]?[0-9]+)?")
_MISSING = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "<NA>"})
"""Missing cells as pandas spells them; another spelling may be a word: ``Nan`` is a name."""
_NO_NUMBER = frozenset({"none", *map(str.lower, _MISSING)})
_STORED_INDEX = re.compile(r"__index_level_\d+__")
"""Column of a Parquet file in which pandas stores an index without a name."""


def refuse_foreign_table(out: Path, columns: Iterable[str], command: str) -> None:
    """Raise a UsageError where a file to be written exists and a command has not written it.

    `columns` are some that its tables have, comma-separated or in Parquet.
    """
    if not out.exists():
        return
    try:
        if out.suffix.lower() in _PARQUET_SUFFIXES:
            names = read_table(out).column_names
        else:
            with out.open(encoding="utf-8", newline="") as file:
                names = next(csv.reader(file), [])
    except (OSError, ValueError, csv.Error, DataError):
        names = []
    if not set(columns) <= set(names):
        raise UsageError(
            f"--out {out}: exists and is not from '{command}'; name another file, or delete it"
        )


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines of a CSV file from the column names on, without blank lines; comments apart."""

    numbers: list[int]
    texts: list[str]
    delimiter: str
    comments: list[tuple[int, str]]

    def cells(self) -> Iterator[tuple[int, list[str]]]:
        """Number of the last line and cells of each row; a quoted cell may hold line breaks."""
        if self.delimiter == " ":
            yield from ((n, text.split()) for n, text in zip(self.numbers, self.texts, strict=True))
            return
        reader = csv.reader(self.texts, delimiter=self.delimiter, strict=True)
        for cells in reader:
            yield self.numbers[reader.line_num - 1], [cell.strip() for cell in cells]


def read_rows(
    path: Path, count_known: Callable[[Sequence[str]], int]
) -> tuple[list[str], list[Row]]:
    """Column names and rows of a table.

    Parameters
    ----------
    path : Path
        Parquet by its suffix, else CSV whose first line, but for blank lines and ``#`` comments,
        holds the column names. Commas, semicolons, tabs, bars or blanks separate the cells,
        whichever yields most known columns; numbers may have decimal commas. An index without a
        name that pandas has stored is left out.
    count_known : callable
        How many of some column names mean something to the caller.

    Raises
    ------
    DataError
        If the file is corrupted, a CSV row has more or fewer cells than there are columns, or a
        comment may be a row.
    """
    if path.suffix.lower() in _NO_TABLES:
        raise DataError(f"{path}: '{path.suffix}' files are not read; save the table as CSV")
    if path.suffix.lower() in _PARQUET_SUFFIXES:
        return _parquet(path)
    try:
        lines = _lines(_text(path), count_known)
        rows = list(lines.cells())
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from error
    columns = _without_empty_end(rows[0][1]) if rows else []
    _refuse_double_columns(path, columns)
    _refuse_doubtful_comments(path, lines, len(columns))
    return columns, [_row(path, columns, *row, lines.delimiter) for row in rows[1:]]


def read_names(path: Path, count_known: Callable[[Sequence[str]], int]) -> list[str]:
    """Column names of a table that :func:`read_rows` reads, without its rows.

    Raises
    ------
    DataError
        If the file is corrupted.
    """
    if path.suffix.lower() in _PARQUET_SUFFIXES:
        return _parquet(path)[0]
    try:
        _, cells = next(_lines(_text(path), count_known).cells(), (0, []))
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from error
    return _without_empty_end(cells)


def _without_empty_end(cells: list[str]) -> list[str]:
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells


def _text(path: Path) -> str:
    content = path.read_bytes()
    # "Unicode text" of a spreadsheet is UTF-16
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path}: line {line} is no text in UTF-8; save it as CSV UTF-8") from error


def _lines(text: str, count_known: Callable[[Sequence[str]], int]) -> _Lines:
    numbered = [(n, line) for n, line in enumerate(_line_list(text), start=1) if line.strip()]
    delimiters: Sequence[str] = tuple(_DELIMITERS)
    if numbered and (told := re.fullmatch(r"sep=(.)", numbered[0][1].strip())):
        delimiters = (told[1],)
        del numbered[0]
    comments = [item for item in numbered if item[1].startswith("#")]
    rows = [item for item in numbered if not item[1].startswith("#")]
    above = [item for item in comments if not rows or item[0] < rows[0][0]]

    def known(line: str, delimiter: str) -> int:
        return count_known([name.strip(" \"'") for name in _split(line, delimiter)])

    def best(line: str) -> tuple[int, str]:
        counts = [(known(line, delimiter), -k) for k, delimiter in enumerate(delimiters)]
        count, place = max(counts)
        return count, delimiters[-place]

    count, delimiter = best(rows[0][1]) if rows else (0, ",")
    if above and not count:  # "# image yaw pitch": the names themselves are a comment
        number, line = above[-1]
        names = line.lstrip("# ")
        count, chosen = best(names)
        if count:
            rows, delimiter = [(number, names), *rows], chosen
    below = comments[len(above) :]
    return _Lines([n for n, _ in rows], [line for _, line in rows], delimiter, below)


def _split(line: str, delimiter: str) -> list[str]:
    """Cells of a line, quotes left out of account."""
    return line.split() if delimiter == " " else line.split(delimiter)


def _line_list(text: str) -> list[str]:
    """Lines with their ends; unlike ``str.splitlines`` at line feeds and carriage returns only."""
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)


def _row(path: Path, columns: list[str], number: int, cells: list[str], delimiter: str) -> Row:
    while len(cells) > len(columns) and not cells[-1]:
        cells = cells[:-1]
    if len(cells) != len(columns):
        separators = _DELIMITERS.get(delimiter, f"'{delimiter}'")
        hint = "put text that holds them in quotes"
        if len(cells) > len(columns) and delimiter == ",":
            hint += ", and write decimal points, or separate cells by semicolons"
        raise DataError(
            f"{path}:{number}: {len(cells)} cells in a table of {len(columns)} columns "
            f"separated by {separators}; {hint}"
        )
    return dict(zip(columns, cells, strict=True))


def _refuse_doubtful_comments(path: Path, lines: _Lines, column_count: int) -> None:
    """Refuse a comment among the rows that may be one of them: ``#5.jpg,1,2,3``."""
    for number, line in lines.comments:
        if not line.startswith("# ") and len(_split(line, lines.delimiter)) >= column_count:
            commas = " and separate cells by commas" if lines.delimiter == " " else ""
            raise DataError(
                f"{path}:{number}: may be a row or a comment; put the first cell of a row in "
                f"quotes{commas}, and begin a comment with '# '"
            )


def _parquet(path: Path) -> tuple[list[str], list[Row]]:
    try:
        table = read_table(path)
        _refuse_double_columns(path, table.column_names)
        names = [name for name in table.column_names if not _STORED_INDEX.fullmatch(name)]
        return names, table.select(names).to_pylist()
    except DataError:
        raise
    except Exception as error:  # a corrupted file makes pyarrow raise anything
        raise DataError(f"{path}: cannot be read as Parquet ({first_line(error)})") from error


def _refuse_double_columns(path: Path, columns: list[str]) -> None:
    for name in columns:
        if columns.count(name) > 1:
            raise DataError(f"{path}: two columns are called '{name}'; rename one")


def is_empty(cell: Any) -> bool:
    """Whether a cell for a number is empty: null, NaN, blanks, or a word such as NA or none."""
    return _is_null(cell) or (isinstance(cell, str) and cell.strip().lower() in _NO_NUMBER)


def is_empty_text(cell: Any) -> bool:
    """Whether a cell for a text is empty: null, NaN, blanks, or NA as pandas spells it."""
    return _is_null(cell) or (isinstance(cell, str) and cell.strip() in _MISSING)


def _is_null(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def as_number(cell: Any) -> float:
    """The number in a cell, perhaps with a decimal comma; NaN where there is none."""
    if isinstance(cell, str):
        cell = cell.strip()
        if not _NUMBER.fullmatch(cell):  # float() would take 1_2, too
            return math.nan
        cell = cell.replace(",", ".")
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def number_in(row: Mapping[str, Any], name: str, what: str) -> float:
    """The number in a cell of a row; DataError, whose text begins with `what`, for another one."""
    number = as_number(row[name])
    if math.isnan(number):
        raise DataError(f"{what} is not a number ({name}: '{as_text(row[name])}')")
    return number


def numbers_in(
    row: Mapping[str, Any], names: Sequence[str], what: str
) -> npt.NDArray[np.float64] | None:
    """The numbers in some cells of a row, as :func:`number_in`; None where all are empty."""
    if all(is_empty(row[name]) for name in names):
        return None
    return np.array([number_in(row, name, what) for name in names])


def as_text(cell: Any) -> str:
    """The text in a cell; empty where there is none."""
    if isinstance(cell, bytes):  # of a Parquet column that is not marked as text
        cell = cell.decode(errors="replace")
    return "" if _is_null(cell) else str(cell).strip()
