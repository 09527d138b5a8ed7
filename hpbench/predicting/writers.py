"""The files that predict writes: a table of poses, drawn images, a drawn video.

Each writer is a context manager with ``write(result)``. Table and video appear under their
names when they are complete; an error removes what was begun.
"""

from __future__ import annotations

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from hpbench import __version__
from hpbench.errors import DataError
from hpbench.geometry.pose_drawing import DrawStyle
from hpbench.predicting.faces import FrameResult
from hpbench.predicting.panels import draw_result
from hpbench.predicting.rows import ROW_COLUMNS, result_rows
from hpbench.predicting.sources import DRAWN_BY, SOFTWARE_TAG
from hpbench.storage.atomic import PARTIAL, publish
from hpbench.storage.text import spreadsheet_cell

__all__ = ["DrawnImages", "PoseTable", "PredictionWriter", "RowList", "VideoFile"]

SCHEMA = 2
"""Version of the JSON file."""

MAX_VIDEO_WIDTH_PX = 3840
"""Panels of a video are reduced to fit side by side into this; MPEG-4 ends at 8191."""


class PredictionWriter(ABC):
    """Takes the results of frames one by one; `written` are the files that are complete."""

    def __init__(self) -> None:
        self.written: list[Path] = []

    def open(self) -> None:
        """Begin the files."""

    @abstractmethod
    def write(self, result: FrameResult) -> None:
        """Add the next frame."""

    def close(self, complete: bool) -> None:
        """Finish the files, or remove them where they are not `complete`."""

    def __enter__(self) -> PredictionWriter:
        self.open()
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        self.close(complete=error_type is None)


class PoseTable(PredictionWriter):
    """All poses as CSV or JSON, one row per face and method; `metadata` goes into the JSON file."""

    def __init__(self, path: Path, methods: Sequence[str], metadata: Mapping[str, Any]) -> None:
        super().__init__()
        self.path = path
        self.methods = methods
        self.metadata = metadata
        self._partial = path.with_name(path.name + PARTIAL)
        self._csv: csv.DictWriter[str] | None = None
        self._rows = 0

    def open(self) -> None:
        """Begin the table."""
        self._stream = _open_for_writing(self._partial, self.path)
        if self.path.suffix.lower() == ".csv":
            self._csv = csv.DictWriter(self._stream, ROW_COLUMNS, lineterminator="\n")
            self._csv.writeheader()
        else:
            head = {"schema": SCHEMA, "hpbench": __version__, **self.metadata}
            head["methods"] = list(self.methods)
            self._stream.write(json.dumps(head, indent=1)[:-2] + ',\n "rows": [')

    def write(self, result: FrameResult) -> None:
        """Append the rows of one frame."""
        for row in result_rows(result, self.methods):
            if self._csv is not None:
                self._csv.writerow({name: spreadsheet_cell(cell) for name, cell in row.items()})
            else:
                separator = ",\n  " if self._rows else "\n  "
                self._stream.write(separator + json.dumps(row, allow_nan=False))
            self._rows += 1

    def close(self, complete: bool) -> None:
        """Give the table its name, or remove it."""
        if complete and self._csv is None:
            self._stream.write("\n ]\n}\n")
        self._stream.close()
        if complete:
            publish(self._partial, self.path)
            self.written.append(self.path)
        else:
            self._partial.unlink()


class RowList(PredictionWriter):
    """All poses in memory: the rows of the table, for the Python API."""

    def __init__(self, methods: Sequence[str]) -> None:
        super().__init__()
        self.methods = methods
        self.rows: list[dict[str, Any]] = []

    def write(self, result: FrameResult) -> None:
        """Append the rows of one frame."""
        self.rows += result_rows(result, self.methods)


