"""Files of predict are complete or not there: against a limit on their size, as of a full disk."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import cv2
import numpy as np
import pytest

from hpbench.errors import DataError
from hpbench.predicting.faces import FrameResult
from hpbench.predicting.sources import Frame
from hpbench.predicting.writers import DrawnImages, PoseTable, VideoFile

resource = pytest.importorskip("resource")

NOISE = np.random.default_rng(0).integers(0, 255, (256, 320, 3)).astype(np.uint8)
RESULT = FrameResult(Frame("x", NOISE, number=0, time_s=0.0), [])


def shown(image: np.ndarray, name: str = "x") -> FrameResult:
    return replace(RESULT, frame=replace(RESULT.frame, image=image.astype(np.uint8), name=name))


@contextmanager
def files_of_at_most(size_bytes: int):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["poses.csv", "poses.json"])
def test_table_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path, name):
    table = PoseTable(tmp_path / name, ["constant"], {})
    with pytest.raises(OSError, match=name), files_of_at_most(10_000), table:
        for _ in range(1000):
            table.write(RESULT)
    assert not list(tmp_path.iterdir())
    assert not table.written


def test_drawing_that_does_not_fit_on_the_disk_leaves_the_one_before(tmp_path):
    (tmp_path / "x.png").write_bytes(b"the drawing of an earlier run")
    drawings = DrawnImages({"x": tmp_path / "x.png"}, ["constant"], "axes")
    with pytest.raises(OSError, match="File too large"), files_of_at_most(10_000), drawings:
        drawings.write(RESULT)
    (left,) = tmp_path.iterdir()
    assert left.read_bytes() == b"the drawing of an earlier run"


def test_drawing_that_its_format_cannot_hold_is_one_line(tmp_path):
    drawings = DrawnImages({"x": tmp_path / "x.webp"}, ["constant"], "axes")
    with pytest.raises(DataError, match=r"x\.webp: not drawn .* name another --out"), drawings:
        drawings.write(shown(np.zeros((17_000, 300, 3))))
    assert not list(tmp_path.iterdir())


def test_drawing_that_cannot_be_written_is_noted_and_the_others_of_a_folder_are_drawn(tmp_path):
    paths = {
        "x": tmp_path / "x.webp",
        "y": tmp_path / "y.webp",
        "z": tmp_path / f"{'z' * 251}.webp",
    }
    with DrawnImages(paths, ["constant"], "axes") as drawings:
        drawings.write(shown(np.zeros((17_000, 300, 3))))
        drawings.write(shown(NOISE, "z"))
        drawings.write(shown(NOISE, "y"))
    assert drawings.written == [paths["y"]]
    assert [line.partition(": ")[0] for line in drawings.notes] == [
        str(paths["x"]),
        str(paths["z"]),
    ]
    assert list(tmp_path.iterdir()) == [paths["y"]]


@pytest.mark.parametrize(
    ("size_wh", "name"),
    [((5000, 40), "x.webp"), ((17_000, 300), "x.webp"), ((20_000, 8), "x.jpg"),
     ((64, 64), f"{'x' * 241}_pose.png")],
)  # fmt: skip
def test_wide_image_and_long_name_are_drawn(tmp_path, size_wh, name):
    with DrawnImages({"x": tmp_path / name}, ["constant", "pnp"], "axes") as drawings:
        drawings.write(shown(np.zeros((size_wh[1], size_wh[0], 3))))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def grey_frame(level: int, time_s: float) -> FrameResult:
    image = np.full((240, 320, 3), level, np.uint8)
    return FrameResult(Frame("camera", image, number=0, time_s=time_s), [])


def test_live_video_shows_each_frame_until_the_next(tmp_path):
    with VideoFile(tmp_path / "x.mp4", 10.0, True, ["constant"], "axes") as video:
        for level, time_s in ((20, 0.0), (120, 1.0), (220, 2.0)):
            video.write(grey_frame(level, time_s))
    capture = cv2.VideoCapture(str(tmp_path / "x.mp4"))
    levels = []
    while (found := capture.read())[0]:
        levels.append(float(np.median(found[1][:100])))
    np.testing.assert_allclose(levels, [20] * 10 + [120] * 10 + [220], atol=6)  # lossy


def test_stop_before_the_first_frame_leaves_no_video(tmp_path):
    with VideoFile(tmp_path / "x.mp4", 25.0, False, ["constant"], "axes") as video:
        pass
    assert not list(tmp_path.iterdir())
    assert not video.written


def test_two_tables_of_one_name_at_a_time_are_both_complete(tmp_path):
    """The one that ends last stays, and holds its own rows only."""
    one, two = (PoseTable(tmp_path / "poses.csv", ["constant"], {}) for _ in range(2))
    with one:
        one.write(RESULT)
        with two:
            two.write(RESULT)
            two.write(RESULT)
    assert (tmp_path / "poses.csv").read_text().count("no_face") == 1
