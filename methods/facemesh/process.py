"""MediaPipe in a process of its own.

mediapipe asks for versions of numpy and OpenCV that hpbench does not want, so it may be installed
in another environment; its Python is named by the option ``python`` or $HPBENCH_FACEMESH_PYTHON.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import weakref
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Timer
from typing import IO

import numpy as np
import numpy.typing as npt

from hpbench.errors import HpbenchError, MissingDependencyError

__all__ = ["STALL_S", "FaceMeshProcess", "missing_mediapipe", "python_of", "version_of"]

STALL_S = 60.0
"""Seconds without an answer after which the process is killed."""

_VARIABLE = "HPBENCH_FACEMESH_PYTHON"
_FIX = (
    "pip install 'hpbench[facemesh]', or install 'mediapipe<0.10.30' in another environment and "
    f"set ${_VARIABLE} to its python"
)
_WORKER = Path(__file__).with_name("worker.py")


def python_of(option: str) -> str:
    """Interpreter that runs MediaPipe: the option, the environment variable, or this one."""
    return option or os.environ.get(_VARIABLE, "") or sys.executable


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


class FaceMeshProcess:
    """A child process that gives landmarks of images; one that dies or hangs is started once more.

    Parameters
    ----------
    python : str
        Interpreter that has mediapipe.
    """

    def __init__(self, python: str) -> None:
        self._python = python
        self._lock = Lock()
        self._start()

    def find(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64] | None:
        """Landmarks of the surest face, or None.

        Parameters
        ----------
        image : ndarray, shape (height, width, 3), uint8
            RGB.

        Returns
        -------
        ndarray, shape (468, 3), or None
            x, y in pixels; z in pixels, less is nearer to the camera.

        Raises
        ------
        HpbenchError
            If the process dies or hangs on this image twice.
        """
        height, width = image.shape[:2]
        request = struct.pack("<ii", height, width) + np.ascontiguousarray(image).tobytes()
        with self._lock:
            try:
                return self._ask(request)
            except (OSError, EOFError):
                self._start()
            try:
                return self._ask(request)
            except (OSError, EOFError) as error:
                raise HpbenchError(
                    f"MediaPipe's process died twice ({self._last_line()})"
                ) from error

    def _start(self) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (the child's, while it lives)
        command = [self._python, str(_WORKER)]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        weakref.finalize(self, _stop, self._child)
        try:
            self._read(4)
        except EOFError as error:
            version_of(self._python)
            raise MissingDependencyError(
                f"{self._python}: MediaPipe Face Mesh does not start ({self._last_line()}); {_FIX}"
            ) from error

    def _ask(self, request: bytes) -> npt.NDArray[np.float64] | None:
        assert self._child.stdin is not None
        hangs = Timer(STALL_S, self._child.kill)
        hangs.daemon = True
        hangs.start()
        try:
            self._child.stdin.write(request)
            self._child.stdin.flush()
            (count,) = struct.unpack("<i", self._read(4))
            values = np.frombuffer(self._read(12 * count), "<f4")
        finally:
            hangs.cancel()
        if not count:
            return None
        return values.reshape(count, 3).astype(np.float64)

    def _read(self, size: int) -> bytes:
        assert self._child.stdout is not None
        data = self._child.stdout.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def _last_line(self) -> str:
        self._child.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self._child.returncode}"


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the child with its input; one that does not listen is killed."""
    assert child.stdin is not None
    try:
        child.stdin.close()
        child.wait(timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        child.kill()
        child.wait()
