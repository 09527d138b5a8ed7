"""What a landmark detector is, and finding one by name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hpbench.face import Face
from hpbench.method import MethodCard, NoPrediction
from hpbench.plugin import Plugin
from hpbench.registry import Registry
from hpbench.spec import Spec

__all__ = ["LANDMARKS", "LANDMARK_COUNT", "LandmarkDetector", "make_landmark_detector"]

Array = npt.NDArray[np.float64]

LANDMARK_COUNT = 68
"""Points of the iBUG annotation that every face model is numbered by."""


class LandmarkDetector(Plugin):
    """Base class of all landmark detectors, built-in or plugged in.

    Notes
    -----
    Instances are cheap to make and pickle; models are kept by process or thread. :meth:`find` may
    be called from several threads at once.
    """

    needs_box: ClassVar[bool] = True
    """Whether a face without a usable box has no landmarks."""

    follows_outline: ClassVar[bool] = False
    """Whether hidden points are put on the visible outline, where the head has no such points, as
    annotators of 2D landmarks do; otherwise they are where they would be seen through the head."""

    largest_fit_error: ClassVar[float] = 0.12
    """Root mean square reprojection error, as a share of the face's larger extent, beyond which
    `pnp` does not believe that the landmarks are those of a face."""

    def fingerprint(self) -> str:
        """Text that changes whenever the landmarks may change.

        The default is the name and the options. A detector that reads a file adds its hash.
        """
        return f"{self.name} {self.options.model_dump_json()}"

    def load(self) -> None:
        """Read the model. Called once before the first face.

        Raises
        ------
        hpbench.errors.HpbenchError
            With one line that names the file and the fix.
        """

    def unsupported_reason(self, has_landmarks: bool) -> str | None:
        """Reason why no landmarks can be found on a data set, or None."""
        return None

    @abstractmethod
    def card(self) -> MethodCard:
        """What a reader must know about the detector: licences, weights, training data."""

    @abstractmethod
    def find(self, face: Face) -> Array | NoPrediction:
        """Landmarks of one face.

        Returns
        -------
        ndarray, shape (68, 2), or NoPrediction
            Pixels of the whole image, in iBUG order. Points may lie outside of it.
        """


LANDMARKS: Registry[LandmarkDetector] = Registry(
    "hpbench.landmarks",
    LandmarkDetector,  # type: ignore[type-abstract]
    "landmark detector",
)


def make_landmark_detector(spec: str | Spec, plugins: Sequence[Path] = ()) -> LandmarkDetector:
    """Make a landmark detector from its text form; its model is not loaded yet.

    Parameters
    ----------
    spec : str or Spec
        ``"dlib"``, ``"facemesh[python=/opt/mediapipe/bin/python]"``.
    plugins : sequence of Path
        Files named by ``--plugin``.

    Raises
    ------
    UsageError
        For an unknown detector, option or value.
    """
    cls, options, _ = LANDMARKS.configure(spec, plugins)
    return LANDMARKS.instance(cls, options, plugins=plugins)
