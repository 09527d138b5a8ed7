"""The frontal baseline of every table: a head that always looks into the camera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpbench.face import Face
from hpbench.method import Method, MethodCard, NoPrediction, Prediction

__all__ = ["Constant"]


class Constant(Method):
    """Predicts the frontal pose, ``R_cam`` = identity, for every face.

    Its error is the spread of a data set's labels; a method that is not clearly below it has
    learnt nothing there.
    """

    name = "constant"
    summary = "always frontal: the frontal baseline of every table"

    def card(self) -> MethodCard:
        """Describe the method."""
        return MethodCard(
            name=self.name,
            title="Always frontal",
            licence="Apache-2.0",
            colour_order="none",
            crop_rule="looks neither at the image nor at the box",
        )

    def prepare(self, face: Face) -> NoPrediction | None:
        """Nothing is read of the face."""
        return None

    def infer(self, batch: Sequence[None]) -> int:
        """Count the faces."""
        return len(batch)

    def decode(self, output: int) -> list[Prediction]:
        """One identity per face."""
        return [Prediction(np.eye(3)) for _ in range(output)]
