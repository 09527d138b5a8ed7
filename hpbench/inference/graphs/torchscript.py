"""TorchScript programs.

Their code is a language of its own that torch interprets, not Python, and torch does not unpickle
Python objects from them. The language can write and map files, though, and runs while it is loaded;
so the code is read first, and a program that calls anything but functions on tensors is refused.
"""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from hpbench.errors import WeightsError, first_line
from hpbench.inference.graphs.base import TensorInfo, trained_numbers, unreadable
from hpbench.inference.graphs.torch_graph import TorchGraph, read_entries, to_device

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ScriptGraph"]

_FORBIDDEN = re.compile(
    r"\bfrom_file\b|\bsave\b\s*(?:#.*\s*)*\("
    r"|\btorch\s*\.\s*classes\b"
    r"|\bops\s*\.\s*(?!(?:prim|aten|quantized|torchvision)\s*\.)"
)
"""Functions that read or write files, and operators and classes of other libraries."""


class ScriptGraph(TorchGraph):
    """A program that ``torch.jit.save`` wrote."""

    def __init__(self, path: Path, device: str) -> None:
        import torch

        self.device = to_device(device)
        self.on_cpu = self.device.type == "cpu"
        _refuse_unsafe(path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch.jit is deprecated; its files are about
                module = torch.jit.load(io.BytesIO(path.read_bytes()), map_location=self.device)
            self._module = module.eval()
            forward = self._module.forward.schema
        except Exception as error:  # torch's own errors have many classes
            raise unreadable(path, "a TorchScript program", first_line(error)) from error
        self.inputs = tuple(
            TensorInfo(argument.name, None)
            for argument in forward.arguments[1:]
            if not argument.has_default_value()
        )
        self.outputs = ()
        trained = sum(tensor.numel() for tensor in self._module.parameters())
        self.parameters = trained or _frozen(self._module)

    def find_outputs(self, input_name: str, values: npt.NDArray[Any]) -> None:
        """Learn the outputs by a run: a program does not say how many there are."""
        import torch

        with torch.inference_mode():
            found = self.call(input_name, torch.from_numpy(values).to(self.device))
        self.outputs = tuple(
            TensorInfo(name, (None, *tensor.shape[1:]), str(tensor.dtype).removeprefix("torch."))
            for name, tensor in found.items()
        )

    def call(self, input_name: str, values: Tensor) -> dict[str, Tensor]:
        """All outputs: by their key in a dictionary, else ``output_0``, ``output_1``, ..."""
        found = self._module(values)
        if isinstance(found, dict):
            return {str(name): tensor for name, tensor in found.items()}
        many = found if isinstance(found, list | tuple) else [found]
        return {f"output_{number}": tensor for number, tensor in enumerate(many)}


def _frozen(module: Any) -> int:
    """Numbers of a program that ``torch.jit.freeze`` has turned into constants."""
    graph = module.inlined_graph  # its nodes live no longer than it
    outputs = [node.output() for node in graph.findAllNodes("prim::Constant")]
    tensors = [output.toIValue() for output in outputs if str(output.type()) == "Tensor"]
    return sum(
        trained_numbers(str(tensor.dtype).removeprefix("torch."), tensor.shape)
        for tensor in tensors
    )


def _refuse_unsafe(path: Path) -> None:
    entries = read_entries(path, "code/")
    code = {name: content for name, content in entries.items() if name.startswith("code/")}
    if not code or "constants.pkl" not in entries:
        raise WeightsError(
            f"{path}: weights without a network; export the network itself "
            "(docs/export-to-onnx.md), or name the method whose weights they are: "
            f"NAME[weights={path}]"
        )
    for name, content in code.items():
        if name.endswith(".py") and (found := _FORBIDDEN.search(content.decode(errors="replace"))):
            line = content.decode(errors="replace")[found.start() :].splitlines()[0][:60]
            raise WeightsError(f"{path}: refused: its program calls {line!r} ({name})")
