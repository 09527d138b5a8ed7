"""``hpbench list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from pydantic import Field

from hpbench.arguments import Config, Plugins

if TYPE_CHECKING:
    from hpbench.registry import Registry

__all__ = ["list_plugins"]


class ListConfig(Config):
    """Options of ``hpbench list``."""

    options: bool = Field(False, description="Also show the options of each.")
    plugins: Plugins = ()


def list_plugins(config: ListConfig) -> None:
    """List methods, data sets, face and landmark detectors.

    With what is missing to use one, and the protocols of each data set.

    Examples
    --------
    hpbench list
    hpbench list --options --plugin my_method.py
    """
    from hpbench.detectors.base import DETECTORS
    from hpbench.landmarks.base import LANDMARKS
    from hpbench.registry import DATASETS, METHODS

    for heading, registry in (
        ("Methods", METHODS),
        ("Data sets", DATASETS),
        ("Boxes: annotated, or a face detector", DETECTORS),
        ("Landmarks of pnp", LANDMARKS),
    ):
        typer.echo(heading)
        for name in registry.plugins(config.plugins):
            for line in _describe(registry, name, config):
                typer.echo(f"  {line}")


def _describe(registry: Registry[Any], name: str, config: ListConfig) -> list[str]:
    from hpbench.errors import HpbenchError, plugin_errors

    try:
        cls = registry.load(name, config.plugins)
        with plugin_errors("its missing() fails"):
            missing = _missing(cls)
    except HpbenchError as error:
        return [f"{name:<11} cannot be used: {error}"]
    lines = [f"{name:<11} {cls.summary}"]
    if missing:
        lines.append(f"{'':<11} missing: {missing}")
    for protocol in getattr(cls, "protocols", ()):
        lines.append(f"{'':<11} protocol {protocol.name} ({protocol.hash}): {protocol.summary}")
    if config.options:
        for key, field in cls.Options.model_fields.items():
            lines.append(f"{'':<11} {key}={field.default}  {field.description or ''}".rstrip())
    return lines


def _missing(cls: type[Any]) -> str | None:
    from hpbench.dataset import Dataset
    from hpbench.running.data_folders import data_folders

    if not issubclass(cls, Dataset):
        return cls.missing()
    if not cls.needs_root or cls.name in data_folders({}, cls.name):
        return None
    return f"--data {cls.name}={cls.root_is}. {cls.card.how_to_get}".strip()
