"""Where images to predict on come from: one image, a folder, a video, a camera."""

from __future__ import annotations

import math
import os
import re
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.errors import DataError, ImageError, UsageError
from hpbench.images import IMAGE_SUFFIXES, read_rgb, silent_opencv
from hpbench.predicting.marks import is_drawing

__all__ = [
    "VIDEO_SUFFIXES",
    "Frame",
    "ImageFiles",
    "LiveCamera",
    "Source",
    "Video",
    "open_source",
]

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})

DEFAULT_FPS = 25.0
"""Frames per second where a video or camera does not say."""

_CAMERA = re.compile(r"(?:camera:)?(\d{1,9}|/dev/\S+)")


@dataclass(frozen=True, slots=True)
class Frame:
    """One image of a source.

    Attributes
    ----------
    name : str
        File name, below the folder where a folder was named; ``camera:0``.
    image : ndarray, shape (height, width, 3), uint8, or None
        RGB; None if the file cannot be read, for the reason in `problem`.
    number : int or None
        From 0, of a video or camera.
    time_s : float or None
        Since the first frame, of a video or camera.
    """

    name: str
    image: npt.NDArray[np.uint8] | None
    problem: str | None = None
    number: int | None = None
    time_s: float | None = None


class Source(ABC):
    """Frames in order.

    Attributes
    ----------
    name : str
        As the user wrote it.
    total : int or None
        Number of frames, where it is known; that of a video is what its header says.
    fps : float or None
        None for images that do not follow each other.
    live : bool
        Whether frames come in real time and without end.
    paths : sequence of Path
        The files that are read; none of a camera.
    notes : list of str
        What the user should be told after the last frame.
    """

    fps: float | None = None
    live: bool = False

    def __init__(self, name: str, total: int | None, paths: Sequence[Path] = ()) -> None:
        self.name = name
        self.total = total
        self.paths = paths
        self.notes: list[str] = []

    @abstractmethod
    def frames(self) -> Iterator[Frame]:
        """All frames. An image that cannot be read is a frame with a problem."""


class ImageFiles(Source):
    """One image, or all images of a folder and its subfolders; `names` are below that folder."""

    def __init__(self, name: str, paths: Sequence[Path], folder: Path) -> None:
        super().__init__(name, len(paths), paths)
        relative = [os.fsencode(path.relative_to(folder).as_posix()) for path in paths]
        self.names = [one.decode(errors="backslashreplace") for one in relative]  # not all UTF-8

    def frames(self) -> Iterator[Frame]:
        """All images in the order of their names."""
        for name, path in zip(self.names, self.paths, strict=True):
            try:
                yield Frame(name, read_rgb(path))
            except ImageError as error:
                yield Frame(name, None, str(error).replace(str(path), path.name))


