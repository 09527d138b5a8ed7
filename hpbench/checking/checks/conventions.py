"""Conventions: what predictions look like when a sign, an order, a unit or a colour is wrong.

All these checks read one :attr:`Probe.diagnosis`: the mistake whose undoing brings the predictions
nearest to the labels, if that cannot be chance. It may be in the data set's labels, too.
"""

from __future__ import annotations

import numpy as np

from hpbench.checking.alternatives import exchanged_colours
from hpbench.checking.checks.geometry import comparable_faces
from hpbench.checking.probe import Probe
from hpbench.checking.requirements import (
    SAME_DEG,
    ConformanceError,
    NotApplicableError,
    stack_rotations,
)
from hpbench.rotation import geodesic_deg, is_rotation
from hpbench.scoring.known_mistakes import MIN_FACES, RotationMistake

__all__ = [
    "check_angle_unit",
    "check_colour_order",
    "check_euler_order",
    "check_input_scaling",
    "check_labels",
    "check_offset",
    "check_scores",
    "check_signs",
]

MUCH_WORSE = 2.0
"""An error this many times that on the sample is not explained by another kind of photo."""

UNRELATED_DEG = 75.0
"""From this mean error on predictions have nothing to do with the faces."""


def check_labels(probe: Probe) -> str:
    """Labels and boxes of the data set are what they are taken for."""
    if probe.doubts:
        raise ConformanceError("; ".join(probe.doubts))
    found = probe.label_diagnosis
    if probe.trust_labels:
        return "; ".join(probe.notes)
    if found is not None and isinstance(mistake := found.mistake, RotationMistake):
        raise ConformanceError(
            f"in the labels it looks like {mistake.in_labels or mistake.text}: undoing that lowers "
            f"the mean error from {found.error_deg:.1f} to {found.fixed_deg:.1f} degrees, and the "
            "method makes no such mistake on the embedded sample; correct the labels, or read a "
            f"table with {mistake.table_option or 'other options'} (docs/your-data.md)"
        )
    _require_better_than_frontal(probe)
    return "; ".join(probe.notes)


def _require_better_than_frontal(probe: Probe) -> None:
    """Raise where a method that is sound elsewhere is worse here than one that sees nothing.

    On near-frontal faces alone that shows nothing: any method may be worse there than frontal.
    """
    _, predictions, ground_truth = probe.predicted()
    if len(predictions) < MIN_FACES or not is_rotation(predictions, tolerance=1e-3).all():
        return
    error_deg = float(geodesic_deg(predictions, ground_truth).mean())
    frontal_deg = float(geodesic_deg(np.eye(3), ground_truth).mean())
    if error_deg <= frontal_deg or (elsewhere := probe.error_on_sample_deg) is None:
        return
    if error_deg > MUCH_WORSE * elsewhere:
        raise ConformanceError(
            f"the mean error is {error_deg:.1f} degrees here, more than that of a method that "
            f"always predicts frontal ({frontal_deg:.1f}), and {elsewhere:.1f} on the embedded "
            "sample: the labels count angles from another direction, or belong to other faces or "
            "boxes; if they are right, add --trust-labels"
        )


def check_signs(probe: Probe) -> None:
    """No angle has the wrong sign."""
    _require_no_mistake(probe, "sign")


def check_euler_order(probe: Probe) -> None:
    """Angles are in the right places and put together in the right order, matrices as they are."""
    _require_no_mistake(probe, "order")


def check_angle_unit(probe: Probe) -> None:
    """Degrees are degrees: predictions lie neither all near one pose nor anywhere."""
    _require_no_mistake(probe, "unit")
    diagnosis = probe.diagnosis
    if diagnosis.mistake is not None:
        return
    if probe.is_collapsed:
        spread, true_spread = probe.spread_deg()
        raise ConformanceError(
            f"all faces get nearly the same prediction (they lie {spread:.1f} degrees around their "
            f"mean, the faces {true_spread:.1f}): it looks like wrong scaling of the input (white, "
            "mean, std), or wrong weights"
        )
    if diagnosis.error_deg > UNRELATED_DEG:
        raise ConformanceError(
            f"the predictions have nothing to do with the faces (mean error "
            f"{diagnosis.error_deg:.0f} degrees): it looks like degrees read as radians, or "
            "wrong weights"
        )


def check_offset(probe: Probe) -> None:
    """No angle is off by the same amount on all faces."""
    _require_no_mistake(probe, "offset")


def check_scores(probe: Probe) -> None:
    """Scores of bins go through one softmax, neither none nor two."""
    probe.require_live()
    _require_no_mistake(probe, "scores")


def check_input_scaling(probe: Probe) -> None:
    """Pixels are scaled as the network was trained: white, mean, std."""
    probe.require_live()
    _require_no_mistake(probe, "scaling")


def check_colour_order(probe: Probe) -> None:
    """Red and blue are not exchanged; a card with colour order 'none' means no look at all."""
    probe.require_live()
    if probe.sees_images:
        _require_no_mistake(probe, "colour")
        return
    faces = [probe.faces[index] for index in probe.some_faces]
    exchanged = [exchanged_colours(face) for face in faces]
    both = [stack_rotations(probe.method.predict(some)) for some in (faces, exchanged)]
    (R, predicted), (R_exchanged, predicted_exchanged) = both
    same = predicted == predicted_exchanged and (geodesic_deg(R, R_exchanged) <= SAME_DEG).all()
    if not same:
        raise ConformanceError(
            "the card says colour_order='none', but the predictions change with the colours"
        )


def _require_no_mistake(probe: Probe, category: str) -> None:
    """Raise if the mistake that best explains the predictions is of a category."""
    if category != "colour":  # which may be the very reason why nothing is predicted
        comparable_faces(probe)
    if probe.doubts or probe.label_diagnosis is not None:
        raise NotApplicableError("the labels themselves are in doubt, see 'labels'")
    diagnosis = probe.diagnosis
    if diagnosis.mistake is None and diagnosis.faces < MIN_FACES:
        raise NotApplicableError(
            f"{MIN_FACES} predicted faces are needed, there are {diagnosis.faces}"
        )
    if diagnosis.mistake is None or diagnosis.mistake.category != category:
        return
    gain = (
        f"undoing that lowers the mean error on {diagnosis.faces} faces from "
        f"{diagnosis.error_deg:.1f} to {diagnosis.fixed_deg:.1f} degrees"
    )
    finding = probe.input_mistake
    if finding is not None and finding.mistake is diagnosis.mistake:
        gain += " (plain images and exaggerated ones)"
        if finding.predicted_fixed != finding.predicted:
            gain += f", and {finding.predicted_fixed} instead of {finding.predicted} are predicted"
    raise ConformanceError(f"it looks like {diagnosis.mistake.text}: {gain}")
