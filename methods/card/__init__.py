"""Declared methods: a network file and a TOML card that says how to use it, no code."""

from __future__ import annotations

from hpbench.methods.card.card import NetworkCard, read_card
from hpbench.methods.card.landmarks import CardLandmarks
from hpbench.methods.card.method import CardMethod, DeclaredMethod, FsaNet

__all__ = ["CardLandmarks", "CardMethod", "DeclaredMethod", "FsaNet", "NetworkCard", "read_card"]
