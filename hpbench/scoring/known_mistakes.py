"""Mistaken conventions: what predictions look like when a sign, an order or a unit is wrong.

Each mistake comes with its fix, a function of the rotation alone. If the fixed predictions lie
clearly nearer to the ground truth than the predictions themselves, that mistake was probably made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from hpbench.rotation import (
    ANGLES,
    angles_from_rotation,
    euler_from_rotation,
    geodesic_deg,
    mean_rotation,
    rotation_from_angles,
    rotation_from_euler,
    rotation_from_rotvec,
    rotvec_from_rotation,
)

__all__ = [
    "MIN_FACES",
    "MISTAKES",
    "RADIANS",
    "Diagnosis",
    "Mistake",
    "RotationMistake",
    "diagnose",
    "has_collapsed",
    "spread_deg",
    "t_of_gain",
]

Array = npt.NDArray[np.float64]
Category = Literal["sign", "order", "unit", "offset", "colour", "scaling", "scores"]
WrongOrder = Literal["ZYX", "YXZ", "XZY", "YZX", "ZXY"]
"""Axes of the three turns, the first one leftmost, the usual ones first; the right order is XYZ."""

MIN_FACES = 12
"""With fewer faces nothing is concluded."""

MIN_GAIN = 0.10
"""By which share of the error a fix has to lower it to count."""

MIN_T = 4.0
"""Of the paired differences: mean over its standard error."""

AS_GOOD_T = 1.0
"""Two fixes whose errors differ by less explain the predictions equally well."""

MAX_FIXED_DEG = 45.0
"""Predictions that are further off with the fix, too, are not explained by it."""

COLLAPSED = 0.25
"""Predictions that spread by less than this share of what the labels do are all but one pose."""


@dataclass(frozen=True)
class Mistake:
    """What may have been done wrong; `category` says which convention it concerns."""

    text: str
    category: Category


@dataclass(frozen=True)
class RotationMistake(Mistake):
    """A mistake that can be undone in the predicted rotation.

    Attributes
    ----------
    fix : callable
        Rotations, shape (n, 3, 3), as they would be without the mistake.
    table_option : str
        Under which a table is read right whose labels have the mistake; empty where there is none.
    in_labels : str
        The same in words that fit labels, where `text` does not.
    """

    fix: Callable[[Array], Array]
    table_option: str = ""
    in_labels: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What predictions look like beside the ground truth; errors are mean geodesic ones.

    Attributes
    ----------
    mistake : Mistake or None
        That whose fix lowers the error most, if it lowers it clearly.
    fixed_deg : float
        Error with that fix.
    """

    faces: int
    error_deg: float
    mistake: Mistake | None
    fixed_deg: float


def diagnose(
    predictions: Array, ground_truth: Array, mistakes: Sequence[RotationMistake] | None = None
) -> Diagnosis:
    """Find the mistake that best explains the errors of some predictions.

    Parameters
    ----------
    predictions, ground_truth : ndarray, shape (n, 3, 3)
        ``R_cam``.
    mistakes : sequence of RotationMistake or None
        None for :data:`MISTAKES`.
    """
    errors = _angles_between_deg(predictions, ground_truth)
    as_they_are = float(errors.mean()) if len(errors) else float("nan")
    fixed = {
        mistake: _angles_between_deg(mistake.fix(predictions), ground_truth)
        for mistake in (MISTAKES if mistakes is None else mistakes)
    }
    explains = [
        mistake
        for mistake, left in fixed.items()
        if _clearly_smaller(left, errors) and left.mean() < MAX_FIXED_DEG
    ]
    if not explains:
        return Diagnosis(len(errors), as_they_are, None, as_they_are)
    best = min(explains, key=lambda mistake: float(fixed[mistake].mean()))
    # of those that explain it as well, within chance, the more usual one
    usual = next(one for one in explains if t_of_gain(fixed[best], fixed[one]) < AS_GOOD_T)
    return Diagnosis(len(errors), as_they_are, usual, float(fixed[usual].mean()))


