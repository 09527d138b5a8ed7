"""Formats of networks by their suffixes, and the files that a network consists of."""

from __future__ import annotations

from pathlib import Path

from hpbench.errors import WeightsError
from hpbench.inference.graphs.base import Graph

__all__ = ["FORMATS", "graph_files", "open_graph"]

FORMATS = {
    ".onnx": "ONNX",
    ".pt2": "torch.export",
    ".ts": "TorchScript",
    ".torchscript": "TorchScript",
    ".pt": "TorchScript",
    ".pth": "TorchScript",
    ".xml": "OpenVINO IR",
    ".tflite": "TFLite",
}
"""Format by suffix, in small letters."""


def open_graph(path: Path, device: str = "cpu") -> Graph:
    """Open a network by its suffix.

    `device` is the wish; a runtime that lacks it runs on the CPU and says so.

    Raises
    ------
    MissingDependencyError
        If the format's runtime is not installed.
    WeightsError
        If the format is not known, or the file is missing, corrupted or refused.
    """
    title = _format_of(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    if title == "ONNX":
        from hpbench.inference.graphs.onnx_file import OnnxGraph

        return OnnxGraph(path, device)
    if title == "torch.export":
        from hpbench.inference.graphs.exported_program import ExportedGraph

        return ExportedGraph(path, device)
    if title == "TorchScript":
        from hpbench.inference.graphs.torchscript import ScriptGraph

        return ScriptGraph(path, device)
    if title == "OpenVINO IR":
        from hpbench.inference.graphs.openvino_ir import OpenvinoGraph

        return OpenvinoGraph(path)
    from hpbench.inference.graphs.tflite import TfliteGraph

    return TfliteGraph(path)


def graph_files(path: Path) -> list[Path]:
    """All files that a network consists of, itself first.

    Those are the ``.bin`` of OpenVINO IR, and external data of ONNX.

    Raises
    ------
    WeightsError
        If one of them is missing, or lies outside of the network's folder.
    """
    title = _format_of(path)
    beside: list[Path] = []
    if title == "OpenVINO IR":
        beside = [path.with_suffix(".bin")]
    elif title == "ONNX":
        from hpbench.inference.graphs.onnx_file import external_files

        beside = external_files(path)
    for file in beside:
        if not file.is_file():
            raise WeightsError(f"{file}: no such file; {path.name} needs it beside it")
    return [path, *beside]


def _format_of(path: Path) -> str:
    title = FORMATS.get(path.suffix.lower())
    if title is None:
        raise WeightsError(
            f"{path}: not a format of networks that is read; use {', '.join(FORMATS)}"
        )
    return title
