"""The constant turn between MakeHuman's head axes and the frame of 300W-LP labels.

A head frame is a convention: a face model's "straight ahead" is whatever its makers took it
for. Labels of 300W-LP and AFLW2000 come from fits of one face model, and MakeHuman's neutral
head looks up a little in that model's frame. `HEAD_FRAME_PITCH_DEG` is that difference; it is
the only place that holds it, and ``docs/synthetic.md`` says how it was measured.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpbench.rotation import rotation_from_angles

__all__ = ["HEAD_FRAME_PITCH_DEG", "mesh_from_label"]

HEAD_FRAME_PITCH_DEG = -4.0
"""Labelled pitch of a MakeHuman head that the mesh's own axes call frontal."""


def mesh_from_label(R_cam: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation (3, 3) of the mesh that shows the labelled rotation ``R_cam`` (3, 3)."""
    mesh: NDArray[np.float64] = R_cam @ rotation_from_angles([0.0, HEAD_FRAME_PITCH_DEG, 0.0]).T
    return mesh
