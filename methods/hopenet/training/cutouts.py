"""Faces cut out once, so that an epoch neither decodes nor resizes whole images."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Dataset
from hpbench.errors import DataError, ImageError, write_errors
from hpbench.face import crop_with_black
from hpbench.inference.faces import annotated_face
from hpbench.inference.prefetch import prefetch
from hpbench.methods.hopenet.training.samples import Sample
from hpbench.paths import file_state
from hpbench.storage.atomic import atomic_path, write_json
from hpbench.storage.fingerprints import hash_of, plugin_digest

__all__ = ["FaceCache", "build_cache"]

REACH = 2.3
"""Side of the stored square as a multiple of the face box's longer side."""

OVERSAMPLING = 1.65
"""Side of the stored square over that of the network's input: a usual crop keeps its pixels."""

RAISE = 0.1
"""The stored square is centred this share of the box higher: crops reach above the brows."""

_AHEAD = 256
"""Cut-outs that are made before they can be written."""

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class FaceCache:
    """Square cut-outs around faces: pixels (n, side, side, 3), mapped from disk into memory.

    Boxes (n, 4) are in pixels of the cut-out; angles (n, 3) are NaN where not labelled.
    """

    pixels: npt.NDArray[np.uint8]
    boxes_xyxy: npt.NDArray[np.float32]
    angles_deg: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.pixels)


def build_cache(
    dataset: Dataset, samples: Sequence[Sample], input_size: int, path: Path, note: Note
) -> FaceCache:
    """Cut out all faces of a source into a ``.npy`` file, or reuse that of an earlier run.

    `input_size` is the side of the network's input. Raises DataError if no image can be read, or
    the disk is full.
    """
    side = round(OVERSAMPLING * input_size)
    key = _fingerprint(dataset, samples, side)
    index_path = path.with_suffix(".json")
    boxes = np.stack([_stored_box(sample, side) for sample in samples]).astype(np.float32)
    angles = np.stack([sample.angles_deg for sample in samples])
    good = _stored_index(index_path, key) if path.is_file() else None
    if good is None:
        with write_errors(path):
            index_path.unlink(missing_ok=True)  # it is of other pixels
            good = _write_pixels(dataset, samples, side, path, note)
            write_json(index_path, {"key": key, "good": good})
    if not good:
        raise DataError(f"{dataset.name}: none of its {len(samples)} images can be read")
    pixels = np.load(path, mmap_mode="r")[: len(good)]
    return FaceCache(pixels, boxes[good], angles[good])


def _fingerprint(dataset: Dataset, samples: Sequence[Sample], side: int) -> str:
    """Hash of everything that the cut-outs depend on; images by their size and time of change."""
    faces = [
        (str(path := sample.record.image_path), file_state(path), sample.box_xyxy.tolist())
        for sample in samples
    ]
    read_by = plugin_digest(dataset), dataset.image_options()
    return hash_of(side, REACH, RAISE, read_by, faces)


def _stored_index(path: Path, key: str) -> list[int] | None:
    """Samples in the file of an earlier run, if it was made of the same faces."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stored["good"] if stored.get("key") == key else None


def _square(sample: Sample) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = sample.box_xyxy
    half = REACH * max(x1 - x0, y1 - y0) / 2.0
    centre_x, centre_y = (x0 + x1) / 2.0, (y0 + y1) / 2.0 - RAISE * (y1 - y0)
    left, top = round(centre_x - half), round(centre_y - half)
    length = max(round(2.0 * half), 2)
    return left, top, left + length, top + length


def _stored_box(sample: Sample, side: int) -> npt.NDArray[np.float64]:
    """Face box in pixels of the cut-out."""
    left, top, right, _ = _square(sample)
    return (sample.box_xyxy - [left, top, left, top]) * side / (right - left)


def _cut(dataset: Dataset, sample: Sample, side: int) -> npt.NDArray[np.uint8] | str:
    """Cut-out of a face, or the reason why there is none."""
    from PIL import Image

    try:
        image = annotated_face(dataset, sample.record).image
    except ImageError:
        return "image cannot be read"
    except DataError:
        return "face box outside the image"
    crop = Image.fromarray(np.ascontiguousarray(crop_with_black(image, _square(sample))))
    return np.asarray(crop.resize((side, side), Image.Resampling.BILINEAR))


def _write_pixels(
    dataset: Dataset, samples: Sequence[Sample], side: int, path: Path, note: Note
) -> list[int]:
    """Write the cut-outs that can be made; return which samples these are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    good: list[int] = []
    failed: Counter[str] = Counter()
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)),
        "fortran_order": False,
        "shape": (len(samples), side, side, 3),
    }
    # plain writes: a full disk is an error here, while a memory map ends the process with SIGBUS
    with atomic_path(path) as temporary, temporary.open("wb") as file, ThreadPoolExecutor() as pool:
        np.lib.format.write_array_header_1_0(file, header)
        cuts = prefetch(lambda one: pool.submit(_cut, dataset, one, side), samples, _AHEAD)
        for index, cut in enumerate(cuts):
            if isinstance(cut, str):
                failed[cut] += 1
                continue
            file.write(cut.tobytes())
            good.append(index)
        for _ in range(failed.total()):  # the header was written before these were known
            file.write(bytes(side * side * 3))
    for reason, count in failed.items():
        note(f"{dataset.name}: {count} left out: {reason}")
    return good
