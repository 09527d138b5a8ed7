"""A MakeHuman ``data`` folder: base mesh, morph targets, fitted parts, rig, textures.

It is the folder that the MakeHuman programme ships (``3dobjs``, ``targets``, ``rigs``, ``skins``,
``hair``, ...).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpbench.errors import DataError
from hpbench.rendering.asset_files import (
    WHERE_ASSETS_COME_FROM,
    Floats,
    Ints,
    Part,
    Target,
    corrupted,
    load_obj,
    load_part,
    load_target,
    names_missing_row,
    read_text,
)

__all__ = ["ASSETS_VARIABLE", "FACE_TARGET_FOLDERS", "AssetLibrary", "find_assets"]

ASSETS_VARIABLE = "HPBENCH_ASSETS"

FACE_TARGET_FOLDERS = (
    "head", "eyes", "mouth", "nose", "ears", "chin", "cheek", "forehead", "eyebrows", "neck",
)  # fmt: skip

# Share of the head's rotation that each neck bone takes; what lies above takes all of it.
NECK_BONE_SHARE = {"neck01": 0.25, "neck02": 0.55, "neck03": 0.85}
TORSO_BONE_PREFIXES = (
    "breast", "clavicle", "finger", "foot", "lowerarm", "lowerleg", "metacarpal", "pelvis",
    "root", "shoulder", "spine", "toe", "upperarm", "upperleg", "wrist",
)  # fmt: skip


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
                "rendering: needs a MakeHuman data folder; pass --assets DIR "
                f"or ${ASSETS_VARIABLE} ({WHERE_ASSETS_COME_FROM})"
            )
        folder = Path(named)
    if not (folder / "3dobjs" / "base.obj").is_file():
        raise DataError(
            f"{folder}: not a MakeHuman data folder, 3dobjs/base.obj is missing "
            f"({WHERE_ASSETS_COME_FROM})"
        )
    return folder


class AssetLibrary:
    """Everything in one MakeHuman ``data`` folder that a head needs.

    A DataError names a file that is missing or corrupted, at construction or on first use.
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
                f"{root}: contains no macrodetails/*.target files ({WHERE_ASSETS_COME_FROM})"
            )
        targets = {}
        for name, path in paths.items():
            indices, offsets = load_target(path)
            self._require_known_vertices(path, indices)
            targets[name] = Target.of(indices, offsets, len(self.body.vertices))
        return targets

    @cached_property
    def on_body(self) -> NDArray[np.bool_]:
        """Whether a base vertex is one of the body (B,); the others fit eyes, teeth and clothes."""
        on_body = np.zeros(len(self.body.vertices), bool)
        on_body[self.body.faces.ravel()] = True
        return on_body

    def target(self, name: str) -> Target:
        """One of `targets`.

        Raises
        ------
        DataError
            If the folder does not hold it: without it the same seed would be another person.
        """
        if name not in self.targets:
            file = self.folder / "targets" / f"{name.replace('macro/', 'macrodetails/')}.target"
            raise DataError(f"{file}: missing ({WHERE_ASSETS_COME_FROM})")
        return self.targets[name]

    @cached_property
    def head_share(self) -> Floats:
        """Per base vertex, how much of the head's rotation it follows: 0 torso, 1 skull (B,)."""
        path = self.folder / "rigs" / "default_weights.mhw"
        share = np.zeros(len(self.body.vertices), np.float32)
        try:
            bones: Mapping[str, list[tuple[int, float]]] = json.loads(read_text(path))["weights"]
            for bone, entries in bones.items():
                moves = 0.0 if bone.startswith(TORSO_BONE_PREFIXES) else 1.0
                moves = NECK_BONE_SHARE.get(bone, moves)
                if moves and entries:
                    indices, weights = zip(*entries, strict=True)
                    np.add.at(share, np.array(indices), moves * np.array(weights, np.float32))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise corrupted(path, error) from error
        return np.clip(share, 0.0, 1.0)

    @cached_property
    def joints(self) -> dict[str, Ints]:
        """Joint name to the base vertices whose mean is the joint's position."""
        path = self.folder / "rigs" / "default.mhskel"
        try:
            joints = json.loads(read_text(path))["joints"]
            return {name: np.array(indices, np.int32) for name, indices in joints.items()}
        except (ValueError, KeyError, TypeError) as error:
            raise corrupted(path, error) from error

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
        files = (self.folder / "clothes").glob("fedora*/fedora.mhclo")
        return self._named(
            {path.parent.name: path for path in sorted(files)}, "fedora*/fedora.mhclo in clothes"
        )

    def part(self, path: Path) -> Part:
        """The part in a ``.mhclo`` file, read once."""
        if path not in self._parts:
            self._parts[path] = self._load_part(path, _diffuse_texture(path.parent))
        return self._parts[path]

    def _load_part(self, path: Path, texture: Path | None) -> Part:
        part = load_part(path, texture)
        scale = [vertex for _, first, second, _ in part.scale_rules for vertex in (first, second)]
        self._require_known_vertices(path, np.append(part.base_indices, scale))
        return part

    def _require_known_vertices(self, path: Path, indices: NDArray[Any]) -> None:
        """Reject a file that names vertices which the base mesh does not have."""
        if names_missing_row(indices, self.body.vertices):
            raise corrupted(path, "it names vertices that base.obj does not have")

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
            raise corrupted(path, f"joint {name} is missing") from error

    def _textures(self, folder: str, pattern: str) -> dict[str, Path]:
        files = sorted((self.folder / folder).glob(pattern))
        return self._named({path.stem: path for path in files}, f"{pattern} file in {folder}")

    def _textured_parts(self, kind: str) -> dict[str, Path]:
        files = sorted((self.folder / kind).glob("*/*.mhclo"))
        found = {path.parent.name: path for path in files if _diffuse_texture(path.parent)}
        return self._named(found, f".mhclo file with a texture in {kind}")

    def _named(self, found: dict[str, Path], what: str) -> dict[str, Path]:
        if not found:
            raise DataError(f"{self.folder}: contains no {what} ({WHERE_ASSETS_COME_FROM})")
        return found


def _diffuse_texture(folder: Path) -> Path | None:
    other_maps = ("normal", "_ao", "bump", "displacement", "specular")
    textures = [p for p in sorted(folder.glob("*.png")) if not any(m in p.name for m in other_maps)]
    return textures[0] if textures else None
