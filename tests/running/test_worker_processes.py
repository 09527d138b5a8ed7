"""Processes that read and prepare faces give the predictions of one process."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

import hpbench.running.local_engine
from hpbench.errors import HpbenchError
from hpbench.inference.progress import NoProgress
from hpbench.results.run_config import RunConfig
from hpbench.running.runner import run

FATAL = """
import os
from hpbench.method import Method, MethodCard


class Fatal(Method):
    name = "fatal"
    summary = "kills its process"
    prepare_in = "processes"

    def card(self):
        return MethodCard(name="fatal", title="Fatal")

    def prepare(self, face):
        os.write(2, b"no memory of this shape\\n")
        os._exit(9)

    def infer(self, batch):
        return batch

    def decode(self, output):
        return output
"""

TRAP = """
import sys
from pathlib import Path

import numpy as np
from hpbench.method import Method, MethodCard, Prediction


class Trap(Method):
    name = "trap"
    summary = "changes sys.path for a while, as the first import of cv2 does"

    def card(self):
        return MethodCard(name="trap", title="Trap")

    def prepare(self, face):
        folder = str(Path(__file__).parent / "trap")
        if folder not in sys.path:
            sys.path.insert(0, folder)
        return face

    def infer(self, batch):
        return batch

    def decode(self, output):
        return [Prediction(np.eye(3)) for _ in output]
"""

SCRIPT = """
import sys
from pathlib import Path

import hpbench
import hpbench.running.local_engine

with Path("started.txt").open("a") as log:
    log.write("started\\n")
hpbench.running.local_engine.POOL_FROM_FACES = 1
hpbench.run("pnp", "sample", limit=8, workers=2, timing="off", fresh=True, out="run")
"""


UNSENDABLE = """
import numpy as np
from hpbench.method import Method, MethodCard, Prediction


class Unsendable(Method):
    name = "unsendable"
    summary = "prepares something that cannot be pickled"

    def card(self):
        return MethodCard(name="unsendable", title="Unsendable")

    def prepare(self, face):
        return lambda: face

    def infer(self, batch):
        return batch

    def decode(self, output):
        return [Prediction(np.eye(3)) for _ in output]
"""


SLOW_TO_LOAD = """
import os
import time
from pathlib import Path

import numpy as np
from hpbench.method import Method, MethodCard, Prediction

HERE = Path(__file__).parent


class SlowToLoad(Method):
    name = "slow-to-load"
    summary = "loads for as long as no process is there to prepare faces"
    prepare_in = "processes"

    def card(self):
        return MethodCard(name="slow-to-load", title="SlowToLoad")

    def fingerprint_is_complete(self):
        return True

    def load(self):
        end = time.monotonic() + 240.0
        while not list(HERE.glob("*.ready")):
            if time.monotonic() > end:
                raise RuntimeError("no process has started while this was loaded")
            time.sleep(0.05)

    def load_to_prepare(self):
        (HERE / f"{os.getpid()}.ready").touch()

    def prepare(self, face):
        return face

    def infer(self, batch):
        return batch

    def decode(self, output):
        return [Prediction(np.eye(3)) for _ in output]
"""


@pytest.fixture
def pool_from_one_face(monkeypatch) -> None:
    monkeypatch.setattr(hpbench.running.local_engine, "POOL_FROM_FACES", 1)
    monkeypatch.setattr(hpbench.running.local_engine, "READERS_FROM_CORES", 2)


def predictions(out, **options) -> pd.DataFrame:
    given = {"datasets": "sample", "limit": 12, "timing": "off", "fresh": True, **options}
    run(RunConfig(**given), out, NoProgress())
    table = pd.read_parquet(out / "predictions.parquet")
    return table.drop(columns=["prepare_ms", "infer_ms", "decode_ms"])


@pytest.mark.parametrize(
    ("methods", "options"),
    [("pnp", {}), ("pnp,hopenet", {"boxes": "dlib"}), ("hopenet,constant", {})],
)
def test_two_processes_predict_as_one(methods, options, tmp_path, pool_from_one_face) -> None:
    one = predictions(tmp_path / "one", methods=methods, workers=1, **options)
    two = predictions(tmp_path / "two", methods=methods, workers=2, batch_size=5, **options)
    pd.testing.assert_frame_equal(one, two, rtol=0, atol=1e-5)


def test_input_that_cannot_be_sent_between_processes_says_how_to_go_on(
    tmp_path, pool_from_one_face
) -> None:
    plugin = tmp_path / "unsendable.py"
    plugin.write_text(UNSENDABLE)
    with pytest.raises(HpbenchError, match=r"pickle.*lambda.*--workers 1"):
        predictions(tmp_path / "two", methods="unsendable", workers=2, plugins=(plugin,))
    rows = predictions(tmp_path / "one", methods="unsendable", workers=1, plugins=(plugin,))
    assert (rows["status"] == "ok").all()


def test_process_that_dies_ends_the_run_in_one_line(tmp_path, pool_from_one_face) -> None:
    plugin = tmp_path / "fatal.py"
    plugin.write_text(FATAL)
    ended = r"process of 'fatal' exited with status 9 \(no memory of this shape\); .* --workers 1"
    with pytest.raises(HpbenchError, match=ended):
        predictions(tmp_path / "out", methods="fatal", workers=2, plugins=(plugin,))


def test_processes_start_beside_the_loading_and_serve_all_data_sets(
    tmp_path, pool_from_one_face
) -> None:
    plugin = tmp_path / "slow.py"
    plugin.write_text(SLOW_TO_LOAD)
    rows = predictions(
        tmp_path / "out", methods="slow-to-load", corrupt=("dark=1",), workers=2,
        plugins=(plugin,),
    )  # fmt: skip
    assert rows["dataset"].nunique() == 2 and (rows["status"] == "ok").all()
    assert len(list(tmp_path.glob("*.ready"))) == 2


def test_path_that_a_thread_has_changed_is_not_that_of_the_processes(
    tmp_path, pool_from_one_face, monkeypatch
) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(TRAP)
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / "typing.py").write_text("raise SystemExit('OpenCV has one, too')\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    rows = predictions(
        tmp_path / "out", methods="trap,pnp", workers=2, batch_size=1, plugins=(plugin,)
    )
    assert rows["method"].value_counts().to_dict() == {"trap": 12, "pnp": 12}


def test_script_without_a_main_guard_runs_once(tmp_path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "started.txt").read_text() == "started\n"
    assert len(pd.read_parquet(tmp_path / "run" / "predictions.parquet")) == 8
