"""From a network's outputs to rotations in the camera frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hpbench.errors import WeightsError
from hpbench.inference.angle_bins import expected_angles
from hpbench.methods.onnx_card.card import AnglesOutput, BinsOutput, RotationOutput
from hpbench.rotation import (
    ANGLES,
    nearest_rotation,
    rotation_from_6d,
    rotation_from_angles,
    rotation_from_rotvec,
    rotation_from_rq_angles,
    rotation_in_camera_frame,
)

__all__ = ["decode_networks"]

Array = npt.NDArray[np.float64]
OutputCard = AnglesOutput | BinsOutput | RotationOutput

_NUMBERS = {"6d": 6, "matrix": 9, "rotvec": 3}


def decode_networks(networks: Sequence[Sequence[Array]], card: OutputCard) -> Array:
    """Rotations ``R_cam`` (n, 3, 3) from the outputs of networks that are averaged.

    Each output has one row per face; NaN stands where one is not a number or gives no rotation.

    Raises
    ------
    WeightsError
        If the outputs do not have the shape that the card specifies.
    """
    if isinstance(card, RotationOutput):
        mean = np.mean([_output_rotations(outputs, card) for outputs in networks], axis=0)
        return mean if len(networks) == 1 else _where_finite(nearest_rotation, mean)
    angles = np.mean([_output_angles(outputs, card) for outputs in networks], axis=0)
    make = rotation_from_rq_angles if card.euler == "rq" else rotation_from_angles
    return _where_finite(make, angles)


def _where_finite(function: Callable[[Array], Array], values: Array) -> Array:
    """Apply a function row by row, NaN where the row holds one."""
    good = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    result = np.full((len(values), 3, 3), np.nan)
    if good.any():
        result[good] = function(values[good])
    return result


def _output_angles(outputs: Sequence[Array], card: AnglesOutput | BinsOutput) -> Array:
    """Yaw, pitch, roll in degrees with the signs of this project, shape (n, 3)."""
    if isinstance(card, BinsOutput):
        values = _bin_values(outputs, card)
    else:
        values = np.concatenate([output.reshape(len(output), -1) for output in outputs], axis=1)
        if values.shape[1] != 3:
            raise WeightsError(
                f"the network gives {values.shape[1]} numbers per face; the card specifies 3 angles"
            )
        if card.unit == "rad":
            values = np.degrees(values)
    angles = np.empty_like(values)
    for index, signed in enumerate(card.order):
        sign = -1.0 if signed.startswith("-") else 1.0
        angles[:, ANGLES.index(signed.removeprefix("-"))] = sign * values[:, index]
    return angles


def _bin_values(outputs: Sequence[Array], card: BinsOutput) -> Array:
    if len(outputs) == 1:
        only = outputs[0]
        if only.ndim != 3 or only.shape[1] != 3:
            raise WeightsError(
                f"the network's output has shape {only.shape}; the card specifies (n, 3, bins)"
            )
        outputs = [only[:, index] for index in range(3)]
    values = []
    for scores, width, offset in zip(outputs, card.width_deg, card.offset_deg, strict=True):
        rows = scores.reshape(len(scores), -1)
        steps_deg = width * np.arange(rows.shape[1])
        mean = expected_angles(rows, steps_deg)[0] if card.scores == "logits" else rows @ steps_deg
        values.append(offset + mean)
    return np.stack(values, axis=1)


def _output_rotations(outputs: Sequence[Array], card: RotationOutput) -> Array:
    """Rotations ``R_cam``, shape (n, 3, 3), of an output that is a whole rotation."""
    values = outputs[0].reshape(len(outputs[0]), -1)
    if values.shape[1] != _NUMBERS[card.kind]:
        raise WeightsError(
            f"the network gives {values.shape[1]} numbers per face; the card's "
            f"'{card.kind}' has {_NUMBERS[card.kind]}"
        )
    if card.kind == "6d":
        R_net = rotation_from_6d(values)
    elif card.kind == "matrix":
        R_net = _where_finite(nearest_rotation, values.reshape(-1, 3, 3))
    else:
        R_net = _where_finite(rotation_from_rotvec, values)
    return rotation_in_camera_frame(R_net, card.frame)
