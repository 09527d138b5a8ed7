"""The sentences at the top of a report, in full: they have to be true and readable."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from hpbench.protocol import Protocol
from hpbench.reports import words
from hpbench.reports.content import load_report
from hpbench.reports.formats.markdown import render_markdown
from hpbench.reports.report import write_report
from hpbench.reports.sentences import overview_sentences, protocol_sentences
from hpbench.results.timing_record import TimingConditions, TimingRecord


@pytest.fixture
def sentences(make_run):
    """Return ``sentences(**settings)``: the summary of such a run's first data set."""
    return lambda **settings: load_report(make_run(timed=False, **settings)).sections[0].sentences


NEAR, FAR = {"near": (1.0, 2.0, 3.0)}, {"far": (-8.0, 4.0, 0.0)}
THIRD = {"third": (9.0, 9.0, 9.0)}


def test_one_method(sentences) -> None:
    assert sentences(errors=NEAR) == [
        "On Heads, near has a mean error of 2.00 degrees over 59 faces (95 % interval 2.00 to "
        "2.00).",
        "At 60-90 degrees of yaw, the mean error is 2.00 degrees for near (2.00 at 0-30).",
        "Every evaluated face was predicted.",
    ]


def test_two_methods(sentences) -> None:
    first, second, third = sentences(errors=NEAR | FAR)
    assert first == (
        "On Heads, near has the lowest mean error: 2.00 degrees over 59 faces (95 % interval 2.00 "
        "to 2.00), followed by far with 4.00; the difference is statistically significant "
        "(p < 0.001)."
    )
    assert second == (
        "At 60-90 degrees of yaw, the mean error is 2.00 degrees for near (2.00 at 0-30) and 4.00 "
        "for far (4.00 at 0-30)."
    )
    assert third == "Every evaluated face was predicted by every method."


def test_method_without_any_error_is_the_best(sentences) -> None:
    first, *_ = sentences(errors=NEAR | {"oracle": (0.0, 0.0, 0.0)})
    assert first.startswith("On Heads, oracle has the lowest mean error: 0.00 degrees")


def test_frontal_baseline_is_a_reference_and_not_ranked(make_run) -> None:
    folder = make_run(errors={"constant": (1.0, 1.0, 1.0)} | NEAR)
    (section,) = load_report(folder).sections
    assert section.sentences[0].startswith("On Heads, near has a mean error of 2.00 degrees")
    assert section.sentences[1] == (
        "For reference, the frontal baseline has a mean error of 1.00 degrees."
    )
    accuracy = section.tables["accuracy"]
    assert [row[0].shown for row in accuracy.rows] == ["near", "constant (frontal baseline)"]
    assert not any(cell.rank for row in accuracy.rows for cell in row)
    assert accuracy.references == {"constant"}


def test_report_of_the_embedded_sample_opens_with_what_it_is(make_run) -> None:
    opening = "Installation check, not a ranking: 60 renders"
    assert opening in render_markdown(load_report(make_run(datasets=("sample",))))
    assert opening not in render_markdown(load_report(make_run("other")))


def test_too_few_faces_for_a_test_are_named(sentences) -> None:
    first = sentences(errors=NEAR | FAR, faces=5)[0]
    assert first.endswith(
        "followed by far with 4.00; too few independent faces, subjects or sequences for a "
        "significance test."
    )


def test_too_few_sequences_for_tests_of_so_many_methods_are_named(sentences) -> None:
    first = sentences(errors=NEAR | FAR | THIRD, faces=7)[0]  # one of them is left out
    assert first.endswith(
        "followed by far with 4.00; too few independent faces, subjects or sequences for "
        "significance tests of 3 pairs."
    )


def test_range_with_a_handful_of_predictions_is_no_finding(sentences) -> None:
    found = sentences(errors=NEAR, faces=16)
    assert len(found) == 2  # of 15 faces no two ranges of yaw have six


