"""ONNX networks, run by onnxruntime."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.errors import WeightsError, first_line
from hpbench.inference.cores import compute_threads
from hpbench.inference.graphs.base import (
    Array,
    Graph,
    TensorInfo,
    require_runtime,
    trained_numbers,
    unreadable,
)
from hpbench.inference.runtimes import onnx_session

__all__ = ["OnnxGraph", "external_files"]

_TITLE = "an ONNX network"

_TYPES = {"float": "float32", "double": "float64"}
"""Types of onnxruntime that NumPy names otherwise."""


class OnnxGraph(Graph):
    """An ONNX file.

    An onnxruntime without CUDA runs on the CPU whatever the device, so that it does not stop a run
    of other methods.
    """

    splits = True

    def __init__(self, path: Path, device: str) -> None:
        require_runtime(path, "ONNX", ("onnxruntime", "onnx"), "onnx")
        import onnxruntime

        external_files(path)  # refuses what lies outside of its folder
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            device = "cpu"
        try:
            with redirect_stdout(io.StringIO()):  # it prints what it then raises
                self._session = onnx_session(str(path), device, compute_threads())
            self.on_cpu = "CUDAExecutionProvider" not in self._session.get_providers()
            # for each core's share of a batch, on one thread
            self._share = onnx_session(str(path), device, 1) if self.on_cpu else self._session
        except Exception as error:  # onnxruntime has a class of its own for every sort of damage
            raise unreadable(path, _TITLE, first_line(error)) from error
        self.inputs = tuple(map(_info, self._session.get_inputs()))
        self.outputs = tuple(map(_info, self._session.get_outputs()))
        self.parameters = _parameters(path)

    def run(
        self,
        input_name: str,
        values: npt.NDArray[Any],
        output_names: Sequence[str],
        one_core: bool = False,
    ) -> list[Array]:
        """See :meth:`Graph.run`."""
        session = self._share if one_core else self._session
        found = session.run(list(output_names), {input_name: values})
        return [np.asarray(output, dtype=np.float64) for output in found]


def _info(tensor: Any) -> TensorInfo:
    dtype = str(tensor.type).removeprefix("tensor(").removesuffix(")")
    shape = tuple(side if isinstance(side, int) else None for side in tensor.shape)
    return TensorInfo(tensor.name, shape, _TYPES.get(dtype, dtype))


def external_files(path: Path) -> list[Path]:
    """Files of external data that an ONNX network names, sorted.

    Raises
    ------
    MissingDependencyError
        If onnx is not installed.
    WeightsError
        If the file is no ONNX network, or names a file outside of its folder.
    """
    require_runtime(path, "ONNX", ("onnx",), "onnx")
    names = {
        entry.value
        for tensor in _tensors(_read(path).graph)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    for name in names:
        inner = PurePosixPath(name)
        if inner.is_absolute() or ".." in inner.parts:
            raise WeightsError(f"{path}: names data outside of its folder ({name!r}); refused")
    return sorted(path.parent / name for name in names)


def _parameters(path: Path) -> int:
    import onnx

    names = onnx.TensorProto.DataType.Name
    return sum(
        trained_numbers(_TYPES.get(name := names(tensor.data_type).lower(), name), tensor.dims)
        for tensor in _tensors(_read(path).graph)
    )


def _read(path: Path) -> Any:
    try:
        state = path.stat()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error
    return _read_once(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=2)
def _read_once(path: Path, size: int, time_ns: int) -> Any:
    import onnx

    try:
        return onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own classes
        raise unreadable(path, _TITLE, first_line(error)) from error


def _tensors(graph: Any) -> Iterator[Any]:
    """All constant tensors of a graph and of the graphs inside of its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _tensors(inner)
