"""Predict replaces its own files of an earlier run, and never those of the user."""

from __future__ import annotations

import csv
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import hpbench
from hpbench.errors import UsageError
from hpbench.predicting.sources import Video

GREY = np.full((48, 64, 3), 128, np.uint8)
USERS_FILES = {
    "poses.csv": "pose,joint\n1,knee\n",
    "poses.json": '{\n  "schema": 2,\n  "hpbench": "of another kind"\n}\n',
}


def predict(source: Path, out: Path, **options):
    return hpbench.predict(source, "constant", boxes="picture", out=out, **options)


def photo(path: Path) -> Path:
    Image.fromarray(GREY).save(path)
    return path


def video(path: Path, count: int = 3) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (64, 48))
    for _ in range(count):
        writer.write(GREY)
    writer.release()
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_photo_that_is_called_like_a_drawing_is_not_overwritten(tmp_path):
    for name in ("x.jpg", "x_pose.jpg"):
        photo(tmp_path / name)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=r"x_pose\.jpg: .* would be overwritten; name another"):
        predict(tmp_path, tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("table_format", ["csv", "json"])
def test_table_of_the_user_is_not_overwritten(tmp_path, table_format):
    name = f"poses.{table_format}"
    (tmp_path / name).write_text(USERS_FILES[name])
    photo(tmp_path / "x.jpg")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=rf"{name}: exists and is not from 'hpbench predict'; "):
        predict(tmp_path, tmp_path, format=table_format)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["mine.png", "poses.csv", "poses.json"])
def test_one_file_of_the_user_is_not_overwritten(tmp_path, name):
    (tmp_path / name).write_text(USERS_FILES.get(name, "no picture"))
    before = contents(tmp_path)
    source = photo(tmp_path / "x.jpg")
    with pytest.raises(UsageError, match=f"{name}: exists and is not from"):
        predict(source, tmp_path / name)
    assert before.items() <= contents(tmp_path).items()


def test_video_of_the_user_is_not_overwritten(tmp_path):
    clip, mine = video(tmp_path / "clip.mp4"), video(tmp_path / "clip_pose.mp4", count=5)
    with pytest.raises(UsageError, match=r"clip_pose\.mp4: exists and is not from"):
        predict(clip, tmp_path)
    assert len(list(Video(mine).frames())) == 5


@pytest.mark.parametrize("name", ["x.png", "x.mp4"])
def test_source_is_not_overwritten_even_where_predict_has_drawn_it(tmp_path, name):
    original, drawn = tmp_path / f"original{name[1:]}", tmp_path / name
    predict((video if name.endswith(".mp4") else photo)(original), drawn)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=f"{name}: is read and would be overwritten"):
        predict(drawn, drawn)
    assert contents(tmp_path) == before


def test_link_to_the_source_counts_as_the_source(tmp_path):
    source = photo(tmp_path / "x.png")
    (tmp_path / "link.png").symlink_to(source)
    with pytest.raises(UsageError, match=r"link\.png: is read and would be overwritten"):
        predict(source, tmp_path / "link.png")


@pytest.mark.parametrize(
    "suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".jp2", ".mp4"]
)
@pytest.mark.parametrize("table_format", ["csv", "json"])
def test_second_run_in_the_same_folder_replaces_the_files_of_the_first(
    tmp_path, suffix, table_format
):
    source = (video if suffix == ".mp4" else photo)(tmp_path / f"x{suffix}")
    named = source if suffix == ".mp4" else tmp_path
    predict(named, tmp_path, format=table_format)
    first = contents(tmp_path)
    found = predict(named, tmp_path, format=table_format, draw="cube")
    assert sorted(first) == [f"poses.{table_format}", f"x{suffix}", f"x_pose{suffix}"]
    assert sorted(contents(tmp_path)) == sorted(first)
    assert contents(tmp_path)[f"x_pose{suffix}"] != first[f"x_pose{suffix}"]
    assert {row["image"] for row in found.rows} == {f"x{suffix}"}


def test_table_of_a_second_run_is_that_of_the_second(tmp_path):
    out = tmp_path / "poses.csv"
    predict(photo(tmp_path / "first.png"), out)
    predict(photo(tmp_path / "second.png"), out)
    with out.open() as stream:
        assert [row["image"] for row in csv.DictReader(stream)] == ["second.png"]


def test_drawn_video_is_boxes_to_its_last_byte(tmp_path):
    """As ISO/IEC 14496-12 has it: each begins with its size and kind, and 'free' is skipped."""
    predict(video(tmp_path / "clip.mp4"), tmp_path / "drawn.mp4")
    content, start, kinds = (tmp_path / "drawn.mp4").read_bytes(), 0, []
    while start < len(content):
        size, kind = struct.unpack_from(">I4s", content, start)
        kinds.append(kind)
        start += size
    assert start == len(content)
    assert kinds[0] == b"ftyp"
    assert kinds[-1] == b"free"
