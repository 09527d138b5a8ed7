"""Conditions under which a comparison of two runs fails, as in ``--fail-if "mae>+0.2"``."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpbench.errors import UsageError
from hpbench.scoring.comparison import Change, RunComparison, quantities
from hpbench.scoring.slices import MIN_FACES
from hpbench.spec import suggest

__all__ = ["Condition", "Failure", "failures", "parse_condition"]

_CONDITION = re.compile(
    r"(?P<metric>\w+)\s*(?P<sign>[<>])\s*(?P<value>[+-]?\d+(\.\d+)?)(?P<percent>%?)"
)
_COMPARE = {">": operator.gt, "<": operator.lt}


@dataclass(frozen=True)
class Condition:
    """When a comparison counts as failed.

    Attributes
    ----------
    text : str
        As the user wrote it.
    metric : str
        One of :func:`quantities`.
    sign : {'<', '>'}
    value : float
    of : {'change', 'percent', 'value'}
        The change between the runs, the change in percent of the first, or the second run alone.
    """

    text: str
    metric: str
    sign: str
    value: float
    of: str

    def measured(self, change: Change) -> float:
        """What is compared with `value`; NaN where a run lacks it, or the two do not compare."""
        if self.of == "value":
            return change.own_b[self.metric]
        if self.metric == "time" and change.other_hardware:
            return float("nan")
        found = change.change(self.metric)
        if self.of == "percent" and found != 0.0:  # no change is 0 %, of 0 too
            first = change.values_a[self.metric]
            return 100.0 * found / first if first else float("nan")
        return found

    def holds(self, change: Change) -> bool:
        """Whether it is true of a change; nothing is true of a missing value."""
        return bool(_COMPARE[self.sign](self.measured(change), self.value))

    def fails(self, change: Change) -> bool:
        """Whether it holds, or cannot be judged because a value is missing."""
        return self.holds(change) or bool(np.isnan(self.measured(change)))


@dataclass(frozen=True)
class Failure:
    """A condition that holds for a method (None: a whole data set), or cannot be judged.

    Attributes
    ----------
    problem : str
        Why it cannot be judged; empty where it holds.
    """

    condition: str
    dataset: str
    method: str | None
    problem: str

    def __str__(self) -> str:
        subject = f"{self.condition} on {self.dataset}"
        if self.method is not None:
            subject += f" for {self.method}"
        return f"{subject} cannot be judged: {self.problem}" if self.problem else subject


def failures(found: RunComparison, conditions: Sequence[Condition]) -> list[Failure]:
    """Where the candidate fails `conditions`.

    A condition also fails where it cannot be judged: a method must not pass because it
    predicts nothing any more, was not timed, or is not in the second run.
    """
    failed = [
        Failure(
            condition.text, change.dataset, change.method_b,
            "" if condition.holds(change) else _lacking(condition, change),
        )
        for condition in conditions
        for change in found.changes
        if condition.fails(change)
    ]  # fmt: skip
    vanished = [one for one in found.unmatched if one.only_in == "baseline"]
    return failed + [
        Failure(condition.text, one.dataset, one.method, str(one))
        for condition in conditions
        for one in vanished
    ]


def _lacking(condition: Condition, change: Change) -> str:
    if condition.metric == "time":
        return change.other_hardware or "no time was measured in one of the runs"
    if condition.metric == "worst_slice_mae":
        return f"no slice has {MIN_FACES} faces that both runs predicted"
    if not change.faces:
        return "no face was predicted in both runs"
    of_candidate = change.own_b if condition.of == "value" else change.values_b
    if np.isnan(of_candidate[condition.metric]):
        return f"the candidate has no {condition.metric}"
    return f"the baseline has no {condition.metric}, or one of zero"


def parse_condition(text: str) -> Condition:
    """Read ``METRIC>VALUE`` or ``METRIC<VALUE``.

    A value with a sign is a change against the first run (``mae>+0.2``), with a percent sign
    relative to it (``time>+10%``); one without a sign is the second run's own value
    (``mae>6.16``).

    Raises
    ------
    UsageError
        If the text has another form, the metric is not known, or it is a change in percent of a
        metric that can be negative.

    Examples
    --------
    >>> parse_condition("mae>+0.2").of
    'change'
    """
    found = _CONDITION.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"condition '{text}': not a condition; write mae>+0.2 (a change), time>+10% (a change "
            "in percent) or mae>6.16 (the candidate's own value)"
        )
    metric, value, percent = found["metric"], found["value"], found["percent"]
    if metric not in quantities():
        raise UsageError(
            f"condition '{text}': no metric '{metric}'; {suggest(metric, quantities())}"
        )
    signed = value[0] in "+-"
    if percent and not signed:
        raise UsageError(f"condition '{text}': a change in percent needs a sign, as in +10%")
    if percent and quantities()[metric].signed:
        raise UsageError(
            f"condition '{text}': {metric} can be negative, so a change in percent says nothing; "
            f"write the change itself, as in {metric}{found['sign']}+0.5"
        )
    of = "percent" if percent else "change" if signed else "value"
    return Condition(text, metric, found["sign"], float(value), of)
