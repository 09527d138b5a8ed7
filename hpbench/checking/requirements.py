"""What every prediction has to be, and the errors of a method that does not conform."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hpbench.errors import HpbenchError, in_one_line
from hpbench.face import Face
from hpbench.method import Method, NoPrediction, Prediction
from hpbench.rotation import geodesic_deg, is_rotation

__all__ = [
    "SAME_DEG",
    "ConformanceError",
    "NotApplicableError",
    "Outcome",
    "require_graceful",
    "require_same",
    "require_valid",
    "stack_rotations",
]

Array = npt.NDArray[np.float64]
Outcome = Prediction | NoPrediction

SAME_DEG = 0.05
"""Predictions that differ by less are the same: batched networks round differently."""


class ConformanceError(HpbenchError):
    """A method does not conform; the text says why and what to look for."""


class NotApplicableError(HpbenchError):
    """A check does not apply to a method, or there are too few faces for it."""


def stack_rotations(predictions: Sequence[Outcome]) -> tuple[Array, list[int]]:
    """Predicted rotations, shape (m, 3, 3), and the indices of the faces they belong to."""
    found = {i: one.R_cam for i, one in enumerate(predictions) if isinstance(one, Prediction)}
    return np.array(list(found.values()), dtype=np.float64).reshape(-1, 3, 3), list(found)


def require_valid(prediction: object, what: str) -> None:
    """Raise unless a prediction has the form that the contract asks for."""
    if isinstance(prediction, NoPrediction):
        if not prediction.reason:
            raise ConformanceError(f"{what}: NoPrediction without a reason")
        return
    _require_kind(prediction, what)
    assert isinstance(prediction, Prediction)
    R_cam = prediction.R_cam
    if not isinstance(R_cam, np.ndarray):
        raise ConformanceError(f"{what}: R_cam is a {type(R_cam).__name__}, not a numpy array")
    if R_cam.shape != (3, 3):
        raise ConformanceError(f"{what}: R_cam has shape {R_cam.shape}, not (3, 3)")
    if R_cam.dtype.kind != "f":
        raise ConformanceError(f"{what}: R_cam has dtype {R_cam.dtype}, not a floating one")
    if not np.isfinite(R_cam).all():
        raise ConformanceError(f"{what}: R_cam holds NaN or infinity; return NoPrediction instead")
    if not is_rotation(R_cam, tolerance=1e-3):
        determinant = np.linalg.det(R_cam.astype(np.float64))
        raise ConformanceError(
            f"{what}: R_cam is not a rotation (determinant {determinant:.3f}); "
            "hpbench.rotation.nearest_rotation makes one of it"
        )
    confidence = prediction.confidence
    if confidence is not None and not (
        isinstance(confidence, numbers.Real | np.number) and np.isfinite(confidence)
    ):
        raise ConformanceError(
            f"{what}: the confidence is {confidence!r}; give a finite number or None"
        )
    spread = prediction.spread_deg
    if spread is not None and not (
        np.shape(spread) == (3,) and np.isfinite(spread).all() and np.min(spread) >= 0.0
    ):
        raise ConformanceError(
            f"{what}: spread_deg is {spread}; give three finite standard deviations of yaw, pitch "
            "and roll in degrees, or None"
        )


def _require_kind(prediction: object, what: str) -> None:
    """Raise unless a prediction is one, or NoPrediction."""
    if not isinstance(prediction, Outcome):
        raise ConformanceError(
            f"{what}: decode gives a {type(prediction).__name__}; return Prediction(R_cam)"
        )


def require_same(
    faces: Sequence[Face], first: Sequence[Outcome], second: Sequence[Outcome], when: str
) -> None:
    """Raise unless both lists hold the same predictions; `when` says how they came about."""
    if len(first) != len(second):
        raise ConformanceError(f"{len(first)} and {len(second)} predictions {when}")
    for face, a, b in zip(faces, first, second, strict=True):
        for one in (a, b):
            _require_kind(one, f"face '{face.image_id}'")
        if isinstance(a, NoPrediction) or isinstance(b, NoPrediction):
            if isinstance(a, NoPrediction) != isinstance(b, NoPrediction):
                raise ConformanceError(
                    f"face '{face.image_id}' is predicted once and once not {when}"
                )
            continue
        difference = float(geodesic_deg(a.R_cam, b.R_cam))
        if not difference <= SAME_DEG:
            raise ConformanceError(
                f"face '{face.image_id}' gets predictions {difference:.2f} degrees apart {when}"
            )


def require_graceful(method: Method, face: Face, what: str) -> None:
    """Raise unless a face gets a prediction or NoPrediction; `what` names it in the message."""
    try:
        predictions = method.predict([face])
    except Exception as error:
        raise ConformanceError(
            f"{what} raises {in_one_line(error)}; return NoPrediction with a reason"
        ) from error
    if len(predictions) != 1:
        raise ConformanceError(f"{what}: {len(predictions)} predictions to one face")
    require_valid(predictions[0], what)
