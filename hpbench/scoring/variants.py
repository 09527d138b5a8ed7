"""The same stored predictions under other evaluation choices: conventions, wrapping, faces.

Every result is computed from the same rotations. The mistakes are those of published scripts,
each named with its source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpbench.protocol import EulerReading, WrapRule
from hpbench.scoring import metrics
from hpbench.scoring.scores import DatasetScores, MethodScores

__all__ = ["RuleResult", "rule_result", "rule_results"]

Array = npt.NDArray[np.float64]

PROFILE_DEG = 60.0
"""Faces with a larger absolute yaw are called profile faces."""


@dataclass(frozen=True)
class RuleResult:
    """Errors of one method under one setting, in words."""

    method_spec: str
    rule: str
    mae_deg: Array
    """Yaw, pitch, roll, mean; NaN where there is none."""
    faces: int
    """Scored faces."""


def rule_results(dataset: DatasetScores, method: MethodScores) -> list[RuleResult]:
    """Errors of one method under the protocol's settings first, then under others."""
    protocol = dataset.protocol
    as_scored = method.differences_deg
    other_order: EulerReading = "nearest" if protocol.euler == "rq" else "rq"
    other_wrap: WrapRule = "none" if protocol.wrap == "360" else "360"

    def read(euler: EulerReading, wrap: WrapRule = protocol.wrap) -> Array:
        return dataset.errors(method.R_pred, euler, wrap).differences_deg

    canonical = read("canonical")
    profile = np.abs(dataset.angles_deg[:, :1]) > PROFILE_DEG
    rules = {
        "as in the protocol": as_scored,
        "angles read in the RQ order (cv2.RQDecomp3x3)"
        if other_order == "rq"
        else "angles read in the order of the labels": read(other_order),
        "yaw always read in -90..90 (labels beyond it are penalised)": canonical,
        "yaw read in -90..90, differences not wrapped (Hopenet's test script)"
        if other_wrap == "none"
        else "yaw read in -90..90, differences wrapped to -180..180": read("canonical", other_wrap),
        "errors of 180 degrees counted as 0 (6DRepNet's test script)": _half_turns_free(canonical),
        f"without profile faces (|yaw| above {PROFILE_DEG:g})": np.where(
            profile, np.nan, as_scored
        ),
        f"profile faces only (|yaw| above {PROFILE_DEG:g})": np.where(profile, as_scored, np.nan),
    }
    if not method.predicted.all():
        frontal = dataset.errors(metrics.fill_missing_with_frontal(method.R_pred))
        rules["missing predictions imputed as frontal"] = frontal.differences_deg
    return [rule_result(method.spec, rule, differences) for rule, differences in rules.items()]


def rule_result(method_spec: str, rule: str, differences_deg: Array) -> RuleResult:
    """Errors of one method under one setting from its angle differences, shape (n, 3)."""
    faces = int(np.count_nonzero(np.isfinite(differences_deg).any(axis=1)))
    return RuleResult(method_spec, rule, metrics.mae_deg(differences_deg), faces)


def _half_turns_free(differences_deg: Array) -> Array:
    """Errors up to the nearest half turn, as if a head had no front."""
    return differences_deg - 180.0 * np.round(differences_deg / 180.0)
