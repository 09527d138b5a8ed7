"""Faces read and prepared per second by threads and by processes, and what a face costs.

    python benchmarks/reading.py AFLW2000_DIR [--methods hopenet] [--faces 400]

Threads share Python's lock, processes do not; the network is not run. Starting the processes
(about two seconds each) is not counted.
"""

from __future__ import annotations

import argparse
import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

from hpbench.inference.worker_processes import WorkerPool
from hpbench.registry import load_method
from hpbench.results.run_config import RunConfig
from hpbench.running.evaluation import EvaluationSpec
from hpbench.running.local_engine import (
    FACES_AT_ONCE,
    _read_and_prepare,
    _start_reader,
    faces_at,
)
from hpbench.running.runner import _prepare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", default="hopenet")
    parser.add_argument("--faces", type=int, default=400)
    given = parser.parse_args()
    config = RunConfig(
        methods=given.methods, datasets="aflw2000", data={"aflw2000": given.folder},
        device="cpu", timing="off", limit=given.faces,
    )  # fmt: skip
    (evaluation,) = _prepare(config).evaluations
    for method in evaluation.methods.values():
        load_method(method)
    rows = evaluation.indexed.index.included().nonzero()[0]
    faces = list(faces_at(evaluation, rows))
    names = list(evaluation.methods)
    read = partial(_read_and_prepare, evaluation, names)
    list(map(read, faces[:16]))  # the disk's cache and lazy imports
    start = process_time()
    sent = [read(face) for face in faces]
    cost_ms = 1e3 * (process_time() - start) / len(faces)
    size = sum(len(pickle.dumps(one.inputs, pickle.HIGHEST_PROTOCOL)) for one in sent) / len(sent)
    print(f"{cost_ms:.2f} ms of processor and {size / 1024:.0f} KiB of input per face")
    for count in (1, 2):
        with ThreadPoolExecutor(count) as threads:
            start = perf_counter()
            list(threads.map(read, faces))
        print(f"{count} threads: {len(faces) / (perf_counter() - start):.0f} faces/s")
    shares = [faces[k : k + FACES_AT_ONCE] for k in range(0, len(faces), FACES_AT_ONCE)]
    for count in (1, 2):
        environment = {"OMP_NUM_THREADS": "1"}
        spec = EvaluationSpec.of(evaluation)
        with WorkerPool("reading", count, _start_reader, spec, environment=environment) as pool:
            for future in [pool.submit(shares[0]) for _ in range(4 * count)]:
                future.result()
            start = perf_counter()
            for future in [pool.submit(share) for share in shares]:
                future.result()
        print(f"{count} processes: {len(faces) / (perf_counter() - start):.0f} faces/s")


if __name__ == "__main__":
    main()
