"""The embedded sample, checked against itself and against SciPy; it needs no asset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from hpbench.datasets.sample import Sample
from hpbench.rendering.identity import HELD_OUT

ROOM = Path(__file__).resolve().parents[2] / "datasets" / "sample"


@pytest.fixture(scope="module")
def records():
    return Sample().records()


@pytest.fixture(scope="module")
def table():
    return pd.read_parquet(ROOM / "labels.parquet")


def test_it_is_large_enough_to_try_a_method_and_small_enough_to_ship(records):
    assert len(records) >= 120
    assert sum(path.stat().st_size for path in ROOM.rglob("*") if path.is_file()) <= 3_000_000


def test_every_image_is_there_and_no_other(records):
    assert {record.image_path for record in records} == set((ROOM / "images").glob("*.jpg"))


def test_images_are_256_pixels_neither_dark_nor_burnt_out(records):
    data = Sample()
    for record in records[::12]:
        image = data.read_image(record)
        assert image.shape == (256, 256, 3)
        x0, y0, x1, y1 = np.clip(record.box_xyxy, 0, 255).astype(int)
        face = image[y0:y1, x0:x1]
        assert 25 < face.mean() < 225
        assert (face.min(axis=2) >= 250).mean() < 0.1


def test_yaw_is_even_over_its_range(table):
    counts, _ = np.histogram(table["yaw_deg"], bins=np.linspace(-90, 90, 7))
    assert counts.min() == counts.max()


def test_angles_and_rotations_say_the_same(table):
    rotations = table[[f"r{i}{j}" for i in range(3) for j in range(3)]].to_numpy()
    angles = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_euler("XYZ", degrees=True)
    expected = np.stack([-table["pitch_deg"], table["yaw_deg"], table["roll_deg"]], axis=1)
    np.testing.assert_allclose(angles, expected, atol=1e-6)


def test_boxes_span_the_landmarks(table):
    for row in table.itertuples():
        spanned = (min(row.landmarks_x), min(row.landmarks_y))
        assert (row.x0, row.y0) == pytest.approx(spanned)
        assert (row.x1, row.y1) == pytest.approx((max(row.landmarks_x), max(row.landmarks_y)))


def test_a_nose_turned_to_the_left_of_the_image_has_positive_yaw(table):
    """Landmark 30, the nose tip, against the middle of the two eyes."""
    for row in table[table["yaw_deg"].abs() > 20].itertuples():
        upright = Rotation.from_euler("z", -row.roll_deg, degrees=True).as_matrix()[:2, :2]
        points = np.stack([row.landmarks_x, row.landmarks_y], axis=1) @ upright.T
        nose_is_left = points[30, 0] < points[36:48, 0].mean()
        assert nose_is_left == (row.yaw_deg > 0)


def test_only_held_out_material_was_used(table):
    assert set(table["split"]) == {"heldout"}
    assert set(table["skin"]) <= HELD_OUT["skin"]
    assert set(table["hair"]) <= HELD_OUT["hair"] | {"none"}
    assert set(table["environment"]) <= HELD_OUT["environment"]


def test_the_data_card_names_domain_and_advantage():
    assert Sample.card.domain == "render"
    text = (ROOM / "README.md").read_text()
    assert "A method that was trained on renders has an advantage here" in text
    assert str(len(pd.read_parquet(ROOM / "labels.parquet"))) in Sample.summary
