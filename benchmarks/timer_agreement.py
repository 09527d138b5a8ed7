"""The infer latency of the timing pass against ``torch.utils.benchmark.Timer``.

    python benchmarks/timer_agreement.py AFLW2000_DIR WEIGHTS [--rounds 5]

Same method, same prepared faces, same number of threads; the two take turns. The last line
runs the bare network on a ready tensor, without stacking and moving the faces to the device.
"""

from __future__ import annotations

import argparse
import os
import statistics
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from torch.utils.benchmark import Timer

from hpbench.face import Face
from hpbench.inference.progress import NoProgress
from hpbench.registry import make_dataset, make_method
from hpbench.timing.measure import TimedDataset, time_methods

FACES = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()

    dataset = make_dataset("aflw2000", arguments.folder)
    method = make_method(f"hopenet[weights={arguments.weights}]", arguments.device)
    method.load()
    records = [record for record in dataset.records() if record.excluded is None][:FACES]
    faces = [Face(one.image_id, dataset.read_image(one), one.box_xyxy) for one in records]
    timed = TimedDataset("aflw2000", faces, {"hopenet": method})
    inputs = [method.prepare(face) for face in faces]
    pixels = torch.from_numpy(np.stack(inputs[:1])).permute(0, 3, 1, 2).float()
    pixels = pixels.to(arguments.device)

    following = cycle(inputs)

    def infer() -> None:
        method.infer([next(following)])

    def network() -> None:
        with torch.inference_mode():
            method._network(pixels)

    threads = torch.get_num_threads()
    timers = {
        name: Timer("work()", globals={"work": work}, num_threads=threads)
        for name, work in (("Timer, infer", infer), ("Timer, bare network", network))
    }
    found: dict[str, list[float]] = {"timing pass, infer": []} | {name: [] for name in timers}
    load = os.getloadavg()[0]
    for _ in range(arguments.rounds):
        rows = time_methods(timed, 2, NoProgress())
        found["timing pass, infer"].append(statistics.median(r["infer_ms"] for r in rows))
        for name, timer in timers.items():
            found[name].append(1e3 * timer.blocked_autorange(min_run_time=2.0).median)
    print(f"{arguments.rounds} interleaved rounds, {threads} threads, load {load:.1f}")
    ours = statistics.median(found["timing pass, infer"])
    for name, values in found.items():
        median = statistics.median(values)
        print(f"{name:<22} {median:8.3f} ms  {100 * (ours / median - 1):+6.1f} %")


if __name__ == "__main__":
    main()
