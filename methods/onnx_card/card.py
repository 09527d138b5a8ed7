"""The card of a declared method: everything about a network that its file does not say.

The field's code bases differ in all of it (crop, filter, colour order, scaling, signs, Euler
order, frame), so nothing that changes a prediction has a hidden default taken from one of them.
"""

from __future__ import annotations

import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self
from urllib.parse import urlparse

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from hpbench.crops import DEFAULT_K, CropRule, Outside
from hpbench.errors import DataError, invalid_value
from hpbench.landmarks.orders import PointOrder
from hpbench.rotation import Frame
from hpbench.spec import suggest

__all__ = [
    "AnglesOutput",
    "BinsOutput",
    "CropCard",
    "InputCard",
    "LandmarksOutput",
    "NetworkCard",
    "RotationOutput",
    "WeightsFile",
    "read_card",
]

_MAX_BYTES = 2**20

Triple = Annotated[
    tuple[float, float, float],
    BeforeValidator(lambda value: (value,) * 3 if isinstance(value, int | float) else value),
]
"""Three numbers, or one for all three."""

SignedAngle = Literal["yaw", "pitch", "roll", "-yaw", "-pitch", "-roll"]


class _Part(BaseModel):
    """A table of the card: immutable, a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InputCard(_Part):
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
        For ``centre``; the input's shorter side if not given.
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


class CropCard(_Part):
    """Which part of the image is cut out, given the tight face box.

    Attributes
    ----------
    rule : str
        See :data:`hpbench.crops.CropRule`.
    k : float or None
        Amount of the rule; only the Hopenet rules have a default (.20 test, .30 train).
    outside : {'black', 'clip', 'edge'}
        Pixels outside the image are black, or the crop ends at the image, or its edge is
        repeated.
    """

    rule: CropRule
    k: float | None = Field(default=None, ge=0.0, le=10.0)
    outside: Outside = "black"

    @model_validator(mode="after")
    def _amount(self) -> Self:
        if self.rule == "box":
            if self.k is not None:
                raise ValueError("rule 'box' takes the box as it is and has no k")
        elif self.k is None and self.rule not in DEFAULT_K:
            raise ValueError(f"rule '{self.rule}' needs k")
        if self.rule == "square" and not self.k:
            raise ValueError("rule 'square' needs k above 0: the side in units of the box's longer")
        return self

    @property
    def amount(self) -> float:
        """The amount `k`, with the rule's default filled in."""
        return self.k if self.k is not None else DEFAULT_K.get(self.rule, 0.0)

    @property
    def with_last(self) -> bool:
        """Whether the crop has its last row and column: in all scripts but Hopenet's."""
        return not self.rule.startswith("hopenet")

    def __str__(self) -> str:
        amount = "" if self.rule == "box" else f" k={self.amount:g}"
        return f"{self.rule}{amount}, outside {self.outside}"


