"""TFLite networks, run by LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.errors import first_line
from hpbench.inference.cores import compute_threads
from hpbench.inference.graphs.base import (
    Array,
    Graph,
    TensorInfo,
    require_runtime,
    trained_numbers,
    unreadable,
)

__all__ = ["TfliteGraph"]

_QUANTISED = ("int8", "uint8", "int16")


class TfliteGraph(Graph):
    """A TFLite file; quantised inputs and outputs are fed and read as real numbers."""

    def __init__(self, path: Path) -> None:
        require_runtime(path, "TFLite", ("ai_edge_litert",), "tflite")
        from ai_edge_litert.interpreter import Interpreter

        try:
            content = path.read_bytes()
            self._interpreter = Interpreter(model_content=content, num_threads=compute_threads())
            self._interpreter.allocate_tensors()
            self.parameters = _parameters(content)
            self._inputs = self._interpreter.get_input_details()
            self._outputs = self._interpreter.get_output_details()
            self.inputs = tuple(map(_info, self._inputs))
            self.outputs = tuple(map(_info, self._outputs))
        except Exception as error:  # a custom operator, names that are no text, flatbuffers' own
            raise unreadable(path, "a TFLite network", first_line(error)) from error

    def run(
        self,
        input_name: str,
        values: npt.NDArray[Any],
        output_names: Sequence[str],
        one_core: bool = False,
    ) -> list[Array]:
        """See :meth:`Graph.run`."""
        given = next(one for one in self._inputs if one["name"] == input_name)
        current = self._interpreter.get_tensor(given["index"]).shape
        if current != values.shape:
            self._interpreter.resize_tensor_input(given["index"], values.shape, strict=True)
            self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(given["index"], _quantised(values, given))
        self._interpreter.invoke()
        by_name = {one["name"]: one for one in self._outputs}
        return [
            _real(self._interpreter.get_tensor(by_name[name]["index"]), by_name[name])
            for name in output_names
        ]


def _info(details: dict[str, Any]) -> TensorInfo:
    shape = tuple(None if side < 0 else int(side) for side in details["shape_signature"])
    dtype = "float32" if _step(details) else np.dtype(details["dtype"]).name
    return TensorInfo(details["name"], shape, dtype)


def _step(details: dict[str, Any]) -> float:
    """Real number that a step of a quantised tensor stands for; 0 for other tensors."""
    step, _ = details["quantization"]
    return float(step) if np.dtype(details["dtype"]).name in _QUANTISED else 0.0


def _quantised(values: npt.NDArray[Any], details: dict[str, Any]) -> npt.NDArray[Any]:
    step = _step(details)
    if not step:
        return values
    limits = np.iinfo(details["dtype"])
    whole = np.rint(values / step + details["quantization"][1])
    return np.clip(whole, limits.min, limits.max).astype(details["dtype"])


def _real(values: npt.NDArray[Any], details: dict[str, Any]) -> Array:
    step = _step(details)
    real = np.array(values, dtype=np.float64)
    return (real - details["quantization"][1]) * step if step else real


def _parameters(content: bytes) -> int:
    """Numbers in the constant tensors; those that share a buffer count once."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    names = {
        value: name.lower() for name, value in vars(schema.TensorType).items() if name[0] != "_"
    }
    sizes: dict[int, int] = {}
    for graph in (model.Subgraphs(i) for i in range(model.SubgraphsLength())):
        for tensor in (graph.Tensors(i) for i in range(graph.TensorsLength())):
            buffer = model.Buffers(tensor.Buffer())
            filled = buffer.DataLength() > 0 or buffer.Size() > 0
            if filled:
                shape = [tensor.Shape(i) for i in range(tensor.ShapeLength())]
                sizes[tensor.Buffer()] = trained_numbers(names[tensor.Type()], shape)
    return sum(sizes.values())
