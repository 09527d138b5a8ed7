"""Base of methods with published weights: by name, by file, verified, and described by a card."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hpbench.crops import Bounds, cut_out, resize_linear
from hpbench.face import Face
from hpbench.geometry.boxes import box_problem
from hpbench.method import Method, MethodCard, NoPrediction, Options, Prediction, WeightsInfo
from hpbench.weights.named import info_of_file, resolve_weights, with_paths
from hpbench.weights.store import sha256_of

__all__ = ["PublishedMethod", "WeightsOptions"]

Array = npt.NDArray[np.float64]


class WeightsOptions(Options):
    """Options of a method with published weights."""

    weights: str = Field(
        default="",
        description="weights file, or a name from 'hpbench weights'; default: the published ones",
    )


class PublishedMethod(Method):
    """One network of a publication; a subclass says what is special to it.

    Attributes
    ----------
    facts : MethodCard
        Everything about the method that does not depend on its options.
    published : tuple of WeightsInfo
        Weights by name; the first are the default.
    input_size : int
        Side of the square input in pixels.
    """

    Options: ClassVar[type[Options]] = WeightsOptions
    facts: ClassVar[MethodCard]
    published: ClassVar[tuple[WeightsInfo, ...]]
    input_size: int

    @abstractmethod
    def cut_input(self, face: Face) -> Any | NoPrediction:
        """Cut out a face whose box was checked, and scale it to the input, RGB."""

    @abstractmethod
    def rotations(self, outputs: Array) -> tuple[Array, Array | None]:
        """Rotations ``R_cam``, shape (n, 3, 3), and standard deviations of yaw, pitch and roll.

        The latter, in degrees, shape (n, 3), are those of the distribution that the network
        predicts; None where it predicts none.
        """

    def crop_rule(self) -> str:
        """What is cut out, for the card."""
        return self.facts.crop_rule

    @classmethod
    def missing(cls) -> str | None:
        """Say that the weights have to be fetched."""
        info = cls.named_weights()[0]
        if info.path is not None:
            return None
        fetched = cls.name if all(one.url for one in cls.published) else f"{cls.name}/{info.name}"
        fix = f"'hpbench weights fetch {fetched}'"
        if not info.url:
            fix = info.by_hand
        return f"weights: {fix}, or {cls.name}[weights=FILE]"

    @classmethod
    def named_weights(cls) -> Sequence[WeightsInfo]:
        """Published weights, with the path of those that are on this machine."""
        return with_paths(cls.published)

    def weights_path(self) -> Path:
        """File of the weights; published ones are fetched on first use."""
        return resolve_weights(self.options.weights, self.published)

    def fingerprint(self) -> str:
        """Options and the SHA-256 of the weights file."""
        options = self.options.model_dump_json(exclude={"weights"})
        return f"{options} {sha256_of(self.weights_path())}"

    def card(self) -> MethodCard:
        """Describe the method with its weights; training data are known of published ones."""
        path = self.weights_path()
        sha256 = sha256_of(path)
        info = info_of_file(path, self.published)
        notes = [f"input {self.input_size} px", *self.facts.notes]
        if info is None or not info.trained_on:
            notes.append("what these weights were trained on is not known")
        return self.facts.model_copy(
            update={
                "weights": info.name if info else path.name,
                "weights_sha256": sha256,
                "weights_licence": info.licence if info else "not known",
                "trained_on": info.trained_on if info else (),
                "trained_domains": self.facts.trained_domains if info else (),
                "crop_rule": self.crop_rule(),
                "notes": tuple(notes),
            }
        )

    def prepare(self, face: Face) -> Any | NoPrediction:
        """Cut out the face and scale it; normalisation is left to :meth:`infer`."""
        if problem := box_problem(face.box_xyxy, face.size_wh):
            return NoPrediction(problem)
        return self.cut_input(face)

    def stretched(self, face: Face, bounds: Bounds) -> npt.NDArray[np.uint8] | NoPrediction:
        """What lies within `bounds`, cut off at the image, stretched to the input."""
        crop = cut_out(face.image, bounds, "clip")
        if crop.size == 0:
            return NoPrediction("the crop does not touch the image")
        return resize_linear(crop, self.input_size)

    def predictions(self, outputs: Array) -> list[Prediction | NoPrediction]:
        """One prediction per row of outputs; none where a number is not finite.

        The confidence is minus the mean of the three standard deviations.
        """
        finite = np.asarray(np.isfinite(outputs).all(axis=1))
        R_cam, spreads_deg = self.rotations(np.where(finite[:, None], outputs, 0.0))
        finite &= np.isfinite(R_cam).all(axis=(1, 2))
        return [
            _with_spread(R_cam[i], None if spreads_deg is None else spreads_deg[i])
            if finite[i]
            else NoPrediction("the network's output is not a number or gives no rotation")
            for i in range(len(outputs))
        ]


def _with_spread(R_cam: Array, spread_deg: Array | None) -> Prediction:
    if spread_deg is None:
        return Prediction(R_cam)
    return Prediction(R_cam, confidence=-float(spread_deg.mean()), spread_deg=spread_deg)
