"""Programs of torch.export, ``.pt2``, read as data.

``torch.export.load`` unpickles objects and evaluates expressions of the file as Python, so a file
could run any code. A program is no more than a list of calls of tensor operators, in JSON, and
numbers. Here both are read without either, and only operators of ATen, arithmetic and comparisons
are called.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpbench.errors import WeightsError, first_line
from hpbench.inference.graphs.base import TensorInfo
from hpbench.inference.graphs.torch_graph import TorchGraph, read_entries, to_device

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["ExportedGraph"]

_ATEN = re.compile(r"torch\.ops\.aten\.([a-z_0-9A-Z]+)\.([a-z_0-9A-Z]+)")
_FILES = frozenset({"from_file", "save"})
"""ATen operators that read or write files."""

_OPERATORS = re.compile(
    "_operator[.](add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem)"
)
_MATH = re.compile(r"math[.](ceil|floor|trunc|sqrt)")
_SYMBOLIC = re.compile(r"torch[.](sym_int|sym_float|sym_max|sym_min|sym_not|sym_ite)")

_SCALAR_TYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32",
    8: "float64", 12: "bool", 13: "bfloat16",
}  # fmt: skip
_MEMORY_FORMATS = {
    1: "contiguous_format", 2: "channels_last", 3: "channels_last_3d", 4: "preserve_format",
}  # fmt: skip

_PLAIN = frozenset(
    {"as_int", "as_ints", "as_float", "as_floats", "as_bool", "as_bools", "as_string", "as_strings"}
)
"""Arguments that stand in the file as they are."""


class ExportedGraph(TorchGraph):
    """A program that ``torch.export.save`` wrote."""

    def __init__(self, path: Path, device: str) -> None:
        self.device = to_device(device)
        self.on_cpu = self.device.type == "cpu"
        entries = read_entries(path)
        if "models/model.json" not in entries:
            raise WeightsError(
                f"{path}: no program in the layout of today's torch.export.save; save it again "
                "with torch 2.9 or later"
            )
        try:
            self._read(entries)
        except WeightsError as error:
            raise WeightsError(f"{path}: {error}") from error
        except Exception as error:  # a damaged file may lack anything
            kind = type(error).__name__
            raise WeightsError(
                f"{path}: corrupted torch.export program ({kind}: {first_line(error)})"
            ) from error

    def _read(self, entries: Mapping[str, bytes]) -> None:
        module = json.loads(entries["models/model.json"])["graph_module"]
        graph, signature = module["graph"], module["signature"]
        tensors = {
            **_tensors(entries, "data/weights", "model_weights_config.json"),
            **_tensors(entries, "data/constants", "model_constants_config.json"),
        }
        self._constants: dict[str, Tensor] = {}
        inputs: list[str] = []
        self.parameters = 0
        for spec in signature["input_specs"]:
            ((kind, content),) = spec.items()
            if kind == "user_input":
                inputs.append(content["arg"]["as_tensor"]["name"])
            elif kind in ("parameter", "buffer", "tensor_constant"):
                tensor = tensors[content[f"{kind}_name"]]
                self._constants[content["arg"]["name"]] = tensor.to(self.device)
                self.parameters += tensor.numel() if kind == "parameter" else 0
            else:
                raise WeightsError(f"its program takes a '{kind}', which is not read")
        self._outputs = [_output_name(spec) for spec in signature["output_specs"]]
        self._calls = [_Call(node) for node in graph["nodes"]]
        self.inputs = tuple(_info(name, graph["tensor_values"]) for name in inputs)
        self.outputs = tuple(_info(name, graph["tensor_values"]) for name in self._outputs)

    def call(self, input_name: str, values: Tensor) -> dict[str, Tensor]:
        """Call one operator after the other."""
        known: dict[str, Any] = {**self._constants, input_name: values}
        for call in self._calls:
            call.run(known, self.device)
        return {name: known[name] for name in self._outputs}


class _Call:
    """One call of a program; unknown operators are refused before anything runs."""

    def __init__(self, node: Mapping[str, Any]) -> None:
        self._function, self._by_name = _function(node["target"])
        self._inputs = [(given["name"], given["arg"]) for given in node["inputs"]]
        self._outputs = [_names(output) for output in node["outputs"]]

    def run(self, known: dict[str, Any], device: torch.device) -> None:
        """Put the outputs, by name, to what is known."""
        given = {name: _value(arg, known, device) for name, arg in self._inputs}
        found = self._function(**given) if self._by_name else self._function(*given.values())
        values = [found] if len(self._outputs) == 1 else found or ()
        for names, value in zip(self._outputs, values, strict=True):
            if isinstance(names, str):
                known[names] = value
            else:
                known.update(zip(names, value, strict=True))


def _function(target: str) -> tuple[Callable[..., Any], bool]:
    """The function behind a name, and whether its arguments are given by name."""
    import torch

    if (found := _ATEN.fullmatch(target)) and found[1] not in _FILES:
        return getattr(getattr(torch.ops.aten, found[1]), found[2]), True
    for module, allowed in ((operator, _OPERATORS), (math, _MATH), (torch, _SYMBOLIC)):
        if found := allowed.fullmatch(target):
            return getattr(module, found[1]), False
    raise WeightsError(f"refused: its program calls '{target[:80]}', which is no operator of ATen")


def _value(arg: Mapping[str, Any], known: Mapping[str, Any], device: torch.device) -> Any:
    import torch

    ((kind, content),) = arg.items()
    if kind in _PLAIN:
        return content
    if kind == "as_none":
        return None
    if kind == "as_tensor":
        return known[content["name"]]
    if kind == "as_tensors":
        return [known[one["name"]] for one in content]
    if kind in ("as_optional_tensor", "as_sym_int", "as_sym_float", "as_sym_bool"):
        return known[content["as_name"]] if "as_name" in content else _value(content, known, device)
    if kind in ("as_optional_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools"):
        return [
            known[one["as_name"]] if "as_name" in one else _value(one, known, device)
            for one in content
        ]
    if kind == "as_scalar_type":
        return getattr(torch, _SCALAR_TYPES[content])
    if kind == "as_memory_format":
        return getattr(torch, _MEMORY_FORMATS[content])
    if kind == "as_layout":
        return torch.strided
    if kind == "as_device":
        return device
    raise WeightsError(f"its program has an argument of the form '{kind}', which is not read")


def _names(output: Mapping[str, Any]) -> str | list[str]:
    """Name of an output, or the names of one that is a list, be it of a single tensor."""
    ((kind, content),) = output.items()
    if kind == "as_tensors":
        return [one["name"] for one in content]
    if kind in ("as_tensor", "as_sym_int", "as_sym_float", "as_sym_bool"):
        return str(content["name"] if kind == "as_tensor" else content["as_name"])
    raise WeightsError(f"its program has an output of the form '{kind}', which is not read")


def _output_name(spec: Mapping[str, Any]) -> str:
    ((kind, content),) = spec.items()
    if kind != "user_output":
        raise WeightsError(f"its program gives a '{kind}'; export it in evaluation mode")
    return str(content["arg"]["as_tensor"]["name"])


def _info(name: str, values: Mapping[str, Any]) -> TensorInfo:
    meta = values[name]
    shape = tuple(side.get("as_int") for side in meta["sizes"])
    return TensorInfo(name, shape, _SCALAR_TYPES[meta["dtype"]])


def _tensors(entries: Mapping[str, bytes], folder: str, config: str) -> dict[str, Tensor]:
    """Tensors of an archive by their names in the network."""
    import torch

    found = {}
    for name, entry in json.loads(entries[f"{folder}/{config}"])["config"].items():
        meta = entry["tensor_meta"]
        if entry["use_pickle"] or meta is None:
            raise WeightsError(f"refused: '{name}' is a pickled object, which could run code")
        dtype = getattr(torch, _SCALAR_TYPES[meta["dtype"]])
        content = bytearray(entries[f"{folder}/{entry['path_name']}"])
        sizes, strides = ([side["as_int"] for side in meta[key]] for key in ("sizes", "strides"))
        flat = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
        found[name] = torch.as_strided(flat, sizes, strides, meta["storage_offset"]["as_int"])
    return found
