"""Portraits turned by examples/training: what other methods see in them."""

from __future__ import annotations

import numpy as np
import pytest

from hpbench.errors import MissingDependencyError
from hpbench.face import Face
from hpbench.registry import make_dataset, make_method
from hpbench.rotation import angles_from_rotation, rotation_from_angles


@pytest.fixture(scope="module")
def script(load_script):
    return load_script("examples/training/turn_portraits.py")


@pytest.fixture(scope="module")
def turner(script):
    try:
        return script.Turner()
    except MissingDependencyError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def portrait(script):
    """The most frontal head of the sample with its rotation, which is known exactly."""
    dataset = make_dataset("sample")
    records = [record for record in dataset.records() if record.excluded is None]
    record = min(records, key=lambda r: float(np.trace(np.eye(3) - r.label.R_cam)))
    return script.portrait_of(dataset.read_image(record), record.box_xyxy), record.label.R_cam


@pytest.mark.parametrize("yaw_deg", [-40.0, -20.0, 20.0, 40.0])
def test_hopenet_sees_the_turn_that_was_made(turner, portrait, yaw_deg):
    surface, R_cam = portrait
    wanted = rotation_from_angles([yaw_deg, 0.0, 0.0])
    image, box = turner.image(surface, wanted @ R_cam.T)
    method = make_method("hopenet")
    method.load()
    (seen,) = method.predict([Face("a", image, box)])
    assert angles_from_rotation(seen.R_cam)[0] == pytest.approx(yaw_deg, abs=10.0)


def test_without_a_turn_the_face_stays_as_it_is(script, turner, portrait):
    surface, _ = portrait
    image, box = turner.image(surface, np.eye(3))
    scale = max(box[2] - box[0], box[3] - box[1]) / float(
        np.ptp(surface.points[:, :2], axis=0).max()
    )
    x, y = np.round((box[:2] + box[2:]) / 2.0).astype(int)
    middle = (surface.points[:, :2].min(axis=0) + surface.points[:, :2].max(axis=0)) / 2.0
    half = int(0.3 * script.SIDE * script.FACE_SHARE)
    drawn = image[y - half : y + half, x - half : x + half].mean(axis=(0, 1))
    left, top = (middle - half / scale).astype(int)
    right, bottom = (middle + half / scale).astype(int)
    np.testing.assert_allclose(drawn, surface.rgb[top:bottom, left:right].mean(axis=(0, 1)), atol=6)
