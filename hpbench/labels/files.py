"""Files of a data set that are not read, or that are read more than once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from hpbench.dataset import Dataset, Record
from hpbench.images import IMAGE_SUFFIXES
from hpbench.labels.suspicion import Suspicion

__all__ = ["faces_of", "review_files"]

FaceRow = tuple[str, str, tuple[float | None, ...]]
"""Id, path of the image and box x0, y0, x1, y1 of a face."""

_UNREAD_SUFFIXES = frozenset({".heic", ".heif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw"})
"""Images that are not read; whatever else lies in a folder is no face that was forgotten."""


def review_files(dataset: Dataset, faces: Iterable[FaceRow]) -> list[Suspicion]:
    """Images that are not read, and faces that are listed more than once.

    Parameters
    ----------
    dataset : Dataset
    faces : iterable of tuple
        Those that are not excluded, as :func:`faces_of` gives them.
    """
    found = []
    if dataset.root is not None and dataset.root.is_dir():
        unread = _unread(dataset.root)
        if unread:
            counts = ", ".join(f"{count} {suffix}" for suffix, count in unread.most_common())
            found.append(
                Suspicion(
                    "unread_files",
                    f"{unread.total()} images in {dataset.root} are not read: {counts}",
                    "save them as JPEG or PNG",
                    stops=False,
                )
            )
    first_id: dict[tuple[str, tuple[float | None, ...]], str] = {}
    twice = []
    for image_id, path, box in faces:
        if Path(path).suffix.lower() in IMAGE_SUFFIXES:  # a video holds many faces
            first = first_id.setdefault((os.path.normpath(path), box), image_id)
            if first != image_id:
                twice.append((first, image_id))
    if twice:
        count, (first, second) = len(twice), twice[0]
        found.append(
            Suspicion(
                "same_face",
                f"{count} {'faces are' if count > 1 else 'face is'} listed more than once, the "
                f"first as '{first}' and '{second}', and each counts",
                "list a face once",
                stops=False,
            )
        )
    return found


def faces_of(records: Iterable[Record]) -> Iterator[FaceRow]:
    """Id, path and box of the faces that are not excluded."""
    for record in records:
        if record.excluded is None:
            box = record.box_xyxy
            sides = (None,) * 4 if box is None else tuple(box.tolist())
            yield record.image_id, str(record.image_path), sides


def _unread(folder: Path) -> Counter[str]:
    names = (name for _, _, names in os.walk(folder) for name in names if name[0] != ".")
    suffixes = (Path(name).suffix.lower() for name in names)
    return Counter(suffix for suffix in suffixes if suffix in _UNREAD_SUFFIXES)
