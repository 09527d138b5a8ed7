"""Hopenet as a method of the benchmark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from hpbench.crops import DEFAULT_K, crop_box, cut_out, resize_and_centre, whole_pixels
from hpbench.errors import HpbenchError, UsageError, WeightsError
from hpbench.face import Face
from hpbench.inference.runtimes import RuntimeName
from hpbench.inference.torch_method import TorchMethod, TorchOptions
from hpbench.method import MethodCard, Options, WeightsInfo
from hpbench.methods.hopenet.named import BACKBONES, named_weights
from hpbench.rotation import rotation_from_angles
from hpbench.weights.named import resolve_weights
from hpbench.weights.store import sha256_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hpbench.methods.hopenet.card import WeightsCard
    from hpbench.methods.hopenet.weights import LoadedWeights

__all__ = ["Hopenet", "HopenetOptions", "Regression", "RegressionOptions"]

Array = npt.NDArray[np.float64]


class RegressionOptions(TorchOptions):
    """Options of the method ``regression``."""

    weights: str = Field(
        default="",
        description="weights file of 'hpbench train hopenet', trained with --heads regression or "
        "rotation6d; there is no default",
    )
    crop: Literal["auto", "hopenet-test", "hopenet-train"] = Field(
        default="auto",
        description="crop rule; auto: what the weights' card says, else hopenet-test",
    )
    k: float | None = Field(
        default=None,
        ge=0.0,
        le=2.0,
        description="margin of the crop rule; default .20 (hopenet-test), .30 (hopenet-train)",
    )
    input_size: int | None = Field(
        default=None,
        ge=32,
        le=1024,
        description="side of the network's input in pixels; default: the weights' own, else 224",
    )
    runtime: RuntimeName = Field(
        default="torch",
        description="torch, compile (torch.compile), or onnx (onnxruntime); each is proved to give "
        "the same angles within 0.05 degrees when it is loaded",
    )


class HopenetOptions(RegressionOptions):
    """Options of the method ``hopenet``."""

    weights: str = Field(
        default="",
        description="weights file, or a name from 'hpbench weights'; default: the bundled ones",
    )
    bin_width: tuple[float, float, float] | None = Field(
        default=None,
        description="width of the bins in degrees, or three for yaw, pitch and roll; for weights "
        "of other projects whose bins are not 66 of 3 degrees from -99",
    )
    offset: tuple[float, float, float] | None = Field(
        default=None, description='angle of the first bin, or three in quotes: "-180,-99,-99"'
    )

    @field_validator("bin_width", "offset", mode="before")
    @classmethod
    def _one_for_all_angles(cls, value: object) -> object:
        if isinstance(value, str):
            value = [part for part in re.split(r"[\s,]+", value) if part]
        elif isinstance(value, int | float):
            value = [value]
        return value * 3 if isinstance(value, list) and len(value) == 1 else value


class Hopenet(TorchMethod):
    """Shared backbone, three softmax heads over angle bins, and the expectation decode."""

    name: ClassVar[str] = "hopenet"
    summary: ClassVar[str] = "three heads of 66 angle bins on one backbone (Ruiz et al. 2018)"
    Options: ClassVar[type[Options]] = HopenetOptions
    options: RegressionOptions
    title: ClassVar[str] = "Hopenet"
    facts: ClassVar[MethodCard] = MethodCard(
        name="hopenet",
        title="Hopenet",
        paper="Ruiz, Chong, Rehg: Fine-Grained Head Pose Estimation Without Keypoints, "
        "CVPR Workshops 2018, arXiv:1710.00925",
        code="https://github.com/natanielruiz/deep-head-pose",
        licence="Apache-2.0",
        colour_order="RGB",
    )

    def __init__(self, options: RegressionOptions | None = None, device: str = "cpu") -> None:
        super().__init__(options, device)
        self.runtime_name = self.options.runtime
        self._loaded: LoadedWeights | None = None

    @classmethod
    def named_weights(cls) -> Sequence[WeightsInfo]:
        """Bundled weights and the released ones of other projects."""
        return named_weights()

    @classmethod
    def validate_weights(cls, info: WeightsInfo, file: Path) -> None:
        """Raise WeightsError unless a file holds a network like the named one."""
        from hpbench.methods.hopenet.weights import load_weights

        backbone = load_weights(file).backbone
        expected = BACKBONES.get(info.name, backbone)
        if backbone != expected:
            raise WeightsError(
                f"{file}: holds a {backbone}; weights '{info.name}' are a {expected}"
            )

    def weights_path(self) -> Path:
        """File of the weights: the bundled ones, named ones, or the user's."""
        return resolve_weights(self.options.weights, self.named_weights())

    def fingerprint(self) -> str:
        """Options and the SHA-256 of the weights file."""
        bins = ("bin_width", "offset")
        unset = {name for name in bins if getattr(self.options, name, None) is None}
        options = self.options.model_dump_json(exclude={"weights", *unset})
        return f"{options} {sha256_of(self.weights_path())}"

    def card(self) -> MethodCard:
        """Describe the method with the weights that were loaded."""
        loaded = self._require_loaded()
        path = self.weights_path()
        known = next((info for info in self.named_weights() if info.path == path), None)
        notes = [f"input {self.input_size} px", f"backbone {loaded.backbone}"]
        if loaded.bins is not None:
            notes.append(str(loaded.bins))
        notes += self.runtime_notes()
        source = loaded.card or known
        if source is None or not source.trained_on:
            notes.append("what these weights were trained on is not known")
        domains = loaded.card.trained_domains if loaded.card else (("photo",) if known else ())
        return self.facts.model_copy(
            update={
                "name": self.name,
                "title": f"{self.title} ({loaded.backbone})",
                "weights": known.name if known else path.name,
                "weights_sha256": loaded.sha256,
                "weights_licence": source.licence if source else "not known",
                "trained_on": source.trained_on if source else (),
                "trained_domains": domains,
                "crop_rule": f"{self._crop} k={self._k:g}",
                "notes": tuple(notes),
            }
        )

    def make_network(self, path: Path) -> nn.Module:
        """Read the weights, and settle the crop and the input's size that go with them."""
        from hpbench.methods.hopenet.network import check_input_size
        from hpbench.methods.hopenet.weights import load_weights

        options = self.options
        bins = (options.bin_width, options.offset) if isinstance(options, HopenetOptions) else ()
        self._loaded = loaded = load_weights(path, *bins)
        self._check_heads(loaded, path)
        self._settle_input(loaded.card)
        if options.input_size is not None:
            check_input_size(loaded.network, loaded.backbone, options.input_size, "input_size=")
        return loaded.network

    def load_to_prepare(self) -> None:
        """Settle the crop and the input's size by the weights' card; no network is made."""
        from hpbench.methods.hopenet.card import read_card

        path = self.weights_path()
        self._settle_input(read_card(path) if path.suffix == ".safetensors" else None)

    def _settle_input(self, card: WeightsCard | None) -> None:
        options = self.options
        if options.crop == "auto" and card is not None:
            self._crop, default_k = card.crop, card.crop_k
        else:
            self._crop = "hopenet-test" if options.crop == "auto" else options.crop
            default_k = DEFAULT_K[self._crop]
        self._k = default_k if options.k is None else options.k
        self.input_size = options.input_size or (224 if card is None else card.input_size)

    def optimized(self, network: nn.Module) -> nn.Module:
        """Fold each batch norm into the convolution before it, where the network can be traced."""
        from torch import fx
        from torch.fx.experimental.optimization import fuse

        try:
            return fuse(network)
        except (fx.proxy.TraceError, TypeError, NotImplementedError):
            return network  # networks with control flow run as they are

    def _check_heads(self, loaded: LoadedWeights, path: Path) -> None:
        if loaded.bins is None:
            raise UsageError(
                f"{path}: heads without bins regress the pose; "
                f"run them as regression[weights={path}]"
            )

    def cut_input(self, face: Face) -> npt.NDArray[np.uint8]:
        """Cut out the face by the crop rule and scale it to the network's input."""
        box = whole_pixels(crop_box(face.box_xyxy, self._crop, self._k))
        return resize_and_centre(cut_out(face.image, box), self.input_size, self.input_size)

    def readings(self, outputs: Tensor) -> Tensor:
        """Angles in degrees, shape (n, 3)."""
        from hpbench.methods.hopenet.network import decode_angles

        return decode_angles(outputs, self._require_loaded().bins)

    def numbers(self, outputs: Tensor) -> Tensor:
        """Expectation over the bins, and how concentrated the bins are, in degrees.

        The confidence is the negative standard deviation of the softmax over the bins, averaged
        over yaw, pitch and roll: -3 is surer than -10. Regressed angles have none.
        """
        import torch

        from hpbench.methods.hopenet.network import spread_deg

        angles_deg, bins = self.readings(outputs).double(), self._require_loaded().bins
        if bins is None:
            return angles_deg
        return torch.cat([angles_deg, spread_deg(outputs, bins)], dim=1)

    def rotations(self, outputs: Array) -> tuple[Array, Array | None]:
        """Rotations of the angles, and the spread of the bins, where there are any."""
        spreads_deg = outputs[:, 3:] if outputs.shape[1] > 3 else None
        return rotation_from_angles(outputs[:, :3]), spreads_deg

    def _require_loaded(self) -> LoadedWeights:
        if self._loaded is None:
            raise HpbenchError(f"method '{self.name}' was used before load()")
        return self._loaded


class Regression(Hopenet):
    """The same backbone without bins: it regresses the angles, or the rotation's first columns."""

    name: ClassVar[str] = "regression"
    summary: ClassVar[str] = "the backbone of hopenet without bins: regressed angles or 6D rotation"
    Options: ClassVar[type[Options]] = RegressionOptions
    title: ClassVar[str] = "Regression"

    @classmethod
    def missing(cls) -> str | None:
        """Say how to get weights: none are bundled."""
        return "weights: regression[weights=FILE] of 'hpbench train hopenet --heads regression'"

    @classmethod
    def named_weights(cls) -> Sequence[WeightsInfo]:
        """Return none."""
        return ()

    def weights_path(self) -> Path:
        """The user's file, trained with ``--heads regression`` or ``rotation6d``."""
        if not self.options.weights:
            raise UsageError(
                "method 'regression' has no weights of its own: train some with "
                "'hpbench train hopenet --heads regression' and give regression[weights=FILE]"
            )
        return super().weights_path()

    def _check_heads(self, loaded: LoadedWeights, path: Path) -> None:
        if loaded.bins is not None:
            raise UsageError(f"{path}: heads of {loaded.bins}; run them as hopenet[weights={path}]")
