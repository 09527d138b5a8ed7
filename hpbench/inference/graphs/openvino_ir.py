"""OpenVINO IR: a graph in XML and its numbers in a ``.bin`` beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.errors import WeightsError, last_line
from hpbench.inference.cores import compute_threads
from hpbench.inference.graphs.base import (
    Array,
    Graph,
    TensorInfo,
    require_runtime,
    trained_numbers,
    unreadable,
)

__all__ = ["OpenvinoGraph"]


class OpenvinoGraph(Graph):
    """OpenVINO on the CPU, which shares out a batch by itself.

    Parameters
    ----------
    path : Path
        The file of the graph.
    numbers : Path, optional
        That of its numbers; beside the graph where not given.
    shape : sequence of int, optional
        Of the input, where it is to be another than in the file; -1: any.

    Raises
    ------
    WeightsError
        If a file is missing or corrupted.
    MissingDependencyError
        If OpenVINO is not installed.
    """

    def __init__(
        self, path: Path, numbers: Path | None = None, shape: Sequence[int] | None = None
    ) -> None:
        require_runtime(path, "OpenVINO", ("openvino",), "openvino")
        import openvino

        numbers = numbers or path.with_suffix(".bin")
        if not numbers.is_file():
            raise WeightsError(f"{numbers}: no such file; keep .xml and .bin side by side")
        # half precision, where the processor offers it, moves angles by up to a degree
        settings = {
            "INFERENCE_NUM_THREADS": compute_threads(),
            "INFERENCE_PRECISION_HINT": "f32",
        }
        try:
            core = openvino.Core()
            model = core.read_model(path, numbers)
            if shape is not None:
                model.reshape(list(shape))
            self._model = core.compile_model(model, "CPU", settings)
            self.inputs = tuple(map(_info, self._model.inputs, range(len(self._model.inputs))))
            self.outputs = tuple(map(_info, self._model.outputs, range(len(self._model.outputs))))
            constants = [node for node in model.get_ops() if node.get_type_name() == "Constant"]
            self.parameters = sum(
                trained_numbers(
                    _dtype(node.get_output_element_type(0)), list(node.get_output_shape(0))
                )
                for node in constants
            )
        except Exception as error:  # names of a corrupted graph may not even be text
            raise unreadable(path, "OpenVINO IR", last_line(error)) from error

    def run(
        self,
        input_name: str,
        values: npt.NDArray[Any],
        output_names: Sequence[str],
        one_core: bool = False,
    ) -> list[Array]:
        """See :meth:`Graph.run`."""
        number = [info.name for info in self.inputs].index(input_name)
        found = self._model({number: values})
        names = [info.name for info in self.outputs]
        return [np.array(found[names.index(name)], dtype=np.float64) for name in output_names]


def _info(port: Any, number: int) -> TensorInfo:
    shape = tuple(
        None if side.is_dynamic else side.get_length() for side in port.get_partial_shape()
    )
    name = port.get_any_name() if port.get_names() else f"{number}"
    return TensorInfo(name, shape, _dtype(port.get_element_type()))


def _dtype(element_type: Any) -> str:
    return "bfloat16" if element_type.get_type_name() == "bf16" else _numpy_name(element_type)


def _numpy_name(element_type: Any) -> str:
    try:
        return np.dtype(element_type.to_dtype()).name
    except (RuntimeError, TypeError):  # types of less than a byte
        return str(element_type.get_type_name())
