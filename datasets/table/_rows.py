"""Rows of a CSV or Parquet file, and the numbers and texts in their cells."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

from hpbench.errors import DataError

__all__ = ["as_number", "as_text", "is_empty", "read_rows"]

Row = dict[str, Any]

_PARQUET_SUFFIXES = (".parquet", ".pq")


def read_rows(path: Path) -> tuple[list[str], list[Row]]:
    """Column names and rows of a table.

    Parameters
    ----------
    path : Path
        Parquet by its suffix, else CSV with commas and one line of column names.

    Raises
    ------
    DataError
        If the file is corrupted, or a CSV row has more or fewer cells than there are columns.
    """
    return _parquet(path) if path.suffix.lower() in _PARQUET_SUFFIXES else _csv(path)


def _csv(path: Path) -> tuple[list[str], list[Row]]:
    try:
        # Spreadsheets write a byte-order mark, which "utf-8-sig" takes off the first name.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = [name.strip() for name in next(reader, [])]
            rows = []
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(columns):
                    raise DataError(
                        f"{path}:{reader.line_num}: {len(cells)} cells in a table of "
                        f"{len(columns)} columns; put text that holds commas in quotes"
                    )
                rows.append(dict(zip(columns, cells, strict=True)))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as CSV in UTF-8 ({error})") from error
    _refuse_double_columns(path, columns)
    return columns, rows


def _parquet(path: Path) -> tuple[list[str], list[Row]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        first_line = str(error).splitlines()[0]
        raise DataError(f"{path}: cannot be read as Parquet ({first_line})") from error
    _refuse_double_columns(path, table.column_names)
    return list(table.column_names), table.to_pylist()


def _refuse_double_columns(path: Path, columns: list[str]) -> None:
    for name in columns:
        if columns.count(name) > 1:
            raise DataError(f"{path}: two columns are called '{name}'; rename one")


def is_empty(cell: Any) -> bool:
    """Whether a cell holds nothing: null, NaN, or text of blanks."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    return isinstance(cell, str) and not cell.strip()


def as_number(cell: Any) -> float:
    """The number in a cell; NaN where there is none."""
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def as_text(cell: Any) -> str:
    """The text in a cell; empty where there is none."""
    return "" if is_empty(cell) else str(cell).strip()
