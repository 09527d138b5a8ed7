"""Metrics as entries: values worked out by hand, and what follows from an entry."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from hpbench.errors import HpbenchError
from hpbench.rotation import rotation_from_angles
from hpbench.scoring import registry
from hpbench.scoring.registry import METRICS, all_metrics
from hpbench.scoring.scores import FaceErrors


def errors_of(predicted_deg, labels_deg) -> FaceErrors:
    predicted, labels = (np.array(one, dtype=float) for one in (predicted_deg, labels_deg))
    R_pred, R_gt = rotation_from_angles(predicted), rotation_from_angles(labels)
    return FaceErrors(R_pred, R_gt, labels, predicted - labels)


YAW_ONLY = errors_of(
    [[4, 0, 0], [-8, 0, 0], [100, 0, 0], [np.nan] * 3],
    [[0, 0, 0], [0, 0, 0], [70, 0, 0], [0, 0, 0]],
)
"""Errors of 4, 8 and 30 degrees of yaw, and a face without a prediction."""

BY_HAND = {
    "mae_deg.yaw": (4 + 8 + 30) / 3, "mae_deg.pitch": 0, "mae_deg.roll": 0,
    "mae_deg.mean": (4 + 8 + 30) / 9,
    "geodesic_deg.mean": 14, "geodesic_deg.median": 8,
    # the mean of the bins 0-30 (two faces) and 60-90 (one)
    "balanced_mae_deg": (12 / 6 + 30 / 3) / 2,
    # two of the three axes turn by the error, the third stays
    "maev_deg": 14 * 2 / 3,
    "ced.auc_15": (11 / 15 + 7 / 15) / 4, "ced.auc_30": (26 / 30 + 22 / 30 + 0) / 4,
    "ced.accuracy_5": 1 / 4, "ced.accuracy_10": 2 / 4, "ced.accuracy_15": 2 / 4,
    "failures": 0, "bias_deg.yaw": (4 - 8 + 30) / 3, "bias_deg.pitch": 0, "bias_deg.roll": 0,
}  # fmt: skip


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_value_is_the_one_worked_out_by_hand(metric) -> None:
    assert metric.compute(YAW_ONLY) == pytest.approx(BY_HAND[metric.name], abs=1e-5)


def test_function_of_the_wrong_shape_is_named() -> None:
    broken = replace(METRICS[0], name="mine", values=lambda errors: errors.differences_deg)
    with pytest.raises(HpbenchError, match=r"metric 'mine': values have shape \(4, 3\), expected"):
        broken.compute(YAW_ONLY)


@pytest.mark.parametrize(
    "name", ["R_pred", "R_gt", "angles_deg", "differences_deg", "geodesic_deg", "face_mae_deg"]
)
def test_function_that_works_in_place_cannot_change_what_others_are_given(name) -> None:
    def in_place(errors: FaceErrors) -> np.ndarray:
        getattr(errors, name)[:] = 0.0
        return errors.face_mae_deg

    broken = replace(METRICS[0], name="mine", values=in_place)
    with pytest.raises(HpbenchError, match=r"metric .mine. cannot be computed: .* read-only"):
        broken.compute(YAW_ONLY)


def test_function_that_fails_is_named() -> None:
    broken = replace(METRICS[0], name="mine", values=lambda errors: 1 / 0)
    with pytest.raises(HpbenchError, match="metric 'mine' cannot be computed: ZeroDivisionError"):
        broken.compute(YAW_ONLY)


MINE = replace(METRICS[0], name="mine", short="mine")
TAKEN = replace(METRICS[0], name="coverage", short="coverage")
CONDITION = replace(METRICS[0], name="mine", short="time")
NO_METRIC = 5


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("TAKEN", "metric 'x' of package .*: the name 'coverage'"),
        ("CONDITION", r"the name 'mine' \('time'\) is taken"),
        ("NO_METRIC", "is not an hpbench.scoring.registry.Metric"),
        ("NOT_THERE", "cannot be imported: AttributeError"),
    ],
)
def test_entry_point_that_is_no_metric_is_refused(monkeypatch, name, complaint) -> None:
    entry = EntryPoint("x", f"{__name__}:{name}", "hpbench.metrics")
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    with pytest.raises(HpbenchError, match=complaint):
        all_metrics.__wrapped__()
