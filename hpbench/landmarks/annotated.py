"""The data set's own landmarks, to test a solver alone."""

from __future__ import annotations

from hpbench.face import Face
from hpbench.landmarks.base import Array, LandmarkDetector
from hpbench.method import MethodCard, NoPrediction

__all__ = ["Annotated"]

_NO_LANDMARKS = "the data set has no annotated landmarks; use landmarks=dlib"


class Annotated(LandmarkDetector):
    """Landmarks that people placed; they look neither at the image nor at the box."""

    name = "annotated"
    summary = "the data set's own points, to test the solver alone"
    needs_box = False

    def unsupported_reason(self, has_landmarks: bool) -> str | None:
        """Data sets without landmarks are rejected."""
        return None if has_landmarks else _NO_LANDMARKS

    def card(self) -> MethodCard:
        """No network and no image."""
        return MethodCard(
            name=self.name,
            title="annotated landmarks",
            colour_order="none",
            crop_rule="looks neither at the image nor at the box",
            notes=(
                "Reads the annotated landmarks: a test of the solver alone, not to be compared "
                "with methods that see only the image.",
            ),
        )

    def find(self, face: Face) -> Array | NoPrediction:
        """The annotation as it is."""
        return NoPrediction(_NO_LANDMARKS) if face.landmarks_xy is None else face.landmarks_xy
