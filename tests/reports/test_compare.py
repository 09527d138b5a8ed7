"""Two runs compared face by face."""

from __future__ import annotations

import json
import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test
from typer.testing import CliRunner

from hpbench.cli import app
from hpbench.errors import DataError, UsageError
from hpbench.scoring.comparison import compare_runs
from hpbench.scoring.conditions import failures, parse_condition

NEAR = {"near": (1.0, 2.0, 3.0)}
WORSE = {"near": (1.0, 2.0, 6.0)}


def test_change_is_second_minus_first(make_run) -> None:
    (change,) = compare_runs(make_run("a", errors=NEAR), make_run("b", errors=WORSE)).changes
    assert change.change("roll") == pytest.approx(3.0)
    assert change.change("mae") == pytest.approx(1.0)
    assert change.interval_95_deg == pytest.approx((1.0, 1.0))
    assert change.p_value < 0.01


def test_run_against_itself_has_not_changed(make_run) -> None:
    folder = make_run("a")
    for change in compare_runs(folder, folder).changes:
        assert change.change("mae") == 0.0
        assert change.p_value == 1.0


def test_card_or_weights_that_changed_under_one_name_are_said(make_run) -> None:
    a, b = make_run("a", errors=NEAR), make_run("b", errors=NEAR)
    assert compare_runs(a, b).changes[0].notes == ()
    record = json.loads((b / "run.json").read_text())
    record["methods"]["near"]["identity"] = "k = 2.4"
    (b / "run.json").write_text(json.dumps(record))
    (note,) = compare_runs(a, b).changes[0].notes
    assert "its card or weights have changed" in note


def test_names_of_a_run_folder_are_shown_and_not_obeyed(make_run) -> None:
    folder = make_run("a", errors={"near\x1b[2J": (1.0, 2.0, 3.0)}, datasets=("\x1b]0;heads\x07",))
    done = CliRunner().invoke(app, ["compare", str(folder), str(folder)])
    assert done.exit_code == 0, done.output
    assert "\\x1b]0;heads\\x07, near\\x1b[2J" in done.output
    assert "\x1b" not in done.output


@pytest.mark.parametrize("condition", ["accuracy_10<0.9", "accuracy_10<-0.1", "auc_15<-0.1"])
def test_missing_prediction_is_a_miss_of_the_candidate(make_run, condition) -> None:
    """29 of 59 faces are left out; on the others nothing has changed."""
    a, b = make_run("a", errors=NEAR), make_run("b", errors=NEAR, without_prediction={"near": 2})
    comparison = compare_runs(a, b)
    assert comparison.changes[0].own_b["accuracy_10"] == pytest.approx(30 / 59)
    assert failures(comparison, [parse_condition(condition)]) != []


def test_only_faces_that_both_predicted_are_paired(make_run) -> None:
    a = make_run("a", errors=NEAR, without_prediction={"near": 2})
    b = make_run("b", errors=NEAR, without_prediction={"near": 3})
    (change,) = compare_runs(a, b).changes
    assert change.faces == sum(1 for n in range(1, 60) if n % 2 and n % 3)
    assert change.change("no_answer") == 19 - 29


def test_faces_of_only_one_run_are_counted_and_left_out(make_run) -> None:
    a, b = make_run("a", errors=NEAR), make_run("b", errors=NEAR)
    for name in ("faces", "predictions"):
        table = pd.read_parquet(b / f"{name}.parquet")
        table[table["image_id"] != "img007"].to_parquet(b / f"{name}.parquet")
    (change,) = compare_runs(a, b).changes
    assert (change.faces, change.only_a, change.only_b) == (58, 1, 0)


def test_other_protocols_are_refused_with_what_differs(make_run) -> None:
    a, b = make_run("a"), make_run("b", protocol={"euler": "rq", "settings": {"box": "pt2d"}})
    with pytest.raises(DataError, match=r"euler is nearest and rq; box is None and pt2d"):
        compare_runs(a, b)


