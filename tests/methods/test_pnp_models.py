from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from hpbench.errors import UsageError
from hpbench.methods.pnp import face_model, model_names
from hpbench.methods.pnp.models import ict_shape_model

# Partners under mirroring in the iBUG-68 annotation (ibug.doc.ic.ac.uk, 300-W), from 0.
_JAW = [(i, 16 - i) for i in range(8)]
_BROWS = [(i, 43 - i) for i in range(17, 22)]
_EYES = [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
_NOSE = [(31, 35), (32, 34)]
_MOUTH = [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)]


@pytest.mark.parametrize("name", model_names())
def test_a_model_is_a_frontal_face_in_camera_axes(name):
    model = face_model(name)
    at = dict(zip(model.landmark_ids.tolist(), model.points, strict=True))
    right, down, away = 0, 1, 2
    assert at[45][right] > at[36][right]  # subject's left eye is on the right of the image
    assert at[48][down] > at[36][down]  # mouth below eyes
    assert at[30][away] == min(point[away] for point in at.values())  # nose nearest to the camera


@pytest.mark.parametrize("name", ["ict68", "mallick6"])
def test_a_model_is_its_own_mirror_image(name):
    model = face_model(name)
    at = dict(zip(model.landmark_ids.tolist(), model.points, strict=True))
    for left, right in [*_JAW, *_BROWS, *_EYES, *_NOSE, *_MOUTH]:
        if left in at:
            assert at[left] == pytest.approx(at[right] * [-1, 1, 1], abs=1e-3)


def test_the_inner_model_is_the_full_one_without_jaw():
    full, inner = face_model("ict68"), face_model("ict51")
    assert inner.landmark_ids.tolist() == list(range(17, 68))
    assert np.array_equal(inner.points, full.points[17:])


def test_the_ict_face_has_the_size_of_a_head():
    points = dict(enumerate(face_model("ict68").points))
    outer_eye_corners_cm = np.linalg.norm(points[36] - points[45])
    assert 8.0 < outer_eye_corners_cm < 10.0  # anthropometry: 8.8 cm on average


def test_the_ict_rows_are_those_of_the_original(shared_path, tmp_path):
    """The shipped file again by its tool."""
    tool = Path(__file__).parents[2] / "tools" / "make_ict_landmarks.py"
    original, licence = (
        str(shared_path(f"assets/ict_facekit_{name}")) for name in ("head.npz", "LICENSE.txt")
    )
    subprocess.run([sys.executable, tool, original, licence, tmp_path], check=True)
    shipped = files("hpbench.methods.pnp")
    with (
        shipped.joinpath("ict_facekit_landmarks.npz").open("rb") as stream,
        np.load(stream) as ours,
        np.load(tmp_path / "ict_facekit_landmarks.npz") as made,
        np.load(original) as source,
    ):
        assert set(ours) == set(made) == {"mean", "normals", "identity", "expression"}
        for name in ours:
            np.testing.assert_allclose(ours[name], made[name], atol=1e-6)
        rows = source["landmarks68"]
        np.testing.assert_array_equal(ours["mean"], source["mean"][rows])
        np.testing.assert_array_equal(ours["identity"], source["identity"][:, rows])
    notice = shipped.joinpath("ict_facekit_LICENSE.txt").read_text("utf-8")
    assert "Copyright (c) 2020 USC Institute for Creative Technologies" in notice
    assert notice == (tmp_path / "ict_facekit_LICENSE.txt").read_text("utf-8")


def test_the_modes_hold_nearly_all_movement_of_the_ict_landmarks():
    modes = ict_shape_model().modes
    with (
        files("hpbench.methods.pnp").joinpath("ict_facekit_landmarks.npz").open("rb") as stream,
        np.load(stream) as rows,
    ):
        everything = np.square(rows["identity"].astype(float)).sum()
        everything += np.square(0.25 * rows["expression"].astype(float)).sum()
    assert np.square(modes).sum() > 0.95 * everything


def test_normals_of_the_ict_face_point_out_of_the_head():
    model = ict_shape_model()
    np.testing.assert_allclose(np.linalg.norm(model.normals, axis=1), 1.0, atol=1e-5)
    nose, left_jaw, right_jaw = model.normals[[30, 0, 16]]
    assert nose[2] < -0.9 and left_jaw[0] < -0.9 and right_jaw[0] > 0.9


def test_an_unknown_model_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'mallick6'"):
        face_model("malick6")
