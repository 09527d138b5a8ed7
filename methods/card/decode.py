"""From a network's outputs to rotations in the camera frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hpbench.errors import WeightsError
from hpbench.inference.angle_bins import expected_angles
from hpbench.methods.card.outputs import (
    AnglesOutput,
    BinsOutput,
    ConfidenceOutput,
    LandmarksOutput,
    RotationOutput,
)
from hpbench.rotation import (
    ANGLES,
    euler_order,
    nearest_rotation,
    rotation_from_6d,
    rotation_from_euler,
    rotation_from_quaternion,
    rotation_from_rotvec,
    rotation_from_rows,
    rotation_in_camera_frame,
    wrap_deg,
)

__all__ = ["confidence_of", "decode_networks", "numbers_of"]

Array = npt.NDArray[np.float64]
OutputCard = AnglesOutput | BinsOutput | RotationOutput

_NUMBERS = {"6d": 6, "matrix": 9, "matrix3x4": 12, "rotvec": 3, "quaternion": 4}


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
    angles = np.stack([_output_angles(outputs, card) for outputs in networks])
    with np.errstate(invalid="ignore"):  # an infinite angle gives NaN
        # by differences, for 179 and -179 are two degrees apart
        mean = angles[0] + wrap_deg(angles - angles[0]).mean(axis=0)
    return rotation_from_euler(mean, euler_order(card.euler))


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
        values = numbers_of(outputs, card, (3,), "angles")
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
    values = numbers_of(outputs, card, (_NUMBERS[card.kind],), card.kind)
    if card.kind == "6d":
        R_net = rotation_from_6d(values)
    elif card.kind == "rotvec":
        R_net = _where_finite(rotation_from_rotvec, values)
    elif card.kind == "quaternion":
        R_net = rotation_from_quaternion(
            np.roll(values, 1, axis=1) if card.order == "xyzw" else values
        )
    else:
        matrices = values.reshape(len(values), 3, -1)[:, :, :3]
        if card.nearest == "svd":
            R_net = _where_finite(_nearest_rotation, matrices)
        else:
            R_net = rotation_from_rows(matrices[:, :2])
    return rotation_in_camera_frame(R_net, card.frame)


def _nearest_rotation(M: Array) -> Array:
    """Nearest rotations; NaN where there is not one alone, as for zeros and mirrored axes."""
    largest = np.abs(M).max(axis=(1, 2), keepdims=True)
    unit = M / np.where(largest > 0.0, largest, 1.0)
    sizes = np.linalg.svd(unit, compute_uv=False)
    apart = sizes[:, 1] + np.sign(np.linalg.det(unit)) * sizes[:, 2]
    return np.where((apart > 1e-6 * sizes[:, 0])[:, None, None], nearest_rotation(unit), np.nan)


def numbers_of(
    outputs: Sequence[Array],
    card: AnglesOutput | RotationOutput | LandmarksOutput,
    counts: Sequence[int],
    what: str,
) -> Array:
    """The numbers of each face that a card takes, scaled and shifted, shape (n, numbers).

    `counts` are those that there may be, and `what` names them in the message.

    Raises
    ------
    WeightsError
        If the network gives another number of them.
    """
    values = np.concatenate([output.reshape(len(output), -1) for output in outputs], axis=1)
    if card.take is not None:
        if card.take[1] > values.shape[1]:
            raise WeightsError(
                f"the network gives {values.shape[1]} numbers per face; the card takes those from "
                f"{card.take[0]} to {card.take[1]}"
            )
        values = values[:, card.take[0] : card.take[1]]
    for key, numbers in (("scale", card.scale), ("offset", card.offset)):
        if len(numbers) not in (1, values.shape[1]):
            raise WeightsError(
                f"the card's {key} has {len(numbers)} numbers; {values.shape[1]} are read of the "
                "network's output"
            )
    if values.shape[1] not in counts:
        there = "the network gives" if card.take is None else "the card takes"
        allowed = " or ".join(map(str, counts))
        raise WeightsError(
            f"{there} {values.shape[1]} numbers per face; the card's '{what}' has {allowed}"
        )
    return values * np.asarray(card.scale) + np.asarray(card.offset)


def confidence_of(networks: Sequence[Array], card: ConfidenceOutput) -> Array:
    """Confidences, larger where a network is surer, shape (n,); the mean of all networks.

    Raises
    ------
    WeightsError
        If the output does not have one number per face, or not the one that the card names.
    """
    values = np.mean([output.reshape(len(output), -1) for output in networks], axis=0)
    count = values.shape[1]
    if count != 1 and card.index is None:
        raise WeightsError(
            f"output '{card.name}' gives {count} numbers per face; say which in confidence.index"
        )
    if (card.index or 0) >= count:
        raise WeightsError(f"output '{card.name}' gives {count} numbers per face, from 0")
    confidences = values[:, card.index or 0]
    return np.asarray(confidences if card.surer == "larger" else -confidences)
