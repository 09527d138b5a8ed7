"""Writes a small installable package for a new method or data set."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from string import Template
from typing import Literal

from hpbench import __version__
from hpbench.errors import UsageError

__all__ = ["Kind", "write_package"]

Kind = Literal["method", "dataset"]

_TEMPLATES = Path(__file__).parent
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def write_package(kind: Kind, name: str, parent: Path, taken: Collection[str] = ()) -> list[Path]:
    """Write a package that passes its own tests as it is.

    Parameters
    ----------
    kind : {'method', 'dataset'}
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
        If the name is malformed or taken, or the folder exists.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"'{name}': use small letters, digits and underscores, such as my_net")
    if name in taken:
        raise UsageError(f"the name '{name}' is taken; 'hpbench list' shows all")
    dashed = name.replace("_", "-")
    folder = parent / f"hpbench-{dashed}"
    if folder.exists():
        raise UsageError(f"{folder}: exists already; choose another name or --folder")
    words = {
        "name": name,
        "dashed": dashed,
        "package": f"hpbench_{name}",
        "class_name": "".join(word.capitalize() for word in name.split("_")),
        "version": __version__,
    }
    targets = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "plugin.py": f"src/{words['package']}/__init__.py",
        "test_plugin.py": f"tests/test_{name}.py",
    }
    files = []
    for template, target in targets.items():
        text = (_TEMPLATES / kind / f"{template}.template").read_text(encoding="utf-8")
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(words), encoding="utf-8")
        files.append(path)
    return [folder, *files]
