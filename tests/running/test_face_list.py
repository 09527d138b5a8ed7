"""The list of faces for other programs: exactly the faces that a run evaluates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import hpbench
from hpbench.cli import app
from hpbench.errors import DataError, UsageError
from hpbench.face import Camera
from hpbench.registry import make_dataset
from hpbench.running.evaluation import WITHOUT_BOX

SAMPLE = Path(__file__).resolve().parents[2] / "datasets" / "sample" / "images"


@pytest.fixture
def photos(tmp_path):
    """Eight faces, of which five can be evaluated; one id begins like a formula."""
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "=1+1.jpg").write_bytes((SAMPLE / "sample_004.jpg").read_bytes())
    good = "".join(f"{SAMPLE}/sample_{k:03d}.jpg,{k + 1},2.5,0,60,60,200,200\n" for k in range(4))
    table = tmp_path / "mine.csv"
    table.write_text(
        "image,yaw,pitch,roll,x0,y0,x1,y1\n"
        + good
        + "=1+1.jpg,7,1,0,60,60,200,200\n"
        + f"{SAMPLE}/sample_005.jpg,1200,1,0,60,60,200,200\n"
        + "broken.jpg,7,1,0,60,60,200,200\ngone.jpg,7,1,0,60,60,200,200\n"
    )
    return table


def test_the_listed_faces_are_those_that_a_run_scores(photos, tmp_path):
    listed = hpbench.faces(f"table={photos}", out=tmp_path / "faces.csv")
    hpbench.run("constant", f"table={photos}", timing="off", out=tmp_path / "run")
    faces = pd.read_parquet(tmp_path / "run" / "faces.parquet")
    scored = faces[faces["excluded"].isna()]
    written = pd.read_csv(tmp_path / "faces.csv")
    assert list(written["image_id"]) == list(scored["image_id"])
    box = ["x0", "y0", "x1", "y1"]
    np.testing.assert_array_equal(written[box], scored[box])
    assert listed.found.left_out == faces["excluded"].value_counts().to_dict()
    assert "=1+1.jpg" in set(written["image_id"])


def test_paths_are_absolute_and_lead_to_the_images(photos):
    table = hpbench.faces(f"table={photos}").table()
    assert all(Path(path).is_absolute() and Path(path).is_file() for path in table["image"])


def test_boxes_of_a_detector_are_those_of_a_run_with_it(tmp_path):
    listed = hpbench.faces("sample", boxes="dlib", limit=8)
    hpbench.run("constant", boxes="dlib", limit=8, timing="off", out=tmp_path / "run")
    faces = pd.read_parquet(tmp_path / "run" / "faces.parquet")
    found = faces[faces["box_status"] == "detected"]
    left_out = faces["box_status"].map(WITHOUT_BOX).value_counts()
    assert listed.found.left_out == left_out.to_dict()
    assert 0 < len(found) < len(faces)
    table = listed.table()
    assert list(table["image_id"]) == list(found["image_id"])
    np.testing.assert_array_equal(table[["x0", "y0", "x1", "y1"]], found[["x0", "y0", "x1", "y1"]])


def test_the_camera_of_a_face_can_be_put_together_again():
    row = hpbench.faces("sample", limit=3).table().iloc[2]
    matrix = [[row.fx, 0, row.cx], [0, row.fy, row.cy], [0, 0, 1]]
    camera = make_dataset("sample").records()[2].camera
    assert isinstance(camera, Camera)
    np.testing.assert_array_equal(matrix, camera.matrix)
    np.testing.assert_array_equal(row[["k1", "k2", "p1", "p2", "k3"]], camera.distortion)


def test_terminal_counts_what_is_left_out(photos, tmp_path):
    out = tmp_path / "new" / "faces.csv"
    done = CliRunner().invoke(app, ["faces", str(photos), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "8 faces, 5 listed, 3 not listed" in done.stdout
    assert "1: gone.jpg: no such image" in done.stdout
    assert done.stdout.splitlines()[-1] == str(out)


@pytest.mark.parametrize("name", ["labels.csv", "faces.parquet"])
def test_table_of_the_user_is_not_replaced(photos, tmp_path, name):
    kept = tmp_path / name
    kept.write_text("image,yaw,pitch,roll\na.jpg,1,2,3\n")
    done = CliRunner().invoke(app, ["faces", str(photos), "--out", str(kept)])
    assert isinstance(done.exception, UsageError)
    assert kept.read_text().endswith("a.jpg,1,2,3\n")


def test_list_of_faces_is_replaced_by_a_new_one(photos, tmp_path):
    for _ in range(2):
        hpbench.faces(f"table={photos}", out=tmp_path / "faces.csv")


def test_no_face_at_all_is_an_error_with_the_commonest_reason(photos):
    photos.write_text("image,yaw,pitch,roll,x0,y0,x1,y1\ngone.jpg,7,1,0,60,60,200,200\n")
    with pytest.raises(DataError, match=r"none of its 1 faces is evaluated; 1: gone.jpg: no such"):
        hpbench.faces(f"table={photos}")


def test_two_data_sets_are_refused():
    with pytest.raises(UsageError, match="name one data set"):
        hpbench.faces("sample,aflw2000")
