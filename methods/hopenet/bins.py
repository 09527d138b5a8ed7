"""The angle bins that Hopenet classifies into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["PAPER_BINS", "Bins", "BinsPerHead", "Heads", "outputs_per_head"]

Heads = Literal["bins", "regression", "rotation6d"]
"""What the three heads of a network give: bins, the angles, or together a rotation's columns."""


def outputs_per_head(heads: Heads, bins: int) -> int:
    """Outputs of each of the three heads."""
    return {"bins": bins, "regression": 1, "rotation6d": 2}[heads]


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins of equal width, the same for yaw, pitch and roll.

    Attributes
    ----------
    count : int
        Per angle.
    width_deg, first_edge_deg : float
        Width of a bin, and lower edge of the first one.
    decode_offset_deg : float
        Angle that a probability of one in the first bin decodes to. The authors' scripts use
        the lower edge, -99, and so do all weights released with them, which makes a one-hot
        prediction 1.5 degrees too small. The squared-error term of the loss trains most of that
        away, so weights have to be decoded the way they were trained; networks of this project
        are trained on the middle of the first bin, -97.5.
    """

    count: int = 66
    width_deg: float = 3.0
    first_edge_deg: float = -99.0
    decode_offset_deg: float = -99.0

    @classmethod
    def centred(cls, count: int, width_deg: float) -> Bins:
        """Bins that lie symmetrically around zero and decode to their middles."""
        first_edge = -count * width_deg / 2.0
        return cls(count, width_deg, first_edge, first_edge + width_deg / 2.0)

    @property
    def last_edge_deg(self) -> float:
        """Upper edge of the last bin."""
        return self.first_edge_deg + self.count * self.width_deg

    @property
    def values_deg(self) -> npt.NDArray[np.float64]:
        """Angle that each bin stands for in the expectation, shape (count,)."""
        return self.decode_offset_deg + self.width_deg * np.arange(self.count, dtype=np.float64)

    def __str__(self) -> str:
        """As a method's card has it."""
        first = f"decoded from {self.decode_offset_deg:g}"
        return f"{self.count} bins of {self.width_deg:g} degrees, {first}"

    def covers(self, angles_deg: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether every angle of triples (..., 3) falls into a bin, shape (...)."""
        angles = np.asarray(angles_deg, dtype=np.float64)
        inside = (angles >= self.first_edge_deg) & (angles <= self.last_edge_deg)
        return np.asarray(inside.all(axis=-1))


@dataclass(frozen=True, slots=True)
class BinsPerHead:
    """Bins that are not the same for yaw, pitch and roll, such as WHENet's 120, 66 and 66."""

    yaw: Bins
    pitch: Bins
    roll: Bins

    @property
    def values_deg(self) -> npt.NDArray[np.float64]:
        """Angle of each bin, shape (3, most bins); zero behind a head's last one."""
        heads = (self.yaw, self.pitch, self.roll)
        values = np.zeros((3, max(head.count for head in heads)))
        for row, head in zip(values, heads, strict=True):
            row[: head.count] = head.values_deg
        return values

    def __str__(self) -> str:
        return f"yaw {self.yaw}; pitch {self.pitch}; roll {self.roll}"


PAPER_BINS = Bins()
"""66 bins of 3 degrees from -99 to 99, decoded with the lower edge (arXiv:1710.00925)."""
