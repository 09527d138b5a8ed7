"""What decides the content of a rendered data set, and the scenes that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from math import gcd
from typing import Any

import numpy as np

from hpbench.errors import UsageError
from hpbench.rendering.assets import AssetLibrary
from hpbench.rendering.identity import Split, available
from hpbench.rendering.labels import RENDERER_VERSION
from hpbench.rendering.scene import (
    OCCLUDERS,
    PoseRanges,
    Scene,
    draw_scene,
    expressive,
    identity_for,
)

__all__ = ["NUMERIC_FACTORS", "RenderSpec", "Sweep", "apply_factor", "parse_sweep", "scenes"]

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


@dataclass(frozen=True)
class RenderSpec:
    """All that decides the content of a rendered data set.

    Attributes
    ----------
    count
        Images. With a sweep it is rounded down to whole sweeps, but at least one.
    seed
        Root of all randomness.
    size
        Image width and height in pixels.
    ranges
        Where the pose may lie.
    split
        Which skins, hair styles, environments and identities may be used.
    per_identity
        How many consecutive images (or sweeps) show the same person.
    sweep
        A factor to move; each scene is then rendered once per value.
    even_yaw
        Spread yaw in equal steps over its range instead of drawing it.
    lamp_share, occluder_share
        Share of images lit by lamps although there are environments, and of those in which
        something is worn or held before the face.
    showcase
        Images for people to look at: every fringe is kept off the eyes, nothing is held
        before the face, and the background is the environment that lights the head.
    shard
        Images per folder.
    """

    count: int
    seed: int = 7
    size: int = 256
    ranges: PoseRanges = field(default_factory=PoseRanges)
    split: Split = "train"
    per_identity: int = 6
    sweep: Sweep | None = None
    even_yaw: bool = False
    lamp_share: float = 0.25
    occluder_share: float = 0.2
    showcase: bool = False
    shard: int = 120

    @property
    def values_per_scene(self) -> int:
        """Images that are made of one scene."""
        return len(self.sweep.values) if self.sweep else 1

    @property
    def total(self) -> int:
        """Images that will be written."""
        per_scene = self.values_per_scene
        return max(self.count // per_scene, 1) * per_scene

    def to_json(self) -> dict[str, Any]:
        """A plain value that says the same."""
        return asdict(self) | {"renderer_version": RENDERER_VERSION}


def scenes(
    spec: RenderSpec, library: AssetLibrary, environments: list[str], start: int, stop: int
) -> Iterator[tuple[int, Scene, float | str | None]]:
    """Images ``start`` to ``stop``: number, scene, and the value of the swept factor."""
    names = available("environment", environments, spec.split) if environments else []
    person_of = cache(lambda index: identity_for(spec.seed, index, library, spec.split))
    for number in range(start, stop):
        scene_index, step = divmod(number, spec.values_per_scene)
        identity = person_of(scene_index // spec.per_identity)
        scene = draw_scene(
            spec.seed, scene_index, identity, library, names, spec.ranges, spec.split,
            spec.lamp_share, spec.occluder_share,
        )  # fmt: skip
        if spec.even_yaw:
            yaw = spec.ranges.yaw
            # A stride that is coprime to the count mixes sides within each identity.
            index = (scene_index * _coprime_stride(spec.total)) % spec.total
            share = (index + 0.5) / spec.total
            scene = replace(scene, yaw_deg=yaw.low + share * (yaw.high - yaw.low))
        if spec.showcase:
            scene = _showcase(scene)
        value: float | str | None = None
        if spec.sweep:
            if spec.sweep.factor == "expression":
                scene = expressive(scene, spec.seed, scene_index, library, spec.split)
            value = spec.sweep.values[step]
            scene = apply_factor(scene, spec.sweep.factor, value)
        yield number, scene, value


def _showcase(scene: Scene) -> Scene:
    return replace(
        scene,
        identity=replace(scene.identity, fringe_kept_off_eyes=True),
        background="environment" if scene.environment else scene.background,
        occluder="none" if scene.occluder == "patch" else scene.occluder,
    )


def _coprime_stride(count: int) -> int:
    """A step near the golden ratio of ``count`` that visits every index once."""
    stride = max(int(count * 0.618), 1)
    while gcd(stride, count) != 1:
        stride += 1
    return stride


def parse_sweep(text: str, hair_styles: Sequence[str]) -> Sweep:
    """Read ``FACTOR=LOW:HIGH:STEP``, ``FACTOR=A,B,C`` or, for named factors, ``FACTOR``.

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
        moved = replace(key, azimuth_deg=value_deg)
    else:
        moved = replace(key, elevation_deg=value_deg)
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