class DrawnImages(PredictionWriter):
    """One drawn image per readable image.

    `out` is a folder, below which names are kept as ``NAME_pose.SUFFIX``, or the one file to write.
    """

    def __init__(self, out: Path, one_file: bool, methods: Sequence[str], style: DrawStyle) -> None:
        super().__init__()
        self.out = out
        self.one_file = one_file
        self.methods = methods
        self.style: DrawStyle = style

    def write(self, result: FrameResult) -> None:
        """Draw and store one image."""
        if result.frame.image is None:
            return
        path = self.out
        if not self.one_file:
            name = Path(result.frame.name)
            path = self.out / name.with_name(f"{name.stem}_pose{name.suffix}")
        _write_image(path, draw_result(result, self.methods, self.style))
        self.written.append(path)


class VideoFile(PredictionWriter):
    """A drawn MPEG-4 video, without sound.

    Frames of a `live` source come slower than `fps`: each is repeated until the next.
    """

    def __init__(
        self, path: Path, fps: float, live: bool, methods: Sequence[str], style: DrawStyle
    ) -> None:
        super().__init__()
        self.path = path
        self.fps = fps
        self.live = live
        self.methods = methods
        self.style: DrawStyle = style
        self._partial = path.with_name(f"{path.stem}{PARTIAL}{path.suffix}")
        self._video: Any = None
        self._size_wh = (0, 0)
        self._frames = 0

    def open(self) -> None:
        """Find out whether the video can be written."""
        _open_for_writing(self._partial, self.path).close()

    def write(self, result: FrameResult) -> None:
        """Draw and append one frame."""
        import cv2

        drawn = draw_result(result, self.methods, self.style, MAX_VIDEO_WIDTH_PX)
        image_bgr = cv2.cvtColor(_even(drawn), cv2.COLOR_RGB2BGR)
        if self._video is None:
            self._begin((image_bgr.shape[1], image_bgr.shape[0]))
        elif (image_bgr.shape[1], image_bgr.shape[0]) != self._size_wh:
            # OpenCV would drop a frame of another size without a word.
            image_bgr = cv2.resize(image_bgr, self._size_wh)
        due = self._frames + 1
        if self.live and result.frame.time_s is not None:
            due = max(due, round(result.frame.time_s * self.fps) + 1)
        for _ in range(due - self._frames):
            self._video.write(image_bgr)
        self._frames = due

    def _begin(self, size_wh: tuple[int, int]) -> None:
        import cv2

        fourcc = cv2.VideoWriter.fourcc(*"mp4v")
        self._video = cv2.VideoWriter(str(self._partial), fourcc, self.fps, size_wh)
        self._size_wh = size_wh
        if not self._video.isOpened():
            raise DataError(
                f"{self.path}: a video of {size_wh[0]}x{size_wh[1]} at {self.fps:g} frames per "
                "second cannot be written"
            )

    def close(self, complete: bool) -> None:
        """Give the video its name, or remove it."""
        if self._video is not None:
            self._video.release()
        if complete and self._video is not None:
            publish(self._partial, self.path)
            self.written.append(self.path)
        else:
            self._partial.unlink(missing_ok=True)


def _even(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Without the last row and column where they are odd; MPEG-4 stores colour in pairs."""
    height, width = image.shape[:2]
    return np.ascontiguousarray(image[: height - height % 2, : width - width % 2])


def _open_for_writing(path: Path, shown: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise DataError(
            f"{shown}: cannot be written ({error.strerror}); name another --out"
        ) from error


def _write_image(path: Path, image: npt.NDArray[np.uint8]) -> None:
    from PIL import Image

    lossy = path.suffix.lower() in {".jpg", ".jpeg", ".webp"}
    options: dict[str, Any] = {"quality": 92} if lossy else {}
    exif = Image.Exif()
    exif[SOFTWARE_TAG] = DRAWN_BY
    is_bmp = path.suffix.lower() == ".bmp"  # which has no room for it but behind its pixels
    if not is_bmp:
        options["exif"] = exif
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, **options)
        if is_bmp:
            with path.open("ab") as file:
                file.write(DRAWN_BY.encode())
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be written ({reason}); name another --out") from error
