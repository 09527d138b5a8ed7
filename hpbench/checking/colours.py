"""What a method makes of exaggerated colours, and of red and blue exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hpbench.checking.requirements import Outcome, stack_rotations
from hpbench.face import Face
from hpbench.method import Method, Prediction
from hpbench.rotation import geodesic_deg
from hpbench.scoring.known_mistakes import MIN_FACES

__all__ = ["ColourChange", "compare_colours"]

Array = npt.NDArray[np.float64]

SATURATIONS = (1.0, 2.0, 4.0)
"""Colours are exaggerated so much before red and blue are exchanged: networks learn to bear
odd colours, and on plain images an exchange may even help. How much shows it best differs."""

MIN_COLOUR_GAIN = 0.10
"""By which share of the error an exchange of colours has to lower it to count."""

MAX_COLOUR_P = 1e-3
"""Of Wilcoxon's signed-rank test; a mean would be ruled by the few faces that fail outright."""


@dataclass(frozen=True, slots=True)
class ColourChange:
    """How a method bears exaggerated colours, as they are and with red and blue exchanged.

    Attributes
    ----------
    predicted, predicted_swapped : int
        Faces with a prediction at every saturation.
    error_deg, error_exchanged_deg : float
        Mean geodesic error of those with both predictions, over all saturations.
    largest_change_deg : float
        Largest difference that the exchange makes.
    exchange_helps : bool
        Whether errors are clearly smaller with the exchange, or predictions far more.
    """

    predicted: int
    predicted_swapped: int
    error_deg: float
    error_exchanged_deg: float
    largest_change_deg: float
    exchange_helps: bool


def compare_colours(method: Method, faces: Sequence[Face], ground_truth: Array) -> ColourChange:
    """Predict faces, with a loaded method, as they are and with red and blue exchanged."""
    outcomes = [_outcomes(method, faces, exchange) for exchange in (False, True)]
    predicted, predicted_swapped = (
        np.array([[isinstance(one, Prediction) for one in row] for row in rows]).all(axis=0)
        for rows in outcomes
    )
    both = np.flatnonzero(predicted & predicted_swapped).tolist()
    first, second = (
        np.stack([stack_rotations([row[i] for i in both])[0] for row in rows]) for rows in outcomes
    )
    error = geodesic_deg(first, ground_truth[both]).mean(axis=0)
    error_exchanged = geodesic_deg(second, ground_truth[both]).mean(axis=0)
    return ColourChange(
        predicted=int(predicted.sum()),
        predicted_swapped=int(predicted_swapped.sum()),
        error_deg=float(error.mean()) if both else float("nan"),
        error_exchanged_deg=float(error_exchanged.mean()) if both else float("nan"),
        largest_change_deg=float(geodesic_deg(first, second).max()) if both else 0.0,
        exchange_helps=_exchange_helps(error, error_exchanged)
        or predicted.sum() < predicted_swapped.sum() / 2,
    )


def _outcomes(method: Method, faces: Sequence[Face], exchange: bool) -> list[list[Outcome]]:
    """Predictions for all faces at each saturation."""
    return [
        method.predict([replace(face, image=_vivid(face.image, s, exchange)) for face in faces])
        for s in SATURATIONS
    ]


def _exchange_helps(error: Array, error_exchanged: Array) -> bool:
    """Whether an exchange of colours lowers the errors of faces, shape (n,), clearly."""
    from scipy.stats import wilcoxon

    gain = error - error_exchanged
    if len(gain) < MIN_FACES or gain.mean() <= MIN_COLOUR_GAIN * error.mean():
        return False
    return bool(wilcoxon(gain, alternative="greater").pvalue < MAX_COLOUR_P)


def _vivid(
    image: npt.NDArray[np.uint8], saturation: float, exchange: bool
) -> npt.NDArray[np.uint8]:
    """The image in exaggerated colours, with red and blue exchanged if wanted."""
    grey = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    strong = grey[..., None] + saturation * (image - grey[..., None])
    pixels = np.clip(np.rint(strong), 0.0, 255.0).astype(np.uint8)
    return np.ascontiguousarray(pixels[..., ::-1]) if exchange else pixels
