"""What a run was made with: versions, hardware, revision."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

__all__ = ["describe", "git_revision", "hardware", "versions"]

_PACKAGES = (
    "hpbench", "numpy", "scipy", "torch", "torchvision", "opencv-python-headless", "opencv-python",
    "opencv-contrib-python", "opencv-contrib-python-headless", "dlib-bin", "dlib", "onnxruntime",
    "onnxruntime-gpu", "openvino", "ai-edge-litert", "h5py", "pandas", "pyarrow", "pillow",
    "matplotlib",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result."""
    return dict(_installed())


@cache
def _installed() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware(device: str) -> dict[str, Any]:
    """Processor, cores, memory and the device that networks ran on."""
    import psutil

    described: dict[str, Any] = {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "device": device,
    }
    if device.startswith("cuda"):
        import torch

        described["device_name"] = torch.cuda.get_device_name(device)
    return described


def describe() -> list[str]:
    """Lines on this installation and machine, for a bug report; no paths and no names of users."""
    import psutil

    machine = hardware("cpu")
    return [
        f"commit {git_revision() or 'unknown: not run from a checkout'}",
        f"python {platform.python_version()} ({platform.python_implementation()})",
        f"system {machine['system']} ({platform.machine()}, {'-'.join(platform.libc_ver())})",
        f"processor {machine['processor']}, {psutil.cpu_count(logical=False)} cores, "
        f"{machine['cores']} threads, {machine['memory_gib']} GiB",
        *_devices(),
        *(f"{name} {found or 'not installed'}" for name, found in _dependencies().items()),
    ]


def _devices() -> list[str]:
    """What networks could run on beside the processor."""
    try:
        import torch
    except Exception as error:  # a broken installation is what the report may be about
        return [f"device unknown: torch cannot be imported ({type(error).__name__}: {error})"]
    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a build for CPUs"
        return [f"device cpu (torch is {built})"]
    return [
        f"device cuda:{number} {torch.cuda.get_device_name(number)} (CUDA {torch.version.cuda})"
        for number in range(torch.cuda.device_count())
    ]


def _dependencies() -> dict[str, str | None]:
    """Versions of what hpbench and its extras need; None where it is not installed."""
    lines = [line for line in requires("hpbench") or () if 'extra == "dev"' not in line]
    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines}
    found: dict[str, str | None] = {}
    for name in sorted(names, key=str.lower):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def git_revision() -> str | None:
    """Commit of the checkout that hpbench runs from, with ``-dirty`` for changes; None without."""
    folder = Path(__file__).resolve().parents[1]
    if not (folder.parent / "pyproject.toml").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=folder, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
