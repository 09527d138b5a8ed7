"""Images per second of ``--engine ray`` on this machine, from runs of two sizes.

    python benchmarks/ray_scale.py RENDERS [--images 2000 20000] [--workers 2]

RENDERS is a folder that ``hpbench render`` wrote; its images are repeated through links where
it holds fewer. What the runs take in common (the start of Ray, of Python, the report) is told
apart from what every image takes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from memory import MEASURED
from repeat import repeat_renders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", default="hopenet")
    parser.add_argument("--images", type=int, nargs=2, default=[2000, 20000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engine", default="ray")
    arguments = parser.parse_args()
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        for images in arguments.images:
            folder, out = Path(temporary) / f"data-{images}", Path(temporary) / f"run-{images}"
            repeat_renders(arguments.folder, folder, images)
            command = [
                sys.executable, "-c", MEASURED, "run", "--methods", arguments.methods,
                "--datasets", "synthetic", "--data", f"synthetic={folder}", "--device", "cpu",
                "--engine", arguments.engine, "--workers", str(arguments.workers),
                "--timing", "off", "--fresh", "--out", str(out),
            ]  # fmt: skip
            start = perf_counter()
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds.append(perf_counter() - start)
            tables = sum(file.stat().st_size for file in out.glob("*.parquet"))
            image_bytes = sum(file.stat().st_size for file in (folder / "images").iterdir())
            print(
                f"{images:>8} images: {seconds[-1]:6.1f} s, {images / seconds[-1]:6.1f} images/s, "
                f"driver's peak {int(done.stdout.split()[-1]) / 1024:.0f} MiB, "
                f"tables {tables / images:.0f} bytes per image, "
                f"images of {image_bytes / images / 1000:.1f} kB each, "
                f"load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    few, many = arguments.images
    per_image = (seconds[1] - seconds[0]) / (many - few)
    print(f"{1 / per_image:.1f} images/s beside {seconds[0] - few * per_image:.1f} s of every run")


if __name__ == "__main__":
    main()
