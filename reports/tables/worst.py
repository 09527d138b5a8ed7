"""The faces with the largest errors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hpbench.reports import words
from hpbench.reports.tables.table import Column, Table, item_table, number, text_column
from hpbench.scoring import metrics
from hpbench.scoring.scores import DatasetScores, MethodScores

__all__ = ["predicted_angles", "worst_faces", "worst_table"]

MOST = 12


def worst_faces(method: MethodScores) -> list[int]:
    """Indices of the faces with the largest errors of one method, the worst first."""
    errors = method.curve_errors_deg
    order = np.argsort(-np.nan_to_num(errors, nan=-1.0), kind="stable")[:MOST]
    return [int(index) for index in order if np.isfinite(errors[index])]


def predicted_angles(
    dataset: DatasetScores, method: MethodScores, indices: Sequence[int] | npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Yaw, pitch, roll of predictions as the protocol specifies, shape (indices, 3), degrees."""
    return metrics.read_angles(
        method.R_pred[indices], dataset.angles_deg[indices], dataset.protocol.euler
    )


def worst_table(
    dataset: DatasetScores, labels: Mapping[str, str], references: Collection[str] = ()
) -> Table:
    """Worst faces of every method but references, with ground-truth and predicted angles."""
    worst = [
        (method, index, predicted_angles(dataset, method, [index])[0])
        for method in dataset.methods
        if method.spec not in references
        for index in worst_faces(method)
    ]
    kind = "geodesic" if dataset.has_rotations else "mean of the labelled angles"
    return item_table(
        "worst", "Worst faces", worst,
        [
            text_column("Method", lambda face: labels[face[0].spec]),
            text_column("Image", lambda face: str(dataset.image_ids[face[1]])),
            (Column("Error"), lambda face: number(float(face[0].curve_errors_deg[face[1]]))),
            text_column(
                "Ground-truth yaw, pitch, roll", lambda face: _triple(dataset.angles_deg[face[1]])
            ),
            text_column("Predicted", lambda face: _triple(face[2])),
        ],
        f"The {MOST} largest errors of each method ({kind}), in degrees.",
        [method.spec for method, *_ in worst],
    )  # fmt: skip


def _triple(angles_deg: npt.NDArray[np.float64]) -> str:
    return ", ".join(
        f"{round(angle, 1) + 0.0:.1f}" if np.isfinite(angle) else words.NOTHING
        for angle in angles_deg
    )
