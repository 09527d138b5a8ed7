"""The timing pass: serial, one face at a time, apart from the accuracy pass.

Rounds are interleaved over the methods, so that a machine that slows down hits all alike;
the garbage collector is off inside a round; the device is waited for around every step.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from hpbench.evaluate import Cell, read_face
from hpbench.face import Face
from hpbench.method import Method, NoAnswer

__all__ = ["ROUNDS", "WARM_UP_FACES", "time_methods"]

ROUNDS = 3
"""How often every method answers every timed face."""

WARM_UP_FACES = 3
"""Faces that every method answers before the clock counts."""


def time_methods(cell: Cell, images: int, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Time the three steps of all methods of a cell, face by face.

    Parameters
    ----------
    cell : Cell
    images : int
        Number of faces, spread evenly over the data set. Faces that cannot be used are left out.
    rounds : int

    Returns
    -------
    list of dict
        Rows of ``timing.parquet``, all times in milliseconds per face.
    """
    faces = _spread_faces(cell, images)
    for method in cell.methods.values():
        for face in faces[:WARM_UP_FACES]:
            _time_face(method, face)
    rows: list[dict[str, Any]] = []
    for number in range(rounds):
        with _no_garbage_collection():
            for face in faces:
                for name, method in cell.methods.items():
                    times = _time_face(method, face)
                    rows.append(
                        {
                            "dataset": cell.key, "method": name, "image_id": face.image_id,
                            "round": number, **times,
                        }
                    )  # fmt: skip
    return rows


def _spread_faces(cell: Cell, images: int) -> Sequence[Face]:
    usable = [record for record in cell.records if record.excluded is None]
    step = max(1, len(usable) // max(images, 1))
    ready = (read_face(cell, record) for record in usable[::step][:images])
    return [item.face for item in ready if item.face is not None]


def _time_face(method: Method, face: Face) -> Mapping[str, float | None]:
    """Milliseconds of each step on one face; None for steps that an unsolvable face skips."""
    method.synchronize()
    start = perf_counter()
    prepared = method.prepare(face)
    prepared_at = perf_counter()
    times: dict[str, float | None] = {
        "prepare_ms": 1e3 * (prepared_at - start), "infer_ms": None, "decode_ms": None,
    }  # fmt: skip
    end = prepared_at
    if not isinstance(prepared, NoAnswer):
        output = method.infer([prepared])
        method.synchronize()
        inferred_at = perf_counter()
        method.decode(output)
        end = perf_counter()
        times["infer_ms"] = 1e3 * (inferred_at - prepared_at)
        times["decode_ms"] = 1e3 * (end - inferred_at)
    return {**times, "total_ms": 1e3 * (end - start)}


class _no_garbage_collection:  # noqa: N801 - reads as a statement
    """Context in which the garbage collector does not run."""

    def __enter__(self) -> None:
        gc.collect()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.enable()
