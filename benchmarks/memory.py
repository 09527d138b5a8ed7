"""Peak memory of a whole ``hpbench run`` with `constant`, report included, by number of faces.

    python benchmarks/memory.py [--faces 20000 1000000]

The faces are those of a data set without files, so that what is measured is hpbench's own: the
index (some 300 bytes a face), the parts of the run, the tables, and the scores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

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
"""Program of a command line that prints its peak memory in KiB at the end."""

PLUGIN = '''
from pathlib import Path

import numpy as np

from hpbench.dataset import Dataset, DatasetCard, Label, Record
from hpbench.method import Options
from hpbench.protocol import Protocol


class BlankOptions(Options):
    faces: int = 1000


class Blank(Dataset):
    """Faces with random labels on one grey image."""

    name = "blank"
    summary = "for a benchmark"
    Options = BlankOptions
    needs_root = False
    card = DatasetCard(name="blank", title="Blank")
    protocols = (Protocol(dataset="blank"),)

    def records(self):
        return list(self.iter_records())

    def iter_records(self):
        random = np.random.default_rng(0)
        for number in range(self.options.faces):
            angles = random.uniform((-90, -40, -30), (90, 40, 30))
            yield Record(
                image_id=f"{number // 1000:04d}/frame_{number % 1000:05d}_rgb",
                image_path=Path(f"{number // 1000:04d}/frame_{number % 1000:05d}_rgb.png"),
                label=Label.from_angles(*angles),
                box_xyxy=np.array([10.0, 10.0, 50.0, 50.0]),
            )

    def read_image(self, record):
        return np.full((64, 64, 3), 128, np.uint8)
'''


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, nargs="+", default=[20_000, 1_000_000])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["HPBENCH_CACHE"] = f"{temporary}/cache"
        plugin = Path(temporary) / "blank.py"
        plugin.write_text(PLUGIN)
        for faces in arguments.faces:
            command = [
                sys.executable, "-c", MEASURED, "run", "--methods", "constant",
                "--datasets", f"blank[faces={faces}]", "--plugin", str(plugin), "--device", "cpu",
                "--timing", "off", "--out", f"{temporary}/run-{faces}",
            ]  # fmt: skip
            for again in ("first run", "again, from the cache"):
                command[-1] = f"{temporary}/run-{faces}-{again[:5]}"
                start = perf_counter()
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                seconds = perf_counter() - start
                peak_mib = int(done.stdout.split()[-1]) / 1024
                print(
                    f"{faces:>9,} faces, {again}: peak {peak_mib:7.1f} MiB, {seconds:6.1f} s, "
                    f"load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
