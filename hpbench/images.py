"""Reading images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpbench.errors import ImageError

__all__ = ["IMAGE_SUFFIXES", "read_rgb"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """Read an image as RGB, upright by its EXIF orientation.

    Pillow and not OpenCV, because OpenCV returns a truncated JPEG as an image with a grey
    lower part and no error.

    Parameters
    ----------
    path : Path
        JPEG, PNG, ...; grey, 16-bit and transparent images are converted.

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
            upright = ImageOps.exif_transpose(image) or image
            if upright.mode.startswith("I"):  # 16-bit grey; convert() would clip it to white
                levels = np.asarray(upright, dtype=np.uint32) >> 8
                grey = levels.astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=-1)
            return np.array(upright.convert("RGB"), dtype=np.uint8)
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such image") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: cannot be read as an image ({error})") from error
