"""Readings of stored predictions under other rules, and the worst faces."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hpbench.errors import DataError
from hpbench.reports.content import load_report
from hpbench.reports.tables.worst import worst_faces
from hpbench.scoring.scores import load_run, score_datasets
from hpbench.scoring.variants import rule_results


@pytest.fixture
def scored(make_run):
    """Return ``scored(**settings)``: the scores of such a run's first data set."""

    def score(**settings):
        tables = load_run(make_run(**settings))
        return score_datasets(tables)[0]

    return score


def mae(dataset, rule: str) -> np.ndarray:
    (found,) = [one for one in rule_results(dataset, dataset.methods[0]) if rule in one.rule]
    return found.mae_deg


def test_perfect_rotations_read_in_the_rq_order_are_charged_and_only_so(scored) -> None:
    dataset = scored(errors={"perfect": (0, 0, 0)})
    assert mae(dataset, "as in the protocol")[3] == pytest.approx(0, abs=1e-9)
    assert mae(dataset, "RQ order")[1] > 3.0


def test_run_under_the_rq_order_is_explained_by_the_right_one(scored) -> None:
    dataset = scored(errors={"perfect": (0, 0, 0)}, protocol={"euler": "rq"})
    assert mae(dataset, "as in the protocol")[1] > 3.0
    assert mae(dataset, "order of the labels")[3] == pytest.approx(0, abs=1e-9)


def test_head_upside_down_costs_nothing_where_half_turns_are_free(scored) -> None:
    dataset = scored(errors={"upside-down": (0, 0, 180)})
    assert mae(dataset, "as in the protocol")[2] == pytest.approx(180)
    assert mae(dataset, "counted as 0")[2] == pytest.approx(0, abs=1e-9)


def test_differences_that_are_not_wrapped_charge_the_long_way_round(scored) -> None:
    dataset = scored(errors={"turned": (0, 170, 0)})
    assert mae(dataset, "as in the protocol")[1] == pytest.approx(170)
    assert mae(dataset, "not wrapped")[1] > 175


def test_profile_and_other_faces_make_up_all_faces(scored) -> None:
    dataset = scored()
    by_rule = {one.rule: one.faces for one in rule_results(dataset, dataset.methods[0])}
    some = by_rule["without profile faces (|yaw| above 60)"]
    assert 0 < some < 59
    assert some + by_rule["profile faces only (|yaw| above 60)"] == 59


def test_method_without_predictions_is_also_counted_as_frontal(scored) -> None:
    dataset = scored(errors={"silent": (0, 0, 0)}, without_prediction={"silent": 2})
    frontal = mae(dataset, "imputed as frontal")
    missing = ~dataset.methods[0].predicted
    expected = np.abs(dataset.angles_deg[missing]).sum(axis=0) / len(missing)
    np.testing.assert_allclose(frontal[:3], expected)


AGAIN = {
    "schema": 2, "created": "2020-01-03", "run_created": "2020-01-02",
    "rows": [
        {
            "dataset": "heads", "rule": "box = pt2d (in this run pt3d_68)", "method_spec": "near",
            "protocol": {"name": "default", "version": 1, "hash": "0"}, "boxes": "annotated",
            "geodesic_deg": {"mean": 15.0, "median": 9.0},
            "mae_deg": {"yaw": 20.0, "pitch": 9.0, "roll": None, "mean": 12.5},
            "images": {"total": 60, "excluded": 1, "scored": 40, "no_answer": 19},
        }
    ],
    "failed": [{"dataset": "heads", "rule": "boxes found by dlib", "reason": "no memory"}],
}  # fmt: skip


def explained(folder):
    """Shown rows and note of the table, of a run folder."""
    table = load_report(folder).sections[0].tables["explain"]
    return [[cell.shown for cell in row] for row in table.rows], table.note


def test_new_predictions_stand_below_the_other_readings_of_their_method(make_run) -> None:
    folder = make_run()
    (folder / "explain.json").write_text(json.dumps(AGAIN))
    rows, note = explained(folder)
    near = [row for row in rows if row[0] == "near"]
    assert near[-1] == [
        "near", "rerun with box = pt2d (in this run pt3d_68)", "20.00", "9.00", "-", "12.50",
        "+10.50", "40",
    ]  # fmt: skip
    assert "Not run: boxes found by dlib: no memory." in note


def test_report_without_new_predictions_says_how_to_get_them(make_run) -> None:
    assert "'hpbench explain'" in explained(make_run())[1]


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 2, "rows": 1}', "{}"])
def test_corrupted_new_predictions_are_refused_with_the_fix(make_run, text) -> None:
    folder = make_run()
    (folder / "explain.json").write_text(text)
    with pytest.raises(DataError, match=r"explain\.json: corrupted .*; repeat 'hpbench explain'"):
        load_report(folder)


def test_worst_faces_come_with_the_largest_errors_first(scored) -> None:
    method = scored().methods[1]
    found = worst_faces(method)
    assert len(found) == 12
    np.testing.assert_allclose(method.geodesic_deg[found], np.sort(method.geodesic_deg)[:-13:-1])
    assert found[0] == np.argmax(method.geodesic_deg)


def test_faces_without_prediction_are_not_among_the_worst(scored) -> None:
    dataset = scored(faces=9, without_prediction={"near": 2})
    assert len(worst_faces(dataset.methods[0])) == 4