def test_share_of_a_range_that_was_predicted_is_named(sentences) -> None:
    second = sentences(errors=NEAR | FAR, without_prediction={"far": 2})[1]
    assert re.search(r"4\.00 for far \(4\.00 at 0-30; \d+ of \d+ faces predicted\)", second)


def test_training_on_the_data_set_is_named_beside_the_lowest_error(make_run) -> None:
    folder = make_run(errors=NEAR | FAR)
    run = json.loads((folder / "run.json").read_text())
    run["methods"]["near"]["card"]["trained_on"] = ["heads"]
    (folder / "run.json").write_text(json.dumps(run))
    (section,) = load_report(folder).sections
    assert section.sentences[0].endswith(
        "near was trained on this data set, which is an advantage."
    )


def test_two_methods_with_the_same_errors_do_not_differ(sentences) -> None:
    first = sentences(errors={"one": (1, 1, 1), "two": (1, 1, 1)})[0]
    assert "the difference is not statistically significant (p = 1.000)" in first


def test_method_that_predicts_half_of_the_faces(sentences) -> None:
    first, *_, last = sentences(errors=NEAR | FAR, without_prediction={"far": 2})
    assert "over the 30 faces that every method predicted" in first
    assert last == "Of the evaluated faces, far predicted 50.8 %, near all of them."


def test_method_without_any_prediction_is_not_ranked_but_named(sentences) -> None:
    found = sentences(errors=NEAR | FAR, without_prediction={"far": 1})
    assert found[0].startswith("On Heads, near has a mean error of 2.00 degrees over 59 faces")
    assert found[-1] == "Of the evaluated faces, far predicted none, near all of them."


def test_several_complete_methods_are_not_named_one_by_one(sentences) -> None:
    found = sentences(errors=NEAR | FAR | THIRD, without_prediction={"third": 2})
    assert found[-1].endswith("third predicted 50.8 %, every other method all of them.")


def test_p_value_is_that_of_the_faces_whose_errors_are_quoted(sentences) -> None:
    # near and far share 14 faces (p < 0.001), all three share 7: 2 of 128 flips, 3 pairs
    first = sentences(errors=NEAR | FAR | THIRD, without_prediction={"third": 2}, faces=15)[0]
    assert "2.00 degrees over the 7 faces that every method predicted" in first
    assert "the difference is statistically significant (p = 0.047)" in first


def test_nobody_predicts(sentences) -> None:
    found = sentences(errors=NEAR | FAR, without_prediction={"near": 1, "far": 1})
    assert found == ["No method predicted a face of Heads."]


def test_equal_coverage_is_said_once(sentences) -> None:
    found = sentences(errors=NEAR | FAR, without_prediction={"near": 2, "far": 2})
    assert found[-1] == "Every method predicted 50.8 % of the evaluated faces."


def test_single_method_with_gaps(sentences) -> None:
    assert sentences(errors=FAR, without_prediction={"far": 2})[-1] == (
        "far predicted 50.8 % of the evaluated faces."
    )


def test_times_are_named_by_method_where_there_are_several(make_run) -> None:
    (section,) = load_report(make_run(errors=NEAR | FAR)).sections
    assert section.sentences[-1].startswith("Time per face: near 4")


MANY = {f"m{number}": (1.0 + number, 1.0, 1.0) for number in range(8)}


def test_coverage_and_times_of_many_methods_are_one_sentence_each(make_run) -> None:
    missing = {name: 10 - number for number, name in enumerate(MANY)}
    (section,) = load_report(make_run(errors=MANY, without_prediction=missing)).sections
    *_, coverage, times = section.sentences
    assert coverage == (
        "8 of 8 methods did not predict every evaluated face; m7 predicted the fewest, 67.8 %."
    )
    assert re.fullmatch(r"Time per face: from \S+ ms \(m\d\) to \S+ ms \(m\d\)(; m0 .*)?\.", times)


