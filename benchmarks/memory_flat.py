"""Peak memory of a whole ``hpbench run``, report included, over 2,000 and over 20,000 images.

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
from hpbench.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
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
        os.environ["HPBENCH_CACHE"] = f"{temporary}/cache"
        for images in arguments.images:
            folder = Path(temporary) / f"data-{images}"
            repeat_aflw2000(arguments.folder, folder, images)
            command = [
                sys.executable, "-c", MEASURED, "run", "--methods", arguments.methods,
                "--datasets", "aflw2000", "--data", f"aflw2000={folder}", "--device", "cpu",
                "--timing", "off", "--fresh", "--out", f"{temporary}/run-{images}",
            ]  # fmt: skip
            start = perf_counter()
            done = subprocess.run(command, check=True, capture_output=True, text=True)
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
