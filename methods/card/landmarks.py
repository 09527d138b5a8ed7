"""Networks that give landmarks, as landmark detectors: ``pnp[landmarks=my_net.toml]``."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np

from hpbench.errors import WeightsError
from hpbench.face import Face
from hpbench.landmarks.base import Array, LandmarkDetector
from hpbench.landmarks.orders import ORDERS, POINT_COUNTS
from hpbench.method import MethodCard, NoPrediction
from hpbench.methods.card.card import NetworkCard
from hpbench.methods.card.decode import numbers_of
from hpbench.methods.card.method import CardMethod, CardOptions, DeclaredMethod
from hpbench.methods.card.outputs import LandmarksOutput
from hpbench.plugin import BaseOptions
from hpbench.spec import Spec

__all__ = ["CardLandmarks"]


class CardLandmarks(LandmarkDetector):
    """Any network whose card has ``output.kind = "landmarks"``."""

    name = "card"
    summary = "any network that gives landmarks, with a card: landmarks=my_net.toml"
    Options = CardOptions
    options: CardOptions

    def __init__(self, options: BaseOptions | None = None) -> None:
        super().__init__(options)
        self._network = _Network(self.options)
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.options,)  # another process opens the network itself

    @classmethod
    def claims(cls, text: str) -> Spec | None:
        """``my_net.toml`` stands for ``card[file=my_net.toml]``."""
        return CardMethod.claims(text)

    @classmethod
    def missing(cls) -> str | None:
        """Say that onnxruntime has to be installed."""
        return CardMethod.missing()

    def fingerprint(self) -> str:
        """Hashes of the card and of all weights files."""
        return f"card {self._network.fingerprint()}"

    def fingerprint_is_complete(self) -> bool:
        """The card and its networks are all that is read."""
        return True

    def spec_in_tables(self, spec: Spec) -> Spec:
        """The card's name in place of its path."""
        return self._network.spec_in_tables(spec)

    def load(self) -> None:
        """Open the network, once."""
        with self._lock:
            self._network.load()

    def card(self) -> MethodCard:
        """Describe the network."""
        return self._network.card()

    def find(self, face: Face) -> Array | NoPrediction:
        """Landmarks of the crop, placed in the whole image."""
        network = self._network
        pixels = network.prepare(face)
        if isinstance(pixels, NoPrediction):
            return pixels
        card = network.network_card()
        bounds = np.array(card.crop.bounds(face), dtype=np.float64)
        if card.crop.outside == "clip":
            bounds = np.clip(bounds, 0.0, np.array(face.size_wh * 2))
        with self._lock:  # some runtimes keep inputs and outputs in the network
            network.load()
            outputs = [found[0][0] for found in network.infer([pixels])]
        landmarks = np.mean([_place_landmarks(output, card, bounds) for output in outputs], axis=0)
        if not np.isfinite(landmarks).all():
            return NoPrediction("the network's output is not a number")
        return np.asarray(landmarks)


class _Network(CardMethod):
    def load(self) -> None:
        """Open the network, unless it is open."""
        if self._networks:
            return
        if not isinstance(self.network_card().output, LandmarksOutput):
            raise WeightsError(
                f"{self.card_path()}: output.kind is '{self.network_card().output.kind}'; "
                "landmarks= needs a card with output.kind = 'landmarks'"
            )
        DeclaredMethod.load(self)

    def check_outputs(self, output: list[list[Array]]) -> None:
        """Place what the networks give for one face."""
        size = np.array([0.0, 0.0, self.network_card().input.width, 1.0])
        for found in output:
            try:
                _place_landmarks(found[0][0], self.network_card(), size)
            except WeightsError as error:
                raise WeightsError(f"{self.card_path()}: {error}") from error


def _place_landmarks(output: Array, card: NetworkCard, bounds_xyxy: Array) -> Array:
    """IBUG landmarks of one output in pixels of the whole image, shape (68, 2).

    The output holds two or three numbers for each point; `bounds_xyxy` (4,) is the part of the
    image that was stretched to the input.
    """
    rule = card.output
    assert isinstance(rule, LandmarksOutput)
    count = POINT_COUNTS[rule.points]
    numbers = numbers_of([output[None]], rule, (2 * count, 3 * count), rule.points)
    points = numbers.reshape(count, -1)[ORDERS[rule.points], :2]
    if rule.unit == "pixels":
        points = points / [card.input.width, card.input.height]
    elif rule.unit == "centred":
        points = (points + 1.0) / 2.0
    corner, size = bounds_xyxy[:2], bounds_xyxy[2:] - bounds_xyxy[:2]
    return np.asarray(corner + points * size)
