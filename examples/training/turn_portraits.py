"""Portraits turned to other poses: faces of many people where photos show only frontal ones.

    python turn_portraits.py congress.csv OUT [--views 8] [--seed 0]

Reads a table of 'hpbench label' whose faces are near frontal. A face of 68 landmarks is fitted to
each, which gives the depth of the photo where the face is; around it a skull and a background are
assumed. The photo becomes a surface that is turned and rendered, and its label is turned with
it. The idea is face profiling (Zhu et al., "Face Alignment Across Large Poses: A 3D Solution",
CVPR 2016), here without a model of the whole face. Writes images and ``OUT/labels.csv``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import cv2
import moderngl
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.interpolate import RBFInterpolator

from hpbench.face import Face
from hpbench.geometry.face_fit import distant_plane, fit_faces
from hpbench.images import read_rgb
from hpbench.landmarks.dlib import DlibLandmarks, DlibLandmarksOptions
from hpbench.methods.pnp.models import ict_shape_model
from hpbench.rendering.gpu import create_context
from hpbench.rotation import angles_from_rotation, rotation_from_angles

Array = npt.NDArray[np.float64]

SIDE = 176  # of the images written
FACE_SHARE = 0.42  # of the image's side that the face's box takes
YAW_DEG = (0.0, 85.0)  # range of |yaw| after turning
PITCH_STD_DEG = 14.0  # of the change of pitch
ERROR_LIMIT = 0.05  # fits that are worse are left out
SMOOTHING = 4.0  # of the depth, so that the surface does not fold where landmarks are off
# Fits of portraits come out flat. With this gain lwhpe and tddfa follow the turns of sixty
# portraits up to 60 degrees of yaw, within 2 and 4 degrees in the median.
DEPTH_GAIN = 1.2

_VERTEX = """
#version 330
in vec3 place; in vec2 texel; out vec2 uv;
void main() { gl_Position = vec4(place, 1.0); uv = texel; }
"""
_FRAGMENT = """
#version 330
uniform sampler2D photo; in vec2 uv; out vec4 colour;
void main() { colour = texture(photo, uv); }
"""


class Portrait(NamedTuple):
    """A photo with the depth of its pixels.

    `points` (68, 3) are the fitted landmarks and `depth` (height, width) the surface, in pixels of
    the photo: x right, y down, z away from the camera. `centre` (3,) is the middle of the skull.
    """

    rgb: npt.NDArray[np.uint8]
    points: Array
    depth: Array
    centre: Array


def portrait_of(rgb: npt.NDArray[np.uint8], box_xyxy: Array) -> Portrait | None:
    """Fit the face at a box; None where no face model fits the landmarks."""
    landmarks = DlibLandmarks(DlibLandmarksOptions(detect=False))  # it starts from the box
    seen = np.asarray(landmarks.find(Face("portrait", rgb, square_for_dlib(box_xyxy))))
    model = ict_shape_model()
    fits = fit_faces(distant_plane(seen)[None], model, by_visibility=True)
    if not fits.error[0] < ERROR_LIMIT:
        return None
    R_cam = fits.R_cam[0]
    face = model.points + np.tensordot(fits.shape[0], model.modes, axes=1)
    # scaled orthography: pixels per centimetre, and where the model's origin is seen
    turned = face @ R_cam.T
    flat = turned[:, :2] - turned[:, :2].mean(axis=0)
    scale = float((flat * (seen - seen.mean(axis=0))).sum() / np.square(flat).sum())
    shift = seen.mean(axis=0) - scale * turned[:, :2].mean(axis=0)

    def in_photo(points: Array) -> Array:
        placed = scale * (points @ R_cam.T)
        placed[:, :2] += shift
        return placed

    points = in_photo(face * (1.0, 1.0, DEPTH_GAIN))
    skull, centre = skull_around(face)
    anchors = in_photo(skull)
    middle = in_photo(centre[None])[0]
    height, width = rgb.shape[:2]
    ring = np.array([(x, y) for x in (-0.5, 0.5, 1.5) for y in (-0.5, 0.5, 1.5)])
    ring = ring[(ring != 0.5).any(axis=1)] * (width, height)
    background = np.column_stack([ring, np.full(len(ring), middle[2])])
    known = np.concatenate([np.column_stack([seen, points[:, 2]]), anchors, background])
    surface = RBFInterpolator(
        known[:, :2], known[:, 2], kernel="thin_plate_spline", smoothing=SMOOTHING
    )
    xs, ys = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    depth = surface(np.column_stack([xs.ravel(), ys.ravel()])).reshape(height, width)
    # what is seen around the head lies at most 2 cm behind the skull's middle
    return Portrait(rgb, points, np.minimum(depth, middle[2] + 2.0 * scale), middle)


def square_for_dlib(box_xyxy: Array) -> Array:
    """Box as dlib's detector would give it, from the extent of the landmarks."""
    x0, y0, x1, y1 = box_xyxy
    side = 0.5 * (x1 - x0 + y1 - y0)
    centre_x, centre_y = (x0 + x1) / 2.0, (y0 + y1) / 2.0 - 0.05 * side
    return np.array(
        [centre_x - side / 2, centre_y - side / 2, centre_x + side / 2, centre_y + side / 2]
    )


