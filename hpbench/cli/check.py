"""``hpbench check``."""

from __future__ import annotations

import typer

from hpbench.checking.config import CheckConfig, run_checks

__all__ = ["check"]

_MARKS = {"passed": "ok  ", "failed": "FAIL", "skipped": "-   "}


def check(config: CheckConfig) -> None:
    """Validate a method and diagnose likely bugs.

    Checks the contract and the conventions, and says which known mistake a failure looks like.

    Examples
    --------
    hpbench check hopenet
    hpbench check my_net.toml --datasets table=labels.csv
    """
    results = run_checks(config)
    for result in results:
        typer.echo(f"{_MARKS[result.status]} {result.name:<26} {result.summary}")
        if result.reason:
            typer.echo(f"     {result.reason}")
    counts = {status: sum(r.status == status for r in results) for status in _MARKS}
    typer.echo(
        f"{config.method}: {counts['passed']} passed, {counts['failed']} failed, "
        f"{counts['skipped']} not applicable"
    )
    if counts["failed"]:
        raise typer.Exit(1)
