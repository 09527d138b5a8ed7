"""Reports with many methods or many data sets: seconds to make them, size, and seconds in Chromium.

    python benchmarks/report_load.py AFLW2000_DIR [--case METHODSxDATASETS ...] [--keep DIR]

Every method answers with the stored rotations of `hopenet` on real photos, rotated once more by
noise of a known size, and runs through ``hpbench run`` as any plugin does. A case with one data
set has 1,969 faces, one with more has 400 in each.

Seconds are those of the processor, summed over all processes and threads, because the wall clock
says little on a busy machine; for the browser it stands beside them in brackets.

In the browser: seconds from the request to a page that is drawn and takes clicks ("opens"), from
there to figures that can be drawn, of which a second is spent waiting ("figures"), from a click
on a method to the changed page, the slowest of twelve with another figure in sight each time
("toggles"), and the longest time that one screen height takes while scrolling down ("scrolls"),
when figures are drawn that were out of sight.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from time import perf_counter

import numpy as np
import pandas as pd
from repeat import repeat_aflw2000

HPBENCH = (sys.executable, "-m", "hpbench")
COLUMNS = ("opens", "figures", "toggles", "scrolls")
NAMES = ("chromium", "chromium-browser", "google-chrome")

PLUGIN = """
import os
import zlib
from functools import cache

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.spatial.transform import Rotation

from hpbench.method import Method, MethodCard, NoPrediction, Options, Prediction


@cache
def stored():
    table = pd.read_parquet(os.environ["BENCHMARK_PREDICTIONS"])
    cells = [f"r{i}{j}" for i in range(3) for j in range(3)]
    rotations = table[cells].to_numpy().reshape(-1, 3, 3)
    return dict(zip(table["image_id"], zip(rotations, table["confidence"])))


class NoisyOptions(Options):
    noise_deg: float = Field(5.0, ge=0)
    seed: int = 0


class Noisy(Method):
    contract = 2
    name = "noisy"
    summary = "hopenet's predictions with noise, for a benchmark"
    Options = NoisyOptions

    def card(self):
        return MethodCard(name="noisy", title=f"noise of {self.options.noise_deg:g} degrees")

    def prepare(self, face):
        random = np.random.default_rng([self.options.seed, zlib.crc32(face.image_id.encode())])
        key = face.image_id.rpartition("/")[2].partition(".")[0]
        R_cam, confidence = stored()[key]
        if self.options.seed % 3 == 2 and random.random() < 0.05:
            return NoPrediction("left out by the benchmark")
        noise = Rotation.from_rotvec(random.normal(0, np.radians(self.options.noise_deg), 3))
        return noise.as_matrix() @ R_cam, confidence + random.normal(0, 0.05)

    def infer(self, batch):
        return batch

    def decode(self, output):
        return [Prediction(R_cam, confidence=float(confidence)) for R_cam, confidence in output]
