"""The Ray engine on a real cluster of two workers on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image
from pydantic import ValidationError

from hpbench.errors import HpbenchError, UsageError
from hpbench.inference.progress import NoProgress
from hpbench.results.run_config import RunConfig
from hpbench.rotation import geodesic_deg
from hpbench.running.runner import run
from hpbench.storage.schemas import ROTATION_COLUMNS

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'hpbench[ray]'")

FACES = 40

METHODS = '''
import os
import time
from pathlib import Path
from hpbench.method import Method, MethodCard, Prediction
from hpbench.rotation import rotation_from_angles

class Brightness(Method):
    """Yaw is the grey level of the image minus 100; the first to meet face 07 dies."""
    name = "brightness"
    summary = "for a test"
    def card(self): return MethodCard(name=self.name, title=self.name)
    def prepare(self, face): return face
    def infer(self, batch):
        marker = Path(__file__).with_name("kill-once")
        if marker.exists() and any(f.image_id.startswith("img07") for f in batch):
            marker.unlink()
            os.kill(os.getpid(), 9)
        with Path(__file__).with_name("workers.txt").open("a") as log:
            log.write(f"{os.getpid()}\\n")
        time.sleep(0.05)
        return batch
    def decode(self, output):
        yaws_deg = [float(f.image[0, 0, 0]) - 100.0 for f in output]
        return [Prediction(rotation_from_angles([yaw, 3, -2])) for yaw in yaws_deg]
'''


READS = '''
from hpbench.method import Options

class Reads(Brightness):
    """Reads a file that an option names."""
    name = "reads"
    class Options(Options):
        file: str
    def load(self):
        Path(self.options.file).read_text()
'''


@pytest.fixture(scope="module")
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    import hpbench.running.ray_engine

    monkeypatch.setattr(hpbench.running.ray_engine, "SHARD_FACES", 5)
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "brightness.py").write_text(METHODS)
    lines = ["image,yaw,pitch,roll,x0,y0,x1,y1"]
    for k in range(FACES):
        Image.new("RGB", (48, 48), (60 + 2 * k,) * 3).save(tmp_path / f"img{k:02d}.png")
        lines.append(f"img{k:02d}.png,{2 * k - 40},0,0,8,8,40,40")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def run_in(here: Path, out: str, **changes) -> pd.DataFrame:
    given = {"methods": "brightness,constant", **changes}
    spec = RunConfig(
        datasets=f"table={here / 'labels.csv'}",
        plugins=(here / "plugin" / "brightness.py",),
        device="cpu",
        timing="off",
        fresh=True,
        batch_size=5,
        **given,
    )
    run(spec, here / out, NoProgress())
    return pd.read_parquet(here / out / "predictions.parquet")


def rotations(rows: pd.DataFrame) -> np.ndarray:
    return rows[list(ROTATION_COLUMNS)].to_numpy().reshape(-1, 3, 3)


def test_cluster_gives_the_rows_of_the_local_engine(here, cluster):
    local = run_in(here, "local")
    (here / "plugin" / "workers.txt").unlink()
    spread = run_in(here, "spread", engine="ray")
    same = ["dataset", "method", "image_id", "status", "reason"]
    pd.testing.assert_frame_equal(local[same], spread[same])
    assert geodesic_deg(rotations(local), rotations(spread)).max() < 0.001
    faces = [pd.read_parquet(here / out / "faces.parquet") for out in ("local", "spread")]
    pd.testing.assert_frame_equal(*faces)
    workers = set((here / "plugin" / "workers.txt").read_text().split())
    assert len(workers) == 2 and str(os.getpid()) not in workers


def test_paths_in_options_are_relative_to_the_folder_of_the_run(here, cluster, monkeypatch):
    (here / "plugin" / "brightness.py").write_text(METHODS + READS)
    (here / "grey.txt").write_text("7")
    monkeypatch.chdir(here)
    rows = run_in(here, "ray", engine="ray", workers=2, methods="reads[file=grey.txt]")
    assert set(rows["status"]) == {"ok"}


def test_shard_of_a_killed_worker_is_run_again_and_nothing_counted_twice(here, cluster):
    marker = here / "plugin" / "kill-once"
    marker.touch()
    rows = run_in(here, "killed", engine="ray")
    assert not marker.exists(), "no worker was killed"
    assert len(rows) == 2 * FACES
    assert not rows.duplicated(["method", "image_id"]).any()
    assert (rows["status"] == "ok").all()


def test_worker_without_the_data_is_named_before_any_work(here, cluster, monkeypatch):
    from hpbench.running.ray_engine import RayCluster

    start = RayCluster._start_workers

    def without_pictures(self, *job):
        for image in here.glob("*.png"):
            image.unlink()
        return start(self, *job)

    monkeypatch.setattr(RayCluster, "_start_workers", without_pictures)
    with pytest.raises(HpbenchError, match=r"Ray worker on .*: .*img00.png: no such image"):
        run_in(here, "out", engine="ray")
    assert not (here / "plugin" / "workers.txt").exists()


def test_worker_without_the_plugin_is_named_before_any_work(here, cluster, monkeypatch):
    from hpbench.running.ray_engine import RayCluster

    start = RayCluster._start_workers

    def without_plugin(self, *job):
        (here / "plugin" / "brightness.py").unlink()
        return start(self, *job)

    monkeypatch.setattr(RayCluster, "_start_workers", without_plugin)
    with pytest.raises(HpbenchError, match=r"Ray worker on .*brightness.py: no such file"):
        run_in(here, "out", engine="ray")


def test_mixed_versions_are_refused(here, cluster, monkeypatch):
    import hpbench.running.ray_engine

    monkeypatch.setattr(hpbench.running.ray_engine, "versions", lambda: {"numpy": "0.0.1"})
    with pytest.raises(HpbenchError, match=r"has numpy .*, the driver has 0\.0\.1"):
        run_in(here, "out", engine="ray")


def test_unreachable_cluster_is_refused_at_once(here):
    with pytest.raises(UsageError, match=r"--address 127\.0\.0\.1:9: no Ray cluster there"):
        run_in(here, "out", engine="ray", address="127.0.0.1:9")
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    "faces_done", [0, 4], ids=["while Ray starts", "while faces are predicted"]
)
def test_killed_run_leaves_no_process_of_ray_behind(here, faces_done):
    words = ["run", "--methods", "brightness", "--datasets", f"table={here / 'labels.csv'}"]
    words += ["--plugin", str(here / "plugin" / "brightness.py"), "--engine", "ray"]
    words += ["--workers", "1", "--batch-size", "1", "--timing", "off", "--out", str(here / "out")]
    process = subprocess.Popen([sys.executable, "-m", "hpbench", *words], stdout=subprocess.DEVNULL)
    log = here / "plugin" / "workers.txt"
    family = []
    while process.poll() is None:
        done = len(log.read_text().split()) if log.exists() else 0
        with suppress(psutil.NoSuchProcess):  # one that has just ended
            family = psutil.Process(process.pid).children(recursive=True)
            if done >= faces_done and any("gcs" in one.name() for one in family):
                break
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive


def test_address_without_the_engine_is_refused():
    with pytest.raises(ValidationError, match="add --engine ray"):
        RunConfig(methods="constant", address="127.0.0.1:6379")
