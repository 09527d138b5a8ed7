"""The crop of a card: which part of the image is cut out, given the tight face box."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from hpbench.crops import DEFAULT_K, Bounds, CropRule, Outside, crop_box, whole_pixels
from hpbench.face import Face
from hpbench.methods.card.outputs import CardTable

__all__ = ["CropCard"]

Side = Literal["width", "height", "mean", "longer"]
"""A length of the tight box; ``mean`` is that of width and height."""

_MARGINS = ("left", "top", "right", "bottom", "in_turn", "square")


class CropCard(CardTable):
    """Which part of the image is cut out, given the tight face box.

    Attributes
    ----------
    rule : str
        See :data:`hpbench.crops.CropRule`; or ``margins``, with `left`, `top`, `right`, `bottom`
        and what follows them.
    k : float or None
        Amount of the rule. The Hopenet rules have a default (.20 test, .30 train); of ``margins``
        it is a factor of all four, 1 if not given.
    outside : {'black', 'clip', 'edge'}
        Pixels outside the image are black, or the crop ends at the image, or its edge is
        repeated.
    left, top, right, bottom : float
        How far each side moves out, in `of_x` and `of_y`; negative: in.
    of_x, of_y : {'width', 'height', 'mean', 'longer'}
        Unit of what is horizontal and of what is vertical.
    in_turn : bool
        The right and lower sides move by a share of the box that the left and upper sides have
        widened before (and the image has cut off, with ``outside = "clip"``).
    square : {'', 'longer', 'shorter', 'mean'}
        A square of that side around the middle of the widened box.
    shift_x, shift_y : float
        How far the crop moves right and down, in `of_x` and `of_y`.
    pixels : {'cut', 'round'}
        How sides become whole pixels: cut off towards zero, or the nearest.
    with_last : bool or None
        Whether the last row and column are part of the crop; if not given: with all rules but
        Hopenet's.
    """

    rule: CropRule | Literal["margins"]
    k: float | None = Field(default=None, ge=0.0, le=10.0)
    outside: Outside = "black"
    left: float = Field(default=0.0, gt=-0.5, le=10.0)
    top: float = Field(default=0.0, gt=-0.5, le=10.0)
    right: float = Field(default=0.0, gt=-0.5, le=10.0)
    bottom: float = Field(default=0.0, gt=-0.5, le=10.0)
    of_x: Side = "width"
    of_y: Side = "height"
    in_turn: bool = False
    square: Literal["", "longer", "shorter", "mean"] = ""
    shift_x: float = Field(default=0.0, ge=-10.0, le=10.0)
    shift_y: float = Field(default=0.0, ge=-10.0, le=10.0)
    pixels: Literal["cut", "round"] = "cut"
    with_last: bool | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.rule != "margins":
            for key in _MARGINS:
                if getattr(self, key):
                    raise ValueError(f"{key} belongs to rule 'margins', not to '{self.rule}'")
        if self.rule == "box":
            if self.k is not None:
                raise ValueError("rule 'box' takes the box as it is and has no k")
        elif self.k is None and self.rule not in (*DEFAULT_K, "margins"):
            raise ValueError(f"rule '{self.rule}' needs k")
        elif any(self.amount * getattr(self, key) <= -0.5 for key in _MARGINS[:4]):
            raise ValueError("k times a negative margin crosses the middle of the box")
        if self.rule == "square" and not self.k:
            raise ValueError("rule 'square' needs k above 0: the side in units of the box's longer")
        return self

    @property
    def amount(self) -> float:
        """The amount `k`, with the rule's default filled in."""
        if self.k is not None:
            return self.k
        return 1.0 if self.rule == "margins" else DEFAULT_K.get(self.rule, 0.0)

    def bounds(self, face: Face) -> Bounds | None:
        """What is cut out of an image, in whole pixels; it may reach outside of it.

        None where negative margins of another side's length cross in the middle of the box.
        """
        if self.rule == "margins":
            box = self._widened(face)
        else:
            box = list(crop_box(face.box_xyxy, self.rule, self.amount))
        if box[2] <= box[0] or box[3] <= box[1]:
            return None
        x0, y0, x1, y1 = (float(side) for side in face.box_xyxy)
        shift_x = self.shift_x * _length(self.of_x, x1 - x0, y1 - y0)
        shift_y = self.shift_y * _length(self.of_y, x1 - x0, y1 - y0)
        moved = np.add(box, (shift_x, shift_y, shift_x, shift_y))
        with_last = self.with_last
        if with_last is None:
            with_last = not self.rule.startswith("hopenet")
        if self.pixels == "round":
            moved = np.rint(moved)
        return whole_pixels(moved, with_last=with_last)

    def _widened(self, face: Face) -> list[float]:
        """The box with its margins, squared where that is asked for."""
        x0, y0, x1, y1 = (float(side) for side in face.box_xyxy)
        unit_x, unit_y = (_length(of, x1 - x0, y1 - y0) for of in (self.of_x, self.of_y))
        x0, y0 = x0 - self.amount * self.left * unit_x, y0 - self.amount * self.top * unit_y
        if self.in_turn:
            if self.outside == "clip":
                x0, y0 = max(x0, 0.0), max(y0, 0.0)
            unit_x, unit_y = (_length(of, x1 - x0, y1 - y0) for of in (self.of_x, self.of_y))
        x1, y1 = x1 + self.amount * self.right * unit_x, y1 + self.amount * self.bottom * unit_y
        if not self.square:
            return [x0, y0, x1, y1]
        width, height = x1 - x0, y1 - y0
        sides = {
            "longer": max(width, height),
            "shorter": min(width, height),
            "mean": (width + height) / 2.0,
        }
        half, x, y = sides[self.square] / 2.0, (x0 + x1) / 2.0, (y0 + y1) / 2.0
        return [x - half, y - half, x + half, y + half]

    def __str__(self) -> str:
        words = [self.rule if self.rule == "box" else f"{self.rule} k={self.amount:g}"]
        if self.rule == "margins":
            sides = (f"{side} {getattr(self, side):g}" for side in _MARGINS[:4])
            words = [f"margins {' '.join(sides)} of {self.of_x} and {self.of_y}"]
            words += [f"k={self.amount:g}"] * (self.amount != 1.0) + ["in turn"] * self.in_turn
            words += [f"a square of the {self.square} side"] * bool(self.square)
        if self.shift_x or self.shift_y:
            words.append(f"moved by {self.shift_x:g} {self.shift_y:g}")
        return f"{', '.join(words)}, outside {self.outside}"


def _length(of: Side, width: float, height: float) -> float:
    if of in ("width", "height"):
        return width if of == "width" else height
    return max(width, height) if of == "longer" else (width + height) / 2.0
