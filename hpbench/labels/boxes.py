"""Face boxes that cannot be what they are taken for: width and height, fractions, other sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Dataset, Record, evenly_spaced
from hpbench.errors import DataError
from hpbench.geometry.boxes import BoxLayout, corners_of, iou
from hpbench.images import ImageSize
from hpbench.inference.faces import read_image
from hpbench.labels.suspicion import Suspicion

__all__ = ["SAMPLE", "FindFaces", "review_boxes"]

Array = npt.NDArray[np.float64]
Sizes = Sequence[ImageSize]

SAMPLE = "sample"
"""Data set whose labels and boxes are right: renders of known pose."""

_LOOKED_AT = 64
_MIN_BOXES = 3
_MIN_CORNER = 8
_TURNED_LOOKED_AT = 8
_ON_A_FACE = 0.4
"""Median overlap with the boxes of a detector from which on boxes are believed."""
_ASKED, _ON_FACES = 16, 5
"""A detector looks at up to 16 images, and no further once five boxes lie on faces."""
_ELSEWHERE = 0.75
_REDUCED_TO, _FACE_SIDE = 1000, 80.0
"""Larger images are reduced for a detector, which finds faces of 80 pixels or more."""
_ENOUGH, _SURE = 0.9, 0.95
"""Boxes are taken as they are from this share of fitting ones on; another form is named if that
share of them fits in it."""


_UNITS: Mapping[str, float | None] = {"": None, "box_unit=fraction": 1.0, "box_unit=percent": 100.0}
_MEANINGS = {
    "box=xywh": "x, y, width, height",
    "box=cxcywh": "centre, width, height",
    "box=corners": "opposite corners in another order",
    "box=yxyx": "y before x",
    "box=xxyy": "x, x, y, y",
    "box=yxhw": "y, x, height, width",
    "box_unit=fraction": "fractions of the image",
    "box_unit=percent": "percent of the image",
    "exif=boxes": "made on the stored image, which its EXIF tag turns",
}


FindFaces = Callable[[npt.NDArray[np.uint8]], Array]
"""A detector: boxes x0, y0, x1, y1, shape (n, 4), of an image in RGB."""


def review_boxes(
    scored: Sequence[Record], dataset: Dataset, find_faces: FindFaces | None = None
) -> list[Suspicion]:
    """What annotated boxes look like beside the sizes of their images.

    Parameters
    ----------
    scored : sequence of Record
        Of these up to 64, evenly spread, are looked at.
    dataset : Dataset
    find_faces : callable or None
        Looks at up to 16 of the images; None where none is to be asked.
    """
    with_box = [record for record in scored if record.box_xyxy is not None]
    known = [
        (record, record.box_xyxy, size)
        for record in (with_box[k] for k in evenly_spaced(len(with_box), _LOOKED_AT))
        if (size := dataset.image_size(record)) is not None and record.box_xyxy is not None
    ]
    if len(known) < _MIN_BOXES:
        return []
    boxes, sizes = np.array([box for _, box, _ in known]), [size for _, _, size in known]
    with np.errstate(over="ignore", invalid="ignore"):  # one absurd box, as 1e300, fits as nothing
        found = _other_form(boxes, sizes)
    turned = [record for record, _, size in known if size.orientation > 1]
    if found is None and turned:
        found = _stored_frame(turned, dataset, find_faces)
    if find_faces is not None and (found is None or not found.stops):
        found = _compare_with_detector(with_box, dataset, find_faces) or found
    return [found] if found is not None else []


def _stored_frame(
    turned: Sequence[Record], dataset: Dataset, find_faces: FindFaces | None
) -> Suspicion | None:
    """Whether boxes of images with an EXIF tag were made before these were turned upright."""
    if "exif" in dataset.options.model_fields_set:
        return None  # the user has said it
    seen = f"{len(turned)} images with boxes are turned upright by their EXIF tag"
    if find_faces is None:
        return Suspicion(
            "exif", f"{seen}, and boxes are taken to be of the upright image", "exif=boxes",
            is_option=True, stops=False,
        )  # fmt: skip
    overlaps = []
    for record in turned[:_TURNED_LOOKED_AT]:
        size = dataset.image_size(record)
        faces = _faces_in(record, dataset, find_faces)
        if size is not None and record.box_xyxy is not None and len(faces):
            pair = (record.box_xyxy, size.upright_box(record.box_xyxy))
            overlaps.append([max(iou(face, box) for face in faces) for box in pair])
    if not overlaps:
        return None
    upright, stored = np.median(overlaps, axis=0)
    if stored < max(upright + 0.1, _ON_A_FACE):
        return None  # if neither lies on a face, the detector is asked about all images
    return Suspicion(
        "exif",
        f"{seen}, but boxes fit the faces of the stored images better (median overlap "
        f"{stored:.2f}, in the upright ones {upright:.2f})",
        "exif=boxes",
        is_option=True,
        # of a photo with the face in its middle, both may lie on it
        stops=bool(upright <= _ON_A_FACE),
    )


def _other_form(boxes: Array, sizes: Sizes) -> Suspicion | None:
    upright = np.array([size.upright_wh for size in sizes], dtype=np.float64)
    fitting = _fits(boxes, upright)
    share = float(fitting.mean())
    in_corner = (
        len(boxes) >= _MIN_CORNER
        and bool((boxes <= 100.0).all())
        and bool((upright >= 200.0).all())
    )
    if share >= _ENOUGH and not in_corner:
        return _in_one_quarter(boxes, upright)
    first = int(np.argmin(fitting))  # that does not fit; or of all
    shown = ",".join(f"{value:.6g}" for value in boxes[first])
    width, height = sizes[first].upright_wh
    seen = (
        f"{len(boxes) - int(fitting.sum())} of {len(boxes)} face boxes are none in pixels"
        if not in_corner
        else f"all {len(boxes)} face boxes lie within the first 100 pixels"
    )
    example = f"first {shown} in an image of {width}x{height}"
    candidates = _candidates(boxes, sizes, upright)
    if in_corner:
        candidates = [item for item in candidates if item[2].startswith("box_unit")]
    if candidates[0][0] >= max(_SURE, share):
        fix = candidates[0][2]
        meaning = " and ".join(_MEANINGS[part] for part in fix.split(","))
        seen = f"{seen} ({example}), but {candidates[0][0]:.0%} fit as {meaning}"
        return Suspicion("box_format", seen, fix, is_option=True)
    if in_corner or share >= 0.5:
        return None
    if (boxes[:, 2:] > boxes[:, :2]).all():
        seen += ", as if they were made on images of another size"
        return Suspicion("box_size", f"{seen} ({example})", "box_size=WIDTHxHEIGHT", is_option=True)
    return Suspicion("box", f"{seen} ({example})", "write x0,y0,x1,y1 in pixels")


def _candidates(
    boxes: Array, sizes: Sizes, upright: Array
) -> list[tuple[float, float, str, Array]]:
    """Other forms, the best first: share that fits, distance from the middle, options, boxes."""
    found = []
    for unit, whole in _UNITS.items():
        scaled = boxes if whole is None else boxes * np.tile(upright, 2) / whole
        for layout in get_args(BoxLayout):
            option = "" if layout == "xyxy" else f"box={layout}"
            if unit or option:
                name = ",".join(part for part in (unit, option) if part)
                found.append((name, corners_of(scaled, layout)))
    if any(size.orientation > 1 for size in sizes):
        turned = [size.upright_box(box) for box, size in zip(boxes, sizes, strict=True)]
        found.append(("exif=boxes", np.array(turned)))
    ranked = []
    for name, candidate in found:
        share = float(_fits(candidate, upright).mean())
        middle = (candidate[:, :2] + candidate[:, 2:]) / 2.0 / upright - 0.5
        ranked.append((share, float(np.abs(middle).mean()), name, candidate))
    # a tag that turns the images explains what y before x would explain as well; any two corners
    # make a box, so that this rule says least of all
    return sorted(
        ranked,
        key=lambda item: (
            -item[0],
            item[2] != "exif=boxes",
            "corners" in item[2],
            item[2].count(","),
            item[1],
        ),
    )


def _fits(boxes: Array, size_wh: Array) -> npt.NDArray[np.bool_]:
    """Which boxes, shape (n, 4), look like a face in an image of that size, shape (n, 2)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    inner = np.clip(np.minimum(boxes[:, 2:], size_wh) - np.maximum(boxes[:, :2], 0.0), 0.0, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        aspect = sides[:, 0] / sides[:, 1]
        inside = inner.prod(axis=1) / sides.prod(axis=1)
    good = (sides >= 4.0).all(axis=1) & (aspect > 0.4) & (aspect < 2.5) & (inside > 0.6)
    return np.asarray(good, dtype=np.bool_)


def _in_one_quarter(boxes: Array, size_wh: Array) -> Suspicion | None:
    """Boxes that never leave the first quarter may be of smaller images."""
    reach = (boxes[:, 2:] / size_wh).max(axis=0)
    if len(boxes) < _MIN_CORNER or (reach > 0.5).any() or len(np.unique(boxes, axis=0)) < 3:
        return None
    return Suspicion(
        "box_size",
        f"no face box lies beyond the first {reach[0]:.0%} of the width and {reach[1]:.0%} of "
        "the height, as if they were made on smaller images",
        "box_size=WIDTHxHEIGHT",
        is_option=True,
        stops=False,
    )


def _compare_with_detector(
    with_box: Sequence[Record], dataset: Dataset, find_faces: FindFaces
) -> Suspicion | None:
    """Whether boxes lie where a detector sees no face, and which form of them would fit.

    It shows what sizes of images do not: x and y exchanged in square images, boxes of smaller
    images, boxes of other images altogether.
    """
    boxes, sizes, faces, on_faces = [], [], [], 0
    for record in (with_box[k] for k in evenly_spaced(len(with_box), _ASKED)):
        size = dataset.image_size(record)
        found = _faces_in(record, dataset, find_faces)
        if size is None or record.box_xyxy is None or not len(found):
            continue
        boxes.append(record.box_xyxy)
        sizes.append(size)
        faces.append(found)
        on_faces += _lies_on_one(record.box_xyxy, found)
        if on_faces == _ON_FACES:
            return None
    count = len(boxes)
    if count < _MIN_CORNER or count - on_faces < _ELSEWHERE * count:
        return None
    given, upright = np.array(boxes), np.array([size.upright_wh for size in sizes], dtype=float)
    seen = (
        f"{count - on_faces} of {count} face boxes lie where a detector finds no face, though it "
        "finds faces in these images"
    )
    candidates = [*_candidates(given, sizes, upright), _of_smaller_images(given, faces, upright)]
    best = max(candidates, key=lambda item: _overlap(item[3], faces))
    if _overlap(best[3], faces) > 0.4:
        if best[2].startswith("box_size"):
            seen += f", but fit as boxes of {best[2].removeprefix('box_size=')}"
            return Suspicion("box_size", seen, "box_size=WIDTHxHEIGHT", is_option=True)
        meaning = " and ".join(_MEANINGS[part] for part in best[2].split(","))
        return Suspicion("box_format", f"{seen}, but fit as {meaning}", best[2], is_option=True)
    # those of a crowd may be too small to be found
    findable = float(np.median((given[:, 2:] - given[:, :2]).min(axis=1))) >= _FACE_SIDE
    return Suspicion("box", seen, "write the box of the labelled face", stops=findable)


def _faces_in(record: Record, dataset: Dataset, find_faces: FindFaces) -> Array:
    """Boxes of the faces in an image, shape (n, 4); none where it cannot be read."""
    try:
        image = read_image(dataset, record)
    except DataError:  # the run reads it again, and counts it
        return np.empty((0, 4))
    step = max(1, max(image.shape[:2]) // _REDUCED_TO)
    return find_faces(np.ascontiguousarray(image[::step, ::step])) * step


def _lies_on_one(box: Array, faces: Array) -> bool:
    """Whether the middle of a face lies in the box, or that of the box in a face."""
    middle = np.tile((box[:2] + box[2:]) / 2.0, (len(faces), 1))
    middles = (faces[:, :2] + faces[:, 2:]) / 2.0
    in_box = (middles >= box[:2]) & (middles <= box[2:])
    in_face = (middle >= faces[:, :2]) & (middle <= faces[:, 2:])
    return bool((in_box.all(axis=1) | in_face.all(axis=1)).any())


def _of_smaller_images(
    boxes: Array, faces: Sequence[Array], upright: Array
) -> tuple[float, float, str, Array]:
    """A candidate: boxes enlarged as the surest faces say."""
    surest = np.array([found[0] for found in faces])
    factor = float(np.median((surest.sum(axis=1)) / np.maximum(boxes.sum(axis=1), 1.0)))
    width, height = upright[0] / factor
    alike = bool((upright == upright[0]).all())
    made_on = f"images of about {width:.0f}x{height:.0f}" if alike else "smaller images"
    return 0.0, 0.0, f"box_size={made_on}", boxes * factor


def _overlap(boxes: Array, faces: Sequence[Array]) -> float:
    """Median over images of the largest overlap of the box with a detected face."""
    pairs = zip(boxes, faces, strict=True)
    return float(np.median([max(iou(face, box) for face in found) for box, found in pairs]))
