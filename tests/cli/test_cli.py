"""The command line as a user meets it: exit codes, one clear line, no traceback."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def hpbench(*arguments, cwd=None, env=None):
    return subprocess.run(
        [sys.executable, "-m", "hpbench", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env,
        timeout=300,
    )


@pytest.fixture
def labels(tmp_path):
    for k in range(4):
        Image.new("RGB", (64, 64), (60 * k,) * 3).save(tmp_path / f"{k}.png")
    rows = "\n".join(f"{k}.png,{10 * k},0,0,8,8,56,56" for k in range(4))
    table = tmp_path / "labels.csv"
    table.write_text(f"image,yaw,pitch,roll,x0,y0,x1,y1\n{rows}\n")
    return table


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of `constant` on four images."""
    folder = tmp_path_factory.mktemp("finished")
    for k in range(4):
        Image.new("RGB", (64, 64), (60 * k,) * 3).save(folder / f"{k}.png")
    rows = "\n".join(f"{k}.png,{10 * k},0,0,8,8,56,56" for k in range(4))
    (folder / "labels.csv").write_text(f"image,yaw,pitch,roll,x0,y0,x1,y1\n{rows}\n")
    done = hpbench(
        "run", "--methods", "constant", "--datasets", f"table={folder / 'labels.csv'}",
        "--out", folder / "run",
    )  # fmt: skip
    return done, folder / "run"


def assert_one_clear_line(done, code, *words):
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("hpbench: ")
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["run"], "missing option '--methods' (see 'hpbench run --help')"),
        (["run", "--methods", "constant", "--nope"], "no such option: --nope"),
        (["rnu"], "Did you mean 'run'?"),
    ],
)
def test_command_line_that_cannot_be_parsed_is_one_line(arguments, problem):
    assert_one_clear_line(hpbench(*arguments), 2, problem)


def test_no_command_at_all_shows_the_help():
    assert hpbench().stderr.startswith("Usage: hpbench")


def test_help_loads_no_heavy_library():
    heavy = ["torch", "cv2", "dlib", "pandas", "matplotlib", "scipy", "pyarrow", "rich"]
    code = (
        f"import sys\nimport hpbench, hpbench.cli\nprint([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_names_the_commands():
    done = hpbench("--help")
    assert done.returncode == 0
    for command in ("run", "report", "list", "weights"):
        assert command in done.stdout


def test_list_names_methods_data_sets_and_protocols():
    done = hpbench("list")
    assert done.returncode == 0, done.stderr
    for name in ("hopenet", "pnp", "constant", "aflw2000", "biwi", "hopenet-paper", "sample"):
        assert name in done.stdout


def test_run_prints_a_table_and_the_report_last(finished):
    done, folder = finished
    assert done.returncode == 0, done.stderr
    assert "constant" in done.stdout
    assert done.stdout.strip().splitlines()[-1].endswith("report.md")
    assert (folder / "report.md").exists()


def test_results_file_has_the_documented_keys(finished):
    results = json.loads((finished[1] / "results.json").read_text())
    assert results["schema"] == 2
    row = results["results"][0]
    documented = {
        "dataset", "method", "method_spec", "protocol", "boxes", "images", "mae_deg",
        "geodesic_deg", "by_abs_yaw", "runtime_ms", "weights_sha256",
    }  # fmt: skip
    assert documented <= set(row)
    assert row["images"] == {"total": 4, "excluded": 0, "scored": 4, "no_answer": 0}
    assert row["mae_deg"]["yaw"] == pytest.approx(15.0)  # mean of 0, 10, 20, 30


def test_report_can_be_written_again(finished):
    (finished[1] / "report.md").unlink()
    done = hpbench("report", finished[1])
    assert done.returncode == 0, done.stderr
    assert (finished[1] / "report.md").exists()


def test_report_writes_the_formats_that_are_asked_for(finished):
    done = hpbench("report", finished[1], "--format", "csv,latex")
    assert done.returncode == 0, done.stderr
    assert (finished[1] / "tables.tex").exists()


def test_unknown_report_format_is_a_usage_error(finished):
    done = hpbench("report", finished[1], "--format", "pdf")
    assert_one_clear_line(done, 2, "no report format 'pdf'")


def test_unknown_method_is_a_usage_error_with_the_nearest_match():
    assert_one_clear_line(hpbench("run", "--methods", "hoppenet"), 2, "hopenet")


def test_unknown_option_is_a_usage_error_with_the_nearest_match():
    done = hpbench("run", "--methods", "pnp[modle=mallick6]")
    assert_one_clear_line(done, 2, "modle", "'model'")


def test_unknown_data_set_is_a_usage_error():
    done = hpbench("run", "--methods", "constant", "--datasets", "aflw200")
    assert_one_clear_line(done, 2, "aflw2000")


def test_data_for_a_data_set_outside_the_run_is_a_usage_error(tmp_path):
    done = hpbench("run", "--methods", "constant", "--data", f"biwi={tmp_path}")
    assert_one_clear_line(done, 2, "biwi")


def test_data_set_without_folder_says_how_to_name_it():
    done = hpbench("run", "--methods", "constant", "--datasets", "aflw2000")
    assert_one_clear_line(done, 1, "--data aflw2000=DIR")


def test_missing_folder_is_named(tmp_path):
    gone = tmp_path / "gone"
    done = hpbench("run", "--methods", "constant", "--datasets", "biwi", "--data", f"biwi={gone}")
    assert_one_clear_line(done, 1, str(gone))


def test_unknown_box_source_is_a_usage_error():
    done = hpbench("run", "--methods", "constant", "--boxes", "magic")
    assert_one_clear_line(done, 2, "magic")


def test_absent_device_is_a_usage_error(labels):
    done = hpbench(
        "run", "--methods", "constant", "--datasets", f"table={labels}", "--device", "cuda:77"
    )
    assert_one_clear_line(done, 2, "cuda:77", "--device cpu")


def test_report_of_no_run_folder_is_a_data_error(tmp_path):
    assert_one_clear_line(hpbench("report", tmp_path), 1, "run.json")


def test_debug_shows_the_traceback():
    done = hpbench("--debug", "run", "--methods", "hoppenet")
    assert "Traceback" in done.stderr


def test_verbose_version_has_what_a_bug_report_needs_and_no_paths():
    done = hpbench("--version", "--verbose")
    assert done.returncode == 0, done.stderr
    words = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert words["hpbench"] == version("hpbench")
    assert words["python"].startswith(platform.python_version())
    assert words["numpy"] == np.__version__
    assert {"commit", "system", "processor", "device", "torch", "mediapipe"} <= set(words)
    assert str(Path.home()) not in done.stdout


def test_plain_version_is_one_line():
    assert hpbench("--version").stdout == f"hpbench {version('hpbench')}\n"
