"""Draws of head poses inside the ranges that the user asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpbench.errors import UsageError

__all__ = ["PoseRanges", "Range", "draw_pose", "parse_range"]


@dataclass(frozen=True)
class Range:
    """A closed interval of angles in degrees."""

    low: float
    high: float


@dataclass(frozen=True)
class PoseRanges:
    """Where yaw, pitch and roll may lie, in degrees, signs as everywhere in hpbench."""

    yaw: Range = Range(-90.0, 90.0)
    pitch: Range = Range(-60.0, 60.0)
    roll: Range = Range(-45.0, 45.0)


def parse_range(text: str, option: str, limit_deg: float) -> Range:
    """Read ``LOW:HIGH`` in degrees.

    Raises
    ------
    UsageError
        If it is not two numbers, they are in the wrong order, or lie beyond ``limit_deg``.
    """
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise UsageError(
            f"{option} {text}: write two numbers as LOW:HIGH, such as -45:45"
        ) from None
    if not (np.isfinite(low) and np.isfinite(high)) or low > high:
        raise UsageError(f"{option} {text}: the first number must not exceed the second")
    if max(abs(low), abs(high)) > limit_deg:
        raise UsageError(f"{option} {text}: must lie within -{limit_deg:g}:{limit_deg:g}")
    return Range(low, high)


def draw_pose(rng: np.random.Generator, ranges: PoseRanges) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees.

    Three quarters of the yaws are even over the range, the rest are near the front, where
    photographs are; pitch and roll are mostly small. A normal draw that leaves the range is
    drawn again evenly, so nothing piles up at the ends.
    """
    yaw = _mixed(rng, ranges.yaw, spread_deg=25.0, even_share=0.75)
    pitch = _mixed(rng, ranges.pitch, spread_deg=20.0, even_share=0.35)
    roll = _mixed(rng, ranges.roll, spread_deg=13.0, even_share=0.3)
    return yaw, pitch, roll


def _mixed(rng: np.random.Generator, allowed: Range, spread_deg: float, even_share: float) -> float:
    even = float(rng.uniform(allowed.low, allowed.high))
    near_zero = float(rng.normal(0.0, spread_deg))
    use_even = bool(rng.random() < even_share)
    if use_even or not allowed.low <= near_zero <= allowed.high:
        return even
    return near_zero
