"""Kill commands of hpbench at random moments; repeated, each ends as if nothing had been.

    python tools/chaos.py [--kills 100] [--seed 0] [--only run,report] [--assets DIR]

Every command runs undisturbed once. Then it is started again in a new folder, with a new cache, and
ended by SIGKILL, SIGINT or SIGTERM after a random part of the time it took; up to four times, until
it is left to finish. Its files have to be those of the undisturbed one (times apart), no process
may stay behind, and what is stopped by Ctrl-C ends with 130, never as a bug. Prints a table; exits
with 1 where anything differs. Needs about as long as 200 times a command.

`render` needs MakeHuman assets and EGL and is left out without --assets.
"""

from __future__ import annotations

import argparse
import hashlib
import http.server
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil

ROOT = Path(__file__).resolve().parents[1]
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
ENDS_WITHIN_S = 30.0
MAX_KILLS = 4
_TIMES = ("prepare_ms", "infer_ms", "decode_ms")


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes
    ----------
    words : callable
        Arguments of ``hpbench``, from the folder that it works in.
    found : callable
        What it has made in that folder, as texts by name, to be compared.
    """

    words: Callable[[Path], list[str]]
    found: Callable[[Path], dict[str, str]]


@dataclass
class Tally:
    """What happened to one command."""

    kills: Counter[str] = field(default_factory=Counter)
    too_late: int = 0
    resumed: int = 0
    problems: list[str] = field(default_factory=list)


def main() -> int:
    """Kill, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--assets", type=Path, help="MakeHuman data folder, for render")
    options = parser.parse_args()
    # a shell that starts this in the background has it ignored, and so by the commands
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, served_weights() as url:
        here = Path(name)
        commands = all_commands(here, options.assets)
        _write_plugin(here, url)
        only = options.only.split(",") if options.only else list(commands)
        commands = {name: one for name, one in commands.items() if name in only}
        print("| command | SIGKILL | SIGINT | SIGTERM | ended before | equal results | problems |")
        print("|---|---|---|---|---|---|---|")
        problems, kills = 0, 0
        for place, (name, command) in enumerate(commands.items()):
            share = (options.kills - kills) // (len(commands) - place)
            tally = disturb(name, command, here, share, chance)
            kills += tally.kills.total()
            problems += len(tally.problems)
            shown = [tally.kills[one.name] for one in SIGNALS]
            print(
                f"| {name} | {' | '.join(map(str, shown))} | {tally.too_late} "
                f"| {tally.resumed} | {len(tally.problems)} |",
                flush=True,
            )
            print(*tally.problems, sep="\n", file=sys.stderr, end="\n" * bool(tally.problems))
    print(f"\n{kills} kills, {problems} problems")
    return 1 if problems else 0


def disturb(name: str, command: Command, here: Path, kills: int, chance: random.Random) -> Tally:
    """Kill a command `kills` times, in as many folders as that needs."""
    tally = Tally()
    whole = here / name / "whole"
    code, said, whole_s = run_whole(command, whole)
    if code:
        tally.problems.append(f"{name}: undisturbed, it ended with {code}: {said[-300:]}")
        return tally
    expected = command.found(whole)
    number = 0
    while tally.kills.total() < kills:
        folder = here / name / str(number)
        number += 1
        for _ in range(min(chance.randint(1, MAX_KILLS), kills - tally.kills.total())):
            problem = _kill_once(command, folder, whole_s, tally, chance)
            if problem:
                tally.problems.append(f"{name} in {folder.name}: {problem}")
        code, said, _s = run_whole(command, folder)
        found = command.found(folder) if code == 0 else {}
        if code:
            tally.problems.append(f"{name} in {folder.name}: ended with {code}: {said[-500:]}")
        elif found != expected:
            names = [key for key in expected | found if expected.get(key) != found.get(key)]
            tally.problems.append(f"{name} in {folder.name}: other results: {', '.join(names)}")
        else:
            tally.resumed += 1
    return tally


