"""What is seen behind a rendered head: the environment it is lit by, or a made-up wall."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpbench.rendering.lighting import Environment

__all__ = ["BackgroundKind", "environment_background", "procedural_background"]

Floats = NDArray[np.float32]
BackgroundKind = Literal["environment", "backdrop", "clutter"]


def environment_background(
    environment: Environment, rotation: Floats, fov_deg: float, size: int
) -> Floats:
    """The part of a panorama behind the head, linear (size, size, 3).

    ``rotation`` (3, 3) takes the panorama to the viewer's axes; the image's height shows
    ``fov_deg``. A face camera sees a few dozen panorama pixels only; enlarging them smoothly looks
    like the out-of-focus background that it should be.
    """
    import cv2

    coarse = max(size // 4, 32)
    half = np.tan(np.radians(fov_deg) / 2)
    grid = ((np.arange(coarse) + 0.5) / coarse * 2 - 1) * half
    x, y = np.meshgrid(grid, -grid)
    rays = np.stack([x, y, -np.ones_like(x)], axis=-1)
    rays = (rays / np.linalg.norm(rays, axis=-1, keepdims=True)) @ rotation
    height, width = environment.view_panorama.shape[:2]
    column = (np.arctan2(rays[..., 0], -rays[..., 2]) / (2 * np.pi) + 0.5) * width - 0.5
    row = np.arccos(np.clip(rays[..., 1], -1, 1)) / np.pi * height - 0.5
    view = cv2.remap(
        environment.view_panorama,
        column.astype(np.float32),
        row.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    enlarged = cv2.resize(view, (size, size), interpolation=cv2.INTER_LINEAR)
    # Cubic enlargement would ring beside bright windows; blurring linear steps does not.
    return np.asarray(cv2.GaussianBlur(enlarged, (0, 0), size / coarse * 0.7), np.float32)


def procedural_background(kind: BackgroundKind, seed: int, size: int) -> Floats:
    """A made-up background, linear (size, size, 3): a studio backdrop, or out-of-focus clutter."""
    import cv2

    rng = np.random.default_rng(seed)
    colour = rng.uniform(0.02, 0.8) * np.clip(rng.normal(1.0, 0.18, 3), 0.4, 1.6)
    # Hardly anything in it is sharp, so it is painted at half the size.
    half = max(size // 2, 32)
    image = np.broadcast_to(colour.astype(np.float32), (half, half, 3)).copy()
    grid = np.linspace(-1, 1, half, dtype=np.float32)
    x, y = np.meshgrid(grid, grid)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.7)
    image *= (1 + strength * (np.cos(angle) * x + np.sin(angle) * y))[..., None] / (1 + strength)
    if kind == "clutter":
        for _ in range(int(rng.integers(4, 18))):
            _paint_box(image, rng)
        blurred = cv2.GaussianBlur(image, (0, 0), float(half * rng.uniform(0.004, 0.05)))
        image = np.asarray(blurred, np.float32)
    for cells in (3, 7, 16, 40):
        coarse = rng.normal(0.0, rng.uniform(0.0, 0.06), (cells, cells, 1))
        coarse = coarse + rng.normal(0.0, rng.uniform(0.0, 0.012), (cells, cells, 3))
        noise = cv2.resize(coarse.astype(np.float32), (half, half), interpolation=cv2.INTER_CUBIC)
        noise += 1
        image *= noise
    np.maximum(image, 0.0, out=image)
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def _paint_box(image: Floats, rng: np.random.Generator) -> None:
    """Paint one rectangle, like a window frame, shelf or door, in place."""
    size = image.shape[0]
    width, height = (rng.uniform(0.05, 0.6, 2) * size).astype(int)
    left, top = (rng.uniform(-0.2, 1.0, 2) * size).astype(int)
    colour = rng.uniform(0.01, 1.2) * np.clip(rng.normal(1.0, 0.25, 3), 0.2, 1.8)
    region = image[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    region += rng.uniform(0.4, 1.0) * (colour.astype(np.float32) - region)
