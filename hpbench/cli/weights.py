"""``hpbench weights list|fetch|add|verify``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpbench.arguments import Config, Plugins
from hpbench.cli.options import add_command

if TYPE_CHECKING:
    from hpbench.method import WeightsInfo
    from hpbench.registry import Registry

__all__ = ["weights"]

weights = typer.Typer(help="List, fetch, add and verify weights.")

Name = Annotated[
    str,
    typer.Argument(
        help="NAME or METHOD/NAME as listed; METHOD alone means all of its files.", metavar="NAME"
    ),
]


class WeightsConfig(Config):
    """Options of all commands on weights."""

    plugins: Plugins = ()


@weights.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_weights(WeightsConfig())


def list_weights(config: WeightsConfig) -> None:
    """List all named weights: licence, training data, source, and whether they are here.

    Examples
    --------
    hpbench weights list
    hpbench weights list --plugin my_method.py
    """
    for method, infos in _known(config).items():
        for info in infos:
            size = f"{info.size_bytes / 1e6:.1f} MB" if info.size_bytes else "size unknown"
            typer.echo(f"{method}/{info.name}  {info.summary}")
            typer.echo(f"    licence {info.licence}; {size}; {_pin(info)}")
            typer.echo(f"    trained on {', '.join(info.trained_on) or 'unknown'}")
            if info.path is not None:
                typer.echo(f"    here: {info.path}")
            elif info.can_be_fetched:
                typer.echo(f"    fetch with: hpbench weights fetch {info.name}")
            else:
                typer.echo(f"    {info.by_hand}")


def _pin(info: WeightsInfo) -> str:
    if info.sha256:
        return f"SHA-256 {info.sha256}"
    if info.git_blob:
        return f"git blob {info.git_blob}"
    return "pinned by its git commit" if info.git_blob_url else "no published hash"


def fetch(
    name: Name,
    config: WeightsConfig,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Also fetch over connections without TLS.")
    ] = False,
) -> None:
    """Fetch weights into the user's cache and verify them.

    Of several files those that cannot be fetched are named, and the others are fetched.

    Examples
    --------
    hpbench weights fetch fsanet
    hpbench weights fetch hopenet/lite
    """
    from hpbench.errors import WeightsError
    from hpbench.weights.downloads import DownloadLimits
    from hpbench.weights.store import fetch_weights, find_named

    limits = DownloadLimits(allow_http=allow_http)
    found = find_named(name, _known(config))
    failed = []
    for method, info in found:
        if info.path is None and info.url:
            typer.echo(f"fetching {info.url}", err=True)
        try:
            typer.echo(str(fetch_weights(info, limits)))
        except WeightsError as error:
            if len(found) == 1:
                raise
            typer.echo(f"{method}/{info.name}: {error}", err=True)
            failed.append(info.name)
    if failed:
        raise WeightsError(
            f"{len(failed)} of {len(found)} files of '{name}' were not fetched: {', '.join(failed)}"
        )


def add(
    name: Name,
    file: Annotated[
        Path, typer.Argument(help="File that you have fetched yourself.", metavar="FILE")
    ],
    config: WeightsConfig,
) -> None:
    """Put a file into the user's cache, after reading it, and verifying it where a hash is known.

    Examples
    --------
    hpbench weights add hopenet/robust hopenet_robust_alpha1.pkl
    hpbench weights add my_net.onnx ~/my_net.onnx --plugin my_method.py
    """
    from hpbench.errors import UsageError
    from hpbench.weights.store import add_weights, find_named

    found = find_named(name, _known(config))
    if len(found) > 1:
        names = ", ".join(info.name for _, info in found)
        raise UsageError(f"'{name}': has several files; add them one by one: {names}")
    owner, info = found[0]
    # the plugin that the weights belong to reads them before they are stored
    cls = next(registry for registry, name in _plugins(config) if name == owner).load(
        owner, config.plugins
    )
    stored = add_weights(info, file, partial(cls.validate_weights, info))
    if not (info.sha256 or info.git_blob):
        typer.echo("not verified: no hash of these weights is published", err=True)
    typer.echo(str(stored))


def verify(config: WeightsConfig) -> None:
    """Compare all weights on this machine with their hashes.

    Examples
    --------
    hpbench weights verify
    hpbench weights verify --plugin my_method.py
    """
    from hpbench.errors import WeightsError
    from hpbench.weights.store import check_weights

    words = {
        "verified": "ok, the published hash",
        "unchanged": "ok, as it was stored; no hash is published",
        "unpinned": "nothing to compare with",
    }
    altered = 0
    for method, infos in _known(config).items():
        for info in infos:
            try:
                state = check_weights(info)
            except WeightsError as error:
                altered += 1
                typer.echo(f"{method}/{info.name}: {error}")
                continue
            if state != "missing":
                typer.echo(f"{method}/{info.name}: {words[state]} ({info.path})")
    if altered:
        raise typer.Exit(1)


def _plugins(config: WeightsConfig) -> Iterator[tuple[Registry[Any], str]]:
    from hpbench.detectors.base import DETECTORS
    from hpbench.registry import METHODS

    for registry in (METHODS, DETECTORS):
        for name in registry.plugins(config.plugins):
            yield registry, name


def _known(config: WeightsConfig) -> dict[str, list[WeightsInfo]]:
    """Named weights of all methods and detectors; a broken plugin is named and passed over."""
    from hpbench.errors import HpbenchError, plugin_errors

    known: dict[str, list[WeightsInfo]] = {}
    for registry, name in _plugins(config):
        try:
            cls = registry.load(name, config.plugins)
            with plugin_errors("its named_weights() fails"):
                known[name] = list(cls.named_weights())
        except HpbenchError as error:
            typer.echo(f"{name}: cannot be used: {error}", err=True)
    return known


for _name, _command in (("list", list_weights), ("fetch", fetch), ("add", add), ("verify", verify)):
    add_command(weights, _name, _command)
