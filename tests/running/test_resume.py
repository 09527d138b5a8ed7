"""A run that is killed at any moment goes on to the tables of one that was not."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

FACES = 60

PLUGIN = '''
import time
from hpbench.method import Method, MethodCard, NoPrediction, Prediction
from hpbench.rotation import rotation_from_angles

class Slow(Method):
    """Yaw is the grey level of the image minus 100; every seventh face has no prediction."""
    name = "slow"
    summary = "for a test"
    def card(self): return MethodCard(name=self.name, title=self.name)
    def prepare(self, face):
        number = int(face.image_id[3:5])
        return NoPrediction("seventh") if number % 7 == 0 else face
    def infer(self, batch):
        time.sleep(0.03)
        return batch
    def decode(self, output):
        yaws = [float(face.image[0, 0, 0]) - 100.0 for face in output]
        return [Prediction(rotation_from_angles([yaw, 3, -2])) for yaw in yaws]
'''

PROGRAM = """
import sys
from pathlib import Path
import hpbench.running.local_engine
import hpbench.running.ray_engine
from hpbench.inference.progress import NoProgress
from hpbench.results.run_config import RunConfig
from hpbench.running.runner import run

hpbench.running.local_engine.STORE_EVERY_S = 0.0
hpbench.running.ray_engine.SHARD_FACES = 2
here, out, engine = sys.argv[1:]
config = RunConfig(
    methods="slow,constant", datasets=f"table={here}/labels.csv", plugins=(f"{here}/plugin.py",),
    device="cpu", timing="off", fresh=True, batch_size=2, engine=engine, workers=2,
    corrupt=("dark=1",),
)
run(config, Path(out), NoProgress())
"""


@pytest.fixture
def here(tmp_path) -> Path:
    (tmp_path / "plugin.py").write_text(PLUGIN)
    lines = ["image,yaw,pitch,roll,x0,y0,x1,y1"]
    for k in range(FACES):
        Image.new("RGB", (48, 48), (60 + 2 * k,) * 3).save(tmp_path / f"img{k:02d}.png")
        lines.append(f"img{k:02d}.png,{2 * k - 40},0,0,8,8,40,40")
    (tmp_path / "img11.png").write_bytes(b"no image")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def tables(folder: Path) -> list[pd.DataFrame]:
    found = [pd.read_parquet(folder / f"{name}.parquet") for name in ("faces", "predictions")]
    return [one.drop(columns=[c for c in one if c.endswith("_ms")]) for one in found]


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_killed_run_goes_on_to_the_same_tables(engine, here):
    if engine == "ray" and find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'hpbench[ray]'")
    command = [sys.executable, "-c", PROGRAM, str(here)]
    subprocess.run([*command, str(here / "whole"), "local"], check=True)
    out = here / "killed"
    parts = random.randrange(1, FACES - 5)
    with subprocess.Popen([*command, str(out), engine], stderr=subprocess.PIPE) as process:
        while len(list(out.glob("parts/*/part-*"))) < parts and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    assert not (out / "timing.parquet").exists(), "the run was over before it was killed"
    subprocess.run([*command, str(out), engine], check=True)
    for found, expected in zip(tables(out), tables(here / "whole"), strict=True):
        pd.testing.assert_frame_equal(found, expected)
    assert not (out / "parts").exists()
