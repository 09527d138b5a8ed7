"""The faces with the largest errors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hpbench.reports import words
from hpbench.reports.tables.table import Cell, Column, Table, number, text
from hpbench.rotation import angles_from_rotation, nearest_angles, rq_angles_from_rotation
from hpbench.scoring.scores import DatasetScores, MethodScores

__all__ = ["WorstFace", "predicted_angles", "worst_faces", "worst_table"]

MOST = 12


@dataclass(frozen=True)
class WorstFace:
    """One face with a large error.

    Attributes
    ----------
    index : int
        Row among the data set's evaluated faces.
    error_deg : float
        Geodesic where the labels are complete, else the mean of the labelled angles.
    gt_deg, predicted_deg : ndarray, shape (3,)
        Yaw, pitch, roll.
    """

    method: str
    index: int
    image_id: str
    error_deg: float
    gt_deg: npt.NDArray[np.float64]
    predicted_deg: npt.NDArray[np.float64]


def worst_faces(dataset: DatasetScores, method: MethodScores, most: int = MOST) -> list[WorstFace]:
    """Faces with the largest errors of one method, the worst first."""
    errors = method.curve_errors_deg
    order = np.argsort(-np.nan_to_num(errors, nan=-1.0), kind="stable")[:most]
    indices = [int(index) for index in order if np.isfinite(errors[index])]
    if not indices:
        return []
    predictions = predicted_angles(dataset, method, indices)
    return [
        WorstFace(
            method.spec,
            index,
            str(dataset.image_ids[index]),
            float(errors[index]),
            dataset.angles_deg[index],
            prediction,
        )
        for index, prediction in zip(indices, predictions, strict=True)
    ]


def predicted_angles(
    dataset: DatasetScores, method: MethodScores, indices: Sequence[int] | npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Yaw, pitch, roll of predictions as the protocol specifies, shape (indices, 3), degrees.

    Beyond 90 degrees of yaw the reading within -90..90 of a nearly perfect prediction would look
    like one that is upside down.
    """
    R, ground_truth = method.R_pred[indices], dataset.angles_deg[indices]
    if dataset.protocol.euler == "nearest":
        return nearest_angles(R, ground_truth)
    if dataset.protocol.euler == "rq":
        return rq_angles_from_rotation(R)
    return angles_from_rotation(R)


def worst_table(
    dataset: DatasetScores, labels: Mapping[str, str], references: Collection[str] = ()
) -> Table:
    """Worst faces of every method but references, with ground-truth and predicted angles."""
    columns = [
        Column("Method", text=True),
        Column("Image", text=True),
        Column("Error"),
        Column("Ground-truth yaw, pitch, roll", text=True),
        Column("Predicted", text=True),
    ]
    rows: list[list[Cell]] = []
    methods: list[str] = []
    for method in dataset.methods:
        if method.spec in references:
            continue
        for face in worst_faces(dataset, method):
            rows.append(
                [
                    text(labels[method.spec]),
                    text(face.image_id),
                    number(face.error_deg),
                    text(_triple(face.gt_deg)),
                    text(_triple(face.predicted_deg)),
                ]
            )
            methods.append(method.spec)
    kind = "geodesic" if dataset.has_rotations else "mean of the labelled angles"
    note = f"The {MOST} largest errors of each method ({kind}), in degrees."
    return Table("worst", "Worst faces", columns, rows, note, methods)


def _triple(angles_deg: npt.NDArray[np.float64]) -> str:
    return ", ".join(
        f"{round(angle, 1) + 0.0:.1f}" if np.isfinite(angle) else words.NOTHING
        for angle in angles_deg
    )