class Video(Source):
    """A video file; one that cannot be opened or holds no frame is a DataError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        import cv2

        with _opened(str(path)) as capture:
            if not capture.isOpened() or not capture.read()[0]:
                raise DataError(f"{path}: cannot be read as a video; is it corrupted or empty?")
            count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
            known = math.isfinite(count) and count > 0
            super().__init__(str(path), int(count) if known else None, [path])
            self.fps = _rate(capture)

    def frames(self) -> Iterator[Frame]:
        """All frames with the container's presentation times, from zero.

        Where it has none, or they do not grow, they follow from number and nominal rate.
        """
        import cv2

        with _opened(str(self.path)) as capture:
            number, first_s, last_s = 0, 0.0, -math.inf
            for image in _images(capture):
                time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0  # NaN: it has none
                if number == 0:
                    first_s = time_s
                if not time_s > last_s:
                    time_s = first_s + number / _rate(capture) if number else first_s
                last_s = max(last_s, time_s)
                yield Frame(self.path.name, image, number=number, time_s=last_s - first_s)
                number += 1
        # Headers are often off by a frame or two.
        if self.total is not None and number < self.total - max(2, 0.01 * self.total):
            self.notes.append(
                f"{self.path}: ends after {number} of {self.total} frames; it is corrupted or cut"
            )


class LiveCamera(Source):
    """A camera of this machine: its number, from 0, or a device such as ``/dev/video2``."""

    live = True

    def __init__(self, device: int | str) -> None:
        super().__init__(f"camera:{device}", None)
        self.device = device
        with _opened(device) as capture:
            if not capture.isOpened() or not capture.read()[0]:
                raise DataError(
                    f"camera {device}: cannot be opened; is it plugged in, free and readable? "
                    f"{_cameras_in_words()}"
                )
            self.fps = _rate(capture)

    def frames(self) -> Iterator[Frame]:
        """Frames as they come, without end."""
        with _opened(self.device) as capture:
            start = time.perf_counter()
            for number, image in enumerate(_images(capture)):
                yield Frame(self.name, image, number=number, time_s=time.perf_counter() - start)


def _cameras_in_words() -> str:
    devices = sorted(str(path) for path in Path("/dev").glob("video*"))
    if devices:
        return f"This machine has {', '.join(devices)}"
    return "Cameras count from 0; this machine shows none below /dev"


def open_source(text: str) -> Source:
    """Find out what the user named.

    Parameters
    ----------
    text : str
        An image, a folder, a video, or a camera as ``0``, ``camera:0`` or ``/dev/video0``.
        What exists as a file is a file.

    Raises
    ------
    UsageError
        If the file is neither image nor video by its suffix.
    DataError
        If it does not exist, cannot be read, or a folder holds no image.
    """
    try:
        text.encode()  # OpenCV ends the process for a name that is no UTF-8
        path = Path(text).expanduser()
        exists = path.exists()
    except UnicodeEncodeError as error:
        raise DataError(f"{text[:100]!a}: a name that is not UTF-8; rename it") from error
    except (OSError, RuntimeError) as error:  # a name that no file can have, or no such user
        raise DataError(f"{text[:100]}: cannot be a path ({error.args[-1]})") from error
    camera = _CAMERA.fullmatch(text.strip())
    if camera and (not exists or path.is_char_device()):
        return LiveCamera(int(camera[1]) if camera[1].isdecimal() else camera[1])
    if not exists:
        raise DataError(f"{text}: no such image, folder or video")
    if path.is_dir():
        return _folder(text, path)
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return ImageFiles(text, [path], path.parent)
    if suffix in VIDEO_SUFFIXES:
        return Video(path)
    raise UsageError(
        f"{text}: unknown type of file '{path.suffix}'; images end in "
        f"{' '.join(sorted(IMAGE_SUFFIXES))}, videos in {' '.join(sorted(VIDEO_SUFFIXES))}"
    )


def _folder(text: str, folder: Path) -> ImageFiles:
    files, left_out = _files_below(folder)
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    others = Counter(
        path.suffix.lower() or "without suffix"
        for path in files
        if path.suffix.lower() not in IMAGE_SUFFIXES | VIDEO_SUFFIXES
    )
    unread = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common())
    if not images:
        has = f"; its other files are {unread}" if unread else ""
        raise DataError(f"{text}: contains no image ({' '.join(sorted(IMAGE_SUFFIXES))}){has}")
    photos = [path for path in images if not is_drawing(path)]
    if not photos:
        raise DataError(f"{text}: contains only images that 'hpbench predict' has drawn")
    source = ImageFiles(text, photos, folder)
    videos = sum(path.suffix.lower() in VIDEO_SUFFIXES for path in files)
    if videos:
        source.notes.append(f"{text}: {videos} videos left out; name each on its own")
    if unread:
        source.notes.append(f"{text}: {others.total()} files not read: {unread}")
    if left_out:
        count, first = len(left_out), left_out[0]
        source.notes.append(
            f"{text}: {count} links or unreadable folders left out, the first {first}"
        )
    if len(photos) < len(images):
        count = len(images) - len(photos)
        source.notes.append(f"{text}: {count} drawings of 'hpbench predict' left out")
    return source


def _files_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files below a folder, and links and folders that are not followed or cannot be read."""
    left_out: list[Path] = []

    def note(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise DataError(f"{folder}: cannot be looked at ({error.strerror})") from error
        left_out.append(Path(error.filename))

    files: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=note):
        left_out += [path for name in folders if (path := Path(place, name)).is_symlink()]
        for path in (Path(place, name) for name in names):
            try:
                if S_ISREG(path.stat().st_mode):
                    files.append(path)
            except OSError:  # a link to nowhere, or a folder that may be listed and not entered
                left_out.append(path)
    return sorted(files), sorted(left_out)


@contextmanager
def _opened(name: str | int) -> Iterator[Any]:
    """A ``cv2.VideoCapture`` that keeps its own complaints to itself."""
    # Read by OpenCV when it opens its first video; -8 is FFmpeg's AV_LOG_QUIET.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    with silent_opencv():
        capture = cv2.VideoCapture(name)
    try:
        yield capture
    finally:
        capture.release()


def _images(capture: Any) -> Iterator[npt.NDArray[np.uint8]]:
    import cv2

    while True:
        read, image_bgr = capture.read()
        if not read:
            return
        yield cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB)


def _rate(capture: Any) -> float:
    import cv2

    rate = capture.get(cv2.CAP_PROP_FPS)
    return float(rate) if math.isfinite(rate) and 0.0 < rate <= 1000.0 else DEFAULT_FPS
