"""Renders one scene: image, exact pose, landmarks, camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hpbench.errors import DataError
from hpbench.rendering.assets import AssetLibrary, Floats, Mesh, Part
from hpbench.rendering.backgrounds import environment_background, procedural_background
from hpbench.rendering.geometry import VIEWER_FROM_CAMERA, NeckPose, PinholeView
from hpbench.rendering.gpu import (
    GpuMesh,
    LoadedTexture,
    create_context,
    load_texture,
    programs,
)
from hpbench.rendering.head import FringeBox, HeadBuilder, Layer, rotate_eyes
from hpbench.rendering.head_frame import mesh_from_label
from hpbench.rendering.identity import Identity
from hpbench.rendering.landmarks import LANDMARK_VERTICES
from hpbench.rendering.lighting import (
    Environment,
    LightRig,
    environment_light,
    environment_rotation,
    lamp_light,
    load_environment,
)
from hpbench.rendering.occluders import (
    fit_glasses,
    glasses_meshes,
    paint_patch,
)
from hpbench.rendering.post import develop
from hpbench.rendering.scene import Scene
from hpbench.rotation import rotation_from_angles

__all__ = ["HeadRenderer", "Rendering"]

_SUPERSAMPLING = 2  # per axis; cheaper than multisampling on a software driver
_SHADOW_SIZE = 512
_SHADOW_HALF_DM = 2.4
_SHADOW_DEPTH_DM = 6.0
_FIELD_HALF_DM = 1.4  # half of the pictured field at the face, before zoom
_BASE_EXPOSURE = 0.62
_OPAQUE = (0.0, 2.0)
_BROW_COVER, _LASH_COVER = 1.6, 0.8
_SKIN_BLEACH = 0.2  # MakeHuman's skins are redder than cameras show them
_REFERENCE_REFLECTANCE = 0.40  # of a light skin; darker ones are exposed longer, as cameras do
# A landmark counts as seen when nothing lies more than this before it.
_VISIBILITY_TOLERANCE_DM = 0.12


@dataclass(frozen=True)
class Rendering:
    """A rendered image and its exact labels.

    Attributes
    ----------
    image : ndarray, shape (size, size, 3), uint8
        RGB.
    R_cam : ndarray, shape (3, 3)
        Labelled head rotation, OpenCV axes.
    camera_matrix : ndarray, shape (3, 3)
        Pixels; the centre of the first pixel is (0, 0).
    landmarks_xy : ndarray, shape (68, 2)
        Pixels, iBUG order.
    landmarks_camera_dm : ndarray, shape (68, 3)
        The same points in the camera frame (OpenCV axes), decimetres.
    landmarks_visible : ndarray, shape (68,), bool
        Inside the image and hidden by nothing.
    """

    image: NDArray[np.uint8]
    R_cam: NDArray[np.float64]
    camera_matrix: NDArray[np.float64]
    landmarks_xy: NDArray[np.float64]
    landmarks_camera_dm: NDArray[np.float64]
    landmarks_visible: NDArray[np.bool_]


@dataclass(frozen=True)
class _DrawCall:
    layer: str
    material: str
    texture: LoadedTexture | None
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shine: float = 1.0
    alpha: tuple[float, float] = _OPAQUE
    casts_shadow: bool = True
    bleach: float = 0.0


class HeadRenderer:
    """An OpenGL context with everything loaded; renders scenes one at a time.

    Parameters
    ----------
    library
        MakeHuman assets.
    environments
        EXR files by name; loaded when a scene first asks for one.
    size
        Image width and height in pixels.

    Raises
    ------
    MissingDependencyError
        If moderngl or an EGL driver is missing.
    """

    def __init__(
        self, library: AssetLibrary, environments: Mapping[str, Path], size: int = 256
    ) -> None:
        self.library = library
        self.size = size
        self.builder = HeadBuilder(library)
        self._environment_files = environments
        self._environments: dict[str, Environment] = {}
        self._context = create_context()
        self._programs = programs(self._context)
        self._textures: dict[Path, LoadedTexture] = {}
        self._meshes: dict[str, GpuMesh] = {}
        self._reflectance: dict[str, float] = {}
        self._uploaded: dict[str, Layer] = {}
        self._create_targets()
        self._openness = self._bake_openness()

    def render(self, scene: Scene) -> Rendering:
        """Render one scene.

        Raises
        ------
        DataError
            If an asset or environment that the scene names is missing or corrupted.
        """
        R_cam = rotation_from_angles([scene.yaw_deg, scene.pitch_deg, scene.roll_deg])
        vertices = self.builder.expressive(scene.identity, scene.expression)
        pose = self._place(scene, R_cam, vertices)
        distance = -float(self._posed_landmarks(pose, vertices)[:, 2].mean())
        view = PinholeView(
            self.size, scene.fov_deg, scene.shift, near=max(distance - 6.0, 0.4), far=distance + 8.0
        )
        rig, panorama_gain = self._light(scene)
        calls = self._prepare_layers(scene, vertices)
        self._set_uniforms(scene, pose, view, rig, self.builder.fringe_box(vertices))
        self._draw_shadow_map(calls, pose, rig)
        self._draw_surfaces(calls)
        premultiplied, depth = self._read_back()
        linear = premultiplied[..., :3] + (1.0 - premultiplied[..., 3:]) * self._background(
            scene, panorama_gain
        )
        linear *= np.float32(self._exposure(scene))
        posed = self._posed_landmarks(pose, vertices)
        landmarks_xy = view.project(posed)
        visible = self._visible(landmarks_xy, -posed[:, 2], depth, view)
        if scene.occluder == "patch":
            linear, covered = paint_patch(linear, landmarks_xy, scene)
            visible &= ~covered
        return Rendering(
            image=develop(linear, scene.post),
            R_cam=R_cam,
            camera_matrix=view.matrix,
            landmarks_xy=landmarks_xy,
            landmarks_camera_dm=posed @ VIEWER_FROM_CAMERA,
            landmarks_visible=visible,
        )

    def close(self) -> None:
        """Free the OpenGL context."""
        self._context.release()

    # -- geometry ---------------------------------------------------------------------------

    def _place(self, scene: Scene, R_cam: NDArray[np.float64], vertices: Floats) -> NeckPose:
        """Turn skull and torso, and put the middle of the face on the optical axis."""
        head = VIEWER_FROM_CAMERA @ mesh_from_label(R_cam) @ VIEWER_FROM_CAMERA
        torso_angles = _torso_angles(scene)
        torso = VIEWER_FROM_CAMERA @ rotation_from_angles(torso_angles) @ VIEWER_FROM_CAMERA
        q_head = Rotation.from_matrix(head).as_quat()
        q_torso = Rotation.from_matrix(torso).as_quat()
        if q_head @ q_torso < 0:
            q_torso = -q_torso
        neck = self.library.joint(vertices, "neck01____head").astype(np.float64)
        skull = self.library.joint(vertices, "head____head").astype(np.float64)
        pose = NeckPose(q_torso, q_head, neck, skull, np.zeros(3))
        face = self._posed_landmarks(pose, vertices).mean(axis=0)
        distance = _FIELD_HALF_DM * scene.zoom / np.tan(np.radians(scene.fov_deg) / 2)
        return NeckPose(q_torso, q_head, neck, skull, np.array([0, 0, -distance]) - face)

    def _posed_landmarks(self, pose: NeckPose, vertices: Floats) -> NDArray[np.float64]:
        share = self.library.head_share[LANDMARK_VERTICES]
        return pose.apply(vertices[LANDMARK_VERTICES], share)

    def _prepare_layers(self, scene: Scene, vertices: Floats) -> list[_DrawCall]:
        """Upload every mesh of the scene; returns what to draw, in order."""
        library, person = self.library, scene.identity
        calls: list[_DrawCall] = []
        cloth = library.part(library.clothes[person.cloth])
        self._upload(self.builder.body_layer(vertices), self.builder.body, None)
        self._meshes["body"].hide(cloth.hidden_base_vertices)
        skin = self._texture(self.builder.skin_texture_path(person))
        calls.append(
            _DrawCall("body", "SKIN", skin, person.skin_tint, scene.skin_shine, bleach=_SKIN_BLEACH)
        )
        self._upload_worn(cloth, person)
        calls.append(
            _DrawCall(
                cloth.name,
                "CLOTH",
                self._part_texture(cloth),
                person.cloth_tint,
                0.3,
                bleach=person.cloth_bleach,
            )
        )
        calls += self._prepare_eyes(scene, vertices)
        self._upload_part(library.teeth, vertices)
        calls.append(
            _DrawCall(
                library.teeth.name,
                "PLAIN",
                self._part_texture(library.teeth),
                (0.8, 0.78, 0.72),
                0.8,
                casts_shadow=False,
            )
        )
        calls += self._prepare_hair(scene, vertices)
        calls += self._prepare_occluder(scene, vertices)
        return calls

    def _prepare_eyes(self, scene: Scene, vertices: Floats) -> list[_DrawCall]:
        eyes = self.library.eyes
        centres = (
            self.library.joint(vertices, "eye.L____head"),
            self.library.joint(vertices, "eye.R____head"),
        )
        turned = rotate_eyes(eyes.fit(vertices), centres, scene.gaze_deg)
        self._upload(self.builder.part_layer_from(eyes, turned), eyes.mesh, eyes)
        texture = self._texture(self.library.eye_colours[scene.identity.eye])
        return [
            _DrawCall(eyes.name, "EYE", texture, (0.7, 0.69, 0.68), 1.0, (0.3, 2.0)),
            _DrawCall(eyes.name, "EYE", texture, alpha=(0.0, 0.3), casts_shadow=False),
        ]

    def _prepare_hair(self, scene: Scene, vertices: Floats) -> list[_DrawCall]:
        """Brows, lashes and hair: solid strands first, their soft edges blended over them."""
        library, person = self.library, scene.identity
        brow = library.part(library.eyebrows[person.eyebrow])
        lash = library.part(library.eyelashes[person.eyelash])
        brow_tint = tuple(0.25 * value for value in person.hair_tint)
        strands: list[tuple[Part, str, tuple[float, ...], float]] = [
            (brow, "CLOTH", brow_tint, _BROW_COVER),
            (lash, "CLOTH", (0.02, 0.016, 0.014), _LASH_COVER),
        ]
        for part in (brow, lash):
            self._upload_part(part, vertices)
        if person.hair != "none" and scene.occluder != "hat":
            hair = library.part(library.hair[person.hair])
            self._upload_worn(hair, person)
            strands.append((hair, "HAIR", person.hair_tint, 1.0))
        solid, soft = [], []
        for part, material, tint, shine in strands:
            texture = self._part_texture(part)
            is_hair = material == "HAIR"
            name = part.name
            if not is_hair:
                # Brow and lash textures are black; only their alpha is of use.
                texture = self._white_with_alpha(part)
            rgb = (float(tint[0]), float(tint[1]), float(tint[2]))
            if is_hair:
                solid.append(_DrawCall(name, material, texture, rgb, shine, (0.5, 2.0)))
            soft.append(
                _DrawCall(
                    name,
                    material,
                    texture,
                    rgb,
                    shine,
                    (0.03, 0.5 if is_hair else 1.01),
                    casts_shadow=False,
                )
            )
        return solid + soft

    def _prepare_occluder(self, scene: Scene, vertices: Floats) -> list[_DrawCall]:
        if scene.occluder == "hat":
            hat = self.library.part(next(iter(self.library.hats.values())))
            self._upload_worn(hat, scene.identity)
            return [_DrawCall(hat.name, "CLOTH", None, scene.occluder_rgb, 0.2)]
        if scene.occluder in ("glasses", "sunglasses"):
            frame, lenses = glasses_meshes()
            placed = fit_glasses(self.library, vertices)
            for name, mesh in (("glasses-frame", frame), ("glasses-lens", lenses)):
                if name not in self._meshes:
                    self._meshes[name] = self._mesh(
                        mesh, np.ones(len(mesh.vertices)), np.ones(len(mesh.vertices))
                    )
                self._meshes[name].update(*placed[name])
            dark = 0.88 if scene.occluder == "sunglasses" else 0.04
            return [
                _DrawCall("glasses-frame", "PLAIN", None, scene.occluder_rgb, 1.0),
                _DrawCall(
                    "glasses-lens", "GLASS", None, (dark, dark, dark), alpha=(0.0, 1.5),
                    casts_shadow=False,
                ),
            ]  # fmt: skip
        return []

    # -- uploads ----------------------------------------------------------------------------

    def _upload(self, layer: Layer, mesh: Mesh, part: Part | None) -> None:
        if layer.name not in self._meshes:
            share = self.library.head_share if part is None else self.builder.share_of(part)
            openness = self._openness.get(layer.name, np.ones(len(layer.vertices), np.float32))
            self._meshes[layer.name] = self._mesh(mesh, share, openness)
        self._meshes[layer.name].update(layer.vertices, layer.normals)

    def _upload_part(self, part: Part, vertices: Floats) -> None:
        self._upload(self.builder.part_layer(part, vertices), part.mesh, part)

    def _upload_worn(self, part: Part, person: Identity) -> None:
        layer = self.builder.worn_layer(part, person)
        if self._uploaded.get(part.name) is not layer:
            self._upload(layer, part.mesh, part)
            self._uploaded[part.name] = layer

    def _mesh(self, mesh: Mesh, share: Any, openness: Any) -> GpuMesh:
        return GpuMesh(
            self._context,
            self._programs,
            mesh,
            np.asarray(share, np.float32),
            np.asarray(openness, np.float32),
        )

    def _texture(self, path: Path) -> LoadedTexture:
        if path not in self._textures:
            self._textures[path] = load_texture(self._context, path)
        return self._textures[path]

    def _part_texture(self, part: Part) -> LoadedTexture | None:
        return self._texture(part.texture) if part.texture is not None else None

    def _white_with_alpha(self, part: Part) -> LoadedTexture:
        if part.texture is None:
            raise DataError(f"{part.name} has no texture; unpack the MakeHuman assets again")
        key = part.texture.with_suffix(".alpha")
        if key not in self._textures:
            self._textures[key] = load_texture(self._context, part.texture, only_alpha=True)
        return self._textures[key]

    # -- light ------------------------------------------------------------------------------

    def _light(self, scene: Scene) -> tuple[LightRig, NDArray[np.float64]]:
        """The light of a scene, and the gain (3,) that its panorama is seen with."""
        if scene.environment is None:
            return lamp_light(scene.lamps, scene.ambient_rgb), np.ones(3)
        environment = self._environment(scene.environment)
        return environment_light(environment, _environment_turn(scene))

    def _environment(self, name: str) -> Environment:
        if name not in self._environments:
            if name not in self._environment_files:
                raise DataError(f"environment {name} is missing; name its folder, --environments")
            self._environments[name] = load_environment(self._environment_files[name])
        return self._environments[name]

    def _background(self, scene: Scene, panorama_gain: NDArray[np.float64]) -> Floats:
        gain = np.float32(scene.background_gain)
        if scene.background == "environment" and scene.environment is not None:
            fov_deg = min(max(scene.fov_deg, 12.0) * scene.background_widening, 90.0)
            seen = environment_background(
                self._environment(scene.environment), _environment_turn(scene), fov_deg, self.size
            )
            return seen * panorama_gain.astype(np.float32) * gain
        kind = "clutter" if scene.background == "environment" else scene.background
        return procedural_background(kind, scene.seed, self.size) * gain

    def _exposure(self, scene: Scene) -> float:
        """Gain of the camera: metered on the light, and halfway on the skin's own tone.

        The pose takes no part in it, so a head that turns is not exposed anew.
        """
        reflectance = self._skin_reflectance(scene.identity)
        tone = np.clip((_REFERENCE_REFLECTANCE / reflectance) ** 0.45, 0.9, 2.4)
        return float(_BASE_EXPOSURE * tone * 2.0**scene.exposure_ev)

    def _skin_reflectance(self, person: Identity) -> float:
        """Mean linear luminance of the face's skin."""
        if person.skin not in self._reflectance:
            pixels = self._texture(self.library.skins[person.skin]).pixels
            body = self.library.body
            skull = self.library.head_share > 0.98
            front = body.vertices[:, 2] > 0.6
            uv = np.unique(body.face_uv[(skull & front)[body.faces].all(axis=1)])
            texels = (body.uv[uv] * (pixels.shape[1], pixels.shape[0])).astype(int)
            rows = np.clip(texels[:, 1], 0, pixels.shape[0] - 1)
            columns = np.clip(texels[:, 0], 0, pixels.shape[1] - 1)
            linear = (pixels[rows, columns, :3] / 255.0) ** 2.2
            self._reflectance[person.skin] = float((linear @ [0.2126, 0.7152, 0.0722]).mean())
        tint = float(np.dot(person.skin_tint, [0.2126, 0.7152, 0.0722]))
        return max(self._reflectance[person.skin] * tint, 0.01)

    # -- drawing ----------------------------------------------------------------------------

    def _create_targets(self) -> None:
        context = self._context
        extent = (self.size * _SUPERSAMPLING, self.size * _SUPERSAMPLING)
        self._surface_depth = context.depth_texture(extent)
        self._surface_target = context.framebuffer(
            [context.renderbuffer(extent, 4, dtype="f2")], self._surface_depth
        )
        self._shadow_map = context.depth_texture((_SHADOW_SIZE, _SHADOW_SIZE))
        self._shadow_map.compare_func = ""
        self._shadow_map.repeat_x = self._shadow_map.repeat_y = False
        self._shadow_target = context.framebuffer(depth_attachment=self._shadow_map)
        self._panorama = context.texture((128, 64), 3, dtype="f2")
        self._panorama.repeat_y = False
        white = context.texture((1, 1), 4, b"\xff\xff\xff\xff")
        self._white = LoadedTexture(white, np.full((1, 1, 4), 255, np.uint8))

    def _set_uniforms(
        self, scene: Scene, pose: NeckPose, view: PinholeView, rig: LightRig, fringe: FringeBox
    ) -> None:
        panorama = np.asarray(rig.panorama, np.float16)
        self._panorama.write(np.ascontiguousarray(panorama).tobytes())
        cut = scene.identity.fringe_kept_off_eyes
        for program in self._programs.values():
            _set_pose(program, pose)
            _set_matrix(program, "projection", view.projection)
            _set_matrix(program, "panorama_rotation", rig.panorama_rotation.T)
            _set(program, "light_direction", rig.directions)
            _set(program, "light_colour", rig.colours)
            _set(program, "sh", rig.sh)
            if "light_count" in program:
                program["light_count"] = int(max(1, np.any(rig.colours > 0, axis=1).sum()))
            _set(program, "shadow_texel", np.float32(1.0 / _SHADOW_SIZE))
            _set(program, "shadow_radius", np.float32(scene.shadow_softness))
            _set(program, "shadow_strength", np.float32(scene.shadow_strength))
            _set(
                program,
                "fringe_box",
                np.array([fringe.half_width, fringe.lowest_y, fringe.behind_z, float(cut)]),
            )
            _set(program, "fringe_centre", np.float32(fringe.centre_x))
            for unit, name in enumerate(("albedo_map", "shadow_map", "panorama")):
                if name in program:
                    program[name] = unit
        self._panorama.use(2)

    def _draw_shadow_map(self, calls: list[_DrawCall], pose: NeckPose, rig: LightRig) -> None:
        middle = pose.apply(np.asarray(pose.skull[None], np.float32), np.ones(1, np.float32))[0]
        matrix = _light_matrix(rig.directions[0], middle)
        for program in self._programs.values():
            _set_matrix(program, "light_matrix", matrix)
        import moderngl

        self._context.enable(moderngl.DEPTH_TEST)
        self._context.disable(moderngl.BLEND)
        self._shadow_target.use()
        self._shadow_target.clear(depth=1.0)
        for call in calls:
            if not call.casts_shadow:
                continue
            if call.alpha[0] > 0.0:
                self._programs["SHADOW_TEXTURED"]["alpha_min"] = call.alpha[0]
                (call.texture or self._white).texture.use(0)
                self._meshes[call.layer].draw("SHADOW_TEXTURED")
            else:
                self._meshes[call.layer].draw("SHADOW")

    def _draw_skin_depth(self) -> None:
        """Depth of the skin that faces the camera, so that skin behind it need not be shaded.

        It stands back by the slope of a pixel and more: which surface is seen is decided by
        the pass that shades, to the last bit as if there had been no first pass.
        """
        import moderngl

        context, target = self._context, self._surface_target
        context.disable(moderngl.BLEND)
        context.enable(moderngl.CULL_FACE)
        context.polygon_offset = 1.0, 64.0
        target.color_mask = False, False, False, False
        self._meshes["body"].draw("DEPTH")
        target.color_mask = True, True, True, True
        context.polygon_offset = 0.0, 0.0
        context.disable(moderngl.CULL_FACE)

    def _draw_surfaces(self, calls: list[_DrawCall]) -> None:
        import moderngl

        context = self._context
        self._surface_target.use()
        self._surface_target.clear(0.0, 0.0, 0.0, 0.0, depth=1.0)
        self._draw_skin_depth()
        self._shadow_map.use(1)
        context.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA  # premultiplied
        for call in sorted(calls, key=lambda call: call.alpha[1] < 2.0):
            blended = call.alpha[1] < 2.0
            (context.enable if blended else context.disable)(moderngl.BLEND)
            self._surface_target.depth_mask = not blended
            program = self._programs[call.material]
            texture = call.texture or self._white
            _set(program, "tint", np.array(call.tint))
            _set(program, "bleach", np.float32(call.bleach))
            _set(program, "shine", np.float32(call.shine))
            _set(program, "alpha_min", np.float32(call.alpha[0]))
            _set(program, "alpha_max", np.float32(call.alpha[1]))
            if call.material == "HAIR":
                _set(program, "texture_mean", np.float32(texture.mean_luminance))
            texture.texture.use(0)
            self._meshes[call.layer].draw(call.material)
        self._surface_target.depth_mask = True

    def _read_back(self) -> tuple[Floats, Floats]:
        """Premultiplied linear image (size, size, 4) and OpenGL depth (size, size)."""
        import cv2

        extent = self.size * _SUPERSAMPLING
        colour = np.frombuffer(self._surface_target.read(components=4, dtype="f2"), np.float16)
        depth = np.frombuffer(self._surface_depth.read(), np.float32).reshape(extent, extent)
        image = colour.reshape(extent, extent, 4)[::-1].astype(np.float32)
        # A degenerate triangle can yield one NaN fragment, which averaging would spread.
        if not np.isfinite(image.sum()):
            image = np.nan_to_num(image, copy=False, nan=0.0, posinf=60.0, neginf=0.0)
        averaged = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)
        nearest = depth[::-1][_SUPERSAMPLING // 2 :: _SUPERSAMPLING, ::_SUPERSAMPLING]
        return np.asarray(averaged, np.float32), nearest

    def _visible(
        self,
        landmarks_xy: NDArray[np.float64],
        distance: NDArray[np.float64],
        depth: Floats,
        view: PinholeView,
    ) -> NDArray[np.bool_]:
        """Which landmarks lie in the image with nothing before them (68,)."""
        column, row = np.rint(landmarks_xy).astype(int).T
        inside = (column >= 0) & (column < self.size) & (row >= 0) & (row < self.size)
        seen = np.full(len(distance), -np.inf)
        surface = view.distance_of_depth(depth)
        # On a silhouette the nearest pixel may show what is beside the face: look around it.
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                rows = np.clip(row + dy, 0, self.size - 1)
                columns = np.clip(column + dx, 0, self.size - 1)
                seen = np.maximum(seen, surface[rows, columns])
        return inside & (distance <= seen + _VISIBILITY_TOLERANCE_DM)

    # -- ambient occlusion ------------------------------------------------------------------

    def _bake_openness(self) -> dict[str, Floats]:
        """How much of the sky each vertex of body, eyes and teeth sees, on the base mesh.

        Depth maps from many directions stand in for rays. It is baked once on the neutral
        head: creases stay creases whatever the identity.
        """
        import moderngl

        vertices = self.library.body.vertices
        body = self.builder.body_layer(vertices)
        self._upload_for_bake(body)
        skull = self.library.joint(vertices, "head____head").astype(np.float64)
        identity = np.array([0.0, 0.0, 0.0, 1.0])
        pose = NeckPose(identity, identity, skull, skull, skull)
        eyes, teeth = self.library.eyes, self.library.teeth
        targets = {"body": body} | {
            part.name: self.builder.part_layer(part, vertices) for part in (eyes, teeth)
        }
        sums = {name: np.zeros(len(layer.vertices)) for name, layer in targets.items()}
        weights = {name: np.full(len(layer.vertices), 1e-6) for name, layer in targets.items()}
        depth_program = self._programs["SHADOW"]
        _set_pose(depth_program, pose)
        _set(depth_program, "fringe_box", np.zeros(4))
        self._context.enable(moderngl.DEPTH_TEST)
        self._context.disable(moderngl.BLEND)
        for towards in _sphere(96):
            matrix = _light_matrix(towards, skull)
            _set_matrix(depth_program, "light_matrix", matrix)
            self._shadow_target.use()
            self._shadow_target.clear(depth=1.0)
            self._meshes["body"].draw("SHADOW")
            depth = np.frombuffer(self._shadow_map.read(), np.float32)
            depth = depth.reshape(_SHADOW_SIZE, _SHADOW_SIZE)
            for name, layer in targets.items():
                cosine = np.maximum(layer.normals @ towards, 0.0)
                lit = _is_lit(layer.vertices + 0.05 * layer.normals, matrix, depth)
                sums[name] += cosine * lit
                weights[name] += cosine
        self._meshes.clear()
        # Light that is thrown on from skin to skin never leaves a crease black; teeth get more
        # of it, since the base mesh's mouth is shut and an expression opens it.
        return {
            name: np.clip(sums[name] / weights[name], darkest, 1.0).astype(np.float32)
            for name, darkest in (("body", 0.03), (eyes.name, 0.1), (teeth.name, 0.35))
        }

    def _upload_for_bake(self, body: Layer) -> None:
        ones = np.ones(len(body.vertices), np.float32)
        self._meshes["body"] = self._mesh(self.builder.body, ones, ones)
        self._meshes["body"].update(body.vertices, body.normals)


def _torso_angles(scene: Scene) -> NDArray[np.float64]:
    """Yaw, pitch, roll of the shoulders: a share of the head's, never beyond a neck's reach."""
    head = np.array([scene.yaw_deg, scene.pitch_deg, scene.roll_deg])
    reach = np.array([50.0, 28.0, 22.0])
    share = scene.torso_share * np.array([1.0, 0.35, 0.6])
    return np.clip(head * share, head - reach, head + reach)


def _environment_turn(scene: Scene) -> Floats:
    return environment_rotation(scene.light_azimuth_deg, scene.light_tilt_deg, scene.light_mirrored)


def _light_matrix(towards: Any, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthographic view (4, 4) along a light that shines on ``centre`` (3,)."""
    z = np.asarray(towards, np.float64)
    x = np.cross([0.0, 1.0, 0.01], z)
    x /= np.linalg.norm(x)
    y = np.cross(z, x)
    matrix = np.eye(4)
    matrix[0, :3] = x / _SHADOW_HALF_DM
    matrix[1, :3] = y / _SHADOW_HALF_DM
    matrix[2, :3] = -z / _SHADOW_DEPTH_DM
    matrix[:3, 3] = -matrix[:3, :3] @ centre
    return matrix


def _is_lit(points: Floats, matrix: NDArray[np.float64], depth: Floats) -> NDArray[np.bool_]:
    """Whether nothing lies between points (V, 3) and the light of an orthographic depth map."""
    seen = (points @ matrix[:3, :3].T + matrix[:3, 3]) * 0.5 + 0.5
    column = np.clip((seen[:, 0] * _SHADOW_SIZE).astype(int), 0, _SHADOW_SIZE - 1)
    row = np.clip((seen[:, 1] * _SHADOW_SIZE).astype(int), 0, _SHADOW_SIZE - 1)
    lit: NDArray[np.bool_] = seen[:, 2] <= depth[row, column] + 0.004
    return lit


def _sphere(count: int) -> Floats:
    """Evenly spread unit vectors (count, 3), a Fibonacci lattice."""
    i = np.arange(count) + 0.5
    y = 1 - 2 * i / count
    angle = np.pi * (1 + 5**0.5) * i
    radius = np.sqrt(1 - y * y)
    return np.stack([radius * np.cos(angle), y, radius * np.sin(angle)], 1).astype(np.float32)


def _set_pose(program: Any, pose: NeckPose) -> None:
    _set(program, "q_torso", pose.torso)
    _set(program, "q_skull", pose.head)
    _set(program, "neck", pose.neck)
    _set(program, "skull", pose.skull)
    _set(program, "shift", pose.shift)


def _set(program: Any, name: str, value: Any) -> None:
    """Set a uniform that this program may not have (the compiler drops unused ones)."""
    if name in program:
        program[name].write(np.ascontiguousarray(value, np.float32).tobytes())


def _set_matrix(program: Any, name: str, matrix: NDArray[Any]) -> None:
    _set(program, name, np.asarray(matrix).T)  # OpenGL stores columns first
