"""Records that wait on disk are the records, and do not fill the memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import hpbench.running.records
from hpbench.dataset import Label, Record
from hpbench.face import Camera
from hpbench.running.records import CHUNK_RECORDS, ChosenRecords, LazyRecords


@pytest.fixture(autouse=True)
def few_wait_in_memory(monkeypatch):
    monkeypatch.setattr(hpbench.running.records, "MEMORY_RECORDS", 1)


def records(count: int):
    for number in range(count):
        yield Record(
            f"face {number}",
            Path("images.zip"),  # pathlib keeps a table of the names of all files
            Label.from_angles(number % 90, 0.5, float("nan")),
            box_xyxy=np.array([0.0, 0.0, number, 1.0]),
            landmarks_xy=np.random.default_rng(number).random((68, 2)),
            factors={"light": "lamp"},
        )


def test_records_come_back_as_they_were():
    count = 2 * CHUNK_RECORDS + 3
    lazy = LazyRecords(lambda: records(count))
    assert len(lazy) == count
    for one, expected in zip(lazy, records(count), strict=True):
        assert (one.image_id, one.image_path) == (expected.image_id, expected.image_path)
        np.testing.assert_array_equal(one.landmarks_xy, expected.landmarks_xy)
        np.testing.assert_array_equal(one.label.angles_deg, expected.label.angles_deg)
        assert one.label.R_cam is None and one.factors == expected.factors


def test_every_field_of_a_record_comes_back():
    camera = Camera(np.array([[1e3 / 3, 0, 64], [0, 1e3 / 7, 64], [0, 0, 1]]), np.arange(5.0) / 3)
    label = Label.from_angles(10.1, -20.2, 30.3)
    full = Record(
        "a", Path("a.png"), label, np.arange(4) / 3, None, "one", camera,
        np.arange(136).reshape(68, 2) / 7, {"light": "lamp", "fov_deg": np.float64(0.1)},
    )  # fmt: skip
    bare = Record("b", Path("b.png"), None, excluded="no label")
    first, second = LazyRecords(lambda: [full, bare])
    for name in ("image_id", "image_path", "excluded", "group", "factors"):
        assert getattr(first, name) == getattr(full, name)
    for name in ("box_xyxy", "landmarks_xy"):
        np.testing.assert_array_equal(getattr(first, name), getattr(full, name))
    np.testing.assert_array_equal(first.label.R_cam, label.R_cam)
    np.testing.assert_array_equal(first.camera.matrix, camera.matrix)
    np.testing.assert_array_equal(first.camera.distortion, camera.distortion)
    assert second == bare


def test_records_are_found_by_place():
    lazy = LazyRecords(lambda: records(600))
    assert [lazy[k].image_id for k in (599, 0, 255, 256, -1)] == [
        "face 599", "face 0", "face 255", "face 256", "face 599",
    ]  # fmt: skip
    assert [one.image_id for one in lazy[254:258]] == [f"face {k}" for k in range(254, 258)]
    with pytest.raises(IndexError):
        lazy[600]


def test_few_records_are_those_that_were_read(monkeypatch):
    monkeypatch.setattr(hpbench.running.records, "MEMORY_RECORDS", 600)
    read = list(records(600))
    lazy = LazyRecords(lambda: read)
    assert all(one is other for one, other in zip(lazy, read, strict=True))
    assert lazy[-1] is read[-1] and lazy[5:7] == read[5:7] and len(lazy) == 600


def test_records_are_read_once_and_only_when_asked_for():
    calls = []

    def load():
        calls.append("load")
        return records(3)

    lazy = LazyRecords(load)
    assert not calls
    assert [len(lazy), len(list(lazy)), len(list(lazy))] == [3, 3, 3]
    assert calls == ["load"]


def test_chosen_records_are_those_at_the_places():
    chosen = ChosenRecords(LazyRecords(lambda: records(500)), np.array([2, 3, 400]))
    assert [one.image_id for one in chosen] == ["face 2", "face 3", "face 400"]
    assert [one.image_id for one in chosen[1:]] == ["face 3", "face 400"]
    assert len(chosen) == 3 and chosen[-1].image_id == "face 400"


def peak_bytes(count: int) -> int:
    """Most memory that Python holds while all records are gone through twice."""
    lazy = LazyRecords(lambda: records(count))
    tracemalloc.start()
    try:
        for _ in range(2):
            for _ in lazy:
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_further_records_need_a_fraction_of_their_size():
    few = 5 * CHUNK_RECORDS  # more than what waits in memory
    further = 2 * few
    # a record of these is above 2 kB
    assert (peak_bytes(few + further) - peak_bytes(few)) / further < 400
