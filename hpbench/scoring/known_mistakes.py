"""Mistaken conventions: what predictions look like when a sign, an order or a unit is wrong.

Each mistake comes with its fix, a function of the rotation alone. If the fixed predictions lie
clearly nearer to the ground truth than the predictions themselves, that mistake was probably made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from hpbench.rotation import (
    ANGLES,
    angles_from_rotation,
    geodesic_deg,
    rotation_from_angles,
    rotation_from_rotvec,
)

__all__ = ["MIN_FACES", "MISTAKES", "Diagnosis", "Mistake", "diagnose"]

Array = npt.NDArray[np.float64]
Category = Literal["sign", "order", "unit"]
WrongOrder = Literal["XZY", "YXZ", "YZX", "ZXY", "ZYX"]
"""Axes of the three turns, the first one leftmost; the right order is XYZ."""

MIN_FACES = 12
"""With fewer faces nothing is concluded."""

MIN_GAIN = 0.10
"""By which share of the error a fix has to lower it to count."""

MIN_T = 4.0
"""Of the paired differences: mean over its standard error."""

MAX_FIXED_DEG = 45.0
"""Predictions that are further off with the fix, too, are not explained by it."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistaken convention.

    Attributes
    ----------
    text : str
        What was done wrong.
    category : {'sign', 'order', 'unit'}
    fix : callable
        Rotations, shape (n, 3, 3), as they would be without the mistake.
    """

    text: str
    category: Category
    fix: Callable[[Array], Array]


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


def diagnose(predictions: Array, ground_truth: Array) -> Diagnosis:
    """Find the mistake that best explains the errors of some predictions.

    Parameters
    ----------
    predictions, ground_truth : ndarray, shape (n, 3, 3)
        ``R_cam``.
    """
    errors = geodesic_deg(predictions, ground_truth)
    as_they_are = float(errors.mean()) if len(errors) else float("nan")
    best, best_error = None, min(as_they_are, MAX_FIXED_DEG)
    for mistake in MISTAKES:
        fixed = geodesic_deg(mistake.fix(predictions), ground_truth)
        if _clearly_smaller(fixed, errors) and fixed.mean() < best_error:
            best, best_error = mistake, float(fixed.mean())
    return Diagnosis(len(errors), as_they_are, best, best_error if best else as_they_are)


def _clearly_smaller(errors: Array, than: Array) -> bool:
    """Whether paired errors, shape (n,), are smaller by more than chance and a trifle."""
    gain = than - errors
    if len(gain) < MIN_FACES or gain.mean() <= MIN_GAIN * than.mean():
        return False
    standard_error = gain.std(ddof=1) / np.sqrt(len(gain))
    return bool(gain.mean() > MIN_T * standard_error)


def _flip(signs: tuple[float, ...]) -> Callable[[Array], Array]:
    return lambda R: rotation_from_angles(angles_from_rotation(R) * signs)


def _swap(columns: tuple[int, ...]) -> Callable[[Array], Array]:
    return lambda R: rotation_from_angles(angles_from_rotation(R)[:, list(columns)])


def _from_order(axes: WrongOrder) -> Callable[[Array], Array]:
    """Read the angles in the order that they were put together in, and put them together right."""

    def fix(R: Array) -> Array:
        from scipy.spatial.transform import Rotation

        angles_deg = np.asarray(Rotation.from_matrix(R).as_euler(axes, degrees=True))
        about_axes = dict(zip(axes, angles_deg.T, strict=True))
        return rotation_from_angles(
            np.stack([about_axes["Y"], -about_axes["X"], about_axes["Z"]], axis=1)
        )

    return fix


def _to_order(axes: WrongOrder) -> Callable[[Array], Array]:
    """Read the angles as they were put together, and put them together in the order they are of."""

    def fix(R: Array) -> Array:
        from scipy.spatial.transform import Rotation

        yaw, pitch, roll = angles_from_rotation(R).T
        about_axes = {"X": -pitch, "Y": yaw, "Z": roll}
        angles_deg = np.stack([about_axes[axis] for axis in axes], axis=1)
        return np.asarray(Rotation.from_euler(axes, angles_deg, degrees=True).as_matrix())

    return fix


def _rotvec_of_angles(R: Array) -> Array:
    yaw, pitch, roll = np.radians(angles_from_rotation(R)).T
    return rotation_from_rotvec(np.stack([-pitch, yaw, roll], axis=1))


def _angles_of_rotvec(R: Array) -> Array:
    from scipy.spatial.transform import Rotation

    x, y, z = np.degrees(Rotation.from_matrix(R).as_rotvec()).T
    return rotation_from_angles(np.stack([y, -x, z], axis=1))


def _sign_mistakes() -> list[Mistake]:
    found = []
    for signs in product((1.0, -1.0), repeat=3):
        turned = [angle for angle, sign in zip(ANGLES, signs, strict=True) if sign < 0]
        if turned:
            text = f"the sign of {' and '.join(turned)} is swapped"
            found.append(Mistake(text, "sign", _flip(signs)))
    return found


def _order_mistakes() -> list[Mistake]:
    turns = {"X": "Rx(-pitch)", "Y": "Ry(yaw)", "Z": "Rz(roll)"}
    right = "Rx(-pitch) Ry(yaw) Rz(roll)"
    euler = []
    for order in get_args(WrongOrder):
        wrong = " ".join(turns[axis] for axis in order)
        source = ", as cv2.RQDecomp3x3 gives them," if order == "ZYX" else ""
        euler += [
            Mistake(
                f"the Euler angles are put together as {wrong} instead of {right}",
                "order",
                _from_order(order),
            ),
            Mistake(
                f"angles of the order {wrong}{source} are put together as {right}",
                "order",
                _to_order(order),
            ),
        ]
    names = [
        (f"{ANGLES[a]} and {ANGLES[b]} are exchanged", tuple(columns))
        for a, b, columns in ((0, 1, (1, 0, 2)), (0, 2, (2, 1, 0)), (1, 2, (0, 2, 1)))
    ]
    return [
        *euler,
        *(Mistake(text, "order", _swap(columns)) for text, columns in names),
        Mistake(
            "the rotation is inverted (the matrix is transposed)",
            "order",
            lambda R: np.swapaxes(R, 1, 2),
        ),
        Mistake("a rotation vector is read as Euler angles", "order", _rotvec_of_angles),
        Mistake("Euler angles are read as a rotation vector", "order", _angles_of_rotvec),
    ]


MISTAKES: tuple[Mistake, ...] = (
    *_sign_mistakes(),
    *_order_mistakes(),
    Mistake(
        "angles in radians are read as degrees",
        "unit",
        lambda R: rotation_from_angles(np.degrees(angles_from_rotation(R))),
    ),
)
"""Mistakes that the field's code bases and threads show (see also 'docs: protocols')."""
