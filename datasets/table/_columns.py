"""What the columns of a table mean, under the names that tools of the field give them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpbench.errors import DataError
from hpbench.face import DISTORTION, INTRINSICS
from hpbench.geometry.boxes import BoxLayout
from hpbench.tables.rotation_columns import (
    LABEL_PREFIXES,
    Unit,
    angle_and_unit,
    find_angles,
    find_rotation,
    is_rotation_column,
    plain_name,
)

__all__ = ["Columns", "count_known", "find_columns"]


_IMAGE = {
    "image", "img", "picture", "photo", "file", "filename", "path", "filepath",
    *(f"{a}_{b}" for a in ("image", "img") for b in ("path", "file", "name", "filename")),
    "file_name", "file_path", "imagepath", "imagename", "imagefile", "imgpath", "imgname",
}  # fmt: skip
_PEOPLE = {
    f"{who}{suffix}"
    for who in ("subject", "person", "participant", "driver", "identity")
    for suffix in ("", "_id", "id")
}
_VIDEOS = {
    f"{what}{suffix}" for what in ("video", "sequence", "clip") for suffix in ("", "_id", "id")
}
"""Frames of one video are alike: taken one by one, intervals would be too narrow."""
_BOX_NAMES: tuple[tuple[BoxLayout, tuple[str, ...]], ...] = (
    ("xyxy", ("x0", "y0", "x1", "y1")),
    ("xyxy", ("x1", "y1", "x2", "y2")),
    ("xyxy", ("xmin", "ymin", "xmax", "ymax")),
    ("xyxy", ("x_min", "y_min", "x_max", "y_max")),
    ("xyxy", ("left", "top", "right", "bottom")),
    ("xywh", ("left", "top", "width", "height")),
    ("xywh", ("left", "top", "w", "h")),
    ("xywh", ("x", "y", "w", "h")),
    ("xywh", ("x", "y", "width", "height")),
    ("xywh", ("x0", "y0", "w", "h")),
    ("xywh", ("x0", "y0", "width", "height")),
    ("xywh", ("xmin", "ymin", "width", "height")),
    ("cxcywh", ("cx", "cy", "w", "h")),
    ("cxcywh", ("cx", "cy", "width", "height")),
    ("cxcywh", ("x_center", "y_center", "width", "height")),
    ("cxcywh", ("xcenter", "ycenter", "width", "height")),
)
_BOX_PREFIXES = ("", "box_", "bbox_", "face_", "face_box_", "roi_", "bb_")

_NO_NAME = re.compile(r"(Unnamed: \d+)?")
"""A column without a name, and what pandas calls such a one when it writes the table again."""

_UNCERTAIN: Mapping[str, tuple[str, ...]] = {
    "image": ("name", "id", "image_id", "img_id", "frame", "key", "url", "src"),
    "yaw": ("pan", "azimuth", "heading", "theta", "psi", "ry", "rot_y", "angle_y", "pose_ry"),
    "pitch": ("tilt", "elevation", "phi", "rx", "rot_x", "angle_x", "pose_rx"),
    "roll": ("bank", "rz", "rot_z", "angle_z", "pose_rz"),
    "x0": ("bbox", "box", "face_box", "rect", "bb"),
}
"""Names that may mean a column; whether they do is left to the user."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of a table by what they mean; each value is the column's name in the file.

    Attributes
    ----------
    image : str
    subject : str or None
        People, or for want of them videos.
    angles : dict
        Of ``yaw``, ``pitch`` and ``roll`` those that there are.
    rotation : tuple of str
        Columns of a whole rotation: nine, four or three, as
        :func:`hpbench.tables.rotation_columns.find_rotation` gives them.
    unit : {'deg', 'rad'} or None
        Of the angles, as their names say it.
    box : tuple of str
        The four columns of the face box, or none.
    layout : {'xyxy', 'xywh', 'cxcywh'}
        What these hold, as their names say it.
    camera : tuple of str
        The columns of fx, fy, cx and cy in pixels of the image as methods see it, or none.
    distortion : dict
        Of ``k1, k2, p1, p2, k3`` those that there are beside a camera.
    factors : list of str
        All further columns.
    """

    image: str
    subject: str | None
    angles: dict[str, str]
    rotation: tuple[str, ...]
    unit: Unit | None
    box: tuple[str, ...]
    layout: BoxLayout
    camera: tuple[str, ...] = ()
    distortion: Mapping[str, str] = field(default_factory=dict)
    factors: list[str] = field(default_factory=list)


def count_known(names: Sequence[str]) -> int:
    """How many of some column names are known, or nearly."""
    plain = [plain_name(name) for name in names]
    boxes = {prefix + part for _, four in _BOX_NAMES for part in four for prefix in _BOX_PREFIXES}
    nearly = {name for names in _UNCERTAIN.values() for name in names}
    return sum(
        name in _IMAGE | _PEOPLE | _VIDEOS | boxes | nearly
        or angle_and_unit(name, LABEL_PREFIXES) is not None
        or is_rotation_column(name)
        for name in plain
    )


def find_columns(path: Path, names: Sequence[str]) -> Columns:
    """Find out what the columns of a table mean.

    Raises
    ------
    DataError
        If the image or all of the label is missing, two columns mean the same, or a column may
        mean what is missing without being certain to; the message names it.
    """
    taken: set[str] = set()
    by_plain: dict[str, str] = {}
    for name in names:
        by_plain.setdefault(plain_name(name), name)

    def one_of(role: str, known: set[str]) -> str | None:
        exact = [name for name in names if name == role]
        found = exact or [name for name in names if plain_name(name) in known]
        if len(found) > 1:
            listed = " and ".join(f"'{name}'" for name in found)
            raise DataError(f"{path}: columns {listed} may both be '{role}'; rename one of them")
        taken.update(found)
        return found[0] if found else None

    angles, unit = find_angles(path, names, taken, LABEL_PREFIXES)
    rotation = find_rotation(path, names, taken)
    image = one_of("image", _IMAGE)
    subject = one_of("subject", _PEOPLE) or one_of("subject", _VIDEOS)
    camera, distortion = _find_camera(path, by_plain, taken)
    free = {plain: name for plain, name in by_plain.items() if name not in camera}
    layout, box = _find_box(path, free, taken)
    given = ", ".join(names) or "none"
    if image is None:
        raise DataError(
            f"{path}: no column 'image' (columns: {given})"
            f"{_nearest(path, 'image', names, taken)}{_no_header(names)}"
        )
    for name in ("yaw", "pitch"):
        if not rotation and name not in angles:
            raise DataError(
                f"{path}: no column '{name}' (columns: {given}){_nearest(path, name, names, taken)}"
            )
    for name, absent in (("roll", not rotation and "roll" not in angles), ("x0", not box)):
        if absent and (hint := _nearest(path, name, names, taken)):
            raise DataError(f"{path}: no column '{name}'{hint}")
    factors = [name for name in names if name not in taken and not _NO_NAME.fullmatch(name)]
    return Columns(image, subject, angles, rotation, unit, box, layout, camera, distortion, factors)


def _no_header(names: Sequence[str]) -> str:
    looks_like_data = any(re.fullmatch(r"[+-]?\d+([.,]\d+)?", name.strip()) for name in names)
    return "; the first line has to hold the names of the columns" if looks_like_data else ""


def _find_camera(
    path: Path, by_plain: Mapping[str, str], taken: set[str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Columns of the camera and of its distortion; nothing without all four of the former.

    Raises
    ------
    DataError
        If the middle may be that of a box.
    """
    if not set(INTRINSICS) <= set(by_plain):
        return (), {}
    if any({"cx", "cy"} < set(four) <= set(by_plain) for _, four in _BOX_NAMES):
        raise DataError(
            f"{path}: 'cx' and 'cy' may be of the box or of the camera; rename those of the box "
            "x_center and y_center"
        )
    camera = tuple(by_plain[name] for name in INTRINSICS)
    distortion = {name: by_plain[name] for name in DISTORTION if name in by_plain}
    taken.update(camera, distortion.values())
    return camera, distortion


