"""Something about labels or boxes that looks wrong, and what a user can write about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpbench.dataset import Dataset
from hpbench.errors import DataError
from hpbench.spec import Spec

__all__ = ["TRUST", "Suspicion", "stop_at"]

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
            names = {part.partition("=")[0] for part in self.fix.split(",") if "=" in part}
            is_file = dataset.root is not None and dataset.root_is == "FILE"
            spec = Spec(dataset.name, path=str(dataset.root) if is_file else None).text
            has_option = names <= set(type(dataset).Options.model_fields)
            fix = f"write {spec}[{fix}]" if has_option else "correct the labels"
        instead = f", or {trust} if they are right" if self.stops and trust else ""
        return f"data set '{key}': {self.seen}; {fix}{instead}"


def stop_at(
    suspicions: Sequence[Suspicion], key: str, dataset: Dataset, trust: str = TRUST
) -> None:
    """Raise DataError for the first suspicion under which results would be wrong."""
    for suspicion in suspicions:
        if suspicion.stops:
            raise DataError(suspicion.line(key, dataset, trust))
