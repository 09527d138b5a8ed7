"""Ctrl-C ends a command, whatever it waits for, and its processes with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

PLUGIN = '''
import os, time
from pathlib import Path
import numpy as np
from hpbench.dataset import Dataset, DatasetCard, Label, Record
from hpbench.method import Method, MethodCard, Prediction
from hpbench.protocol import Protocol

HERE = Path(__file__).parent

class Hanging(Dataset):
    """Its disk does not answer: opening a pipe that nobody writes to."""
    name, summary, needs_root = "hanging", "for a test", False
    card = DatasetCard(name="hanging", title="Hanging")
    protocols = (Protocol(dataset="hanging"),)
    def records(self):
        box, label = np.array([1.0, 1.0, 9.0, 9.0]), Label.from_angles(0, 0, 0)
        return [Record(str(k), HERE / "x.png", label, box_xyxy=box) for k in range(2000)]
    def image_size(self, record): return None
    def read_image(self, record):
        (HERE / "reading").touch()
        (HERE / "pipe").read_bytes()

class Slow(Method):
    """Waits in processes of its own."""
    name, summary, prepare_in = "slow", "for a test", "processes"
    def card(self): return MethodCard(name="slow", title="Slow")
    def prepare(self, face):
        (HERE / f"pid-{os.getpid()}").touch()
        time.sleep(1000)
    def infer(self, batch): return batch
    def decode(self, output): return output
'''


@pytest.fixture
def here(tmp_path) -> Path:
    (tmp_path / "plugin.py").write_text(PLUGIN)
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def start(here: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hpbench", "run", "--plugin", str(here / "plugin.py"),
               "--workers", "2", "--timing", "off", "--trust-labels", "--no-report",
               "--out", str(here / "out"), *words]  # fmt: skip
    return subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for(here: Path, pattern: str, count: int = 1) -> list[Path]:
    deadline = time.monotonic() + 120
    while len(found := list(here.glob(pattern))) < count:
        assert time.monotonic() < deadline, "the run did not come so far"
        time.sleep(0.02)
    return found


def seconds_to_end(process: subprocess.Popen[bytes]) -> float:
    started = time.monotonic()
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    try:
        process.communicate(timeout=10)
    finally:
        process.kill()
    return time.monotonic() - started


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_second_interrupt_ends_a_run_whose_disk_hangs(here):
    process = start(here, "--methods", "constant", "--datasets", "hanging")
    wait_for(here, "reading")
    assert seconds_to_end(process) < 2
    assert process.returncode in (130, -signal.SIGINT)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends them on Linux only")
@pytest.mark.parametrize("how", ["interrupts", "SIGTERM"])
def test_busy_and_stopped_workers_end_with_the_run(here, how):
    rows = [f"{k}.bmp,0,0,0,1,1,9,9" for k in range(1001)]
    (here / "labels.csv").write_text("\n".join(["image,yaw,pitch,roll,x0,y0,x1,y1", *rows]) + "\n")
    Image.new("RGB", (16, 16)).save(here / "0.bmp")
    for k in range(1, 1001):
        os.link(here / "0.bmp", here / f"{k}.bmp")
    process = start(here, "--methods", "slow", "--datasets", f"table={here / 'labels.csv'}")
    pids = [int(path.name.removeprefix("pid-")) for path in wait_for(here, "pid-*", 2)]
    os.kill(pids[0], signal.SIGSTOP)
    if how == "interrupts":
        assert seconds_to_end(process) < 2
    else:
        process.send_signal(getattr(signal, how))
        process.communicate(timeout=10)
    deadline = time.monotonic() + 2
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(is_running, pids))


def test_interrupt_that_an_import_turns_into_an_error_is_still_one(tmp_path):
    """As NumPy's compiled modules do."""
    (tmp_path / "plugin.py").write_text("""
import os, signal, time

try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
except KeyboardInterrupt:
    raise ImportError("initialization failed") from None
""")
    process = start(tmp_path, "--methods", "constant")
    assert (process.communicate()[0], process.returncode) == (b"", 130)
