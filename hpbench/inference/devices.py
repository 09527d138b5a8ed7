"""The device that networks run on."""

from __future__ import annotations

import sys
from pathlib import Path

from hpbench.errors import UsageError

__all__ = ["resolve_device"]


def resolve_device(device: str) -> str:
    """Device that ``auto`` stands for, or the named one; a UsageError where there is none such."""
    if device == "cpu" or (device == "auto" and not _has_gpu_driver()):
        return "cpu"
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"--device {device}: unknown; use cpu, cuda, cuda:1 or auto") from error
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {device}: not available here; use --device cpu") from error
    return device


def _has_gpu_driver() -> bool:
    """Whether it is worth the seconds of importing torch to ask it for a GPU."""
    if not sys.platform.startswith("linux"):
        return True
    # NVIDIA, NVIDIA under WSL, AMD
    return any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd"))
