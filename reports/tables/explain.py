"""Sensitivity to evaluation choices: one row per setting.

Rows that need new predictions (other boxes, other faces) come from ``explain.json``, which
``hpbench explain`` writes; all others are computed from the stored predictions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hpbench.reports.tables.table import Cell, Column, Table, number, text, whole
from hpbench.results.explain_file import ExplainFile
from hpbench.rotation import ANGLES
from hpbench.scoring.scores import DatasetScores
from hpbench.scoring.variants import RuleResult, rule_result, rule_results

__all__ = ["Rerun", "explain_table", "load_rerun"]

Rerun = tuple[list[RuleResult], list[str]]
"""What ``hpbench explain`` found on one data set, and in words what could not be run."""


def load_rerun(folder: Path) -> dict[str, Rerun]:
    """What ``explain.json`` of a run folder holds, by data set; empty where there is none."""
    if not (folder / ExplainFile.file_name).is_file():
        return {}
    stored = ExplainFile.read(folder)
    found: dict[str, Rerun] = {}
    for row in stored.rows:
        mae = [getattr(row.mae_deg, angle) for angle in (*ANGLES, "mean")]
        result = RuleResult(
            row.method_spec, f"rerun with {row.rule}", np.array(mae, float), row.images.scored
        )
        found.setdefault(row.dataset, ([], []))[0].append(result)
    for failed in stored.failed:
        found.setdefault(failed.dataset, ([], []))[1].append(f"{failed.rule}: {failed.reason}")
    return found


def explain_table(
    dataset: DatasetScores,
    labels: Mapping[str, str],
    siblings: Sequence[tuple[str, DatasetScores]],
    rerun: Rerun | None,
) -> Table:
    """Table of all methods under all settings.

    Parameters
    ----------
    siblings : sequence of (str, DatasetScores)
        The same data set under other settings in the same run, with the settings in words.
    """
    columns = [
        Column("Method", text=True),
        Column("Setting", text=True),
        *(Column(angle) for angle in ("Yaw", "Pitch", "Roll", "Mean")),
        Column("Change"),
        Column("Faces"),
    ]
    further = [
        rule_result(twin.spec, rule, twin.differences_deg)
        for rule, other in siblings
        for twin in other.methods
    ]
    further += rerun[0] if rerun else []
    rows: list[list[Cell]] = []
    methods: list[str] = []
    for method in dataset.methods:
        if not method.predicted.any():
            continue
        results = rule_results(dataset, method)
        results += [result for result in further if result.method_spec == method.spec]
        rows += [_row(labels[method.spec], result, results[0]) for result in results]
        methods += [method.spec] * len(results)
    title = "Errors under other evaluation choices"
    return Table("explain", title, columns, rows, _note(rerun), methods)


def _note(rerun: Rerun | None) -> str:
    note = (
        "Each row changes one setting, or those of the script that it names. Change: against the "
        "first row of the method, in degrees of the mean."
    )
    if rerun is None:
        return note + (
            " 'hpbench explain' with this run folder adds rows with new predictions: other boxes, "
            "other exclusions."
        )
    failed = [f"Not run: {failed}." for failed in rerun[1]]
    return " ".join([note, "Rows that begin with 'rerun' are new predictions.", *failed])


def _row(label: str, result: RuleResult, first: RuleResult) -> list[Cell]:
    angles = [number(_known(value)) for value in result.mae_deg]
    change = _known(round(result.mae_deg[3] - first.mae_deg[3], 6) + 0.0)  # no -0.00
    shown = "-" if change is None or result is first else f"{change:+.2f}"
    return [text(label), text(result.rule), *angles, Cell(shown, change), whole(result.faces)]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
