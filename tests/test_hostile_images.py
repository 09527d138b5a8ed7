"""Images that must cost one face and not the run."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image, features

from hpbench import images
from hpbench.errors import ImageError
from hpbench.images import read_rgb, read_size, set_max_pixels

FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "AVIF"]


@pytest.fixture(autouse=True)
def _limit():
    yield
    set_max_pixels(images.MAX_PIXELS)


@pytest.mark.parametrize("name", FORMATS)
def test_named_formats_are_read_whatever_the_suffix(tmp_path, name):
    if name == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    grey = np.full((16, 24, 3), 90, dtype=np.uint8)
    with (tmp_path / "face.dat").open("wb") as file:
        Image.fromarray(grey).save(file, format=name)
    assert np.abs(read_rgb(tmp_path / "face.dat").astype(int) - 90).max() <= 3
    assert read_size(tmp_path / "face.dat").stored_wh == (24, 16)


def test_endless_postscript_is_no_image(reliability_cases):
    with pytest.raises(ImageError, match=r"epsloop\.jpg: not an image format that is read \(JPEG,"):
        read_rgb(reliability_cases / "epsloop.jpg")


@pytest.mark.parametrize("name", ["DDS", "PPM", "TGA", "ICO", "PCX"])
def test_other_formats_of_pillow_are_no_images(tmp_path, name):
    with (tmp_path / "face.png").open("wb") as file:
        Image.new("RGB", (16, 16)).save(file, format=name)
    with pytest.raises(ImageError, match="not an image format that is read"):
        read_rgb(tmp_path / "face.png")


def test_limit_of_pixels_is_named_and_can_be_raised(tmp_path):
    Image.new("1", (300, 100)).save(tmp_path / "large.png")
    set_max_pixels(29_999)
    for read in (read_rgb, read_size):
        with pytest.raises(ImageError, match="--max-pixels 30000"):
            read(tmp_path / "large.png")
    set_max_pixels(30_000)
    assert read_rgb(tmp_path / "large.png").shape == (100, 300, 3)


def test_default_limit_is_64_million(tmp_path):
    Image.new("1", (8001, 8000)).save(tmp_path / "large.png")
    with pytest.raises(
        ImageError, match="has 64,008,000 pixels, more than the limit of 64,000,000;"
    ):
        read_rgb(tmp_path / "large.png")


def test_pipes_devices_and_folders_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("pipe.jpg", "device.jpg", "folder.jpg"):
        with pytest.raises(ImageError, match=f"{name}: .* not a regular file"):
            read_rgb(tmp_path / name)


def test_mutated_images_are_read_or_refused(tmp_path):
    chance = np.random.default_rng(0)
    path = tmp_path / "mutated.img"
    refused = 0
    for name in FORMATS[:7]:
        with path.open("wb") as file:
            Image.fromarray(chance.integers(0, 255, (24, 24, 3), np.uint8)).save(file, format=name)
        content = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(150):
            changed = content.copy()
            changed[chance.integers(0, min(len(changed), 200), 3)] = chance.integers(0, 256, 3)
            path.write_bytes(changed.tobytes())
            try:
                assert read_rgb(path).ndim == 3
            except ImageError:
                refused += 1
    assert refused > 100
