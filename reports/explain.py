"""The same stored answers under other rules: what the field trips over, in degrees.

Every row of the table is computed from the same rotations; only the way of reading or counting
them changes. The mistakes are those of published scripts, each named with its source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpbench.protocol import EulerReading
from hpbench.reports.tables import Cell, Column, Table, number, text
from hpbench.scoring import metrics
from hpbench.scoring.results import DatasetScores, MethodScores

__all__ = ["Reading", "explain_table", "readings"]

Array = npt.NDArray[np.float64]

PROFILE_DEG = 60.0
"""Faces turned further are what the table calls profile faces."""


@dataclass(frozen=True)
class Reading:
    """Errors of one method under one rule.

    Attributes
    ----------
    rule : str
        In words.
    mae_deg : ndarray, shape (4,)
        Yaw, pitch, roll, mean; NaN where there is none.
    faces : int
        Scored faces.
    """

    rule: str
    mae_deg: Array
    faces: int


def readings(dataset: DatasetScores, method: MethodScores) -> list[Reading]:
    """Errors of one method under the protocol's rule first, then under others.

    Parameters
    ----------
    dataset : DatasetScores
    method : MethodScores
        One of its methods.

    Returns
    -------
    list of Reading
    """
    truth = dataset.angles_deg
    as_scored = method.differences_deg
    other_order: EulerReading = "nearest" if dataset.protocol.euler == "rq" else "rq"
    canonical = metrics.angle_differences_deg(method.R_pred, truth, "canonical")
    plain = metrics.angle_differences_deg(method.R_pred, truth, "canonical", wrap="none")
    profile = np.abs(truth[:, :1]) > PROFILE_DEG
    rules: list[tuple[str, Array]] = [
        ("as the protocol says", as_scored),
        (
            "angles read in the RQ order (cv2.RQDecomp3x3)"
            if other_order == "rq"
            else "angles read in the order of the labels",
            metrics.angle_differences_deg(method.R_pred, truth, other_order),
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
    if not method.answered.all():
        frontal = metrics.fill_missing_with_frontal(method.R_pred)
        protocol = dataset.protocol
        rules.append(
            (
                "faces without answer counted as frontal",
                metrics.angle_differences_deg(frontal, truth, protocol.euler, protocol.wrap),
            )
        )
    return [
        Reading(rule, metrics.mae_deg(differences), _faces(differences))
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
    """
    columns = [
        Column("Method", text=True),
        Column("Rule", text=True),
        *(Column(angle) for angle in ("Yaw", "Pitch", "Roll", "Mean")),
        Column("Change"),
        Column("Faces"),
    ]
    rows: list[list[Cell]] = []
    methods: list[str] = []
    for method in dataset.methods:
        if not method.answered.any():
            continue
        found = readings(dataset, method)
        for words_, other in siblings:
            for twin in other.methods:
                if twin.spec == method.spec:
                    mae = metrics.mae_deg(twin.differences_deg)
                    found.append(Reading(words_, mae, _faces(twin.differences_deg)))
        for reading in found:
            rows.append(_row(labels[method.spec], reading, found[0]))
            methods.append(method.spec)
    note = (
        "One row each: the same answers, read or counted by another rule. Change: against the "
        "first row of the method, in degrees of the mean."
    )
    return Table(
        "explain", "What other rules make of the same answers", columns, rows, note, methods
    )


def _row(label: str, reading: Reading, first: Reading) -> list[Cell]:
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
