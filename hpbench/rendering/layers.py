"""What of a scene is drawn: meshes and textures on the device, and the calls that draw them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpbench.rendering.asset_files import Floats, Mesh, Part
from hpbench.rendering.gpu import GpuMesh, LoadedTexture, Shader, load_texture
from hpbench.rendering.head import HeadBuilder, Layer, rotate_eyes
from hpbench.rendering.identity import Identity
from hpbench.rendering.occluders import fit_glasses, glasses_meshes
from hpbench.rendering.scene import Scene

if TYPE_CHECKING:
    import moderngl

__all__ = ["DrawCall", "Layers"]

_OPAQUE = (0.0, 2.0)
_BROW_COVER, _LASH_COVER = 1.6, 0.8
_SKIN_BLEACH = 0.2  # MakeHuman's skins are redder than cameras show them


@dataclass(frozen=True)
class DrawCall:
    """One layer to draw: mesh, material, texture and how both are seen.

    Texels are drawn whose opacity lies within ``alpha``, and opaque if that reaches 2; hair is
    drawn whole. Of a ``closed`` surface only the outside is drawn.
    """

    layer: str
    material: str
    texture: LoadedTexture
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shine: float = 1.0
    alpha: tuple[float, float] = _OPAQUE
    casts_shadow: bool = True
    bleach: float = 0.0
    closed: bool = False


class Layers:
    """Meshes and textures on the device, kept from scene to scene.

    ``openness`` is the ambient occlusion per vertex by layer; layers without it are open.
    """

    def __init__(
        self,
        builder: HeadBuilder,
        context: moderngl.Context,
        shaders: Mapping[str, Shader],
        openness: Mapping[str, Floats],
    ) -> None:
        self._library, self._builder = builder.library, builder
        self._context, self._shaders = context, shaders
        self._openness = openness
        self.meshes: dict[str, GpuMesh] = {}
        white = context.texture((1, 1), 4, b"\xff\xff\xff\xff")
        self._white = LoadedTexture(white, np.full((1, 1, 4), 255, np.uint8))
        self._textures: dict[tuple[Path, bool], LoadedTexture] = {}
        self._uploaded: dict[str, Layer] = {}

    def prepare(self, scene: Scene, vertices: Floats) -> list[DrawCall]:
        """Upload every mesh of the scene; returns what to draw, in order."""
        library, person = self._library, scene.identity
        cloth, teeth = library.part(library.clothes[person.cloth]), library.teeth
        self._upload(self._builder.body_layer(vertices), self._builder.body, None)
        self.meshes["body"].hide(cloth.hidden_base_vertices)
        skin = self.texture(library.skins[person.skin])
        self._upload_worn(cloth, person)
        self._upload_part(teeth, vertices)
        return [
            DrawCall(
                "body", "SKIN", skin, person.skin_tint, scene.skin_shine, bleach=_SKIN_BLEACH,
                closed=True,
            ),
            DrawCall(
                cloth.name, "CLOTH", self.texture(cloth.texture), person.cloth_tint, 0.3,
                bleach=person.cloth_bleach,
            ),
            *self._prepare_eyes(scene, vertices),
            DrawCall(
                teeth.name, "PLAIN", self.texture(teeth.texture), (0.8, 0.78, 0.72), 0.8,
                casts_shadow=False, closed=True,
            ),
            *self._prepare_hair(scene, vertices),
            *self._prepare_occluder(scene, vertices),
        ]  # fmt: skip

    def _prepare_eyes(self, scene: Scene, vertices: Floats) -> list[DrawCall]:
        eyes = self._library.eyes
        centres = (
            self._library.joint(vertices, "eye.L____head"),
            self._library.joint(vertices, "eye.R____head"),
        )
        turned = rotate_eyes(eyes.fit(vertices), centres, scene.gaze_deg)
        self._upload(self._builder.part_layer(eyes, turned), eyes.mesh, eyes)
        texture = self.texture(self._library.eye_colours[scene.identity.eye])
        return [
            DrawCall(
                eyes.name, "EYE", texture, (0.7, 0.69, 0.68), 1.0, (0.3, 2.0), casts_shadow=False,
                closed=True,
            ),
            DrawCall(eyes.name, "EYE", texture, alpha=(0.0, 0.3), casts_shadow=False, closed=True),
        ]  # fmt: skip

    def _prepare_hair(self, scene: Scene, vertices: Floats) -> list[DrawCall]:
        """Brows, lashes and hair."""
        library, person = self._library, scene.identity
        brow = library.part(library.eyebrows[person.eyebrow])
        lash = library.part(library.eyelashes[person.eyelash])
        red, green, blue = person.hair_tint
        calls = []
        for part, tint, cover in (
            (brow, (0.25 * red, 0.25 * green, 0.25 * blue), _BROW_COVER),
            (lash, (0.02, 0.016, 0.014), _LASH_COVER),
        ):
            self._upload_part(part, vertices)
            # Brow and lash textures are black; only their alpha is of use.
            texture = self.texture(part.texture, only_alpha=True)
            calls.append(
                DrawCall(part.name, "CLOTH", texture, tint, cover, (0.03, 1.01), casts_shadow=False)
            )
        if person.hair != "none" and scene.occluder != "hat":
            hair = library.part(library.hair[person.hair])
            self._upload_worn(hair, person)
            texture = self.texture(hair.texture)
            calls.append(DrawCall(hair.name, "HAIR", texture, person.hair_tint))
        return calls

    def _prepare_occluder(self, scene: Scene, vertices: Floats) -> list[DrawCall]:
        if scene.occluder == "hat":
            hat = self._library.part(next(iter(self._library.hats.values())))
            self._upload_worn(hat, scene.identity)
            return [DrawCall(hat.name, "CLOTH", self._white, scene.occluder_rgb, 0.2)]
        if scene.occluder in ("glasses", "sunglasses"):
            frame, lenses = glasses_meshes()
            placed = fit_glasses(self._library, vertices)
            for name, mesh in (("glasses-frame", frame), ("glasses-lens", lenses)):
                if name not in self.meshes:
                    ones = np.ones(len(mesh.vertices), np.float32)
                    self.meshes[name] = GpuMesh(self._context, self._shaders, mesh, ones, ones)
                self.meshes[name].update(*placed[name])
            dark = 0.88 if scene.occluder == "sunglasses" else 0.04
            return [
                DrawCall("glasses-frame", "PLAIN", self._white, scene.occluder_rgb, 1.0),
                DrawCall(
                    "glasses-lens", "GLASS", self._white, (dark, dark, dark), alpha=(0.0, 1.5),
                    casts_shadow=False,
                ),
            ]  # fmt: skip
        return []

    def _upload(self, layer: Layer, mesh: Mesh, part: Part | None) -> None:
        if layer.name not in self.meshes:
            share = self._library.head_share if part is None else self._builder.share_of(part)
            openness = self._openness.get(layer.name, np.ones(len(layer.vertices), np.float32))
            self.meshes[layer.name] = GpuMesh(self._context, self._shaders, mesh, share, openness)
        self.meshes[layer.name].update(layer.vertices, layer.normals)

    def _upload_part(self, part: Part, vertices: Floats) -> None:
        self._upload(self._builder.part_layer(part, part.fit(vertices)), part.mesh, part)

    def _upload_worn(self, part: Part, person: Identity) -> None:
        layer = self._builder.worn_layer(part, person)
        if self._uploaded.get(part.name) is not layer:
            self._upload(layer, part.mesh, part)
            self._uploaded[part.name] = layer

    def texture(self, path: Path | None, only_alpha: bool = False) -> LoadedTexture:
        """An image on the device, uploaded once; white where there is none."""
        if path is None:
            return self._white
        if (path, only_alpha) not in self._textures:
            loaded = load_texture(self._context, path, only_alpha)
            self._textures[path, only_alpha] = loaded
        return self._textures[path, only_alpha]
