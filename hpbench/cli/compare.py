"""``hpbench compare``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hpbench.reports.compare import Change

__all__ = ["compare"]

WORSE = 3
"""Exit code when a condition of --fail-if holds, or cannot be judged."""


def compare(
    baseline: Annotated[
        Path, typer.Argument(help="Run folder to compare with.", metavar="BASELINE")
    ],
    candidate: Annotated[
        Path,
        typer.Argument(help="Run folder that may be better or worse.", metavar="CANDIDATE"),
    ],
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 3 if it holds for any method or cannot be judged: mae>+0.2 (a "
            "change), time>+10% (in percent), mae>6.16 (the candidate's own value). Of mae, yaw, "
            "pitch, roll, geodesic, no_answer, time. Repeatable.",
            metavar="CONDITION",
        ),
    ] = None,
) -> None:
    """Compare two runs face by face.

    Paired differences with intervals and p-values, over the faces that both runs hold.

    Examples
    --------
    hpbench compare runs/main runs/branch
    hpbench compare runs/main runs/branch --fail-if "mae>+0.2" --fail-if "time>+10%"
    """
    from hpbench.reports.compare import compare_runs, failures, parse_condition

    conditions = [parse_condition(text) for text in fail_if or []]
    found = compare_runs(baseline, candidate)
    for change in found.changes:
        _print_change(change)
    for sentence in found.unmatched:
        typer.echo(f"not compared: {sentence}")
    failed = failures(conditions, found)
    for sentence in failed:
        typer.echo(f"failed: {sentence}", err=True)
    if failed:
        raise typer.Exit(WORSE)


def _print_change(change: Change) -> None:
    method = change.method_b
    if change.method_a != change.method_b:
        method = f"{change.method_a} -> {change.method_b}"
    typer.echo(f"{change.dataset}, {method}")
    typer.echo(f"  {'':<14}{'first':>10}{'second':>10}{'change':>10}")
    for metric, value in change.values_a.items():
        other = change.values_b[metric]
        if math.isfinite(value) or math.isfinite(other):
            shown = [_figure(metric, value), _figure(metric, other)]
            shown.append(_figure(metric, change.change(metric), sign="+"))
            typer.echo(f"  {_TITLES[metric]:<14}" + "".join(f"{one:>10}" for one in shown))
    for said in change.advantages:
        typer.echo(f"  {said}")
    typer.echo(f"  over {change.faces} faces that both predicted{_left_out(change)}")
    if math.isfinite(change.p_value):
        low, high = change.interval_95_deg
        verdict = "beyond chance" if change.p_value < 0.05 else "may be chance"
        typer.echo(
            f"  change of mae: 95 % interval {low:+.2f} to {high:+.2f}, "
            f"p = {change.p_value:.4f}: {verdict}"
        )
    else:
        typer.echo("  too few independent faces for an interval or a test")


_TITLES = {
    **{name: f"{name}, deg" for name in ("mae", "yaw", "pitch", "roll", "geodesic")},
    "no_answer": "no_answer", "time": "time, ms",
}  # fmt: skip


def _figure(metric: str, value: float, sign: str = "") -> str:
    """Figure as it is printed; a dash where there is none."""
    if not math.isfinite(value):
        return "-"
    return f"{value:{sign}.{0 if metric == 'no_answer' else 2}f}"


def _left_out(change: Change) -> str:
    if not change.only_a and not change.only_b:
        return ""
    return f"; {change.only_a} faces are only in the first run, {change.only_b} only in the second"
