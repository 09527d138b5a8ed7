"""The card of a declared method: everything about a network that its file does not say.

The field's code bases differ in all of it (crop, filter, colour order, scaling, signs, Euler
order, frame), so nothing that changes a prediction has a hidden default taken from one of them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, Self
from urllib.parse import urlparse

from pydantic import BaseModel, Field, ValidationError, model_validator

from hpbench.errors import DataError, invalid_field
from hpbench.methods.card.crop import CropCard
from hpbench.methods.card.outputs import (
    AnglesOutput,
    BinsOutput,
    CardTable,
    ConfidenceOutput,
    LandmarksOutput,
    OutputTable,
    RotationOutput,
    Triple,
)
from hpbench.spec import suggest

__all__ = ["InputCard", "NetworkCard", "WeightsFile", "read_card"]


class InputCard(CardTable):
    """How a cut-out face becomes the network's input.

    Attributes
    ----------
    width, height : int
        In pixels.
    white : float
        Value of a white pixel before mean and std: 255 for raw bytes, 1 for ``ToTensor``.
    mean, std : float or three of them
        In the network's colour order; the input is ``(pixel * white / 255 - mean) / std``.
    fit : {'stretch', 'centre', 'pad'}
        ``stretch``: to the input's size, the aspect is not kept. ``centre``: the short side is
        scaled to `short_side`, the middle kept (torchvision's Resize and CenterCrop). ``pad``:
        the long side is scaled to fit, black around it.
    short_side : int or None
        For ``centre``; the input's longer side if not given.
    filter : str
        ``opencv-linear`` does not average when it reduces and ``pillow-bilinear`` does: they
        differ by up to 0.1 degrees of error.
    name : str
        Input of the graph; its first if not given.
    """

    width: int = Field(ge=8, le=4096)
    height: int = Field(ge=8, le=4096)
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    colour_order: Literal["RGB", "BGR"]
    white: float = Field(gt=0)
    mean: Triple
    std: Triple
    fit: Literal["stretch", "centre", "pad"]
    short_side: int | None = Field(default=None, ge=8, le=4096)
    filter: Literal["opencv-linear", "opencv-area", "pillow-bilinear", "pillow-bicubic"]
    name: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(value <= 0 for value in self.std):
            raise ValueError("std has to be above 0")
        if self.short_side is not None:
            if self.fit != "centre":
                raise ValueError(f"short_side belongs to fit = 'centre', not to '{self.fit}'")
            if self.short_side < max(self.width, self.height):
                raise ValueError(
                    "short_side is smaller than the input, which cannot be cut from it"
                )
        return self


class WeightsFile(CardTable):
    """One file of a network.

    Attributes
    ----------
    file : str
        Path relative to the card, or to the folder that the user names with ``weights``.
    url : str
        Where it can be fetched; then `sha256` is a must.
    sha256 : str or None
        The file is refused if its hash is another.
    """

    file: str = ""
    url: str = ""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    size_bytes: int | None = None

    @model_validator(mode="after")
    def _findable(self) -> Self:
        if not self.file and not self.url:
            raise ValueError("a weights entry needs file or url")
        if self.url and self.sha256 is None:
            raise ValueError("a weights file with a url needs its sha256")
        if self.url and urlparse(self.url).scheme not in ("http", "https"):
            raise ValueError(f"url '{self.url}' is not http or https")
        return self

    @property
    def file_name(self) -> str:
        """Name of the file without folders."""
        return PurePosixPath(self.file or urlparse(self.url).path).name

    @property
    def cached_name(self) -> str:
        """Name in the user's cache, which files of other cards do not have; empty without hash."""
        return f"{self.sha256[:12]}-{self.file_name}" if self.sha256 else ""


class NetworkCard(CardTable):
    """A whole card.

    Attributes
    ----------
    name : str
        Shown in tables.
    weights : tuple of WeightsFile
        With more than one, the decoded angles (or rotations) of all are averaged.
    trained_on : tuple of str
        Names of data sets; a result on one of them is flagged.
    trained_domains : tuple of str
        ``photo`` and/or ``render``.
    confidence : ConfidenceOutput or None
    """

    schema_version: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    title: str
    summary: str = ""
    paper: str = ""
    code: str = ""
    licence: str = Field(min_length=1)
    weights_licence: str = ""
    trained_on: tuple[str, ...]
    trained_domains: tuple[Literal["photo", "render"], ...] = ()
    notes: tuple[str, ...] = ()
    weights: tuple[WeightsFile, ...] = Field(min_length=1)
    input: InputCard
    crop: CropCard
    output: OutputTable
    confidence: ConfidenceOutput | None = None

    @model_validator(mode="after")
    def _outputs_can_be_read(self) -> Self:
        if isinstance(self.output, LandmarksOutput):
            if self.input.fit != "stretch":
                raise ValueError("output.kind 'landmarks' needs input.fit 'stretch'")
            if self.confidence is not None:
                raise ValueError("[confidence] belongs to poses; output.kind is 'landmarks'")
        if self.confidence is not None and not self.output.names:
            raise ValueError("[confidence] is one output of several: name the others, output.names")
        return self


MAX_BYTES = 32 * 2**10
MAX_DEPTH = 8
"""Limits of a card, which may come from anyone; parsing time grows with the square of its size."""

_OUTPUTS: dict[object, type[BaseModel]] = {
    "angles": AnglesOutput,
    "bins": BinsOutput,
    "6d": RotationOutput,
    "matrix": RotationOutput,
    "matrix3x4": RotationOutput,
    "rotvec": RotationOutput,
    "quaternion": RotationOutput,
    "landmarks": LandmarksOutput,
}


def read_card(path: Path) -> NetworkCard:
    """Read the card of a declared method from a TOML file.

    Raises
    ------
    DataError
        If the file is missing, too large, nested too deep or not TOML, or an entry is unknown,
        missing or out of range; the message names the entry.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise DataError(f"{path}: larger than {MAX_BYTES >> 10} KiB, which no card is")
        content = tomllib.loads(text.decode("utf-8-sig"))
        if _depth(content) > MAX_DEPTH:
            raise RecursionError
    except FileNotFoundError:
        raise DataError(f"{path}: no such card; 'hpbench new card NETWORK' writes one") from None
    except RecursionError:
        raise DataError(f"{path}: nested deeper than {MAX_DEPTH}, which no card is") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as TOML ({error})") from error
    try:
        return NetworkCard.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{path}: {_first_error(error)}") from error


def _keys_of(table: type[BaseModel]) -> list[str]:
    """Keys of a table as they are written in a card."""
    return [field.alias or name for name, field in table.model_fields.items()]


def _depth(content: object) -> int:
    """How deep tables and lists are nested; counted no further than needed."""
    depth, level = 0, [content]
    while level and depth <= MAX_DEPTH:
        nested = [one for one in level if isinstance(one, dict | list)]
        level = [
            child for one in nested for child in (one.values() if isinstance(one, dict) else one)
        ]
        depth += bool(nested)
    return depth


_MISSING: dict[str, Sequence[str]] = {"missing": (), "union_tag_not_found": ("kind",)}
"""Kinds of pydantic's errors, and what they leave out behind the place of what is missing."""


def _first_error(error: ValidationError) -> str:
    """One line on the first thing that is wrong, with the nearest known key for a misspelt one."""
    errors = error.errors()
    # a misspelt key is also reported as a missing one, which does not show what to fix
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    where = ".".join(_keys(first["loc"])) or "card"
    if first["type"] == "union_tag_invalid":
        return f"'{where}.kind' is unknown; {suggest(first['ctx']['tag'], map(str, _OUTPUTS))}"
    if first["type"] in _MISSING:
        # all of them: a new card lacks many, and each run would name but one
        missing = [
            ".".join([*_keys(one["loc"]), *_MISSING[one["type"]]])
            for one in errors
            if one["type"] in _MISSING
        ]
        verb = "is" if len(missing) == 1 else "are"
        kinds = ", ".join(sorted(map(str, _OUTPUTS)))
        known = f"; known: {kinds}" if "output.kind" in missing else ""
        return f"{', '.join(map(repr, missing))} {verb} missing{known}"
    if first["type"] == "extra_forbidden":
        *above, key = _keys(first["loc"])
        tables: dict[str, type[BaseModel]] = {
            "input": InputCard,
            "crop": CropCard,
            "weights": WeightsFile,
            "confidence": ConfidenceOutput,
            "output": _OUTPUTS.get(str(first["loc"][1]) if above else "", RotationOutput),
        }
        table = tables[above[0]] if above else NetworkCard
        return f"'{where}' is not known; {suggest(key, _keys_of(table))}"
    place, wrong = invalid_field(error)
    where = ".".join(_keys(place.split(".")))
    return f"'{where or 'card'}': {wrong}"


def _keys(place: Iterable[str | int]) -> list[str]:
    """Keys of a card that lead to a value: pydantic puts the kind of the output behind 'output'."""
    parts = [str(part) for part in place]
    is_output = parts[:1] == ["output"]
    return parts[:1] + parts[2:] if is_output else parts