class WeightsFile(_Part):
    """One ONNX file.

    Attributes
    ----------
    file : str
        Path relative to the card, or the name in the user's cache.
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


class _AngleOutput(_Part):
    """Common to all outputs that are angles.

    Attributes
    ----------
    order : three of 'yaw', 'pitch', 'roll'
        Order in the output (or of the three outputs). A leading minus means that the network
        counts the angle the other way; positive is yaw with the nose to the image's left,
        pitch up, roll clockwise.
    euler : {'canonical', 'rq'}
        Which triple of the rotation the angles are; see
        :func:`hpbench.rotation.rq_angles_from_rotation`.
    names : tuple of str
        Outputs of the graph; in the order of the graph if not given.
    """

    order: tuple[SignedAngle, SignedAngle, SignedAngle]
    euler: Literal["canonical", "rq"] = "canonical"
    names: tuple[str, ...] = ()

    @field_validator("order")
    @classmethod
    def _each_once(cls, value: tuple[str, str, str]) -> tuple[str, str, str]:
        if sorted(angle.removeprefix("-") for angle in value) != ["pitch", "roll", "yaw"]:
            raise ValueError("order names yaw, pitch and roll once each")
        return value

    @field_validator("names")
    @classmethod
    def _one_or_three(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(value) not in (0, 1, 3):
            raise ValueError("names are one output of three values, or three outputs")
        return value


class AnglesOutput(_AngleOutput):
    """Three angles, in one output of shape (n, 3) or three of shape (n, 1)."""

    kind: Literal["angles"]
    unit: Literal["deg", "rad"]


class BinsOutput(_AngleOutput):
    """Scores of angle bins: three outputs of shape (n, bins) or one of shape (n, 3, bins).

    Attributes
    ----------
    width_deg, offset_deg : float or three of them, in the order of `order`
        The angle is ``offset_deg + width_deg * sum(i * p_i)``.
    scores : {'logits', 'probabilities'}
        Logits go through a softmax first.
    """

    kind: Literal["bins"]
    width_deg: Triple
    offset_deg: Triple
    scores: Literal["logits", "probabilities"]


class RotationOutput(_Part):
    """A whole rotation in one output.

    Attributes
    ----------
    kind : {'6d', 'matrix', 'rotvec'}
        ``6d``: the first two columns of the matrix, to be orthonormalised (Zhou et al., CVPR
        2019). ``matrix``: nine numbers row by row. ``rotvec``: axis times angle in radians.
    frame : str
        See :data:`hpbench.rotation.Frame`.
    """

    kind: Literal["6d", "matrix", "rotvec"]
    frame: Frame
    names: tuple[str, ...] = Field(default=(), max_length=1)


class LandmarksOutput(_Part):
    """Landmarks in one output, as x, y (or x, y, z) point by point; for ``pnp[landmarks=...]``.

    Attributes
    ----------
    points : str
        Which points in which order; see :data:`hpbench.landmarks.orders.PointOrder`.
    unit : {'pixels', 'share', 'centred'}
        Pixels of the input, shares of its sides from 0 to 1, or from -1 to 1.
    """

    kind: Literal["landmarks"]
    points: PointOrder
    unit: Literal["pixels", "share", "centred"]
    names: tuple[str, ...] = Field(default=(), max_length=1)


class NetworkCard(_Part):
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
    output: Annotated[
        AnglesOutput | BinsOutput | RotationOutput | LandmarksOutput, Field(discriminator="kind")
    ]

    @model_validator(mode="after")
    def _landmarks_can_be_placed(self) -> Self:
        if isinstance(self.output, LandmarksOutput) and self.input.fit != "stretch":
            raise ValueError("output.kind 'landmarks' needs input.fit 'stretch'")
        return self


_OUTPUTS: dict[object, type[BaseModel]] = {
    "angles": AnglesOutput,
    "bins": BinsOutput,
    "6d": RotationOutput,
    "matrix": RotationOutput,
    "rotvec": RotationOutput,
    "landmarks": LandmarksOutput,
}


def read_card(path: Path) -> NetworkCard:
    """Read the card of a declared method from a TOML file.

    Raises
    ------
    DataError
        If the file is missing or not TOML, or an entry is unknown, missing or out of range;
        the message names the entry.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path}: larger than {_MAX_BYTES >> 20} MB, so no card")
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such card; 'hpbench new card NET.onnx' writes one") from None
    except (OSError, ValueError, RecursionError) as error:  # no text, no TOML, nested too deeply
        raise DataError(f"{path}: cannot be read as TOML ({error})") from error
    try:
        return NetworkCard.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{path}: {_first_error(error)}") from error


def _first_error(error: ValidationError) -> str:
    """One line on the first thing that is wrong, with the nearest known key for a misspelt one."""
    errors = error.errors()
    # a misspelt key is also reported as a missing one, which does not show what to fix
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    # pydantic puts the kind of the output between 'output' and its key
    parts = [str(part) for part in first["loc"] if part not in _OUTPUTS]
    where = ".".join(parts) or "card"
    if first["type"] == "union_tag_invalid":
        return f"'{where}.kind' is unknown; {suggest(first['ctx']['tag'], map(str, _OUTPUTS))}"
    if first["type"] == "missing":
        return f"'{where}' is missing"
    if first["type"] == "extra_forbidden":
        tables: dict[str, type[BaseModel]] = {
            "input": InputCard,
            "crop": CropCard,
            "weights": WeightsFile,
            "output": _OUTPUTS.get(str(first["loc"][1]) if len(parts) > 1 else "", RotationOutput),
        }
        table = NetworkCard if len(parts) == 1 else tables[parts[0]]
        return f"'{where}' is not known; {suggest(parts[-1], table.model_fields)}"
    return f"'{where}': {invalid_value(first)}"