def test_other_content_of_a_table_is_counted_in_faces_and_shows_no_hashes(make_run) -> None:
    a, b = (make_run(n, protocol={"settings": {"table_sha256": n * 64}}) for n in "ab")
    for folder, given in ((a, "one.csv"), (b, "two.csv")):
        record = json.loads((folder / "run.json").read_text())
        record["spec"]["datasets"] = given
        (folder / "run.json").write_text(json.dumps(record))
    for name in ("faces", "predictions"):
        table = pd.read_parquet(b / f"{name}.parquet")
        table[table["image_id"] != "img007"].to_parquet(b / f"{name}.parquet")
    faces = pd.read_parquet(b / "faces.parquet")
    faces.loc[faces["image_id"].isin(["img005", "img030"]), "roll_deg"] += 1.0
    faces.to_parquet(b / "faces.parquet")
    with pytest.raises(DataError) as caught:
        compare_runs(a, b)
    assert str(caught.value).partition("): ")[2] == (
        "the content of its table has changed (--datasets one.csv and two.csv): 2 of the 58 faces "
        "of both have other labels, 1 faces are only in the baseline and 0 only in the candidate. "
        "Rerun one of them on the other's table"
    )


def test_other_labels_under_the_same_name_are_refused(make_run) -> None:
    a, b = make_run("a"), make_run("b")
    faces = pd.read_parquet(b / "faces.parquet")
    faces.loc[faces["image_id"] == "img005", "yaw_deg"] += 1.0
    faces.to_parquet(b / "faces.parquet")
    with pytest.raises(DataError, match="image 'img005': the two runs have different labels"):
        compare_runs(a, b)


def test_reconfigured_method_is_matched_by_name(make_run) -> None:
    a = make_run("a", errors={"net[w=1]": (1, 1, 1), "pnp": (2, 2, 2)})
    b = make_run("b", errors={"net[w=2]": (1, 1, 1), "pnp": (2, 2, 2)})
    pairs = {(one.method_a, one.method_b) for one in compare_runs(a, b).changes}
    assert pairs == {("pnp", "pnp"), ("net[w=1]", "net[w=2]")}


def test_methods_without_a_partner_are_named(make_run) -> None:
    a, b = make_run("a", errors={**NEAR, "old": (1, 1, 1)}), make_run("b", errors=NEAR)
    (found,) = compare_runs(a, b).unmatched
    assert str(found) == "on heads, method 'old' is only in the baseline"


def test_runs_without_anything_in_common_are_refused(make_run) -> None:
    with pytest.raises(DataError, match="method 'near' is only in the baseline"):
        compare_runs(make_run("a", errors=NEAR), make_run("b", errors={"far": (1, 1, 1)}))


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("mae>+0.9", True),
        ("mae>+1.1", False),
        ("mae < -0.1", False),
        ("roll>+99%", True),
        ("roll>+101%", False),
        ("mae>2.9", True),
        ("mae>3.1", False),
        ("no_answer>0", False),
    ],
)
def test_conditions(make_run, condition, holds) -> None:
    (change,) = compare_runs(make_run("a", errors=NEAR), make_run("b", errors=WORSE)).changes
    assert parse_condition(condition).holds(change) is holds


def test_condition_on_a_figure_that_does_not_exist_does_not_hold(make_run) -> None:
    a, b = (make_run(name, errors=NEAR, timed=False) for name in "ab")
    (change,) = compare_runs(a, b).changes
    assert math.isnan(change.values_b["time"])
    assert not parse_condition("time>+0").holds(change)


@pytest.mark.parametrize("text", ["mae", "mae>", "mea>+0.2", "mae>10%", "mae>=1"])
def test_malformed_conditions_are_refused(text) -> None:
    with pytest.raises(UsageError, match="condition"):
        parse_condition(text)


