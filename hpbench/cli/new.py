"""``hpbench new method|dataset|card``."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from hpbench.cli.options import add_command
from hpbench.paths import user_path
from hpbench.spec import Spec

if TYPE_CHECKING:
    from hpbench.scaffold import PluginType

__all__ = ["new"]

new = typer.Typer(
    help="Write an installable package with a new method or data set, or a network's card.",
    no_args_is_help=True,
)

Name = Annotated[
    str, typer.Argument(help="Name on the command line, such as my_net.", metavar="NAME")
]
Folder = Annotated[
    Path, typer.Option(help="Where the package's folder is made.", metavar="DIR", parser=user_path)
]


def new_method(name: Name, folder: Folder = Path()) -> None:
    """Write a package with a new method that passes its own tests.

    Examples
    --------
    hpbench new method my_net
    hpbench new method my_net --folder ~/src
    """
    _write("method", name, folder)


def new_dataset(name: Name, folder: Folder = Path()) -> None:
    """Write a package with a new data set that passes its own tests.

    Examples
    --------
    hpbench new dataset my_faces
    hpbench new dataset my_faces --folder ~/src
    """
    _write("dataset", name, folder)


def new_card(
    network: Annotated[Path, typer.Argument(help="The network.", metavar="FILE", parser=user_path)],
    folder: Annotated[
        Path, typer.Option(help="Where the card is written.", metavar="DIR", parser=user_path)
    ] = Path(),
) -> None:
    """Write the card that makes a method of a network, to be completed by hand.

    The file is ONNX, TorchScript (.ts), torch.export (.pt2), OpenVINO IR (.xml) or TFLite.

    Examples
    --------
    hpbench new card my_net.onnx
    hpbench new card ~/nets/my_net.pt2 --folder cards
    """
    from hpbench.scaffold import write_card

    card = write_card(network, folder)
    typer.echo(str(card.path))
    for warning in card.warnings:
        typer.echo(f"warning: {warning}", err=True)
    where = quote(Spec(str(card.path)).text)
    typer.echo(f"next: complete its TODO lines, then: hpbench check {where}")


def _write(kind: PluginType, name: str, parent: Path) -> None:
    from hpbench.registry import DATASETS, METHODS
    from hpbench.scaffold import write_package

    registry = METHODS if kind == "method" else DATASETS
    package, *files = write_package(kind, name, parent, taken=registry.plugins())
    for file in files:
        typer.echo(str(file))
    there = quote(str(package))
    typer.echo(f"next: pip install -e {there} pytest && pytest {there}")


add_command(new, "method", new_method)
add_command(new, "dataset", new_dataset)
add_command(new, "card", new_card)
