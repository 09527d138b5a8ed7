"""Errors of all methods on one data set."""

from __future__ import annotations

from collections.abc import Sequence

from hpbench.reports import words
from hpbench.reports.tables.table import (
    Cell,
    Column,
    Reader,
    Table,
    flagged_label,
    interval,
    method_table,
    number,
    text,
    whole,
)
from hpbench.results.results_file import MethodResult, value_at
from hpbench.scoring.registry import Metric, all_metrics

__all__ = ["accuracy_tables"]

Columns = list[tuple[Column, Reader]]


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
            *_errors(),
            (Column("Worst slice"), _at("worst_slice.mae_deg")),
            (Column("Slice gap"), _at("slice_gap.gap_deg")),
            (Column("Faces scored"), lambda r: whole(r.images.scored)),
            (Column("Coverage"), lambda r: number(r.coverage, words.percent)),
            *([_RANK] if same_faces else [_MISSING_AS_FRONTAL]),
        ],
        mark=same_faces,
    )  # fmt: skip
    common_images = results[0].common_images.images
    common = method_table(
        "common", f"The same on the {common_images} faces that every method predicted",
        results, labels, [*_errors("common_images."), _RANK], mark=common_images > 0,
    )  # fmt: skip
    others = method_table(
        "metrics", "Other measures of the same errors", results, labels,
        [_column(metric) for metric in all_metrics() if metric.table == "metrics"],
    )  # fmt: skip
    readings = method_table(
        "readings", "Mean error, counted differently", results, labels,
        [
            (Column("As scored", "low"), lambda r: number(r.mae_deg.mean)),
            _MISSING_AS_FRONTAL,
            (Column("Camera aligned", "low"), _at("aligned.camera_side.mae_deg.mean")),
            (Column("Head aligned", "low"), _at("aligned.head_side.mae_deg.mean")),
        ],
    )  # fmt: skip
    tables = (
        accuracy, common, others, readings, _by_yaw(results, labels), _intervals(results, labels),
    )  # fmt: skip
    return {table.key: table for table in tables}


def _at(path: str) -> Reader:
    return lambda result: number(value_at(result, path))


def _column(metric: Metric, subset: str = "") -> tuple[Column, Reader]:
    def read(result: MethodResult) -> Cell:
        return number(value_at(result, subset + metric.name), metric.show)

    return Column(metric.title, metric.better, help=metric.help), read


def _errors(subset: str = "") -> Columns:
    """Columns of the main errors, the interval of the mean after it."""
    columns: Columns = []
    for metric in all_metrics():
        # plugins' metrics are not computed on the common faces
        if metric.table == "accuracy" and (not subset or "." in metric.name):
            columns.append(_column(metric, subset))
        if metric.name == "mae_deg.mean":
            columns.append(_interval_column(subset + metric.name))
    return columns


def _interval_column(path: str) -> tuple[Column, Reader]:
    column = Column("95 % interval of the mean", interval=True)
    return column, lambda result: interval(value_at(result.intervals_95, path))


_RANK: tuple[Column, Reader] = (Column("Rank"), lambda r: whole(r.rank))
_MISSING_AS_FRONTAL: tuple[Column, Reader] = (
    Column("Missing imputed as frontal", "low"),
    _at("missing_as_frontal.mae_deg.mean"),
)


def _intervals(results: Sequence[MethodResult], labels: dict[str, str]) -> Table:
    """Every value of every method with its interval, one row each."""
    columns = [
        Column("Method", text=True),
        Column("Metric", text=True),
        Column("Value"),
        Column("From"),
        Column("To"),
    ]
    printed = [(_long_title(metric), metric.name, metric.show) for metric in all_metrics()]
    printed += [
        ("MAE on common faces", "common_images.mae_deg.mean", words.degrees),
        ("MAE, missing imputed as frontal", "missing_as_frontal.mae_deg.mean", words.degrees),
    ]
    rows: list[list[Cell]] = []
    methods: list[str] = []
    for result in results:
        for name, path, form in printed:
            value, limits = value_at(result, path), value_at(result.intervals_95, path)
            if value is None or limits is None:
                continue
            cells = [number(one, form) for one in (value, *limits)]
            rows.append([text(flagged_label(result, labels)), text(name), *cells])
            methods.append(result.method_spec)
    return Table("intervals", "All metrics with their 95 % intervals", columns, rows, "", methods)


def _long_title(metric: Metric) -> str:
    """Title that stands alone, without the table around it."""
    return f"MAE {metric.title.lower()}" if metric.name.startswith("mae_deg.") else metric.title


def _by_yaw(results: Sequence[MethodResult], labels: dict[str, str]) -> Table:
    def reader(index: int) -> Reader:
        def read(result: MethodResult) -> Cell:
            one = result.by_abs_yaw[index]
            shown = words.degrees(one.mae_mean)
            if one.no_answer:
                shown += f" ({one.images} of {one.faces})"
            return Cell(shown, one.mae_mean)

        return read

    incomplete = any(one.no_answer for result in results for one in result.by_abs_yaw)
    return method_table(
        "yaw", "Mean error by yaw", results, labels,
        [
            (
                Column(f"|yaw| {one.from_deg:g}-{one.to_deg:g} ({one.faces} faces)", "low"),
                reader(index),
            )
            for index, one in enumerate(results[0].by_abs_yaw)
        ],
        mark=not incomplete,
    )  # fmt: skip
