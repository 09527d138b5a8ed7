"""What is said where a report was to hold faces and does not."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from hpbench.cli import app
from hpbench.errors import UsageError
from hpbench.inference.progress import NoProgress
from hpbench.reports import write_report
from hpbench.results.run_config import RunConfig
from hpbench.running.runner import run


@pytest.fixture
def own_photos(tmp_path) -> tuple[Path, Path]:
    """Run folder of a table of six images, and the table."""
    for number in range(6):
        Image.new("RGB", (64, 64), (40 * number,) * 3).save(tmp_path / f"{number}.png")
    rows = "".join(f"{number}.png,{number},0,0,8,8,56,56\n" for number in range(6))
    table = tmp_path / "mine.csv"
    table.write_text(f"image,yaw,pitch,roll,x0,y0,x1,y1\n{rows}")
    config = RunConfig(
        methods="constant", datasets="table", data={"table": table}, timing="off", workers=1
    )
    return run(config, tmp_path / "run", NoProgress()), table


def warnings(caplog) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


def test_faces_whose_folder_is_not_named_are_asked_for(own_photos, caplog) -> None:
    folder, table = own_photos
    write_report(folder, ["html"], embed_images=True)
    (line,) = warnings(caplog)
    assert line.startswith("no face of 'table' is embedded: ")
    assert f"--data table={table}" in line


def test_faces_that_cannot_be_read_are_said_to_be_missing(own_photos, caplog) -> None:
    folder, table = own_photos
    for image in table.parent.glob("*.png"):
        image.unlink()
    write_report(folder, ["html"], embed_images=True, data={"table": table})
    (line,) = warnings(caplog)
    assert line == "no face of 'table' is embedded: none of its images can be read"


def test_embedded_faces_need_no_words(own_photos, caplog) -> None:
    folder, table = own_photos
    write_report(folder, ["html"], embed_images=True, data={"table": table})
    assert warnings(caplog) == []


def test_folder_that_does_not_exist_is_refused(plain_run) -> None:
    done = CliRunner().invoke(app, ["report", str(plain_run), "--data", "heads=/nope"])
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == "--data heads=/nope: no such file or folder"
