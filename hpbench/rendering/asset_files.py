"""Readers for the files of a MakeHuman ``data`` folder: OBJ meshes, morph targets, fitted parts.

They are plain text; see https://static.makehumancommunity.org/assets/creatingassets.html.
Coordinates are decimetres, x towards the head's left (the image's right in a frontal view), y up,
z to the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpbench.errors import DataError

__all__ = [
    "WHERE_ASSETS_COME_FROM",
    "Floats",
    "Ints",
    "Mesh",
    "Part",
    "Target",
    "corrupted",
    "load_obj",
    "load_part",
    "load_target",
    "names_missing_row",
    "read_text",
]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

WHERE_ASSETS_COME_FROM = (
    "CC0 assets: the data folder of github.com/makehumancommunity/makehuman with the parts of "
    "makehumancommunity/makehuman-assets, skins of github.com/brighter-ai/makehuman"
)


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh whose corners index positions and texture coordinates apart.

    ``faces`` and ``face_uv`` are (F, 3) indices into ``vertices`` (V, 3) and ``uv`` (T, 2).
    """

    vertices: Floats
    uv: Floats
    faces: Ints
    face_uv: Ints


@dataclass(frozen=True)
class Target:
    """A morph target: ``offsets`` (N, 3) to be added to the base vertices ``indices`` (N,)."""

    indices: Ints | slice
    offsets: Floats

    @classmethod
    def of(cls, indices: Ints, offsets: Floats, vertex_count: int) -> Target:
        """A target of all vertices where it moves many: whole arrays add ten times faster."""
        if 4 * len(indices) < vertex_count:
            return cls(indices, offsets)
        of_all = np.zeros((vertex_count, 3), np.float32)
        of_all[indices] = offsets
        return cls(slice(None), of_all)


@dataclass(frozen=True)
class Part:
    """Something worn by the base mesh (hair, eyes, clothes), bound to it vertex by vertex.

    Each vertex is a weighted mean of three base vertices plus an offset that scales with the
    head, so that one part fits every identity.
    """

    name: str
    mesh: Mesh
    base_indices: Ints
    base_weights: Floats
    offsets: Floats
    scale_rules: tuple[tuple[int, int, int, float], ...]
    hidden_base_vertices: Ints
    texture: Path | None

    def fit(self, base_vertices: Floats) -> Floats:
        """Positions (V, 3) of the part on a morphed base mesh (B, 3)."""
        scale = np.ones(3, np.float32)
        for axis, first, second, rest_length in self.scale_rules:
            length = abs(base_vertices[first, axis] - base_vertices[second, axis])
            scale[axis] = length / rest_length
        return self.transfer(base_vertices) + self.offsets * scale

    def transfer(self, base_values: Floats) -> Floats:
        """Carry values that live on base vertices, (B,) or (B, C), over to the part's vertices."""
        values, weights = base_values[self.base_indices], self.base_weights
        return np.einsum("vk...,vk->v...", values, weights)


def load_obj(path: Path, group: str | None = None) -> Mesh:
    """Read a Wavefront OBJ file, or the faces of one ``g`` group; polygons become triangle fans.

    All vertices are kept, so that indices stay valid.
    """
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    face_uv: list[tuple[int, int, int]] = []
    current_group: str | None = None
    try:
        for line in read_text(path).splitlines():
            words = line.split()
            if not words:
                continue
            if words[0] == "v":
                vertices.append([float(word) for word in words[1:4]])
            elif words[0] == "vt":
                uv.append([float(word) for word in words[1:3]])
            elif words[0] == "g":
                current_group = words[1] if len(words) > 1 else None
            elif words[0] == "f" and (group is None or current_group == group):
                corners = [_parse_corner(word) for word in words[1:]]
                for second, third in pairwise(corners[1:]):
                    faces.append((corners[0][0], second[0], third[0]))
                    face_uv.append((corners[0][1], second[1], third[1]))
        mesh = Mesh(
            np.array(vertices, np.float32).reshape(-1, 3),
            np.array(uv or [[0.0, 0.0]], np.float32).reshape(-1, 2),
            np.array(faces, np.int32).reshape(-1, 3),
            np.array(face_uv, np.int32).reshape(-1, 3),
        )
    except (ValueError, IndexError) as error:
        raise corrupted(path, error) from error
    if len(mesh.faces) == 0:
        raise corrupted(path, "faces are missing")
    if names_missing_row(mesh.faces, mesh.vertices) or names_missing_row(mesh.face_uv, mesh.uv):
        raise corrupted(path, "faces name vertices or texture coordinates that do not exist")
    return mesh


