"""The thin layer over OpenGL: context, programs, meshes and textures on the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpbench.errors import DataError, MissingDependencyError
from hpbench.rendering.asset_files import Floats, Ints, Mesh
from hpbench.rendering.lighting import LUMINANCE

if TYPE_CHECKING:
    import moderngl

__all__ = [
    "LIGHT_COUNTS",
    "MATERIALS",
    "GpuMesh",
    "LoadedTexture",
    "Shader",
    "create_context",
    "load_texture",
    "shaders",
    "surface_shader",
]

MATERIALS = ("SKIN", "HAIR", "CLOTH", "EYE", "GLASS", "PLAIN")

LIGHT_COUNTS = (1, 3)
"""Environments have one light that casts shadows, studios up to three lamps."""

_SHADERS = Path(__file__).parent / "shaders"
_VERSION = "#version 330\n"
_LARGEST_TEXTURE_PX = 1024


def create_context() -> moderngl.Context:
    """An OpenGL 3.3 context without a window.

    Raises
    ------
    MissingDependencyError
        If moderngl or an EGL driver is missing.
    """
    try:
        import moderngl
    except ImportError as error:
        raise MissingDependencyError(
            "rendering: needs moderngl; pip install 'hpbench[synth]'"
        ) from error
    settings: dict[str, Any] = {"backend": "egl"}
    try:
        return moderngl.create_context(standalone=True, require=330, **settings)
    except Exception as error:  # moderngl and glcontext raise bare exceptions
        raise MissingDependencyError(
            "rendering: needs an EGL driver; install libegl1 and libgl1-mesa-dri "
            f"(Debian, Ubuntu); the driver said: {error}"
        ) from error


class Shader:
    """A program on the device, and what the compiler has left of its uniforms and attributes."""

    def __init__(self, context: moderngl.Context, vertex: str, fragment: str) -> None:
        self.program = context.program(vertex_shader=vertex, fragment_shader=fragment)
        self._members: dict[str, Any] = {name: self.program[name] for name in self.program}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def set(self, **values: Any) -> None:
        """Set uniforms of floats, those that the compiler dropped as unused apart.

        OpenGL stores the columns of a matrix first, so matrices are given transposed.
        """
        for name, value in values.items():
            if name in self._members:
                self._members[name].write(np.ascontiguousarray(value, np.float32))

    def set_texture_units(self, **values: int) -> None:
        """Set the units that textures are read from."""
        for name, value in values.items():
            if name in self._members:
                self._members[name].value = value


def shaders(context: moderngl.Context) -> dict[str, Shader]:
    """All shaders by name.

    ``SHADOW`` and ``SHADOW_HAIR`` are for shadow maps of whole surfaces and of hair. The others
    are named by `surface_shader`, one per material and number of lights: the loop over lights
    costs much less where its length is known to the compiler.
    """
    pose, fringe = _source("pose.glsl"), _source("fringe.glsl")
    surface_vertex = pose + _source("surface_vertex.glsl")
    surface_fragment = fringe + _source("surface_fragment.glsl")
    shadow_vertex = pose + _source("shadow_vertex.glsl")
    numbers = "".join(f"#define {name} {i}\n" for i, name in enumerate(MATERIALS))
    sources = {
        surface_shader(material, lights): (
            surface_vertex,
            f"{numbers}#define MATERIAL {material}\n#define LIGHTS {lights}\n{surface_fragment}",
        )
        for material in MATERIALS
        for lights in LIGHT_COUNTS
    } | {
        "SHADOW": (shadow_vertex, "void main() {}\n"),
        "SHADOW_HAIR": (shadow_vertex, fringe + _source("shadow_hair_fragment.glsl")),
    }
    return {
        name: Shader(context, _VERSION + vertex, _VERSION + fragment)
        for name, (vertex, fragment) in sources.items()
    }


def surface_shader(material: str, lights: int) -> str:
    """Name of the shader of a material under one of `LIGHT_COUNTS` lights."""
    return f"{material}_{lights}"


class GpuMesh:
    """A mesh on the device: fixed corners and texture coordinates, moving vertices.

    Positions and texture coordinates are indexed apart in OBJ files and together on the
    device, so every used pair becomes one device vertex. ``share`` (V,) says how far each vertex
    follows the skull, ``openness`` (V,) is its ambient occlusion, 1 = open.
    """

    def __init__(
        self,
        context: moderngl.Context,
        shaders: Mapping[str, Shader],
        mesh: Mesh,
        share: Floats,
        openness: Floats,
    ) -> None:
        pairs = np.stack([mesh.faces.ravel(), mesh.face_uv.ravel()], axis=1)
        used, corner = np.unique(pairs, axis=0, return_inverse=True)
        self._vertex_of: Ints = used[:, 0].astype(np.int32)
        self._corner_faces: Ints = corner.reshape(-1, 3).astype(np.int32)
        self._mesh_faces = mesh.faces
        fixed = np.column_stack(
            [mesh.uv[used[:, 1]], share[self._vertex_of], openness[self._vertex_of]]
        )
        self._fixed = context.buffer(fixed.astype("f4").tobytes())
        self._moving = context.buffer(reserve=len(used) * 24)
        self._index = context.buffer(self._corner_faces.tobytes())
        self._count = self._corner_faces.size
        self._context, self._shaders = context, shaders
        self._arrays: dict[str, moderngl.VertexArray] = {}
        self._hidden: Ints | None = None

    def update(self, vertices: Floats, normals: Floats) -> None:
        """Upload rest-pose positions and normals, both (V, 3)."""
        data = np.empty((len(self._vertex_of), 6), np.float32)
        data[:, :3], data[:, 3:] = vertices[self._vertex_of], normals[self._vertex_of]
        self._moving.write(data)

    def hide(self, vertices: Ints) -> None:
        """Leave out all faces that touch these vertices, until the next call."""
        if vertices is self._hidden:
            return
        self._hidden = vertices
        hidden = np.zeros(int(self._mesh_faces.max()) + 1, bool)
        hidden[vertices[vertices < len(hidden)]] = True
        kept = self._corner_faces[~hidden[self._mesh_faces].any(axis=1)]
        self._index.write(kept.tobytes())
        self._count = kept.size

    def draw(self, name: str) -> None:
        """Draw with the present uniforms of the shader of this name."""
        if name not in self._arrays:
            shader = self._shaders[name]
            layout = [
                _layout(self._moving, shader, (("position", 3), ("normal", 3))),
                _layout(self._fixed, shader, (("uv", 2), ("share", 1), ("openness", 1))),
            ]
            self._arrays[name] = self._context.vertex_array(shader.program, layout, self._index)
        self._arrays[name].render(vertices=self._count)


@dataclass(frozen=True)
class LoadedTexture:
    """A texture on the device, and its pixels (H, W, 4), RGBA with the lowest row first."""

    texture: moderngl.Texture
    pixels: NDArray[np.uint8]

    @cached_property
    def mean_luminance(self) -> float:
        """Mean linear luminance of the opaque part."""
        linear = (self.pixels[..., :3].astype(np.float32) / 255) ** 2.2
        luminance = linear @ LUMINANCE.astype(np.float32)
        opaque = self.pixels[..., 3] > 127
        return max(float(luminance[opaque].mean()) if opaque.any() else 1.0, 1e-3)


def load_texture(context: moderngl.Context, path: Path, only_alpha: bool) -> LoadedTexture:
    """Upload an image file as RGBA with mipmaps; ``only_alpha`` makes its colours white.

    Raises
    ------
    DataError
        If the file is missing or not an image.
    """
    import cv2
    import moderngl

    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except cv2.error:  # of an empty file
        image = None
    if image is None:
        raise DataError(f"{path}: not an image; unpack the MakeHuman assets again")
    channels = image.shape[2] if image.ndim == 3 else 1
    to_rgba = {1: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}[channels]
    image = cv2.cvtColor(image, to_rgba)
    factor = _LARGEST_TEXTURE_PX / max(image.shape[:2])
    if factor < 1.0:
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    pixels = np.ascontiguousarray(image[::-1])
    if only_alpha:
        pixels[..., :3] = 255
    texture = context.texture((pixels.shape[1], pixels.shape[0]), 4, pixels.tobytes())
    texture.build_mipmaps()
    texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
    return LoadedTexture(texture, pixels.astype(np.uint8, copy=False))


def _source(name: str) -> str:
    return (_SHADERS / name).read_text(encoding="utf-8")


def _layout(
    buffer: moderngl.Buffer, shader: Shader, attributes: tuple[tuple[str, int], ...]
) -> tuple[Any, ...]:
    """Buffer layout that skips attributes which the compiler found unused in this shader."""
    used = [name for name, _ in attributes if name in shader]
    formats = [f"{n}f" if name in shader else f"{4 * n}x" for name, n in attributes]
    return (buffer, " ".join(formats), *used)
