"""What predict reads: times of videos, files that it leaves out."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hpbench.errors import DataError
from hpbench.geometry.pose_drawing import DrawStyle
from hpbench.predicting.faces import FrameResult
from hpbench.predicting.sources import Frame, open_source
from hpbench.predicting.writers import DrawnImages

GREY = np.full((48, 64, 3), 128, np.uint8)


def element(name: str, *parts: bytes) -> bytes:
    """An EBML element of Matroska (RFC 9559) by its hexadecimal id."""
    content = b"".join(parts)
    return bytes.fromhex(name) + (len(content) | 1 << 56).to_bytes(8, "big") + content


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def write_mkv(path: Path, times_ms: list[int]) -> None:
    """Motion JPEG with a presentation time for every frame."""
    jpeg = cv2.imencode(".jpg", GREY)[1].tobytes()
    video = element("E0", element("B0", number(64)), element("BA", number(48)))
    entry = (
        element("D7", number(1)), element("73C5", number(1)), element("83", number(1)),
        element("86", b"V_MJPEG"), video,
    )  # fmt: skip
    blocks = [element("A3", b"\x81" + ms.to_bytes(2, "big") + b"\x80" + jpeg) for ms in times_ms]
    path.write_bytes(
        element("1A45DFA3", element("4282", b"matroska"), element("4287", number(4)))
        + element(
            "18538067",
            element("1549A966", element("2AD7B1", number(1_000_000))),
            element("1654AE6B", element("AE", *entry)),
            element("1F43B675", element("E7", number(0)), *blocks),
        )
    )


@pytest.mark.parametrize("start_ms", [0, 400])
def test_times_of_a_variable_frame_rate_are_those_of_the_container(tmp_path, start_ms):
    times_ms = [0, 100, 200, 300, 400, 500, 1000, 1500, 2000, 2500]
    write_mkv(tmp_path / "clip.mkv", [start_ms + ms for ms in times_ms])
    frames = list(open_source(str(tmp_path / "clip.mkv")).frames())
    assert [frame.number for frame in frames] == list(range(10))
    assert [frame.time_s for frame in frames] == pytest.approx([ms / 1000 for ms in times_ms])


def test_files_of_a_folder_that_are_not_read_are_counted(tmp_path):
    for name in ("a.jpg", "b.PNG"):
        Image.fromarray(GREY).save(tmp_path / name)
    for name in ("a.heic", "b.HEIC", "notes.txt", "clip.mp4", "LICENSE"):
        (tmp_path / name).write_bytes(b"")
    source = open_source(str(tmp_path))
    assert source.total == 2
    assert source.notes == [
        f"{tmp_path}: 1 videos left out; name each on its own",
        f"{tmp_path}: 4 files not read: 2 .heic, 1 without suffix, 1 .txt",
    ]


def test_links_of_a_folder_that_are_not_followed_are_counted(tmp_path):
    for folder in ("photos", "elsewhere"):
        (tmp_path / folder).mkdir()
        Image.fromarray(GREY).save(tmp_path / folder / "a.jpg")
    (tmp_path / "photos" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "gone.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "photos" / "b.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
    source = open_source(str(tmp_path / "photos"))
    assert source.total == 2  # a link to a photo is one
    (note,) = source.notes
    assert note.endswith(
        f"2 links or unreadable folders left out, the first {tmp_path / 'photos' / 'gone.jpg'}"
    )


def test_folder_that_may_not_be_looked_at_is_named(tmp_path):
    (tmp_path / "closed").mkdir()
    Image.fromarray(GREY).save(tmp_path / "a.jpg")
    (tmp_path / "closed").chmod(0)
    if os.access(tmp_path / "closed", os.R_OK):
        pytest.skip("this user may look into every folder")
    assert open_source(str(tmp_path)).notes == [
        f"{tmp_path}: 1 links or unreadable folders left out, the first {tmp_path / 'closed'}"
    ]
    with pytest.raises(DataError, match="closed: cannot be looked at"):
        open_source(str(tmp_path / "closed"))


def test_folder_of_other_files_only_says_what_they_are(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"")
    with pytest.raises(DataError, match=r"contains no image .*; its other files are 1 \.heic"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp", ".gif", ".jp2"])
def test_drawings_of_predict_are_never_read_again(tmp_path, suffix):
    style: DrawStyle = "axes"
    Image.fromarray(GREY).save(tmp_path / f"face{suffix}")
    Image.fromarray(GREY).save(tmp_path / f"my_pose{suffix}")  # a photo that is only called so
    drawing = tmp_path / f"face_pose{suffix}"
    with DrawnImages({"face": drawing}, ["constant"], style) as writer:
        writer.write(FrameResult(Frame("face", GREY), []))
    assert drawing.is_file()
    source = open_source(str(tmp_path))
    assert [frame.name for frame in source.frames()] == [f"face{suffix}", f"my_pose{suffix}"]
    assert source.notes == [f"{tmp_path}: 1 drawings of 'hpbench predict' left out"]
