"""Head pose from 68 facial landmarks, a 3D face and Perspective-n-Point."""

from __future__ import annotations

from hpbench.geometry.pnp import PnpSolution, solve_pose
from hpbench.methods.pnp.method import Pnp, PnpOptions
from hpbench.methods.pnp.models import FaceModel, face_model, model_names

__all__ = [
    "FaceModel",
    "Pnp",
    "PnpOptions",
    "PnpSolution",
    "face_model",
    "model_names",
    "solve_pose",
]
