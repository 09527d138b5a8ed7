"""3D face models whose points carry iBUG-68 landmark numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from hpbench.errors import UsageError
from hpbench.geometry.face_fit import ShapeModel
from hpbench.spec import suggest

__all__ = ["FaceModel", "ModelName", "face_model", "ict_shape_model", "model_names"]

Array = npt.NDArray[np.float64]
ModelName = Literal["ict-fit", "ict51", "ict68", "mallick6"]

_CAMERA_FROM_VIEWER = np.diag([1.0, -1.0, -1.0])
"""Turns x right, y up, z to the viewer into the camera's x right, y down, z away."""

_FIRST_INNER_LANDMARK = 17
"""Landmarks 0..16 of iBUG-68 are the jaw; brows, nose, eyes and mouth follow."""

_JAW_WEIGHT = 0.1
"""Jaw points are drawn on the visible outline, or by guess: noise about three times as large."""

_EXPRESSION_SD = 0.25
"""Standard deviation of an expression's weight, which goes from 0 to 1."""

_MODES = 30
"""Modes of shape that are kept of 157; more move the landmarks by less than their noise."""

_MALLICK = {
    30: (0.0, 0.0, 0.0),  # tip of the nose
    8: (0.0, -330.0, -65.0),  # chin
    36: (-225.0, 170.0, -135.0),  # outer corner of the eye on the left of the image
    45: (225.0, 170.0, -135.0),  # outer corner of the eye on the right of the image
    48: (-150.0, -150.0, -125.0),  # corner of the mouth on the left of the image
    54: (150.0, -150.0, -125.0),  # corner of the mouth on the right of the image
}


@dataclass(frozen=True, slots=True)
class FaceModel:
    """Points of a face in camera axes.

    Attributes
    ----------
    name : str
    landmark_ids : ndarray, shape (n,), int
        Which of the 68 iBUG landmarks, counted from 0, each point is.
    points : ndarray, shape (n, 3)
        x to the right of the image, y down, z away from the camera for a frontal head, in
        the source's own units and around its own origin. A rotation solved with them is
        ``R_cam``.
    source : str
    licence : str
    """

    name: str
    landmark_ids: npt.NDArray[np.int64]
    points: Array
    source: str
    licence: str


def model_names() -> tuple[str, ...]:
    """Names that :func:`face_model` knows."""
    return get_args(ModelName)


@cache
def face_model(name: str) -> FaceModel:
    """Face model of a name.

    ``mallick6``: the six points that most PnP head-pose scripts copy (spmallick/learnopencv,
    ``HeadPose``). ``ict68``: the mean face of the ICT Face Model Light (ICT-VGL/ICT-FaceKit) at all
    68 landmarks. ``ict51``: the same without the jaw. ``ict-fit``: the points of ``ict68``, which
    :func:`ict_shape_model` moves.

    Raises
    ------
    UsageError
        If there is no such model.
    """
    if name == "mallick6":
        return FaceModel(
            name=name,
            landmark_ids=np.array(list(_MALLICK)),
            points=np.array(list(_MALLICK.values())) @ _CAMERA_FROM_VIEWER,
            source="spmallick/learnopencv, HeadPose",
            licence="six coordinates, cited as facts",
        )
    if name not in model_names():
        raise UsageError(f"no face model '{name}'; {suggest(name, model_names())}")
    first = _FIRST_INNER_LANDMARK if name == "ict51" else 0
    points = _ict_rows()["mean"]
    fitted = ", identities and expressions" if name == "ict-fit" else ""
    return FaceModel(
        name=name,
        landmark_ids=np.arange(first, len(points)),
        points=np.ascontiguousarray(points[first:]),
        source=f"ICT-VGL/ICT-FaceKit, mean face{fitted} of the ICT Face Model Light",
        licence="MIT, (c) 2020 USC Institute for Creative Technologies",
    )


@cache
def ict_shape_model() -> ShapeModel:
    """68 landmarks of the ICT face with the modes in which identities and expressions move them.

    100 identities of one standard deviation and 57 expressions are brought to the few modes that
    move the landmarks most (principal components of their joint covariance).
    """
    rows = _ict_rows()
    moves = np.concatenate([rows["identity"], _EXPRESSION_SD * rows["expression"]])
    _, spread, modes = np.linalg.svd(moves.reshape(len(moves), -1), full_matrices=False)
    weights = np.ones(len(rows["mean"]))
    weights[:_FIRST_INNER_LANDMARK] = _JAW_WEIGHT
    return ShapeModel(
        points=rows["mean"],
        modes=(spread[:_MODES, None] * modes[:_MODES]).reshape(_MODES, -1, 3),
        weights=weights,
        normals=rows["normals"],
    )


@cache
def _ict_rows() -> dict[str, Array]:
    """Rows of the ICT face at its 68 landmarks in camera axes, centimetres.

    ``mean`` and ``normals`` have the shape (68, 3), ``identity`` (100, 68, 3), ``expression``
    (57, 68, 3).
    """
    file = files("hpbench.methods.pnp").joinpath("ict_facekit_landmarks.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as rows:
        return {name: rows[name].astype(np.float64) @ _CAMERA_FROM_VIEWER for name in rows}
