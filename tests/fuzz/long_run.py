"""Feed every reader mutated inputs: each gives a result, a row with a reason, or a typed error.

    python tests/fuzz/long_run.py [--inputs 100000] [--seconds 600] [--only mat,image] [--from 0]

Input N of a reader is always the same one: `--only mat --from N --inputs 1` repeats it. A reader
runs in a process of its own; what it raises, an end by a signal, more than 5 seconds of processor
time for one input and more than 2 GiB of memory are faults. Of networks, which a runtime reads, the
last three count as the runtime's. Prints a table; exits with 1 after a fault.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

MAX_SECONDS, MAX_BYTES = 5.0, 2 * 2**30
_MAX_FAULTS = 20
_KINDS = ("result", "row", "error", "runtime", "fault")
_HUNG_SECONDS = 300


def main() -> int:
    """Run the readers one after the other, or be the process of one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="for each reader")
    parser.add_argument("--seconds", type=float, default=600.0, help="for all readers together")
    parser.add_argument("--only", default="", help="readers, separated by commas")
    parser.add_argument("--from", dest="start", type=int, default=0, help="number of first input")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return _work(options.only, options.start, options.inputs, options.seconds, options.worker)
    sys.path.insert(0, str(Path(__file__).parent))
    from fuzz_targets import TARGETS

    names = options.only.split(",") if options.only else list(TARGETS)
    print(
        "| reader | inputs | results | rows with a reason | typed errors | slowest | memory "
        "| of the runtime | faults |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    end = time.monotonic() + options.seconds
    faults = 0
    for place, name in enumerate(names):
        share = (end - time.monotonic()) / (len(names) - place)
        faults += _fuzz(name, options.start, options.inputs, max(share, 1.0))
    return 1 if faults else 0


def _fuzz(name: str, start: int, inputs: int, seconds: float) -> int:
    """Run a reader in processes until its inputs or its time are used up; print its row."""
    from fuzz_targets import TARGETS

    counts: Counter[str] = Counter()
    slowest, memory, done = 0.0, 0.0, 0
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        state = Path(folder) / "state"
        while (
            done < inputs and (left := end - time.monotonic()) > 0 and counts["fault"] < _MAX_FAULTS
        ):
            state.write_text("0 " * 8)
            command = [sys.executable, __file__, "--only", name, "--from", str(start + done)]
            command += [
                "--inputs",
                str(inputs - done),
                "--seconds",
                str(left),
                "--worker",
                str(state),
            ]
            environment = os.environ | {"HPBENCH_CACHE": f"{folder}/cache"}
            try:
                code = subprocess.run(
                    command, env=environment, timeout=left + _HUNG_SECONDS
                ).returncode
            except subprocess.TimeoutExpired:
                code = -1
            words = state.read_text().split()
            for kind, count in zip(_KINDS, words[1:6], strict=True):
                counts[kind] += int(count)
            slowest, memory = max(slowest, float(words[6])), max(memory, float(words[7]))
            done += int(words[0])
            if code not in (0, 1):
                counts["runtime" if TARGETS[name].runtime else "fault"] += 1
                print(f"{name} {start + done}: ended the process ({code})", file=sys.stderr)
                done += 1
    print(
        f"| {name} | {done:,} | {counts['result']:,} | {counts['row']:,} | {counts['error']:,} "
        f"| {slowest:.2f} s | {memory / 2**30:.2f} GiB | {counts['runtime']} | {counts['fault']} |",
        flush=True,
    )
    return counts["fault"]


def _work(name: str, start: int, inputs: int, seconds: float, state: Path) -> int:
    """Read one input after the other; `state` says how far it came, whatever ends it."""
    sys.path.insert(0, str(Path(__file__).parent))
    import pyarrow
    from fuzz_targets import TARGETS, outcome_of

    warnings.simplefilter("ignore")
    logging.disable()
    pyarrow.set_cpu_count(1)  # for files of a few rows, threads take longer than one alone
    pyarrow.set_io_thread_count(1)
    target = TARGETS[name]
    counts: Counter[str] = Counter()
    slowest, memory = 0.0, 0
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="fuzz-") as inside, state.open("r+") as file:
        folder = Path(inside)
        with suppress(Exception):
            outcome_of(target, target.make(Random(name)), folder)  # imports, for they take time
        for number in range(start, start + inputs):
            begun = time.process_time()
            try:
                given = target.make(Random(f"{name} {number}"))
                begun = time.process_time()
                kind: str = outcome_of(target, given, folder)
            except Exception:
                kind = "fault"
                print(f"{name} {number}:\n{traceback.format_exc(limit=-6)}", file=sys.stderr)
            took = time.process_time() - begun
            memory_now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if took > MAX_SECONDS or (memory_now > MAX_BYTES >= memory):
                kind = "runtime" if target.runtime else "fault"
                print(
                    f"{name} {number}: {took:.1f} s, {memory_now / 2**30:.2f} GiB", file=sys.stderr
                )
            counts[kind] += 1
            slowest, memory = max(slowest, took), memory_now
            file.seek(0)
            kinds = " ".join(str(counts[one]) for one in _KINDS)
            file.write(f"{number + 1 - start} {kinds} {slowest:.3f} {memory} ")
            file.flush()
            if counts["fault"] >= _MAX_FAULTS or time.monotonic() > end:
                break
    return 1 if counts["fault"] else 0


if __name__ == "__main__":
    sys.exit(main())
