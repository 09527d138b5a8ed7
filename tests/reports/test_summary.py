"""The sentences at the top of a report, in full: they have to be true and readable."""

from __future__ import annotations

import json
import re

import pytest

from hpbench.reports.content import gather


@pytest.fixture
def sentences(make_run):
    """Return ``sentences(**settings)``: the summary of such a run's first data set."""
    return lambda **settings: gather(make_run(timed=False, **settings)).sections[0].sentences


NEAR, FAR = {"near": (1.0, 2.0, 3.0)}, {"far": (-8.0, 4.0, 0.0)}


def test_one_method(sentences) -> None:
    assert sentences(errors=NEAR) == [
        "On Heads, near errs by 2.00 degrees on average over 59 faces (95 % interval 2.00 to "
        "2.00).",
        "With the head turned by 60-90 degrees of true yaw, the mean error is 2.00 degrees for "
        "near (2.00 at 0-30).",
        "Every face that counts was predicted.",
    ]


def test_two_methods(sentences) -> None:
    first, second, third = sentences(errors=NEAR | FAR)
    assert first == (
        "On Heads, near has the lowest mean error: 2.00 degrees over 59 faces (95 % interval 2.00 "
        "to 2.00), before far with 4.00; the difference is statistically significant (p < 0.001)."
    )
    assert second == (
        "With the head turned by 60-90 degrees of true yaw, the mean error is 2.00 degrees for "
        "near (2.00 at 0-30) and 4.00 for far (4.00 at 0-30)."
    )
    assert third == "Every face that counts was predicted by every method."


def test_too_few_faces_for_a_test_are_named(sentences) -> None:
    first = sentences(errors=NEAR | FAR, faces=5)[0]
    assert first.endswith(
        "before far with 4.00; too few independent faces, subjects or sequences for a test."
    )


def test_range_with_a_handful_of_answers_is_no_finding(sentences) -> None:
    found = sentences(errors=NEAR, faces=16)
    assert len(found) == 2  # of 15 faces no two ranges of yaw have six


def test_share_of_a_range_that_was_answered_is_named(sentences) -> None:
    second = sentences(errors=NEAR | FAR, without_prediction={"far": 2})[1]
    assert re.search(r"4\.00 for far \(4\.00 at 0-30; \d+ of \d+ faces predicted\)", second)


def test_training_on_the_data_set_is_named_beside_the_lowest_error(make_run) -> None:
    folder = make_run(errors=NEAR | FAR)
    run = json.loads((folder / "run.json").read_text())
    run["methods"]["near"]["card"]["trained_on"] = ["heads"]
    (folder / "run.json").write_text(json.dumps(run))
    (section,) = gather(folder).sections
    assert section.sentences[0].endswith(
        "near was trained on this data set, which is an advantage."
    )


def test_two_methods_with_the_same_errors_are_told_apart_by_nothing(sentences) -> None:
    first = sentences(errors={"one": (1, 1, 1), "two": (1, 1, 1)})[0]
    assert "is not significant (p = 1.000)" in first


def test_method_that_answers_half_of_the_faces(sentences) -> None:
    first, *_, last = sentences(errors=NEAR | FAR, without_prediction={"far": 2})
    assert "over the 30 faces that every method predicted" in first
    assert last == (
        "Of the faces that count, far predicted 50.8 %, every other method all of them."
    )


def test_method_without_any_answer_is_not_ranked_but_named(sentences) -> None:
    found = sentences(errors=NEAR | FAR, without_prediction={"far": 1})
    assert found[0].startswith("On Heads, near errs by 2.00 degrees on average over 59 faces")
    assert found[-1] == (
        "Of the faces that count, far predicted none, every other method all of them."
    )


def test_nobody_answers(sentences) -> None:
    found = sentences(errors=NEAR | FAR, without_prediction={"near": 1, "far": 1})
    assert found == ["On Heads no method predicted a single face."]


def test_silence_of_all_is_said_once(sentences) -> None:
    found = sentences(errors=NEAR | FAR, without_prediction={"near": 2, "far": 2})
    assert found[-1] == "Every method predicted 50.8 % of the faces that count."


def test_single_silent_method(sentences) -> None:
    assert sentences(errors=FAR, without_prediction={"far": 2})[-1] == (
        "far predicted 50.8 % of the faces that count."
    )


def test_times_are_named_by_method_where_there_are_several(make_run) -> None:
    (section,) = gather(make_run(errors=NEAR | FAR)).sections
    assert section.sentences[-1].startswith(
        "Every face that counts was predicted by every method; one face takes near 4"
    )
