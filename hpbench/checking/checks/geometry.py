"""Geometry: the pose of a changed image has to change with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hpbench.checking.probe import Probe
from hpbench.checking.requirements import (
    SAME_DEG,
    ConformanceError,
    NotApplicableError,
    stack_rotations,
)
from hpbench.face import Face
from hpbench.geometry.views import mirrored, rotated
from hpbench.rotation import (
    angles_from_rotation,
    geodesic_deg,
    mean_rotation,
    mirror_rotation,
    wrap_deg,
)

__all__ = ["check_in_plane_rotation", "check_mirror", "comparable_faces"]

Array = npt.NDArray[np.float64]

MIRROR_TOLERANCE_DEG = 10.0
"""Mean rotation between poses and the mirrored poses of mirrored images."""

ROTATION_DEG = 15.0
ROTATION_TOLERANCE_DEG = 6.0
"""How far images are rotated, and by how much the median rotation of the predictions may differ."""

UNDERSTATED = 1.0 / 3.0
"""A weak network follows a rotation in part; one that follows less does not follow at all."""


def check_mirror(probe: Probe) -> None:
    """The mirrored image gets the mirrored pose (mean rotation between them below 10 degrees)."""
    probe.require_live()
    faces, rotations = comparable_faces(probe)
    found, predicted = _predict_changed(probe, [mirrored(face) for face in faces])
    back, expected = mirror_rotation(found), rotations[predicted]
    # a rotation that is common to all faces is a mistake, a different one for each is noise
    common = mean_rotation(back @ np.swapaxes(expected, 1, 2))
    common_deg = float(geodesic_deg(common, np.eye(3)))
    if common_deg > MIRROR_TOLERANCE_DEG:
        off_deg = wrap_deg(angles_from_rotation(back) - angles_from_rotation(expected))
        yaw, pitch, roll = np.median(off_deg, axis=0)
        raise ConformanceError(
            f"the mirrored image's pose is {common_deg:.1f} degrees off from the mirrored "
            "pose, on the mean; it should be (-yaw, pitch, -roll). Medians per angle: "
            f"yaw {yaw:+.1f}, pitch {pitch:+.1f}, roll {roll:+.1f}"
        )


def check_in_plane_rotation(probe: Probe) -> str | None:
    """Rotating the image by 15 degrees rotates the head, too, and the same way."""
    probe.require_live()
    faces, rotations = comparable_faces(probe)
    # towards upright, where every method is at home
    angles_deg = np.where(angles_from_rotation(rotations)[:, 2] > 0, -ROTATION_DEG, ROTATION_DEG)
    changed = [rotated(face, angle) for face, angle in zip(faces, angles_deg, strict=True)]
    found, predicted = _predict_changed(probe, changed)
    D = found @ np.swapaxes(rotations[predicted], 1, 2)
    about_z_deg = np.degrees(np.arctan2(D[:, 1, 0] - D[:, 0, 1], D[:, 0, 0] + D[:, 1, 1]))
    median_deg = float(np.median(about_z_deg * np.sign(angles_deg[predicted])))
    if abs(median_deg - ROTATION_DEG) <= ROTATION_TOLERANCE_DEG:
        return None
    measured = (
        f"an image rotated by {ROTATION_DEG:g} degrees rotates the pose by {median_deg:.1f} "
        "(median)"
    )
    if UNDERSTATED * ROTATION_DEG < median_deg < ROTATION_DEG:
        return f"{measured}: the method understates roll, which is no mistake of conventions"
    backwards = median_deg < -ROTATION_TOLERANCE_DEG
    hint = "roll grows clockwise" if backwards else "see crop and decode"
    raise ConformanceError(f"{measured}; {hint}")


def comparable_faces(probe: Probe) -> tuple[list[Face], Array]:
    """The 24 predicted faces nearest to frontal, for methods that look at them."""
    if not probe.sees_images and all(face.landmarks_xy is None for face in probe.faces):
        raise NotApplicableError("by its card the method does not look at the image")
    faces, predictions, ground_truth = probe.predicted()
    if not probe.sees_images and float(geodesic_deg(predictions, predictions[0]).max()) <= SAME_DEG:
        raise NotApplicableError("by its card the method does not look at the image")
    if len(faces) < 3:
        raise NotApplicableError(f"three predicted faces are needed, there are {len(faces)}")
    nearest = np.argsort(geodesic_deg(ground_truth, np.eye(3)), kind="stable")[:24]
    return [faces[index] for index in nearest], predictions[nearest]


def _predict_changed(probe: Probe, faces: Sequence[Face]) -> tuple[Array, list[int]]:
    """Predictions for changed faces, shape (m, 3, 3), and the indices of those predicted."""
    rotations, predicted = stack_rotations(probe.method.predict(faces))
    if len(predicted) < max(len(faces) / 2, 3):
        raise NotApplicableError(
            f"only {len(predicted)} of {len(faces)} changed images have a prediction"
        )
    return rotations, predicted
