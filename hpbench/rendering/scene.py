"""Everything that decides one image, drawn before anything is rendered.

A `Scene` is a plain value: the same scene gives the same image, and replacing one field
changes that one thing and nothing else. Sweeps and label tables are built on that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hpbench.errors import UsageError
from hpbench.rendering.assets import AssetLibrary
from hpbench.rendering.backgrounds import BackgroundKind
from hpbench.rendering.identity import Expression, Identity, Split, draw_expression, draw_identity
from hpbench.rendering.lighting import Lamp, draw_lamps

__all__ = [
    "OCCLUDERS",
    "PoseRanges",
    "PostProcess",
    "Range",
    "Scene",
    "draw_pose",
    "draw_scene",
    "expressive",
    "identity_for",
    "parse_range",
]

Occluder = Literal["none", "glasses", "sunglasses", "hat", "patch"]
OCCLUDERS: tuple[Occluder, ...] = ("none", "glasses", "sunglasses", "hat", "patch")

# Streams of random numbers that must never be the same for one seed.
_IDENTITY_STREAM, _SCENE_STREAM, _EXPRESSION_STREAM = 1, 2, 3
_SPLIT_STREAM = {"train": 1, "heldout": 2, "all": 3}


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


@dataclass(frozen=True)
class PostProcess:
    """What the camera adds: lens blur, vignette, sensor noise, colour, compression."""

    blur_px: float
    vignette: float
    shot_noise: float
    read_noise: float
    white_balance: tuple[float, float, float]
    saturation: float
    jpeg_quality: int
    seed: int


@dataclass(frozen=True)
class Scene:
    """One image to be rendered.

    Angles are the *labelled* pose in degrees. ``zoom`` scales the pictured field around the
    face, ``shift`` moves the face in the image as a share of its half size (right, up)
    like a crop from a larger photograph: the head stays on the optical axis. ``torso_share``
    is how far the shoulders turn along with the head.
    """

    seed: int
    identity: Identity
    expression: Expression
    gaze_deg: tuple[float, float]
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    torso_share: float
    fov_deg: float
    zoom: float
    shift: tuple[float, float]
    environment: str | None
    light_azimuth_deg: float
    light_tilt_deg: float
    light_mirrored: bool
    lamps: tuple[Lamp, ...]
    ambient_rgb: tuple[float, float, float]
    shadow_strength: float
    shadow_softness_dm: float
    skin_shine: float
    exposure_ev: float
    background: BackgroundKind
    background_widening: float
    background_gain: float
    occluder: Occluder
    occluder_rgb: tuple[float, float, float]
    patch_share: float
    patch_side: int
    post: PostProcess


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


def identity_for(seed: int, index: int, library: AssetLibrary, split: Split) -> Identity:
    """The ``index``-th person of a data set with this seed; splits never share one."""
    rng = np.random.default_rng([seed, _IDENTITY_STREAM, _SPLIT_STREAM[split], index])
    return draw_identity(rng, library, split, index)


def draw_scene(
    seed: int,
    index: int,
    identity: Identity,
    library: AssetLibrary,
    environments: Sequence[str],
    ranges: PoseRanges,
    split: Split,
    lamp_share: float = 0.25,
    occluder_share: float = 0.2,
) -> Scene:
    """Draw image ``index`` of a data set; seed and index decide every draw.

    One of the ``environments`` lights it, or lamps, in ``lamp_share`` of the images and where
    there is none. In ``occluder_share`` something is worn or held before the face.
    """
    rng = np.random.default_rng([seed, _SCENE_STREAM, _SPLIT_STREAM[split], index])
    yaw, pitch, roll = draw_pose(rng, ranges)
    lamps, ambient = draw_lamps(rng)
    lit_by_lamps = bool(rng.random() < lamp_share) or not environments
    environment = str(rng.choice(list(environments))) if environments else None
    background = str(rng.choice(["environment", "backdrop", "clutter"], p=[0.7, 0.1, 0.2]))
    if lit_by_lamps:
        background = str(rng.choice(["backdrop", "clutter"], p=[0.4, 0.6]))
    wears = bool(rng.random() < occluder_share)
    occluder = str(rng.choice(OCCLUDERS[1:], p=[0.5, 0.15, 0.2, 0.15])) if wears else "none"
    return Scene(
        seed=int(rng.integers(2**31)),
        identity=identity,
        expression=draw_expression(rng, library, identity),
        gaze_deg=(
            float(np.clip(rng.normal(0, 9), -22, 22)),
            float(np.clip(rng.normal(0, 5), -10, 10)),
        ),
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        torso_share=float(rng.uniform(0.15, 0.9)),
        fov_deg=float(np.exp(rng.uniform(np.log(9.0), np.log(38.0)))),
        zoom=float(rng.uniform(0.9, 1.3)),
        shift=(float(rng.normal(0, 0.06)), float(rng.normal(0, 0.06))),
        environment=None if lit_by_lamps else environment,
        light_azimuth_deg=float(rng.uniform(0, 360)),
        light_tilt_deg=float(rng.normal(0, 8)),
        light_mirrored=bool(rng.random() < 0.5),
        lamps=lamps,
        ambient_rgb=ambient,
        shadow_strength=float(rng.uniform(0.75, 1.0)),
        shadow_softness_dm=float(rng.uniform(0.028, 0.094)),
        skin_shine=float(rng.uniform(0.3, 1.1)),
        exposure_ev=float(np.clip(rng.normal(0.0, 0.35), -0.8, 0.7)),
        background=background,  # type: ignore[arg-type]
        background_widening=float(rng.uniform(1.0, 3.0)),
        background_gain=float(np.exp(rng.normal(0.0, 0.25))),
        occluder=occluder,  # type: ignore[arg-type]
        occluder_rgb=tuple(float(v) for v in rng.uniform(0.01, 0.25) * rng.uniform(0.4, 1, 3)),  # type: ignore[arg-type]
        patch_share=float(rng.uniform(0.15, 0.45)),
        patch_side=int(rng.integers(4)),
        post=_draw_post(rng),
    )


def expressive(scene: Scene, seed: int, index: int, library: AssetLibrary, split: Split) -> Scene:
    """The scene, with an expression drawn for it if it has none whose strength could be moved."""
    rng = np.random.default_rng([seed, _EXPRESSION_STREAM, _SPLIT_STREAM[split], index])
    while not scene.expression.weights:
        scene = replace(scene, expression=draw_expression(rng, library, scene.identity))
    return scene


def _draw_post(rng: np.random.Generator) -> PostProcess:
    return PostProcess(
        blur_px=float(rng.uniform(0.3, 0.9) if rng.random() < 0.85 else rng.uniform(0.9, 1.6)),
        vignette=float(rng.uniform(0.0, 0.25)),
        shot_noise=float(rng.uniform(0.002, 0.02)),
        read_noise=float(rng.uniform(0.0005, 0.004)),
        white_balance=tuple(float(v) for v in np.exp(rng.normal(0, 0.04, 3))),  # type: ignore[arg-type]
        saturation=float(np.clip(rng.normal(1.0, 0.15), 0.5, 1.35)),
        jpeg_quality=int(rng.integers(80, 96)),
        seed=int(rng.integers(2**31)),
    )
