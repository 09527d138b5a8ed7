from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest

from hpbench.errors import UsageError
from hpbench.methods.pnp import face_model, model_names

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
            assert at[left] == pytest.approx(at[right] * [-1, 1, 1])


def test_the_inner_model_is_the_full_one_without_jaw():
    full, inner = face_model("ict68"), face_model("ict51")
    assert inner.landmark_ids.tolist() == list(range(17, 68))
    assert np.array_equal(inner.points, full.points[17:])


def test_the_ict_face_has_the_size_of_a_head():
    points = dict(enumerate(face_model("ict68").points))
    outer_eye_corners_cm = np.linalg.norm(points[36] - points[45])
    assert 8.0 < outer_eye_corners_cm < 10.0  # anthropometry: 8.8 cm on average


def test_the_ict_table_is_the_mean_face_of_the_original(shared_path):
    with np.load(shared_path("assets/ict_facekit_head.npz")) as original:
        mean = original["mean"][original["landmarks68"]].astype(float)
    assert np.abs(face_model("ict68").points * [1, -1, -1] - mean).max() < 6e-4


def test_the_ict_table_carries_its_licence(shared_path):
    notice = shared_path("assets/ict_facekit_LICENSE.txt").read_text("utf-8").split()
    table = files("hpbench.methods.pnp").joinpath("ict_facekit_landmarks.csv").read_text("utf-8")
    comments = [line.lstrip("# ") for line in table.splitlines() if line.startswith("#")]
    assert " ".join(notice) in " ".join(" ".join(comments).split())


def test_an_unknown_model_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'mallick6'"):
        face_model("malick6")
