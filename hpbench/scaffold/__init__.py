"""Writes a small installable package for a new method or data set."""

from __future__ import annotations

import re
from collections.abc import Collection
from keyword import iskeyword
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
        If the name is malformed or taken, or the folder exists or cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"'{name}': use small letters, digits and underscores, such as my_net")
    if name in taken:
        raise UsageError(f"the name '{name}' is taken; 'hpbench list' shows all")
    dashed = name.replace("_", "-")
    folder = parent / f"hpbench-{dashed}"
    if _exists(folder):
        raise UsageError(f"{folder}: exists already; choose another name or --folder")
    words = {
        "name": name,
        "dashed": dashed,
        "package": f"hpbench_{name}",
        "class_name": _class_name(kind, name),
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
        text = Template(_template(kind, template)).substitute(words)
        files.append(_write(folder / target, text))
    return [folder, *files]


def _exists(folder: Path) -> bool:
    try:
        return folder.exists()
    except OSError as error:  # a file where a folder should be, or no permission to look
        raise UsageError(f"{folder}: {error.strerror}; choose another --folder") from error


def _template(kind: Kind, name: str) -> str:
    return (_TEMPLATES / kind / f"{name}.template").read_text(encoding="utf-8")


def _class_name(kind: Kind, name: str) -> str:
    """A class name that hides neither a word of Python nor one that the generated file uses."""
    class_name = "".join(word.capitalize() for word in name.split("_"))
    used = re.findall(r"\b[A-Z]\w*\b", _template(kind, "plugin.py"))
    if iskeyword(class_name) or {class_name, f"{class_name}Options"} & set(used):
        return f"{class_name}{kind.capitalize()}"
    return class_name


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}); see --folder") from error
    return path
