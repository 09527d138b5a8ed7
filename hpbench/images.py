"""Reading images."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.errors import NO_SUCH_IMAGE, ImageError, first_line

__all__ = [
    "IMAGE_SUFFIXES", "MAX_PIXELS", "MAX_WEBP_SIDE_PX", "WRITTEN_SUFFIXES", "ImageSize",
    "max_pixels", "open_image", "pixel_limit", "read_rgb", "read_size", "set_max_pixels",
    "silent_opencv",
]  # fmt: skip

MAX_WEBP_SIDE_PX = 16_000
"""What is drawn for a WebP image is kept within this; the format ends at 16,383."""

MAX_PIXELS = 64_000_000
"""Images with more are not decoded; half a megabyte of PNG may stand for a gigabyte."""

_FORMATS = {
    "JPEG": (".jpg", ".jpeg"), "PNG": (".png",), "WEBP": (".webp",), "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",), "GIF": (".gif",), "AVIF": (".avif",), "JPEG2000": (".jp2", ".j2k"),
}  # fmt: skip
"""Pillow's names of formats, and the suffixes by which images of a folder are found.

Others are not tried: for PostScript Pillow would start Ghostscript.
"""

_READ_ONLY = frozenset({"GIF", "AVIF", "JPEG2000"})

_LARGE_PIXELS = 16_000_000
_one_large_image = threading.Lock()
"""Large images are decoded one at a time, for decoding takes several times their size."""

_limit = MAX_PIXELS

_WIDTH, _HEIGHT, _PHOTOMETRIC, _ORIENTATION = 256, 257, 262, 274
_BITS_PER_SAMPLE, _MIN_SAMPLE, _MAX_SAMPLE = 258, 280, 281
_S_MIN_SAMPLE, _S_MAX_SAMPLE = 340, 341
"""Tags of TIFF; EXIF has that of the orientation from there."""

IMAGE_SUFFIXES = frozenset(suffix for some in _FORMATS.values() for suffix in some)

WRITTEN_SUFFIXES = frozenset(
    suffix for name, some in _FORMATS.items() if name not in _READ_ONLY for suffix in some
)
"""Of images that hpbench writes."""


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Size of an image file.

    Attributes
    ----------
    stored_wh : tuple of int
        Width and height as they are stored.
    orientation : int
        Of EXIF, 1 to 8; 1 means upright.
    """

    stored_wh: tuple[int, int]
    orientation: int = 1

    @property
    def upright_wh(self) -> tuple[int, int]:
        """Width and height of the upright image."""
        width, height = self.stored_wh
        return (height, width) if self.orientation >= 5 else (width, height)

    def upright_box(self, box_xyxy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """A box of the stored image in the upright one; whole numbers are pixel centres."""
        width, height = self.stored_wh
        corners = box_xyxy.reshape(2, 2)
        if self.orientation in (2, 3, 7, 8):
            corners = np.stack([width - 1 - corners[:, 0], corners[:, 1]], axis=1)
        if self.orientation in (3, 4, 6, 7):
            corners = np.stack([corners[:, 0], height - 1 - corners[:, 1]], axis=1)
        if self.orientation >= 5:
            corners = corners[:, ::-1]
        return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def max_pixels() -> int:
    """How many pixels an image may have in this process."""
    return _limit


def set_max_pixels(count: int) -> None:
    """Set how many pixels an image may have in this process."""
    from PIL import Image

    global _limit
    _limit = count
    if count > MAX_PIXELS:
        Image.MAX_IMAGE_PIXELS = None  # Pillow has a limit of its own, above the default one


@contextmanager
def pixel_limit(count: int) -> Iterator[None]:
    """Let images have so many pixels in the block, in all threads of this process."""
    before = _limit
    set_max_pixels(count)
    try:
        yield
    finally:
        set_max_pixels(before)


@cache
def _formats() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)  # AVIF is a part of most builds


