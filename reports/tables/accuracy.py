"""The tables of a report, independent of the format they are printed in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from hpbench.reports import words
from hpbench.results.results_file import AngleErrors, Comparison, MethodResult, value_at
from hpbench.results.timing_record import MethodTiming
from hpbench.scoring.registry import Metric, all_metrics

__all__ = [
    "Cell",
    "Column",
    "Table",
    "accuracy_tables",
    "cost_table",
    "flagged_labels",
    "head",
    "pairs_table",
    "runtime_table",
    "unscored_table",
]

CLOCK_LIMIT_MS = 0.1
"""Below this the scatter is that of the clock and of Python, not of the method."""


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
    """

    title: str
    better: Literal["low", "high"] | None = None
    text: bool = False
    interval: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """What is shown, and the number behind it for sorting and for CSV."""

    shown: str
    value: float | str | None = None
    place: Literal[1, 2] | None = None
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
    """

    key: str
    title: str
    columns: list[Column]
    rows: list[list[Cell]]
    note: str = ""
    methods: list[str] = field(default_factory=list)


def head(table: Table, most: int) -> Table:
    """The first rows of a table, with a note that says how many there are."""
    if len(table.rows) <= most:
        return table
    note = f"The first {most} of {len(table.rows)} rows; the report's CSV tables hold all."
    return replace(table, rows=table.rows[:most], note=f"{table.note} {note}".strip())


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


def method_table(
    key: str,
    title: str,
    results: Sequence[MethodResult],
    labels: dict[str, str],
    columns: Sequence[tuple[Column, Reader]],
    note: str = "",
    mark: bool = True,
) -> Table:
    """Table with one row per method; a column without a single figure is left out.

    Parameters
    ----------
    results : sequence of MethodResult
        All of one data set.
    labels : dict of str to str
        Shown name of each method.
    columns : sequence of (Column, function)
        The function makes a cell of a result.
    mark : bool
        Whether the best two cells of a column are marked.
    """
    heads = [Column("Method", text=True)]
    read_columns = [[text(_label(result, labels)) for result in results]]
    for column, read in columns:
        cells = [read(result) for result in results]
        if any(cell.value is not None for cell in cells):
            heads.append(column)
            read_columns.append(cells)
    rows = [list(row) for row in zip(*read_columns, strict=True)]
    if mark and len(rows) > 1:
        rows = _marked(heads, rows)
    return Table(key, title, heads, rows, note, [result.method_spec for result in results])


def flagged_labels(results: Sequence[MethodResult], labels: dict[str, str]) -> dict[str, str]:
    """Shown names with † or ‡ where the data set is one that the method was trained on or like."""
    return labels | {result.method_spec: _label(result, labels) for result in results}


def _label(result: MethodResult, labels: dict[str, str]) -> str:
    flags = "†" * result.trained_on_this + "‡" * result.trained_on_renders
    return labels[result.method_spec] + flags


def _marked(heads: Sequence[Column], rows: list[list[Cell]]) -> list[list[Cell]]:
    """The same cells, the best two of each column with their place; equal texts share it."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    for place, (head, column) in enumerate(zip(heads, columns, strict=True)):
        numbers = [cell.value for cell in column if isinstance(cell.value, int | float)]
        if head.better is None or len(numbers) < 2:
            continue
        shown_best_first: list[str] = []
        for value in sorted(numbers, reverse=head.better == "high"):
            shown = next(cell.shown for cell in column if cell.value == value)
            if shown not in shown_best_first:
                shown_best_first.append(shown)
        places: dict[str, Literal[1, 2]] = {shown_best_first[0]: 1}
        if len(shown_best_first) > 1:
            places[shown_best_first[1]] = 2
        columns[place] = [Cell(c.shown, c.value, places.get(c.shown)) for c in column]
    return [list(row) for row in zip(*columns, strict=True)]


