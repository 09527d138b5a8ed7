"""``hpbench check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["check"]

_MARKS = {"passed": "ok  ", "failed": "FAIL", "skipped": "-   "}


def check(
    method: Annotated[
        str, typer.Argument(help="Method with options, or a card: hopenet, my_net.toml")
    ],
    dataset: Annotated[
        str, typer.Option(help="Data set whose faces and labels are used.", metavar="NAME[...]")
    ] = "sample",
    data: Annotated[
        list[str] | None,
        typer.Option(help="Folder of the data set. Or $HPBENCH_DATA/NAME.", metavar="NAME=DIR"),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, or auto.")] = "cpu",
    faces: Annotated[int, typer.Option(help="Largest number of faces.", min=12)] = 48,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(help="Python file with further methods or data sets; repeatable."),
    ] = None,
) -> None:
    """Check that a method keeps the contract and the conventions, and say what looks wrong."""
    from hpbench.checking.conformance import check_method
    from hpbench.cli.paths import data_roots
    from hpbench.inference.devices import resolve_device
    from hpbench.registry import make_dataset, make_method
    from hpbench.spec import parse_spec

    plugins = tuple(plugin or ())
    place = resolve_device(device)
    root = data_roots(data or [], dataset).get(parse_spec(dataset).name)
    results = check_method(
        lambda: make_method(method, place, plugins), make_dataset(dataset, root, plugins), faces
    )
    for result in results:
        typer.echo(f"{_MARKS[result.status]} {result.name:<26} {result.summary}")
        if result.reason:
            typer.echo(f"     {result.reason}")
    counts = {status: sum(r.status == status for r in results) for status in _MARKS}
    typer.echo(
        f"{method}: {counts['passed']} passed, {counts['failed']} failed, "
        f"{counts['skipped']} not applicable"
    )
    if counts["failed"]:
        raise typer.Exit(1)
