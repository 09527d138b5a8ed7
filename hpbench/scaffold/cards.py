"""Writes the card of a network, with what its file says and the rest as TODO lines."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import numpy as np

from hpbench.errors import UsageError
from hpbench.inference.graphs import FORMATS, Graph, TensorInfo, open_graph
from hpbench.rotation import ANGLES
from hpbench.scaffold.files import exists, template, write
from hpbench.spec import Spec
from hpbench.storage.text import visible

__all__ = ["CardDraft", "write_card"]

_SIDE = 224
"""Of the input where a file does not say it."""

_ORDER = (
    '# TODO order = ["yaw", "pitch", "roll"]   # a leading minus for an angle counted the other way'
)
_FRAME = '# TODO frame = "camera"                   # or "6drepnet", "y-up", "opal"'
_ANGLES = (
    '# TODO kind = "angles"                    # or "6d", "matrix", "rotvec", "quaternion"',
    _ORDER,
    '# TODO unit = "deg"                       # or "rad"',
)
_BINS = (
    '# TODO kind = "bins"',
    _ORDER,
    "# TODO width_deg = 3.0                    # the angle is offset + width x expectation",
    "# TODO offset_deg = -99.0",
    '# TODO scores = "logits"                  # or "probabilities"',
)
_BY_NUMBERS = {
    3: _ANGLES,
    4: ('# TODO kind = "quaternion"', '# TODO order = "wxyz"                  # or "xyzw"', _FRAME),
    6: ('# TODO kind = "6d"', _FRAME),
    9: ('# TODO kind = "matrix"                  # row by row', _FRAME),
    12: ('# TODO kind = "matrix3x4"               # row by row, with a translation', _FRAME),
}
_LANDMARKS = {136: "ibug68", 196: "wflw98", 212: "insightface106", 936: "mediapipe468"}


@dataclass(frozen=True)
class CardDraft:
    """A card that was written.

    Attributes
    ----------
    path : Path
    warnings : tuple of str
        What keeps the network itself from being used as it is.
    """

    path: Path
    warnings: tuple[str, ...] = ()


def write_card(network: Path, folder: Path) -> CardDraft:
    """Write the card of a network, with the choices that its user has to make as TODO lines.

    Parameters
    ----------
    network : Path
        A file of one of :data:`hpbench.inference.graphs.FORMATS`.
    folder : Path
        Where the card is written, under the network's name.

    Raises
    ------
    UsageError
        If there is no such file, or the card exists or cannot be written.
    WeightsError, MissingDependencyError
        If the file cannot be read, or the runtime of its format is not installed.
    """
    if not network.is_file():
        raise UsageError(f"{network}: no such file; name the network's file that needs a card")
    card = folder / f"{network.stem}.toml"
    if exists(card):
        raise UsageError(f"{card}: exists already; choose another --folder")
    graph = open_graph(network)
    image = _image_input(graph.inputs)
    width, height, layout = _size(image)
    shape = (1, 3, height, width) if layout == "NCHW" else (1, height, width, 3)
    try:
        graph.find_outputs(image.name, np.zeros(shape, dtype=image.dtype))
    except Exception:  # a program that takes another size than the guessed one
        graph.outputs = ()
    name = re.sub(r"^[^A-Za-z0-9_]|[^A-Za-z0-9_.-]+", "_", network.stem)
    words = {
        "file": _comment(network.name),
        "format": FORMATS[network.suffix.lower()],
        "card": _comment(shlex.quote(Spec(card.name).text)),
        "name": _quoted(name),
        "path": _quoted(Path(os.path.relpath(network, folder)).as_posix()),
        "inputs": _comment(", ".join(map(str, graph.inputs))),
        "input_name": f"name = {_quoted(image.name)}",
        "width": str(width),
        "height": str(height),
        "guessed": "" if _says_size(image) else "  # TODO: a guess",
        "layout": layout,
        "outputs": _comment(", ".join(map(str, graph.outputs)) or "not known before it is run"),
        "output": "\n".join(_output_lines(graph.outputs)),
    }
    text = Template(template("card", "card.toml")).substitute(words)
    write(card, text)
    return CardDraft(card, _warnings(graph, image))


def _image_input(inputs: Sequence[TensorInfo]) -> TensorInfo:
    """The input that looks like an image."""
    images = [info for info in inputs if info.shape is None or len(info.shape) == 4]
    return (images or inputs)[0]


def _size(image: TensorInfo) -> tuple[int, int, str]:
    """Width, height and layout of an input."""
    shape = image.shape or (None, 3, None, None)
    channels_last = len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3)
    height, width = shape[1:3] if channels_last else (*shape[2:4], None, None)[:2]
    return width or _SIDE, height or _SIDE, "NHWC" if channels_last else "NCHW"


def _says_size(image: TensorInfo) -> bool:
    return image.shape is not None and None not in image.shape[1:]


def _output_lines(outputs: Sequence[TensorInfo]) -> list[str]:
    """TODO lines for the outputs, by how many numbers they give."""
    numbers = {info.name: _numbers(info) for info in outputs}
    three = list(numbers)[:3] if len(numbers) == 3 else []
    if three and set(numbers.values()) == {1}:
        return [*_ordered(_ANGLES, three), _names(three)]
    if three and all((count or 0) > 12 for count in numbers.values()):
        return [*_ordered(_BINS, three), _names(three)]
    for info in outputs:
        count = numbers[info.name] or 0
        lines = _BY_NUMBERS.get(count)
        if count in _LANDMARKS:
            lines = (
                '# TODO kind = "landmarks"',
                f"# TODO points = {_quoted(_LANDMARKS[count])}",
                '# TODO unit = "pixels"                    # or "share", "centred"',
            )
        elif info.shape is not None and len(info.shape) == 3 and info.shape[1] == 3 and count > 36:
            lines = _BINS
        if lines:
            rest = [name for name in numbers if name != info.name]
            return [*lines, _names([info.name]), *_confidence(rest)]
    return list(_ANGLES)


def _ordered(lines: Sequence[str], names: Sequence[str]) -> list[str]:
    """The lines with the order of the outputs, where their names say which angle each is."""
    angles = [angle for name in names for angle in ANGLES if angle in name.lower()]
    if sorted(angles) != sorted(ANGLES):  # or by their first letters: fc_y, angle_p_fc
        words = [re.split(r"[^a-z]+", name.lower()) for name in names]
        angles = [angle for parts in words for angle in ANGLES if angle[0] in parts]
    if sorted(angles) != sorted(ANGLES):
        return list(lines)
    order = ", ".join(map(_quoted, angles))
    return [line.replace('"yaw", "pitch", "roll"', order) for line in lines]


def _confidence(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    return [
        "",
        f"# further outputs: {_comment(', '.join(names))}; if one says how sure the network is:",
        "# [confidence]",
        f"# name = {_quoted(names[0])}",
        '# surer = "larger"                      # or "smaller"',
    ]


def _names(names: Sequence[str]) -> str:
    return f"names = [{', '.join(map(_quoted, names))}]"


def _numbers(info: TensorInfo) -> int | None:
    """Numbers per face, where the file says it."""
    if info.shape is None or None in info.shape[1:]:
        return None
    return math.prod(side for side in info.shape[1:] if side is not None)


def _warnings(graph: Graph, image: TensorInfo) -> tuple[str, ...]:
    others = ", ".join(str(info) for info in graph.inputs if info is not image)
    if not others:
        return ()
    return (
        f"further inputs: {visible(others)}; hpbench feeds the image ({visible(image.name)}) "
        "alone, so export the network with the others frozen (docs/export-to-onnx.md)",
    )


def _quoted(text: str) -> str:
    """A TOML string; those of JSON are, but for the one control character that it lets pass."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return " ".join(visible(text).split())
