"""Time per face, size and start of all methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hpbench.reports import words
from hpbench.reports.tables.table import (
    Cell,
    Column,
    Reader,
    Table,
    is_reference,
    method_table,
    number,
)
from hpbench.results.results_file import MethodResult, value_at
from hpbench.results.timing_record import MethodTiming
from hpbench.scoring.runtime import told_apart

__all__ = ["cost_table", "runtime_table"]

CLOCK_LIMIT_MS = 0.1
"""Below this the scatter is that of the clock and of Python, not of the method."""


def runtime_table(results: Sequence[MethodResult], labels: dict[str, str]) -> Table:
    """Serial time per face and stage, with no digits that the spread swallows."""

    def time(stage: str, percentile: str) -> Reader:
        def read(result: MethodResult) -> Cell:
            times = result.runtime_ms[stage]
            shown = words.milliseconds(getattr(times, percentile), times.decimals)
            wide = stage == "total" and percentile == "p50" and _wide(result)
            return Cell(shown + "*" * wide, getattr(times, percentile))

        return read

    def per_second(result: MethodResult) -> Cell:
        total = result.runtime_ms["total"].p50
        return number(1e3 / total if total else None, words.rate)

    def stated(result: MethodResult) -> Cell:
        times = result.stated_ms
        return number(times.p50 if times else None, words.milliseconds)

    note = ""
    if any(result.stated_ms for result in results):
        note = (
            "Stated: median of the times in a file of stored predictions, measured by another "
            "program, perhaps on another machine; not to be compared with the others. "
        )
    if any(_wide(result) for result in results):
        note += (
            "* The times scatter by more than a tenth of the median (interquartile range): the "
            "machine was busy, or faces differ in cost. Repeat the run on a quiet machine before "
            "comparing them."
        )
    note += _given_up(results, labels) + _not_told_apart(results, labels)
    return method_table(
        "runtime", "Time per face in milliseconds", results, labels,
        [
            (Column("Detect"), time("detect", "p50")),
            (Column("Prepare"), time("prepare", "p50")),
            (Column("Infer"), time("infer", "p50")),
            (Column("Decode"), time("decode", "p50")),
            (Column("Total, median", "low"), time("total", "p50")),
            (Column("90 %", "low"), time("total", "p90")),
            (Column("99 %", "low"), time("total", "p99")),
            (Column("Faces per second"), per_second),
            (Column("Stated, ms"), stated),
        ],
        note.strip(),
    )  # fmt: skip


def _given_up(results: Sequence[MethodResult], labels: dict[str, str]) -> str:
    """Sentence on timed faces that did not go through all steps, as a share of all times."""
    shares = [
        f"{labels[one.method_spec]} {words.percent(1.0 - total.count / prepare.count)}"
        for one in results
        if (prepare := one.runtime_ms["prepare"]).count > (total := one.runtime_ms["total"]).count
    ]
    if not shares:
        return ""
    return (
        " Totals are of the faces that went through all steps; these methods gave up early on "
        f"some of the timed ones: {words.join(shares)}."
    )


def _not_told_apart(results: Sequence[MethodResult], labels: dict[str, str]) -> str:
    """Sentence on the methods that are as fast as the fastest, as far as was measured."""
    known = [  # with medians of rounds; the frontal baseline is always the fastest
        one
        for one in results
        if one.runtime_ms["total"].low is not None and not is_reference(one.method)
    ]
    if len(known) < 2:
        return ""
    fastest = min(known, key=lambda one: one.runtime_ms["total"].p50 or 0.0)
    alike = [
        labels[one.method_spec]
        for one in known
        if one is not fastest
        and not told_apart(one.runtime_ms["total"], fastest.runtime_ms["total"])
    ]
    if not alike:
        return ""
    return (
        f" Not told apart from {labels[fastest.method_spec]}, the fastest, because the medians of "
        f"their rounds overlap: {words.join(alike)}."
    )


def _wide(result: MethodResult) -> bool:
    """Whether a total scatters widely; below a tenth of a ms it is the clock that scatters."""
    total = result.runtime_ms["total"]
    return total.wide and (total.p50 or 0.0) >= CLOCK_LIMIT_MS


def cost_table(
    timing: Mapping[str, MethodTiming], results: Sequence[MethodResult], labels: dict[str, str]
) -> Table | None:
    """Size, throughput, cold start and memory; None where the run measured nothing of them."""

    def read(path: str, *, scale: float = 1.0, form: Callable[[float | None], str]) -> Reader:
        def cell(result: MethodResult) -> Cell:
            found = value_at(timing.get(result.method_spec), path)
            return number(None if found is None else found / scale, form)

        return cell

    rate, digits = words.rate, words.milliseconds
    table = method_table(
        "cost", "Size, throughput, start and memory", results, labels,
        [
            (Column("Parameters, M"), read("size.parameters", scale=1e6, form=digits)),
            (Column("GFLOP per face"), read("size.flops", scale=1e9, form=digits)),
            (Column("Weights, MB"), read("size.weights_bytes", scale=1e6, form=digits)),
            (Column("Most faces per second", "high"),
             read("throughput.best.faces_per_s", form=rate)),
            (Column("at batch size"), read("throughput.best.size", form=rate)),
            (Column("Start to first prediction, s", "low"),
             read("cold_start.first_answer_s.median", form=digits)),
            (Column("Peak memory, MiB", "low"),
             read("cold_start.peak_memory_mib", form=rate)),
            (Column("One core, ms", "low"),
             read("cores.one.total_ms.p50", form=digits)),
            (Column("Processor time per face, ms", "low"),
             read("cores.all.processor_ms", form=digits)),
        ],
    )  # fmt: skip
    return table if len(table.columns) > 1 else None
