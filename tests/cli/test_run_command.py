"""``hpbench run`` from its words to the report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpbench.cli import app
from hpbench.errors import UsageError

SAMPLE = Path(__file__).resolve().parents[2] / "datasets" / "sample" / "images"
PICTURE = re.compile(r"data:image/jpeg;base64")


@pytest.fixture
def own_photos(tmp_path, monkeypatch):
    """A table of twelve images of the user's own."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{SAMPLE}/sample_{k:03d}.jpg,{k},0,0,60,60,200,200\n" for k in range(12))
    Path("mine.csv").write_text("image,yaw,pitch,roll,x0,y0,x1,y1\n" + rows)


@pytest.mark.usefixtures("own_photos")
def test_own_photos_go_into_the_report_only_when_asked(page_data):
    words = ["run", "--methods", "constant", "--datasets", "table=mine.csv", "--timing", "off"]
    for out, further in (("without", []), ("with", ["--embed-images"])):
        done = CliRunner().invoke(app, [*words, "--out", out, *further])
        assert done.exit_code == 0, done.output
    without, embedded = (
        page + json.dumps(page_data(page))
        for page in (Path(out, "report.html").read_text() for out in ("without", "with"))
    )
    assert not PICTURE.search(without)
    assert len(PICTURE.findall(embedded)) >= 12


@pytest.mark.usefixtures("own_photos")
def test_excluded_faces_are_printed_with_the_reason():
    table = Path("mine.csv").read_text().replace(",7,0,0,", ",10444.3,0,0,")
    Path("mine.csv").write_text(table)
    words = ["run", "--methods", "constant", "--datasets", "mine.csv", "--timing", "off"]
    done = CliRunner().invoke(app, [*words, "--out", "out", "--no-report"])
    assert done.exit_code == 0, done.output
    assert "12 faces, 1 excluded" in done.output
    assert re.search(r"Excluded on table:\n  1: .*10444\.3", done.output)


@pytest.mark.usefixtures("own_photos")
def test_finished_run_takes_other_slices_without_predicting_again():
    words = ["run", "--methods", "constant", "--datasets", "table=mine.csv", "--timing", "off"]
    shown, stored = [], []
    for by in ("abs_yaw=0:6:12", "abs_yaw=0:4:12"):
        done = CliRunner().invoke(app, [*words, "--out", "out", "--by", by])
        assert done.exit_code == 0, done.output
        (result,) = json.loads(Path("out/results.json").read_text())["results"]
        shown.append([(one["slice"], one["faces"]) for one in result["slices"]])
        stored.append(Path("out/predictions.parquet").stat().st_mtime_ns)
    assert shown == [[("0 to 6", 6), ("6 to 12", 6)], [("0 to 4", 4), ("4 to 12", 8)]]
    assert stored[0] == stored[1]


@pytest.mark.usefixtures("own_photos")
def test_factor_that_gives_no_slices_is_said_on_the_terminal_of_a_run_and_of_a_report():
    words = ["run", "--methods", "constant", "--datasets", "table=mine.csv", "--timing", "off"]
    for command in ([*words, "--out", "out", "--by", "abs_roll=-1:99"],
                    ["report", "out", "--by", "abs_roll=-1:99", "--format", "md"]):  # fmt: skip
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        assert (
            "table: no slices by abs_roll: all faces have the same value, -1 to 99" in done.stderr
        )
    done = CliRunner().invoke(app, ["report", "out", "--by", "abs_yaw=0:6:12", "--format", "md"])
    assert "no slices" not in done.stderr


@pytest.mark.usefixtures("own_photos")
def test_report_by_other_factors_names_the_command_that_writes_it():
    words = ["run", "--methods", "constant", "--datasets", "table=mine.csv", "--timing", "off"]
    CliRunner().invoke(app, [*words, "--out", "out", "--by", "abs_yaw=0:6:12"])
    assert "hpbench report" not in _reproduction(Path("out/report.md"))
    CliRunner().invoke(app, ["report", "out", "--by", "abs_yaw=0:4:12"])
    assert "hpbench report out --by abs_yaw=0:4:12" in _reproduction(Path("out/report.md"))
    assert "hpbench report out --by abs_yaw=0:4:12" in Path("out/report.html").read_text()


def _reproduction(report: Path) -> str:
    return report.read_text(encoding="utf-8").partition("## How to reproduce")[2]


def test_unreadable_slices_are_refused_before_anything_runs(tmp_path):
    done = CliRunner().invoke(
        app, ["run", "--methods", "constant", "--by", "a=2:1", "--out", str(tmp_path / "out")]
    )
    assert isinstance(done.exception, UsageError)
    assert not (tmp_path / "out").exists()


def test_help_says_what_embedding_means():
    shown = " ".join(CliRunner().invoke(app, ["run", "--help"], terminal_width=200).output.split())
    assert "--embed-images" in shown
    assert "mind the data set's terms" in shown
