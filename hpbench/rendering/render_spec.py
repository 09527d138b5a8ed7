"""What decides the content of a rendered data set, and the scenes that follow from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from math import gcd
from typing import Any

from hpbench.rendering.assets import AssetLibrary
from hpbench.rendering.identity import Split, available
from hpbench.rendering.labels import RENDERER_VERSION
from hpbench.rendering.pose_sampling import PoseRanges
from hpbench.rendering.scene import Scene, draw_scene, expressive, identity_for
from hpbench.rendering.sweep import Sweep, apply_factor

__all__ = ["RenderSpec", "scenes"]


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
        return dataclasses.asdict(self) | {"renderer_version": RENDERER_VERSION}


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
            spec.seed,
            scene_index,
            identity,
            library,
            names,
            spec.ranges,
            spec.split,
            spec.lamp_share,
            spec.occluder_share,
        )
        if spec.even_yaw:
            yaw = spec.ranges.yaw
            # A stride that is coprime to the count mixes sides within each identity.
            index = (scene_index * _coprime_stride(spec.total)) % spec.total
            share = (index + 0.5) / spec.total
            scene = dataclasses.replace(scene, yaw_deg=yaw.low + share * (yaw.high - yaw.low))
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
    return dataclasses.replace(
        scene,
        identity=dataclasses.replace(scene.identity, fringe_kept_off_eyes=True),
        background="environment" if scene.environment else scene.background,
        occluder="none" if scene.occluder == "patch" else scene.occluder,
    )


def _coprime_stride(count: int) -> int:
    """A step near the golden ratio of ``count`` that visits every index once."""
    stride = max(int(count * 0.618), 1)
    while gcd(stride, count) != 1:
        stride += 1
    return stride
