"""``hpbench compare``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpbench.paths import user_path

if TYPE_CHECKING:
    from hpbench.scoring.comparison import Change

__all__ = ["compare"]

WORSE = 3
"""Exit code when a condition of --fail-if holds, or cannot be judged."""


def compare(
    baseline: Annotated[
        Path,
        typer.Argument(help="Run folder to compare with.", metavar="BASELINE", parser=user_path),
    ],
    candidate: Annotated[
        Path,
        typer.Argument(
            help="Run folder that may be better or worse.", metavar="CANDIDATE", parser=user_path
        ),
    ],
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 3 if it holds for any method or cannot be judged: mae>+0.2 (a "
            "change), time>+10% (in percent), mae>6.16 (the candidate's own value). Of "
            "no_answer, time, worst_slice_mae, and the metrics in docs/metrics.md. Repeatable.",
            metavar="CONDITION",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Factors of the candidate to slice by, such as light,camera*light "
            "(docs/slices.md); those of its run if not given.",
            metavar="A,B*C",
        ),
    ] = None,
) -> None:
    """Compare two runs face by face.

    Paired differences with intervals and p-values, over the faces that both runs hold.

    Examples
    --------
    hpbench compare runs/main runs/branch
    hpbench compare runs/main runs/branch --by light --fail-if "worst_slice_mae>8"
    """
    from hpbench.cli.terminal import echo
    from hpbench.scoring.comparison import compare_runs
    from hpbench.scoring.conditions import failures, parse_condition

    conditions = [parse_condition(text) for text in fail_if or []]
    found = compare_runs(baseline, candidate, by)
    for change in found.changes:
        _print_change(change, {condition.metric for condition in conditions})
        _print_slices(change)
    for dataset, refused in found.not_sliced.items():
        for factor, reason in refused.items():
            echo(f"{dataset}: no slices by {factor}: {reason}")
    for unmatched in found.unmatched:
        echo(f"not compared: {unmatched}")
    failed = failures(found, conditions)
    for failure in failed:
        echo(f"failed: {failure}", err=True)
    if failed:
        raise typer.Exit(WORSE)


def _print_change(change: Change, asked: set[str]) -> None:
    from hpbench.cli.terminal import echo
    from hpbench.scoring.comparison import quantities
    from hpbench.scoring.statistics import LEVEL

    method = change.method_b
    if change.method_a != change.method_b:
        method = f"{change.method_a} -> {change.method_b}"
    echo(f"{change.dataset}, {method}")
    echo(f"  {'':<14}{'baseline':>11}{'candidate':>11}{'change':>11}")
    for name, quantity in quantities().items():
        values = change.values_a[name], change.values_b[name], change.change(name)
        if (quantity.headline or name in asked) and any(map(math.isfinite, values)):
            shown = [
                f"{value:{sign}.{quantity.digits}f}" if math.isfinite(value) else "-"
                for value, sign in zip(values, ("", "", "+"), strict=True)
            ]
            echo(f"  {quantity.title:<14}" + "".join(f"{one:>11}" for one in shown))
    for said in change.notes:
        echo(f"  {said}")
    left_out = ""
    if change.only_a or change.only_b:
        left_out = (
            f"; {change.only_a} faces are only in the baseline, "
            f"{change.only_b} only in the candidate"
        )
    echo(f"  over {change.faces} faces that both predicted{left_out}")
    low, high = change.interval_95_deg
    if math.isfinite(low):
        tested = "too few independent faces to test so many changes"
        if math.isfinite(change.p_value):
            verdict = "significant" if change.p_value < LEVEL else "not significant"
            tested = f"p = {change.p_value:.4f}"
            if change.own_p_value != change.p_value:
                tested += f" ({change.own_p_value:.4f} alone, corrected for all that is compared)"
            tested += f": {verdict}"
        echo(f"  change of mae: 95 % interval {low:+.2f} to {high:+.2f}, {tested}")
    else:
        echo("  too few independent faces for an interval or a test")


def _print_slices(change: Change) -> None:
    from hpbench.cli.terminal import echo

    if not change.slices:
        return
    names = [f"{one.factor}: {one.slice}" for one in change.slices]
    width = max(map(len, names))
    head = f"{'faces':>8}{'baseline':>11}{'candidate':>11}{'change':>11}   p"
    echo(f"  {'mean error by slice':<{width}}{head}")
    for name, one in zip(names, change.slices, strict=True):
        values = ((one.mae_a_deg, ""), (one.mae_b_deg, ""), (one.change_deg, "+"))
        shown = [f"{value:{sign}.2f}" if math.isfinite(value) else "-" for value, sign in values]
        p_value = f"{one.p_value:.4f}" if math.isfinite(one.p_value) else "-"
        echo(
            f"  {name:<{width}}{one.faces:>8}{''.join(f'{cell:>11}' for cell in shown)}   {p_value}"
        )
    if any(math.isnan(one.p_value) for one in change.slices):
        echo("  p is missing where there are too few independent faces for so many slices")