def test_command_exits_with_3_when_a_condition_holds(make_run) -> None:
    import typer

    from hpbench.cli.compare import compare

    app = typer.Typer()
    app.command()(compare)
    folders = [str(make_run("a", errors=NEAR)), str(make_run("b", errors=WORSE))]
    worse = CliRunner().invoke(app, [*folders, "--fail-if", "mae>+0.2"])
    fine = CliRunner().invoke(app, [*folders, "--fail-if", "mae>+2"])
    assert (worse.exit_code, fine.exit_code) == (3, 0)
    assert "mae, deg             2.00       3.00      +1.00" in fine.output


def test_command_shows_a_dash_where_no_time_was_measured(make_run) -> None:
    import typer

    from hpbench.cli.compare import compare

    app = typer.Typer()
    app.command()(compare)
    folders = [str(make_run("a", errors=NEAR)), str(make_run("b", errors=NEAR, timed=False))]
    (line,) = (
        one for one in CliRunner().invoke(app, folders).output.splitlines() if "time, ms" in one
    )
    assert line.split()[-2:] == ["-", "-"]


def test_method_does_not_pass_by_predicting_nothing(make_run) -> None:
    found = compare_runs(
        make_run("a", errors=NEAR), make_run("b", errors=NEAR, without_prediction={"near": 1})
    )
    (failed,) = failures(found, [parse_condition("mae>+0.2")])
    assert str(failed) == (
        "mae>+0.2 on heads for near cannot be judged: no face was predicted in both runs"
    )


def test_time_that_was_not_measured_does_not_pass(make_run) -> None:
    found = compare_runs(make_run("a", errors=NEAR), make_run("b", errors=NEAR, timed=False))
    (failed,) = failures(found, [parse_condition("time>+10%")])
    assert str(failed).endswith("cannot be judged: no time was measured in one of the runs")


def test_time_is_the_median_over_all_faces_and_rounds(make_run) -> None:
    run = make_run()
    timing = pd.read_parquet(run / "timing.parquet")
    near = timing["method"] == "near"
    timing.loc[near, "total_ms"] = [*[2.0] * (near.sum() - 2), 9.0, 1000.0]
    timing.to_parquet(run / "timing.parquet")
    found = {one.method_a: one for one in compare_runs(run, run).changes}
    assert found["near"].values_a["time"] == found["near"].own_b["time"] == 2.0


def test_method_that_is_gone_does_not_pass(make_run) -> None:
    found = compare_runs(make_run("a"), make_run("b", errors=NEAR))
    (failed,) = failures(found, [parse_condition("mae>+0.2")])
    assert (failed.dataset, failed.method) == ("heads", "far[k=2]")
    assert str(failed).endswith("on heads, method 'far[k=2]' is only in the baseline")
    assert failures(found, []) == []


def test_api_does_not_let_a_vanished_method_pass(make_run) -> None:
    import hpbench

    found = hpbench.compare(make_run("a"), make_run("b", errors=NEAR), "mae>+0.2")
    assert [failed.method for failed in found.failed] == ["far[k=2]"]


def test_run_that_was_trained_on_its_data_is_named(make_run) -> None:
    """Only the second run's method has seen renders, and renders are what both are scored on."""
    a, b = make_run("a", errors=NEAR), make_run("b", errors=WORSE)
    for folder, domains in ((a, ["photo"]), (b, ["photo", "render"])):
        run = json.loads((folder / "run.json").read_text())
        run["methods"]["near"]["card"]["trained_domains"] = domains
        run["datasets"]["heads"]["card"]["domain"] = "render"
        (folder / "run.json").write_text(json.dumps(run))
    said = CliRunner().invoke(app, ["compare", str(a), str(b)]).output
    assert "candidate: trained on rendered heads and scored on rendered heads" in said
    assert "baseline" not in said.partition("candidate: trained")[2]


