"""How much faster pnp without its check is on two cores than on one.

    python benchmarks/pnp_cores.py AFLW2000_DIR [--images 2000] [--rounds 2]

One core is a process that is pinned to a core and solves face by face, as a plain script does;
two cores are two worker processes on two cores. Both sides read the same links to the same files
and take turns. Faces per second are counted from a tenth of the faces on; the time of the whole
run, with the start of Python and the report, is printed beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from repeat import repeat_aflw2000


class Clock:
    """Notes when a tenth of the faces and when all of them are predicted."""

    def __init__(self) -> None:
        self.total = self.done = self.from_face = 0
        self.began = self.ended = 0.0

    def start(self, dataset: str, method: str, total: int, done: int) -> None:
        self.total = total

    def advance(self, dataset: str, method: str, count: int) -> None:
        self.done += count
        self.ended = perf_counter()
        if not self.began and self.done >= self.total / 10:
            self.began, self.from_face = self.ended, self.done

    @property
    def faces_per_s(self) -> float:
        return (self.done - self.from_face) / (self.ended - self.began)


def run_here(folder: Path, out: Path, workers: int) -> None:
    """One run in this process; prints faces per second and seconds of the whole."""
    start = perf_counter()
    from hpbench.results.run_config import RunConfig
    from hpbench.running.runner import run

    clock = Clock()
    spec = RunConfig(
        methods="pnp[model=ict51,check=off]", datasets="aflw2000", data={"aflw2000": folder},
        device="cpu", timing="off", fresh=True, workers=workers,
    )  # fmt: skip
    run(spec, out, clock)
    print(json.dumps({"faces_per_s": clock.faces_per_s, "seconds": perf_counter() - start}))


def measure(folder: Path, out: Path, workers: int) -> dict[str, float]:
    """One run in a process of its own on that many cores."""
    cores = sorted(os.sched_getaffinity(0))[:workers]
    done = subprocess.run(
        [sys.executable, __file__, str(folder), "--run", str(out), "--workers", str(workers)],
        check=True, stdout=subprocess.PIPE, text=True,
        # a process is to be a core, also inside OpenCV and NumPy
        env=dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"),
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run_here(arguments.folder, arguments.run, arguments.workers)
        return
    found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "data"
        repeat_aflw2000(arguments.folder, folder, arguments.images)
        for number in range(arguments.rounds):
            for workers, figures in found.items():
                out = Path(temporary) / f"run-{number}-{workers}"
                figures.append(measure(folder, out, workers))
    print(f"{arguments.images} images, {arguments.rounds} interleaved rounds, load {load:.1f}")
    rates = {w: statistics.median(f["faces_per_s"] for f in runs) for w, runs in found.items()}
    for workers, runs in found.items():
        whole = statistics.median(figures["seconds"] for figures in runs)
        print(
            f"{workers} core(s)  {rates[workers]:7.1f} faces/s  {rates[workers] / rates[1]:.2f} x  "
            f"whole run {whole:.1f} s"
        )


if __name__ == "__main__":
    main()
