"""Light on a rendered head: three lamps, or one HDR environment.

Either kind ends as the same small set of numbers that the shader reads: second-order
spherical harmonics for the soft light (Ramamoorthi and Hanrahan, "An efficient
representation for irradiance environment maps", SIGGRAPH 2001) and up to three directional
lights, of which the first casts a shadow. Directions are in the viewer's axes: x to the
image's right, y up, z to the viewer. Light is linear and scaled so that a white surface
that faces the camera reflects about 1.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpbench.errors import DataError, MissingDependencyError

__all__ = [
    "ENVIRONMENTS_VARIABLE",
    "LUMINANCE",
    "Environment",
    "Lamp",
    "LightRig",
    "direction",
    "draw_lamps",
    "environment_light",
    "environment_rotation",
    "find_environments",
    "lamp_light",
    "load_environment",
]

Floats = NDArray[np.float32]

ENVIRONMENTS_VARIABLE = "HPBENCH_ENVIRONMENTS"

PANORAMA_SIZE = (512, 256)
"""Width and height to which every panorama is brought: enough for light and blurred backgrounds."""

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Shares of linear red, green and blue (ITU-R BT.709)."""

# Constants of the nine real spherical harmonics up to order two, and what a cosine lobe
# keeps of each order (pi, 2 pi / 3, pi / 4), divided by pi for reflected radiance.
SH_CONSTANTS = np.array(
    [0.282095, 0.488603, 0.488603, 0.488603, 1.092548, 1.092548, 0.315392, 1.092548, 0.546274]
)
COSINE_LOBE = np.array([1.0] + [2.0 / 3.0] * 3 + [0.25] * 5)

# How much of the light's colour a camera takes out; all of it would make sunsets noon.
WHITE_BALANCE_SHARE = 0.6

# Second-order harmonics lack the many small bounces that mix colours on a real face: taken
# as they are, a blue sky over green grass paints skin purple.
LIGHT_SATURATION = 0.6

# The share of the sphere whose brightness is treated as a lamp of its own, with a shadow.
KEY_LIGHT_PERCENTILE = 99.0


@dataclass(frozen=True)
class Lamp:
    """A distant lamp: where it stands as seen from the face, and its linear colour.

    Azimuth is positive to the image's right, elevation positive upwards; 0, 0 is behind
    the camera.
    """

    azimuth_deg: float
    elevation_deg: float
    rgb: tuple[float, float, float]


@dataclass(frozen=True)
class LightRig:
    """Light as the shader reads it.

    Attributes
    ----------
    directions : ndarray, shape (L, 3)
        Unit vectors towards the directional lights, one or three; the first casts a shadow.
    colours : ndarray, shape (L, 3)
        Their linear colours.
    sh : ndarray, shape (9, 3)
        Coefficients of 1, y, z, x, xy, yz, 3z^2-1, xz, x^2-y^2 for reflected soft light.
    panorama : ndarray, shape (H, W, 3)
        What eyes mirror: equirectangular, straight up in the first row.
    panorama_rotation : ndarray, shape (3, 3)
        Takes directions of the panorama to the viewer's axes.
    """

    directions: Floats
    colours: Floats
    sh: Floats
    panorama: Floats
    panorama_rotation: Floats


@dataclass(frozen=True)
class Environment:
    """An HDR panorama, with its brightest spots set apart as a key light.

    ``view_panorama`` (H, W, 3) is linear and without extreme highlights, to be seen behind a head,
    ``small_panorama`` what eyes mirror; ``soft_directions`` and ``soft_radiance`` (N, 3) are what
    is left without the key light; ``key_direction`` (3,) and ``key_rgb`` (3,) describe it.
    """

    view_panorama: Floats
    small_panorama: Floats
    soft_directions: Floats
    soft_radiance: Floats
    key_direction: Floats
    key_rgb: Floats


