"""Errors of all methods on one data set, and the differences between them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from hpbench.reports import words
from hpbench.reports.tables.table import (
    Cell,
    Column,
    Reader,
    Table,
    flagged_label,
    flags_of,
    interval,
    item_table,
    method_table,
    number,
    predicted_same_faces,
    text,
    text_column,
    whole,
)
from hpbench.results.results_file import Comparison, MethodResult, value_at
from hpbench.scoring.registry import Metric, all_metrics
from hpbench.scoring.statistics import LEVEL

__all__ = ["accuracy_tables", "overview_table", "pairs_table"]

_MOST_COLUMNS = 8
"""Of an overview; more do not fit on a screen."""

Columns = list[tuple[Column, Reader]]


def accuracy_tables(
    results: Sequence[MethodResult], common_ranks: Mapping[str, int | None], labels: dict[str, str]
) -> dict[str, Table]:
    """The tables of errors of one data set, by key.

    `common_ranks` holds the rank of each method on the faces that every method predicted.
    """
    rank = (Column("Rank"), lambda result: whole(common_ranks[result.method_spec]))
    same_faces = predicted_same_faces(results)
    accuracy = method_table(
        "accuracy", "Mean absolute error in degrees", results, labels,
        [
            *_errors(),
            (Column("Worst slice"), _at("worst_slice.mae_deg")),
            (Column("Slice gap"), _at("slice_gap.gap_deg")),
            (Column("Faces scored"), lambda r: whole(r.images.scored)),
            (Column("Coverage"), lambda r: number(r.coverage, words.percent)),
            *([rank] if same_faces else [_MISSING_AS_FRONTAL]),
        ],
        mark=same_faces,
    )  # fmt: skip
    common_images = results[0].common_images.images
    title = (
        f"Mean absolute error in degrees on the {common_images} faces that every method predicted"
    )
    if not all(result.images.scored for result in results):
        title += ", methods without a prediction left out"
    common = method_table(
        "common", title,
        results, labels, [*_errors("common_images."), rank], mark=common_images > 0,
    )  # fmt: skip
    others = method_table(
        "metrics", "Other measures of the errors", results, labels,
        [_column(metric) for metric in all_metrics() if metric.table == "metrics"],
        mark=same_faces,
    )  # fmt: skip
    readings = method_table(
        "readings", "Mean error, counted differently", results, labels,
        [
            (Column("As scored", "low"), lambda r: number(r.mae_deg.mean)),
            _MISSING_AS_FRONTAL,
            (Column("Camera aligned", "low"), _at("aligned.camera_side.mae_deg.mean")),
            (Column("Head aligned", "low"), _at("aligned.head_side.mae_deg.mean")),
        ],
        mark=same_faces,
    )  # fmt: skip
    tables = (
        accuracy, common, others, readings, _by_yaw(results, labels), _intervals(results, labels),
    )  # fmt: skip
    return {table.key: table for table in tables}


def overview_table(
    sections: Mapping[str, Sequence[MethodResult]], ranked: Sequence[str], labels: dict[str, str]
) -> Table:
    """Mean error on every data set, by its title, of the methods with the lowest errors."""
    shown = list(ranked[:_MOST_COLUMNS])
    rows = []
    for title, results in sections.items():
        of_method = {one.method_spec: one for one in results}
        rows.append([text(title), *(_own_error(of_method.get(spec)) for spec in shown)])
    note = "Of each method over the faces that it predicted, with their share where it is not all."
    if len(ranked) > len(shown):
        note += f" The {len(shown)} best of {len(ranked)} methods; all are in the sections."
    columns = [Column("Data set", text=True), *(Column(labels[spec]) for spec in shown)]
    return Table("overview", "Mean absolute error in degrees by data set", columns, rows, note)


def _own_error(result: MethodResult | None) -> Cell:
    """Mean error over the faces that a method predicted, and what must not be read without."""
    if result is None:
        return number(None)
    mean = number(result.mae_deg.mean)
    part = f" ({words.percent(result.coverage)})" if result.images.no_answer else ""
    return replace(mean, shown=f"{mean.shown}{part}{flags_of(result)}")


def _at(path: str) -> Reader:
    return lambda result: number(value_at(result, path))


def _column(metric: Metric, subset: str = "") -> tuple[Column, Reader]:
    def read(result: MethodResult) -> Cell:
        return number(value_at(result, subset + metric.name), metric.show)

    # the mean over bins of yaw counts no missing prediction, but is missing where a bin lacks all
    all_faces = metric.faces == "evaluated" and metric.statistic != "yaw_balanced"
    return Column(metric.title, metric.better, help=metric.help, all_faces=all_faces), read


def _errors(subset: str = "") -> Columns:
    """Columns of the main errors, the interval of the mean after it."""
    columns: Columns = []
    for metric in all_metrics():
        # plugins' metrics are not computed on the common faces
        if metric.table == "accuracy" and (not subset or "." in metric.name):
            columns.append(_column(metric, subset))
        if metric.name == "mae_deg.mean":
            column = Column("95 % interval of the mean", interval=True)
            columns.append((column, partial(_interval, path=f"intervals_95.{subset}{metric.name}")))
    return columns


def _interval(result: MethodResult, path: str) -> Cell:
    return interval(value_at(result, path))


_MISSING_AS_FRONTAL: tuple[Column, Reader] = (
    Column("Missing imputed as frontal", "low", all_faces=True),
    _at("missing_as_frontal.mae_deg.mean"),
)


def _intervals(results: Sequence[MethodResult], labels: dict[str, str]) -> Table:
    """Every value of every method with its interval, one row each."""
    printed = [(_long_title(metric), metric.name, metric.show) for metric in all_metrics()]
    printed += [
        ("MAE on common faces", "common_images.mae_deg.mean", words.degrees),
        ("MAE, missing imputed as frontal", "missing_as_frontal.mae_deg.mean", words.degrees),
    ]
    found = [
        (result, name, value_at(result, path), value_at(result.intervals_95, path), form)
        for result in results
        for name, path, form in printed
    ]
    found = [one for one in found if one[2] is not None and one[3] is not None]
    return item_table(
        "intervals", "All metrics with their 95 % intervals", found,
        [
            text_column("Method", lambda one: flagged_label(one[0], labels)),
            text_column("Metric", lambda one: one[1]),
            (Column("Value"), lambda one: number(one[2], one[4])),
            (Column("From"), lambda one: number(one[3][0], one[4])),
            (Column("To"), lambda one: number(one[3][1], one[4])),
        ],
        methods=[result.method_spec for result, *_ in found],
    )  # fmt: skip


def _long_title(metric: Metric) -> str:
    """Title that stands alone, without the table around it."""
    return f"MAE {metric.title.lower()}" if metric.name.startswith("mae_deg.") else metric.title


def _by_yaw(results: Sequence[MethodResult], labels: dict[str, str]) -> Table:
    def reader(index: int) -> Reader:
        def read(result: MethodResult) -> Cell:
            return number(result.by_abs_yaw[index].mae_mean)

        return read

    def counter(index: int) -> Reader:
        return lambda result: whole(result.by_abs_yaw[index].images)

    incomplete = any(one.no_answer for result in results for one in result.by_abs_yaw)
    columns: Columns = []
    for index, one in enumerate(results[0].by_abs_yaw):
        title = f"|yaw| {one.from_deg:g}-{one.to_deg:g}"
        columns.append((Column(f"{title} ({one.faces} faces)", "low"), reader(index)))
        if incomplete:
            columns.append((Column(f"Scored, {title}"), counter(index)))
    return method_table(
        "yaw", "Mean error by yaw", results, labels, columns,
        mark=not incomplete,
    )  # fmt: skip


def pairs_table(comparisons: Sequence[Comparison], labels: dict[str, str]) -> Table:
    """Paired differences between methods on the faces that both predicted."""

    def finding(one: Comparison) -> str:
        if one.p_holm is None:
            return "too few units for so many pairs"
        if one.p_holm >= LEVEL:
            return "cannot be told apart"
        better = one.method_spec_a if one.difference_deg < 0 else one.method_spec_b
        return f"{labels[better]} is better"

    drawn = "all ways to flip the signs"
    if flips := re.search(r"(\d+) random", comparisons[0].test if comparisons else ""):
        drawn = f"{int(flips[1]):,} random flips of the signs"
    return item_table(
        "pairs", "Paired differences of the mean error", comparisons,
        [
            text_column("Method A", lambda one: labels[one.method_spec_a]),
            text_column("Method B", lambda one: labels[one.method_spec_b]),
            (Column("A minus B, degrees"),
             lambda one: Cell(f"{one.difference_deg:+.2f}", one.difference_deg)),
            (Column("95 % interval", interval=True), lambda one: interval(one.interval_95)),
            (Column("Faces"), lambda one: whole(one.images)),
            (Column("p"), lambda one: number(one.p_value, words.p_value)),
            (Column("p, corrected"), lambda one: number(one.p_holm, words.p_value)),
            text_column("Finding", finding),
        ],
        f"p is taken over {drawn}." if comparisons else "",
    )  # fmt: skip
