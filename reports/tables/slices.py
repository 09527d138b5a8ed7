"""Errors by what is known of the faces."""

from __future__ import annotations

from collections.abc import Sequence

from hpbench.reports import words
from hpbench.reports.tables.importance import factors_that_matter
from hpbench.reports.tables.table import (
    Cell,
    Column,
    Table,
    flagged_label,
    interval,
    method_table,
    number,
    references_in,
    text,
    whole,
)
from hpbench.results.results_file import MethodResult, SliceErrors, value_at
from hpbench.scoring.statistics import MIN_UNITS

__all__ = ["slice_tables", "with_slices_that_matter"]


def with_slices_that_matter(results: Sequence[MethodResult]) -> list[MethodResult]:
    """The same results without the slices of factors that matter for no method."""
    factors = factors_that_matter(results)
    if factors is None:
        return list(results)
    return [
        result.model_copy(
            update={"slices": [one for one in result.slices if one.factor in factors]}
        )
        for result in results
    ]


def slice_tables(
    results: Sequence[MethodResult], shown: Sequence[MethodResult], labels: dict[str, str]
) -> list[Table]:
    """Table of the worst slices, where there are any, and table of all slices to be shown."""
    tables = []
    if any(result.worst_slice for result in results):
        tables.append(_worst_slices(results, labels))
    if any(result.slices or result.not_sliced for result in results):
        tables.append(_all_slices(shown, labels, _left_out(results, shown)))
    return tables


def _left_out(results: Sequence[MethodResult], shown: Sequence[MethodResult]) -> list[str]:
    """What is said of factors without slices in the table."""
    hidden = dict.fromkeys(one.factor for one in results[0].slices)
    for one in shown[0].slices:
        hidden.pop(one.factor, None)
    said = [f"No slices by {name}: {reason}." for name, reason in results[0].not_sliced.items()]
    judged = {
        one.factor for result in results if result.importance for one in result.importance.factors
    }
    for said_of, names in (
        ("for they matter for no method", [name for name in hidden if name in judged]),
        (
            f"and not judged, for their slices lie in fewer than {MIN_UNITS} sequences or subjects",
            [name for name in hidden if name not in judged],
        ),
    ):
        if names:
            said.append(f"Not shown without --by, {said_of}: {', '.join(names)}.")
    return said


def _worst_slices(results: Sequence[MethodResult], labels: dict[str, str]) -> Table:
    return method_table(
        "worst_slices", "Worst slice and widest gap of each method", results, labels,
        [
            (Column("Worst slice", text=True), lambda r: _words(r, "worst_slice", "slice")),
            (Column("Mean error there"), lambda r: number(value_at(r, "worst_slice.mae_deg"))),
            (Column("Faces there"), lambda r: whole(value_at(r, "worst_slice.scored"))),
            (Column("Widest gap"), lambda r: number(value_at(r, "slice_gap.gap_deg"))),
            (Column("From", text=True), lambda r: _words(r, "slice_gap", "best")),
            (Column("To", text=True), lambda r: _words(r, "slice_gap", "worst")),
        ],
        mark=False,
    )  # fmt: skip


def _words(result: MethodResult, key: str, name: str) -> Cell:
    """Factor and slice, as in ``light: night``."""
    found = getattr(result, key)
    return Cell(words.NOTHING) if found is None else text(f"{found.factor}: {getattr(found, name)}")


def _all_slices(
    results: Sequence[MethodResult], labels: dict[str, str], left_out: Sequence[str]
) -> Table:
    columns = [
        Column("Factor", text=True), Column("Slice", text=True), Column("Method", text=True),
        Column("Faces"), Column("Coverage"), Column("Mean error"),
        Column("95 % interval", interval=True), Column("Difference to the rest"),
        Column("95 % interval of the difference", interval=True), Column("p"),
    ]  # fmt: skip
    # Slices are the same for every method; all methods of one slice stand together.
    entries = [
        (result, one)
        for same in zip(*(result.slices for result in results), strict=True)
        for result, one in zip(results, same, strict=True)
    ]
    rows = [_row(flagged_label(result, labels), one) for result, one in entries]
    return Table(
        "slices", "Mean error in degrees by slice", columns, rows, " ".join(left_out),
        [result.method_spec for result, _ in entries],
        references_in(results),
    )  # fmt: skip


def _row(label: str, one: SliceErrors) -> list[Cell]:
    return [
        text(one.factor),
        text(one.slice),
        text(label),
        whole(one.faces),
        number(one.coverage, words.percent),
        number(one.mae_deg),
        interval(one.interval_95),
        number(one.difference_deg, lambda v: words.NOTHING if v is None else f"{v:+.2f}"),
        interval(one.difference_interval_95),
        number(one.p_holm, words.p_value),
    ]
