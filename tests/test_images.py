"""Reading images of all sorts."""

from __future__ import annotations

import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps, TiffImagePlugin

from hpbench.errors import ImageError
from hpbench.images import read_rgb, read_size


def gradient(height: int = 64, width: int = 96) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)


def test_colour_order_is_rgb(tmp_path):
    pure_red = np.zeros((8, 8, 3), dtype=np.uint8)
    pure_red[..., 0] = 255
    Image.fromarray(pure_red).save(tmp_path / "red.png")
    assert read_rgb(tmp_path / "red.png")[0, 0].tolist() == [255, 0, 0]


def test_grey_image_becomes_three_equal_channels(tmp_path):
    Image.fromarray(gradient()[..., 0]).save(tmp_path / "grey.png")
    image = read_rgb(tmp_path / "grey.png")
    assert np.array_equal(image, np.repeat(gradient()[..., :1], 3, axis=-1))


def test_sixteen_bit_image_is_scaled_and_not_clipped(tmp_path):
    Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16)).save(tmp_path / "deep.png")
    assert read_rgb(tmp_path / "deep.png")[0, :, 0].tolist() == [0, 128, 255]


def test_image_is_turned_upright_by_its_exif_tag(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: 90 degrees clockwise to view
    Image.fromarray(gradient(64, 96)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_rgb(tmp_path / "turned.jpg").shape == (96, 64, 3)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_image_is_read_turned_and_as_stored_whatever_its_format(tmp_path, suffix, orientation):
    stored = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(stored).save(path, exif=exif, **{"lossless": True} if suffix == "webp" else {})
    across = stored[:, ::-1]
    upright = {  # what EXIF says of the first row and the first column
        1: stored, 2: across, 3: across[::-1], 4: stored[::-1], 5: stored.swapaxes(0, 1),
        6: stored[::-1].swapaxes(0, 1), 7: across[::-1].swapaxes(0, 1), 8: across.swapaxes(0, 1),
    }[orientation]  # fmt: skip
    np.testing.assert_array_equal(read_rgb(path), upright)
    np.testing.assert_array_equal(read_rgb(path, upright=False), stored)
    size = read_size(path)
    assert size.stored_wh == (30, 20) and size.upright_wh == upright.shape[1::-1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_box_around_a_pixel_stays_on_it_when_the_image_is_turned(tmp_path, orientation):
    stored = np.zeros((30, 40), dtype=np.uint8)
    stored[15, 13] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "turned.png", exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "turned.png")))
    ((y, x),) = np.argwhere(upright)
    box = read_size(tmp_path / "turned.png").upright_box(np.array([12.5, 14.5, 13.5, 15.5]))
    assert box.tolist() == [x - 0.5, y - 0.5, x + 0.5, y + 0.5]


def test_truncated_jpeg_is_an_error_that_names_the_file(tmp_path):
    whole = tmp_path / "whole.jpg"
    Image.fromarray(gradient(256, 256)).save(whole)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(whole.read_bytes()[:1500])
    with pytest.raises(ImageError, match=r"cut\.jpg"):
        read_rgb(cut)


def test_text_file_is_no_image(tmp_path):
    (tmp_path / "notes.jpg").write_text("no image")
    with pytest.raises(ImageError, match=r"notes\.jpg"):
        read_rgb(tmp_path / "notes.jpg")


def test_missing_image_is_named(tmp_path):
    with pytest.raises(ImageError, match="no such image"):
        read_rgb(tmp_path / "gone.jpg")


# ---- more bits than eight ----------------------------------------------------------------------

GREY = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)


def with_significant_bits(path, bits: int) -> None:
    """Write the sBIT chunk into a PNG file, behind its IHDR."""
    content = path.read_bytes()
    chunk = b"sBIT" + bytes([bits])
    chunk = (1).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    path.write_bytes(content[:33] + chunk + content[33:])


@pytest.mark.parametrize("bits", [4, 6, 12])
def test_bits_that_a_png_had_before_it_was_scaled_change_nothing(tmp_path, bits):
    """PNG specification, 11.3.2.7: samples with sBIT are scaled to the full depth."""
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    with_significant_bits(tmp_path / "deep.png", bits)
    assert np.array_equal(read_rgb(tmp_path / "deep.png")[..., 0], GREY)


def test_signed_sixteen_bits_are_refused(tmp_path):
    signed = np.array([[-2000, 0, 100, 32767]], np.int16)
    Image.fromarray(signed.view(np.uint16)).save(tmp_path / "a.tif", tiffinfo={339: 2})
    with pytest.raises(ImageError, match="signed or 32-bit values up to 32767"):
        read_rgb(tmp_path / "a.tif")


def test_colours_with_another_white_than_the_largest_value_are_refused(tmp_path):
    colour = np.repeat(GREY[..., None], 3, 2).astype("<u2") << 6
    # a TIFF by hand: Pillow writes no 16-bit colours
    three, pixels = struct.pack("<3H3H", *(16,) * 3, *(16383,) * 3), colour.tobytes()
    tags = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2),
            (273, 4, 1, 20), (277, 3, 1, 3), (278, 3, 1, 8), (279, 4, 1, len(pixels)),
            (281, 3, 3, 14)]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *t) for t in tags)
    head = struct.pack("<2sHI", b"II", 42, 20 + len(pixels))
    (tmp_path / "a.tif").write_bytes(head + three + pixels + directory + bytes(4))
    with pytest.raises(ImageError, match="black and white are 0 and 16383"):
        read_rgb(tmp_path / "a.tif")


