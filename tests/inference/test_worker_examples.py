"""The example workers: a C++ program without libraries, and Python without hpbench."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import hpbench
from hpbench.checking.checks.worker import check_worker
from hpbench.checking.conformance import CHECKS, check_method
from hpbench.face import Face
from hpbench.inference.progress import NoProgress
from hpbench.method import NoPrediction
from hpbench.registry import make_dataset, make_method
from hpbench.results.run_config import RunConfig
from hpbench.results.run_record import RunRecord
from hpbench.rotation import angles_from_rotation, geodesic_deg
from hpbench.running.runner import run
from hpbench.timing.cold_start import measure_fresh

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "workers"
PLUGINS = [EXAMPLES / "workers.py"]

ALLOCATING = """
import json, sys

import numpy as np

held = np.ones(300 * 2**20, np.uint8)
print(json.dumps({"hpbench_worker": 1}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    found = [{"angles_deg": [0, 0, 0]} for _ in request["faces"]]
    print(json.dumps({"request": request["request"], "replies": found}), flush=True)
"""

PLUGIN = """
import sys
from pathlib import Path

from hpbench.inference.worker import Worker
from hpbench.method import MethodCard


class Large(Worker):
    name = "large"
    summary = "for a test"

    def command(self):
        return [sys.executable, str(Path(__file__).with_name("allocating.py"))]

    def card(self):
        return MethodCard(name=self.name, title=self.name)
"""


@pytest.fixture(scope="module")
def dark_centre(tmp_path_factory):
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    program = tmp_path_factory.mktemp("cpp") / "dark_centre"
    source = EXAMPLES / "dark_centre.cpp"
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, "-o", program, source], check=True)
    return lambda: make_method(f"dark_centre[program={program}]", plugins=PLUGINS)


def dark_yaw_deg(face: Face) -> float:
    """What the program computes, with NumPy."""
    x0, y0 = np.maximum(np.ceil(face.box_xyxy[:2]), 0).astype(int)
    x1, y1 = np.minimum(face.box_xyxy[2:], face.size_wh).astype(int)
    light = face.image[y0:y1, x0:x1] @ np.array([0.299, 0.587, 0.114])
    dark = np.maximum(light.mean() - light, 0.0)
    centre_x = (dark * np.arange(x0, x1)).sum() / dark.sum()
    left, right = face.box_xyxy[[0, 2]]
    return float(200.0 * (centre_x - (left + right) / 2.0) / (right - left))


def test_the_cpp_program_sees_the_pixels_and_boxes_that_it_is_sent(dark_centre):
    method = dark_centre()
    method.load()
    random = np.random.default_rng(0)
    faces = []
    for k, (width, height) in enumerate([(64, 48), (300, 200), (31, 77)]):
        image = random.integers(0, 256, (height, width, 3), np.uint8)
        image[:, : width // 3] //= 2
        box = np.array([-3.25, 5.5, width - 4.75, height + 2.0])
        faces.append(Face(f'a "{k}"', image, box))
    found = [angles_from_rotation(one.R_cam)[0] for one in method.predict(faces)]
    np.testing.assert_allclose(found, [dark_yaw_deg(face) for face in faces], atol=1e-3)
    (none,) = method.predict([Face("b", np.zeros((50, 50, 3), np.uint8), np.array([5, 5, 40, 40]))])
    assert none == NoPrediction("nothing in the box is dark")


def test_the_cpp_worker_passes_the_checks_of_the_contract(dark_centre):
    of_contract = [
        check for check in CHECKS if check.__module__.endswith(("predictions", "worker"))
    ]
    results = check_method(dark_centre, make_dataset("sample"), 12, of_contract)
    assert {result.name for result in results} >= {"order", "threads", "pickle", "worker"}
    assert [result for result in results if result.status != "passed"] == []


def test_other_methods_have_no_worker_to_check():
    (result,) = check_method(
        lambda: make_method("constant"), make_dataset("sample"), 12, [check_worker]
    )
    assert (result.status, result.reason) == ("skipped", "the method has no worker")


def test_the_python_worker_agrees_with_the_same_network_inside(shared_path):
    pytest.importorskip("onnxruntime")
    net = shared_path("weights/zoo/lwhpe.onnx")
    dataset = make_dataset("sample")
    records = dataset.records()[::6]
    faces = [Face(one.image_id, dataset.read_image(one), one.box_xyxy) for one in records]
    rotations = []
    for method in (
        make_method(f"lwhpe_worker[net={net}]", plugins=PLUGINS),
        make_method(str(net.with_suffix(".toml"))),
    ):
        method.load()
        rotations.append(np.stack([found.R_cam for found in method.predict(faces)]))
    # they scale the crop with different libraries
    assert np.median(geodesic_deg(*rotations)) < 1.0


def test_peak_memory_counts_the_worker(tmp_path):
    (tmp_path / "allocating.py").write_text(ALLOCATING)
    (tmp_path / "large.py").write_text(PLUGIN)
    face = Face("a", np.zeros((40, 40, 3), np.uint8), np.array([5.0, 5.0, 30.0, 30.0]))
    plugins = [tmp_path / "large.py"]
    found = measure_fresh(make_method("large", plugins=plugins), plugins, [face], one_core=True)
    alone = measure_fresh(make_method("constant"), (), [face], one_core=True)
    assert found.peak_memory_mib > alone.peak_memory_mib + 300


DYING = """
import json, sys
from pathlib import Path

died = Path(sys.argv[0]).with_name("died")
print(json.dumps({"hpbench_worker": 1}), flush=True)
for line in sys.stdin:
    if not died.exists():
        died.touch()
        sys.exit("out of luck")
    request = json.loads(line)
    found = [{"angles_deg": [0, 0, 0]} for _ in request["faces"]]
    print(json.dumps({"request": request["request"], "replies": found}), flush=True)
"""


def test_a_restart_is_in_the_report(tmp_path):
    (tmp_path / "allocating.py").write_text(DYING)
    (tmp_path / "large.py").write_text(PLUGIN)
    results = hpbench.run(
        "large", limit=4, timing="off", plugin=tmp_path / "large.py", out=tmp_path / "run"
    )
    assert results.rows[0].images.scored == 4
    said = "the worker exited with status 1 (out of luck) and was started again"
    assert f"Incidents: {said}" in results.report()[0].read_text()


class StopAtOnce(NoProgress):
    """Stops the run like a user's Ctrl-C when the first faces are predicted."""

    def advance(self, dataset, method, count):
        raise KeyboardInterrupt


def test_a_restart_before_a_run_was_stopped_is_in_the_report_of_the_resumed_run(tmp_path):
    (tmp_path / "allocating.py").write_text(DYING)
    (tmp_path / "large.py").write_text(PLUGIN)
    config = RunConfig(
        methods="large", datasets="sample", limit=4, timing="off", batch_size=2,
        plugins=(tmp_path / "large.py",), fresh=True,
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "run", StopAtOnce())
    run(config, tmp_path / "run", NoProgress())
    (method,) = RunRecord.read(tmp_path / "run").methods.values()
    assert method.incidents == (
        "the worker exited with status 1 (out of luck) and was started again",
    )
