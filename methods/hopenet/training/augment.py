"""Augmentation of whole batches, on the device that trains.

Geometry follows the authors' training rule (crop margin k drawn from .2 to .4, mirror; see
:mod:`hpbench.crops`) and adds what closes the gap between rendered and real
images: in-plane rotation with the exact change of the label, light, colour, low resolution,
noise, cut-out, and random convolution (Xu et al., "Robust and Generalizable Visual
Representation Learning via Random Convolutions", ICLR 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from hpbench.crops import crop_box
from hpbench.methods.hopenet.bins import Bins
from hpbench.methods.hopenet.training.settings import Augmentation
from hpbench.rotation import (
    mirror_angles,
    nearest_angles,
    rotate_in_plane,
    rotation_from_angles,
)

__all__ = ["Geometry", "cut_batch", "draw_geometry", "photometric"]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where each face of a batch is cut, and its label there, shape (n, 3).

    `affine` (n, 2, 3) goes from output coordinates in -1..1 to pixels of the cached cut-out.
    """

    affine: Tensor
    angles_deg: npt.NDArray[np.float64]


def draw_geometry(
    boxes_xyxy: npt.NDArray[np.float32],
    angles_deg: npt.NDArray[np.float64],
    bins: Bins,
    settings: Augmentation,
    generator: np.random.Generator,
) -> Geometry:
    """Draw crop, rotation and mirror of a batch, and change the labels with them.

    Boxes (n, 4) are in pixels of the cut-outs; angles (n, 3) are NaN where not labelled. A
    rotation that would take a label out of the bins is not made. These are the views of
    :mod:`hpbench.geometry.views`, in one map per face, so that its pixels are interpolated once.
    """
    n = len(boxes_xyxy)
    theta = generator.uniform(-settings.rotate_max_deg, settings.rotate_max_deg, n)
    theta[generator.random(n) >= settings.rotate] = 0.0
    angles, theta = _rotated_labels(angles_deg, theta, bins)
    mirror = generator.random(n) < settings.mirror
    angles = np.where(mirror[:, None], mirror_angles(angles), angles)

    margin = generator.uniform(settings.k_min, settings.k_max, n)
    train = crop_box(boxes_xyxy, "hopenet-train", margin)
    test = crop_box(boxes_xyxy, "hopenet-test", 0.6 * margin)
    use_test = generator.random(n) < settings.test_rule
    crop = np.where(use_test[:, None], test, train)
    width, height = crop[:, 2] - crop[:, 0], crop[:, 3] - crop[:, 1]
    # the short side is scaled to the input and the middle is kept, so the crop is a square
    side = np.minimum(width, height)
    side = side * (1.0 + generator.uniform(-settings.scale, settings.scale, n))
    aspect = np.exp(0.5 * settings.aspect * generator.standard_normal(n))
    half_x, half_y = side * aspect / 2.0, side / aspect / 2.0
    moves = generator.uniform(-settings.shift, settings.shift, (2, n)) * side
    centre_x = (crop[:, 0] + crop[:, 2]) / 2.0 + moves[0]
    centre_y = (crop[:, 1] + crop[:, 3]) / 2.0 + moves[1]

    # content turns clockwise by theta, so places are looked up rotated the other way
    cosine, sine = np.cos(np.radians(theta)), np.sin(np.radians(theta))
    sign = np.where(mirror, -1.0, 1.0)
    affine = np.stack(
        [
            np.stack([cosine * half_x * sign, sine * half_y, centre_x], axis=-1),
            np.stack([-sine * half_x * sign, cosine * half_y, centre_y], axis=-1),
        ],
        axis=1,
    )
    return Geometry(torch.from_numpy(affine.astype(np.float32)), angles)


