"""The same stored predictions under other rules: what the field trips over, in degrees.

Every row of the table is computed from the same rotations; only the way of reading or counting
them changes. The mistakes are those of published scripts, each named with its source. Rows that
need the methods again (other boxes, other faces) come from ``explain.json``, which
``hpbench explain`` writes; they are only shown here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpbench.protocol import EulerReading
from hpbench.reports.tables.table import Cell, Column, Table, number, text
from hpbench.results.explain_file import ExplainFile, ExplainRow
from hpbench.rotation import ANGLES
from hpbench.scoring import metrics
from hpbench.scoring.scores import DatasetScores, MethodScores

__all__ = ["RerunResults", "RuleResult", "explain_table", "load_rerun", "rule_results"]

Array = npt.NDArray[np.float64]

PROFILE_DEG = 60.0
"""Faces turned further are what the table calls profile faces."""


@dataclass(frozen=True)
class RuleResult:
    """Errors of one method under one rule.

    Attributes
    ----------
    method_spec, rule : str
        The rule is in words.
    mae_deg : ndarray, shape (4,)
        Yaw, pitch, roll, mean; NaN where there is none.
    faces : int
        Scored faces.
    """

    method_spec: str
    rule: str
    mae_deg: Array
    faces: int


@dataclass(frozen=True)
class RerunResults:
    """What ``hpbench explain`` found on one data set.

    Attributes
    ----------
    rows : list of RuleResult
    failed : list of str
        In words, what could not be run.
    """

    rows: list[RuleResult]
    failed: list[str]


def load_rerun(folder: Path) -> dict[str, RerunResults]:
    """What ``explain.json`` of a run folder holds, by data set; empty where there is none.

    Raises
    ------
    DataError
        If it is corrupted or of another schema.
    """
    if not (folder / ExplainFile.file_name).is_file():
        return {}
    stored = ExplainFile.read(folder)
    found: dict[str, RerunResults] = {}
    for row in stored.rows:
        found.setdefault(row.dataset, RerunResults([], [])).rows.append(_rule_result(row))
    for failed in stored.failed:
        found.setdefault(failed.dataset, RerunResults([], [])).failed.append(
            f"{failed.rule}: {failed.reason}"
        )
    return found


def _rule_result(row: ExplainRow) -> RuleResult:
    mae = [getattr(row.mae_deg, angle) for angle in (*ANGLES, "mean")]
    return RuleResult(
        row.method_spec,
        f"again with {row.rule}",
        np.array(mae, dtype=np.float64),
        row.images.scored,
    )


def rule_results(dataset: DatasetScores, method: MethodScores) -> list[RuleResult]:
    """Errors of one method under the protocol's rule first, then under others.

    Parameters
    ----------
    dataset : DatasetScores
    method : MethodScores
        One of its methods.

    Returns
    -------
    list of RuleResult
    """
    ground_truth = dataset.angles_deg
    as_scored = method.differences_deg
    other_order: EulerReading = "nearest" if dataset.protocol.euler == "rq" else "rq"
    canonical = metrics.angle_differences_deg(method.R_pred, ground_truth, "canonical")
    plain = metrics.angle_differences_deg(method.R_pred, ground_truth, "canonical", wrap="none")
    profile = np.abs(ground_truth[:, :1]) > PROFILE_DEG
    rules: list[tuple[str, Array]] = [
        ("as the protocol says", as_scored),
        (
            "angles read in the RQ order (cv2.RQDecomp3x3)"
            if other_order == "rq"
            else "angles read in the order of the labels",
            metrics.angle_differences_deg(method.R_pred, ground_truth, other_order),
        ),
        ("yaw always read in -90..90 (labels beyond it are charged)", canonical),
        ("the same, differences not wrapped (Hopenet's test script)", plain),
        (
            "errors of 180 degrees counted as 0 (6DRepNet's test script)",
            _half_turns_free(canonical),
        ),
        (
            f"without profile faces (|yaw| above {PROFILE_DEG:g})",
            np.where(profile, np.nan, as_scored),
        ),
        (f"profile faces only (|yaw| above {PROFILE_DEG:g})", np.where(profile, as_scored, np.nan)),
    ]
    if not method.predicted.all():
        frontal = metrics.fill_missing_with_frontal(method.R_pred)
        protocol = dataset.protocol
        rules.append(
            (
                "faces without prediction counted as frontal",
                metrics.angle_differences_deg(frontal, ground_truth, protocol.euler, protocol.wrap),
            )
        )
    return [
        RuleResult(method.spec, rule, metrics.mae_deg(differences), _faces(differences))
        for rule, differences in rules
    ]


def _half_turns_free(differences_deg: Array) -> Array:
    """Errors with the smaller of e and 180 - e, as if a head had no front."""
    absolute = np.abs(differences_deg)
    return np.minimum(absolute, np.abs(180.0 - absolute))


def _faces(differences_deg: Array) -> int:
    return int(np.count_nonzero(np.isfinite(differences_deg).any(axis=1)))


def explain_table(
    dataset: DatasetScores,
    labels: Mapping[str, str],
    siblings: Sequence[tuple[str, DatasetScores]] = (),
    again: RerunResults | None = None,
) -> Table:
    """Table of all readings of all methods.

    Parameters
    ----------
    dataset : DatasetScores
    labels : mapping of str to str
        Shown name of each method.
    siblings : sequence of (str, DatasetScores)
        The same data set under other settings in the same run, with the settings in words:
        other boxes, with the excluded faces, ...
    again : RerunResults or None
        What ``hpbench explain`` added.
    """
    columns = [
        Column("Method", text=True),
        Column("Rule", text=True),
        *(Column(angle) for angle in ("Yaw", "Pitch", "Roll", "Mean")),
        Column("Change"),
        Column("Faces"),
    ]
    others = [*_siblings_read(siblings), *(again.rows if again else [])]
    rows: list[list[Cell]] = []
    methods: list[str] = []
    for method in dataset.methods:
        own = [reading for reading in others if reading.method_spec == method.spec]
        if not method.predicted.any():
            continue
        found = [*rule_results(dataset, method), *own]
        rows += [_row(labels[method.spec], reading, found[0]) for reading in found]
        methods += [method.spec] * len(found)
    return Table(
        "explain", "What other rules make of the same run", columns, rows, _note(again), methods
    )


def _siblings_read(siblings: Sequence[tuple[str, DatasetScores]]) -> list[RuleResult]:
    return [
        RuleResult(
            twin.spec, rule, metrics.mae_deg(twin.differences_deg), _faces(twin.differences_deg)
        )
        for rule, other in siblings
        for twin in other.methods
    ]


def _note(again: RerunResults | None) -> str:
    note = (
        "One row each: the same predictions, read or counted by another rule. Change: against the "
        "first row of the method, in degrees of the mean."
    )
    if again is None:
        return note + (
            " 'hpbench explain' with this run folder adds rows for which the methods prediction "
            "again: other boxes, other exclusions."
        )
    note += " Rows that begin with 'again' are new predictions of the same methods to other boxes "
    note += "or faces."
    return " ".join([note, *(f"Not run: {failed}." for failed in again.failed)])


def _row(label: str, reading: RuleResult, first: RuleResult) -> list[Cell]:
    angles = [number(_known(value)) for value in reading.mae_deg]
    change = _known(round(reading.mae_deg[3] - first.mae_deg[3], 6) + 0.0)  # no -0.00
    shown = "-" if change is None or reading is first else f"{change:+.2f}"
    return [
        text(label),
        text(reading.rule),
        *angles,
        Cell(shown, change),
        Cell(str(reading.faces), reading.faces),
    ]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
