"""What a card says of a network's outputs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    field_validator,
    model_validator,
)

from hpbench.landmarks.orders import PointOrder
from hpbench.rotation import Frame

__all__ = [
    "AnglesOutput",
    "BinsOutput",
    "CardTable",
    "ConfidenceOutput",
    "LandmarksOutput",
    "OutputTable",
    "RotationOutput",
    "Triple",
]

Triple = Annotated[
    tuple[float, float, float],
    BeforeValidator(lambda value: (value,) * 3 if isinstance(value, int | float) else value),
]
"""Three numbers, or one for all three."""

Numbers = Annotated[
    tuple[float, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, int | float) else value),
    Field(min_length=1),
]
"""One number for all, or a list of them."""

SignedAngle = Literal["yaw", "pitch", "roll", "-yaw", "-pitch", "-roll"]


class CardTable(BaseModel):
    """A table of a card: immutable, a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Numbers(CardTable):
    """Arithmetic between what an output gives and what is read: ``number * scale + offset``.

    Attributes
    ----------
    take : two of int or None
        First and (excluded) last of the output's numbers that are read; all if not given.
    scale, offset : float, or one per number that is read
        A network that gives normalised numbers has the standard deviations as `scale` and the
        means as `offset`.
    """

    take: tuple[NonNegativeInt, PositiveInt] | None = None
    scale: Numbers = (1.0,)
    offset: Numbers = (0.0,)

    @model_validator(mode="after")
    def _something_taken(self) -> Self:
        if self.take is not None and self.take[0] >= self.take[1]:
            raise ValueError("take is the first number and the one after the last: [0, 12]")
        return self


class _AngleOutput(CardTable):
    """Common to all outputs that are angles.

    Attributes
    ----------
    order : three of 'yaw', 'pitch', 'roll'
        Order in the output (or of the three outputs). A leading minus means that the network
        counts the angle the other way; positive is yaw with the nose to the image's left,
        pitch up, roll clockwise.
    euler : {'canonical', 'rq', 'yxz'}
        Which triple of the rotation the angles are: this project's; that of
        :func:`hpbench.rotation.rq_angles_from_rotation`; or that of
        ``R_cam = Ry(yaw) Rx(-pitch) Rz(roll)``.
    names : tuple of str
        Outputs of the graph; in the order of the graph if not given.
    """

    order: tuple[SignedAngle, SignedAngle, SignedAngle]
    euler: Literal["canonical", "rq", "yxz"] = "canonical"
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
        if len(set(value)) < len(value):
            raise ValueError("names has one output twice; name three different ones")
        return value


class AnglesOutput(_AngleOutput, _Numbers):
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


class RotationOutput(_Numbers):
    """A whole rotation in one output.

    Attributes
    ----------
    kind : {'6d', 'matrix', 'matrix3x4', 'rotvec', 'quaternion'}
        ``6d``: the first two columns of the matrix, to be orthonormalised (Zhou et al., CVPR
        2019). ``matrix``: nine numbers row by row. ``matrix3x4``: twelve, with a translation as
        fourth column, which is not read. ``rotvec``: axis times angle in radians. ``quaternion``:
        four numbers of any length.
    frame : str
        See :data:`hpbench.rotation.Frame`.
    nearest : {'svd', 'rows'}
        What a matrix that is no rotation stands for: the nearest rotation, or the one that its
        first two rows give when each is normalised and the third is their cross product.
    order : {'wxyz', 'xyzw'} or None
        Where the real part of a quaternion is; a must for one.
    """

    kind: Literal["6d", "matrix", "matrix3x4", "rotvec", "quaternion"]
    frame: Frame
    nearest: Literal["svd", "rows"] = "svd"
    order: Literal["wxyz", "xyzw"] | None = None
    names: tuple[str, ...] = Field(default=(), max_length=1)

    @model_validator(mode="after")
    def _keys_have_a_use(self) -> Self:
        if (self.kind == "quaternion") != (self.order is not None):
            raise ValueError("kind 'quaternion', and no other, needs order = 'wxyz' or 'xyzw'")
        if self.nearest == "rows" and not self.kind.startswith("matrix"):
            raise ValueError(f"nearest = 'rows' belongs to a matrix, not to '{self.kind}'")
        return self


class LandmarksOutput(_Numbers):
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


class ConfidenceOutput(CardTable):
    """An output that says how sure the network is.

    Attributes
    ----------
    name : str
        Output of the graph.
    surer : {'larger', 'smaller'}
        Which numbers mean that it is surer; the smaller ones are stored negated.
    index : int or None
        Which number of an output that gives several per face.
    """

    name: str = Field(min_length=1)
    surer: Literal["larger", "smaller"]
    index: NonNegativeInt | None = None


OutputTable = Annotated[
    AnglesOutput | BinsOutput | RotationOutput | LandmarksOutput, Field(discriminator="kind")
]
"""One of them, by its ``kind``."""
