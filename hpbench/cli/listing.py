"""``hpbench list``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hpbench.dataset import Dataset
    from hpbench.registry import Registry

__all__ = ["list_plugins"]

PluginFiles = Annotated[
    list[Path] | None,
    typer.Option(
        help="Python file with further methods or data sets; repeatable.", metavar="FILE.py"
    ),
]


def list_plugins(
    plugin: PluginFiles = None,
    options: Annotated[
        bool, typer.Option("--options", help="Show the options of each, too.")
    ] = False,
) -> None:
    """List methods, data sets and protocols.

    What is missing to use one is shown with it.

    Examples
    --------
    hpbench list
    hpbench list --options --plugin my_method.py
    """
    from hpbench.detectors.base import DETECTORS
    from hpbench.registry import DATASETS, METHODS

    files = tuple(plugin or ())
    for heading, registry in (
        ("Methods", METHODS),
        ("Data sets", DATASETS),
        ("Boxes: annotated, or a face detector", DETECTORS),
    ):
        typer.echo(heading)
        for name in registry.plugins(files):
            for line in _describe(registry, name, files, options):
                typer.echo(f"  {line}")


def _describe(
    registry: Registry[Any], name: str, files: Sequence[Path], options: bool
) -> list[str]:
    from hpbench.errors import HpbenchError, plugin_errors

    try:
        kind = registry.load(name, files)
        with plugin_errors("its missing() fails"):
            missing = _missing(kind)
    except HpbenchError as error:
        return [f"{name:<11} cannot be used: {error}"]
    lines = [f"{name:<11} {kind.summary}"]
    if missing:
        lines.append(f"{'':<11} missing: {missing}")
    for protocol in getattr(kind, "protocols", ()):
        lines.append(f"{'':<11} protocol {protocol.name} ({protocol.hash}): {protocol.summary}")
    if options:
        for key, field in kind.Options.model_fields.items():
            lines.append(f"{'':<11} {key}={field.default}  {field.description or ''}".rstrip())
    return lines


def _missing(kind: type[Any]) -> str | None:
    from hpbench.dataset import Dataset

    if not issubclass(kind, Dataset):
        return kind.missing()
    return _missing_folder(kind)


def _missing_folder(kind: type[Dataset]) -> str | None:
    from hpbench.running.data_folders import data_folders

    if not kind.needs_root or kind.name in data_folders({}, kind.name):
        return None
    return f"--data {kind.name}={kind.root_is}. {kind.card.how_to_get}".strip()
