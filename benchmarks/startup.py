"""Seconds of ``hpbench --help``, ``hpbench list``, a small run, and of a run that is reused.

    python benchmarks/startup.py [AFLW2000_DIR] [--images 2000] [--rounds 5]

The peers are the interpreter alone, the interpreter with numpy and pydantic, which the
contracts are made of, and the import of torch, which a network cannot do without. Processor time
is shown beside the wall clock: on a busy machine only that one means something. Each command runs
once before it is timed, and modules are compiled as pip leaves them, even where this shell's
PYTHONDONTWRITEBYTECODE would have Python compile a checkout's modules at every start.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from repeat import repeat_aflw2000

HPBENCH = (sys.executable, "-m", "hpbench")
SMALL_RUN = ("run", "--methods", "hopenet", "--limit", "100", "--timing", "off", "--fresh")


def measure(command: Sequence[str], rounds: int) -> tuple[float, float]:
    """Median wall-clock and processor seconds."""
    walls, processor = [], []
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment)
        walls.append(perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
        processor.append(used)
    return statistics.median(walls), statistics.median(processor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--methods", default="constant")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    commands: dict[str, Sequence[str]] = {
        "python -c pass": (sys.executable, "-c", "pass"),
        "python -c 'import numpy, pydantic'": (sys.executable, "-c", "import numpy, pydantic"),
        "hpbench --help": (*HPBENCH, "--help"),
        "hpbench list": (*HPBENCH, "list"),
        "python -c 'import torch'": (sys.executable, "-c", "import torch"),
        "hpbench run, 100 faces": (*HPBENCH, *SMALL_RUN),
    }
    print(f"load {os.getloadavg()[0]:.1f}, median of {arguments.rounds}")
    for name, command in commands.items():
        measure(command, 1)
        wall, processor = measure(command, arguments.rounds)
        print(f"{name:<36} {wall:6.2f} s, {processor:6.2f} s of processor", flush=True)
    if arguments.folder is None:
        return
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["HPBENCH_CACHE"] = f"{temporary}/cache"
        data = Path(temporary) / "data"
        repeat_aflw2000(arguments.folder, data, arguments.images)
        for name in ("first run", "second run", "third run"):
            out = f"{temporary}/{name.split()[0]}"
            command = (
                *HPBENCH, "run", "--methods", arguments.methods, "--datasets", "aflw2000",
                "--data", f"aflw2000={data}", "--out", out, "--timing-images", "2",
            )  # fmt: skip
            wall, processor = measure(command, 1)
            print(f"{name} of {arguments.images} images".ljust(36), end=" ")
            print(f"{wall:6.2f} s, {processor:6.2f} s of processor", flush=True)


if __name__ == "__main__":
    main()
