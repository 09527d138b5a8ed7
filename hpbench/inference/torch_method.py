"""Base of methods that are one published torch network."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from hpbench.errors import HpbenchError, UsageError
from hpbench.inference.graphs.torch_graph import to_device
from hpbench.inference.published_method import PublishedMethod, WeightsOptions
from hpbench.inference.runtimes import (
    Precision,
    Runtime,
    RuntimeName,
    count_flops,
    make_runtime,
    one_thread,
)
from hpbench.method import MethodCard, ModelSize, NoPrediction, Options, Prediction, WeightsInfo

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "TorchMethod", "TorchOptions"]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Of torchvision's classification networks, RGB, for pixel values 0 .. 255."""


class TorchOptions(WeightsOptions):
    """Options of all torch networks."""

    precision: Precision = Field(
        default="full",
        description="full, or half: 16-bit numbers, on a GPU only; how far that moves the angles "
        "is measured on random images when it is loaded, and more than 2 degrees are refused",
    )


class TorchMethod(PublishedMethod):
    """One torch network; a subclass says what is special to it.

    Attributes
    ----------
    runtime_name : {'torch', 'compile', 'onnx'}
    mean, std : tuple of float
        The input is ``(pixel - mean) / std`` per colour, in the order of `facts.colour_order`.
    """

    Options: ClassVar[type[Options]] = TorchOptions
    options: TorchOptions
    runtime_name: RuntimeName = "torch"
    mean: ClassVar[tuple[float, float, float]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, float, float]] = IMAGENET_STD
    _runtime: Runtime | None = None
    _decode_stream: torch.cuda.Stream | None = None

    @abstractmethod
    def make_network(self, path: Path) -> nn.Module:
        """Read a weights file into a network in evaluation mode, on the CPU."""

    @classmethod
    def validate_weights(cls, info: WeightsInfo, file: Path) -> None:
        """Refuse a file that does not fit the network."""
        cls().make_network(file)

    def optimized(self, network: nn.Module) -> nn.Module:
        """The network as it is run, which gives the same outputs."""
        return network

    def readings(self, outputs: Tensor) -> Tensor:
        """What a faster runtime must reproduce within 0.05: the outputs, or angles made of them."""
        return outputs

    def load(self) -> None:
        """Read the weights and move the network to the device."""
        import torch

        halves = self.options.precision == "half"
        if halves and not self.device.startswith("cuda"):
            raise UsageError(
                f"precision=half: is for a GPU, not --device {self.device}; use precision=full"
            )
        path = self.weights_path()
        network = self.make_network(path)
        self._torch_device = to_device(self.device)
        full = self._normalising(self.optimized(network)).to(self._torch_device)
        full = full.to(memory_format=torch.channels_last)
        self._network: nn.Module = _half(full) if halves else full
        self._size = ModelSize(
            parameters=sum(p.numel() for p in network.parameters()),
            weights_bytes=path.stat().st_size,
        )
        self._runtime = make_runtime(
            self.runtime_name,
            self._network,
            self.input_size,
            self.device,
            self.readings,
            full if halves else None,
        )

    def runtime_notes(self) -> list[str]:
        """What the card says of another runtime or precision, with the difference measured."""
        runtime, half = self._runtime, self.options.precision == "half"
        if runtime is None or (runtime.name == "torch" and not half):
            return []
        made = [f"runtime {runtime.name}"] * (runtime.name != "torch") + ["half precision"] * half
        return [f"{', '.join(made)}, within {runtime.difference_deg:.1g} degrees of torch"]

    def card(self) -> MethodCard:
        """Describe the method with its weights, and how it is run."""
        card = super().card()
        return card.model_copy(update={"notes": (*card.notes, *self.runtime_notes())})

    def load_to_prepare(self) -> None:
        """Read nothing: a subclass whose crop depends on the weights reads what it needs."""

    def _normalising(self, network: nn.Module) -> nn.Module:
        """The network with its input's colour order and scaling of pixels put before it."""
        import torch
        from torch import nn

        swap_colours = self.facts.colour_order == "BGR"

        class Normalising(nn.Module):
            def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
                super().__init__()
                self.network = network
                self.dtype = torch.float32
                self.shift: Tensor
                self.scale: Tensor
                self.register_buffer("shift", torch.tensor(mean).view(3, 1, 1))
                self.register_buffer("scale", torch.tensor(std).view(3, 1, 1))

            def forward(self, pixels: Tensor) -> Tensor:
                ordered = pixels.flip(1) if swap_colours else pixels
                # the network alone may be in half precision
                scaled = ((ordered - self.shift) / self.scale).to(self.dtype)
                outputs: Tensor = self.network(scaled)
                return outputs.float()

        return Normalising(self.mean, self.std).eval()

    def infer(self, batch: Sequence[Any]) -> Any:
        """Outputs of the network for RGB inputs, shape (n, numbers), on the device."""
        import torch

        if self._runtime is None:
            raise HpbenchError(f"method '{self.name}' was used before load()")
        with torch.inference_mode():
            return self._runtime.run(self._on_device(batch))

    def infer_ahead(
        self, batch: Sequence[Any]
    ) -> Callable[[], Sequence[Prediction | NoPrediction]] | None:
        """Start a batch on a GPU; it is decoded on a stream beside that of the next batch."""
        if not self.device.startswith("cuda"):
            return None
        import torch

        output = self.infer(batch)
        done = torch.cuda.current_stream(self._torch_device).record_event()
        if self._decode_stream is None:
            self._decode_stream = torch.cuda.Stream(self._torch_device, priority=-1)
        stream = self._decode_stream

        def decode() -> Sequence[Prediction | NoPrediction]:
            with torch.cuda.stream(stream):
                stream.wait_event(done)
                # it ends with a copy to the CPU, so `output` is read before it can be freed
                return self.decode(output)

        return decode

    def _on_device(self, batch: Sequence[Any]) -> Tensor:
        """Inputs as one tensor on the device, through page-locked memory where that is a GPU.

        Only from there a copy waits in the stream while Python goes on.
        """
        import torch

        pixels = torch.empty(
            (len(batch), *batch[0].shape),
            dtype=torch.from_numpy(np.empty(0, batch[0].dtype)).dtype,
            pin_memory=self._torch_device.type == "cuda",
        )
        np.stack(batch, out=pixels.numpy())
        return pixels.to(self._torch_device, non_blocking=True)

    def numbers(self, outputs: Tensor) -> Tensor:
        """What :meth:`rotations` is given: the outputs, or numbers made of them by torch."""
        return outputs

    def decode(self, output: Any) -> list[Prediction | NoPrediction]:
        """Rotations, and confidences where the network offers any."""
        with one_thread():
            numbers = self.numbers(output).double().cpu().numpy()
        return self.predictions(numbers)

    def size(self) -> ModelSize:
        """Parameters and operations of the network, and the size of its weights file."""
        flops = count_flops(self._network, self.input_size, self.device)
        return ModelSize(self._size.parameters, self._size.weights_bytes, flops)

    def synchronize(self) -> None:
        """Wait for the GPU, if there is one."""
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize(self._torch_device)


def _half(normalising: nn.Module) -> nn.Module:
    """A copy whose network has 16-bit numbers; pixels are still scaled in 32 bits."""
    import torch

    halved = copy.deepcopy(normalising)
    halved.get_submodule("network").half()
    halved.dtype = torch.float16  # type: ignore[assignment]
    return halved
