"""Paired differences between methods."""

from __future__ import annotations

from collections.abc import Sequence

from hpbench.reports import words
from hpbench.reports.tables.table import Cell, Column, Table, interval, number, text, whole
from hpbench.results.results_file import Comparison

__all__ = ["pairs_table"]


def pairs_table(comparisons: Sequence[Comparison], labels: dict[str, str]) -> Table:
    """Paired differences between methods on the faces that both predicted."""
    columns = [
        Column("Method A", text=True),
        Column("Method B", text=True),
        Column("A minus B, degrees"),
        Column("95 % interval", interval=True),
        Column("Faces"),
        Column("p"),
        Column("p, corrected"),
        Column("Finding", text=True),
    ]
    rows = []
    for one in comparisons:
        label_a, label_b = labels[one.method_spec_a], labels[one.method_spec_b]
        better = label_a if one.difference_deg < 0 else label_b
        finding = f"{better} is better" if one.p_holm < 0.05 else "cannot be told apart"
        rows.append(
            [
                text(label_a),
                text(label_b),
                Cell(f"{one.difference_deg:+.2f}", one.difference_deg),
                interval(one.interval_95),
                whole(one.images),
                number(one.p_value, words.p_value),
                number(one.p_holm, words.p_value),
                text(finding),
            ]
        )
    exact = any(one.test.endswith("exact") for one in comparisons)
    drawn = "all ways to flip the signs" if exact else "9,999 random flips of the signs"
    note = f"p is taken over {drawn}." if comparisons else ""
    return Table("pairs", "Paired differences of the mean error", columns, rows, note)