def _rotated_labels(
    angles_deg: npt.NDArray[np.float64], theta_deg: npt.NDArray[np.float64], bins: Bins
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Labels after the image is rotated clockwise by theta, and theta.

    A face with an angle that is not labelled, or that would leave the bins, is not rotated.
    """
    complete = np.asarray(np.isfinite(angles_deg).all(axis=1))
    known = np.where(complete[:, None], angles_deg, 0.0)
    rotated = nearest_angles(rotate_in_plane(rotation_from_angles(known), theta_deg), known)
    allowed = complete & (theta_deg != 0.0) & bins.covers(rotated)
    return np.where(allowed[:, None], rotated, angles_deg), np.where(allowed, theta_deg, 0.0)


def cut_batch(pixels: Tensor, affine: Tensor, size: int) -> Tensor:
    """Cut the drawn squares out of cached faces (n, side, side, 3), uint8.

    Returns RGB in 0..1, black outside, shape (n, 3, size, size); `affine` is that of `Geometry`.
    """
    side = pixels.shape[1]
    images = pixels.permute(0, 3, 1, 2).float() / 255.0
    unit = affine * (2.0 / side)
    unit[:, :, 2] -= 1.0
    grid = functional.affine_grid(unit, [len(images), 3, size, size], align_corners=False)
    return functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def photometric(
    images: Tensor,
    settings: Augmentation,
    generator: np.random.Generator,
    torch_generator: torch.Generator,
) -> Tensor:
    """Change light, colour and sharpness of RGB images in 0..1, shape (n, 3, size, size).

    What is drawn once for a batch comes from `generator`, so that nothing waits for a GPU; what is
    drawn per face or pixel from `torch_generator`, on the device.
    """
    draw = _Draw(images, generator, torch_generator)

    def change_some(share: float, change: Callable[[Tensor, _Draw], Tensor]) -> None:
        count = round(share * len(images))
        if count:
            chosen = draw.some(count)
            images[chosen] = change(images[chosen], draw)

    change_some(settings.random_convolution, _random_convolution)
    if settings.light > 0.0:
        images = _light(images, settings.light, draw)
    images = _grey(images, settings.grey, draw)
    change_some(settings.low_resolution, _low_resolution)
    change_some(settings.blur, _blur)
    change_some(settings.noise, _noise)
    return _cut_out(images, settings.cut_out, draw).clamp(0.0, 1.0)


class _Draw:
    """Random numbers for a batch: tensors on its device, and single numbers."""

    def __init__(
        self, images: Tensor, single: np.random.Generator, generator: torch.Generator
    ) -> None:
        self.count = len(images)
        self.device = images.device
        self.single = single
        self.generator = generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand(shape, generator=self.generator, device=self.device)
        return drawn * (high - low) + low

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)

    def some(self, count: int) -> Tensor:
        order = torch.randperm(self.count, generator=self.generator, device=self.device)
        return order[:count]


def _random_convolution(images: Tensor, draw: _Draw) -> Tensor:
    """Blend with the image convolved with one random 3x3 kernel per face."""
    n, _, height, width = images.shape
    kernels = draw.normal(3 * n, 3, 3, 3) / math.sqrt(27.0)
    grouped = functional.conv2d(
        images.reshape(1, 3 * n, height, width), kernels, padding=1, groups=n
    ).reshape(n, 3, height, width)
    share = draw.uniform(0.3, 0.9, n, 1, 1, 1)
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    grouped = grouped - grouped.mean(dim=(2, 3), keepdim=True) + middle
    return (share * grouped + (1.0 - share) * images).clamp(0.0, 1.0)


def _light(images: Tensor, strength: float, draw: _Draw) -> Tensor:
    n = len(images)
    gamma = torch.exp(strength * draw.uniform(-0.5, 0.4, n, 1, 1, 1))
    images = images.clamp(min=1e-4) ** gamma
    tint = torch.exp(strength * draw.uniform(-0.22, 0.22, n, 3, 1, 1))
    gain = torch.exp(strength * draw.uniform(-0.25, 0.30, n, 1, 1, 1))
    images = images * (tint * gain)
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    contrast = torch.exp(strength * draw.uniform(-0.45, 0.35, n, 1, 1, 1))
    offset = strength * draw.uniform(-0.12, 0.12, n, 1, 1, 1)
    return (images - middle) * contrast + middle + offset


def _grey(images: Tensor, share: float, draw: _Draw) -> Tensor:
    """Take the colour out of some faces, and a part of it out of half of the others."""
    n = len(images)
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device).view(1, 3, 1, 1)
    grey = (images * weights).sum(dim=1, keepdim=True)
    whole = draw.uniform(0.0, 1.0, n, 1, 1, 1) < share
    part = draw.uniform(-0.6, 0.6, n, 1, 1, 1).clamp(min=0.0)
    amount = torch.where(whole, torch.ones_like(part), part)
    return images + amount * (grey - images)


def _low_resolution(images: Tensor, draw: _Draw) -> Tensor:
    size = images.shape[-1]
    small = int(draw.single.integers(round(0.2 * size), round(0.7 * size)))
    reduced = functional.interpolate(
        images, size=(small, small), mode="bilinear", antialias=True, align_corners=False
    )
    return functional.interpolate(reduced, size=(size, size), mode="bilinear", align_corners=False)


def _blur(images: Tensor, draw: _Draw) -> Tensor:
    """Gaussian blur with a standard deviation of 0.5 to 2 % of the side."""
    size = images.shape[-1]
    sigma = draw.single.uniform(0.005, 0.02) * size
    radius = max(1, math.ceil(2.0 * sigma))
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.softmax(-0.5 * (offsets / sigma) ** 2, dim=0)
    across = kernel.view(1, 1, 1, -1).repeat(3, 1, 1, 1)
    padded = functional.pad(images, [radius] * 4, mode="reflect")
    return functional.conv2d(
        functional.conv2d(padded, across, groups=3), across.transpose(2, 3), groups=3
    )


def _noise(images: Tensor, draw: _Draw) -> Tensor:
    level = draw.uniform(0.005, 0.05, len(images), 1, 1, 1)
    return images + level * draw.normal(*images.shape)


def _cut_out(images: Tensor, share: float, draw: _Draw) -> Tensor:
    """Paint a rectangle of one colour over some faces."""
    n, _, height, width = images.shape
    rows = torch.arange(height, device=images.device).view(1, 1, height, 1) / height
    columns = torch.arange(width, device=images.device).view(1, 1, 1, width) / width
    centre = draw.uniform(0.0, 1.0, 2, n, 1, 1, 1)
    half = draw.uniform(0.05, 0.22, 2, n, 1, 1, 1)
    covered = ((rows - centre[0]).abs() < half[0]) & ((columns - centre[1]).abs() < half[1])
    chosen = draw.uniform(0.0, 1.0, n, 1, 1, 1) < share
    colour = draw.uniform(0.0, 1.0, n, 3, 1, 1)
    return torch.where(covered & chosen, colour, images)
