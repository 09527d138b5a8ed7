"""The 68 landmarks that 3DDFA_V2's second head regresses."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hpbench.crops import resize_linear
from hpbench.face import Face, crop_with_black
from hpbench.inference.published_method import WeightsOptions
from hpbench.landmarks.base import LANDMARK_COUNT, Array, LandmarkDetector
from hpbench.method import MethodCard
from hpbench.methods.tddfa.method import (
    INPUT_SIZE,
    PUBLISHED,
    Crop,
    Tddfa,
    TddfaOptions,
    roi_square,
)
from hpbench.plugin import Options
from hpbench.weights.named import resolve_weights
from hpbench.weights.store import sha256_of

__all__ = ["TddfaLandmarks"]


class TddfaLandmarkOptions(WeightsOptions):
    """Options of the landmark detector ``tddfa``."""

    crop: Crop = "landmarks"


class TddfaLandmarks(LandmarkDetector):
    """Landmarks of the head that guided the training, without the 3D face model.

    Its outputs are x of 68 points and then y, from -1 to 1 across the crop.
    """

    name = "tddfa"
    summary = "3DDFA_V2's landmark head"
    Options: ClassVar[type[Options]] = TddfaLandmarkOptions

    @classmethod
    def missing(cls) -> str | None:
        """Say that the weights have to be fetched."""
        return Tddfa.missing()

    def fingerprint(self) -> str:
        """Options and the SHA-256 of the weights."""
        return f"tddfa {self.options.crop} {sha256_of(self._path())}"

    def load(self) -> None:
        """Read the network, once per process."""
        _network(self._path())

    def card(self) -> MethodCard:
        """As of the method ``tddfa``."""
        card = Tddfa(TddfaOptions(**self.options.model_dump())).card()
        return card.model_copy(update={"title": "3DDFA_V2 landmarks", "notes": card.notes[:1]})

    def find(self, face: Face) -> Array:
        """Landmarks in the authors' crop."""
        import torch

        bounds = roi_square(face.box_xyxy, self.options.crop)
        crop = resize_linear(crop_with_black(face.image, bounds), INPUT_SIZE)
        pixels = torch.from_numpy(np.ascontiguousarray(crop[..., ::-1].transpose(2, 0, 1)))
        with torch.inference_mode():
            outputs = _network(self._path())((pixels[None].float() - 127.5) / 128.0)
        shares = (outputs[0].double().numpy().reshape(2, LANDMARK_COUNT).T + 1.0) / 2.0
        x0, y0, x1, y1 = bounds
        return np.asarray([x0, y0] + shares * [x1 - x0, y1 - y0])

    def _path(self) -> Path:
        return resolve_weights(self.options.weights, PUBLISHED)


@cache
def _network(path: Path) -> Any:
    from hpbench.methods.tddfa.network import load_network

    return load_network(path, "fc_lm")
