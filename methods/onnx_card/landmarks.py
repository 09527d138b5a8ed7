"""ONNX networks that give landmarks, as landmark detectors: ``pnp[landmarks=my_net.toml]``."""

from __future__ import annotations

from functools import cache

import numpy as np

from hpbench.errors import WeightsError
from hpbench.face import Face
from hpbench.landmarks.base import Array, LandmarkDetector
from hpbench.landmarks.orders import ORDERS, point_count
from hpbench.method import MethodCard, NoPrediction
from hpbench.methods.onnx_card.card import LandmarksOutput, NetworkCard
from hpbench.methods.onnx_card.method import DeclaredMethod, Onnx, OnnxOptions
from hpbench.spec import Spec

__all__ = ["OnnxLandmarks"]


class OnnxLandmarks(LandmarkDetector):
    """Any ONNX network whose card has ``output.kind = "landmarks"``."""

    name = "onnx"
    summary = "any ONNX network that gives landmarks, with a card: landmarks=my_net.toml"
    Options = OnnxOptions
    options: OnnxOptions

    @classmethod
    def claims(cls, text: str) -> Spec | None:
        """``my_net.toml`` stands for ``onnx[card=my_net.toml]``."""
        return Onnx.claims(text)

    @classmethod
    def missing(cls) -> str | None:
        """Say that onnxruntime has to be installed."""
        return Onnx.missing()

    def fingerprint(self) -> str:
        """Hashes of the card and of all weights files."""
        return f"onnx {Onnx(self.options).fingerprint()}"

    def load(self) -> None:
        """Open the network, once per process."""
        _opened(self.options)

    def card(self) -> MethodCard:
        """Describe the network."""
        return Onnx(self.options).card()

    def find(self, face: Face) -> Array | NoPrediction:
        """Landmarks of the crop, placed in the whole image."""
        network = _opened(self.options)
        pixels = network.prepare(face)
        if isinstance(pixels, NoPrediction):
            return pixels
        card = network.network_card()
        bounds = np.array(network.crop_bounds(face), dtype=np.float64)
        if card.crop.outside == "clip":
            bounds = np.clip(bounds, 0.0, np.array(face.size_wh * 2))
        outputs = [found[0][0] for found in network.infer([pixels])]
        landmarks = np.mean([_place_landmarks(output, card, bounds) for output in outputs], axis=0)
        if not np.isfinite(landmarks).all():
            return NoPrediction("the network's output is not a number")
        return np.asarray(landmarks)


class _Network(Onnx):
    def load(self) -> None:
        """Open the network, whatever it gives."""
        if not isinstance(self.network_card().output, LandmarksOutput):
            raise WeightsError(
                f"{self.card_path()}: output.kind is '{self.network_card().output.kind}'; "
                "landmarks= needs a card with output.kind = 'landmarks'"
            )
        DeclaredMethod.load(self)


@cache
def _opened(options: OnnxOptions) -> _Network:
    network = _Network(options)
    network.load()
    return network


def _place_landmarks(output: Array, card: NetworkCard, bounds_xyxy: Array) -> Array:
    """IBUG landmarks of one output in pixels of the whole image, shape (68, 2).

    The output holds two or three numbers for each point; `bounds_xyxy` (4,) is the part of the
    image that was stretched to the input.
    """
    rule = card.output
    assert isinstance(rule, LandmarksOutput)
    count = point_count(rule.points)
    if output.size not in (2 * count, 3 * count):
        raise WeightsError(
            f"card '{card.name}': the network gives {output.size} numbers per face; "
            f"'{rule.points}' has {count} points of 2 or 3"
        )
    points = output.reshape(count, -1)[ORDERS[rule.points], :2]
    if rule.unit == "pixels":
        points = points / [card.input.width, card.input.height]
    elif rule.unit == "centred":
        points = (points + 1.0) / 2.0
    corner, size = bounds_xyxy[:2], bounds_xyxy[2:] - bounds_xyxy[:2]
    return np.asarray(corner + points * size)