def find_environments(folder: Path | None = None) -> dict[str, Path]:
    """EXR panoramas by name in ``folder``, or else in ``$HPBENCH_ENVIRONMENTS``; may be none.

    Raises
    ------
    DataError
        If a folder was named that holds no ``.exr`` file.
    """
    if folder is None:
        named = os.environ.get(ENVIRONMENTS_VARIABLE)
        if not named:
            return {}
        folder = Path(named)
    found = {path.stem: path for path in sorted(folder.glob("*.exr"))}
    if not found:
        raise DataError(
            f"{folder}: contains no .exr panorama; pass --environments DIR "
            "(CC0 ones: polyhaven.com, or the npm package @pmndrs/assets)"
        )
    return found


def load_environment(path: Path) -> Environment:
    """Read an equirectangular EXR panorama, and bring it to 512 x 256 pixels.

    Raises
    ------
    MissingDependencyError
        If the OpenEXR package is not installed.
    DataError
        If the file is missing or corrupted, or the image is not twice as wide as high.
    """
    import cv2

    try:
        import OpenEXR
    except ImportError as error:
        raise MissingDependencyError(
            "--environments: needs the OpenEXR package; pip install 'hpbench[synth]'"
        ) from error
    if not path.is_file():
        raise DataError(f"{path}: does not exist; name a folder of .exr files with --environments")
    try:
        with OpenEXR.File(str(path)) as file:
            channels = file.channels()
            name = "RGB" if "RGB" in channels else "RGBA"
            pixels = np.asarray(channels[name].pixels, np.float32)[..., :3]
    except Exception as error:  # the binding raises bare exceptions of several kinds
        raise DataError(f"{path}: cannot be read as an RGB OpenEXR panorama; fetch it again") from (
            error
        )
    pixels = np.clip(np.nan_to_num(pixels, posinf=6e4), 0.0, 6e4)
    height, width = pixels.shape[:2]
    if width != 2 * height:
        raise DataError(
            f"{path}: is {width} x {height} pixels; an equirectangular panorama is twice as wide "
            "as high"
        )
    shrinks = width > PANORAMA_SIZE[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR  # areas keep the light's sum
    resized = cv2.resize(pixels, PANORAMA_SIZE, interpolation=method)
    return _analyse(np.asarray(resized, np.float32))


def environment_rotation(azimuth_deg: float, tilt_deg: float, mirrored: bool) -> Floats:
    """Matrix (3, 3) from panorama to viewer's axes: turned by azimuth, tilted, maybe mirrored."""
    a, t = np.radians([azimuth_deg, tilt_deg])
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(t), -np.sin(t)], [0, np.sin(t), np.cos(t)]])
    mirror = np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
    return (tilt @ turn @ mirror).astype(np.float32)


def environment_light(
    environment: Environment, rotation: Floats
) -> tuple[LightRig, NDArray[np.float64]]:
    """Light of an environment turned by ``rotation`` (3, 3), metered to 1 on white, and its gain.

    The gain (3,) is what radiance of the panorama was multiplied with, for the background.
    """
    directions = environment.soft_directions @ rotation.T
    basis = _sh_basis(directions) * SH_CONSTANTS
    sh = (basis.T @ environment.soft_radiance) * (COSINE_LOBE * SH_CONSTANTS)[:, None]
    key_direction = rotation @ environment.key_direction
    lights = key_direction[None].astype(np.float32)
    # A key light much stronger than the rest burns faces out and is rare in photographs that
    # people keep; the sun behind a head stays a rim.
    colours = np.asarray(environment.key_rgb, np.float32)[None].copy()
    scale = _metered_scale(sh, lights, colours)
    limit = 1.3 if key_direction[2] > 0 else 0.9
    strongest = float(colours[0].max() * scale)
    if strongest > limit:
        colours[0] *= limit / strongest
        scale = _metered_scale(sh, lights, colours)
    gain = scale * _white_balance(sh, lights, colours)
    rig = LightRig(
        lights,
        _paler(colours * gain),
        _paler(sh * gain),
        (environment.small_panorama * gain).astype(np.float32),
        rotation,
    )
    return rig, gain


