"""Hopenet as a method of the benchmark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from hpbench.crops import DEFAULT_K, HopenetRule, crop_box, whole_pixels
from hpbench.errors import DataError, HpbenchError, UsageError, WeightsError
from hpbench.face import Face
from hpbench.geometry.boxes import check_box
from hpbench.inference.runtimes import RuntimeName, count_flops, make_runtime
from hpbench.method import (
    Method,
    MethodCard,
    ModelSize,
    NoPrediction,
    Options,
    Prediction,
    WeightsInfo,
)
from hpbench.methods.hopenet.crops import cut_input
from hpbench.methods.hopenet.named import (
    BACKBONES,
    bundled_weights,
    named_weights,
    resolve_weights,
)
from hpbench.rotation import rotation_from_angles
from hpbench.weights.store import sha256_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hpbench.methods.hopenet.weights import LoadedWeights

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Hopenet", "HopenetOptions", "Regression"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class HopenetOptions(Options):
    """Options of the method ``hopenet``."""

    weights: str = Field(
        default="",
        description="weights file, or a name from 'hpbench weights'; default: the bundled ones",
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
    bin_width: tuple[float, float, float] | None = Field(
        default=None,
        description="width of the bins in degrees, or three for yaw, pitch and roll; for weights "
        "of other projects whose bins are not 66 of 3 degrees from -99",
    )
    offset: tuple[float, float, float] | None = Field(
        default=None,
        description='angle of the first bin, or three in quotes: "-180,-99,-99"',
    )
    runtime: RuntimeName = Field(
        default="torch",
        description="torch, compile (torch.compile), or onnx (onnxruntime); each is proved to give "
        "the same angles within 0.05 degrees when it is loaded",
    )

    @field_validator("bin_width", "offset", mode="before")
    @classmethod
    def _one_for_all_angles(cls, value: object) -> object:
        if isinstance(value, str):
            value = [part for part in re.split(r"[\s,]+", value) if part]
        elif isinstance(value, int | float):
            value = [value]
        return value * 3 if isinstance(value, list) and len(value) == 1 else value


class Hopenet(Method):
    """Shared backbone, three softmax heads over angle bins, and the expectation decode."""

    name: ClassVar[str] = "hopenet"
    summary: ClassVar[str] = "three heads of 66 angle bins on one backbone (Ruiz et al. 2018)"
    Options: ClassVar[type[Options]] = HopenetOptions
    options: HopenetOptions

    def __init__(self, options: HopenetOptions | None = None, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._loaded: LoadedWeights | None = None
        self._crop: HopenetRule = "hopenet-test"
        self._k = 0.0
        self._input_size = 0

    @classmethod
    def missing(cls) -> str | None:
        """Say that weights have to be named where none are bundled."""
        if bundled_weights() is None:
            return "weights: hopenet[weights=FILE]; see 'hpbench weights'"
        return None

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

    def fingerprint(self) -> str:
        """Options and the SHA-256 of the weights file."""
        path = resolve_weights(self.options.weights)
        unset = {name for name in ("bin_width", "offset") if getattr(self.options, name) is None}
        options = self.options.model_dump_json(exclude={"weights", *unset})
        return f"{options} {sha256_of(path)}"

    def card(self) -> MethodCard:
        """Describe the method with the weights that were loaded."""
        loaded = self._require_loaded()
        known = next((w for w in named_weights() if w.path == self._path), None)
        notes = [f"input {self._input_size} px", f"backbone {loaded.backbone}"]
        if loaded.bins is not None:
            notes.append(str(loaded.bins))
        if self._runtime.name != "torch":
            notes.append(
                f"runtime {self._runtime.name}, "
                f"within {self._runtime.difference_deg:.1g} degrees of torch"
            )
        own = loaded.card
        trained_on = own.trained_on if own else (known.trained_on if known else ())
        if not trained_on:
            notes.append("what these weights were trained on is not known")
        return MethodCard(
            name=self.name,
            title=self._title(loaded),
            paper="Ruiz, Chong, Rehg: Fine-Grained Head Pose Estimation Without Keypoints, "
            "CVPR Workshops 2018, arXiv:1710.00925",
            code="https://github.com/natanielruiz/deep-head-pose",
            licence="Apache-2.0",
            weights=known.name if known else self._path.name,
            weights_sha256=loaded.sha256,
            weights_licence=own.licence if own else (known.licence if known else "not known"),
            trained_on=trained_on,
            trained_domains=own.trained_domains if own else (("photo",) if known else ()),
            colour_order="RGB",
            crop_rule=f"{self._crop} k={self._k:g}",
            notes=tuple(notes),
        )

    def _title(self, loaded: LoadedWeights) -> str:
        return f"Hopenet ({loaded.backbone})"

    def load(self) -> None:
        """Read the weights, fold batch norms into convolutions, and move to the device."""
        import torch

        from hpbench.methods.hopenet.weights import load_weights

        self._path = resolve_weights(self.options.weights)
        loaded = load_weights(self._path, self.options.bin_width, self.options.offset)
        self._check_heads(loaded)
        options, card = self.options, loaded.card
        if options.crop != "auto":
            self._crop = options.crop
            default_k = DEFAULT_K[options.crop]
        else:
            self._crop = card.crop if card else "hopenet-test"
            default_k = card.crop_k if card else DEFAULT_K["hopenet-test"]
        self._k = default_k if options.k is None else options.k
        self._input_size = options.input_size or loaded.input_size
        try:
            device = torch.device(self.device)
            network = _normalising(_fused(loaded.network), device)
        except (RuntimeError, AssertionError) as error:
            line = str(error).splitlines()[0]
            raise UsageError(f"--device {self.device}: cannot be used ({line})") from error
        self._torch_device = device
        self._loaded = loaded
        self._network = network
        self._runtime = make_runtime(
            options.runtime, network, self._input_size, self.device, self._angles_deg
        )

    def _check_heads(self, loaded: LoadedWeights) -> None:
        if loaded.bins is None:
            raise UsageError(
                f"{self._path}: heads of one output regress the angle; "
                f"run them as regression[weights={self._path}]"
            )

    def prepare(self, face: Face) -> npt.NDArray[np.uint8] | NoPrediction:
        """Cut out the face and scale it; normalisation is left to the device."""
        try:
            check_box(face.box_xyxy, face.size_wh)
        except DataError as error:
            return NoPrediction(str(error))
        box = whole_pixels(crop_box(face.box_xyxy, self._crop, self._k))
        return cut_input(face.image, box, self._input_size)

    def infer(self, batch: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
        """Run the network on a batch; returns outputs of shape (n, 3, bins) on the device."""
        import torch

        pixels = torch.from_numpy(np.stack(batch)).to(self._torch_device)
        with torch.inference_mode():
            return self._runtime.run(pixels)

    def decode(self, output: Tensor) -> list[Prediction | NoPrediction]:
        """Expectation over the bins, as rotations, and how concentrated the bins are.

        The confidence is the negative standard deviation of the softmax over the bins, in degrees,
        averaged over yaw, pitch and roll: -3 is surer than -10. Regressed angles have none.
        """
        from hpbench.methods.hopenet.decoding import spread_deg

        angles = self._angles_deg(output).double().cpu().numpy()
        bins = self._require_loaded().bins
        spreads = (
            [None] * len(angles) if bins is None else spread_deg(output, bins).mean(1).tolist()
        )
        finite = np.isfinite(angles).all(axis=1)
        rotations = rotation_from_angles(np.where(finite[:, None], angles, 0.0))
        return [
            Prediction(rotation, confidence=None if spread is None else -spread)
            if good
            else NoPrediction("the network's output is not a number")
            for rotation, spread, good in zip(rotations, spreads, finite, strict=True)
        ]

    def _angles_deg(self, output: Tensor) -> Tensor:
        from hpbench.methods.hopenet.decoding import decode_angles

        return decode_angles(output, self._require_loaded().bins)

    def size(self) -> ModelSize:
        """Parameters and operations of the network, and the size of its weights file."""
        network = self._require_loaded().network
        return ModelSize(
            parameters=sum(p.numel() for p in network.parameters()),
            weights_bytes=self._path.stat().st_size,
            flops=count_flops(self._network, self._input_size, self.device),
        )

    def synchronize(self) -> None:
        """Wait for the GPU, if there is one."""
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize(self._torch_device)

    def _require_loaded(self) -> LoadedWeights:
        if self._loaded is None:
            raise HpbenchError(f"method '{self.name}' was used before load()")
        return self._loaded


class Regression(Hopenet):
    """The same backbone with one regressed number per angle instead of bins."""

    name: ClassVar[str] = "regression"
    summary: ClassVar[str] = "the backbone of hopenet with regressed angles (Yang et al. 2015)"

    @classmethod
    def missing(cls) -> str | None:
        """Say how to get weights: none are bundled."""
        return "weights: regression[weights=FILE] of 'hpbench train hopenet --heads regression'"

    @classmethod
    def named_weights(cls) -> Sequence[WeightsInfo]:
        """Return none."""
        return ()

    def fingerprint(self) -> str:
        """Options and the SHA-256 of the weights file."""
        self._require_weights()
        return super().fingerprint()

    def load(self) -> None:
        """Read weights that were trained with ``--heads regression``."""
        self._require_weights()
        super().load()

    def _require_weights(self) -> None:
        if not self.options.weights:
            raise UsageError(
                "method 'regression' has no weights of its own: train some with "
                "'hpbench train hopenet --heads regression' and give regression[weights=FILE]"
            )

    def _title(self, loaded: LoadedWeights) -> str:
        return f"Regression ({loaded.backbone})"

    def _check_heads(self, loaded: LoadedWeights) -> None:
        if loaded.bins is not None:
            raise UsageError(
                f"{self._path}: heads with {loaded.bins}; run them as hopenet[weights={self._path}]"
            )


def _fused(network: Any) -> Any:
    """Fold each batch norm into the convolution before it, where the network can be traced."""
    from torch import fx
    from torch.fx.experimental.optimization import fuse

    try:
        return fuse(network)
    except (fx.proxy.TraceError, TypeError, NotImplementedError):
        return network  # networks with control flow run as they are


def _normalising(network: nn.Module, device: torch.device) -> nn.Module:
    """The network on its device, with the scaling of pixel values 0 .. 255 put before it."""
    import torch
    from torch import nn

    class Normalising(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.shift: Tensor
            self.scale: Tensor
            self.register_buffer("shift", 255.0 * torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
            self.register_buffer("scale", 255.0 * torch.tensor(IMAGENET_STD).view(3, 1, 1))

        def forward(self, pixels: Tensor) -> Tensor:
            outputs: Tensor = self.network((pixels - self.shift) / self.scale)
            return outputs

    module: nn.Module = Normalising().eval().to(device)
    return module.to(memory_format=torch.channels_last)
