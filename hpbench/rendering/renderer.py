"""Renders one scene: image, exact pose, landmarks, camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hpbench.errors import DataError
from hpbench.rendering.asset_files import Floats
from hpbench.rendering.assets import AssetLibrary
from hpbench.rendering.backgrounds import environment_background, procedural_background
from hpbench.rendering.geometry import VIEWER_FROM_CAMERA, NeckPose, PinholeView
from hpbench.rendering.gpu import MATERIALS, create_context, shaders, surface_shader
from hpbench.rendering.head import LANDMARK_VERTICES, HeadBuilder, mesh_from_label
from hpbench.rendering.identity import Identity
from hpbench.rendering.layers import DrawCall, Layers
from hpbench.rendering.lighting import (
    LUMINANCE,
    Environment,
    LightRig,
    environment_light,
    environment_rotation,
    lamp_light,
    load_environment,
)
from hpbench.rendering.occluders import paint_patch
from hpbench.rendering.post import develop
from hpbench.rendering.scene import Scene
from hpbench.rendering.shadows import SHADOW_WIDTH_DM, ShadowMap, bake_openness, light_matrix
from hpbench.rotation import rotation_from_angles

__all__ = ["HeadRenderer", "Rendering"]

_SUPERSAMPLING = 1.5  # per axis; cheaper than multisampling on a software driver
_FIELD_HALF_DM = 1.4  # half of the pictured field at the face, before zoom
_BASE_EXPOSURE = 0.62
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


class HeadRenderer:
    """An OpenGL context with everything loaded; renders square images of ``size`` pixels.

    ``environments`` are EXR files by name, loaded when a scene first asks for one.

    Raises
    ------
    MissingDependencyError
        If moderngl or an EGL driver is missing.
    """

    def __init__(self, library: AssetLibrary, environments: Mapping[str, Path], size: int) -> None:
        self.library, self.size = library, size
        self.builder = HeadBuilder(library)
        self._environment_files = environments
        self._environments: dict[str, Environment] = {}
        self._context = create_context()
        self._shaders = shaders(self._context)
        for shader in self._shaders.values():
            shader.set_texture_units(albedo_map=0, shadow_map=1, panorama=2)
        self._reflectance: dict[str, float] = {}
        self._create_targets()
        openness = bake_openness(self.builder, self._context, self._shaders, self._shadow)
        self._layers = Layers(self.builder, self._context, self._shaders, openness)

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
        posed = self._posed_landmarks(pose, vertices)
        distance = -float(posed[:, 2].mean())
        view = PinholeView(
            self.size,
            scene.fov_deg,
            scene.shift,
            near=max(distance - 6.0, 0.4),
            far=distance + 8.0,
        )
        rig, panorama_gain = self._light(scene)
        calls = self._layers.prepare(scene, vertices)
        self._set_uniforms(scene, pose, view, rig, vertices)
        self._draw_shadow_map(calls)
        self._draw_surfaces(calls, len(rig.colours))
        premultiplied, depth = self._read_back()
        background = self._background(scene, panorama_gain)
        linear = _over(premultiplied, background)
        linear *= np.float32(self._exposure(scene))
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
        R_torso = rotation_from_angles(_torso_angles(scene))
        torso = VIEWER_FROM_CAMERA @ R_torso @ VIEWER_FROM_CAMERA
        q_head = Rotation.from_matrix(head).as_quat()
        q_torso = Rotation.from_matrix(torso).as_quat()
        if q_head @ q_torso < 0:
            q_torso = -q_torso
        neck = self.library.joint(vertices, "neck01____head").astype(np.float64)
        skull = self.library.joint(vertices, "head____head").astype(np.float64)
        pose = NeckPose(q_torso, q_head, neck, skull, np.zeros(3))
        face = self._posed_landmarks(pose, vertices).mean(axis=0)
        distance = _FIELD_HALF_DM * scene.zoom / np.tan(np.radians(scene.fov_deg) / 2)
        return replace(pose, shift=np.array([0, 0, -distance]) - face)

    def _posed_landmarks(self, pose: NeckPose, vertices: Floats) -> NDArray[np.float64]:
        share = self.library.head_share[LANDMARK_VERTICES]
        return pose.apply(vertices[LANDMARK_VERTICES], share)

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
                raise DataError(
                    f"environment '{name}': missing; name its folder with --environments DIR"
                )
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
            pixels = self._layers.texture(self.library.skins[person.skin]).pixels
            body = self.library.body
            skull = self.library.head_share > 0.98
            front = body.vertices[:, 2] > 0.6
            uv = np.unique(body.face_uv[(skull & front)[body.faces].all(axis=1)])
            texels = (body.uv[uv] * (pixels.shape[1], pixels.shape[0])).astype(int)
            columns, rows = np.clip(texels, 0, (pixels.shape[1] - 1, pixels.shape[0] - 1)).T
            linear = (pixels[rows, columns, :3] / 255.0) ** 2.2
            self._reflectance[person.skin] = float((linear @ LUMINANCE).mean())
        tint = float(np.dot(person.skin_tint, LUMINANCE))
        return max(self._reflectance[person.skin] * tint, 0.01)

    # -- drawing ----------------------------------------------------------------------------

    def _create_targets(self) -> None:
        context = self._context
        self._extent = round(self.size * _SUPERSAMPLING)
        extent = (self._extent, self._extent)
        self._depth = context.depth_texture(extent)
        self._surface_target = context.framebuffer(
            [context.renderbuffer(extent, 4, dtype="f4")], self._depth
        )
        self._shadow = ShadowMap(context)
        self._panorama = context.texture((128, 64), 3, dtype="f2")
        self._panorama.repeat_y = False

    def _set_uniforms(
        self, scene: Scene, pose: NeckPose, view: PinholeView, rig: LightRig, vertices: Floats
    ) -> None:
        panorama = np.asarray(rig.panorama, np.float16)
        self._panorama.write(np.ascontiguousarray(panorama).tobytes())
        self._panorama.use(2)
        middle = pose.apply(np.asarray(pose.skull[None], np.float32), np.ones(1, np.float32))[0]
        fringe_x, *fringe = self.builder.fringe_box(vertices)
        values = {
            **pose.uniforms(),
            "projection": view.projection.T,
            "panorama_rotation": rig.panorama_rotation,  # its inverse, transposed
            "light_direction": rig.directions,
            "light_colour": rig.colours,
            "light_matrix": light_matrix(rig.directions[0], middle).T,
            "sh": rig.sh,
            "shadow_radius": scene.shadow_softness_dm / SHADOW_WIDTH_DM,
            "shadow_strength": scene.shadow_strength,
            "fringe_box": [*fringe, scene.identity.fringe_kept_off_eyes],
            "fringe_centre": fringe_x,
        }
        values = {name: np.asarray(value, np.float32) for name, value in values.items()}
        surfaces = [surface_shader(material, len(rig.colours)) for material in MATERIALS]
        for name in ("SHADOW", "SHADOW_HAIR", *surfaces):
            self._shaders[name].set(**values)

    def _draw_shadow_map(self, calls: list[DrawCall]) -> None:
        self._context.enable_only(self._context.DEPTH_TEST)
        self._shadow.start()
        for call in calls:
            if not call.casts_shadow:
                continue
            shader = "SHADOW"
            if call.material == "HAIR":
                shader = "SHADOW_HAIR"
                call.texture.texture.use(0)
            self._draw(call, shader)

    def _draw_surfaces(self, calls: list[DrawCall], lights: int) -> None:
        context = self._context
        self._surface_target.use()
        self._surface_target.clear(0.0, 0.0, 0.0, 0.0, depth=1.0)
        self._shadow.texture.use(1)
        context.blend_func = context.ONE, context.ONE_MINUS_SRC_ALPHA  # premultiplied
        for call in sorted(calls, key=lambda call: call.alpha[1] < 2.0):
            blended = call.alpha[1] < 2.0
            (context.enable if blended else context.disable)(context.BLEND)
            self._surface_target.depth_mask = not blended
            name = surface_shader(call.material, lights)
            shader = self._shaders[name]
            shader.set(
                tint=call.tint, bleach=call.bleach, shine=call.shine,
                alpha_min=call.alpha[0], alpha_max=call.alpha[1],
            )  # fmt: skip
            if call.material == "HAIR":
                shader.set(texture_mean=call.texture.mean_luminance)
            call.texture.texture.use(0)
            self._draw(call, name)
        self._surface_target.depth_mask = True

    def _draw(self, call: DrawCall, shader: str) -> None:
        """Draw a layer, of a closed one the side that faces the camera or light."""
        context = self._context
        (context.enable if call.closed else context.disable)(context.CULL_FACE)
        self._layers.meshes[call.layer].draw(shader)

    def _read_back(self) -> tuple[Floats, Floats]:
        """Premultiplied linear image (size, size, 4) and OpenGL depth (size, size)."""
        import cv2

        shape = (self._extent, self._extent)
        colour = np.frombuffer(self._surface_target.read(components=4, dtype="f4"), np.float32)
        depth = np.frombuffer(self._depth.read(), np.float32).reshape(shape)
        image = np.ascontiguousarray(colour.reshape(*shape, 4)[::-1])
        # A degenerate triangle can yield one NaN fragment, which averaging would spread.
        if not np.isfinite(image.sum()):
            image = np.nan_to_num(image, copy=False, nan=0.0, posinf=60.0, neginf=0.0)
        averaged = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)
        middle = ((np.arange(self.size) + 0.5) * (self._extent / self.size)).astype(int)
        return np.asarray(averaged, np.float32), depth[::-1][np.ix_(middle, middle)]

    def _visible(
        self,
        landmarks_xy: NDArray[np.float64],
        distance: NDArray[np.float64],
        depth: Floats,
        view: PinholeView,
    ) -> NDArray[np.bool_]:
        """Which landmarks lie in the image with nothing before them (68,)."""
        pixel = np.rint(landmarks_xy).astype(int)
        inside = ((pixel >= 0) & (pixel < self.size)).all(axis=1)
        # On a silhouette the nearest pixel may show what is beside the face: look around it.
        around = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), axis=-1).reshape(-1, 1, 2)
        column, row = np.moveaxis(np.clip(pixel + around, 0, self.size - 1), -1, 0)
        surface = view.distance_of_depth(depth[row, column].max(axis=0))
        visible: NDArray[np.bool_] = inside & (distance <= surface + _VISIBILITY_TOLERANCE_DM)
        return visible


def _over(premultiplied: Floats, background: Floats) -> Floats:
    """An image (H, W, 4), premultiplied with alpha, over a background (H, W, 3)."""
    import cv2

    *channels, alpha = cv2.split(premultiplied)
    linear = np.asarray(cv2.merge([1.0 - alpha] * 3), np.float32)
    linear *= background
    linear += np.asarray(cv2.merge(channels), np.float32)
    return linear


def _torso_angles(scene: Scene) -> NDArray[np.float64]:
    """Yaw, pitch, roll of the shoulders: a share of the head's, never beyond a neck's reach."""
    head = np.array([scene.yaw_deg, scene.pitch_deg, scene.roll_deg])
    reach = np.array([50.0, 28.0, 22.0])
    share = scene.torso_share * np.array([1.0, 0.35, 0.6])
    return np.clip(head * share, head - reach, head + reach)


def _environment_turn(scene: Scene) -> Floats:
    return environment_rotation(scene.light_azimuth_deg, scene.light_tilt_deg, scene.light_mirrored)