def test_factors_of_many_methods_are_one_sentence(make_run) -> None:
    errors = {f"m{number}": (1.0 + number, 1.0, 1.0) for number in range(12)}
    (section,) = load_report(make_run(errors=errors, faces=80)).sections
    (sentence,) = section.causes
    assert re.match(
        r"Of 12 methods, (these factors matter|no factor matters) beyond chance", sentence
    )


def test_report_of_many_data_sets_shows_two_figures_of_each(make_run) -> None:
    datasets = tuple(f"heads{number}" for number in range(4))
    folder = make_run(errors=NEAR | FAR, datasets=datasets, faces=60, timed=False)
    write_report(folder, ["md"])
    drawn = {path.name for path in (folder / "figures").iterdir()}
    assert drawn == {f"{name}_{kind}.png" for name in datasets for kind in ("ced", "yaw")}
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert set(re.findall(r"figures/(\S+?\.png)", text)) == drawn


def test_overview_shows_coverage_and_training_beside_every_error(make_run) -> None:
    names = tuple(f"heads{number}" for number in range(5))
    folder = make_run(errors=NEAR | FAR, datasets=names, faces=20, without_prediction={"near": 2})
    run = json.loads((folder / "run.json").read_text())
    run["methods"]["near"]["card"]["trained_on"] = ["heads0"]
    (folder / "run.json").write_text(json.dumps(run))
    first, second, *_ = load_report(folder).overview.rows
    assert [cell.shown for cell in first] == ["Heads0", "2.00 (52.6 %)†", "4.00"]
    assert [cell.shown for cell in second] == ["Heads1", "2.00 (52.6 %)", "4.00"]


def test_overview_does_not_praise_a_method_for_data_sets_that_no_other_was_run_on(make_run) -> None:
    datasets = tuple(f"heads{number}" for number in range(5))
    report = load_report(make_run(errors=NEAR | FAR, datasets=datasets, faces=20, timed=False))
    *both, alone = [section.results for section in report.sections]
    only_far = [one for one in alone if one.method_spec == "far"]
    assert overview_sentences([*both, only_far], report.labels)[0].startswith(
        "On the faces that every method predicted, near has the lowest mean error on 4 of 4 data "
        "sets with two methods or more."
    )
    rest = ["The sections of the data sets begin with what holds on each."]
    assert overview_sentences([only_far], report.labels) == rest


def test_rank_is_explained_only_where_a_method_has_one(make_run) -> None:
    explained = "Rank = 1 + number of significantly better methods"
    many, few = make_run("many", errors=NEAR | FAR), make_run("few", errors=NEAR | FAR, faces=5)
    assert explained in render_markdown(load_report(many))
    assert explained not in render_markdown(load_report(few))


def test_summary_of_many_data_sets_is_one_sentence_and_a_table(make_run) -> None:
    datasets = tuple(f"heads{number}" for number in range(5))
    report = load_report(make_run(errors=NEAR | FAR, datasets=datasets, faces=20, timed=False))
    assert report.overview_sentences == [
        "On the faces that every method predicted, near has the lowest mean error on 5 of 5 data "
        "sets. The sections of the data sets begin with what holds on each."
    ]
    rows = [[cell.shown for cell in row] for row in report.overview.rows]
    assert rows[0] == ["Heads0", "2.00", "4.00"]
    assert len(rows) == 5
    summary = render_markdown(report).partition("### Methods")[0]
    assert summary.count("\n- ") == 1


def test_method_without_any_prediction_is_left_aside_in_words_too(sentences) -> None:
    first, *_ = sentences(errors=NEAR | FAR | THIRD, without_prediction={"third": 1})
    assert first.startswith(
        "On Heads, near has the lowest mean error: 2.00 degrees over the 59 faces that every "
        "method predicted, methods without any prediction left aside, (95 % interval"
    )


def test_method_without_any_prediction_does_not_change_the_order_of_the_others(make_run) -> None:
    # without a prediction of every second face, and so the worse one if these counted as frontal
    errors = FAR | NEAR | THIRD
    ranks = load_report(make_run(errors=errors, without_prediction={"near": 2, "third": 1})).styles
    assert sorted(ranks, key=lambda spec: ranks[spec].rank) == ["near", "far", "third"]


