"""Two methods that are programs of their own: --plugin workers.py --methods dark_centre.

Build the program of `dark_centre` first (see its source); `lwhpe_worker` needs an ONNX export of
LwHPE (Shaw-git/Lightweight-Head-Pose-Estimation) and a Python with onnxruntime and Pillow.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from hpbench.errors import UsageError
from hpbench.inference.worker import Worker
from hpbench.method import MethodCard, Options

HERE = Path(__file__).resolve().parent


class DarkCentre(Worker):
    """The C++ program."""

    contract = 2
    name = "dark_centre"
    summary = "centre of the dark pixels, a C++ program"

    class Options(Options):
        program: str = str(HERE / "dark_centre")

    def command(self) -> Sequence[str]:
        if not Path(self.options.program).is_file():
            raise UsageError(f"{self.options.program}: no such program; compile dark_centre.cpp")
        return [str(Path(self.options.program).resolve())]

    def card(self) -> MethodCard:
        return MethodCard(
            name=self.name,
            title="Centre of the dark pixels (C++)",
            licence="Apache-2.0",
            crop_rule="the box as it is",
        )


class LwhpeWorker(Worker):
    """The Python program, perhaps in another environment."""

    contract = 2
    name = "lwhpe_worker"
    summary = "LwHPE as an ONNX file, in a Python of its own"

    class Options(Options):
        net: str = "lwhpe.onnx"
        python: str = sys.executable

    start_s: ClassVar[float] = 60.0

    def command(self) -> Sequence[str]:
        net = Path(self.options.net).resolve()
        if not net.is_file():
            raise UsageError(f"{net}: no such network; name it: lwhpe_worker[net=FILE]")
        return [self.options.python, str(HERE / "lwhpe_worker.py"), str(net)]

    def card(self) -> MethodCard:
        return MethodCard(
            name=self.name,
            title="LwHPE in a worker",
            code="https://github.com/Shaw-git/Lightweight-Head-Pose-Estimation",
            licence="MIT",
            weights=Path(self.options.net).name,
            weights_licence="MIT",
            trained_on=("w300lp",),
            trained_domains=("photo",),
            crop_rule="square of 1.5 times the longer side, cut off at the image",
        )
