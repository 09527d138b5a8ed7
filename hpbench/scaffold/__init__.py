"""Writes a small installable package for a new method or data set, or the card of a network."""

from __future__ import annotations

import re
from collections.abc import Collection
from keyword import iskeyword
from pathlib import Path
from string import Template
from typing import Literal

from hpbench import __version__
from hpbench.errors import UsageError
from hpbench.scaffold.cards import CardDraft, write_card
from hpbench.scaffold.files import exists, template, write

__all__ = ["CardDraft", "PluginType", "write_card", "write_package"]

PluginType = Literal["method", "dataset"]

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def write_package(
    plugin_type: PluginType, name: str, parent: Path, taken: Collection[str] = ()
) -> list[Path]:
    """Write a package that passes its own tests as it is.

    Parameters
    ----------
    plugin_type : {'method', 'dataset'}
    name : str
        Name of the method or data set: small letters, digits and single underscores.
    parent : Path
        Folder to write the package's folder ``hpbench-NAME`` into.
    taken : collection of str
        Names that are in use.

    Returns
    -------
    list of Path
        The package's folder, then its files.

    Raises
    ------
    UsageError
        If the name is malformed or taken, or the folder exists or cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"'{name}': use small letters, digits and underscores, such as my_net")
    if name in taken:
        raise UsageError(f"'{name}': the name is taken; 'hpbench list' shows all")
    dashed = name.replace("_", "-")
    folder = parent / f"hpbench-{dashed}"
    if exists(folder):
        raise UsageError(f"{folder}: exists already; choose another name or --folder")
    words = {
        "name": name,
        "dashed": dashed,
        "package": f"hpbench_{name}",
        "class_name": _class_name(plugin_type, name),
        "version": __version__,
    }
    package = f"src/{words['package']}"
    targets = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "plugin.py": f"{package}/__init__.py",
        "test_plugin.py": f"tests/test_{name}.py",
    }
    if plugin_type == "method":
        targets["weights.md"] = f"{package}/weights/README.md"
    return [
        folder,
        *(
            write(folder / target, Template(template(plugin_type, source)).substitute(words))
            for source, target in targets.items()
        ),
    ]


def _class_name(plugin_type: PluginType, name: str) -> str:
    """A class name that hides neither a word of Python nor one that a generated file uses."""
    class_name = "".join(word.capitalize() for word in name.split("_"))
    sources = [template(plugin_type, name) for name in ("plugin.py", "test_plugin.py")]
    used = re.findall(r"\b[A-Z]\w*\b", " ".join(sources))
    if iskeyword(class_name) or {class_name, f"{class_name}Options"} & set(used):
        return f"{class_name}{plugin_type.capitalize()}"
    return class_name
