"""head-pose-estimation-adas-0001 of Intel's Open Model Zoo, run by OpenVINO."""

from __future__ import annotations

from hpbench.methods.adas.method import Adas

__all__ = ["Adas"]
