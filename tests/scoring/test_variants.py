"""Readings of the same predictions change one rule at a time, under any protocol."""

from __future__ import annotations

import numpy as np
import pytest

from hpbench.protocol import Protocol
from hpbench.rotation import rotation_from_angles
from hpbench.scoring.scores import DatasetScores, MethodScores
from hpbench.scoring.variants import rule_results


def mae_by_rule(true_deg, predicted_deg, **protocol) -> dict[str, np.ndarray]:
    """Yaw, pitch, roll and mean by rule, of one face under a protocol."""
    angles = np.array([true_deg], dtype=float)
    R_gt, R_pred = rotation_from_angles(angles), rotation_from_angles([predicted_deg])
    ids = np.array(["1"], dtype=object)
    dataset = DatasetScores(
        "heads", Protocol(dataset="heads", **protocol), ids, np.arange(1), ids, False,
        angles, R_gt, {}, [], {},
    )  # fmt: skip
    differences = dataset.errors(R_pred).differences_deg
    method = MethodScores(
        R_pred, R_gt, angles, differences, spec="m", no_answer={},
        confidence=np.full(1, np.nan), spread_deg=np.full((1, 3), np.nan),
    )  # fmt: skip
    return {one.rule: one.mae_deg for one in rule_results(dataset, method)}


def of(rules: dict[str, np.ndarray], words: str) -> np.ndarray:
    (found,) = [mae_deg for rule, mae_deg in rules.items() if words in rule]
    return found


def test_other_reading_keeps_unwrapped_differences_of_the_protocol():
    rules = mae_by_rule([10, 0, 175], [10, 0, -175], wrap="none")
    assert of(rules, "as in the protocol")[2] == pytest.approx(350)
    assert of(rules, "yaw always read in -90..90")[2] == pytest.approx(350)
    assert of(rules, "RQ order")[2] > 340


@pytest.mark.parametrize(
    ("wrap", "words", "roll_deg"),
    [("none", "differences wrapped", 10), ("360", "not wrapped", 350)],
)
def test_the_other_wrap_rule_is_a_row_of_its_own(wrap, words, roll_deg):
    rules = mae_by_rule([10, 0, 175], [10, 0, -175], wrap=wrap)
    assert of(rules, words)[2] == pytest.approx(roll_deg)


@pytest.mark.parametrize("wrap", ["none", "360"])
@pytest.mark.parametrize(
    ("true_deg", "predicted_deg", "expected_deg"), [(175, -175, 10), (100, -70, 10), (0, 95, 85)]
)
def test_half_and_full_turns_are_free_where_they_are_counted_as_none(
    wrap, true_deg, predicted_deg, expected_deg
):
    rules = mae_by_rule([10, 0, true_deg], [10, 0, predicted_deg], wrap=wrap)
    assert of(rules, "counted as 0")[2] == pytest.approx(expected_deg)