def test_one_data_set_with_two_methods_is_not_counted_as_one_of_one(make_run) -> None:
    report = load_report(make_run(errors=NEAR | FAR, timed=False))
    results = report.sections[0].results
    assert overview_sentences([results, results[:1]], report.labels) == [
        "Only one data set has two methods or more. The sections of the data sets begin with what "
        "holds on each."
    ]


def test_whole_images_as_boxes_are_not_called_found() -> None:
    first, *_ = protocol_sentences(Protocol(dataset="heads", boxes="picture"))
    assert first == "Every method gets the whole image as the box."


def test_choice_among_several_faces_is_said_apart_from_the_detector() -> None:
    boxes = "dlib[upsample=1], largest of several faces"
    first, *_ = protocol_sentences(Protocol(dataset="heads", boxes=boxes))
    assert first == (
        "Face boxes are found by dlib[upsample=1] (the largest of several faces); a face that it "
        "misses has no prediction of any method."
    )


def test_methods_that_share_a_name_are_counted_one_by_one(make_run) -> None:
    errors = {f"m{n % 10}[k={n}]": (float(n), 1.0, 1.0) for n in range(30)}
    assert load_report(make_run(errors=errors, timed=False)).title == "30 methods on Heads"


@pytest.mark.parametrize(
    ("share", "text"), [(1 / 5000, "< 0.1 %"), (0.0, "0.0 %"), (4999 / 5000, "99.9 %")]
)
def test_some_are_not_none_and_most_are_not_all(share, text) -> None:
    assert words.percent(share) == text


def test_p_values_on_both_sides_of_the_limit_do_not_look_alike() -> None:
    assert [words.p_value(p) for p in (0.0497, 0.0502, 0.0513)] == ["0.0497", "0.0502", "0.051"]


def test_baseline_is_compared_on_the_faces_of_the_sentence_before_it(sentences) -> None:
    far = {"constant": (9.0, 9.0, 9.0)}
    first, second, *_ = sentences(errors=NEAR | far, without_prediction={"near": 2})
    assert "over 30 faces" in first
    assert second == "On the same faces, the frontal baseline has a mean error of 9.00 degrees."


def test_baseline_without_faces_in_common_is_that_of_all(make_run) -> None:
    """Two methods that share no face: none of the other sentences has a number."""
    folder = make_run(errors=NEAR | FAR | {"constant": (9.0, 9.0, 9.0)}, timed=False)
    rows = pd.read_parquet(folder / "predictions.parquet")
    odd = rows["image_id"].str[-1].astype(int) % 2 == 1
    lost = ((rows["method"] == "near") & odd) | ((rows["method"] == "far") & ~odd)
    rows.loc[lost, "status"] = "no_answer"
    rows.to_parquet(folder / "predictions.parquet")
    sentences = load_report(folder).sections[0].sentences
    assert sentences[0].endswith("no face was predicted by every method, so there is no ranking.")
    assert "For reference, the frontal baseline has a mean error of 9.00 degrees." in sentences


@pytest.mark.parametrize(
    ("load", "cores", "is_busy"),
    [(7.1, 2, True), (3.9, 2, False), (7.1, 8, False), (None, 2, False)],
)
def test_times_of_a_busy_machine_are_called_too_long(make_run, load, cores, is_busy) -> None:
    folder = make_run()
    conditions = TimingConditions(
        system="Linux", processor="x", cores=cores, memory_gib=8.0, device="cpu", threads={},
        garbage_collection="off", order="turns", warm_up_faces=3, batch_size=1, clock="c",
        load_average_before=load, load_average_after=load,
    )  # fmt: skip
    TimingRecord(
        created="2026-11-28", mode="quick", faces=1, rounds=3, conditions=conditions, datasets={}
    ).write(folder)
    said = "Warning: the machine was busy with other work when times were taken (load average 7.1 "
    assert (said in render_markdown(load_report(folder))) is is_busy
