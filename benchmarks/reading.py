"""Faces read and prepared per second by threads and by processes, and what a face costs.

    python benchmarks/reading.py AFLW2000_DIR [--methods hopenet] [--faces 400]

Threads share Python's lock, processes do not; the network is not run. Starting the processes
is not counted. "main process" is all that it does for a face beside the network, in one pass with
two processes that read: the pass can be no faster than that.
"""

from __future__ import annotations

import argparse
import pickle
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import psutil
import torch

from hpbench.inference.progress import NoProgress
from hpbench.inference.torch_method import TorchMethod
from hpbench.registry import load_method
from hpbench.results.run_config import RunConfig
from hpbench.running.evaluation import Evaluation
from hpbench.running.local_engine import (
    FACES_AT_ONCE,
    FailureWatch,
    _read_and_prepare,
    faces_at,
    predict_faces,
    start_readers,
    store_parts,
)
from hpbench.running.runner import _prepare
from hpbench.storage.run_folder import RunFolder


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
        with start_readers([evaluation], count) as pool:
            for future in [pool.submit(evaluation.key, shares[0]) for _ in range(4 * count)]:
                future.result()
            if count == 1:
                (reader,) = psutil.Process().children()
                used = sum(reader.cpu_times()[:2]) - 4e-3 * FACES_AT_ONCE * cost_ms
                memory = reader.memory_info().rss / 2**20
                print(f"start of a process: {used:.1f} s of processor, {memory:.0f} MiB")
            start = perf_counter()
            for future in [pool.submit(evaluation.key, share) for share in shares]:
                future.result()
        print(f"{count} processes: {len(faces) / (perf_counter() - start):.0f} faces/s")
    print(f"main process: {main_process_ms(evaluation, rows):.2f} ms of processor per face")


def main_process_ms(evaluation: Evaluation, rows: np.ndarray) -> float:
    """Processor time of this process per face, with networks that answer at once."""
    for method in evaluation.methods.values():
        if isinstance(method, TorchMethod):
            runtime = method._runtime
            shape = runtime.run(torch.zeros((1, method.input_size, method.input_size, 3))).shape[1:]
            run = partial(_answer_at_once, shape)
            method._runtime = replace(runtime, run=run)
    with tempfile.TemporaryDirectory() as out, start_readers([evaluation], 2) as readers:
        parts = predict_faces(
            evaluation, faces_at(evaluation, rows), 32, FailureWatch(len(rows)), 2, readers
        )
        next(parts)  # the processes have started
        start = process_time()
        store_parts(evaluation, parts, RunFolder(Path(out)), NoProgress())
        return 1e3 * (process_time() - start) / (len(rows) - 32)


def _answer_at_once(shape: torch.Size, pixels: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(pixels), *shape)


if __name__ == "__main__":
    main()