def skull_around(face: Array) -> tuple[Array, Array]:
    """Points around a face (68, 3) on an ellipsoid from ear to ear, and its middle; camera axes."""
    ears = face[[0, 16]]
    brows, chin = face[17:27].mean(axis=0), face[8]
    height = chin[1] - brows[1]
    centre = ears.mean(axis=0) - (0.0, 0.25 * height, 0.0)
    half = np.array([0.55 * (ears[1, 0] - ears[0, 0]), 0.95 * height, centre[2] - brows[2]])
    angles = np.radians(np.arange(180.0, 361.0, 22.5))
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    rings = []
    for share in (0.7, 1.0):
        flat = share * circle * half[:2]
        rings.append(
            np.column_stack([flat, np.full(len(flat), -half[2] * np.sqrt(1.0 - share**2))])
        )
    skull = np.concatenate(rings) + centre
    skull = skull[skull[:, 1] < brows[1] - 0.12 * height]
    neck = np.array(
        [
            [dx * height, chin[1] + 0.35 * height, centre[2] - 0.15 * height]
            for dx in (-0.4, 0.0, 0.4)
        ]
    )
    return np.concatenate([skull, neck]), centre


class Turner:
    """Renders turned portraits with OpenGL."""

    def __init__(self) -> None:
        self.context = create_context()
        self.program = self.context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        size = (2 * SIDE, 2 * SIDE)
        self.target = self.context.framebuffer(
            [self.context.texture(size, 4)], self.context.depth_renderbuffer(size)
        )

    def image(self, portrait: Portrait, R_turn: Array) -> tuple[npt.NDArray[np.uint8], Array]:
        """The portrait turned by `R_turn` in camera axes, and the box of its 68 landmarks there."""
        height, width = portrait.depth.shape
        xs, ys = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        surface = np.stack([xs, ys, portrait.depth], axis=-1).reshape(-1, 3)
        points = (portrait.points - portrait.centre) @ R_turn.T
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        scale = FACE_SHARE * SIDE / float((high - low).max())
        middle = (low + high) / 2.0
        placed = (surface - portrait.centre) @ R_turn.T
        placed[:, :2] = (placed[:, :2] - middle) * scale + SIDE / 2.0
        box = np.concatenate([(low - middle), (high - middle)]) * scale + SIDE / 2.0
        clip = np.column_stack(
            [2.0 * placed[:, :2] / SIDE - 1.0, placed[:, 2] / (4.0 * np.hypot(height, width))]
        )
        texels = np.column_stack([xs.ravel() / width, ys.ravel() / height])
        return self._render(portrait.rgb, clip, texels), box

    def _render(
        self, rgb: npt.NDArray[np.uint8], clip: Array, texels: Array
    ) -> npt.NDArray[np.uint8]:
        height, width = rgb.shape[:2]
        texture = self.context.texture(
            (width, height), 3, np.ascontiguousarray(rgb).tobytes(), alignment=1
        )
        texture.repeat_x = texture.repeat_y = False
        vertices = self.context.buffer(np.column_stack([clip, texels]).astype("f4").tobytes())
        index = np.arange(height * width).reshape(height, width)
        a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
        triangles = np.stack([a, b, c, b, d, c], axis=-1).astype("i4")
        mesh = self.context.vertex_array(
            self.program,
            [(vertices, "3f 2f", "place", "texel")],
            self.context.buffer(triangles.tobytes()),
        )
        self.target.use()
        self.context.enable(moderngl.DEPTH_TEST)
        self.context.clear(0.0, 0.0, 0.0, 0.0)
        texture.use(0)
        mesh.render()
        drawn = np.frombuffer(self.target.read(components=4), np.uint8).reshape(
            2 * SIDE, 2 * SIDE, 4
        )
        for resource in (texture, vertices, mesh):
            resource.release()
        behind = cv2.resize(rgb[: height // 8], (2 * SIDE, 2 * SIDE))  # above the head
        behind = cv2.GaussianBlur(behind, (0, 0), 12.0)
        share = drawn[..., 3:].astype(np.float32) / 255.0
        mixed = share * drawn[..., :3] + (1.0 - share) * behind
        return cv2.resize(mixed.astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def turn_to(R_cam: Array, generator: np.random.Generator) -> Array:
    """A random turn in camera axes that takes a rotation to a yaw within the range."""
    yaw_deg, pitch_deg, roll_deg = angles_from_rotation(R_cam)
    side = np.sign(yaw_deg) if abs(yaw_deg) > 8.0 else generator.choice([-1.0, 1.0])
    wanted = rotation_from_angles(
        np.array(
            [
                side * generator.uniform(*YAW_DEG),
                pitch_deg + np.clip(generator.normal(0.0, PITCH_STD_DEG), -30.0, 30.0),
                roll_deg,
            ]
        )
    )
    return np.asarray(wanted @ R_cam.T)


def main() -> None:
    """Turn every portrait of the table several times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    labels = pd.read_csv(options.table).head(options.limit or None)
    turner, rows, left_out = Turner(), [], 0
    for number, row in enumerate(labels.itertuples()):
        path = options.table.parent / row.image
        portrait = portrait_of(read_rgb(path), np.array([row.x0, row.y0, row.x1, row.y1]))
        if portrait is None:
            left_out += 1
            continue
        R_cam = rotation_from_angles(np.array([row.yaw, row.pitch, row.roll]))
        for view in range(options.views):
            generator = np.random.default_rng([options.seed, number, view])
            R_turn = turn_to(R_cam, generator)
            image, box = turner.image(portrait, R_turn)
            name = f"{number:05d}_{path.stem}_{view}.jpg"
            cv2.imwrite(str(options.out / name), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
            yaw, pitch, roll = angles_from_rotation(R_turn @ R_cam)
            rows.append([name, yaw, pitch, roll, *box, getattr(row, "subject", path.stem)])
    columns = ["image", "yaw", "pitch", "roll", "x0", "y0", "x1", "y1", "subject"]
    pd.DataFrame(rows, columns=columns).round(4).to_csv(options.out / "labels.csv", index=False)
    print(
        f"{options.out}: {len(rows)} images; {left_out} portraits left out: the face does not fit"
    )


if __name__ == "__main__":
    main()
