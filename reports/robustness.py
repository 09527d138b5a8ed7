"""Error against the level of a corruption, from the corrupted data sets of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpbench.corruptions import LevelError, error_by_level
from hpbench.reports import words
from hpbench.reports.tables import Cell, Column, Table, number, text

__all__ = ["Curve", "corruption_curves", "robustness_table"]

Json = dict[str, Any]


@dataclass(frozen=True)
class Curve:
    """One corruption of one data set.

    Attributes
    ----------
    levels : list of str
        From mild to strong; the clean pictures are the first.
    points : dict of str to list of LevelError
        By method, one per level.
    """

    name: str
    unit: str
    levels: list[str]
    points: dict[str, list[LevelError]]


def corruption_curves(
    dataset: str, results: Sequence[Json], datasets: Mapping[str, Json]
) -> list[Curve]:
    """All corruptions that a run did to one data set.

    Parameters
    ----------
    dataset : str
        Name of the clean data set in the run's tables.
    results : sequence of dict
        All entries of ``results.json``.
    datasets : mapping
        ``datasets`` of ``run.json``.
    """
    points: dict[str, dict[str, list[LevelError]]] = {}
    for point in error_by_level(results, datasets):
        if point.dataset == dataset:
            by_method = points.setdefault(point.corruption, {})
            by_method.setdefault(point.method_spec, []).append(point)
    curves = []
    for name, by_method in points.items():
        longest = max(by_method.values(), key=len)
        complete = {spec: row for spec, row in by_method.items() if len(row) == len(longest)}
        levels = ["clean" if point.level is None else f"{point.level:g}" for point in longest]
        curves.append(Curve(name, longest[0].unit, levels, complete))
    return curves


def robustness_table(curves: Sequence[Curve], labels: Mapping[str, str]) -> Table:
    """Mean error at every level, and how many faces were answered."""
    columns = [
        Column("Corruption", text=True),
        Column("Level"),
        Column("Method", text=True),
        Column("Mean"),
        Column("95 % interval"),
        Column("No answer"),
        Column("Missing as frontal"),
    ]
    rows: list[list[Cell]] = []
    methods: list[str] = []
    for curve in curves:
        for place, level in enumerate(curve.levels):
            for spec, points in curve.points.items():
                point = points[place]
                rows.append(
                    [
                        text(f"{curve.name} ({curve.unit})"),
                        text(level),
                        text(labels[spec]),
                        number(point.mae_deg),
                        text(words.interval(point.interval_95_deg)),
                        Cell(str(point.no_answer), point.no_answer),
                        number(point.mae_missing_as_frontal_deg),
                    ]
                )
                methods.append(spec)
    return Table("robustness", "Error on damaged pictures", columns, rows, methods=methods)
