"""Colours and lines, the same for a method in every figure of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["STAGE_COLOURS", "MethodStyle", "method_styles"]

# Okabe and Ito, "Color Universal Design", 2008: told apart with every common colour blindness.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

STAGE_COLOURS = {"detect": "#b58a3c", "prepare": "#3f566b", "infer": "#8ba3b8", "decode": "#d3dde6"}


@dataclass(frozen=True, slots=True)
class MethodStyle:
    """How one method is drawn: never by colour alone."""

    spec: str
    label: str
    colour: str
    dash: str
    marker: str


def method_styles(labels: dict[str, str], specs: Sequence[str]) -> dict[str, MethodStyle]:
    """Style of every method of a run, also of those that do not take part in one figure."""
    return {
        spec: MethodStyle(
            spec=spec,
            label=labels[spec],
            colour=_COLOURS[index % len(_COLOURS)],
            dash=_DASHES[index % len(_DASHES)],
            marker=_MARKERS[index % len(_MARKERS)],
        )
        for index, spec in enumerate(specs)
    }
