"""What a camera does to light before it is an image file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from hpbench.rendering.scene import PostProcess

__all__ = ["develop", "encode_jpeg", "tone_curve"]

Floats = NDArray[np.float32]

_SHOULDER = 0.45
_CURVE_END = 8.0


def _tabulate_curve() -> Floats:
    # Sampled evenly in the square root of light, where the curve is nearly straight.
    linear = np.linspace(0.0, 1.0, 8192) ** 2 * _CURVE_END
    room = 1.0 - _SHOULDER
    above = 1.0 - room * np.exp(-np.maximum(linear - _SHOULDER, 0.0) / room)
    film = np.where(linear < _SHOULDER, linear, above)
    low, high = film * 12.92, 1.055 * np.power(film, 1 / 2.4) - 0.055
    return np.where(film <= 0.0031308, low, high).astype(np.float32)


_CURVE = _tabulate_curve()

# Quantiles of the normal distribution: drawing among them is five times as fast as from it.
_NORMAL = ndtri((np.arange(65536) + 0.5) / 65536).astype(np.float32)


def develop(linear: Floats, post: PostProcess) -> NDArray[np.uint8]:
    """Turn exposed linear light (H, W, 3) into an 8-bit sRGB image of the same shape.

    In the order of a real camera: lens blur, vignette, sensor noise, white balance, tone
    curve, saturation.
    """
    import cv2

    image = np.asarray(cv2.GaussianBlur(linear, (0, 0), post.blur_px), np.float32)
    image *= _vignette(linear.shape[0], post.vignette)
    draws = np.random.default_rng(post.seed).integers(0, len(_NORMAL), image.shape, np.uint16)
    noise = _NORMAL.take(draws)
    # In place from here on: the arrays are large, and fresh memory costs more than the sums.
    sigma = np.maximum(image, 0.0)
    sigma *= post.shot_noise**2
    sigma += post.read_noise**2
    noise *= np.sqrt(sigma, out=sigma)
    # Demosaicking smooths noise over neighbouring pixels.
    image += np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.6), np.float32)
    balanced = _transformed(image, np.diag(post.white_balance))
    display = tone_curve(np.maximum(balanced, 0.0, out=balanced))
    grey = np.tile([0.299, 0.587, 0.114], (3, 1))
    saturated = _transformed(display, grey + post.saturation * (np.eye(3) - grey))
    saturated *= 255.0
    saturated += 0.5
    return np.clip(saturated, 0, 255, out=saturated).astype(np.uint8)


def _transformed(image: Floats, matrix: NDArray[np.float64]) -> Floats:
    """An image (H, W, 3) whose colours are multiplied by a matrix (3, 3)."""
    import cv2

    return np.asarray(cv2.transform(image, matrix), np.float32)


def tone_curve(linear: Floats) -> Floats:
    """Display values 0..1 of linear light: the sRGB curve with a long shoulder for highlights.

    Up to `_SHOULDER` light is kept as it is, beyond it approaches 1 exponentially with the
    same slope, so bright skin keeps its drawing instead of burning out.
    """
    position = np.minimum(linear, _CURVE_END)
    position /= _CURVE_END
    np.sqrt(position, out=position)
    position *= len(_CURVE) - 1
    position += 0.5
    return _CURVE.take(position.astype(np.int32))


def encode_jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """An RGB image (H, W, 3) as JPEG."""
    import cv2

    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(encoded.tobytes())


def _vignette(size: int, strength: float) -> Floats:
    import cv2

    grid = np.linspace(-1, 1, size, dtype=np.float32)
    radius2 = grid[None, :] ** 2 + grid[:, None] ** 2
    darkened = np.asarray(1.0 - np.float32(strength) * radius2 / 2.0, np.float32)
    return np.asarray(cv2.merge([darkened] * 3), np.float32)