"""

PROBE = """
<script>
(() => {
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const settled = async () => { for (let i = 0; i < 3; i += 1) await frame(); };
  // the page may fetch nothing; the frame around it tells the server
  const mark = (name) => new Promise((resolve) => {
    addEventListener("message", resolve, { once: true });
    parent.postMessage(name, "*");
  });
  const step = async (name, act) => {
    act();
    await settled();
    await mark(name);
  };
  addEventListener("load", async () => {
    while (document.documentElement.dataset.ready === undefined) await frame();
    await settled();
    await mark("opens");
    while (document.documentElement.dataset.plotly === undefined) await frame();
    await settled();
    await mark("figures");
    const boxes = [...document.querySelectorAll("#filters input[name=method]")];
    const places = document.querySelectorAll("section.dataset .drawing");
    for (const [index, place] of [...places].slice(0, 12).entries()) {
      await step("", () => scrollTo(0, place.getBoundingClientRect().top + scrollY - 200));
      await step("toggles", () => boxes[index % boxes.length].click());
    }
    for (let y = 0; y < document.documentElement.scrollHeight; y += innerHeight) {
      await step("scrolls", () => scrollTo(0, y));
    }
    await mark("end");
  });
})();
</script></body>"""

OUTER = """<!DOCTYPE html><body><script>
const tell = (body) => fetch("/mark", { method: "POST", body });
const inner = document.createElement("iframe");
Object.assign(inner, { width: 1180, height: 880 });
const answer = () => inner.contentWindow.postMessage("", "*");
addEventListener("message", ({ data }) => tell(data).then(answer));
tell("").then(() => { inner.src = "inner.html"; document.body.append(inner); });
</script>"""


@dataclass
class Measured:
    """One row of the table."""

    case: str
    made_s: float
    size_mb: float
    browser: dict[str, dict[str, float]]

    def row(self) -> str:
        shown = [
            f"{seconds['processor']:.2f} ({seconds['wall']:.2f})"
            for seconds in (self.browser[name] for name in COLUMNS)
        ]
        return f"| {self.case} | {self.made_s:.1f} | {self.size_mb:.1f} | {' | '.join(shown)} |"


class Base:
    """Predictions of `hopenet` on photos, and runs of noisy copies of it."""

    def __init__(self, photos: Path, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "photos"
        if not self.data.is_dir():
            repeat_aflw2000(photos, self.data, 2000)
        (folder / "noisy.py").write_text(PLUGIN)
        self.run = folder / "base"
        options = ("--timing", "off", "--no-report", "--trust-labels")
        call(
            "run", "--methods", "hopenet", "--datasets", "aflw2000", "--data",
            f"aflw2000={self.data}", "--out", self.run, *options,
        )  # fmt: skip
        os.environ["BENCHMARK_PREDICTIONS"] = str(self.run / "predictions.parquet")

    def make_run(self, methods: int, datasets: int) -> Path:
        """Run folder of noisy methods over one whole or several small data sets."""
        out = self.folder / f"run-{methods}x{datasets}"
        specs = [
            f"noisy[noise_deg={noise:.1f},seed={seed}]"
            for seed, noise in enumerate(np.linspace(1.0, 20.0, methods))
        ]
        if datasets == 1:
            data = ("--datasets", "aflw2000", "--data", f"aflw2000={self.data}")
        else:
            tables = [str(self._table(number)) for number in range(datasets)]
            data = ("--datasets", ",".join(tables))
        call(
            "run", "--methods", ",".join(["constant", *specs[1:]]), *data, "--plugin",
            self.folder / "noisy.py", "--timing-images", "4", "--no-report", "--trust-labels",
            "--out", out,
        )  # fmt: skip
        return out

    def _table(self, number: int) -> Path:
        """Label table of 400 of the faces, with two columns more."""
        faces = pd.read_parquet(self.run / "faces.parquet")
        faces = faces[faces["excluded"].isna()].sample(400, random_state=number)
        table = faces[["yaw_deg", "pitch_deg", "roll_deg", "x0", "y0", "x1", "y1"]]
        table = table.rename(columns=lambda name: name.removesuffix("_deg"))
        table.insert(0, "image", [f"photos/{name}.jpg" for name in faces["image_id"]])
        random = np.random.default_rng(number)
        table["light"] = random.choice(["day", "night", "dusk"], len(table))
        table["camera"] = random.choice(["left", "right"], len(table))
        path = self.folder / f"faces{number:02d}.csv"
        table.to_csv(path, index=False)
        return path


def call(*words: str | Path) -> None:
    done = subprocess.run([*HPBENCH, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def processor_s(folder: Path) -> float:
    """Processor seconds of all processes of the browser whose profile is in a folder."""
    ticks = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if str(folder).encode() not in (status.parent / "cmdline").read_bytes():
                continue
            ticks += sum(map(int, status.read_text().rpartition(")")[2].split()[11:13]))
        except OSError:  # it has ended
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def browse(page: Path) -> dict[str, dict[str, float]]:
    """Wall-clock and processor seconds of the slowest step of each kind, by its name."""
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        sys.exit("chromium is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        text = page.read_text(encoding="utf-8")
        (folder / "inner.html").write_text(text.replace("</body>", PROBE), encoding="utf-8")
        (folder / "outer.html").write_text(OUTER)
        marks: Queue[tuple[str, float, float]] = Queue()

        class Handler(SimpleHTTPRequestHandler):
            def do_POST(self) -> None:
                name = self.rfile.read(int(self.headers["Content-Length"])).decode()
                marks.put((name, perf_counter(), processor_s(folder)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=temporary))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = subprocess.Popen(
            [
                chromium, "--headless=new", "--no-sandbox", "--disable-gpu",
                "--window-size=1200,900", f"--user-data-dir={folder / 'profile'}",
                f"http://127.0.0.1:{server.server_port}/outer.html",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return _slowest(marks)
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()


def _slowest(marks: Queue[tuple[str, float, float]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    _, wall, processor = marks.get(timeout=600)
    while True:
        name, wall_after, processor_after = marks.get(timeout=600)
        if name == "end":
            return found
        one = found.setdefault(name, {"wall": 0.0, "processor": 0.0})
        one["wall"] = max(one["wall"], wall_after - wall)
        one["processor"] = max(one["processor"], processor_after - processor)
        wall, processor = wall_after, processor_after


def measure(run: Path, case: str) -> Measured:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    call("report", run)
    made_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    page = run / "report.html"
    return Measured(case, made_s, page.stat().st_size / 1e6, browse(page))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--case", nargs="+", default=["7x1", "15x1", "60x1", "8x20"])
    parser.add_argument("--keep", type=Path, help="folder for the runs, which it then reuses")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        os.environ["HPBENCH_CACHE"] = str(folder / "cache")
        base = Base(arguments.photos, folder)
        print(
            "| methods x data sets | report made, s | HTML, MB | "
            f"{', s | '.join(COLUMNS)}, s |\n|---|---:|---:|---:|---:|---:|---:|"
        )
        for case in arguments.case:
            run = base.make_run(*map(int, case.split("x")))
            print(measure(run, case).row(), flush=True)


if __name__ == "__main__":
    main()
