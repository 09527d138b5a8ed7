"""Tables of a report, independent of the format they are printed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from hpbench.reports import words
from hpbench.results.results_file import MethodResult

__all__ = [
    "Cell", "Column", "Reader", "Table", "flagged_label", "flagged_labels", "flags_of", "interval",
    "is_reference", "item_table", "method_table", "number", "predicted_same_faces",
    "references_in", "text",
    "text_column", "whole",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes
    ----------
    title : str
    better : {'low', 'high'} or None
        Which end is good, where the best cell may be marked.
    text : bool
        Whether the column holds words, set to the left.
    interval : bool
        Whether its cells have two ends.
    help : str
        What its values mean; empty where the title says it.
    all_faces : bool
        Whether a face without a prediction counts, too.
    """

    title: str
    better: Literal["low", "high"] | None = None
    text: bool = False
    interval: bool = False
    help: str = ""
    all_faces: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """What is shown, and the number behind it for sorting and for CSV."""

    shown: str
    value: float | str | None = None
    rank: Literal[1, 2] | None = None
    """1 for the best of its column, 2 for the second best."""
    limits: tuple[float, float] | None = None
    """Ends of an interval, unrounded; a CSV file has a column for each."""


@dataclass(frozen=True, slots=True)
class Table:
    """A captioned table.

    Attributes
    ----------
    key : str
        Short name, for file names and anchors.
    title, note : str
    columns : list of Column
    rows : list of list of Cell
    methods : list of str
        Canonical method of each row, where a row is one method; for filters.
    references : frozenset of str
        Methods that are shown for reference only, such as the frontal baseline.
    """

    key: str
    title: str
    columns: list[Column]
    rows: list[list[Cell]]
    note: str = ""
    methods: list[str] = field(default_factory=list)
    references: frozenset[str] = frozenset()

    @property
    def helps(self) -> dict[str, str]:
        """What the columns mean, by title."""
        return {column.title: column.help for column in self.columns if column.help}


Item = TypeVar("Item")
Reader = Callable[[MethodResult], Cell]


def number(value: float | None, form: Callable[[float | None], str] = words.degrees) -> Cell:
    """Cell of a number."""
    return Cell(form(value), value)


def interval(limits: Sequence[float] | None) -> Cell:
    """Cell of an interval, sorted by its lower end."""
    if limits is None:
        return Cell(words.NOTHING)
    low, high = limits
    return Cell(words.interval(limits), low, limits=(low, high))


def text(value: str) -> Cell:
    """Cell of words."""
    return Cell(value, value)


def text_column(title: str, read: Callable[[Item], str]) -> tuple[Column, Callable[[Item], Cell]]:
    """Column of words, for :func:`item_table`."""
    return Column(title, text=True), lambda item: text(read(item))


def item_table(
    key: str,
    title: str,
    items: Sequence[Item],
    columns: Sequence[tuple[Column, Callable[[Item], Cell]]],
    note: str = "",
    methods: Sequence[str] = (),
) -> Table:
    """Table with one row per item, whatever it is, and all of its columns."""
    rows = [[read(item) for _, read in columns] for item in items]
    return Table(key, title, [column for column, _ in columns], rows, note, list(methods))


def method_table(
    key: str,
    title: str,
    results: Sequence[MethodResult],
    labels: dict[str, str],
    columns: Sequence[tuple[Column, Reader]],
    note: str = "",
    mark: bool = True,
) -> Table:
    """Table with one row per method, the best two of each column marked.

    Without `mark`, only columns over all faces are. A column without a single value is left out.
    """
    heads = [Column("Method", text=True)]
    read_columns = [[text(flagged_label(result, labels)) for result in results]]
    for column, read in columns:
        cells = [read(result) for result in results]
        if any(cell.value is not None for cell in cells):
            heads.append(column)
            read_columns.append(cells)
    rows = [list(row) for row in zip(*read_columns, strict=True)]
    ranked = sum(not is_reference(result.method) for result in results)  # references come last
    if ranked > 1:
        rows = [*_marked(heads, rows[:ranked], mark), *rows[ranked:]]
    specs = [result.method_spec for result in results]
    return Table(key, title, heads, rows, note, specs, references_in(results))


def predicted_same_faces(results: Sequence[MethodResult]) -> bool:
    """Whether errors of the predicted faces compare: a method that skips hard ones looks better."""
    return all(result.images.no_answer == 0 for result in results)


def is_reference(method: str) -> bool:
    """Whether a method is the frontal baseline, a reference for the others."""
    return method == "constant"


def references_in(results: Sequence[MethodResult]) -> frozenset[str]:
    """Specs of the methods that are a reference for the others."""
    return frozenset(one.method_spec for one in results if is_reference(one.method))


def flagged_labels(results: Sequence[MethodResult], labels: dict[str, str]) -> dict[str, str]:
    """Shown names with † or ‡ where the data set is one that the method was trained on or like."""
    return labels | {result.method_spec: flagged_label(result, labels) for result in results}


def flagged_label(result: MethodResult, labels: dict[str, str]) -> str:
    """Shown name of one method, with its flags."""
    return labels[result.method_spec] + flags_of(result)


def flags_of(result: MethodResult) -> str:
    """† where a method was trained on the data set, ‡ where on renders like it."""
    return "†" * result.trained_on_this + "‡" * result.trained_on_renders


def _marked(heads: Sequence[Column], rows: list[list[Cell]], mark: bool) -> list[list[Cell]]:
    """The same cells, the best two of each column with their rank; equal texts share it."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    for index, (head, column) in enumerate(zip(heads, columns, strict=True)):
        numbers = [cell.value for cell in column if isinstance(cell.value, int | float)]
        if not (mark or head.all_faces) or head.better is None or len(numbers) < 2:
            continue
        shown_best_first: list[str] = []
        for value in sorted(numbers, reverse=head.better == "high"):
            shown = next(cell.shown for cell in column if cell.value == value)
            if shown not in shown_best_first:
                shown_best_first.append(shown)
        ranks: dict[str, Literal[1, 2]] = {shown_best_first[0]: 1}
        if len(shown_best_first) > 1:
            ranks[shown_best_first[1]] = 2
        columns[index] = [Cell(c.shown, c.value, ranks.get(c.shown)) for c in column]
    return [list(row) for row in zip(*columns, strict=True)]


def whole(value: int | None) -> Cell:
    """Cell of a whole number."""
    return Cell(words.NOTHING if value is None else str(value), value)
