"""By what results are sliced, as in ``--by "light,camera*light,face_px=0:64:128:inf"``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hpbench.errors import UsageError
from hpbench.spec import suggest

__all__ = ["Cut", "SliceSpec", "parse_by", "require_factors"]

_GROUPS = ("subject", "subject_id", "subjectid", "person_id", "personid", "sequence")
"""Columns and words for what is the factor ``group`` of every data set."""


@dataclass(frozen=True)
class Cut:
    """One factor, and where its numbers are cut.

    Attributes
    ----------
    factor : str
    edges : tuple of float or None
        Ascending; a slice holds its lower edge and not its upper one. None for one slice per
        value, or quarters where there are many numbers.
    """

    factor: str
    edges: tuple[float, ...] | None = None


@dataclass(frozen=True)
class SliceSpec:
    """One factor, or several that are crossed.

    Attributes
    ----------
    cuts : tuple of Cut
    """

    cuts: tuple[Cut, ...]

    @property
    def name(self) -> str:
        """Factors as a report shows them: ``camera * light``."""
        return " * ".join(cut.factor for cut in self.cuts)


def parse_by(text: str) -> tuple[SliceSpec, ...]:
    r"""Read factors separated by commas, crossed by stars, cut by ``=EDGE:EDGE:...``.

    A comma, star or equals sign in the name of a factor has a backslash before it.

    Raises
    ------
    UsageError
        For an empty name, a factor that is named twice, or edges that are no ascending numbers.

    Examples
    --------
    >>> [spec.name for spec in parse_by("light,camera*light")]
    ['light', 'camera * light']
    """
    specs: list[SliceSpec] = []
    for item in _split(text, ","):
        if item.strip():
            spec = SliceSpec(tuple(_cut(part.strip(), text) for part in _split(item, "*")))
            if spec.name in {one.name for one in specs}:  # with other edges, too
                raise UsageError(f"--by {text}: '{item.strip()}' is named twice; name it once")
            specs.append(spec)
    return tuple(specs)


def _split(text: str, separator: str) -> list[str]:
    """Parts between separators that have no backslash before them."""
    return re.split(rf"(?<!\\){re.escape(separator)}", text)


def _cut(text: str, whole: str) -> Cut:
    name, *ranges = _split(text, "=")
    factor = re.sub(r"\\([,*=])", r"\1", name).strip()
    if not factor:
        raise UsageError(f"--by {whole}: a factor has no name; write light,camera*light")
    if not ranges:
        return Cut(factor)
    problem = f"--by {whole}: '{'='.join(ranges)}' are no edges of '{_written(factor)}'"
    try:
        edges = tuple(float(edge) for edge in "=".join(ranges).split(":"))
    except ValueError as error:
        raise UsageError(f"{problem}; write {_written(factor)}=0:64:128:inf") from error
    if len(edges) < 2 or not all(a < b for a, b in pairwise(edges)):
        raise UsageError(f"{problem}; give two or more ascending numbers, as in 0:64:128:inf")
    return Cut(factor, edges)


def require_factors(by: str, known: Sequence[str]) -> None:
    """Refuse a factor that no data set has, which is a typing error.

    Raises
    ------
    UsageError
        With the nearest of the `known` ones.
    """
    for cut in (cut for spec in parse_by(by) for cut in spec.cuts):
        if cut.factor not in known:
            problem = f"--by {by}: no data set of this run has the factor '{cut.factor}'"
            if "group" in known and cut.factor.lower() in _GROUPS:
                raise UsageError(f"{problem}; the subject or sequence of a face is --by group")
            raise UsageError(f"{problem}; {suggest(_written(cut.factor), map(_written, known))}")


def _written(factor: str) -> str:
    """Name of a factor as :func:`parse_by` reads it."""
    return re.sub(r"([,*=])", r"\\\1", factor)