def _kill_once(
    command: Command, folder: Path, whole_s: float, tally: Tally, chance: random.Random
) -> str:
    """Start, wait a while, end by a signal; what is wrong with the end, or nothing."""
    number = chance.choice(SIGNALS)
    process = start(command, folder)
    try:
        process.wait(whole_s * chance.random())
        tally.too_late += 1
        process.communicate()
        return ""
    except subprocess.TimeoutExpired:
        pass
    family = _family(process.pid)
    tally.kills[number.name] += 1
    begun = time.monotonic()
    if number == signal.SIGINT:  # as a terminal does
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    try:
        said = process.communicate(timeout=ENDS_WITHIN_S)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return f"{number.name}: not over after {ENDS_WITHIN_S:.0f} s"
    _gone, alive = psutil.wait_procs(family, timeout=ENDS_WITHIN_S)
    for one in alive:
        one.kill()
    if alive:
        return f"{number.name}: {len(alive)} processes stayed behind"
    allowed = {signal.SIGKILL: (-9,), signal.SIGTERM: (-15, 143), signal.SIGINT: (130, -2)}[number]
    if process.returncode not in (*allowed, 0):
        waited = time.monotonic() - begun
        return f"{number.name}: ended with {process.returncode} after {waited:.1f} s: {said[-500:]}"
    return ""


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def start(command: Command, folder: Path) -> subprocess.Popen[str]:
    """The command in a process group of its own, with a cache of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    cache, packages = folder / "cache", folder.parents[1] / "packages"
    environment = os.environ | {"HPBENCH_CACHE": str(cache), "PYTHONPATH": str(packages)}
    return subprocess.Popen(
        [sys.executable, "-m", "hpbench", *command.words(folder)],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        process_group=0,
    )  # fmt: skip


def run_whole(command: Command, folder: Path) -> tuple[int, str, float]:
    """Run to the end: exit code, what was printed, seconds."""
    begun = time.monotonic()
    process = start(command, folder)
    said = process.communicate()[0]
    return process.returncode, said, time.monotonic() - begun


# ---- the commands ------------------------------------------------------------------------------


def all_commands(here: Path, assets: Path | None) -> dict[str, Command]:
    """Every command that writes, on the embedded sample; the quick ones first."""
    few, many = (_write_table(here, copies) for copies in (4, 7))
    run = ["run", "--methods", "pnp,constant", "--timing", "off", "--workers", "2", "--out", "out"]
    label = ["label", "sample", "--methods", "hopenet", "--views", "2", "--out", "out.csv"]
    train = [
        "train", "hopenet", "--datasets", "sample", "--backbone", "thin_resnet_s", "--input-size",
        "32", "--epochs", "6", "--holdout", "0.2", "--out", "out",
    ]  # fmt: skip
    report = ["report", "out", "--format", "md,html,csv,latex"]
    render = ["render", "out", "--count", "30", "--size", "96", "--workers", "2", "--assets"]
    commands = {
        "weights fetch": Command(
            lambda _: ["weights", "fetch", "chaos", "--allow-http"],
            lambda folder: _hashes(folder, "cache/weights/chaos.bin*"),
        ),
        "report": Command(
            lambda folder: report if _copied(here, folder / "out") else [],
            lambda folder: _hashes(folder, "out/report*", "out/*.csv", "out/*.tex"),
        ),
        "label": Command(lambda _: label, lambda folder: _hashes(folder, "out.csv")),
        "train": Command(
            lambda folder: [*train, *["--resume"] * (folder / "out" / "checkpoint.pt").exists()],
            lambda folder: _tensors(folder / "out" / "hopenet.safetensors"),
        ),
        "render": Command(
            lambda _: [*render, str(assets)],
            lambda folder: _hashes(folder, "out/**/*.jpg", "out/**/*.png", "out/labels.parquet"),
        ),
        "run": Command(lambda _: [*run, "--datasets", f"table={few}"], run_tables),
        "run in processes": Command(lambda _: [*run, "--datasets", f"table={many}"], run_tables),
        "run --engine ray": Command(
            lambda _: [*run, "--datasets", f"table={few}", "--engine", "ray"], run_tables
        ),
    }
    if assets is None:
        del commands["render"]
    return commands


def _write_table(here: Path, copies: int) -> Path:
    """The sample's faces several times, each with a box of its own; processes work from 1,000."""
    folder = ROOT / "datasets" / "sample"
    labels = pd.read_parquet(folder / "labels.parquet")
    rows = labels[["image", "yaw_deg", "pitch_deg", "roll_deg", "x0", "y0", "x1", "y1"]]
    rows = pd.concat([rows.assign(x0=rows.x0 - k, x1=rows.x1 + k) for k in range(copies)])
    rows["image"] = [str(folder / name) for name in rows["image"]]
    path = here / f"faces{copies}.csv"
    rows.to_csv(path, index=False)
    return path


