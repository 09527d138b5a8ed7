"""Faces through a method: the one place that runs its steps outside of :class:`Method` itself.

Whatever a method raises on one face becomes a :class:`NoPrediction` that names the step, so that
one face ends neither a run nor the batch that it is in. Only an :class:`HpbenchError` passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hpbench.errors import PLUGIN_ERRORS, HpbenchError
from hpbench.face import Face
from hpbench.method import Method, NoPrediction, Prediction, require_one_each
from hpbench.rotation import is_rotation

__all__ = [
    "WRITES_TO_FACE",
    "Failed",
    "Solved",
    "failure",
    "infer_inputs",
    "is_write_to_face",
    "prepare_face",
    "solve_batch",
    "solve_prepared",
    "start_prepared",
    "valid_predictions",
]

Out = TypeVar("Out")

WRITES_TO_FACE = (
    "it may write into its face, which other methods are given, too; change a copy "
    "(face.image.copy())"
)


@dataclass(frozen=True, slots=True)
class Solved:
    """Prediction of one method for one face, with the milliseconds of its three steps."""

    prediction: Prediction | NoPrediction
    prepare_ms: float | None = None
    infer_ms: float | None = None
    decode_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Failed(NoPrediction):
    """A face on which a method has raised, or given no rotation; no reason of its own."""


def failure(step: str, error: Exception | SystemExit) -> Failed:
    """The row of a face on which a method has raised; `step` is prepare or infer."""
    hint = f"; {WRITES_TO_FACE}" if is_write_to_face(error) else ""
    return Failed(f"{step} failed: {type(error).__name__}: {error}{hint}")


def is_write_to_face(error: BaseException) -> bool:
    """Whether NumPy or OpenCV has refused to write into an array that is not to be written to."""
    return "read-only" in str(error) or "marked as readonly" in str(error)


def prepare_face(method: Method, face: Face) -> tuple[Any | NoPrediction, float]:
    """Input of :meth:`Method.infer` for a face, and the milliseconds that it took."""
    start = perf_counter()
    try:
        prepared = method.prepare(face)
    except HpbenchError:
        raise
    except PLUGIN_ERRORS as error:
        prepared = failure("prepare", error)
    if isinstance(prepared, NoPrediction):
        prepared = _in_words(prepared)
    return prepared, 1e3 * (perf_counter() - start)


def infer_inputs(
    method: Method, inputs: Sequence[Any], device_clock: AbstractContextManager[None] | None = None
) -> list[Solved]:
    """Infer and decode prepared inputs, at least one, in one batch; the times are per face.

    `device_clock` is entered around :meth:`Method.infer` alone. Raises whatever the method raises,
    a ValueError if decode gives no list or another number of predictions, and an HpbenchError if it
    returns bare arrays.
    """
    method.synchronize()
    start = perf_counter()
    with device_clock or nullcontext():
        output = method.infer(inputs)
    method.synchronize()
    inferred = perf_counter()
    predictions = method.decode(output)
    decoded = perf_counter()
    infer_ms, decode_ms = (
        1e3 * seconds / len(inputs) for seconds in (inferred - start, decoded - inferred)
    )
    valid = _validated(method, predictions, len(inputs))
    return [Solved(one, None, infer_ms, decode_ms) for one in valid]


def _validated(
    method: Method, predictions: Sequence[object], count: int
) -> list[Prediction | NoPrediction]:
    """What :meth:`Method.decode` gave to `count` inputs, by :func:`valid_predictions`."""
    require_one_each(predictions, count)
    return valid_predictions(method, predictions)


def valid_predictions(
    method: Method, predictions: Sequence[object]
) -> list[Prediction | NoPrediction]:
    """What :meth:`Method.decode` gave for some faces; no prediction where it is no rotation.

    So no metric is ever computed on such. Confidence and spread are None where they are not finite.

    Raises
    ------
    HpbenchError
        If there are bare arrays.
    """
    if isinstance(predictions, np.ndarray):
        raise HpbenchError(
            f"method '{method.name}': decode gave an array of shape {predictions.shape}, not a "
            "list of Prediction and NoPrediction"
        )
    found = [_well_formed(method, one) for one in predictions]
    rotations = [one.R_cam for one in found if isinstance(one, Prediction)]
    are_rotations = iter(is_rotation(np.reshape(rotations, (-1, 3, 3)), tolerance=1e-3))
    return [
        one
        if isinstance(one, NoPrediction) or next(are_rotations)
        else Failed(_why_no_rotation(one.R_cam))
        for one in found
    ]


def _why_no_rotation(R_cam: npt.NDArray[np.float64]) -> str:
    if not np.isfinite(R_cam).all():
        return "prediction holds NaN or infinity"
    return "prediction is not a rotation matrix"


def _well_formed(method: Method, prediction: object) -> Prediction | NoPrediction:
    """A prediction with a 3x3 matrix of float64, finite confidence and spread, or why not."""
    if isinstance(prediction, NoPrediction):
        return _in_words(prediction)
    if isinstance(prediction, np.ndarray):
        raise HpbenchError(
            f"method '{method.name}': decode gave arrays, not predictions; return "
            "Prediction(R_cam) for each face"
        )
    if not isinstance(prediction, Prediction):
        return Failed(f"decode gave a {type(prediction).__name__}, not a Prediction")
    R_cam = np.array(prediction.R_cam, dtype=np.float64)  # a copy: the method may use it again
    if R_cam.shape != (3, 3):
        return Failed(f"prediction of shape {R_cam.shape} instead of (3, 3)")
    return Prediction(
        R_cam,
        confidence=_finite(prediction.confidence),
        spread_deg=_spread(prediction.spread_deg),
    )


def _in_words(none: NoPrediction) -> NoPrediction:
    """The same with a reason that a table can hold: a method may have given the error itself."""
    return replace(none, reason=str(none.reason).encode(errors="replace").decode())


def _finite(confidence: float | None) -> float | None:
    """The confidence as a plain number; None where it is none."""
    try:
        number = math.nan if confidence is None else float(confidence)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _spread(spread_deg: npt.ArrayLike | None) -> npt.NDArray[np.float64] | None:
    """Three standard deviations as floats; None where one is missing, negative or not finite."""
    if spread_deg is None:
        return None
    try:
        numbers = np.array(spread_deg, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if numbers.shape != (3,) or not np.isfinite(numbers).all() or (numbers < 0.0).any():
        return None
    return numbers


def solve_prepared(method: Method, prepared: Sequence[tuple[Any, float | None]]) -> list[Solved]:
    """Infer and decode what :func:`prepare_face` returned for some faces.

    A batch that fails is run again input by input, so that one face that a method chokes on
    does not take the others along.
    """
    return start_prepared(method, prepared)()


def start_prepared(
    method: Method, prepared: Sequence[tuple[Any, float | None]]
) -> Callable[[], list[Solved]]:
    """Start what :func:`solve_prepared` does; to call what is returned waits for the predictions.

    A method with :meth:`Method.infer_ahead` is still at work then, and can be given another batch
    meanwhile. The steps of two batches overlap so, and their milliseconds are None.
    """
    inputs = [value for value, _ in prepared if not isinstance(value, NoPrediction)]

    def one_by_one() -> list[Solved]:
        return [_infer_one(method, value) for value in inputs]

    started = _unless_it_fails(lambda: _start(method, inputs), lambda: one_by_one)

    def finish() -> list[Solved]:
        following = iter(_unless_it_fails(started, one_by_one))
        return [
            Solved(value, prepare_ms)
            if isinstance(value, NoPrediction)
            else replace(next(following), prepare_ms=prepare_ms)
            for value, prepare_ms in prepared
        ]

    return finish


def _start(method: Method, inputs: Sequence[Any]) -> Callable[[], list[Solved]]:
    """Infer a batch, or start to; to call what is returned gives the predictions."""
    if not inputs:
        return list
    decode = method.infer_ahead(inputs)
    if decode is None:
        solved = infer_inputs(method, inputs)
        return lambda: solved
    return lambda: [Solved(one) for one in _validated(method, decode(), len(inputs))]


def _unless_it_fails(work: Callable[[], Out], otherwise: Callable[[], Out]) -> Out:
    """What `work` returns, or `otherwise` where the method's own code raises."""
    try:
        return work()
    except HpbenchError:
        raise
    except PLUGIN_ERRORS:
        return otherwise()


def _infer_one(method: Method, value: Any) -> Solved:
    try:
        return Solved(infer_inputs(method, [value])[0].prediction)
    except HpbenchError:
        raise
    except PLUGIN_ERRORS as error:
        return Solved(failure("infer", error))


def solve_batch(method: Method, faces: Sequence[Face]) -> list[Solved]:
    """All three steps on some faces, in order."""
    return solve_prepared(method, [prepare_face(method, face) for face in faces])
