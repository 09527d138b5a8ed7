"""Peak memory of a whole run over 2,000 and over 20,000 images.

python benchmarks/memory_flat.py AFLW2000_DIR [--methods constant] [--images 2000 20000]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from repeat import repeat_aflw2000

MEASURED = """
import sys
from pathlib import Path
from hpbench.api import run
methods, folder, out = sys.argv[1:]
run(methods, "aflw2000", {"aflw2000": folder}, out, device="cpu", timing="off", fresh=True)
status = Path("/proc/self/status").read_text()
print([line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")][0])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", default="constant")
    parser.add_argument("--images", type=int, nargs="+", default=[2000, 20000])
    arguments = parser.parse_args()
    peaks: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        for images in arguments.images:
            folder = Path(temporary) / f"data-{images}"
            repeat_aflw2000(arguments.folder, folder, images)
            out = Path(temporary) / f"run-{images}"
            start = perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", MEASURED, arguments.methods, str(folder), str(out)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            seconds = perf_counter() - start
            peaks.append(int(done.stdout.split()[-1]) / 1024)
            print(
                f"{images:>8} images: peak {peaks[-1]:7.1f} MiB, {seconds:6.1f} s, "
                f"{images / seconds:6.1f} images/s, load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    print(f"the last is {100 * (peaks[-1] / peaks[0] - 1):+.1f} % against the first")


if __name__ == "__main__":
    main()
