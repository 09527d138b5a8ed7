"""An opened ONNX network, checked against its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.errors import MissingDependencyError, WeightsError
from hpbench.inference.batching import map_batch_on_threads
from hpbench.inference.cores import compute_threads
from hpbench.inference.runtimes import onnx_session
from hpbench.methods.onnx_card.card import NetworkCard
from hpbench.spec import suggest

__all__ = ["Network", "open_network"]

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


@dataclass(frozen=True)
class Network:
    """One network and which of its inputs and outputs are used.

    Attributes
    ----------
    session, share_session : onnxruntime.InferenceSession
        For single faces, with its layers spread over all cores, and for each core's share of a
        batch, on one thread; both are the same off the CPU.
    one_by_one : bool
        The graph was exported for a batch of one face.
    on_cpu : bool
        It runs on the CPU, whatever device was asked for.
    """

    session: Any
    share_session: Any
    input_name: str
    input_type: npt.DTypeLike
    output_names: Sequence[str]
    one_by_one: bool
    on_cpu: bool

    def run(self, values: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float64]]:
        """Outputs, each with one row per input."""
        typed: npt.NDArray[Any] = values.astype(self.input_type, copy=False)
        cores = compute_threads() if self.on_cpu and len(typed) > 1 else 1
        if cores == 1:
            return self._run(self.session, typed)
        shares = map_batch_on_threads(partial(self._run, self.share_session), typed, cores)
        return [np.concatenate(outputs) for outputs in zip(*shares, strict=True)]

    def _run(self, session: Any, values: npt.NDArray[Any]) -> list[npt.NDArray[np.float64]]:
        chunks = np.split(values, len(values)) if self.one_by_one else [values]
        runs = [session.run(self.output_names, {self.input_name: part}) for part in chunks]
        return [
            np.concatenate([np.asarray(run[index], dtype=np.float64) for run in runs])
            for index in range(len(self.output_names))
        ]


def open_network(path: Path, card: NetworkCard, device: str) -> Network:
    """Open an ONNX file and compare its inputs and outputs with the card.

    An onnxruntime without CUDA runs on the CPU whatever the device, so that it does not stop a run
    of other methods; :attr:`Network.on_cpu` tells.

    Raises
    ------
    MissingDependencyError
        If onnxruntime is not installed.
    WeightsError
        If the file is corrupted, or does not fit the card.
    """
    session = _open_session(path, device, compute_threads())
    named = (card.input.name,) if card.input.name else ()
    graph_input = _pick(session.get_inputs(), named, path)[0]
    shape = list(graph_input.shape)
    _check_shape(shape, card, path)
    if graph_input.type not in _TYPES:
        raise WeightsError(f"{path}: input '{graph_input.name}' is a {graph_input.type}")
    outputs = _pick(session.get_outputs(), card.output.names, path)
    wanted = _outputs_wanted(card, len(outputs), path)
    on_cpu = "CUDAExecutionProvider" not in session.get_providers()
    return Network(
        session=session,
        share_session=_open_session(path, device, threads=1) if on_cpu else session,
        input_name=graph_input.name,
        input_type=_TYPES[graph_input.type],
        output_names=[output.name for output in outputs[:wanted]],
        one_by_one=shape[0] == 1,
        on_cpu=on_cpu,
    )


def _open_session(path: Path, device: str, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: ONNX networks need onnxruntime; pip install 'hpbench[onnx]'"
        ) from error
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        device = "cpu"
    try:
        return onnx_session(str(path), device, threads)
    except Exception as error:  # onnxruntime has a class of its own for every sort of damage
        line = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{path}: cannot be opened as an ONNX network ({line})") from error


def _pick(tensors: Sequence[Any], names: Sequence[str], path: Path) -> list[Any]:
    """Inputs or outputs of a graph by name; all of them where none is named."""
    if not names:
        return list(tensors)
    by_name = {tensor.name: tensor for tensor in tensors}
    for name in names:
        if name not in by_name:
            raise WeightsError(f"{path}: the network has no '{name}'; {suggest(name, by_name)}")
    return [by_name[name] for name in names]


def _check_shape(shape: list[Any], card: NetworkCard, path: Path) -> None:
    """Compare the graph's input with the card; sizes that the graph leaves open fit anything."""
    size = [card.input.height, card.input.width]
    expected = [3, *size] if card.input.layout == "NCHW" else [*size, 3]
    fits = len(shape) == 4 and all(
        not isinstance(there, int) or there == here
        for there, here in zip(shape[1:], expected, strict=True)
    )
    if not fits:
        raise WeightsError(
            f"{path}: input shape is {shape}; the card specifies "
            f"[batch, {', '.join(map(str, expected))}] ({card.input.layout})"
        )
    if isinstance(shape[0], int) and shape[0] != 1:
        raise WeightsError(
            f"{path}: the network was exported for batches of {shape[0]}; "
            "export it for a batch of 1 or of any size"
        )


def _outputs_wanted(card: NetworkCard, count: int, path: Path) -> int:
    """How many of the graph's (or the card's named) outputs are read: one, or three."""
    if card.output.kind in ("angles", "bins"):
        if count in (1, 3):
            return count
        raise WeightsError(
            f"{path}: the network has {count} outputs; name the one or three that are "
            "yaw, pitch, roll in the card's output.names"
        )
    if count != 1:
        raise WeightsError(
            f"{path}: the network has {count} outputs; name the rotation in output.names"
        )
    return 1