MODES = {
    "L": GREY, "RGB": np.dstack([GREY, GREY // 2, GREY // 3]),
    "RGBA": np.dstack([GREY, GREY // 2, GREY // 3, 255 - 0 * GREY]),
    "CMYK": np.dstack([GREY, GREY // 2, GREY // 3, 0 * GREY]),
    "I;16": GREY.astype(np.uint16) * 257,
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("orientation", range(2, 9))
def test_plain_tiff_of_any_mode_is_turned_as_its_pixels_say(tmp_path, mode, orientation):
    """Pillow maps these into memory in a shape that it has exchanged already."""
    wide = MODES[mode][:5]  # width and height differ
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(wide, *[mode] * (mode == "CMYK")).save(tmp_path / "turned.tif", exif=exif)
    Image.fromarray(wide, *[mode] * (mode == "CMYK")).save(tmp_path / "plain.tif")
    expected = TURNED[orientation](read_rgb(tmp_path / "plain.tif"))
    np.testing.assert_array_equal(read_rgb(tmp_path / "turned.tif"), expected)
    stored = read_rgb(tmp_path / "turned.tif", upright=False)
    np.testing.assert_array_equal(stored, read_rgb(tmp_path / "plain.tif"))


TURNED = {  # TIFF 6.0, tag 274: what row 0 and column 0 of the stored pixels are
    2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1), 6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1), 8: lambda a: a.swapaxes(0, 1)[::-1],
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_twelve_of_sixteen_bits_are_refused_where_it_does_not(tmp_path, suffix):
    Image.fromarray(GREY.astype(np.uint16) << 4).save(tmp_path / f"deep.{suffix}")
    with pytest.raises(ImageError, match="16 bits per value, but none above 4080"):
        read_rgb(tmp_path / f"deep.{suffix}")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_whole_sixteen_bits_are_read(tmp_path, suffix):
    Image.fromarray(GREY.astype(np.uint16) << 8).save(tmp_path / f"deep.{suffix}")
    assert np.array_equal(read_rgb(tmp_path / f"deep.{suffix}")[..., 0], GREY)


def test_black_sixteen_bit_image_stays_black(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "black.png")
    assert not read_rgb(tmp_path / "black.png").any()


def test_colour_image_of_twelve_of_sixteen_bits_is_refused(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "deep.png"), np.repeat(GREY[..., None], 3, 2).astype(np.uint16) << 4)
    with pytest.raises(ImageError, match="16 bits per value"):
        read_rgb(tmp_path / "deep.png")


def test_floating_point_values_of_zero_to_one_are_read(tmp_path):
    Image.fromarray((GREY / 255.0).astype(np.float32)).save(tmp_path / "float.tif")
    assert np.array_equal(read_rgb(tmp_path / "float.tif")[..., 0], GREY)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_tiff_values_are_scaled_by_the_range_that_the_file_states(tmp_path, dtype):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[340], tags[341] = 0.0, 2550.0
    tags.tagtype[340] = tags.tagtype[341] = 11
    Image.fromarray((GREY.astype(np.int32) * 10).astype(dtype)).save(
        tmp_path / "a.tif", tiffinfo=tags
    )
    assert np.array_equal(read_rgb(tmp_path / "a.tif")[..., 0], GREY)


@pytest.mark.parametrize("bits", [8, 16])
def test_tiff_whose_zero_is_white_is_no_negative(tmp_path, bits):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    # of 8 bits Pillow writes the negative itself, and reads it back
    stored = GREY if bits == 8 else 65535 - GREY.astype(np.uint16) * 257
    Image.fromarray(stored).save(tmp_path / "a.tif", tiffinfo=tags)
    with Image.open(tmp_path / "a.tif") as image:
        assert image.tag_v2[262] == 0
    assert np.array_equal(read_rgb(tmp_path / "a.tif")[..., 0], GREY)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (GREY.astype(np.float32) * 16, "floating-point values up to 4080"),
        (GREY.astype(np.int32) * 1000, "32-bit values up to 255000"),
        (np.full((4, 4), np.nan, np.float32), "not finite"),
    ],
)
def test_values_whose_white_is_unknown_are_refused(tmp_path, levels, message):
    Image.fromarray(levels).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=message):
        read_rgb(tmp_path / "a.tif")


def test_an_image_that_vanishes_while_it_is_opened_is_missing_and_nothing_else(tmp_path):
    path, away = tmp_path / "a.png", tmp_path / "away.png"
    Image.new("RGB", (2, 2)).save(path)
    done = threading.Event()

    def move_to_and_fro() -> None:
        while not done.is_set():
            path.rename(away)
            away.rename(path)

    mover = threading.Thread(target=move_to_and_fro)
    mover.start()
    said = set()
    try:
        for _ in range(2000):
            try:
                read_size(path)
            except ImageError as error:
                said.add(str(error))
    finally:
        done.set()
        mover.join()
    assert said <= {f"{path}: no such image"}
