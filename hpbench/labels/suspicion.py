"""Something about labels or boxes that looks wrong, and what a user can write about it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hpbench.dataset import Dataset
from hpbench.errors import DataError
from hpbench.rotation import ANGLES
from hpbench.spec import Spec, parse_spec, parse_specs

__all__ = ["TRUST", "Suspicion", "spec_with", "stop_at"]

TRUST = "--trust-labels"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What was seen and what puts it right.

    Attributes
    ----------
    code : str
        One word for scripts: ``radians``, ``zero``, ``box_format``, ...
    seen : str
        What was seen, with numbers.
    fix : str
        What to do; or the option to write, if `is_option`.
    is_option : bool
        Whether `fix` is an option of those data sets that have it.
    stops : bool
        Whether results would be wrong if it is right, so that a run must not go on by itself.
    """

    code: str
    seen: str
    fix: str
    is_option: bool = False
    stops: bool = True

    def line(self, key: str, dataset: Dataset, trust: str = TRUST) -> str:
        """One line about a data set of a run.

        Parameters
        ----------
        key : str
            The data set's name in the run.
        dataset : Dataset
        trust : str
            Option that goes on all the same; empty where there is none.
        """
        fix = self.fix
        if self.is_option:
            spec = spec_with(dataset, self.fix)
            fix = f"write {spec}" if spec else "correct the labels"
            if self.fix.startswith("box_size=") and spec and "box_size=" not in spec:
                fix += " if boxes are in pixels"
        instead = f", or {trust} if they are right" if self.stops and trust else ""
        return f"data set '{key}': {self.seen}; {fix}{instead}"


def spec_with(dataset: Dataset, proposed: str) -> str:
    """Spec of a data set with the options that were given and those that are proposed.

    Parameters
    ----------
    dataset : Dataset
    proposed : str
        Options as a spec has them: ``box_unit=fraction,box=xywh``.

    Returns
    -------
    str
        Empty where the data set has no such options, or was given them already.
    """
    wanted = parse_spec(f"{dataset.name}[{proposed}]").options
    if not wanted.keys() <= type(dataset).Options.model_fields.keys():
        return ""
    set_by_user = dataset.options.model_dump(mode="json", exclude_defaults=True)
    (given,) = parse_specs({dataset.name: set_by_user})
    options = _merged(given.options, wanted)
    if options == given.options:
        return ""
    is_file = dataset.root is not None and dataset.root_is == "FILE"
    return Spec(dataset.name, options, str(dataset.root) if is_file else None).text


def _merged(given: dict[str, str], proposed: dict[str, str]) -> dict[str, str]:
    """Options by which labels are read as `given` says, then changed as `proposed` says."""
    merged = given | proposed
    if not _OF_ANGLES.isdisjoint(proposed):
        merged |= _one_after_the_other(given, proposed)
    if "box_size" in proposed and "box_unit" in given:
        merged["box_unit"] = ""  # parts of an image have no size; these may be pixels
        merged["box_size"] = ""
    if "box_unit" in proposed:
        merged["box_size"] = ""  # the two exclude each other
    return {name: value for name, value in merged.items() if value}


_OF_ANGLES = frozenset({"signs", "order", "offset"})
"""Of :class:`hpbench.tables.rotation_columns.AngleOptions`."""


class _Held(NamedTuple):
    """Where an angle is: sign times what the column holds, plus degrees."""

    column: str
    sign: int
    degrees: float


def _one_after_the_other(given: Mapping[str, str], proposed: Mapping[str, str]) -> dict[str, str]:
    """Signs, order and offset of what `given` reads, taken for the columns of `proposed`."""
    first, found = _held(given), {}
    for angle, second in _held(proposed).items():
        before = first[second.column]
        degrees = math.remainder(second.sign * before.degrees + second.degrees, 360.0)
        found[angle] = _Held(before.column, second.sign * before.sign, degrees)
    order = sorted(ANGLES, key=lambda angle: ANGLES.index(found[angle].column))
    return {
        "signs": ",".join(f"-{angle}" for angle in ANGLES if found[angle].sign < 0),
        "order": "" if tuple(order) == ANGLES else ",".join(order),
        "offset": ",".join(
            f"{angle}{found[angle].degrees:+.10g}" for angle in ANGLES if found[angle].degrees
        ),
    }


def _held(options: Mapping[str, str]) -> dict[str, _Held]:
    """Where each angle is as these options say it."""
    held = re.findall(r"\w+", options.get("order", "")) or ANGLES
    added = dict(re.findall(r"(yaw|pitch|roll)([+-][\d.]+)", options.get("offset", "")))
    return {
        angle: _Held(
            column,
            -1 if f"-{angle}" in options.get("signs", "") else 1,
            float(added.get(angle, 0.0)),
        )
        for column, angle in zip(ANGLES, held, strict=True)
    }


def stop_at(
    suspicions: Sequence[Suspicion], key: str, dataset: Dataset, trust: str = TRUST
) -> None:
    """Raise DataError for the first suspicion under which results would be wrong."""
    for suspicion in suspicions:
        if suspicion.stops:
            raise DataError(suspicion.line(key, dataset, trust))
