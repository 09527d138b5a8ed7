"""Third-party packages in a separate environment: a good one, and three that are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parent / "packages"


@pytest.fixture(scope="module")
def environment(new_environment, tmp_path_factory):
    sources = tmp_path_factory.mktemp("sources") / "packages"
    shutil.copytree(PACKAGES, sources)  # building leaves files beside the source
    made = new_environment("third_party")
    made.install(*sorted(sources.iterdir()))
    return made


@pytest.fixture(scope="module")
def listing(environment):
    done = environment.run("hpbench", "list")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_good_plugin_runs_beside_the_built_ins(environment, tmp_path):
    done = environment.run(
        *("hpbench", "run", "--methods", "steady,constant", "--datasets", "dots,sample"),
        *("--limit", "6", "--timing-images", "0", "--device", "cpu", "--out", tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["results"]
    evaluations = {(row["dataset"], row["method"]): row["mae_deg"]["yaw"] for row in rows}
    assert set(evaluations) == {(d, m) for d in ("dots", "sample") for m in ("steady", "constant")}
    assert evaluations["dots", "steady"] == pytest.approx(20 / 3)  # of 0, 10, 20 degrees
    assert evaluations["dots", "constant"] == pytest.approx(10.0)


def test_third_party_metric_is_in_results_report_and_conditions(environment, tmp_path):
    done = environment.run(
        *("hpbench", "run", "--methods", "steady,constant", "--datasets", "dots"),
        *("--timing", "off", "--device", "cpu", "--out", tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["results"]
    assert [row["upside_down"] for row in rows] == [0.0, 0.0]
    assert "Upside down" in (tmp_path / "run" / "report.html").read_text()
    judged = environment.run(
        *("hpbench", "compare", tmp_path / "run", tmp_path / "run", "--fail-if", "upside_down>0"),
    )
    assert judged.returncode == 0, judged.stderr
    assert "upside_down" in judged.stdout


def test_faces_are_found_by_a_third_party_detector(environment, tmp_path):
    done = environment.run(
        *("hpbench", "run", "--methods", "constant", "--datasets", "dots", "--boxes", "middle"),
        *("--timing", "off", "--device", "cpu", "--out", tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "run" / "results.json").read_text())["results"]
    assert row["mae_deg"]["yaw"] == pytest.approx(10.0)


def test_good_plugin_passes_the_conformance_checks(environment):
    done = environment.run("hpbench", "check", "steady", "--limit", "12")
    assert done.returncode == 0, done.stdout + done.stderr


def test_list_names_every_refused_plugin_and_shows_the_others(listing):
    lines = {line.split()[0]: line for line in listing.splitlines() if line.strip()}
    assert "always a little to the left" in lines["steady"]
    assert "three grey images" in lines["dots"]
    assert "in the middle of every image" in lines["middle"]
    assert "always frontal" in lines["constant"]
    for refused in ("shattered", "pnp", "futuristic"):
        assert "cannot be used" in lines[refused]


@pytest.mark.parametrize(
    ("method", "reasons"),
    [
        ("shattered", ("hpbench-broken 0.3.1", "No module named 'a_module_that_is_nowhere'")),
        ("pnp", ("hpbench-duplicate 0.3.1", "hpbench 0", "rename or uninstall one")),
        ("futuristic", ("hpbench-newer 0.3.1", "contract 99", "update hpbench")),
    ],
)
def test_refused_plugin_stops_only_the_run_that_asks_for_it(environment, method, reasons, tmp_path):
    done = environment.run("hpbench", "run", "--methods", method, "--out", tmp_path / "run")
    assert done.returncode in (1, 2)
    assert len(done.stderr.strip().splitlines()) == 1
    for reason in reasons:
        assert reason in done.stderr


def test_weights_list_passes_over_broken_plugins(environment):
    done = environment.run("hpbench", "weights", "list")
    assert done.returncode == 0
    assert "hopenet/alpha1" in done.stdout
    assert "shattered: cannot be used" in done.stderr
