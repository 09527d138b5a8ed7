"""A network that fits its card: which input it is fed and which outputs are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpbench.errors import WeightsError, first_line
from hpbench.inference.batching import map_batch_on_threads
from hpbench.inference.cores import compute_threads
from hpbench.inference.graphs import Graph, TensorInfo, open_graph
from hpbench.methods.card.card import NetworkCard
from hpbench.spec import suggest

__all__ = ["Network", "open_network"]

Array = npt.NDArray[np.float64]

_INPUT_TYPES = ("float32", "float16", "float64", "uint8")

SAME = 1e-3
"""Outputs of a batch and of single faces may differ by this share of the largest one."""


@dataclass(frozen=True)
class Network:
    """One network and which of its inputs and outputs are used.

    Attributes
    ----------
    one_by_one : bool
        The graph takes one face at a time.
    """

    graph: Graph
    graph_input: TensorInfo
    output_names: Sequence[str]
    one_by_one: bool

    def run(self, values: npt.NDArray[np.float32]) -> list[Array]:
        """Outputs, each with one row per input."""
        typed = values if self.graph_input.dtype != "uint8" else np.rint(values).clip(0, 255)
        typed = typed.astype(self.graph_input.dtype, copy=False)
        splits = self.graph.splits and self.graph.on_cpu and len(typed) > 1
        cores = compute_threads() if splits else 1
        if cores == 1:
            return self._run(typed)
        shares = map_batch_on_threads(partial(self._run, one_core=True), typed, cores)
        return [np.concatenate(outputs) for outputs in zip(*shares, strict=True)]

    def _run(self, values: npt.NDArray[np.generic], one_core: bool = False) -> list[Array]:
        chunks = np.split(values, len(values)) if self.one_by_one else [values]
        runs = [
            self.graph.run(self.graph_input.name, part, self.output_names, one_core)
            for part in chunks
        ]
        return [np.concatenate(outputs) for outputs in zip(*runs, strict=True)]


def open_network(path: Path, card: NetworkCard, device: str) -> Network:
    """Open a network, compare its inputs and outputs with the card, and try it out.

    Raises
    ------
    MissingDependencyError
        If the runtime of its format is not installed.
    WeightsError
        If the file is corrupted, does not fit the card, or cannot be run.
    """
    graph = open_graph(path, device)
    graph_input = _image_input(graph, card, path)
    _check_shape(graph_input, card, path)
    if graph_input.dtype not in _INPUT_TYPES:
        raise WeightsError(f"{path}: input '{graph_input.name}' is a {graph_input.dtype}")
    examples = _examples(card).astype(graph_input.dtype)
    try:
        graph.find_outputs(graph_input.name, examples[:1])
        names = _output_names(graph, card, path)
        single = [graph.run(graph_input.name, examples[i : i + 1], names) for i in (0, 1)]
    except WeightsError:
        raise
    except Exception as error:  # each runtime has its own classes
        raise WeightsError(
            f"{path}: the network cannot be run on one face ({first_line(error)})"
        ) from error
    for name, output in zip(names, single[0], strict=True):
        if output.shape[:1] != (1,):
            raise WeightsError(
                f"{path}: output '{name}' has shape {output.shape} for one face; its first side "
                "has to be the batch"
            )
    fixed = graph_input.shape is not None and graph_input.shape[0] == 1
    one_by_one = fixed or not _takes_batches(graph, graph_input.name, examples, names, single)
    return Network(graph, graph_input, names, one_by_one)


def _examples(card: NetworkCard) -> Array:
    """Two inputs that differ, shape (2, ...)."""
    side = (card.input.height, card.input.width)
    shape = (2, 3, *side) if card.input.layout == "NCHW" else (2, *side, 3)
    return np.random.default_rng(0).uniform(0.0, card.input.white, shape)


def _takes_batches(
    graph: Graph,
    input_name: str,
    examples: npt.NDArray[np.generic],
    names: Sequence[str],
    single: Sequence[Sequence[Array]],
) -> bool:
    """Whether two faces at once give what each gives alone: an export may have frozen the batch."""
    try:
        both = graph.run(input_name, examples, names)
    except Exception:  # a size that was frozen, in the words of whatever runtime
        return False
    for together, *alone in zip(both, *single, strict=True):
        apart = np.concatenate(alone)
        tolerance = SAME * max(1.0, float(np.nanmax(np.abs(apart), initial=0.0)))
        if together.shape != apart.shape or not np.allclose(
            together, apart, rtol=0.0, atol=tolerance, equal_nan=True
        ):
            return False
    return True


def _image_input(graph: Graph, card: NetworkCard, path: Path) -> TensorInfo:
    """The input that is fed: the one that the card names, or the only one."""
    if card.input.name:
        (chosen,) = _pick(graph.inputs, [card.input.name], path)
    else:
        images = [info for info in graph.inputs if info.shape is None or len(info.shape) == 4]
        chosen = (images or graph.inputs)[0]
    others = [str(info) for info in graph.inputs if info is not chosen]
    if others:
        raise WeightsError(
            f"{path}: the network has further inputs: {', '.join(others)}; only the image is fed, "
            "so export it with the others frozen (docs/export-to-onnx.md)"
        )
    return chosen


def _pick(tensors: Sequence[TensorInfo], names: Sequence[str], path: Path) -> list[TensorInfo]:
    by_name = {tensor.name: tensor for tensor in tensors}
    for name in names:
        if name not in by_name:
            raise WeightsError(f"{path}: the network has no '{name}'; {suggest(name, by_name)}")
    return [by_name[name] for name in names]


def _check_shape(graph_input: TensorInfo, card: NetworkCard, path: Path) -> None:
    """Compare the graph's input with the card; sizes that the graph leaves open fit anything."""
    shape = graph_input.shape
    if shape is None:
        return
    size = [card.input.height, card.input.width]
    expected = [3, *size] if card.input.layout == "NCHW" else [*size, 3]
    fits = len(shape) == 4 and all(
        there is None or there == here for there, here in zip(shape[1:], expected, strict=True)
    )
    if not fits:
        raise WeightsError(
            f"{path}: input shape is {graph_input}; the card specifies "
            f"[batch, {', '.join(map(str, expected))}] ({card.input.layout})"
        )
    if shape[0] not in (None, 1):
        raise WeightsError(
            f"{path}: the network was exported for batches of {shape[0]}; "
            "export it for a batch of 1 or of any size"
        )


def _output_names(graph: Graph, card: NetworkCard, path: Path) -> list[str]:
    """Outputs that are read: one or three of the pose, then that of the confidence."""
    named = card.output.names or tuple(info.name for info in graph.outputs)
    last = (card.confidence.name,) if card.confidence else ()
    _pick(graph.outputs, [*named, *last], path)
    if card.output.kind in ("angles", "bins") and len(named) not in (1, 3):
        raise WeightsError(
            f"{path}: the network has {len(named)} outputs ({', '.join(named)}); name the one or "
            "three that are yaw, pitch, roll in the card's output.names"
        )
    if card.output.kind not in ("angles", "bins") and len(named) != 1:
        what = "landmarks" if card.output.kind == "landmarks" else "rotation"
        raise WeightsError(
            f"{path}: the network has {len(named)} outputs ({', '.join(named)}); name the {what} "
            "in output.names"
        )
    return [*named, *last]
