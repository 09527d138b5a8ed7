"""The form of predictions, and what they may not depend on."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from hpbench.checking.probe import Probe
from hpbench.checking.requirements import (
    ConformanceError,
    NotApplicableError,
    Outcome,
    require_same,
    require_valid,
)
from hpbench.face import Face
from hpbench.inference.solving import WRITES_TO_FACE, is_write_to_face
from hpbench.method import Method, NoPrediction

__all__ = [
    "check_batch_size",
    "check_deterministic",
    "check_empty_batch",
    "check_input_unchanged",
    "check_order",
    "check_pickle",
    "check_prepared_elsewhere",
    "check_rotations",
    "check_threads",
]


def _some(probe: Probe) -> tuple[Sequence[Face], list[Outcome]]:
    """Some of the faces with their predictions."""
    some = probe.some_faces
    return [probe.faces[index] for index in some], [probe.predictions[index] for index in some]


def check_rotations(probe: Probe) -> None:
    """Every prediction is a 3x3 rotation of real numbers (determinant 1), or NoPrediction."""
    predictions = probe.predictions
    if len(predictions) != len(probe.faces):
        raise ConformanceError(f"{len(predictions)} predictions to {len(probe.faces)} faces")
    for face, prediction in zip(probe.faces, predictions, strict=True):
        require_valid(prediction, f"face '{face.image_id}'")
    if all(isinstance(one, NoPrediction) for one in predictions):
        reason = min(one.reason for one in predictions if isinstance(one, NoPrediction))
        raise ConformanceError(f"no prediction to any of {len(predictions)} faces: {reason}")


def check_empty_batch(probe: Probe) -> None:
    """No faces give no predictions."""
    predictions = probe.method.predict([])
    if list(predictions) != []:
        raise ConformanceError(f"{len(predictions)} predictions to no faces")


def check_batch_size(probe: Probe) -> None:
    """A face gets the same prediction alone and in a batch."""
    faces = probe.faces[:8]
    alone = [probe.method.predict([face])[0] for face in faces]
    require_same(faces, alone, probe.method.predict(faces), "alone and in a batch")


def check_order(probe: Probe) -> None:
    """The order of faces in a batch does not matter."""
    faces, predictions = _some(probe)
    reversed_predictions = probe.method.predict(faces[::-1])[::-1]
    require_same(faces, predictions, reversed_predictions, "when the batch is reversed")


def check_deterministic(probe: Probe) -> None:
    """The same faces get the same predictions again, also from a second instance."""
    faces, predictions = _some(probe)
    require_same(faces, predictions, probe.method.predict(faces), "when asked twice")
    second = probe.make()
    second.load()
    faces = probe.faces[:8]
    require_same(faces, probe.predictions[:8], second.predict(faces), "from a second instance")


def check_input_unchanged(probe: Probe) -> None:
    """Image, box and landmarks are not written to."""
    face = probe.faces[0]
    arrays = {
        field: getattr(face, field).copy()
        for field in ("image", "box_xyxy", "landmarks_xy")
        if getattr(face, field) is not None
    }
    try:
        probe.method.predict([replace(face, **arrays)])
    except Exception as error:
        if not is_write_to_face(error):
            raise
        raise ConformanceError(WRITES_TO_FACE) from error
    for field, array in arrays.items():  # compiled code may write all the same
        if not np.array_equal(array, getattr(face, field)):
            raise ConformanceError(f"it writes into face.{field}, which other methods see too")


def check_threads(probe: Probe) -> None:
    """`prepare` gives the same from several threads at once."""
    if probe.method.prepare_in != "threads":
        raise NotApplicableError(f"its faces are prepared in {probe.method.prepare_in}")
    faces, expected = _some(probe)
    with ThreadPoolExecutor(4) as pool:
        prepared = list(pool.map(probe.method.prepare, faces))
    _require_solved(probe.method, faces, prepared, expected, "when prepared in threads")


def check_prepared_elsewhere(probe: Probe) -> None:
    """A face gets the same prediction when another instance prepares it, as in long runs."""
    faces, expected = _some(probe)
    reader, solver = probe.make(), probe.make()
    reader.load_to_prepare()
    solver.load()
    prepared = [_sent(reader.prepare(face)) for face in faces]
    when = "when another instance prepares the faces (is anything kept on self for decode?)"
    _require_solved(solver, faces, prepared, expected, when)


def _require_solved(
    method: Method,
    faces: Sequence[Face],
    prepared: Sequence[Any],
    expected: Sequence[Outcome],
    when: str,
) -> None:
    """Raise unless a method solves what was prepared of some faces as expected."""
    inputs = [value for value in prepared if not isinstance(value, NoPrediction)]
    decoded = method.decode(method.infer(inputs)) if inputs else []
    if len(decoded) != len(inputs):
        raise ConformanceError(f"{len(decoded)} predictions to {len(inputs)} faces {when}")
    following = iter(decoded)
    found = [value if isinstance(value, NoPrediction) else next(following) for value in prepared]
    require_same(faces, expected, found, when)


def _sent(value: Any) -> Any:
    """A copy of a value as another process receives it."""
    return ForkingPickler.loads(ForkingPickler.dumps(value))


def check_pickle(probe: Probe) -> None:
    """An instance that is not loaded pickles, and the copy predicts the same."""
    copy = _sent(probe.make())
    copy.load()
    faces = probe.faces[:8]
    require_same(faces, probe.predictions[:8], copy.predict(faces), "from an unpickled copy")
