"""Why faces have no error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hpbench.reports.tables.table import Column, Table, text, whole
from hpbench.results.results_file import MethodResult

__all__ = ["alike", "unscored_table"]

_MOST = 15


def unscored_table(results: Sequence[MethodResult], labels: dict[str, str]) -> Table:
    """Why faces have no error: excluded by the protocol, or not predicted by a method.

    Reasons that differ only in their numbers are counted together, under one example.
    """
    everyone = "every method"
    excluded, no_answer = "excluded by the protocol", "no prediction"
    entries = [
        (everyone, excluded, reason, count) for reason, count in alike(results[0].excluded_reasons)
    ]
    without_prediction = [alike(result.no_answer_reasons) for result in results]
    if all(reasons == without_prediction[0] for reasons in without_prediction):
        entries += [(everyone, no_answer, reason, count) for reason, count in without_prediction[0]]
    else:
        entries += [
            (labels[result.method_spec], no_answer, reason, count)
            for result, reasons in zip(results, without_prediction, strict=True)
            for reason, count in reasons
        ]
    note = ""
    if len(entries) > _MOST:
        entries.sort(key=lambda entry: -entry[-1])
        note = (
            f"The {_MOST} commonest of {len(entries)} reasons; faces.parquet and "
            "predictions.parquet hold all."
        )
    columns = [Column(name, text=True) for name in ("Method", "What happened", "Reason")]
    rows = [[*map(text, entry), whole(count)] for *entry, count in entries[:_MOST]]
    return Table("unscored", "Faces that were not scored", [*columns, Column("Faces")], rows, note)


def alike(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    """Reasons with their counts, those that differ only in numbers taken together."""
    merged: dict[str, list[tuple[str, int]]] = {}
    for reason, count in reasons.items():
        merged.setdefault(re.sub(r"\d+(\.\d+)?", "#", reason), []).append((reason, count))
    return [
        (
            group[0][0] if len(group) == 1 else f"{group[0][0]}, and others like it",
            sum(count for _, count in group),
        )
        for group in merged.values()
    ]