def _angles_between_deg(R_a: Array, R_b: Array) -> Array:
    """Geodesic errors, shape (n,), to a millionth of a degree.

    A run asks for some 150 of every method, and ``geodesic_deg``, which loses no digit, takes
    several times as long.
    """
    cosine = (np.einsum("nij,nij->n", R_a, R_b) - 1.0) / 2.0
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _clearly_smaller(errors: Array, than: Array) -> bool:
    """Whether paired errors, shape (n,), are smaller by more than chance and a trifle."""
    gain = than - errors
    if len(gain) < MIN_FACES or gain.mean() <= MIN_GAIN * than.mean():
        return False
    return t_of_gain(errors, than) > MIN_T


def t_of_gain(errors: Array, than: Array) -> float:
    """Mean of the paired gains, over its standard error; each has shape (n,)."""
    gain = than - errors
    return float(gain.mean() / max(gain.std(ddof=1) / np.sqrt(len(gain)), 1e-9))


def _flip(signs: tuple[float, ...]) -> Callable[[Array], Array]:
    return lambda R: rotation_from_angles(angles_from_rotation(R) * signs)


def _swap(columns: tuple[int, ...]) -> Callable[[Array], Array]:
    return lambda R: rotation_from_angles(angles_from_rotation(R)[:, list(columns)])


def _from_order(axes: WrongOrder) -> Callable[[Array], Array]:
    """Read the angles in the order that they were put together in, and put them together right."""
    return lambda R: rotation_from_angles(euler_from_rotation(R, axes))


def _to_order(axes: WrongOrder) -> Callable[[Array], Array]:
    """Read the angles as they were put together, and put them together in the order they are of."""
    return lambda R: rotation_from_euler(angles_from_rotation(R), axes)


def _rotvec_of_angles(R: Array) -> Array:
    yaw, pitch, roll = np.radians(angles_from_rotation(R)).T
    return rotation_from_rotvec(np.stack([-pitch, yaw, roll], axis=1))


def _angles_of_rotvec(R: Array) -> Array:
    x, y, z = np.degrees(rotvec_from_rotation(R)).T
    return rotation_from_angles(np.stack([y, -x, z], axis=1))


def spread_deg(R: Array) -> float:
    """Mean angle between rotations, shape (n, 3, 3), and their mean; NaN of none."""
    return float(geodesic_deg(R, mean_rotation(R)).mean()) if len(R) else float("nan")


def has_collapsed(R_pred: Array, R_gt: Array) -> bool:
    """Whether predictions, shape (n, 3, 3), are all but one pose where the labels are many."""
    return spread_deg(R_pred) < COLLAPSED * spread_deg(R_gt)


def _sign_mistakes() -> list[RotationMistake]:
    found = []
    for yaw, pitch, roll in product((1.0, -1.0), repeat=3):
        signs = (yaw, pitch, roll)
        turned = [angle for angle, sign in zip(ANGLES, signs, strict=True) if sign < 0]
        if turned:
            text = f"the sign of {' and '.join(turned)} is swapped{_FRAMES.get(signs, '')}"
            option = f'signs="{",".join(f"-{angle}" for angle in turned)}"'
            found.append(RotationMistake(text, "sign", _flip(signs), option))
    return found


_FRAMES = {
    (-1.0, 1.0, -1.0): " (or the axes of a frame with y up and z to the viewer are kept)",
    (-1.0, -1.0, 1.0): " (or the axes of a frame with x to the left and y up are kept)",
    (1.0, -1.0, -1.0): " (or the axes of a frame with x to the left and z to the viewer are kept)",
}
"""Half turns of the frame: what they do to the rotation is to swap two signs."""