def _copied(here: Path, out: Path) -> Path:
    """A copy of a finished run, unless it is there."""
    finished = here / "finished run" / "out"
    if not finished.exists():
        words = ["run", "--methods", "hopenet,constant", "--limit", "60", "--out", "out"]
        code, said, _s = run_whole(Command(lambda _: words, lambda _: {}), finished.parent)
        assert code == 0, said
    if not out.exists():
        shutil.copytree(finished, out)
    return out


def run_tables(folder: Path) -> dict[str, str]:
    """Tables and results of a run without what is measured or says when."""
    out = folder / "out"
    found = {}
    for name in ("faces", "predictions"):
        table = pd.read_parquet(out / f"{name}.parquet")
        table = table.drop(columns=[column for column in table if column in _TIMES])
        found[name] = table.to_csv(index=False)
    results = json.loads((out / "results.json").read_text())
    found["results"] = json.dumps(results["results"] + results["comparisons"])
    found["files"] = " ".join(sorted(path.name for path in out.iterdir() if path.is_file()))
    return found


def _hashes(folder: Path, *patterns: str) -> dict[str, str]:
    paths = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def _tensors(path: Path) -> dict[str, str]:
    """Tensors of a weights file without its card, which says how long the training took."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    return {path.name: hashlib.sha256(content[start:]).hexdigest()}


# ---- weights from a server on this machine -------------------------------------------------------

_CONTENT = random.Random(0).randbytes(4_000_000)


def served_weights() -> _Served:
    """A slow server of one file; its address."""
    return _Served(("127.0.0.1", 0), _Handler)


class _Served(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __enter__(self) -> str:  # type: ignore[override]
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server_port}/chaos.bin"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A client that was killed is no error."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send the file, or its end, in two seconds."""
        asked = self.headers.get("Range")
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(_CONTENT) - first))
        if asked:
            last = len(_CONTENT) - 1
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(_CONTENT)}")
        self.end_headers()
        for piece in _pieces(_CONTENT[first:]):
            self.wfile.write(piece)
            time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def _pieces(content: bytes) -> Iterator[bytes]:
    for start_byte in range(0, len(content), 100_000):
        yield content[start_byte : start_byte + 100_000]


def _write_plugin(here: Path, url: str) -> None:
    """An installed package whose method has weights at an address on this machine."""
    packages = here / "packages"
    about = packages / "chaos_net-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos-net\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[hpbench.methods]\nchaos = chaos_net:Chaos\n")
    sha256 = hashlib.sha256(_CONTENT).hexdigest()
    (packages / "chaos_net.py").write_text(f"""
from hpbench.method import Method, MethodCard, WeightsInfo
from hpbench.weights.store import cached_file


class Chaos(Method):
    name = "chaos"
    summary = "for tools/chaos.py"

    @classmethod
    def named_weights(cls):
        return [WeightsInfo(name="chaos", summary="", licence="none", trained_on=(),
                            sha256="{sha256}", file="chaos.bin", url="{url}",
                            path=cached_file("chaos.bin"))]

    def card(self):
        return MethodCard(name=self.name, title=self.name)

    def prepare(self, face):
        return face

    def infer(self, batch):
        return batch

    def decode(self, output):
        return []
""")


if __name__ == "__main__":
    sys.exit(main())
