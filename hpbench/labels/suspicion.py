"""Something about labels or boxes that looks wrong, and what a user can write about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpbench.dataset import Dataset
from hpbench.errors import DataError
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
    merged = dict(given)
    for name, value in proposed.items():
        if name in ("signs", "offset"):
            merged[name] = _listed_or_taken_back(given.get(name, ""), value)
        elif name == "order" and value == given.get(name):
            merged[name] = ""  # exchanged twice is not exchanged
        elif name == "box_size" and "box_unit" in given:
            merged["box_unit"] = ""  # parts of an image have no size; these may be pixels
        else:
            merged[name] = value
    if "box_unit" in proposed:
        merged["box_size"] = ""  # the two exclude each other
    return {name: value for name, value in merged.items() if value}


def _listed_or_taken_back(given: str, angle: str) -> str:
    """A list of angles with one more; without it where it is there: a sign turned back."""
    listed = [item.strip() for item in given.split(",") if item.strip()]
    others = [item for item in listed if item != angle]
    return ",".join(others if angle in listed else [*listed, angle])


def stop_at(
    suspicions: Sequence[Suspicion], key: str, dataset: Dataset, trust: str = TRUST
) -> None:
    """Raise DataError for the first suspicion under which results would be wrong."""
    for suspicion in suspicions:
        if suspicion.stops:
            raise DataError(suspicion.line(key, dataset, trust))
