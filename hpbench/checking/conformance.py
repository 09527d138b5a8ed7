"""Checks that any method has to pass, as scikit-learn has them for estimators.

Each check is a function that takes a :class:`Probe` and raises :class:`ConformanceError` with the
reason; it may return a remark. In the tests of a plugin::

    from hpbench.checking.conformance import CHECKS, Probe
    from hpbench.registry import make_dataset, make_method

    @pytest.fixture(scope="module")
    def probe():
        return Probe.of(lambda: make_method("my_net"), make_dataset("sample"))

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_conformance(check, probe):
        check(probe)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import Literal

from hpbench.checking.checks import (
    conventions,
    description,
    geometry,
    predictions,
    unusual_faces,
    worker,
)
from hpbench.checking.probe import MAX_FACES, Check, Probe
from hpbench.checking.requirements import ConformanceError, NotApplicableError
from hpbench.dataset import Dataset
from hpbench.errors import HpbenchError, UsageError, in_one_line
from hpbench.inference.faces import each_record
from hpbench.method import Method
from hpbench.scoring.known_mistakes import MIN_FACES

__all__ = [
    "CHECKS",
    "Check",
    "CheckResult",
    "ConformanceError",
    "NotApplicableError",
    "Probe",
    "check_method",
    "run_check",
]

CHECKS: tuple[Check, ...] = (
    description.check_card,
    description.check_light_import,
    predictions.check_rotations,
    predictions.check_empty_batch,
    predictions.check_batch_size,
    predictions.check_order,
    predictions.check_deterministic,
    predictions.check_input_unchanged,
    predictions.check_threads,
    predictions.check_prepared_elsewhere,
    predictions.check_pickle,
    worker.check_worker,
    unusual_faces.check_tiny_and_huge_faces,
    unusual_faces.check_box_partly_outside,
    unusual_faces.check_grey_and_16_bit_images,
    unusual_faces.check_unsolvable_faces,
    geometry.check_mirror,
    geometry.check_in_plane_rotation,
    conventions.check_labels,
    conventions.check_signs,
    conventions.check_euler_order,
    conventions.check_angle_unit,
    conventions.check_offset,
    conventions.check_scores,
    conventions.check_input_scaling,
    conventions.check_colour_order,
)
"""All checks, the cheap ones first."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Outcome of one check.

    Attributes
    ----------
    name : str
        The check's function without ``check_``.
    summary : str
        First line of its docstring.
    status : {'passed', 'failed', 'skipped'}
    reason : str
        Why it failed or was skipped; when it passed, a remark or nothing.
    """

    name: str
    summary: str
    status: Literal["passed", "failed", "skipped"]
    reason: str = ""


def check_method(
    make: Callable[[], Method],
    dataset: Dataset,
    limit: int = MAX_FACES,
    checks: Sequence[Check] | None = None,
    trust_labels: bool = False,
) -> list[CheckResult]:
    """Run all checks, or some.

    Parameters
    ----------
    make : callable
        Makes an instance that is not loaded.
    dataset : Dataset
        Where faces with ground truth come from; the embedded sample suffices.
    limit : int
        Largest number of faces.
    checks : sequence of callable or None
        None for all of :data:`CHECKS`.
    trust_labels : bool
        Take labels and boxes for right, whatever they look like.

    Raises
    ------
    HpbenchError
        If the method cannot be made or loaded at all: weights that are not there.
    UsageError
        If `limit` is below 12: with fewer faces no mistake of conventions is found.
    """
    if limit < MIN_FACES:
        raise UsageError(f"a check needs at least {MIN_FACES} faces, not {limit}")
    probe = Probe.of(make, dataset, limit, trust_labels)
    # what is missing on this machine is no fault of the method
    if probe.method.stored_members:
        ids = [record.image_id for record in each_record(dataset)]
        reason = probe.method.unsupported_faces(dataset.name, ids, whole=True)
        if reason is not None:
            raise UsageError(f"{reason}; name the right data set with --datasets")
    return [run_check(check, probe) for check in (CHECKS if checks is None else checks)]


def run_check(check: Check, probe: Probe) -> CheckResult:
    """Run one check; whatever the method raises is its failure."""
    name = check.__name__.removeprefix("check_")
    summary = (check.__doc__ or "").splitlines()[0]
    try:
        remark = check(probe) or ""
    except NotApplicableError as skipped:
        return CheckResult(name, summary, "skipped", str(skipped))
    except HpbenchError as failed:  # what does not conform, and what a method itself explains
        return CheckResult(name, summary, "failed", str(failed))
    except Exception as error:  # whatever a method raises is its own failure
        text = f"raised {in_one_line(error)}{_place_of(error, probe.method)}"
        return CheckResult(name, summary, "failed", text)
    return CheckResult(name, summary, "passed", remark)


def _place_of(error: Exception, method: Method) -> str:
    """Where the method's own file was when it raised, for its author."""
    file = getattr(sys.modules.get(type(method).__module__), "__file__", None)
    frames = [frame for frame in extract_tb(error.__traceback__) if frame.filename == file]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