def accuracy_tables(results: Sequence[MethodResult], labels: dict[str, str]) -> dict[str, Table]:
    """The tables of errors of one data set, by key.

    Parameters
    ----------
    results : sequence of MethodResult
        All of one data set, not empty.
    labels : dict of str to str
        Shown name of each method.
    """
    same_faces = all(result.images.no_answer == 0 for result in results)
    accuracy = method_table(
        "accuracy", "Mean absolute error in degrees", results, labels,
        [
            *_mae_columns(lambda r: r.mae_deg),
            (Column("95 % interval of the mean", interval=True),
             lambda r: _interval(r, "mae_deg.mean")),
            (Column("Geodesic", "low"), lambda r: number(r.geodesic_deg.mean)),
            (Column("Faces scored"), lambda r: _whole(r.images.scored)),
            (Column("Coverage"), lambda r: number(r.coverage, words.percent)),
            *([_RANK] if same_faces else [_MISSING_AS_FRONTAL]),
        ],
        mark=same_faces,
    )  # fmt: skip
    common_images = results[0].common_images.images
    common = method_table(
        "common", f"The same on the {common_images} faces that every method predicted",
        results, labels,
        [
            *_mae_columns(lambda r: r.common_images.mae_deg),
            (Column("95 % interval of the mean", interval=True),
             lambda r: _interval(r, "common_images.mae_deg.mean")),
            (Column("Geodesic", "low"),
             lambda r: number(r.common_images.geodesic_deg.mean)),
            _RANK,
        ],
        mark=common_images > 0,
    )  # fmt: skip
    return {
        table.key: table
        for table in (
            accuracy,
            common,
            _other_metrics(results, labels),
            _silence_and_alignment(results, labels),
            _by_yaw(results, labels),
            _all_intervals(results, labels),
        )
    }


def _mae_columns(read: Callable[[MethodResult], AngleErrors]) -> list[tuple[Column, Reader]]:
    def reader(angle: str) -> Reader:
        return lambda result: number(getattr(read(result), angle))

    return [
        (Column(angle.capitalize(), "low"), reader(angle))
        for angle in ("yaw", "pitch", "roll", "mean")
    ]


def _interval(result: MethodResult, path: str) -> Cell:
    return interval(value_at(result.intervals_95, path))


def _whole(value: int | None) -> Cell:
    return Cell(words.NOTHING if value is None else str(value), value)


_RANK: tuple[Column, Reader] = (Column("Rank"), lambda r: _whole(r.rank))
_MISSING_AS_FRONTAL: tuple[Column, Reader] = (
    Column("Missing as frontal", "low"),
    lambda r: number(r.missing_as_frontal.mae_deg.mean),
)


def _all_intervals(results: Sequence[MethodResult], labels: dict[str, str]) -> Table:
    """Every value of every method with its interval, one row each."""
    columns = [
        Column("Method", text=True),
        Column("Figure", text=True),
        Column("Value"),
        Column("From"),
        Column("To"),
    ]
    printed = [(_long_title(metric), metric.name, metric.show) for metric in all_metrics()]
    printed += [
        ("MAE on common faces", "common_images.mae_deg.mean", words.degrees),
        ("MAE, missing as frontal", "missing_as_frontal.mae_deg.mean", words.degrees),
    ]
    rows: list[list[Cell]] = []
    methods: list[str] = []
    for result in results:
        for name, path, form in printed:
            value, limits = value_at(result, path), value_at(result.intervals_95, path)
            if value is None or limits is None:
                continue
            cells = [number(one, form) for one in (value, *limits)]
            rows.append([text(_label(result, labels)), text(name), *cells])
            methods.append(result.method_spec)
    return Table("intervals", "All figures with their 95 % intervals", columns, rows, "", methods)


def _long_title(metric: Metric) -> str:
    """Title that stands alone, without the table around it."""
    return f"MAE {metric.title.lower()}" if metric.name.startswith("mae_deg.") else metric.title


def _other_metrics(results: Sequence[MethodResult], labels: dict[str, str]) -> Table:
    return method_table(
        "metrics", "Other measures of the same errors", results, labels,
        [
            (Column(metric.title, metric.better), _metric_reader(metric))
            for metric in all_metrics()
            if metric.table == "metrics"
        ],
    )  # fmt: skip


def _metric_reader(metric: Metric) -> Reader:
    return lambda result: number(value_at(result, metric.name), metric.show)


def _silence_and_alignment(results: Sequence[MethodResult], labels: dict[str, str]) -> Table:
    def aligned(side: str) -> Reader:
        return lambda result: number(getattr(result.aligned, side).mae_deg.mean)

    return method_table(
        "readings", "The mean error under other rules", results, labels,
        [
            (Column("As scored", "low"), lambda r: number(r.mae_deg.mean)),
            _MISSING_AS_FRONTAL,
            (Column("Camera aligned", "low"), aligned("camera_side")),
            (Column("Head aligned", "low"), aligned("head_side")),
        ],
    )  # fmt: skip