def _order_mistakes() -> list[RotationMistake]:
    turns = {"X": "Rx(-pitch)", "Y": "Ry(yaw)", "Z": "Rz(roll)"}
    right = "Rx(-pitch) Ry(yaw) Rz(roll)"
    euler = []
    for order in get_args(WrongOrder):
        wrong = " ".join(turns[axis] for axis in order)
        source = ", as cv2.RQDecomp3x3 gives them," if order == "ZYX" else ""
        euler += [
            RotationMistake(
                f"the Euler angles are put together as {wrong} instead of {right}",
                "order",
                _from_order(order),
            ),
            RotationMistake(
                f"angles of the order {wrong}{source} are put together as {right}",
                "order",
                _to_order(order),
                "euler=rq" if order == "ZYX" else f"euler={order}",
            ),
        ]
    return [
        *euler,
        *_exchanged_angles(),
        *_inverted(),
        RotationMistake("a rotation vector is read as Euler angles", "order", _rotvec_of_angles),
        RotationMistake("Euler angles are read as a rotation vector", "order", _angles_of_rotvec),
        *_turned_axes(),
    ]


def _exchanged_angles() -> list[RotationMistake]:
    found = []
    for columns in permutations(range(3)):
        moved = [ANGLES[i] for i, column in enumerate(columns) if i != column]
        if len(moved) == 2:
            text = f"{moved[0]} and {moved[1]} are exchanged"
        else:
            order = ", ".join(ANGLES[columns.index(i)] for i in range(3))
            text = f"yaw, pitch and roll are exchanged: the order is {order}"
        if moved:
            found.append(RotationMistake(text, "order", _swap(columns)))
    return found


def _inverted() -> list[RotationMistake]:
    text = "the rotation is inverted (the matrix is transposed)"
    found = []
    for signs in ((1.0, 1.0, 1.0), *_FRAMES):
        S = np.diag([signs[1], signs[0], signs[2]])  # about x pitch, about y yaw, about z roll
        turned = [angle for angle, sign in zip(ANGLES, signs, strict=True) if sign < 0]
        also = f" and the sign of {' and '.join(turned)} is swapped" if turned else ""
        found.append(RotationMistake(text + also, "order", _transpose_in(S)))
    return found


def _transpose_in(S: Array) -> Callable[[Array], Array]:
    return lambda R: np.asarray(S @ np.swapaxes(R, 1, 2) @ S)


def _turned_axes() -> list[RotationMistake]:
    """Head or camera axes turned by right angles, on one side of the matrix."""
    found = []
    for columns in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            Q = np.diag(signs)[list(columns)]
            if np.linalg.det(Q) < 0 or np.array_equal(Q, np.eye(3)):
                continue
            axes = ", ".join(
                f"{'-' if row.min() < 0 else ''}{'xyz'[int(np.abs(row).argmax())]}" for row in Q
            )
            found += [
                RotationMistake(f"the head's axes x, y, z should be {axes}", "order", _right(Q)),
                RotationMistake(f"the camera's axes x, y, z should be {axes}", "order", _left(Q)),
            ]
    return found


def _right(Q: Array) -> Callable[[Array], Array]:
    return lambda R: np.asarray(R @ Q.T)


def _left(Q: Array) -> Callable[[Array], Array]:
    return lambda R: np.asarray(Q @ R)


def _radians_of_one_angle() -> list[RotationMistake]:
    """One column is in radians, which labels alone do not show: many people hardly nod or tilt."""
    found = []
    for index, angle in enumerate(ANGLES):
        factors = np.ones(3)
        factors[index] = np.degrees(1.0)
        text = f"{angle} alone is in radians and read as degrees"
        found.append(RotationMistake(text, "unit", _scale(factors)))
    return found


def _scale(factors: Array) -> Callable[[Array], Array]:
    return lambda R: rotation_from_angles(angles_from_rotation(R) * factors)


RADIANS = RotationMistake(
    "angles in radians are read as degrees", "unit", _scale(np.full(3, np.degrees(1.0)))
)

MISTAKES: tuple[RotationMistake, ...] = (
    *_sign_mistakes(),
    *_order_mistakes(),
    RADIANS,
    *_radians_of_one_angle(),
)
"""Mistakes that the field's code bases and threads show, the more usual ones first."""
