"""Unusual faces: they get a prediction or a NoPrediction, never an exception."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from hpbench.checking.probe import Probe
from hpbench.checking.requirements import require_graceful, require_same
from hpbench.face import Face
from hpbench.images import read_rgb

__all__ = [
    "check_box_partly_outside",
    "check_grey_and_16_bit_images",
    "check_tiny_and_huge_faces",
    "check_unsolvable_faces",
]


def check_tiny_and_huge_faces(probe: Probe) -> None:
    """Faces of 12 and of 1500 pixels get a prediction or NoPrediction."""
    probe.require_live()
    for size_px in (12, 1500):
        face = _resized_face(probe.faces[0], size_px)
        require_graceful(probe.method, face, f"a face of {size_px} pixels")


def _resized_face(face: Face, size_px: int) -> Face:
    """The face with its surroundings, scaled so that its box is about `size_px` wide."""
    from PIL import Image

    x0, y0, x1, y1 = face.box_xyxy
    side = max(x1 - x0, y1 - y0)
    left, top = int(max(x0 - side / 2, 0)), int(max(y0 - side / 2, 0))
    part = face.image[top : int(y1 + side / 2), left : int(x1 + side / 2)]
    scale = size_px / side
    size = (max(round(part.shape[1] * scale), 1), max(round(part.shape[0] * scale), 1))
    image = np.asarray(Image.fromarray(np.ascontiguousarray(part)).resize(size))
    moved = np.array([left, top, left, top], dtype=np.float64)
    points = None if face.landmarks_xy is None else (face.landmarks_xy - moved[:2]) * scale
    return Face(face.image_id, image, (face.box_xyxy - moved) * scale, None, points)


def check_box_partly_outside(probe: Probe) -> None:
    """A box that reaches outside the image on any side gets a prediction or NoPrediction."""
    probe.require_live()
    face = probe.faces[0]
    x0, y0, x1, y1 = face.box_xyxy
    for side, cut in {
        "left": np.s_[:, int((x0 + x1) / 2) :],
        "top": np.s_[int((y0 + y1) / 2) :, :],
        "right": np.s_[:, : int((x0 + x1) / 2)],
        "bottom": np.s_[: int((y0 + y1) / 2), :],
    }.items():
        image = face.image[cut]
        if image.size == 0:
            continue
        moved = [cut[1].start or 0, cut[0].start or 0]
        points = None if face.landmarks_xy is None else face.landmarks_xy - moved
        part = Face(face.image_id, image, face.box_xyxy - moved * 2, None, points)
        require_graceful(probe.method, part, f"a box cut by the {side} side of the image")


def check_grey_and_16_bit_images(probe: Probe) -> None:
    """Grey images of 8 and of 16 bits get the same prediction."""
    probe.require_live()
    from PIL import Image

    face = probe.faces[0]
    grey = np.asarray(Image.fromarray(face.image).convert("L"))
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "grey8.png", Path(folder) / "grey16.png"]
        Image.fromarray(grey).save(files[0])
        Image.fromarray(grey.astype(np.uint16) << 8).save(files[1])
        faces = [replace(face, image=read_rgb(file)) for file in files]
    for part, bits in zip(faces, (8, 16), strict=True):
        require_graceful(probe.method, part, f"a grey image of {bits} bits")
    first, second = (probe.method.predict([part]) for part in faces)
    require_same([face], first, second, "as grey image of 8 and of 16 bits")


def check_unsolvable_faces(probe: Probe) -> None:
    """A black image, noise, and a box of one pixel get a prediction or NoPrediction."""
    probe.require_live()
    face = probe.faces[0]
    noise = np.random.default_rng(0).integers(0, 256, face.image.shape, dtype=np.uint8)
    x, y = np.clip(face.box_xyxy[:2], 0, np.array(face.size_wh) - 2)
    for part, what in (
        (replace(face, image=np.zeros_like(face.image)), "a black image"),
        (replace(face, image=noise), "an image of noise"),
        (replace(face, box_xyxy=np.array([x, y, x + 1.0, y + 1.0])), "a box of one pixel"),
    ):
        require_graceful(probe.method, part, what)
