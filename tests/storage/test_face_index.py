"""The index of a data set gives back the records that it was made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from hpbench.dataset import Label, Record
from hpbench.errors import DataError
from hpbench.face import Camera
from hpbench.storage.face_index import CHUNK_RECORDS, FaceIndex

CAMERA = Camera(np.array([[1e3 / 3, 0, 64], [0, 1e3 / 7, 64], [0, 0, 1]]), np.arange(5.0) / 3)
FULL = Record(
    "a", Path("/data/x/a.png"), Label.from_angles(10.1, -20.2, 30.3), np.arange(4) / 3, None,
    "one", CAMERA, np.arange(136).reshape(68, 2) / 7,
    {"light": "lamp", "fov_deg": np.float64(0.1), "row": np.int64(3)},
)  # fmt: skip
PARTLY = Record("b", Path("/other/b.png"), Label.from_angles(1.0, 2.0, float("nan")))
BARE = Record("c", Path("/data/c.png"), None, excluded="corrupted label")


def assert_equal(found: Record, expected: Record) -> None:
    for name in ("image_id", "image_path", "excluded", "group", "factors"):
        assert getattr(found, name) == getattr(expected, name)
    for name in ("box_xyxy", "landmarks_xy"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert (found.label is None) == (expected.label is None)
    if expected.label is not None:
        np.testing.assert_array_equal(found.label.angles_deg, expected.label.angles_deg)
        np.testing.assert_array_equal(found.label.R_cam, expected.label.R_cam)
    assert (found.camera is None) == (expected.camera is None)
    if expected.camera is not None:
        np.testing.assert_array_equal(found.camera.matrix, expected.camera.matrix)
        np.testing.assert_array_equal(found.camera.distortion, expected.camera.distortion)


def test_every_field_of_a_record_comes_back_also_from_a_file(tmp_path):
    records = [FULL, PARTLY, BARE]
    index = FaceIndex.read("x", records, Path("/data"))
    pq.write_table(index.table, tmp_path / "index.parquet")
    stored = FaceIndex(pq.read_table(tmp_path / "index.parquet"), Path("/data"))
    for found in (index, stored):
        for one, expected in zip(found, records, strict=True):
            assert_equal(one, expected)


def test_moved_folder_is_where_its_images_are():
    index = FaceIndex.read("x", [FULL, PARTLY], Path("/data"))
    moved = FaceIndex(index.table, Path("/moved"))
    assert [one.image_path for one in moved] == [Path("/moved/x/a.png"), Path("/other/b.png")]


def test_records_are_found_by_row():
    count = CHUNK_RECORDS + 3
    index = FaceIndex.read(
        "x",
        (Record(str(k), Path("a"), Label.from_angles(k % 90, 0, 0)) for k in range(count)),
        None,
    )
    assert len(index) == count
    assert [index[k].image_id for k in (0, CHUNK_RECORDS, -1)] == ["0", "1024", "1026"]
    assert [one.image_id for one in index[1022:1026]] == ["1022", "1023", "1024", "1025"]
    rows = np.array([1025, 3])
    assert [one.image_id for one in index.take(rows)] == ["1025", "3"]
    with pytest.raises(IndexError):
        index[count]


def test_face_without_label_is_excluded():
    index = FaceIndex.read("x", [FULL, Record("d", Path("d.png"), None)], None)
    assert index.included().tolist() == [True, False]
    assert index[1].excluded == "no label"


def test_inputs_of_excluded_faces_do_not_count():
    excluded = Record("d", Path("d.png"), None, excluded="blurred", camera=CAMERA)
    index = FaceIndex.read("x", [PARTLY, excluded], None)
    assert not index.has_some("camera_matrix")
    assert FaceIndex.read("x", [FULL, PARTLY], None).has_some("camera_matrix")


def test_id_that_occurs_twice_is_refused():
    with pytest.raises(DataError, match="two faces with the id 'a'"):
        FaceIndex.read("x", [FULL, PARTLY, FULL], None)


def test_data_set_without_faces_is_refused():
    with pytest.raises(DataError, match="holds no faces"):
        FaceIndex.read("x", [], None)


def test_a_face_needs_some_hundred_bytes():
    records = (
        Record(
            f"subject-07/frame_{k:05d}", Path(f"/data/07/frame_{k:05d}_rgb.png"),
            Label.from_angles(k % 90, 1.5, -2.5), np.array([1.0, 2.0, 3.0, 4.0]), group="07",
        )
        for k in range(5000)
    )  # fmt: skip
    assert FaceIndex.read("x", records, Path("/data")).table.nbytes / 5000 < 300
