"""MediaPipe in a worker.

mediapipe asks for versions of numpy and OpenCV that hpbench does not want, so it may be installed
in another environment; its Python is named by the option ``python`` or $HPBENCH_FACEMESH_PYTHON.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpbench.errors import HpbenchError, MissingDependencyError
from hpbench.method import NoPrediction
from hpbench.paths import user_path

__all__ = [
    "landmarks_in", "mediapipe_command", "mediapipe_errors", "missing_mediapipe", "python_of",
    "version_of",
]  # fmt: skip

_VARIABLE = "HPBENCH_FACEMESH_PYTHON"
_FIX = (
    "pip install 'hpbench[facemesh]', or install 'mediapipe<0.10.30' in another environment and "
    f"set ${_VARIABLE} to its python"
)


def python_of(option: str) -> str:
    """Interpreter that runs MediaPipe: the option, the environment variable, or this one.

    The option is a path: a mere name in a run folder must not start any program of the system.
    """
    if option:
        return str(user_path(option).absolute())
    return os.environ.get(_VARIABLE, "") or sys.executable


def missing_mediapipe() -> str | None:
    """What has to be installed, or None; looks only for this interpreter's mediapipe."""
    if os.environ.get(_VARIABLE) or find_spec("mediapipe") is not None:
        return None
    return f"mediapipe: {_FIX}"


@cache
def version_of(python: str) -> str:
    """Version of the mediapipe of an interpreter.

    Raises
    ------
    MissingDependencyError
        If it has none.
    """
    code = "from importlib.metadata import version; print(version('mediapipe'))"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingDependencyError(f"{python}: has no mediapipe; {_FIX}") from error
    return done.stdout.strip()


def mediapipe_command(python: str) -> list[str]:
    """Command of the worker."""
    return [python, str(Path(__file__).with_name("worker.py"))]


@contextmanager
def mediapipe_errors(python: str) -> Iterator[None]:
    """Say what to install where the worker does not start."""
    try:
        yield
    except HpbenchError as error:
        version_of(python)
        raise MissingDependencyError(f"{python}: {error}; {_FIX}") from error


def landmarks_in(reply: Mapping[str, Any]) -> npt.NDArray[np.float64] | NoPrediction:
    """Landmarks x, y in pixels of the image, shape (468, 2), of a reply."""
    if "no_prediction" in reply:
        return NoPrediction(reply["no_prediction"])
    return np.array(reply["landmarks"], dtype=np.float64)[:, :2]
