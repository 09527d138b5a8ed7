"""Shadow maps, and the ambient occlusion that is baked with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpbench.rendering.asset_files import Floats
from hpbench.rendering.geometry import NeckPose
from hpbench.rendering.gpu import GpuMesh, Shader
from hpbench.rendering.head import HeadBuilder

if TYPE_CHECKING:
    import moderngl

__all__ = ["SHADOW_SIZE", "SHADOW_WIDTH_DM", "ShadowMap", "bake_openness", "light_matrix"]

SHADOW_SIZE = 384
SHADOW_WIDTH_DM = 4.8
_DEPTH_DM = 6.0


class ShadowMap:
    """Depth of the scene as a light sees it, of SHADOW_SIZE pixels squared."""

    def __init__(self, context: moderngl.Context) -> None:
        self.texture = context.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self.texture.compare_func = ""
        self.texture.filter = context.NEAREST, context.NEAREST
        self.texture.repeat_x = self.texture.repeat_y = False
        self._target = context.framebuffer(depth_attachment=self.texture)

    def start(self) -> None:
        """Draw into it from now on, from an empty map."""
        self._target.use()
        self._target.clear(depth=1.0)


def light_matrix(towards: Any, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthographic view (4, 4) along a light that shines on ``centre`` (3,)."""
    z = np.asarray(towards, np.float64)
    x = np.cross([0.0, 1.0, 0.01], z)
    x /= np.linalg.norm(x)
    y = np.cross(z, x)
    matrix = np.eye(4)
    matrix[0, :3] = x / (SHADOW_WIDTH_DM / 2)
    matrix[1, :3] = y / (SHADOW_WIDTH_DM / 2)
    matrix[2, :3] = -z / _DEPTH_DM
    matrix[:3, 3] = -matrix[:3, :3] @ centre
    return matrix


def _is_lit(points: Floats, matrix: NDArray[np.float64], depth: Floats) -> NDArray[np.bool_]:
    """Whether nothing lies between points (V, 3) and the light of an orthographic depth map."""
    seen = (points @ matrix[:3, :3].T + matrix[:3, 3]) * 0.5 + 0.5
    column, row = np.clip((seen[:, :2].T * SHADOW_SIZE).astype(int), 0, SHADOW_SIZE - 1)
    lit: NDArray[np.bool_] = seen[:, 2] <= depth[row, column] + 0.004
    return lit


def bake_openness(
    builder: HeadBuilder,
    context: moderngl.Context,
    shaders: Mapping[str, Shader],
    shadow: ShadowMap,
) -> dict[str, Floats]:
    """How much of the sky each vertex of body, eyes and teeth sees, on the base mesh.

    Depth maps from many directions stand in for rays. It is baked once on the neutral
    head: creases stay creases whatever the identity.
    """
    library = builder.library
    vertices = library.body.vertices
    body = builder.body_layer(vertices)
    ones = np.ones(len(body.vertices), np.float32)
    mesh = GpuMesh(context, shaders, builder.body, ones, ones)
    mesh.update(body.vertices, body.normals)
    skull = library.joint(vertices, "head____head").astype(np.float64)
    identity = np.array([0.0, 0.0, 0.0, 1.0])
    pose = NeckPose(identity, identity, skull, skull, skull)
    eyes, teeth = library.eyes, library.teeth
    targets = {"body": body} | {
        part.name: builder.part_layer(part, part.fit(vertices)) for part in (eyes, teeth)
    }
    sums = {name: np.zeros(len(layer.vertices)) for name, layer in targets.items()}
    weights = {name: np.full(len(layer.vertices), 1e-6) for name, layer in targets.items()}
    shader = shaders["SHADOW"]
    shader.set(**pose.uniforms())
    context.enable_only(context.DEPTH_TEST)
    for towards in _sphere(96):
        matrix = light_matrix(towards, skull)
        shader.set(light_matrix=matrix.T)
        shadow.start()
        mesh.draw("SHADOW")
        depth = np.frombuffer(shadow.texture.read(), np.float32).reshape(SHADOW_SIZE, SHADOW_SIZE)
        for name, layer in targets.items():
            cosine = np.maximum(layer.normals @ towards, 0.0)
            lit = _is_lit(layer.vertices + 0.05 * layer.normals, matrix, depth)
            sums[name] += cosine * lit
            weights[name] += cosine
    # Light that is thrown on from skin to skin never leaves a crease black; teeth get more
    # of it, since the base mesh's mouth is shut and an expression opens it.
    return {
        name: np.clip(sums[name] / weights[name], darkest, 1.0).astype(np.float32)
        for name, darkest in (("body", 0.03), (eyes.name, 0.1), (teeth.name, 0.35))
    }


def _sphere(count: int) -> Floats:
    """Evenly spread unit vectors (count, 3), a Fibonacci lattice."""
    i = np.arange(count) + 0.5
    y = 1 - 2 * i / count
    angle = np.pi * (1 + 5**0.5) * i
    radius = np.sqrt(1 - y * y)
    return np.stack([radius * np.cos(angle), y, radius * np.sin(angle)], 1).astype(np.float32)
