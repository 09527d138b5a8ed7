"""How much faster pnp is on two cores than on one, in the same run folder format.

    python benchmarks/pnp_cores.py AFLW2000_DIR [--images 2000] [--rounds 2]

``--workers 1`` solves face by face in one process: it is the plain script's loop. Both sides
read the same links to the same files and take turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from repeat import repeat_aflw2000


def run(folder: Path, out: Path, workers: int) -> float:
    """Seconds of a whole ``hpbench run``."""
    command = [
        sys.executable, "-m", "hpbench", "run", "--methods", "pnp", "--datasets", "aflw2000",
        "--data", f"aflw2000={folder}", "--out", str(out), "--workers", str(workers),
        "--timing", "off", "--fresh", "--device", "cpu",
    ]  # fmt: skip
    # one process is to be one core, also inside OpenCV and NumPy
    environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    start = perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    seconds: dict[int, list[float]] = {1: [], 2: []}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        repeat_aflw2000(arguments.folder, folder, arguments.images)
        for number in range(arguments.rounds):
            for workers, times in seconds.items():
                out = Path(temporary) / f"run-{number}-{workers}"
                times.append(run(folder, out, workers))
    print(f"{arguments.images} images, {arguments.rounds} interleaved rounds, load {load:.1f}")
    one, two = (statistics.median(times) for times in seconds.values())
    print(f"one core   {arguments.images / one:7.1f} images/s")
    print(f"two cores  {arguments.images / two:7.1f} images/s  {one / two:.2f} x")


if __name__ == "__main__":
    main()
