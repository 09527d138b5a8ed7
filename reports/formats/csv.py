"""Every table as a CSV file, numbers unrounded."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from hpbench.reports.content import Report
from hpbench.reports.tables.table import Cell, Column
from hpbench.storage.atomic import write_text
from hpbench.storage.text import spreadsheet_cell

__all__ = ["write_csv"]


def write_csv(report: Report) -> Path:
    """Write every table as a CSV file into ``tables/``, numbers unrounded."""
    folder = report.folder / "tables"
    folder.mkdir(exist_ok=True)
    for section in report.sections:
        for key, table in section.tables.items():
            stream = io.StringIO(newline="")
            writer = csv.writer(stream)
            titles = chain.from_iterable(map(_titles, table.columns))
            writer.writerow(map(spreadsheet_cell, titles))
            for row in table.rows:
                cells = map(_values, table.columns, row)
                writer.writerow(map(spreadsheet_cell, chain.from_iterable(cells)))
            write_text(folder / f"{section.key}_{key}.csv", stream.getvalue())
    return folder


def _titles(column: Column) -> list[str]:
    ends = (", from", ", to") if column.interval else ("",)
    return [column.title + end for end in ends]


def _values(column: Column, cell: Cell) -> Sequence[float | str | None]:
    return (cell.limits or (None, None)) if column.interval else (cell.value,)