def test_worst_slice_can_be_a_condition(make_run) -> None:
    def light(number: int) -> dict[str, str]:
        return {"light": "night" if number % 2 else "day"}

    a = make_run("a", errors=NEAR, factors_of=light)
    b = make_run("b", errors=NEAR, factors_of=light, worse=lambda n: 5.0 if n % 2 else 0.1)
    (change,) = compare_runs(a, b).changes
    assert change.values_a["worst_slice_mae"] == pytest.approx(2.0)
    assert change.values_b["worst_slice_mae"] == pytest.approx(10.0)
    result = CliRunner().invoke(
        app, ["compare", str(a), str(b), "--fail-if", "worst_slice_mae > 8"]
    )
    assert result.exit_code == 3
    better = CliRunner().invoke(app, ["compare", str(b), str(a), "--fail-if", "worst_slice_mae>8"])
    assert better.exit_code == 0


def test_worst_slice_without_large_slices_cannot_be_judged(make_run) -> None:
    folder = make_run("a", errors=NEAR, faces=15)
    found = compare_runs(folder, folder)
    (failure,) = failures(found, [parse_condition("worst_slice_mae>8")])
    assert failure.problem == "no slice has 20 faces that both runs predicted"


def lit(number: int) -> dict[str, str]:
    return {"light": "night" if number % 3 == 0 else "day"}


def test_by_shows_where_the_candidate_got_worse(make_run) -> None:
    a = make_run("a", errors=NEAR, factors_of=lit)
    b = make_run("b", errors=NEAR, factors_of=lit, worse=lambda n: 2.0 if n % 3 == 0 else 1.0)
    (change,) = compare_runs(a, b, by="light").changes
    day, night = change.slices
    assert (day.slice, day.faces, day.mae_a_deg, day.change_deg) == pytest.approx(
        ("day", 40, 2.0, 0.0)
    )
    assert (night.slice, night.faces, night.mae_b_deg) == pytest.approx(("night", 19, 4.0))
    assert night.change_deg == pytest.approx(2.0)
    assert day.p_value == 1.0
    assert night.p_value < 0.001
    done = CliRunner().invoke(app, ["compare", str(a), str(b), "--by", "light"])
    (line,) = (line for line in done.output.splitlines() if line.startswith("  light: night"))
    assert line.split() == [
        "light:",
        "night",
        "19",
        "2.00",
        "4.00",
        "+2.00",
        "0.0001",
    ]  # one of 10,000 flips, two slices


