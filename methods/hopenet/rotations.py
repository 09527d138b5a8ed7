"""Rotations of a batch in torch, for losses: the conventions of :mod:`hpbench.rotation`."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "angles_from_rotations",
    "geodesic_deg",
    "rotations_from_angles",
    "rotations_from_columns",
]

_NEARLY_ONE = 1.0 - 1e-6


def rotations_from_angles(angles_deg: Tensor) -> Tensor:
    """``R_cam = Rx(-pitch) @ Ry(yaw) @ Rz(roll)``, shape (n, 3, 3), of triples (n, 3)."""
    angles = torch.deg2rad(angles_deg)
    sy, sp, sr = angles.sin().unbind(-1)
    cy, cp, cr = angles.cos().unbind(-1)
    entries = [
        cy * cr, -cy * sr, sy,
        cp * sr - sp * sy * cr, cp * cr + sp * sy * sr, sp * cy,
        -sp * sr - cp * sy * cr, -sp * cr + cp * sy * sr, cp * cy,
    ]  # fmt: skip
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def angles_from_rotations(R_cam: Tensor) -> Tensor:
    """Yaw, pitch, roll in degrees, shape (n, 3), with yaw in -90..90."""
    yaw = torch.atan2(R_cam[..., 0, 2], torch.hypot(R_cam[..., 1, 2], R_cam[..., 2, 2]))
    pitch = torch.atan2(R_cam[..., 1, 2], R_cam[..., 2, 2])
    roll = torch.atan2(-R_cam[..., 0, 1], R_cam[..., 0, 0])
    return torch.rad2deg(torch.stack([yaw, pitch, roll], dim=-1))


def rotations_from_columns(columns: Tensor) -> Tensor:
    """Rotations, shape (n, 3, 3), whose first two columns are nearest to these, shape (n, 3, 2).

    Gram and Schmidt, the first column kept: the 6D representation of Zhou et al., "On the
    continuity of rotation representations in neural networks", CVPR 2019.
    """
    x = functional.normalize(columns[..., 0], dim=-1)
    z = functional.normalize(torch.linalg.cross(x, columns[..., 1]), dim=-1)
    return torch.stack([x, torch.linalg.cross(z, x), z], dim=-1)


def geodesic_deg(R_a: Tensor, R_b: Tensor) -> Tensor:
    """Angle between rotations, shape (n,), from ``|R_a - R_b| = 2 sqrt(2) sin(angle / 2)``.

    The arccosine of the trace has an infinite slope for equal rotations; this form has none.
    """
    sine = torch.linalg.matrix_norm(R_a - R_b) / (2.0 * math.sqrt(2.0))
    return torch.rad2deg(2.0 * torch.asin(sine.clamp(max=_NEARLY_ONE)))
