"""How predict knows its own files: its drawings are never read again, no other file is replaced.

A drawn image says in its EXIF who made it. Where the format has none the mark ends the file: a box
that readers of MPEG-4 and JPEG 2000 skip, and that of other formats never reach.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.errors import ImageError
from hpbench.images import open_image

__all__ = ["is_drawing", "is_from_predict", "mark_end", "save_drawing"]

_SOFTWARE_TAG, _DRAWN_BY = 0x0131, "hpbench predict"

_MARKED_AT_END = frozenset({".bmp", ".gif", ".jp2", ".j2k", ".mp4"})

_TABLE_STARTS = {
    ".csv": re.compile(rb"image,frame,time_s,face,track,"),
    ".json": re.compile(rb'\{\n "schema": \d+,\n "hpbench": "'),
}


def save_drawing(path: Path, image: npt.NDArray[np.uint8]) -> None:
    """Store a drawn image with the mark, in the format of the suffix."""
    from PIL import Image

    lossy = path.suffix.lower() in {".jpg", ".jpeg", ".webp"}
    options: dict[str, Any] = {"quality": 92} if lossy else {}
    if path.suffix.lower() in _MARKED_AT_END:
        Image.fromarray(image).save(path, **options)
        mark_end(path)
    else:
        exif = Image.Exif()
        exif[_SOFTWARE_TAG] = _DRAWN_BY
        Image.fromarray(image).save(path, exif=exif, **options)


def mark_end(path: Path) -> None:
    """Append the mark to a drawn video, or to an image without EXIF."""
    content = b"free" + _DRAWN_BY.encode()
    with path.open("ab") as file:
        file.write((4 + len(content)).to_bytes(4, "big") + content)


def is_drawing(path: Path) -> bool:
    """Whether predict has drawn an image or video."""
    try:
        if path.suffix.lower() in _MARKED_AT_END:
            with path.open("rb") as file:
                file.seek(-len(_DRAWN_BY), os.SEEK_END)
                return file.read() == _DRAWN_BY.encode()
        with open_image(path) as image:
            return bool(image.getexif().get(_SOFTWARE_TAG) == _DRAWN_BY)
    except (ImageError, OSError):
        return False


def is_from_predict(path: Path) -> bool:
    """Whether predict has written a table, or drawn an image or video."""
    if not path.is_file():
        return False
    start = _TABLE_STARTS.get(path.suffix.lower())
    if start is None:
        return is_drawing(path)
    try:
        with path.open("rb") as file:
            return start.match(file.read(100)) is not None
    except OSError:
        return False
