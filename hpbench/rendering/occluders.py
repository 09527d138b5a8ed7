"""Things worn or held before a face, made here from plain geometry."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from hpbench.rendering.asset_files import Floats, Mesh
from hpbench.rendering.assets import AssetLibrary
from hpbench.rendering.geometry import NormalOperator
from hpbench.rendering.scene import Scene

__all__ = ["fit_glasses", "glasses_meshes", "paint_patch"]

_RIM_POINTS, _TUBE_POINTS = 28, 6


@cache
def glasses_meshes() -> tuple[Mesh, Mesh]:
    """Frame and lenses of a pair of glasses, in units of half the distance between the eyes.

    The origin is midway between the eyes; x to the wearer's left, y up, z forwards.
    """
    frame: list[tuple[Floats, NDArray[np.int32]]] = []
    lenses: list[tuple[Floats, NDArray[np.int32]]] = []
    for side in (-1.0, 1.0):
        rim = _rim(side)
        frame.append(_tube(rim, 0.055, closed=True))
        lenses.append(_fan(rim))
        temple = np.array(
            [[side * 1.86, 0.12, 0.0], [side * 2.12, 0.12, -0.25], [side * 2.2, 0.1, -3.1],
             [side * 2.15, -0.45, -3.6]]
        )  # fmt: skip
        frame.append(_tube(temple, 0.06, closed=False))
    bridge = np.array([[-0.2, 0.1, 0.02], [0.0, 0.2, 0.1], [0.2, 0.1, 0.02]])
    frame.append(_tube(bridge, 0.06, closed=False))
    return _join(frame), _join(lenses)


def fit_glasses(library: AssetLibrary, vertices: Floats) -> dict[str, tuple[Floats, Floats]]:
    """Rest-pose vertices and normals of frame and lenses on a person's face."""
    left = library.joint(vertices, "eye.L____head")
    right = library.joint(vertices, "eye.R____head")
    half = float(abs(left[0] - right[0])) / 2
    # The frame rests on the nose: stay in front of everything between the eyes.
    middle = (left + right) / 2
    near = (np.abs(vertices[:, 0] - middle[0]) < 0.12) & (np.abs(vertices[:, 1] - middle[1]) < 0.1)
    near &= library.head_share > 0.98
    bridge_z = float(vertices[near & library.on_body, 2].max())
    origin = np.array([middle[0], middle[1] - 0.03, bridge_z + 0.02], np.float32)
    placed = {}
    for name, mesh in zip(("glasses-frame", "glasses-lens"), glasses_meshes(), strict=True):
        moved = (mesh.vertices * half + origin).astype(np.float32)
        placed[name] = (moved, NormalOperator(mesh.faces, len(moved))(moved))
    return placed


def paint_patch(
    linear: Floats, landmarks_xy: NDArray[np.float64], scene: Scene
) -> tuple[Floats, NDArray[np.bool_]]:
    """Cover a share of the face from one side with a plain object, such as a hand or a phone.

    ``patch_share`` of the box of the landmarks (68, 2) is covered from ``patch_side`` (0 left,
    1 right, 2 top, 3 bottom). Returns the image (H, W, 3) and which landmarks are covered (68,).
    """
    import cv2

    size = linear.shape[0]
    x0, y0 = landmarks_xy.min(axis=0)
    x1, y1 = landmarks_xy.max(axis=0)
    axis, from_end = scene.patch_side // 2, scene.patch_side % 2
    low, high = (x0, x1) if axis == 0 else (y0, y1)
    edge = high - scene.patch_share * (high - low) if from_end else (
        low + scene.patch_share * (high - low)
    )  # fmt: skip
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    along = columns if axis == 0 else rows
    across, middle, half = (
        (rows, (y0 + y1) / 2, 0.75 * (y1 - y0)) if axis == 0 else (columns, (x0 + x1) / 2, x1 - x0)
    )
    inside = (along > edge) if from_end else (along < edge)
    inside &= np.abs(across - middle) < half
    mask = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.8)[..., None]
    shade = 1.0 + 0.3 * (across - middle) / max(half, 1.0)
    colour = np.array(scene.occluder_rgb, np.float32) * shade[..., None].astype(np.float32)
    column, row = np.clip(np.rint(landmarks_xy).astype(int), 0, size - 1).T
    return (linear * (1 - mask) + colour * mask).astype(np.float32), inside[row, column]


def _rim(side: float) -> Floats:
    """Outline of one lens: a rounded rectangle that wraps a little around the face."""
    angle = np.linspace(0, 2 * np.pi, _RIM_POINTS, endpoint=False)
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.6 * 0.82
    y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.7 * 0.58
    centre = side * 1.03
    return np.stack([centre + x, y - 0.08, -0.05 * np.maximum(np.abs(centre + x) - 0.9, 0) ** 2], 1)


def _tube(path: Floats, radius: float, closed: bool) -> tuple[Floats, NDArray[np.int32]]:
    """A round tube along a path (N, 3)."""
    count = len(path)
    around = np.roll(path, -1, 0) - np.roll(path, 1, 0)
    tangent = around if closed else np.gradient(path, axis=0)
    tangent = tangent / np.linalg.norm(tangent, axis=1, keepdims=True)
    helper = np.where(np.abs(tangent[:, 2:]) > 0.8, (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    first = np.cross(tangent, helper)
    first = first / np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(tangent, first)
    angle = np.linspace(0, 2 * np.pi, _TUBE_POINTS, endpoint=False)
    ring = np.cos(angle)[:, None, None] * first + np.sin(angle)[:, None, None] * second
    vertices = (path + radius * ring).transpose(1, 0, 2).reshape(-1, 3)
    index = np.arange(len(vertices)).reshape(count, _TUBE_POINTS)
    a, b = index, np.roll(index, -1, axis=1)
    c, d = np.roll(a, -1, axis=0), np.roll(b, -1, axis=0)
    quads = np.stack([a, c, b, b, c, d], axis=-1)[: count if closed else count - 1]
    return vertices.astype(np.float32), quads.reshape(-1, 3).astype(np.int32)


def _fan(outline: Floats) -> tuple[Floats, NDArray[np.int32]]:
    """A slightly domed disc inside an outline (N, 3)."""
    count = len(outline)
    centre = outline.mean(axis=0) + np.array([0.0, 0.0, 0.1])
    vertices = np.concatenate([outline, centre[None]]).astype(np.float32)
    faces = [(i, (i + 1) % count, count) for i in range(count)]
    return vertices, np.array(faces, np.int32)


def _join(pieces: list[tuple[Floats, NDArray[np.int32]]]) -> Mesh:
    vertices = [vertices for vertices, _ in pieces]
    starts = np.cumsum([0, *map(len, vertices)])
    faces = np.concatenate([f + start for (_, f), start in zip(pieces, starts, strict=False)])
    uv, all_faces = np.zeros((1, 2), np.float32), faces.astype(np.int32)
    return Mesh(np.concatenate(vertices), uv, all_faces, np.zeros_like(all_faces))
