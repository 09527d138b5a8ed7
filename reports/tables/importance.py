"""Which factors explain the error of each method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hpbench.reports import words
from hpbench.reports.tables.table import (
    Cell,
    Column,
    Table,
    flagged_label,
    interval,
    is_reference,
    number,
    references_in,
    text,
)
from hpbench.results.results_file import FactorShare, Importance, MethodResult

__all__ = ["factors_that_matter", "importance_sentences", "importance_table"]

_MOST_DESCRIBED = 8
"""Methods that have a sentence each."""


def factors_that_matter(results: Sequence[MethodResult]) -> set[str] | None:
    """Factors that explain the error of any method but the frontal baseline.

    None where that can be told of no method.
    """
    judged = [
        one.importance
        for one in results
        if one.importance and one.importance.problem is None and not is_reference(one.method)
    ]
    if not judged:
        return None
    return {one.factor for importance in judged for one in importance.factors if one.matters}


def importance_table(results: Sequence[MethodResult], labels: dict[str, str]) -> Table | None:
    """Shares of every factor for every method; None where there is no factor."""
    entries = [
        (result, one)
        for result in results
        for one in (result.importance.factors if result.importance else ())
    ]
    if not entries:
        return None
    columns = [
        Column("Method", text=True), Column("Factor", text=True), Column("Alone, %"),
        Column("95 % interval (alone)", interval=True), Column("Together, %"),
        Column("95 % interval (together)", interval=True), Column("p"),
    ]  # fmt: skip
    return Table(
        "importance", "Share of the variance of log error that factors explain", columns,
        [_row(flagged_label(result, labels), one) for result, one in entries],
        methods=[result.method_spec for result, _ in entries],
        references=references_in(results),
    )  # fmt: skip


def _row(label: str, one: FactorShare) -> list[Cell]:
    return [
        text(label),
        text(one.factor),
        _percent(one.alone),
        interval(one.alone_95 and [100.0 * limit for limit in one.alone_95]),
        _percent(one.together),
        interval(one.together_95 and [100.0 * limit for limit in one.together_95]),
        number(one.p_value, words.p_value),
    ]


def _percent(share: float | None) -> Cell:
    value = None if share is None else 100.0 * share
    return number(value, lambda v: words.NOTHING if v is None else f"{v:.1f}")


def importance_sentences(results: Sequence[MethodResult], labels: dict[str, str]) -> list[str]:
    """For every method but the frontal baseline, what decides where it fails.

    Of many methods one sentence says how many each factor matters for.
    """
    judged = {
        labels[result.method_spec]: result.importance
        for result in results
        if result.importance is not None and not is_reference(result.method)
    }
    if len(judged) <= _MOST_DESCRIBED:
        return [_sentence(label, importance) for label, importance in judged.items()]
    told = [found for found in judged.values() if found.problem is None]
    matters = Counter(one.factor for found in told for one in found.factors if one.matters)
    each = [f"{factor} for {count}" for factor, count in matters.most_common()]
    of = (
        f"{len(told)} of {len(judged)} methods"
        if len(told) < len(judged)
        else f"{len(told)} methods"
    )
    if not told:
        return [f"Which factors matter cannot be told of any of {len(judged)} methods."]
    if not each:
        return [f"Of {of}, no factor matters beyond chance for any."]
    return [f"Of {of}, these factors matter beyond chance: {words.join(each)}."]


def _sentence(label: str, importance: Importance) -> str:
    if importance.problem is not None:
        return f"{label}: which factors matter cannot be told; {importance.problem}."
    found = [one for one in importance.factors if one.matters]
    if not found:
        return f"{label}: no factor matters beyond chance."
    more = (
        "" if len(found) == len(importance.factors) else "; no other factor matters beyond chance"
    )
    differences = "of the differences between the errors of faces"
    if len(found) == 1:
        return f"{label}: {found[0].factor} explains {_whole(found[0].alone)} {differences}{more}."
    each = [f"{one.factor} ({_whole(one.alone)} alone)" for one in found]
    return (
        f"{label}: {words.join(each)} together explain {_whole(importance.explained)} "
        f"{differences}{more}."
    )


def _whole(share: float | None) -> str:
    percent = 100.0 * (share or 0.0)
    return "less than 1 %" if percent < 1.0 else f"{percent:.0f} %"
