"""Labels under augmentation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from hpbench.methods.hopenet.bins import Bins
from hpbench.methods.hopenet.card import WeightsCard
from hpbench.methods.hopenet.network import make_network
from hpbench.methods.hopenet.training.augment import (
    cut_batch,
    draw_geometry,
    photometric,
)
from hpbench.methods.hopenet.training.cutouts import build_cache
from hpbench.methods.hopenet.training.samples import (
    TrainingSource,
    collect_samples,
)
from hpbench.methods.hopenet.training.settings import Augmentation
from hpbench.methods.hopenet.weights import save_weights
from hpbench.registry import make_dataset, make_method
from hpbench.rotation import geodesic_deg, mirror_rotation, rotation_from_angles

BINS = Bins.centred(66, 3.0)
STILL = Augmentation(
    scale=0, shift=0, aspect=0, mirror=0, rotate=0, test_rule=0, k_min=0.3, k_max=0.3, light=0,
    grey=0, low_resolution=0, blur=0, noise=0, cut_out=0, random_convolution=0,
)  # fmt: skip


def source(path: Path, out_of_range: str = "drop") -> TrainingSource:
    return collect_samples("table", make_dataset("table", path), 1.0, BINS, out_of_range)


def one_face(angles: list[float], settings: Augmentation, seed: int = 0):
    boxes = np.array([[40.0, 40.0, 80.0, 80.0]], dtype=np.float32)
    return draw_geometry(boxes, np.array([angles]), BINS, settings, np.random.default_rng(seed))


def place_of_dot(geometry, x: float, y: float) -> tuple[float, float]:
    """Where a bright dot of the cut-out lands in the augmented image, in pixels."""
    rows, columns = torch.meshgrid(torch.arange(120.0), torch.arange(120.0), indexing="ij")
    blob = torch.exp(-((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2) / 18.0)
    pixels = (blob * 255).byte()[None, :, :, None].repeat(1, 1, 1, 3)
    image = cut_batch(pixels, geometry.affine, 64)[0, 0]
    r, c = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    return float((c * image).sum() / image.sum()), float((r * image).sum() / image.sum())


def test_mirror_negates_yaw_and_roll_and_swaps_the_sides():
    always = STILL.model_copy(update={"mirror": 1.0})
    plain, mirrored = one_face([20.0, 10.0, 5.0], STILL), one_face([20.0, 10.0, 5.0], always)
    np.testing.assert_allclose(mirrored.angles_deg, [[-20.0, 10.0, -5.0]])
    expected = mirror_rotation(rotation_from_angles([20.0, 10.0, 5.0]))
    np.testing.assert_allclose(rotation_from_angles(mirrored.angles_deg[0]), expected, atol=1e-12)
    x, y = place_of_dot(plain, 70.0, 50.0)
    mirrored_x, mirrored_y = place_of_dot(mirrored, 70.0, 50.0)
    assert mirrored_x == pytest.approx(63.0 - x, abs=0.1)
    assert mirrored_y == pytest.approx(y, abs=0.1)


def test_turning_the_image_turns_the_label_by_the_same_angle():
    """The angle is measured in the image, from where two dots land."""
    settings = STILL.model_copy(update={"rotate": 1.0})
    turns = []
    for seed in range(4):
        geometry = one_face([25.0, -15.0, 8.0], settings, seed)
        left, right = place_of_dot(geometry, 50.0, 60.0), place_of_dot(geometry, 70.0, 60.0)
        clockwise = math.degrees(math.atan2(right[1] - left[1], right[0] - left[0]))
        turned = rotation_from_angles([0.0, 0.0, clockwise])
        expected = turned @ rotation_from_angles([25.0, -15.0, 8.0])
        found = rotation_from_angles(geometry.angles_deg[0])
        assert float(geodesic_deg(found, expected)) < 1.0
        turns.append(abs(clockwise))
    assert max(turns) > 5.0


def test_a_profile_beyond_90_degrees_keeps_its_reading_when_turned():
    settings = STILL.model_copy(update={"rotate": 1.0})
    yaw = one_face([95.0, 5.0, 3.0], settings).angles_deg[0, 0]
    assert 90.0 < yaw <= 99.0


def test_a_face_without_roll_label_is_never_turned():
    settings = STILL.model_copy(update={"rotate": 1.0})
    geometry = one_face([30.0, 10.0, math.nan], settings)
    np.testing.assert_array_equal(geometry.angles_deg, [[30.0, 10.0, math.nan]])
    left, right = place_of_dot(geometry, 50.0, 60.0), place_of_dot(geometry, 70.0, 60.0)
    assert left[1] == pytest.approx(right[1], abs=0.05)


def test_augmented_crop_without_jitter_is_the_crop_of_the_method(table, tmp_path):
    """What the network trains on and what 'hpbench run' cuts out show the same pixels."""
    faces = source(table)
    record = faces.samples[0].record
    cache = build_cache(faces.dataset, faces.samples, 64, tmp_path / "c.npy", print)
    geometry = draw_geometry(
        cache.boxes_xyxy[:1], cache.angles_deg[:1], BINS, STILL, np.random.default_rng(0)
    )
    ours = cut_batch(torch.from_numpy(cache.pixels[:1].copy()), geometry.affine, 64)[0]
    weights = tmp_path / "w.safetensors"
    save_weights(
        make_network("thin_resnet_s", 66),
        WeightsCard(backbone="thin_resnet_s", input_size=64, crop_k=0.3),
        weights,
    )
    method = make_method(f"hopenet[weights={weights}]")
    method.load()
    from hpbench.face import Face

    image = faces.dataset.read_image(record)
    theirs = method.prepare(Face("a", image, faces.samples[0].box_xyxy)) / 255.0
    difference = np.abs(ours.permute(1, 2, 0).numpy() - theirs)
    assert difference.mean() < 0.02  # edges of the bar: half a pixel of rounding


def test_photometric_augmentation_keeps_shape_and_range_and_follows_its_seed():
    images = torch.rand(16, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    settings = Augmentation(blur=0.2, random_convolution=0.3)

    def augmented(seed: int) -> torch.Tensor:
        return photometric(
            images.clone(),
            settings,
            np.random.default_rng(seed),
            torch.Generator().manual_seed(seed),
        )

    first = augmented(1)
    assert first.shape == images.shape
    assert float(first.min()) >= 0.0 and float(first.max()) <= 1.0
    torch.testing.assert_close(first, augmented(1), rtol=0, atol=0)
    assert not torch.equal(first, augmented(2))
