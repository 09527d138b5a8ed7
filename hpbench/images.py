"""Reading images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpbench.errors import ImageError

__all__ = ["IMAGE_SUFFIXES", "ImageSize", "read_rgb", "read_size"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


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
        """A box of the stored image in the upright one."""
        width, height = self.stored_wh
        corners = box_xyxy.reshape(2, 2)
        if self.orientation in (2, 3, 7, 8):
            corners = np.stack([width - corners[:, 0], corners[:, 1]], axis=1)
        if self.orientation in (3, 4, 6, 7):
            corners = np.stack([corners[:, 0], height - corners[:, 1]], axis=1)
        if self.orientation >= 5:
            corners = corners[:, ::-1]
        return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def read_size(path: Path) -> ImageSize:
    """Size of an image from its header alone.

    Raises
    ------
    ImageError
        If the file is missing or not an image.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            orientation = image.getexif().get(0x0112, 1)
            return ImageSize(image.size, orientation if orientation in range(1, 9) else 1)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such image") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: cannot be read as an image ({error})") from error


def read_rgb(path: Path, upright: bool = True) -> npt.NDArray[np.uint8]:
    """Read an image as RGB.

    Pillow and not OpenCV, because OpenCV returns a truncated JPEG as an image with a grey
    lower part and no error.

    Parameters
    ----------
    path : Path
        JPEG, PNG, ...; grey, 16-bit and transparent images are converted.
    upright : bool
        Whether the image is turned by its EXIF orientation.

    Returns
    -------
    ndarray, shape (height, width, 3), uint8

    Raises
    ------
    ImageError
        If the file is missing, truncated or not an image.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            image.load()
            turned = (ImageOps.exif_transpose(image) or image) if upright else image
            if turned.mode.startswith("I"):  # 16-bit grey; convert() would clip it to white
                levels = np.asarray(turned, dtype=np.uint32) >> 8
                grey = levels.astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=-1)
            return np.array(turned.convert("RGB"), dtype=np.uint8)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such image") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: cannot be read as an image ({error})") from error