def _find_box(
    path: Path, by_plain: Mapping[str, str], taken: set[str]
) -> tuple[BoxLayout, tuple[str, ...]]:
    best: tuple[int, list[str], list[str]] = (0, [], [])
    for prefix in _BOX_PREFIXES:
        for layout, four in _BOX_NAMES:
            parts = [prefix + part for part in four]
            present = [part for part in parts if part in by_plain]
            if len(present) == 4:
                columns = tuple(by_plain[part] for part in parts)
                taken.update(columns)
                return layout, columns
            if len(present) > best[0]:
                best = (len(present), parts, [part for part in parts if part not in by_plain])
    # 'x' and 'y' alone may be anything, but not three of four, nor one of our own names
    if best[0] > 2 or any(name in by_plain for name in _BOX_NAMES[0][1]):
        if best[0] < 3:
            best = (0, list(_BOX_NAMES[0][1]), [n for n in _BOX_NAMES[0][1] if n not in by_plain])
        raise DataError(
            f"{path}: no column '{best[2][0]}'; a box needs {', '.join(best[1][:3])} "
            f"and {best[1][3]}"
        )
    return "xyxy", ()


def _nearest(path: Path, role: str, names: Sequence[str], taken: set[str]) -> str:
    """Hint at a column that may be the missing one."""
    free = {plain_name(name): name for name in names if name not in taken}
    for name in _UNCERTAIN[role]:
        if name not in free:
            continue
        if role == "x0":
            return (
                f"; '{free[name]}' looks like a face box, whose order cannot be known: "
                "split it into x0, y0, x1, y1"
            )
        if name.endswith(("rx", "ry", "rz")):
            return (
                f"; '{free[name]}' may be the angle about an axis (OpenFace writes radians) or "
                "part of a rotation vector: for angles rename x pitch, y yaw, z roll and write "
                f"table={path}[unit=rad], else rename them rotvec_x, rotvec_y, rotvec_z"
            )
        return f"; is '{free[name]}' the {role}? Then rename it '{role}', else leave it out"
    near = difflib.get_close_matches(role, free, n=1, cutoff=0.75) if role != "x0" else []
    return f"; is '{free[near[0]]}' the {role}? Then rename it '{role}'" if near else ""