def test_whole_sequences_are_the_units_of_a_comparison_and_of_its_slices(make_run) -> None:
    """SciPy's exact permutation test of their sums, in whatever order the faces come."""
    gains = np.array([4.0, 1.0, -3.0, 9.0, 2.0, 14.0, 8.0, -1.0])
    sequences = {"group_of": lambda number: f"sequence {number % 8}", "factors_of": lit}
    a = make_run("a", errors=NEAR, **sequences)
    b = make_run("b", errors=NEAR, worse=lambda n: 1.0 + 0.1 * gains[n % 8], **sequences)
    for name in ("faces", "predictions"):
        table = pd.read_parquet(b / f"{name}.parquet").sample(frac=1.0, random_state=0)
        table.to_parquet(b / f"{name}.parquet")
    (change,) = compare_runs(a, b, by="light").changes
    numbers = np.arange(1, 60)  # the first face is excluded
    for found, faces in (
        (change, numbers > 0),
        (change.slices[0], numbers % 3 > 0),
        (change.slices[1], numbers % 3 == 0),
    ):
        sums = np.bincount(numbers[faces] % 8, gains[numbers[faces] % 8], minlength=8)
        exact = permutation_test(
            (sums,), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert found.own_p_value == pytest.approx(exact)
    less, more = sorted(one.own_p_value for one in change.slices)
    corrected = sorted(one.p_value for one in change.slices)
    assert corrected == pytest.approx([2 * less, max(2 * less, more)])  # Holm's, of two


def test_by_of_compare_decides_the_worst_slice(make_run) -> None:
    a = make_run("a", errors=NEAR, factors_of=lit)
    b = make_run("b", errors=NEAR, factors_of=lit, worse=lambda n: 2.0 if n % 3 == 0 else 1.0)
    (change,) = compare_runs(a, b, by="light").changes
    assert change.values_b["worst_slice_mae"] == pytest.approx(2.0)  # 19 faces at night are few


def test_slices_of_a_comparison_are_a_table(make_run) -> None:
    import hpbench

    a = make_run("a", errors=NEAR, factors_of=lit)
    table = hpbench.compare(a, a, by="light").slices()
    assert table["slice"].tolist() == ["day", "night"]
    assert (table["change_deg"] == 0.0).all()


def test_slices_are_shown_only_where_they_are_asked_for(make_run) -> None:
    a = make_run("a", errors=NEAR, factors_of=lit)
    assert compare_runs(a, a).changes[0].slices == ()


def test_factor_that_gives_no_slices_is_said_and_a_misspelt_one_refused(make_run) -> None:
    a = make_run("a", errors=NEAR, factors_of=lambda n: {"file": f"{n}", "light": "day"})
    done = CliRunner().invoke(app, ["compare", str(a), str(a), "--by", "file,light"])
    assert done.exit_code == 0, done.output
    assert "heads: no slices by file: 59 values; at most 30 can be shown" in done.output
    assert "heads: no slices by light: all faces have the same value, day" in done.output
    with pytest.raises(UsageError, match="did you mean 'light'"):
        compare_runs(a, a, by="ligth")


@pytest.mark.parametrize("condition", ["no_answer>+10%", "failures>+10%"])
def test_share_of_nothing_that_stays_nothing_is_no_change(make_run, condition) -> None:
    folder = make_run("a", errors=NEAR)
    assert failures(compare_runs(folder, folder), [parse_condition(condition)]) == []


def test_slices_that_nobody_asked_for_are_not_tested(make_run) -> None:
    light = {"factors_of": lambda number: {"light": "day" if number % 2 else "night"}}
    a, b = make_run("a", errors=NEAR, **light), make_run("b", errors=WORSE, **light)
    assert compare_runs(a, b).changes[0].slices == ()
    assert len(compare_runs(a, b, by="light").changes[0].slices) == 2


def test_methods_that_have_not_changed_do_not_make_the_others_less_sure(make_run) -> None:
    same = {"far": (-8.0, 4.0, 0.0), "third": (9.0, 1.0, 2.0)}
    scattered = {"worse": lambda number: 1.0 + 0.4 * (number % 2)}
    a = make_run("a", errors=NEAR)
    alone = compare_runs(a, make_run("b", errors=NEAR, **scattered)).changes[0]
    both = [make_run(name, errors=NEAR | same) for name in ("c", "d")]
    shutil.copy(make_run("e", errors=NEAR | same) / "run.json", both[1] / "run.json")
    predictions = pd.read_parquet(both[1] / "predictions.parquet")
    changed = pd.read_parquet(
        make_run("f", errors=NEAR | same, **scattered) / "predictions.parquet"
    )
    is_near = predictions["method"] == "near"
    pd.concat([changed[is_near], predictions[~is_near]]).to_parquet(both[1] / "predictions.parquet")
    found = {one.method_b: one for one in compare_runs(*both).changes}
    assert found["near"].p_value == alone.p_value == alone.own_p_value
    assert found["far"].p_value == found["third"].p_value == 1.0


def test_corrected_p_value_is_printed_with_its_own(make_run) -> None:
    far = {"far": (-8.0, 4.0, 0.0)}
    a = make_run("a", errors=NEAR | far)
    b = make_run("b", errors=NEAR | far, worse=lambda number: 1.1 if number % 5 % 2 == 0 else 0.9)
    done = CliRunner().invoke(app, ["compare", str(a), str(b)])
    assert re.search(
        r"p = 0\.\d{4} \(0\.\d{4} alone, corrected for all that is compared\): ", done.output
    )
