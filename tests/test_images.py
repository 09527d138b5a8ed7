"""Reading images of all sorts."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hpbench.errors import ImageError
from hpbench.images import read_rgb


def gradient(height: int = 64, width: int = 96) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)


def test_colour_order_is_rgb(tmp_path):
    pure_red = np.zeros((8, 8, 3), dtype=np.uint8)
    pure_red[..., 0] = 255
    Image.fromarray(pure_red).save(tmp_path / "red.png")
    assert read_rgb(tmp_path / "red.png")[0, 0].tolist() == [255, 0, 0]


def test_grey_picture_becomes_three_equal_channels(tmp_path):
    Image.fromarray(gradient()[..., 0]).save(tmp_path / "grey.png")
    image = read_rgb(tmp_path / "grey.png")
    assert np.array_equal(image, np.repeat(gradient()[..., :1], 3, axis=-1))


def test_sixteen_bit_picture_is_scaled_and_not_clipped(tmp_path):
    Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16)).save(tmp_path / "deep.png")
    assert read_rgb(tmp_path / "deep.png")[0, :, 0].tolist() == [0, 128, 255]


def test_picture_is_turned_upright_by_its_exif_tag(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: 90 degrees clockwise to view
    Image.fromarray(gradient(64, 96)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_rgb(tmp_path / "turned.jpg").shape == (96, 64, 3)


def test_truncated_jpeg_is_an_error_that_names_the_file(tmp_path):
    whole = tmp_path / "whole.jpg"
    Image.fromarray(gradient(256, 256)).save(whole)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(whole.read_bytes()[:1500])
    with pytest.raises(ImageError, match=r"cut\.jpg"):
        read_rgb(cut)


def test_text_file_is_no_picture(tmp_path):
    (tmp_path / "notes.jpg").write_text("no image")
    with pytest.raises(ImageError, match=r"notes\.jpg"):
        read_rgb(tmp_path / "notes.jpg")


def test_missing_picture_is_named(tmp_path):
    with pytest.raises(ImageError, match="no such image"):
        read_rgb(tmp_path / "gone.jpg")
