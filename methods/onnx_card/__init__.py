"""Declared methods: an ONNX network and a TOML card that says how to use it, no code."""

from __future__ import annotations

from hpbench.methods.onnx_card.card import NetworkCard, read_card
from hpbench.methods.onnx_card.landmarks import OnnxLandmarks
from hpbench.methods.onnx_card.method import DeclaredMethod, FsaNet, Onnx

__all__ = ["DeclaredMethod", "FsaNet", "NetworkCard", "Onnx", "OnnxLandmarks", "read_card"]