def draw_lamps(rng: np.random.Generator) -> tuple[tuple[Lamp, ...], tuple[float, float, float]]:
    """Three lamps (key, fill, rim) and the linear colour of the light from everywhere."""
    warmth = float(rng.normal(0.0, 0.1))
    key = Lamp(
        float(np.clip(rng.normal(0.0, 45.0), -110.0, 110.0)),
        float(rng.uniform(-5.0, 65.0)),
        _warm(rng.uniform(0.5, 1.3), warmth),
    )
    fill = Lamp(
        float(-np.sign(key.azimuth_deg) * rng.uniform(10.0, 80.0)),
        float(rng.uniform(-10.0, 45.0)),
        _warm(rng.uniform(0.0, 0.5), float(rng.normal(0.0, 0.15))),
    )
    rim = Lamp(
        float(rng.choice([-1.0, 1.0]) * rng.uniform(120.0, 170.0)),
        float(rng.uniform(0.0, 60.0)),
        _warm(rng.uniform(0.3, 1.2) if rng.random() < 0.4 else 0.0, float(rng.normal(0.0, 0.15))),
    )
    return (key, fill, rim), _warm(rng.uniform(0.2, 0.6), float(rng.normal(0.0, 0.08)))


def lamp_light(lamps: tuple[Lamp, ...], ambient_rgb: tuple[float, float, float]) -> LightRig:
    """Light of up to three lamps over an even, slightly top-heavy ambient."""
    lights = np.tile(np.array([0.0, 0.0, 1.0], np.float32), (3, 1))
    colours = np.zeros((3, 3), np.float32)
    for row, lamp in enumerate(lamp for lamp in lamps if max(lamp.rgb) > 0):
        lights[row] = direction(lamp.azimuth_deg, lamp.elevation_deg)
        colours[row] = lamp.rgb
    sh = np.zeros((9, 3))
    sh[0] = ambient_rgb
    sh[1] = 0.3 * sh[0]  # ceilings and skies are brighter than floors
    scale = _metered_scale(sh, lights, colours)
    panorama = _softbox_panorama(lights, colours, np.array(ambient_rgb)) * scale
    return LightRig(
        lights,
        (colours * scale).astype(np.float32),
        (sh * scale).astype(np.float32),
        panorama.astype(np.float32),
        np.eye(3, dtype=np.float32),
    )


def direction(azimuth_deg: float, elevation_deg: float) -> Floats:
    """Unit vector (3,) towards a lamp, viewer's axes."""
    a, e = np.radians([azimuth_deg, elevation_deg])
    return np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)], np.float32)


def _analyse(pixels: Floats) -> Environment:
    directions, solid_angle = _panorama_directions(*pixels.shape[:2])
    luminance = pixels @ LUMINANCE
    cap = np.percentile(luminance, KEY_LIGHT_PERCENTILE)
    keep = np.minimum(1.0, cap / np.maximum(luminance, 1e-6))[..., None]
    soft, excess = pixels * keep, pixels * (1.0 - keep)
    weighted = excess * solid_angle[..., None]
    towards = np.einsum("hwc,hw->c", directions, weighted @ LUMINANCE)
    length = float(np.linalg.norm(towards))
    key_direction = towards / length if length > 1e-9 else np.array([0.0, 0.5, 0.866])
    soft_small = _shrink(soft, 8)
    small_directions, small_angle = _panorama_directions(*soft_small.shape[:2])
    return Environment(
        view_panorama=np.minimum(pixels, 20.0 * pixels.mean() + 1.0),
        small_panorama=np.minimum(_shrink(pixels, 4), 60.0),
        soft_directions=small_directions.reshape(-1, 3).astype(np.float32),
        soft_radiance=(soft_small * small_angle[..., None]).reshape(-1, 3).astype(np.float32),
        key_direction=key_direction.astype(np.float32),
        key_rgb=(weighted.sum(axis=(0, 1)) / np.pi).astype(np.float32),
    )


