"""What the confidences of the methods are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hpbench.reports import words
from hpbench.reports.tables.table import (
    Cell,
    Column,
    Reader,
    Table,
    flagged_label,
    interval,
    is_reference,
    method_table,
    number,
    predicted_same_faces,
)
from hpbench.results.results_file import MethodResult, value_at

__all__ = ["calibration_table", "confidence_table"]


def confidence_table(results: Sequence[MethodResult], labels: dict[str, str]) -> Table | None:
    """Errors by confidence of the methods whose confidences can be measured; the note has the rest.

    None where no method gives any confidence.
    """
    if all(result.confidence is None for result in results):
        return None
    measured = [one for one in results if one.confidence and one.confidence.problem is None]
    return method_table(
        "confidence", "Error in degrees of the most confident faces", measured, labels,
        [
            (Column("All predicted", "low"), lambda r: number(r.mae_deg.mean)),
            *_value_and_interval("Surest 90 %", "error_at_90_deg"),
            *_value_and_interval("Surest 80 %", "error_at_80_deg"),
            *_value_and_interval("AURC", "aurc_deg"),
            *_value_and_interval("E-AURC", "e_aurc_deg"),
            *_value_and_interval("Rank correlation", "spearman"),
        ],
        note=" ".join(_unmeasured(results, labels)),
        mark=predicted_same_faces(measured),
    )  # fmt: skip


def _value_and_interval(title: str, name: str) -> list[tuple[Column, Reader]]:
    def value(result: MethodResult) -> Cell:
        return number(value_at(result.confidence, name))

    def limits(result: MethodResult) -> Cell:
        return interval(value_at(result.intervals_95, f"confidence.{name}"))

    return [
        (Column(title, "low"), value),
        (Column(f"95 % interval ({title})", interval=True), limits),
    ]


def calibration_table(results: Sequence[MethodResult], labels: dict[str, str]) -> Table | None:
    """Shares of the faces within the claimed regions; None where no method claims a spread."""
    claiming = [one for one in results if one.calibration is not None]
    if not claiming:
        return None
    return method_table(
        "calibration", "Share of the faces within the claimed regions",
        [one for one in claiming if one.calibration and one.calibration.problem is None], labels,
        [
            (
                Column("Claimed spread"),
                lambda r: number(value_at(r.calibration, "mean_spread_deg")),
            ),
            *_share_and_interval("50 %", "within_50"),
            *_share_and_interval("80 %", "within_80"),
            *_share_and_interval("95 %", "within_95"),
        ],
        note=" ".join(
            f"{flagged_label(one, labels)} is not measured: {one.calibration.problem}."
            for one in claiming
            if one.calibration and one.calibration.problem
        ),
        mark=False,
    )  # fmt: skip


def _share_and_interval(level: str, name: str) -> list[tuple[Column, Reader]]:
    def limits(result: MethodResult) -> Cell:
        found = value_at(result.intervals_95, f"calibration.{name}")
        if found is None:
            return interval(None)
        percent = words.interval([100.0 * limit for limit in found])
        return replace(interval(found), shown=f"{percent} %")

    return [
        (
            Column(f"Within {level} region"),
            lambda r: number(value_at(r.calibration, name), words.percent),
        ),
        (Column(f"95 % interval ({level})", interval=True), limits),
    ]


def _unmeasured(results: Sequence[MethodResult], labels: dict[str, str]) -> list[str]:
    """A sentence for every method that is not in the table."""
    sentences = []
    for result in results:
        label = flagged_label(result, labels)
        if result.confidence is None:
            if not is_reference(result.method):
                sentences.append(f"{label} gives no confidence.")
        elif result.confidence.problem is not None:
            sentences.append(f"{label} is not measured: {result.confidence.problem}.")
    return sentences
