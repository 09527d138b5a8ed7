"""Base of methods that are one published torch network: crop, normalise, run, decode."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hpbench.errors import DataError, HpbenchError, UsageError
from hpbench.face import Face
from hpbench.geometry.boxes import check_box
from hpbench.inference.runtimes import Runtime, count_flops, make_runtime
from hpbench.method import (
    BaseOptions,
    Method,
    MethodCard,
    ModelSize,
    NoPrediction,
    Options,
    Prediction,
    WeightsInfo,
)
from hpbench.weights.named import info_of_file, resolve_weights, with_paths
from hpbench.weights.store import sha256_of

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "TorchMethod", "TorchOptions", "resize_linear"]

Pixels = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Of torchvision's classification networks, RGB, for pixel values 0 .. 255."""


class TorchOptions(Options):
    """Options of a method with published weights."""

    weights: str = Field(
        default="",
        description="weights file, or a name from 'hpbench weights'; default: the published ones",
    )


class TorchMethod(Method):
    """One torch network; a subclass says what is special to it.

    Attributes
    ----------
    facts : MethodCard
        Everything about the method that does not depend on its options.
    published : tuple of WeightsInfo
        Weights by name; the first are the default.
    input_size : int
        Side of the square input in pixels.
    mean, std : tuple of float
        The input is ``(pixel - mean) / std`` per colour, in the order of `facts.colour_order`.
    """

    Options: ClassVar[type[Options]] = TorchOptions
    facts: ClassVar[MethodCard]
    published: ClassVar[tuple[WeightsInfo, ...]]
    input_size: ClassVar[int]
    mean: ClassVar[tuple[float, float, float]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, float, float]] = IMAGENET_STD

    def __init__(self, options: BaseOptions | None = None, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._runtime: Runtime | None = None

    # ---- what a subclass defines -------------------------------------------------------------

    @abstractmethod
    def make_network(self, path: Path) -> nn.Module:
        """Read a weights file into a network in evaluation mode, on the CPU."""

    @abstractmethod
    def cut_input(self, face: Face) -> Pixels | NoPrediction:
        """Cut out a face whose box was checked, and scale it to the input, RGB."""

    @abstractmethod
    def rotations(self, outputs: Array) -> tuple[Array, Array | None]:
        """Rotations ``R_cam``, shape (n, 3, 3), and confidences, shape (n,), of outputs."""

    def crop_rule(self) -> str:
        """What is cut out, for the card."""
        return self.facts.crop_rule

    # ---- the method --------------------------------------------------------------------------

    @classmethod
    def missing(cls) -> str | None:
        """Say that the weights have to be fetched."""
        if cls.named_weights()[0].path is None:
            return f"weights: 'hpbench weights fetch {cls.name}', or {cls.name}[weights=FILE]"
        return None

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
        info = info_of_file(sha256, self.published)
        notes = [f"input {self.input_size} px", *self.facts.notes]
        if info is None:
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

    def load(self) -> None:
        """Read the weights and move the network to the device."""
        import torch

        path = self.weights_path()
        network = self.make_network(path)
        try:
            device = torch.device(self.device)
            scaled = self._normalising(network).to(device)
        except (RuntimeError, AssertionError) as error:
            line = str(error).splitlines()[0]
            raise UsageError(f"--device {self.device}: cannot be used ({line})") from error
        self._torch_device = device
        self._network: nn.Module = scaled.to(memory_format=torch.channels_last)
        self._size = ModelSize(
            parameters=sum(p.numel() for p in network.parameters()),
            weights_bytes=path.stat().st_size,
        )
        self._runtime = make_runtime(
            "torch", self._network, self.input_size, self.device, lambda outputs: outputs
        )

    def _normalising(self, network: nn.Module) -> nn.Module:
        """The network with its input's colour order and scaling of pixels put before it."""
        import torch
        from torch import nn

        swap_colours = self.facts.colour_order == "BGR"

        class Normalising(nn.Module):
            def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
                super().__init__()
                self.network = network
                self.shift: Tensor
                self.scale: Tensor
                self.register_buffer("shift", torch.tensor(mean).view(3, 1, 1))
                self.register_buffer("scale", torch.tensor(std).view(3, 1, 1))

            def forward(self, pixels: Tensor) -> Tensor:
                ordered = pixels.flip(1) if swap_colours else pixels
                outputs: Tensor = self.network((ordered - self.shift) / self.scale)
                return outputs

        return Normalising(self.mean, self.std).eval()

    def prepare(self, face: Face) -> Any | NoPrediction:
        """Cut out the face and scale it; normalisation is left to the device."""
        try:
            check_box(face.box_xyxy, face.size_wh)
        except DataError as error:
            return NoPrediction(str(error))
        return self.cut_input(face)

    def infer(self, batch: Sequence[Any]) -> Any:
        """Outputs of the network for RGB inputs, shape (n, numbers), on the device."""
        import torch

        if self._runtime is None:
            raise HpbenchError(f"method '{self.name}' was used before load()")
        pixels = torch.from_numpy(np.stack(batch)).to(self._torch_device)
        with torch.inference_mode():
            return self._runtime.run(pixels)

    def decode(self, output: Any) -> list[Prediction | NoPrediction]:
        """Rotations, and confidences where the network offers any."""
        return self.predictions(output.double().cpu().numpy())

    def predictions(self, outputs: Array) -> list[Prediction | NoPrediction]:
        """One prediction per row of outputs; none where a number is not finite."""
        finite = np.isfinite(outputs).all(axis=1)
        R_cam, confidences = self.rotations(np.where(finite[:, None], outputs, 0.0))
        finite &= np.isfinite(R_cam).all(axis=(1, 2))
        return [
            Prediction(R_cam[i], confidence=None if confidences is None else float(confidences[i]))
            if finite[i]
            else NoPrediction("the network's output is not a number or gives no rotation")
            for i in range(len(outputs))
        ]

    def size(self) -> ModelSize:
        """Parameters and operations of the network, and the size of its weights file."""
        flops = count_flops(self._network, self.input_size, self.device)
        return ModelSize(self._size.parameters, self._size.weights_bytes, flops)

    def synchronize(self) -> None:
        """Wait for the GPU, if there is one."""
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize(self._torch_device)


def resize_linear(image: Pixels, side: int) -> Pixels:
    """Stretch an image to a square with OpenCV's bilinear filter, as most demos do.

    Parameters
    ----------
    image : ndarray, shape (height, width, 3), uint8
    side : int
        Pixels.

    Returns
    -------
    ndarray, shape (side, side, 3), uint8
    """
    import cv2

    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR))
