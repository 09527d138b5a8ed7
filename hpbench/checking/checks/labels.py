"""Labels: a mistake that looks like the method's may be the data set's."""

from __future__ import annotations

from hpbench.checking.probe import Probe
from hpbench.checking.requirements import ConformanceError, NotApplicableError
from hpbench.rotation import ANGLES

__all__ = ["check_labels", "require_sound_labels"]


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
