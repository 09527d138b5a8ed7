"""Readers for a MakeHuman ``data`` folder: base mesh, morph targets, fitted parts, rig.

The folder is the one that the MakeHuman programme ships (``3dobjs``, ``targets``, ``rigs``,
``skins``, ``hair``, ...). Its formats are plain text; the layout is described at
https://static.makehumancommunity.org/assets/creatingassets.html. Coordinates are decimetres,
x towards the head's left (the image's right in a frontal view), y up, z to the viewer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpbench.errors import DataError

__all__ = [
    "ASSETS_VARIABLE",
    "AssetLibrary",
    "Mesh",
    "Part",
    "Target",
    "find_assets",
    "load_obj",
    "load_part",
    "load_target",
]

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

ASSETS_VARIABLE = "HPBENCH_ASSETS"

WHERE_ASSETS_COME_FROM = (
    "CC0 assets: the data folder of github.com/makehumancommunity/makehuman with the parts of "
    "makehumancommunity/makehuman-assets, skins of github.com/brighter-ai/makehuman"
)

FACE_TARGET_FOLDERS = (
    "head", "eyes", "mouth", "nose", "ears", "chin", "cheek", "forehead", "eyebrows", "neck",
)  # fmt: skip

# Share of the head's rotation that each neck bone takes; what lies above takes all of it.
NECK_BONE_SHARE = {"neck01": 0.25, "neck02": 0.55, "neck03": 0.85}
TORSO_BONE_PREFIXES = (
    "breast", "clavicle", "finger", "foot", "lowerarm", "lowerleg", "metacarpal", "pelvis",
    "root", "shoulder", "spine", "toe", "upperarm", "upperleg", "wrist",
)  # fmt: skip


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

    indices: Ints
    offsets: Floats


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
        values = base_values[self.base_indices]
        weights = self.base_weights
        if values.ndim == 3:
            return np.einsum("vkc,vk->vc", values, weights)
        return np.einsum("vk,vk->v", values, weights)


def find_assets(folder: Path | None = None) -> Path:
    """The MakeHuman data folder to use: ``folder``, or else ``$HPBENCH_ASSETS``.

    Raises
    ------
    DataError
        If none was named, or it does not hold ``3dobjs/base.obj``.
    """
    if folder is None:
        named = os.environ.get(ASSETS_VARIABLE)
        if not named:
            raise DataError(
                "rendering needs a MakeHuman data folder: name one with --assets DIR "
                f"or ${ASSETS_VARIABLE} ({WHERE_ASSETS_COME_FROM})"
            )
        folder = Path(named)
    if not (folder / "3dobjs" / "base.obj").is_file():
        raise DataError(
            f"{folder} is not a MakeHuman data folder: 3dobjs/base.obj is missing "
            f"({WHERE_ASSETS_COME_FROM})"
        )
    return folder


def load_obj(path: Path, group: str | None = None) -> Mesh:
    """Read a Wavefront OBJ file; polygons become triangle fans.

    Parameters
    ----------
    path
        The ``.obj`` file.
    group
        Keep the faces of this ``g`` group only. All vertices are kept, so indices stay valid.

    Raises
    ------
    DataError
        If the file is missing or corrupted.
    """
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    face_uv: list[tuple[int, int, int]] = []
    current_group: str | None = None
    try:
        for line in _read_text(path).splitlines():
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
        raise _damaged(path, error) from error
    if len(mesh.faces) == 0:
        raise _damaged(path, "faces are missing")
    if _beyond(mesh.faces, mesh.vertices) or _beyond(mesh.face_uv, mesh.uv):
        raise _damaged(path, "faces name vertices or texture coordinates that do not exist")
    return mesh


def load_target(path: Path) -> Target:
    """Read a MakeHuman ``.target`` file (lines of vertex id, dx, dy, dz)."""
    content = _read_text(path)
    if not content.strip():
        raise _damaged(path, "it is empty")  # those that move nothing hold a comment
    lines = [line for line in content.splitlines() if line and line[0] != "#"]
    try:
        table = np.array(" ".join(lines).split(), np.float32).reshape(-1, 4)
    except ValueError as error:
        raise _damaged(path, error) from error
    return Target(table[:, 0].astype(np.int32), np.ascontiguousarray(table[:, 1:]))


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
        for line in _read_text(path).splitlines():
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
        raise _damaged(path, error) from error
    if obj_name is None:
        raise _damaged(path, "it names no obj_file")
    mesh = load_obj(path.parent / obj_name)
    if len(rows) != len(mesh.vertices):
        raise _damaged(path, f"{len(rows)} bindings for {len(mesh.vertices)} vertices")
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


class AssetLibrary:
    """Everything in one MakeHuman ``data`` folder that a head needs.

    Parameters
    ----------
    folder
        A folder that holds ``3dobjs/base.obj``; see `find_assets`.

    Raises
    ------
    DataError
        At construction or on first use, naming the file that is missing or corrupted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = find_assets(folder)
        self.body = load_obj(self.folder / "3dobjs" / "base.obj", group="body")
        self._parts: dict[Path, Part] = {}

    @cached_property
    def targets(self) -> dict[str, Target]:
        """All morph targets by name, such as ``nose/nose-hump-incr``."""
        root = self.folder / "targets"
        paths = {f"macro/{p.stem}": p for p in sorted(root.glob("macrodetails/*.target"))}
        for name in FACE_TARGET_FOLDERS:
            paths |= {f"{name}/{p.stem}": p for p in sorted(root.glob(f"{name}/*.target"))}
        for path in sorted(root.glob("expression/units/*/*.target")):
            paths[f"expression/{path.parent.name}/{path.stem}"] = path
        if not any(name.startswith("macro/") for name in paths):
            raise DataError(
                f"{root} holds no macrodetails/*.target files ({WHERE_ASSETS_COME_FROM})"
            )
        targets = {name: load_target(path) for name, path in paths.items()}
        for name, target in targets.items():
            self._refuse_unknown_vertices(paths[name], target.indices)
        return targets

    def target(self, name: str) -> Target:
        """One of `targets`.

        Raises
        ------
        DataError
            If the folder does not hold it: without it the same seed would be another person.
        """
        if name not in self.targets:
            file = self.folder / "targets" / f"{name.replace('macro/', 'macrodetails/')}.target"
            raise DataError(f"{file} is missing ({WHERE_ASSETS_COME_FROM})")
        return self.targets[name]

    @cached_property
    def head_share(self) -> Floats:
        """Per base vertex, how much of the head's rotation it follows: 0 torso, 1 skull (B,)."""
        path = self.folder / "rigs" / "default_weights.mhw"
        share = np.zeros(len(self.body.vertices), np.float32)
        try:
            bones: Mapping[str, list[tuple[int, float]]] = json.loads(_read_text(path))["weights"]
            for bone, entries in bones.items():
                moves = 0.0 if bone.startswith(TORSO_BONE_PREFIXES) else 1.0
                moves = NECK_BONE_SHARE.get(bone, moves)
                if moves and entries:
                    indices, weights = zip(*entries, strict=True)
                    np.add.at(share, np.array(indices), moves * np.array(weights, np.float32))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise _damaged(path, error) from error
        return np.clip(share, 0.0, 1.0)

    @cached_property
    def joints(self) -> dict[str, Ints]:
        """Joint name to the base vertices whose mean is the joint's position."""
        path = self.folder / "rigs" / "default.mhskel"
        try:
            joints = json.loads(_read_text(path))["joints"]
            return {name: np.array(indices, np.int32) for name, indices in joints.items()}
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(path, error) from error

    @cached_property
    def skins(self) -> dict[str, Path]:
        """Skin texture by name, such as ``young_lightskinned_female_diffuse2``."""
        return self._textures("skins/textures", "*_diffuse*.png")

    @cached_property
    def eye_colours(self) -> dict[str, Path]:
        """Eye texture by name, such as ``brown_eye``."""
        return self._textures("eyes/materials", "*_eye.png")

    @cached_property
    def hair(self) -> dict[str, Path]:
        """Hair styles with a texture: name to ``.mhclo`` file."""
        return self._textured_parts("hair")

    @cached_property
    def eyebrows(self) -> dict[str, Path]:
        """Eyebrows by name."""
        return self._textured_parts("eyebrows")

    @cached_property
    def eyelashes(self) -> dict[str, Path]:
        """Eyelashes by name."""
        return self._textured_parts("eyelashes")

    @cached_property
    def clothes(self) -> dict[str, Path]:
        """Clothes for the upper body by name."""
        parts = self._textured_parts("clothes")
        return {name: path for name, path in parts.items() if not name.startswith("fedora")}

    @cached_property
    def hats(self) -> dict[str, Path]:
        """Hats by name; they need no texture."""
        files = sorted((self.folder / "clothes").glob("fedora*/fedora.mhclo"))
        if not files:
            raise DataError(
                f"{self.folder / 'clothes'} holds no fedora*/fedora.mhclo file "
                f"({WHERE_ASSETS_COME_FROM})"
            )
        return {path.parent.name: path for path in files}

    def part(self, path: Path) -> Part:
        """The part in a ``.mhclo`` file, read once."""
        if path not in self._parts:
            self._parts[path] = self._load_part(path, _diffuse_texture(path.parent))
        return self._parts[path]

    def _load_part(self, path: Path, texture: Path | None) -> Part:
        part = load_part(path, texture)
        scale = [vertex for _, first, second, _ in part.scale_rules for vertex in (first, second)]
        self._refuse_unknown_vertices(path, np.append(part.base_indices, scale))
        return part

    def _refuse_unknown_vertices(self, path: Path, indices: NDArray[Any]) -> None:
        """Refuse a file that names vertices which the base mesh does not have."""
        if _beyond(indices, self.body.vertices):
            raise _damaged(path, "it names vertices that base.obj does not have")

    @cached_property
    def eyes(self) -> Part:
        """The eyeballs with cornea."""
        return self.part(self.folder / "eyes" / "high-poly" / "high-poly.mhclo")

    @cached_property
    def teeth(self) -> Part:
        """The two rows of teeth."""
        path = self.folder / "teeth" / "teeth_base" / "teeth_base.mhclo"
        texture = self.folder / "teeth" / "materials" / "teeth.png"
        return self._load_part(path, texture if texture.is_file() else None)

    def joint(self, vertices: Floats, name: str) -> Floats:
        """Position (3,) of a joint on a morphed base mesh (B, 3)."""
        try:
            return vertices[self.joints[name]].mean(axis=0)
        except KeyError as error:
            path = self.folder / "rigs" / "default.mhskel"
            raise _damaged(path, f"joint {name} is missing") from error

    def _textures(self, folder: str, pattern: str) -> dict[str, Path]:
        found = {path.stem: path for path in sorted((self.folder / folder).glob(pattern))}
        if not found:
            raise DataError(
                f"{self.folder / folder} holds no {pattern} file ({WHERE_ASSETS_COME_FROM})"
            )
        return found

    def _textured_parts(self, kind: str) -> dict[str, Path]:
        files = sorted((self.folder / kind).glob("*/*.mhclo"))
        found = {path.parent.name: path for path in files if _diffuse_texture(path.parent)}
        if not found:
            raise DataError(
                f"{self.folder / kind} holds no .mhclo file with a texture "
                f"({WHERE_ASSETS_COME_FROM})"
            )
        return found


def _diffuse_texture(folder: Path) -> Path | None:
    other_maps = ("normal", "_ao", "bump", "displacement", "specular")
    textures = [p for p in sorted(folder.glob("*.png")) if not any(m in p.name for m in other_maps)]
    return textures[0] if textures else None


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


def _beyond(indices: NDArray[Any], items: NDArray[Any]) -> bool:
    """Whether one of ``indices`` is no row of ``items``."""
    return bool(indices.size) and not 0 <= indices.min() <= indices.max() < len(items)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); {WHERE_ASSETS_COME_FROM}"
        ) from error


def _damaged(path: Path, reason: object) -> DataError:
    return DataError(f"{path} is corrupted ({reason}); unpack the MakeHuman assets again")
