"""Writes a small installable package for a new method or data set, or the card of a network."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from keyword import iskeyword
from pathlib import Path
from string import Template
from typing import Literal

from hpbench import __version__
from hpbench.errors import UsageError
from hpbench.storage.atomic import write_text

__all__ = ["PluginType", "write_card", "write_package"]

PluginType = Literal["method", "dataset"]

_TEMPLATES = Path(__file__).parent
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
    if _exists(folder):
        raise UsageError(f"{folder}: exists already; choose another name or --folder")
    words = {
        "name": name,
        "dashed": dashed,
        "package": f"hpbench_{name}",
        "class_name": _class_name(plugin_type, name),
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
        text = Template(_template(plugin_type, template)).substitute(words)
        files.append(_write(folder / target, text))
    return [folder, *files]


def write_card(network: Path, folder: Path) -> Path:
    """Write the card of an ONNX network, with the choices that its user has to make as comments.

    Parameters
    ----------
    network : Path
        The ``.onnx`` file; its graph is read where onnxruntime is installed.
    folder : Path
        Where the card is written, under the network's name.

    Raises
    ------
    UsageError
        If there is no such file, or the card exists or cannot be written.
    """
    if not network.is_file():
        raise UsageError(f"{network}: no such file; name the .onnx file that needs a card")
    card = folder / f"{network.stem}.toml"
    if _exists(card):
        raise UsageError(f"{card}: exists already; choose another --folder")
    words = {"file": network.name, "name": re.sub(r"[^A-Za-z0-9_.-]+", "_", network.stem)}
    path = os.path.relpath(network, folder)
    words |= {"path": Path(path).as_posix(), **_graph_words(network)}
    text = (_TEMPLATES / "card" / "card.toml.template").read_text(encoding="utf-8")
    return _write(card, Template(text).substitute(words))


def _graph_words(network: Path) -> dict[str, str]:
    """Size and names of a graph's inputs and outputs, as far as they can be read."""
    unknown = {"width": "224", "height": "224", "layout": "NCHW"}
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(network), options, ["CPUExecutionProvider"])
    except ImportError:
        return {**unknown, "inputs": "unread, onnxruntime is not installed", "outputs": "unread"}
    except Exception as error:  # onnxruntime raises its own kinds for what is no network
        line = str(error).splitlines()[0]
        raise UsageError(f"{network}: cannot be read as an ONNX network ({line})") from error
    inputs, outputs = (
        ", ".join(f"{one.name} {one.shape}" for one in ends)
        for ends in (session.get_inputs(), session.get_outputs())
    )
    shape = session.get_inputs()[0].shape
    channels_last = len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3)
    sides = [side for side in (shape[1:3] if channels_last else shape[2:4]) if type(side) is int]
    height, width = sides if len(sides) == 2 else (224, 224)
    layout = "NHWC" if channels_last else "NCHW"
    size = {"width": str(width), "height": str(height), "layout": layout}
    return {**size, "inputs": inputs, "outputs": outputs}


def _exists(folder: Path) -> bool:
    try:
        return folder.exists()
    except OSError as error:  # a file where a folder should be, or no permission to look
        raise UsageError(f"{folder}: {error.strerror}; choose another --folder") from error


def _template(plugin_type: PluginType, name: str) -> str:
    return (_TEMPLATES / plugin_type / f"{name}.template").read_text(encoding="utf-8")


def _class_name(plugin_type: PluginType, name: str) -> str:
    """A class name that hides neither a word of Python nor one that the generated file uses."""
    class_name = "".join(word.capitalize() for word in name.split("_"))
    used = re.findall(r"\b[A-Z]\w*\b", _template(plugin_type, "plugin.py"))
    if iskeyword(class_name) or {class_name, f"{class_name}Options"} & set(used):
        return f"{class_name}{plugin_type.capitalize()}"
    return class_name


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror}); choose another --folder"
        ) from error
    return path