def _by_yaw(results: Sequence[MethodResult], labels: dict[str, str]) -> Table:
    def reader(place: int) -> Reader:
        def read(result: MethodResult) -> Cell:
            one = result.by_abs_yaw[place]
            shown = words.degrees(one.mae_mean)
            if one.no_answer:
                shown += f" ({one.images} of {one.images + one.no_answer})"
            return Cell(shown, one.mae_mean)

        return read

    bins = results[0].by_abs_yaw
    without_prediction = any(one.no_answer for result in results for one in result.by_abs_yaw)
    return method_table(
        "yaw", "Mean error by the true turn of the head", results, labels,
        [
            (
                Column(
                    f"|yaw| {one.from_deg:g}-{one.to_deg:g} "
                    f"({one.images + one.no_answer} faces)",
                    "low",
                ),
                reader(place),
            )
            for place, one in enumerate(bins)
        ],
        mark=not without_prediction,
    )  # fmt: skip


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
                _whole(one.images),
                number(one.p_value, words.p_value),
                number(one.p_holm, words.p_value),
                text(finding),
            ]
        )
    exact = any(one.test.endswith("exact") for one in comparisons)
    drawn = "all ways to flip the signs" if exact else "9,999 random flips of the signs"
    note = f"p is taken over {drawn}." if comparisons else ""
    return Table("pairs", "Paired differences of the mean error", columns, rows, note)


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

    note = ""
    if any(_wide(result) for result in results):
        note = (
            "* The times scatter by more than a tenth of the median (interquartile range): the "
            "machine was busy, or faces differ in cost. Repeat the run on a quiet machine before "
            "comparing them."
        )
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
        ],
        note,
    )  # fmt: skip


def _wide(result: MethodResult) -> bool:
    """Whether a total scatters widely; below a tenth of a ms it is the clock that scatters."""
    total = result.runtime_ms["total"]
    return total.wide and (total.p50 or 0.0) >= CLOCK_LIMIT_MS


def cost_table(
    timing: Mapping[str, MethodTiming], results: Sequence[MethodResult], labels: dict[str, str]
) -> Table:
    """Size, throughput, cold start and memory, as far as the run measured them.

    Parameters
    ----------
    timing : mapping of str to MethodTiming
        Of one data set, by method.
    """

    def read(path: str, *, scale: float = 1.0, form: Callable[[float | None], str]) -> Reader:
        def cell(result: MethodResult) -> Cell:
            found = value_at(timing.get(result.method_spec), path)
            return number(None if found is None else found / scale, form)

        return cell

    rate, digits = words.rate, words.milliseconds
    return method_table(
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
        ],
    )  # fmt: skip


def unscored_table(
    results: Sequence[MethodResult], labels: dict[str, str], most: int = 15
) -> Table:
    """Why faces have no error: excluded by the protocol, or not predicted by a method.

    Reasons that differ only in their numbers are counted together, under one example.
    """
    everyone = "every method"
    excluded, no_answer = "excluded by the protocol", "no prediction"
    entries = [
        (everyone, excluded, reason, count) for reason, count in _alike(results[0].excluded_reasons)
    ]
    without_prediction = [_alike(result.no_answer_reasons) for result in results]
    if all(reasons == without_prediction[0] for reasons in without_prediction):
        entries += [(everyone, no_answer, reason, count) for reason, count in without_prediction[0]]
    else:
        entries += [
            (labels[result.method_spec], no_answer, reason, count)
            for result, reasons in zip(results, without_prediction, strict=True)
            for reason, count in reasons
        ]
    note = ""
    if len(entries) > most:
        entries.sort(key=lambda entry: -entry[-1])
        note = f"The {most} commonest of {len(entries)} reasons; predictions.parquet holds all."
    columns = [
        Column("Method", text=True),
        Column("What happened", text=True),
        Column("Reason", text=True),
        Column("Faces"),
    ]
    rows = [[*map(text, entry), _whole(count)] for *entry, count in entries[:most]]
    return Table("unscored", "Faces that were not scored", columns, rows, note)


def _alike(reasons: dict[str, int]) -> list[tuple[str, int]]:
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
