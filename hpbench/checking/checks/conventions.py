"""Conventions: what predictions look like when a sign, an order, a unit or a colour is wrong.

A mistake that looks like the method's may be in the data set's labels.
"""

from __future__ import annotations

from hpbench.checking.checks.geometry import comparable_faces
from hpbench.checking.colours import ColourChange
from hpbench.checking.probe import Array, Probe
from hpbench.checking.requirements import SAME_DEG, ConformanceError, NotApplicableError
from hpbench.rotation import ANGLES, geodesic_deg, mean_rotation
from hpbench.scoring.known_mistakes import Diagnosis

__all__ = [
    "check_angle_unit",
    "check_colour_order",
    "check_euler_order",
    "check_labels",
    "check_signs",
]

UNRELATED_DEG = 75.0
"""From this mean error on predictions have nothing to do with the faces."""

COLLAPSED = 0.25
"""Predictions that spread by less than this share of what the labels do are all but one pose."""


def check_labels(probe: Probe) -> None:
    """Labels and boxes of the data set are what they are taken for."""
    if probe.doubts:
        raise ConformanceError("; ".join(probe.doubts))
    mistake = probe.label_mistake
    if mistake is not None:
        turned = [name for name in ANGLES if mistake.category == "sign" and name in mistake.text]
        fix = f'signs="{",".join(f"-{name}" for name in turned)}"' if turned else "other options"
        raise ConformanceError(
            f"in the labels it looks like {mistake.text}: undoing that lowers the mean error from "
            f"{probe.diagnosis.error_deg:.1f} to {probe.diagnosis.fixed_deg:.1f} degrees, and the "
            f"method makes no such mistake on the embedded sample; correct the labels, or read a "
            f"table with {fix} (docs/your-data.md)"
        )


def require_sound_labels(probe: Probe) -> None:
    """Skip a check that compares with labels which may be wrong themselves."""
    if probe.doubts or probe.label_mistake is not None:
        raise NotApplicableError("the labels themselves are in doubt, see 'labels'")


def check_signs(probe: Probe) -> None:
    """No angle has the wrong sign."""
    _require_no_mistake(probe, "sign")


def check_euler_order(probe: Probe) -> None:
    """Angles are put together in the right order and the matrix is not transposed."""
    _require_no_mistake(probe, "order")


def check_angle_unit(probe: Probe) -> None:
    """Degrees are degrees: predictions lie neither all near one pose nor anywhere."""
    _require_no_mistake(probe, "unit")
    diagnosis = _diagnosis(probe)
    _, predictions, ground_truth = probe.predicted()
    spread, true_spread = _spread_deg(predictions), _spread_deg(ground_truth)
    if diagnosis.mistake is None and spread < COLLAPSED * true_spread:
        raise ConformanceError(
            f"all faces get nearly the same prediction (they lie {spread:.1f} degrees around their "
            f"mean, the faces {true_spread:.1f}): it looks like wrong scaling of the input (white, "
            "mean, std), or wrong weights"
        )
    unrelated = diagnosis.mistake is None and diagnosis.error_deg > UNRELATED_DEG
    if unrelated and not probe.colours.exchange_helps:
        raise ConformanceError(
            f"the predictions have nothing to do with the faces (mean error "
            f"{diagnosis.error_deg:.0f} degrees): it looks like degrees read as radians, or "
            "wrong weights"
        )


def _spread_deg(R: Array) -> float:
    """Mean angle between rotations, shape (n, 3, 3), and their mean."""
    return float(geodesic_deg(R, mean_rotation(R)).mean())


def _require_no_mistake(probe: Probe, category: str) -> None:
    diagnosis = _diagnosis(probe)
    mistake = diagnosis.mistake
    if mistake is not None and mistake.category == category:
        raise ConformanceError(
            f"it looks like {mistake.text}: undoing that lowers the mean error on "
            f"{diagnosis.faces} faces from {diagnosis.error_deg:.1f} to "
            f"{diagnosis.fixed_deg:.1f} degrees"
        )


def _diagnosis(probe: Probe) -> Diagnosis:
    comparable_faces(probe)
    require_sound_labels(probe)
    return probe.diagnosis


def check_colour_order(probe: Probe) -> None:
    """Red and blue are not exchanged; a card with colour order 'none' means no look at all."""
    colours = probe.colours
    if not probe.sees_images:
        if colours.largest_change_deg > SAME_DEG:
            raise ConformanceError(
                "the card says colour_order='none', but the predictions change with the colours"
            )
        return
    require_sound_labels(probe)
    if colours.exchange_helps:
        raise ConformanceError(
            f"it looks like BGR for RGB: with red and blue exchanged (and exaggerated) "
            f"{_colour_gain(colours)}; face.image is RGB"
        )


def _colour_gain(colours: ColourChange) -> str:
    """What an exchange of colours brings, in words."""
    gains = []
    if colours.error_exchanged_deg < colours.error_deg:
        gains.append(
            f"the mean error falls from {colours.error_deg:.1f} to "
            f"{colours.error_exchanged_deg:.1f} degrees"
        )
    if colours.predicted_swapped != colours.predicted:
        gains.append(
            f"{colours.predicted_swapped} instead of {colours.predicted} faces are predicted"
        )
    return " and ".join(gains)