def load_target(path: Path) -> tuple[Ints, Floats]:
    """Vertices (N,) and their offsets (N, 3) in a MakeHuman ``.target`` file."""
    content = read_text(path)
    if not content.strip():
        raise corrupted(path, "it is empty")  # those that move nothing hold a comment
    lines = [line for line in content.splitlines() if line and line[0] != "#"]
    try:
        table = np.array(" ".join(lines).split(), np.float32).reshape(-1, 4)
    except ValueError as error:
        raise corrupted(path, error) from error
    return table[:, 0].astype(np.int32), np.ascontiguousarray(table[:, 1:])


def load_part(path: Path, texture: Path | None = None) -> Part:
    """Read a MakeHuman ``.mhclo`` file together with the OBJ that it names.

    Raises
    ------
    DataError
        If a file is missing or corrupted, or the two disagree on the number of vertices.
    """
    obj_name: str | None = None
    scale_rules: list[tuple[int, int, int, float]] = []
    rows: list[list[float]] = []
    hidden: list[int] = []
    section = "header"
    axis_of = {"x_scale": 0, "y_scale": 1, "z_scale": 2}
    try:
        for line in read_text(path).splitlines():
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0] in axis_of:
                scale_rules.append(
                    (axis_of[words[0]], int(words[1]), int(words[2]), float(words[3]))
                )
            elif words[0] == "obj_file":
                obj_name = words[1]
            elif words[0] in ("verts", "delete_verts"):
                section = words[0]
            elif words[0] == "weights":
                section = "ignored"
            elif words[0][0].isalpha():
                continue  # material and the like may stand between the sections
            elif section == "verts":
                rows.append(_parse_binding(words))
            elif section == "delete_verts":
                hidden.extend(_parse_ranges(words))
    except (ValueError, IndexError) as error:
        raise corrupted(path, error) from error
    if obj_name is None:
        raise corrupted(path, "it names no obj_file")
    mesh = load_obj(path.parent / obj_name)
    if len(rows) != len(mesh.vertices):
        raise corrupted(path, f"{len(rows)} bindings for {len(mesh.vertices)} vertices")
    table = np.array(rows, np.float64)
    return Part(
        name=path.parent.name,
        mesh=mesh,
        base_indices=table[:, :3].astype(np.int32),
        base_weights=table[:, 3:6].astype(np.float32),
        offsets=table[:, 6:9].astype(np.float32),
        scale_rules=tuple(scale_rules),
        hidden_base_vertices=np.array(sorted(set(hidden)), np.int32),
        texture=texture,
    )


def _parse_corner(word: str) -> tuple[int, int]:
    fields = word.split("/")
    return int(fields[0]) - 1, int(fields[1]) - 1 if len(fields) > 1 and fields[1] else 0


def _parse_binding(words: list[str]) -> list[float]:
    if len(words) == 1:
        index = float(words[0])
        return [index, index, index, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    return [float(word) for word in words[:9]]


def _parse_ranges(words: list[str]) -> list[int]:
    """Vertex numbers of a ``delete_verts`` line such as ``12 - 15 20``."""
    numbers: list[int] = []
    position = 0
    while position < len(words):
        if position + 2 < len(words) and words[position + 1] == "-":
            numbers.extend(range(int(words[position]), int(words[position + 2]) + 1))
            position += 3
        else:
            numbers.append(int(words[position]))
            position += 1
    return numbers


def names_missing_row(indices: NDArray[Any], items: NDArray[Any]) -> bool:
    """Whether one of ``indices`` is no row of ``items``."""
    return bool(indices.size) and not 0 <= indices.min() <= indices.max() < len(items)


def read_text(path: Path) -> str:
    """Content of a text file; DataError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); {WHERE_ASSETS_COME_FROM}"
        ) from error


def corrupted(path: Path, reason: object) -> DataError:
    """The error that names a file which holds something else than it should."""
    return DataError(f"{path}: corrupted ({reason}); unpack the MakeHuman assets again")