def _panorama_directions(
    height: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit direction (H, W, 3) and solid angle (H, W) of an equirectangular pixel."""
    polar = (np.arange(height) + 0.5) / height * np.pi
    azimuth = (np.arange(width) + 0.5) / width * 2 * np.pi - np.pi
    polar, azimuth = np.meshgrid(polar, azimuth, indexing="ij")
    directions = np.stack(
        [np.sin(polar) * np.sin(azimuth), np.cos(polar), -np.sin(polar) * np.cos(azimuth)], axis=-1
    )
    return directions, np.sin(polar) * (np.pi / height) * (2 * np.pi / width)


def _shrink(image: Floats, factor: int) -> Floats:
    """Mean over blocks of ``factor`` x ``factor`` pixels."""
    height, width = image.shape[:2]
    blocks = image.reshape(height // factor, factor, width // factor, factor, 3)
    return blocks.mean(axis=(1, 3), dtype=np.float64).astype(np.float32)


def _sh_basis(directions: Floats) -> NDArray[np.float64]:
    """The nine polynomials (N, 9), without constants, at unit vectors (N, 3)."""
    x, y, z = directions.astype(np.float64).T
    return np.stack(
        [np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y], axis=1
    )


def _metered_rgb(sh: NDArray[np.float64], lights: Floats, colours: Floats) -> NDArray[np.float64]:
    """Mean light (3,) that white surfaces send to the camera, weighted by how they face it."""
    normals = _facing_normals()
    soft = np.maximum(_sh_basis(normals) @ sh, 0.0)
    direct = np.maximum(normals @ lights.T, 0.0) @ colours
    # Shadows take away about a third of direct light on a face.
    return np.average(soft + 0.7 * direct, axis=0, weights=normals[:, 2])


def _metered_scale(sh: NDArray[np.float64], lights: Floats, colours: Floats) -> float:
    """Factor that makes white surfaces reflect 1 to the camera."""
    return 1.0 / max(float(_metered_rgb(sh, lights, colours) @ LUMINANCE), 1e-4)


def _white_balance(sh: NDArray[np.float64], lights: Floats, colours: Floats) -> NDArray[np.float64]:
    """Gains (3,) that take out most of the light's colour, as cameras do by themselves."""
    rgb = np.maximum(_metered_rgb(sh, lights, colours), 1e-6)
    gains = (float(rgb @ LUMINANCE) / rgb) ** WHITE_BALANCE_SHARE
    return np.clip(gains, 0.6, 1.7)


def _paler(light: NDArray[np.float64]) -> Floats:
    """Light (N, 3) with part of its colour taken out, brightness kept."""
    grey = (light @ LUMINANCE)[:, None]
    return (grey + LIGHT_SATURATION * (light - grey)).astype(np.float32)


def _facing_normals() -> Floats:
    """Directions over the half sphere towards the camera (Fibonacci lattice)."""
    i = np.arange(64) + 0.5
    z = i / 64
    angle = np.pi * (1 + 5**0.5) * i
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1).astype(np.float32)


def _softbox_panorama(
    lights: Floats, colours: Floats, ambient: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A panorama with a bright soft patch per lamp, for reflections in eyes."""
    directions, _ = _panorama_directions(64, 128)
    panorama = np.broadcast_to(0.6 * ambient, directions.shape).copy()
    panorama *= 0.6 + 0.4 * directions[..., 1:2]
    for towards, colour in zip(lights, colours, strict=True):
        closeness = directions @ towards
        patch = 1.0 / (1.0 + np.exp(-(closeness - np.cos(np.radians(12.0))) * 150.0))
        panorama += 25.0 * patch[..., None] * colour
    return panorama


def _warm(level: float, warmth: float) -> tuple[float, float, float]:
    """A light colour of mean ``level`` shifted towards red (warmth > 0) or blue."""
    return float(level * np.exp(warmth)), float(level), float(level * np.exp(-1.5 * warmth))
