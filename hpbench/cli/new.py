"""``hpbench new method|dataset``."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hpbench.scaffold import Kind

__all__ = ["new"]

new = typer.Typer(
    help="Write a small installable package: new method NAME, new dataset NAME.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="Name on the command line, such as my_net.")]
Folder = Annotated[Path, typer.Option(help="Where the package's folder is made.")]


@new.command("method")
def new_method(name: Name, folder: Folder = Path()) -> None:
    """Write a package with a new method that passes its own tests."""
    _write("method", name, folder)


@new.command("dataset")
def new_dataset(name: Name, folder: Folder = Path()) -> None:
    """Write a package with a new data set that passes its own tests."""
    _write("dataset", name, folder)


def _write(kind: Kind, name: str, parent: Path) -> None:
    from hpbench.registry import DATASETS, METHODS
    from hpbench.scaffold import write_package

    registry = METHODS if kind == "method" else DATASETS
    package, *files = write_package(kind, name, parent, taken=registry.plugins())
    for file in files:
        typer.echo(str(file))
    there = quote(str(package))
    typer.echo(f"next: pip install -e {there} pytest && pytest {there}")