@contextmanager
def open_image(path: Path) -> Iterator[Any]:
    """A ``PIL.Image.Image`` whose header was read.

    Raises
    ------
    ImageError
        For whatever is raised here or in the block: the file is missing, no regular file, in
        another format, too large, or corrupted.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        # Reading a pipe or a device may never end. One look: of two, one may find a file that the
        # other no longer finds.
        if not S_ISREG(path.stat().st_mode):
            raise ValueError("is not a regular file")
        # as an open file: of a path, Pillow maps plain TIFFs into memory, turned ones in the wrong
        # shape
        with path.open("rb") as file, Image.open(file, formats=_formats()) as image:
            pixels = image.width * image.height
            if pixels > _limit:
                raise ImageError(
                    f"{path}: has {pixels:,} pixels, more than the limit of {_limit:,}; raise it "
                    f"with --max-pixels {pixels} (of 'hpbench run', 'faces', 'predict' and 'label')"
                )
            with _one_large_image if pixels > _LARGE_PIXELS else nullcontext():
                yield image
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{path}{NO_SUCH_IMAGE}") from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{path}: not an image format that is read (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, "
            "JPEG 2000)"
        ) from error
    except Exception as error:  # a decoder raises anything for a corrupted file
        raise ImageError(f"{path}: cannot be read as an image ({first_line(error)})") from error


@contextmanager
def silent_opencv() -> Iterator[None]:
    """Keep what OpenCV itself has to say off the terminal."""
    import cv2

    log = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # 4, and 5
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)


def read_size(path: Path) -> ImageSize:
    """Size of an image from its header alone.

    Raises
    ------
    ImageError
        If the file is missing or not an image.
    """
    with open_image(path) as image:
        size = image.size
        if image.format == "TIFF":  # Pillow has turned it already
            size = (image.tag_v2[_WIDTH], image.tag_v2[_HEIGHT])
        return ImageSize(size, _orientation(image))


def _orientation(image: Any) -> int:
    """Of EXIF, 1 to 8; 1 also where there is none."""
    orientation = image.getexif().get(_ORIENTATION, 1)
    return orientation if orientation in range(1, 9) else 1


def _as_stored(image: Any, orientation: int) -> Any:
    """An image that was loaded, without the turn that loading a TIFF does."""
    from PIL.Image import Transpose

    if _orientation(image) == orientation:
        return image
    inverse = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_90, 7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_270,
    }  # fmt: skip
    return image.transpose(inverse[orientation])


def read_rgb(path: Path, upright: bool = True) -> npt.NDArray[np.uint8]:
    """Read an image as RGB.

    Pillow and not OpenCV, because OpenCV returns a truncated JPEG as an image with a grey
    lower part and no error.

    Parameters
    ----------
    path : Path
        JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or JPEG 2000, whatever its suffix; grey, 16-bit and
        transparent images are converted. What has more bits is scaled by the file's own statement
        (depth, sample range of TIFF); floating-point values of 0..1 need none.
    upright : bool
        Whether the image is turned by its EXIF orientation.

    Returns
    -------
    ndarray, shape (height, width, 3), uint8

    Raises
    ------
    ImageError
        If the file is missing, truncated, larger than :func:`max_pixels` or not an image, or does
        not say which value is white.
    """
    from PIL import ImageOps

    with open_image(path) as image:
        orientation = _orientation(image)
        image.load()
        bits = _stated_bits(image, path)
        value_range = _stated_range(image)
        turned = ImageOps.exif_transpose(image) if upright else _as_stored(image, orientation)
        if turned.mode[0] in "IF":  # convert() would clip it to white, or read it as black
            grey = _eight_bits(np.asarray(turned), turned.mode, bits, value_range)
            if _zero_is_white(image):  # Pillow turns only 8 bits
                grey = 255 - grey
            return np.repeat(grey[..., None], 3, axis=-1)
        if bits == 16 and value_range not in (None, (0.0, 65535.0)):
            raise ValueError(
                f"16 bits per colour of which black and white are {value_range[0]:g} and "
                f"{value_range[1]:g}; save it with 8 bits"
            )
        pixels = np.array(turned.convert("RGB"), dtype=np.uint8)
        if bits == 16 and 0 < pixels.max() < 16:
            raise ValueError(_TOO_DARK.format(f"{int(pixels.max()) * 256 + 255}"))
        return pixels


def _zero_is_white(image: Any) -> bool:
    """Whether a TIFF says that its grey values count from white (photometric interpretation 0)."""
    return image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0


_TOO_DARK = (
    "16 bits per value, but none above {}: fewer bits are used than the file says; save it with "
    "8 bits, or scaled to 16"
)


def _eight_bits(
    levels: npt.NDArray[Any],
    mode: str,
    bits: int | None,
    value_range: tuple[float, float] | None,
) -> npt.NDArray[np.uint8]:
    """Grey values of more than eight bits, scaled by what the file says of them.

    Raises
    ------
    ValueError
        If the file does not say what is white, and its values do not show it.
    """
    largest = float(levels.max(initial=0))
    if not np.isfinite(largest) or not np.isfinite(levels).all():
        raise ValueError("holds values that are not finite")
    if value_range is not None:
        low, high = value_range
    elif bits is not None and bits <= 16:
        if bits == 16 and 0 < largest < 4096:
            raise ValueError(_TOO_DARK.format(f"{largest:.0f}"))
        return np.asarray(np.minimum(levels.astype(np.int64) >> (bits - 8), 255), dtype=np.uint8)
    elif mode == "F" and float(levels.min(initial=0)) >= 0.0 and 1 / 16 < largest <= 1.0:
        low, high = 0.0, 1.0
    else:
        kind = "floating-point" if mode == "F" else "signed or 32-bit"
        raise ValueError(
            f"{kind} values up to {largest:.6g}, and the file does not say which one is white; "
            "save it with 8 or 16 bits"
        )
    scaled = (levels.astype(np.float64) - low) / (high - low)
    return np.asarray(np.rint(255.0 * np.clip(scaled, 0.0, 1.0)), dtype=np.uint8)


def _stated_bits(image: Any, path: Path) -> int | None:
    """Bits per value that the file says are used; None where it does not say.

    The ``sBIT`` chunk of PNG says how many there were before they were scaled to all of them.
    """
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]  # signature and IHDR, whose ninth byte is the depth
    if image.format == "TIFF":
        bits = image.tag_v2.get(_BITS_PER_SAMPLE)
        depth = int(bits[0] if isinstance(bits, tuple) else bits or 8)
        return depth if depth <= 16 and image.mode != "I" else None
    return 16 if image.mode.startswith("I;16") else None


def _stated_range(image: Any) -> tuple[float, float] | None:
    """Values of black and white that a TIFF file states, or None."""
    if image.format != "TIFF":
        return None
    for smallest, largest in ((_S_MIN_SAMPLE, _S_MAX_SAMPLE), (_MIN_SAMPLE, _MAX_SAMPLE)):
        high = image.tag_v2.get(largest)
        if high is not None:
            low = image.tag_v2.get(smallest, 0)
            low, high = (float(v[0] if isinstance(v, tuple) else v) for v in (low, high))
            return (low, high) if high > low else None
    return None
