"""Colours and lines, the same for a method in every figure of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

__all__ = ["FURTHER", "MOST_NAMED", "STAGE_COLOURS", "MethodStyle", "method_styles", "split"]

# The first seven: Okabe and Ito, "Color Universal Design", 2008, told apart with every common
# colour blindness. The others are chosen one by one to lie as far as possible from all before, in
# OKLab as seen with and without colour blindness (a test measures the distances).
_COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
    "#5A0F00", "#000078", "#0000FF", "#A50F5A", "#5A1EA5", "#9669FF", "#87D296",
    "#1E5A00", "#4B004B", "#D20FC3", "#FF4B69", "#694B87", "#FF78D2",
)  # fmt: skip
_DASHES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

MOST_NAMED = len(_COLOURS)
"""Methods with a colour of their own; all others share one grey."""

STAGE_COLOURS = {"detect": "#b58a3c", "prepare": "#3f566b", "infer": "#8ba3b8", "decode": "#d3dde6"}


@dataclass(frozen=True, slots=True)
class MethodStyle:
    """How one method is drawn: never by colour alone.

    Attributes
    ----------
    rank : int
        0 for the method with the lowest error; a figure with little room names the first ones.
    named : bool
        False for a method that shares the grey of all further ones.
    """

    spec: str
    label: str
    colour: str
    dash: str
    marker: str
    rank: int = 0
    named: bool = True


FURTHER = MethodStyle("", "further methods", "#b4bcc4", "-", "|", named=False)
"""Style of all methods that a figure does not name."""


def method_styles(
    labels: Mapping[str, str], specs: Sequence[str], ranked: Sequence[str] = ()
) -> dict[str, MethodStyle]:
    """Style of every method of a run, also of those that do not take part in one figure.

    Parameters
    ----------
    labels : mapping of str to str
    specs : sequence of str
        In the order of the run, which is that of the colours.
    ranked : sequence of str
        The same, the lowest error first; the order of the run if not given. Of more than 20
        methods the first 20 have a colour.
    """
    ranks = {spec: rank for rank, spec in enumerate(ranked or specs)}
    styles = {}
    place = 0
    for spec in specs:
        rank = ranks[spec]
        if rank >= MOST_NAMED:
            styles[spec] = replace(FURTHER, spec=spec, label=labels[spec], rank=rank)
            continue
        styles[spec] = MethodStyle(
            spec=spec,
            label=labels[spec],
            colour=_COLOURS[place],
            dash=_DASHES[place % len(_DASHES)],
            marker=_MARKERS[place % len(_MARKERS)],
            rank=rank,
        )
        place += 1
    return styles


def split(
    specs: Iterable[str], styles: Mapping[str, MethodStyle], most: int = MOST_NAMED
) -> tuple[list[str], list[str]]:
    """Methods that a figure names, at most so many, and all further ones; each in their order."""
    specs = list(specs)
    coloured = [spec for spec in specs if styles[spec].named]
    best = set(sorted(coloured, key=lambda spec: styles[spec].rank)[:most])
    return [one for one in specs if one in best], [one for one in specs if one not in best]
