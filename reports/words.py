"""Numbers and names as a report shows them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from hpbench.errors import UsageError
from hpbench.scoring.statistics import LEVEL
from hpbench.spec import Spec, parse_spec

__all__ = [
    "degrees", "interval", "join", "milliseconds", "p_value", "percent", "rate",
    "short_labels", "slug", "wrapped",
]  # fmt: skip

NOTHING = "-"
"""What a table shows where a figure does not exist."""


def degrees(value: float | None) -> str:
    """Degrees with two decimals, as papers print them."""
    return NOTHING if value is None else f"{value:.2f}"


def interval(limits: Sequence[float] | None) -> str:
    """Lower to upper limit of an interval in degrees."""
    return NOTHING if limits is None else f"{limits[0]:.2f} to {limits[1]:.2f}"


def percent(value: float | None) -> str:
    """Share 0..1 as a percentage with one decimal; 0 and 100 % only where it is none or all."""
    if value is None:
        return NOTHING
    text = f"{100 * value:.1f}"
    if text == "100.0" and value < 1:
        return "99.9 %"
    if text == "0.0" and value > 0:
        return "< 0.1 %"
    return f"{text} %"


def rate(value: float | None) -> str:
    """Rate with three significant digits at most, and thousands apart."""
    if value is None:
        return NOTHING
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def milliseconds(value: float | None, decimals: int = 3) -> str:
    """Milliseconds with three significant digits at most.

    Parameters
    ----------
    value : float or None
    decimals : int
        Of which the last is no finer than the spread of the times. One significant digit is
        shown whatever the spread.

    Examples
    --------
    >>> milliseconds(15.947), milliseconds(15.947, 0), milliseconds(0.0289, 1)
    ('15.9', '16', '0.03')
    """
    if value is None:
        return NOTHING
    if value == 0.0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    shown = min(max(0, 2 - magnitude), max(decimals, -magnitude))
    return f"{value:.{max(0, shown)}f}"


def p_value(value: float | None) -> str:
    """p-value with three decimals, or that it is below .001; with more to tell it from 5 %."""
    if value is None:
        return NOTHING
    if value < 0.001:
        return "< 0.001"
    return f"{value:.4f}" if round(value, 3) == LEVEL else f"{value:.3f}"


def join(words: Iterable[str]) -> str:
    """Enumerate as in a sentence: a, b and c."""
    *most, last = list(words)
    return f"{', '.join(most)} and {last}" if most else last


def slug(text: str) -> str:
    """Form of a name that is safe in a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"


def wrapped(text: str, width: int) -> list[str]:
    """Lines of a long name, broken after brackets, commas and the like.

    Examples
    --------
    >>> wrapped("hopenet[weights=lite,runtime=onnx]", 18)
    ['hopenet[weights=', 'lite,runtime=onnx]']
    """
    pieces = [
        piece[start : start + width]
        for piece in re.findall(r"[^\s\[,=_/-]*[\s\[,=_/-]?", text)
        for start in range(0, len(piece), width)
    ]
    lines = [""]
    for piece in pieces:
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return lines


def short_labels(specs: Sequence[str]) -> dict[str, str]:
    """Label for every method: its spec without what only this machine knows.

    An option that is a path is left out, or cut to the file's name where the rest would not
    tell two methods apart; the report lists the whole specs once.

    Examples
    --------
    >>> short_labels(["hopenet[weights=/w/a.pkl]", "pnp[model=mallick6]"])
    {'hopenet[weights=/w/a.pkl]': 'hopenet', 'pnp[model=mallick6]': 'pnp[model=mallick6]'}
    """
    labels = {spec: spec for spec in specs}
    for shorten in (_with_file_names, _without_paths):
        short = {spec: shorten(spec) for spec in specs}
        counts = Counter(short.values())
        labels |= {spec: label for spec, label in short.items() if counts[label] == 1}
    return labels


def _with_file_names(spec: str) -> str:
    name, options = _parts(spec)
    return str(Spec(name, {key: _file_name(value) for key, value in options.items()}))


def _without_paths(spec: str) -> str:
    name, options = _parts(spec)
    return str(Spec(name, {key: value for key, value in options.items() if not _is_path(value)}))


def _parts(spec: str) -> tuple[str, dict[str, str]]:
    try:
        parsed = parse_spec(spec)
    except UsageError:
        return spec, {}
    # a declared method is named by its card's file: nets/my_net.toml
    name = PurePath(parsed.name).stem if parsed.name.endswith(".toml") else parsed.name
    return name, parsed.options


def _is_path(value: str) -> bool:
    return "/" in value or "\\" in value or PurePath(value).suffix[1:].isalpha()


def _file_name(value: str) -> str:
    return PurePath(value.replace("\\", "/")).name if _is_path(value) else value
