"""Commands that would write what they read, or say how to read what they have written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from hpbench.cli import app
from hpbench.errors import DataError, UsageError


@pytest.fixture
def labels(tmp_path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png", exif=exif)
    rows = ["image,yaw,pitch,roll,x0,y0,x1,y1", "a.png,0,0,0,5,5,30,30"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path / "labels.csv"


def invoke(*words: object) -> str:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False).output


@pytest.mark.parametrize("command", [["faces"], ["label", "--methods", "constant"]])
def test_table_that_is_read_is_not_overwritten(labels, command):
    before = labels.read_bytes()
    name, *options = command
    reason = "is read and would be overwritten|exists and is not from .*"
    with pytest.raises(UsageError, match=f"({reason}); name another file"):
        invoke(name, f"table={labels}", *options, "--out", labels)
    assert labels.read_bytes() == before


@pytest.mark.parametrize("exif", ["ignore", "boxes"])
def test_labels_are_to_be_read_with_the_turn_that_the_teachers_saw(labels, tmp_path, exif):
    out = tmp_path / "labelled.csv"
    said = invoke("label", f"{labels}[exif={exif}]", "--methods", "constant", "--out", out)
    assert ("use it as: table=" + str(out) + "[exif=ignore]" in said) == (exif == "ignore")


def test_limit_of_pixels_is_an_option_where_the_error_names_it(labels, tmp_path):
    command = ["label", f"table={labels}", "--methods", "constant", "--out", tmp_path / "out.csv"]
    with pytest.raises(DataError, match=r"raise it with --max-pixels 2400 \(of .*'label'\)"):
        invoke(*command, "--max-pixels", 100)
    assert "1 faces" in invoke(*command, "--max-pixels", 2400)


def test_time_constant_without_smoothing_is_refused(labels):
    with pytest.raises(UsageError, match="--smooth-seconds: has no effect without --smooth"):
        invoke("predict", labels.parent, "--methods", "constant", "--smooth-seconds", 0.5)


def test_what_pillow_warns_of_is_kept_off_the_terminal(labels, tmp_path):
    image = Image.radial_gradient("L").resize((60, 40)).convert("P")
    image.save(tmp_path / "a.png", transparency=bytes(range(256)))
    words = ["faces", f"table={labels}", "--out", tmp_path / "faces.csv"]
    command = [sys.executable, "-m", "hpbench", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "1 listed" in done.stdout
    assert "Warning" not in done.stderr
