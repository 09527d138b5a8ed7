"""Conditions of ``compare --fail-if`` that cannot be read, or cannot be judged."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from hpbench.errors import UsageError
from hpbench.inference.progress import NoProgress
from hpbench.results.run_config import RunConfig
from hpbench.running.runner import run
from hpbench.scoring.comparison import RunComparison, compare_runs
from hpbench.scoring.conditions import failures, parse_condition


@pytest.fixture(scope="module")
def timed(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "timed"
    run(RunConfig(methods="constant", limit=8, timing_images=1), out, NoProgress())
    (out / "SHA256SUMS").unlink()  # as of a run that was made elsewhere
    return out


def compared_with_copy(folder: Path, to: Path, **hardware) -> RunComparison:
    """A run against a copy from a machine that differs in these."""
    copy = Path(shutil.copytree(folder, to))
    record = json.loads((copy / "run.json").read_text())
    record["hardware"] |= hardware
    (copy / "run.json").write_text(json.dumps(record))
    return compare_runs(folder, copy)


@pytest.mark.parametrize("text", ["bias_yaw>+10%", "bias_roll < -5%"])
def test_percent_of_a_metric_with_a_sign_is_refused(text):
    with pytest.raises(UsageError, match=r"can be negative.*write the change itself, as in bias_"):
        parse_condition(text)


def test_change_of_a_metric_with_a_sign_is_measured_in_degrees():
    assert parse_condition("bias_yaw>+0.5").of == "change"


@pytest.mark.parametrize(
    ("hardware", "said"),
    [
        ({"processor": "another"}, "processor is .* and another"),
        ({"cores": 999}, r"cores is \d+ and 999"),
        ({"device": "cuda:0"}, "device is cpu and cuda:0"),
    ],
)
def test_times_of_other_hardware_are_noted_and_no_change_of_them_is_judged(
    timed, tmp_path, hardware, said
):
    found = compared_with_copy(timed, tmp_path / "copy", **hardware)
    (note,) = found.changes[0].notes
    (failed,) = failures(found, [parse_condition("time<-10%")])
    said = f"times were measured on different machines: {said}"
    assert note == failed.problem
    assert re.fullmatch(said, note)


def test_times_of_the_same_hardware_are_judged(timed, tmp_path):
    found = compared_with_copy(timed, tmp_path / "copy", memory_gib=1.0)
    assert found.changes[0].notes == ()
    assert failures(found, [parse_condition("time>+10%")]) == []


def test_own_time_of_the_candidate_is_judged_on_any_hardware(timed, tmp_path):
    found = compared_with_copy(timed, tmp_path / "copy", processor="another")
    assert failures(found, [parse_condition("time>1000000")]) == []


def test_accuracy_is_judged_on_any_hardware(timed, tmp_path):
    found = compared_with_copy(timed, tmp_path / "copy", processor="another")
    assert failures(found, [parse_condition("mae>+0.2")]) == []


def test_own_error_of_the_candidate_is_that_of_all_faces_it_predicted(tmp_path):
    for name, spec in (("a", "pnp"), ("b", "pnp[check=off]")):
        config = RunConfig(methods=spec, limit=30, timing="off")
        run(config, tmp_path / name, NoProgress())
    found = compare_runs(tmp_path / "a", tmp_path / "b")
    (row,) = json.loads((tmp_path / "b" / "results.json").read_text())["results"]
    (change,) = found.changes
    own, paired = row["mae_deg"]["mean"], change.values_b["mae"]
    assert paired < own - 1.0  # what the baseline left out is hard
    middle = (paired + own) / 2
    assert failures(found, [parse_condition(f"mae>{middle:.3f}")])
    assert not failures(found, [parse_condition(f"mae>{own + 0.01:.3f}")])
