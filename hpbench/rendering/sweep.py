"""One factor moved over its values while everything else in a scene stands still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpbench.errors import UsageError
from hpbench.rendering.lighting import Lamp
from hpbench.rendering.scene import OCCLUDERS, Scene

__all__ = ["NUMERIC_FACTORS", "Sweep", "apply_factor", "parse_sweep"]

NUMERIC_FACTORS: Mapping[str, tuple[float, float]] = {
    "yaw": (-90.0, 90.0),
    "pitch": (-90.0, 90.0),
    "roll": (-180.0, 180.0),
    "fov": (4.0, 90.0),
    "light_azimuth": (-360.0, 360.0),
    "light_elevation": (-90.0, 90.0),
    "exposure": (-4.0, 4.0),
    "expression": (0.0, 2.0),
    "occlusion": (0.0, 0.9),
}
"""Factors with numeric values, and their limits: degrees, stops, or shares."""

NAMED_FACTORS = ("hair", "occluder")


@dataclass(frozen=True)
class Sweep:
    """A factor and the values that it takes, in order."""

    factor: str
    values: tuple[float | str, ...]


def parse_sweep(text: str, hair_styles: Sequence[str]) -> Sweep:
    """Read ``FACTOR=LOW:HIGH:STEP``, ``FACTOR=A,B,C`` or, for named factors, ``FACTOR``.

    Parameters
    ----------
    text
        Such as ``yaw=-90:90:2``, ``exposure=-2,0,2``, ``hair`` or ``occluder=none,glasses``.
    hair_styles
        What ``hair`` may be, besides ``none``.

    Raises
    ------
    UsageError
        If the factor is unknown, or a value is malformed or out of its limits.
    """
    factor, _, listed = text.partition("=")
    if factor in NAMED_FACTORS:
        allowed = ("none", *hair_styles) if factor == "hair" else OCCLUDERS
        names = tuple(listed.split(",")) if listed else tuple(allowed)
        unknown = [name for name in names if name not in allowed]
        if unknown:
            raise UsageError(
                f"--sweep {factor}: no '{unknown[0]}'; choose from {', '.join(allowed)}"
            )
        return Sweep(factor, names)
    if factor not in NUMERIC_FACTORS:
        known = ", ".join([*NUMERIC_FACTORS, *NAMED_FACTORS])
        raise UsageError(f"--sweep {text}: no factor '{factor}'; choose from {known}")
    values = _parse_numbers(factor, listed)
    low, high = NUMERIC_FACTORS[factor]
    outside = [value for value in values if not low <= value <= high]
    if outside:
        raise UsageError(f"--sweep {factor}: {outside[0]:g} is outside {low:g}:{high:g}")
    return Sweep(factor, values)


def apply_factor(scene: Scene, factor: str, value: float | str) -> Scene:
    """The same scene with one factor set.

    ``light_azimuth`` turns the whole environment, or the key lamp. ``light_elevation`` needs a
    lamp: a scene lit by an environment gets its three lamps instead. ``occlusion`` is the
    share of the landmark box that a patch covers. ``hair`` takes a hat off, which hides it.
    """
    if isinstance(value, str):
        if factor == "hair":
            occluder = "none" if scene.occluder == "hat" else scene.occluder
            identity = replace(scene.identity, hair=value)
            return replace(scene, identity=identity, occluder=occluder)
        return replace(scene, occluder=value)  # type: ignore[arg-type]
    if factor in ("yaw", "pitch", "roll", "fov"):
        return replace(scene, **{f"{factor}_deg": value})  # type: ignore[arg-type]
    if factor == "exposure":
        return replace(scene, exposure_ev=value)
    if factor == "expression":
        return replace(scene, expression=scene.expression.scaled(value))
    if factor == "occlusion":
        return replace(scene, occluder="patch" if value > 0 else "none", patch_share=value)
    return _move_light(scene, factor, value)


def _move_light(scene: Scene, factor: str, value_deg: float) -> Scene:
    if factor == "light_azimuth" and scene.environment is not None:
        return replace(scene, light_azimuth_deg=value_deg)
    key, *others = scene.lamps
    if factor == "light_azimuth":
        moved = Lamp(value_deg, key.elevation_deg, key.rgb)
    else:
        moved = Lamp(key.azimuth_deg, value_deg, key.rgb)
    # The environment is gone from behind the head too.
    background = "clutter" if scene.background == "environment" else scene.background
    return replace(scene, lamps=(moved, *others), environment=None, background=background)


def _parse_numbers(factor: str, listed: str) -> tuple[float, ...]:
    malformed = UsageError(
        f"--sweep {factor}={listed}: write LOW:HIGH:STEP or numbers with commas, "
        f"such as {factor}=0:1:0.5"
    )
    try:
        if ":" not in listed:
            numbers = [float(part) for part in listed.split(",")]
        else:
            low, high, step = (float(part) for part in listed.split(":"))
            if step <= 0 or high < low or (high - low) / step > 10_000:
                raise malformed
            # Half a step of slack keeps the upper end in despite rounding.
            count = int(np.floor((high - low) / step + 1e-6)) + 1
            numbers = [low + step * i for i in range(count)]
    except ValueError:
        raise malformed from None
    if not np.isfinite(numbers).all():
        raise malformed
    return tuple(numbers)
