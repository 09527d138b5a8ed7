"""The files that predict writes: a table of poses, drawn images, a drawn video.

Each writer is a context manager with ``write(result)``. Files appear under their names when they
are complete; an error removes what was begun.
"""

from __future__ import annotations

import csv
import errno
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench import __version__
from hpbench.errors import DataError, write_errors
from hpbench.geometry.pose_drawing import DrawStyle
from hpbench.images import MAX_WEBP_SIDE_PX
from hpbench.predicting.faces import FrameResult
from hpbench.predicting.marks import mark_end, save_drawing
from hpbench.predicting.panels import draw_result
from hpbench.predicting.rows import ROW_COLUMNS, result_rows
from hpbench.storage.atomic import atomic_path
from hpbench.storage.text import spreadsheet_cell

__all__ = ["DrawnImages", "PoseTable", "PredictionWriter", "RowList", "VideoFile"]

SCHEMA = 2
"""Version of the JSON file."""

MAX_VIDEO_WIDTH_PX = 3840
"""Panels of a video are reduced to fit side by side into this; MPEG-4 ends at 8191."""


class PredictionWriter(ABC):
    """Takes the results of frames one by one.

    Attributes
    ----------
    planned : sequence of Path
        The files that it will write.
    written : list of Path
        Those that are complete.
    notes : list of str
        Lines for the user: what could not be written, and why.
    """

    def __init__(self, planned: Sequence[Path]) -> None:
        self.planned = planned
        self.written: list[Path] = []
        self.notes: list[str] = []
        self._files = ExitStack()

    def __enter__(self) -> PredictionWriter:
        return self

    @abstractmethod
    def write(self, result: FrameResult) -> None:
        """Add the next frame."""

    def __exit__(self, *error: Any) -> None:
        self._files.__exit__(*error)

    @contextmanager
    def _new_file(self, path: Path) -> Iterator[Path]:
        """Temporary file that gets the name `path` at the end of the block."""
        with atomic_path(path) as temporary:
            with write_errors(path, "name another --out"):
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.touch()
            yield temporary
        self.written.append(path)


class PoseTable(PredictionWriter):
    """All poses as CSV or JSON, one row per face and method; `metadata` goes into the JSON file."""

    def __init__(self, path: Path, methods: Sequence[str], metadata: Mapping[str, Any]) -> None:
        super().__init__([path])
        self.path = path
        self.methods = methods
        self.metadata = metadata
        self._csv: csv.DictWriter[str] | None = None
        self._rows = 0

    def __enter__(self) -> PredictionWriter:
        self._files.enter_context(self._table())
        return self

    @contextmanager
    def _table(self) -> Iterator[None]:
        with (
            self._new_file(self.path) as file,
            file.open("w", encoding="utf-8", newline="") as self._stream,
        ):
            if self.path.suffix.lower() == ".csv":
                self._csv = csv.DictWriter(self._stream, ROW_COLUMNS, lineterminator="\n")
                self._csv.writeheader()
                yield
            else:
                head = {"schema": SCHEMA, "hpbench": __version__, **self.metadata}
                head["methods"] = list(self.methods)
                self._stream.write(json.dumps(head, indent=1)[:-2] + ',\n "rows": [')
                yield
                self._stream.write("\n ]\n}\n")

    def write(self, result: FrameResult) -> None:
        """Append the rows of one frame."""
        for row in result_rows(result, self.methods):
            if self._csv is not None:
                self._csv.writerow({name: spreadsheet_cell(cell) for name, cell in row.items()})
            else:
                separator = ",\n  " if self._rows else "\n  "
                self._stream.write(separator + json.dumps(row, allow_nan=False))
            self._rows += 1


class RowList(PredictionWriter):
    """All poses in memory: the rows of the table, for the Python API."""

    def __init__(self, methods: Sequence[str]) -> None:
        super().__init__([])
        self.methods = methods
        self.rows: list[dict[str, Any]] = []

    def write(self, result: FrameResult) -> None:
        """Append the rows of one frame."""
        self.rows += result_rows(result, self.methods)


class DrawnImages(PredictionWriter):
    """One drawn image per readable image; `paths` are the files, by the names of the frames."""

    def __init__(self, paths: Mapping[str, Path], methods: Sequence[str], style: DrawStyle) -> None:
        super().__init__(list(paths.values()))
        self.paths = paths
        self.methods = methods
        self.style: DrawStyle = style

    def write(self, result: FrameResult) -> None:
        """Draw and store one image."""
        if result.frame.image is None:
            return
        path = self.paths[result.frame.name]
        width_px = MAX_WEBP_SIDE_PX if path.suffix.lower() == ".webp" else None
        drawn = draw_result(result, self.methods, self.style, width_px)
        try:
            with self._new_file(path) as file:
                save_drawing(file, drawn)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) not in (None, errno.ENAMETOOLONG):
                raise  # of the system, which has words of its own
            line = f"{path}: not drawn ({getattr(error, 'strerror', None) or error})"
            if len(self.paths) == 1:
                raise DataError(f"{line}; name another --out") from error
            self.notes.append(line)  # too high for the format, say; the others can be drawn


class VideoFile(PredictionWriter):
    """A drawn MPEG-4 video, without sound, begun with the first frame.

    Frames of a `live` source come slower than `fps`: each is repeated until the next.
    """

    def __init__(
        self, path: Path, fps: float, live: bool, methods: Sequence[str], style: DrawStyle
    ) -> None:
        super().__init__([path])
        self.path = path
        self.fps = fps
        self.live = live
        self.methods = methods
        self.style: DrawStyle = style
        self._video: Any = None
        self._size_wh = (0, 0)
        self._shown: Any = None
        self._frames = 0

    def write(self, result: FrameResult) -> None:
        """Draw and append one frame."""
        import cv2

        drawn = draw_result(result, self.methods, self.style, MAX_VIDEO_WIDTH_PX)
        image_bgr = cv2.cvtColor(_even(drawn), cv2.COLOR_RGB2BGR)
        if self._video is None:
            self._size_wh = (image_bgr.shape[1], image_bgr.shape[0])
            self._video = self._files.enter_context(self._opened())
            self._shown = image_bgr
        elif (image_bgr.shape[1], image_bgr.shape[0]) != self._size_wh:
            # OpenCV would drop a frame of another size without a word.
            image_bgr = cv2.resize(image_bgr, self._size_wh)
        due = self._frames + 1
        if self.live and result.frame.time_s is not None:
            due = max(due, round(result.frame.time_s * self.fps) + 1)
        for _ in range(due - self._frames - 1):
            self._video.write(self._shown)
        self._video.write(image_bgr)
        self._shown, self._frames = image_bgr, due

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """A ``cv2.VideoWriter`` of this size."""
        import cv2

        with self._new_file(self.path) as file:
            fourcc = cv2.VideoWriter.fourcc(*"mp4v")
            video = cv2.VideoWriter(str(file), fourcc, self.fps, self._size_wh)
            if not video.isOpened():
                width, height = self._size_wh
                raise DataError(
                    f"{self.path}: a video of {width}x{height} at {self.fps:g} frames per second "
                    "cannot be written"
                )
            try:
                yield video
            finally:
                video.release()
            mark_end(file)


def _even(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Without the last row and column where they are odd; MPEG-4 stores colour in pairs."""
    height, width = image.shape[:2]
    return np.ascontiguousarray(image[: height - height % 2, : width - width % 2])
