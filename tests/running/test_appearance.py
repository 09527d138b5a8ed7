"""Brightness and sharpness of faces, and their way into the run folder."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

import hpbench
from hpbench.face import Face
from hpbench.registry import make_dataset
from hpbench.running.appearance import Appearance, measure_appearance


def face(image, box) -> Face:
    return Face("one", np.asarray(image, dtype=np.uint8), np.asarray(box, dtype=float))


@pytest.fixture(scope="module")
def render() -> Face:
    data = make_dataset("sample")
    record = data.records()[0]
    return Face(record.image_id, data.read_image(record), record.box_xyxy)


def test_brightness_is_the_mean_grey_level_of_the_box_alone():
    image = np.zeros((100, 100, 3))
    image[20:80, 20:80] = 90
    assert measure_appearance(face(image, [20, 20, 80, 80])) == Appearance(90.0, 0.0)


def test_brightness_weighs_colours_as_the_eye_does():
    image = np.zeros((64, 64, 3))
    image[...] = (0, 200, 0)
    found = measure_appearance(face(image, [0, 0, 64, 64]))
    assert found.brightness == pytest.approx(0.587 * 200, abs=0.5)  # ITU-R BT.601


def test_sharpness_of_a_checkerboard_is_that_worked_by_hand():
    # neighbours of a white pixel are black and the other way round: +-4 * 255 each
    board = 255 * (np.indices((64, 64)).sum(axis=0) % 2)
    found = measure_appearance(face(np.repeat(board[..., None], 3, axis=2), [0, 0, 64, 64]))
    assert found.sharpness == pytest.approx((4 * 255) ** 2, rel=0.05)  # less at the rim


def test_darker_and_blurred_faces_are_told(render):
    plain = measure_appearance(render)
    dark = measure_appearance(face(render.image * 0.3, render.box_xyxy))
    blurred = measure_appearance(face(cv2.GaussianBlur(render.image, (0, 0), 4.0), render.box_xyxy))
    assert dark.brightness == pytest.approx(0.3 * plain.brightness, rel=0.05)
    assert blurred.sharpness < 0.5 * plain.sharpness
    assert blurred.brightness == pytest.approx(plain.brightness, rel=0.05)


def test_the_same_face_in_a_larger_image_compares(render):
    height, width = render.image.shape[:2]
    large = cv2.resize(render.image, (4 * width, 4 * height), interpolation=cv2.INTER_CUBIC)
    found, plain = measure_appearance(face(large, 4 * render.box_xyxy)), measure_appearance(render)
    assert found.sharpness == pytest.approx(plain.sharpness, rel=0.25)


def test_only_what_lies_in_the_image_is_measured():
    image = np.full((50, 50, 3), 120)
    assert measure_appearance(face(image, [-30, -30, 40, 90])).brightness == 120.0
    assert measure_appearance(face(image, [60, 10, 90, 40])) == Appearance()
    assert measure_appearance(face(image, [-40, 10, -10, 40])) == Appearance()


def test_a_run_stores_them_per_face_and_takes_them_from_the_cache(tmp_path, render):
    faces = []
    for name in ("first", "again"):
        hpbench.run(methods="constant,hopenet", datasets="sample", limit=3, timing="off",
                    out=tmp_path / name)  # fmt: skip
        faces.append(pd.read_parquet(tmp_path / name / "faces.parquet"))
    first, again = faces
    assert tuple(first.loc[0, ["brightness", "sharpness"]]) == measure_appearance(render)
    assert first["sharpness"].notna().all()
    pd.testing.assert_frame_equal(first, again)
