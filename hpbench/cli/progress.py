"""Bars while a run is under way, and its result table at the end."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

__all__ = ["Bars", "print_results", "print_reused"]


class Bars:
    """One bar per method and data set (:class:`hpbench.running.local_engine.Progress`)."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def start(self, dataset: str, method: str, total: int, done: int) -> None:
        """Show a bar for a method on a data set."""
        label = escape(f"{dataset} · {method}")
        self._tasks[dataset, method] = self._progress.add_task(label, total=total, completed=done)

    def advance(self, dataset: str, method: str, count: int) -> None:
        """Move its bar on."""
        self._progress.advance(self._tasks[dataset, method], count)


def print_results(folder: Path) -> None:
    """Print the table of ``results.json``, one per data set and protocol.

    Corrupted copies of a data set (``--corrupt``) share one table, a row per level.
    """
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    corrupted = {key for key, about in run["datasets"].items() if about.get("corruption")}
    # a log file is wider than the 80 columns that rich assumes of it
    console = Console(width=None if sys.stdout.isatty() else 120)
    cells: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in results:
        if row["dataset"] not in corrupted:
            key = (row["dataset"], row["protocol"]["name"], row["protocol"]["hash"])
            cells.setdefault(key, []).append(row)
    for (dataset, protocol, digest), rows in cells.items():
        console.print(_result_table(f"{dataset}, protocol {protocol} ({digest})", rows))
    rows = [row for row in results if row["dataset"] in corrupted]
    if rows:
        console.print(_damage_table(rows))


def _damage_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Corrupted images or boxes", title_justify="left")
    table.add_column("data set and damage", overflow="fold")
    table.add_column("method", overflow="fold")
    for heading in ("MAE deg", "scored", "no prediction"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            escape(row["dataset"]),
            escape(row["method_spec"]) + _training_flag(row),
            _degrees(row["mae_deg"]["mean"]),
            str(row["images"]["scored"]),
            str(row["images"]["no_answer"]),
        )
    return table


def print_reused(folder: Path) -> None:
    """Say which predictions and times are those of an earlier run."""
    reused = json.loads((folder / "run.json").read_text(encoding="utf-8")).get("reused", {})
    console = Console(highlight=False)
    for dataset, methods in reused.get("predictions", {}).items():
        console.print(escape(f"Stored predictions on {dataset}: {', '.join(sorted(methods))}."))
    if reused.get("timing"):
        console.print(f"Stored times of {reused['timing']}.")
    if reused.get("predictions"):
        console.print("Nothing has changed since; --fresh computes them again.")


def _result_table(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=escape(title), title_justify="left")
    table.add_column("method", overflow="fold")
    columns = ("yaw", "pitch", "roll", "MAE deg", "geodesic", "scored", "no prediction", "ms/face")
    for heading in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        mae, images = row["mae_deg"], row["images"]
        table.add_row(
            escape(row["method_spec"]) + _training_flag(row),
            *(_degrees(mae[axis]) for axis in ("yaw", "pitch", "roll", "mean")),
            _degrees(row["geodesic_deg"]["mean"]),
            str(images["scored"]),
            str(images["no_answer"]),
            _degrees((row["runtime_ms"].get("total") or {}).get("p50")),
        )
    images = rows[0]["images"]
    notes = [f"{images['total']} faces, {images['excluded']} excluded"]
    if any(row["trained_on_this"] for row in rows):
        notes.append("† trained on this data set")
    if any(row["trained_on_renders"] for row in rows):
        notes.append("‡ trained on renders and scored on renders: an advantage")
    table.caption = "; ".join(notes)
    return table


def _training_flag(row: dict[str, Any]) -> str:
    """Mark beside a method that has an advantage on the data set, as in the report."""
    return (" †" if row["trained_on_this"] else "") + (" ‡" if row["trained_on_renders"] else "")


def _degrees(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
