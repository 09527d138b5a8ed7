"""Networks in files, small and made here, changed in what their formats consist of."""

from __future__ import annotations

import io
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from fuzz_inputs import mutated_bytes, mutated_json, mutated_text

__all__ = ["exported", "onnx_file", "openvino_files", "tflite", "tflite_of_means", "torchscript"]


@cache
def _files() -> Mapping[str, bytes]:
    """One network in every format that this machine can write, by suffix."""
    import torch
    from torch import nn

    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))
    example = torch.zeros(1, 3, 8, 8)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as name:
        warnings.simplefilter("ignore")
        folder = Path(name)
        torch.jit.trace(network.eval(), example).save(folder / "net.ts")
        torch.export.save(torch.export.export(network, (example,)), folder / "net.pt2")
        torch.onnx.export(network, (example,), str(folder / "net.onnx"), dynamo=False)
        try:
            import openvino
        except ImportError:
            pass
        else:
            model = openvino.convert_model(folder / "net.onnx")
            openvino.save_model(model, folder / "net.xml", compress_to_fp16=False)
        return {path.suffix: path.read_bytes() for path in folder.iterdir()}


def onnx_file(chance: Random) -> bytes:
    """Bytes of an ONNX file changed."""
    return mutated_bytes(_files()[".onnx"], chance)


def exported(chance: Random) -> bytes:
    """A file of the archive of torch.export changed, as JSON where it is."""
    return _archive(_files()[".pt2"], chance)


def torchscript(chance: Random) -> bytes:
    """A file of the archive of TorchScript changed, its code as text."""
    return _archive(_files()[".ts"], chance)


def _archive(content: bytes, chance: Random) -> bytes:
    if chance.random() < 0.2:
        return mutated_bytes(content, chance)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = chance.choice(list(entries))
    if name.endswith("model.json") or (name.endswith(".json") and entries[name].strip()):
        entries[name] = mutated_json(entries[name], chance)
    elif name.endswith(".py"):
        words = ("torch.", "ops.", "aten.", "save(", "from_file", "[0]", "def ", "self", "):\n")
        text = mutated_text(entries[name].decode(), chance, words)
        entries[name] = text.encode("utf-8", "surrogatepass")
    else:
        entries[name] = mutated_bytes(entries[name], chance)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for other, held in entries.items():
            archive.writestr(other, held)
    return file.getvalue()


def openvino_files(chance: Random) -> tuple[bytes, bytes]:
    """XML and numbers of OpenVINO IR, one of them changed."""
    text, numbers = _files()[".xml"], _files()[".bin"]
    if chance.random() < 0.2:
        return text, mutated_bytes(numbers, chance)
    words = ("<layer ", "</layer>", 'id="0"', "<port", "<dim>-1</dim>", 'type="Const"', 'size="9"')
    if chance.random() < 0.7:
        return mutated_text(text.decode(), chance, words).encode("utf-8", "surrogatepass"), numbers
    return mutated_bytes(text, chance), numbers


@cache
def tflite_of_means(step: float = 0.0, zero: int = 0) -> bytes:
    """A network that gives the mean of each colour of an image of 8 pixels; int8 with `step`."""
    import flatbuffers
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: str, shape: list[int], buffer: int, number_type: int) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.buffer, made.type = name, shape, buffer, number_type
        if step and number_type == schema.TensorType.INT8:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [step], [zero]
        return made

    number = schema.TensorType.INT8 if step else schema.TensorType.FLOAT32
    axes = schema.BufferT()
    axes.data = list(np.array([1, 2], np.int32).tobytes())
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [0, 1], [2]
    operator.builtinOptionsType = schema.BuiltinOptions.ReducerOptions
    operator.builtinOptions = schema.ReducerOptionsT()
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.MEAN
    code.version = 2 if step else 1
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("image", [1, 8, 8, 3], 0, number),
        tensor("axes", [2], 1, schema.TensorType.INT32),
        tensor("means", [1, 3], 0, number),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [2], [operator]
    model = schema.ModelT()
    model.version, model.subgraphs = 3, [graph]
    model.buffers, model.operatorCodes = [schema.BufferT(), axes], [code]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def tflite(chance: Random) -> bytes:
    """Bytes of a TFLite file changed."""
    return mutated_bytes(tflite_of_means(), chance)
