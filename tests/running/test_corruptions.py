"""Corruptions against second derivations, and their place in the protocol and the curves."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from hpbench.errors import DataError, UsageError
from hpbench.geometry.boxes import iou
from hpbench.images import read_rgb
from hpbench.inference.progress import NoProgress
from hpbench.protocol import Protocol
from hpbench.reports.tables.robustness import corruption_curves
from hpbench.results.results_file import ResultsFile
from hpbench.results.run_config import RunConfig
from hpbench.results.run_record import RunRecord
from hpbench.running.corruptions import (
    CORRUPTIONS,
    Corruption,
    corrupt_box,
    corrupt_image,
    corrupted_protocol,
    parse_corruptions,
)
from hpbench.running.runner import run

BOX = np.array([20.0, 10.0, 60.0, 50.0])


def apply(image, box, image_id, corruption):
    return corrupt_image(image, box, image_id, corruption), corrupt_box(box, image_id, corruption)


@pytest.fixture
def original() -> np.ndarray:
    """Smooth colours with an edge: 60 high, 90 wide."""
    y, x = np.mgrid[:60, :90]
    channels = [2 * x + 20, 3 * y + 30, np.where(x > 45, 200, 60)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def corrupted(original, name, level, image_id="a", seed=0):
    return corrupt_image(original, BOX, image_id, Corruption(name, level, seed))


def test_downsampling_repeats_the_middle_pixel_of_each_block(original):
    middle = original[1::3, 1::3]
    np.testing.assert_array_equal(
        corrupted(original, "downsample", 3), middle.repeat(3, axis=0).repeat(3, axis=1)
    )


def test_downsampling_leaves_as_many_pixels_as_the_paper_says(original):
    """A original of 90x60 shrunk by 15 has 6x4 pixels, in blocks."""
    blocks = corrupted(original, "downsample", 15).reshape(4, 15, 6, 15, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()


def test_downsampling_bears_sizes_that_the_factor_does_not_divide(original):
    assert corrupted(original[:7, :11], "downsample", 30).shape == (7, 11, 3)


def test_blur_is_scipys_gaussian_of_the_same_share_of_the_face(original):
    """The box is 40 pixels wide, so 5 % are a sigma of 2 pixels."""
    expected = gaussian_filter(original.astype(float), (2, 2, 0), mode="mirror")
    assert np.abs(corrupted(original, "blur", 5) - expected).max() <= 1.5


def test_noise_has_the_mean_and_the_spread_that_were_asked_for():
    grey = np.full((300, 400, 3), 128, dtype=np.uint8)
    noise = corrupted(grey, "noise", 10).astype(float) - 128
    # 360,000 independent draws: standard errors of 10/600 and 10/(600 sqrt 2).
    assert abs(noise.mean()) < 4 * 10 / 600
    assert abs(noise.std() - np.sqrt(100 + 1 / 12)) < 4 * 10 / 848


def test_noise_is_the_same_pattern_at_every_level_but_stronger():
    grey = np.full((30, 40, 3), 128, dtype=np.uint8)
    weak, strong = (corrupted(grey, "noise", level).astype(int) - 128 for level in (5, 10))
    assert np.abs(strong - 2 * weak).max() <= 2  # roundings


def test_jpeg_is_pillows(original):
    buffer = io.BytesIO()
    Image.fromarray(original).save(buffer, "JPEG", quality=7, subsampling=2)
    expected = np.asarray(Image.open(buffer))
    np.testing.assert_array_equal(corrupted(original, "jpeg", 7), expected)


def test_one_stop_darker_is_half_the_light():
    """Grey 188 of sRGB is half the light of white: ((188/255 + 0.055) / 1.055)**2.4 = 0.50."""
    white = np.full((2, 2, 3), 255, dtype=np.uint8)
    assert (corrupted(white, "dark", 1) == 188).all()
    assert (corrupted(corrupted(white, "dark", 1), "dark", 1) == corrupted(white, "dark", 2)).all()


def test_black_stays_black_in_the_dark():
    assert not corrupted(np.zeros((2, 2, 3), dtype=np.uint8), "dark", 3).any()


@pytest.mark.parametrize("share", [10, 25, 60])
def test_occluder_covers_its_share_of_the_box_and_nothing_outside(original, share):
    changed = (corrupted(original, "occlude", share) == 128).all(axis=-1)
    inside = changed[10:50, 20:60]
    assert changed.sum() == inside.sum()
    assert np.sqrt(inside.sum()) == pytest.approx(np.sqrt(share / 100 * 1600), abs=1)


def test_full_occlusion_covers_the_box(original):
    assert (corrupted(original, "occlude", 100)[10:50, 20:60] == 128).all()


def test_larger_occluder_stands_at_the_same_place(original):
    small, large = (
        (corrupted(original, "occlude", share) == 128).all(axis=-1) for share in (20, 60)
    )
    assert not (small & ~large).any()


def test_occluder_moves_from_face_to_face(original):
    assert (
        corrupted(original, "occlude", 20, "a") != corrupted(original, "occlude", 20, "b")
    ).any()


def test_box_reaching_outside_the_image_can_be_occluded(original):
    box = [-30.0, -20.0, 50.0, 40.0]
    covered = corrupt_image(original, box, "a", Corruption("occlude", 100))
    assert (covered[:40, :50] == 128).all()
    np.testing.assert_array_equal(covered[40:], original[40:])


def test_jitter_moves_the_box_by_its_share_and_keeps_its_size():
    box = [0.0, 0.0, 40.0, 90.0]  # face size 60
    moved = corrupt_box(box, "a", Corruption("box-jitter", 10)) - box
    assert moved[:2] == pytest.approx(moved[2:])
    assert np.hypot(*moved[:2]) == pytest.approx(6.0)


def test_jitter_of_a_detected_box_is_measured_by_the_annotated_one():
    detected, annotated = [0.0, 0.0, 150.0, 150.0], [20.0, 20.0, 120.0, 120.0]
    moved = corrupt_box(detected, "a", Corruption("box-jitter", 10), annotated)
    assert np.hypot(*(moved - detected)[:2]) == pytest.approx(10.0)


def test_jitter_directions_are_spread_evenly():
    shifts = [corrupt_box(BOX, f"id{k}", Corruption("box-jitter", 100))[:2] for k in range(2000)]
    mean = (np.mean(shifts, axis=0) - BOX[:2]) / 40.0
    # Components of a random direction have variance 1/2.
    assert np.abs(mean).max() < 4 * np.sqrt(0.5 / 2000)


def test_scaled_box_overlaps_as_its_area_says():
    grown = corrupt_box(BOX, "a", Corruption("box-scale", 1.25))
    assert grown == pytest.approx([15.0, 5.0, 65.0, 55.0])
    assert iou(grown, BOX) == pytest.approx(1 / 1.25**2)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_seed_face_and_level_decide_all(original, name):
    corruption = Corruption(name, 30 if name != "box-scale" and name != "dark" else 3, seed=5)
    before = original.copy()
    first, box_first = apply(original, BOX, "a", corruption)
    second, box_second = apply(original, BOX, "a", corruption)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(box_first, box_second)
    np.testing.assert_array_equal(original, before)
    other, box_other = apply(original, BOX, "a", Corruption(name, corruption.level, seed=6))
    same = (first == other).all() and (box_first == box_other).all()
    assert same != CORRUPTIONS[name].random


@pytest.mark.parametrize(
    ("name", "level"),
    [(name, kind.clean) for name, kind in CORRUPTIONS.items() if kind.clean is not None],
)
def test_clean_level_changes_nothing(original, name, level):
    image, box = apply(original, BOX, "a", Corruption(name, level))
    np.testing.assert_array_equal(image, original)
    np.testing.assert_array_equal(box, BOX)


def test_face_without_box_cannot_be_blurred_by_its_size(original):
    with pytest.raises(DataError, match="no annotated box, by which 'blur' is measured"):
        corrupt_image(original, None, "a", Corruption("blur", 2))


def test_face_without_box_can_be_downsampled(original):
    assert corrupt_image(original, None, "a", Corruption("downsample", 2)).shape == original.shape


def test_levels_are_parsed_and_clean_ones_left_to_the_clean_run():
    parsed = parse_corruptions(["downsample=1,5,10", "box-scale=0.8,1,1.25"], seed=3)
    assert [str(item) for item in parsed] == [
        "downsample=5", "downsample=10", "box-scale=0.8", "box-scale=1.25",
    ]  # fmt: skip
    assert {item.seed for item in parsed} == {3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blurr=2", "did you mean 'blur'"),
        ("blur", "write NAME=LEVEL"),
        ("blur=", "write NAME=LEVEL"),
        ("blur=two", "'two' is not a number"),
        ("blur=nan", "lies in 0 to 50"),
        ("jpeg=0", "lies in 1 to 95"),
        ("downsample=2.5", "is a whole number"),
        ("blur=2,2.0", "specified twice"),
        ("blur=1.0000001,1.0000002", "=1.0000001,1.0000002: blur=1 is specified twice"),
    ],
)
def test_wrong_corruption_is_refused_with_the_fix(text, message):
    with pytest.raises(UsageError, match=message):
        parse_corruptions([text])


def test_protocol_hash_tells_corruption_level_and_seed_apart():
    clean = Protocol(dataset="sample")
    corruptions = [
        Corruption("blur", 1), Corruption("blur", 2), Corruption("noise", 1),
        Corruption("noise", 1, seed=1),
    ]  # fmt: skip
    hashes = {corrupted_protocol(clean, item).hash for item in corruptions}
    assert len(hashes | {clean.hash}) == 5


def test_seed_is_no_part_of_a_protocol_that_does_not_use_it():
    clean = Protocol(dataset="sample")
    first, second = (corrupted_protocol(clean, Corruption("blur", 1, seed)) for seed in (0, 1))
    assert first.hash == second.hash


def test_real_photo_keeps_its_size_and_gets_worse_with_each_level(aflw2000_dir):
    photo = read_rgb(aflw2000_dir / "image00002.jpg")
    box = [130.0, 170.0, 330.0, 380.0]
    levels = {
        "downsample": (2, 5, 15), "blur": (1, 2, 4), "noise": (5, 10, 20), "jpeg": (50, 20, 5),
        "dark": (1, 2, 4), "occlude": (5, 20, 50),
    }  # fmt: skip
    for name, steps in levels.items():
        errors = []
        for level in steps:
            bad = corrupt_image(photo, box, "image00002", Corruption(name, level))
            assert bad.shape == photo.shape
            errors.append(np.square(bad.astype(float) - photo).mean())
        assert errors == sorted(errors)
        assert errors[0] > 0


METHODS = '''
from hpbench.method import Method, MethodCard, Prediction
from hpbench.rotation import rotation_from_angles

class Sees(Method):
    """Yaw is the grey level in the middle of the original, pitch the width of the box."""
    name = "sees"
    summary = "for a test"
    def card(self): return MethodCard(name=self.name, title=self.name)
    def prepare(self, face):
        grey, (x0, _, x1, _) = float(face.image[32, 32, 0]), face.box_xyxy
        return Prediction(rotation_from_angles([grey - 150, x1 - x0, 0]))
    def infer(self, batch): return batch
    def decode(self, output): return output
'''


@pytest.fixture
def run_table(tmp_path):
    """Run on three grey images (150) with boxes of 32 pixels, or without boxes."""

    def run_it(*corrupt, box=True):
        rows = []
        for k in range(3):
            Image.new("RGB", (64, 64), (150,) * 3).save(tmp_path / f"{k}.png")
            rows.append((f"{k}.png", 0, 32, 0, *((16, 16, 48, 48) if box else ())))
        columns = ["image", "yaw", "pitch", "roll", "x0", "y0", "x1", "y1"]
        table = pd.DataFrame(rows, columns=columns if box else columns[:4])
        table.to_csv(tmp_path / "labels.csv", index=False)
        (tmp_path / "sees.py").write_text(METHODS)
        spec = RunConfig(
            methods="sees", datasets=f"table={tmp_path / 'labels.csv'}",
            plugins=(tmp_path / "sees.py",), device="cpu", timing_images=1, corrupt=corrupt,
            boxes="annotated" if box else "dlib",
        )  # fmt: skip
        return run(spec, tmp_path / "out", NoProgress())

    return run_it


def test_methods_of_a_run_see_the_corrupted_image_and_box(run_table):
    out = run_table("dark=1", "box-scale=0.5,1,2")
    results = json.loads((out / "results.json").read_text())["results"]
    seen = {row["dataset"]: row["bias_deg"] for row in results}
    assert list(seen) == [
        "table", "table + dark=1", "table + box-scale=0.5", "table + box-scale=2",
    ]  # fmt: skip
    assert seen["table"] == pytest.approx({"yaw": 0, "pitch": 0, "roll": 0}, abs=1e-6)
    # Half of the light of grey 150 is ((150/255 + 0.055) / 1.055)**2.4 / 2, stored as grey 109.
    assert seen["table + dark=1"]["yaw"] == pytest.approx(109 - 150, abs=1e-6)
    assert seen["table + box-scale=0.5"]["pitch"] == pytest.approx(-16)
    assert seen["table + box-scale=2"]["pitch"] == pytest.approx(32)
    assert len({row["protocol"]["hash"] for row in results}) == 4


def test_curve_of_a_run_has_the_clean_faces_at_the_level_that_changes_nothing(run_table):
    out = run_table("box-scale=0.5,1,2")
    (curve,) = corruption_curves(
        "table", ResultsFile.read(out).results, RunRecord.read(out).datasets
    )
    points = curve.points["sees"]
    # Only pitch is wrong: a third of 16 and of 32 degrees.
    assert curve.levels == ["0.5", "1", "2"]
    assert [point.mae_deg for point in points] == pytest.approx([16 / 3, 0, 32 / 3], abs=1e-5)


def test_time_is_taken_on_clean_faces_only(run_table):
    timing = pd.read_parquet(run_table("dark=1") / "timing.parquet")
    assert set(timing["dataset"]) == {"table"}


def test_blur_is_refused_where_no_box_says_how_large_faces_are(run_table):
    with pytest.raises(UsageError, match="blur=2: needs annotated boxes"):
        run_table("blur=2", box=False)


def test_image_that_no_jpeg_can_hold_is_a_reason_of_its_face():
    wide = np.zeros((1, 65_501, 3), np.uint8)
    with pytest.raises(DataError, match="wider or higher than 65500"):
        corrupt_image(wide, None, "a", Corruption("jpeg", 50))
