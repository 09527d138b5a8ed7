"""Workers: programs of their own that a method asks, and what happens when they fail."""

from __future__ import annotations

import gc
import json
import logging
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from hpbench.errors import HpbenchError
from hpbench.face import Camera, Face
from hpbench.inference import worker as worker_module
from hpbench.inference.solving import Failed, solve_batch
from hpbench.inference.worker import Worker, WorkerError, WorkerProcess
from hpbench.method import MethodCard, NoPrediction, Prediction
from hpbench.rotation import geodesic_deg, rotation_from_angles

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import json, os, signal, sys, time
import numpy as np

if os.environ.get("START") == "never":
    sys.exit("no weights here")
if os.environ.get("START") == "error":
    print(json.dumps({"error": "no GPU"}), flush=True)
print(json.dumps({"hpbench_worker": int(os.environ.get("PROTOCOL", "1"))}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    shared = np.memmap(request["pixels"], np.uint8, "r")
    replies = []
    for face in request["faces"]:
        what, w, h = face["image_id"], face["width"], face["height"]
        if what == "dies" or (what == "once" and not os.path.exists("died")):
            open("died", "w").close()
            sys.exit("out of luck")
        if what == "crashes":
            print("bad crop", file=sys.stderr)
            os.kill(os.getpid(), signal.SIGSEGV)
        if what == "hangs":
            time.sleep(60)
        if what == "prints":
            print("loading model ...", flush=True)
        if what == "none":
            replies.append({"no_prediction": "too dark"})
            continue
        pixels = shared[face["offset"]:][:3 * w * h].reshape(h, w, 3)
        replies.append({"angles_deg": [float(pixels[0, 0, 0]), 0, 0], "confidence": 0.5,
                        "sum": int(pixels.sum()), "face": face, "count": len(request["faces"]),
                        "device": os.environ.get("HPBENCH_DEVICE"), "pid": os.getpid()})
        if what == "few":
            replies = []
        if what == "nulls":
            replies[-1] |= {"no_prediction": None, "R_cam": None, "confidence": None}
    if any(face["image_id"] == "old" for face in request["faces"]):
        print(json.dumps({"error": "CUDA is out of memory"}), flush=True)
    elif any(face["image_id"] == "refused" for face in request["faces"]):
        print(json.dumps({"request": request["request"], "error": "cannot do that"}), flush=True)
    else:
        reply = {"request": request["request"], "replies": replies, "error": None}
        print(json.dumps(reply), flush=True)
    if any(face["image_id"] == "stutters" for face in request["faces"]):
        print(json.dumps({"request": request["request"], "replies": replies}), flush=True)
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    return file


@pytest.fixture
def start(program):
    return lambda **options: WorkerProcess("method 'x'", [sys.executable, str(program)], **options)


def face(image_id="a", value=10, size=(40, 30), camera=None) -> Face:
    width, height = size
    image = np.full((height, width, 3), value, np.uint8)
    return Face(image_id, image, np.array([1.0, 2.0, 30.0, 28.5]), camera)


class Mine(Worker):
    name = "mine"
    summary = "for a test"
    file = Path("program.py")

    def command(self):
        return [sys.executable, str(self.file.absolute())]

    def card(self):
        return MethodCard(name=self.name, title=self.name)


@pytest.fixture
def mine(program):
    method = Mine()
    method.load()
    return method


# ---- what is sent and what comes back ------------------------------------------------------------


def test_pixels_arrive_whole_whatever_the_size_and_order(start):
    process = start()
    random = np.random.default_rng(0)
    faces = []
    for size in ((40, 30), (500, 400), (3, 2)):
        pixels = random.integers(0, 256, (size[1], size[0] * 2, 3), np.uint8)[:, ::2]
        faces.append(Face("a", pixels, np.array([0.0, 0.0, 2.0, 2.0])))
    for some in (faces, faces[::-1], faces[:1]):
        sums = [reply["sum"] for reply in process.ask(some)]
        assert sums == [int(one.image.sum()) for one in some]


def test_box_and_camera_arrive_and_annotated_landmarks_do_not(start):
    camera = Camera(np.array([[600.0, 0, 20], [0, 601.0, 15], [0, 0, 1]]), np.arange(5.0))
    (reply,) = start().ask([face(camera=camera)])
    assert reply["face"] == {
        "image_id": "a", "offset": 0, "width": 40, "height": 30,
        "box_xyxy": [1.0, 2.0, 30.0, 28.5],
        "camera_matrix": camera.matrix.tolist(), "distortion": [0.0, 1.0, 2.0, 3.0, 4.0],
    }  # fmt: skip


def test_large_batches_are_sent_in_portions(start, monkeypatch):
    process = start()
    replies = process.ask([face(value=k) for k in range(100)])
    assert [reply["angles_deg"][0] for reply in replies] == [float(k) for k in range(100)]
    assert {reply["count"] for reply in replies} == {64, 36}
    monkeypatch.setattr(worker_module, "MAX_REQUEST_BYTES", 2 * face().image.nbytes)
    assert [reply["count"] for reply in process.ask([face()] * 5)] == [2, 2, 2, 2, 1]


def test_a_method_reads_angles_rotations_and_reasons(mine):
    found = mine.predict([face(value=30), face("none")])
    assert geodesic_deg(found[0].R_cam, rotation_from_angles([30.0, 0.0, 0.0])) < 1e-6
    assert found[0].confidence == 0.5
    assert found[1] == NoPrediction("too dark")
    R_cam = rotation_from_angles([10.0, 20.0, 30.0])
    np.testing.assert_array_equal(mine.prediction({"R_cam": R_cam.tolist()}).R_cam, R_cam)


@pytest.mark.parametrize("angles_deg", [[1, 2], [1, 2, 3, 4], 5])
def test_a_reply_of_other_than_three_angles_is_refused(mine, angles_deg):
    with pytest.raises(HpbenchError, match=r"angles_deg is .* instead of yaw, pitch and roll"):
        mine.prediction({"angles_deg": angles_deg})


def test_the_device_is_named_to_the_worker(program):
    method = Mine(device="cuda:1")
    method.load()
    assert method.process.ask([face()])[0]["device"] == "cuda:1"


def test_the_key_of_stored_rows_covers_the_program(program):
    before = Mine().fingerprint()
    program.write_text(PROGRAM + "\n# changed\n")
    os.utime(program, (1, 1))
    assert Mine().fingerprint() != before


@pytest.mark.parametrize("word", ["{}", "--net={}"])
def test_the_key_of_stored_rows_covers_every_file_that_the_command_names(tmp_path, word):
    net = tmp_path / "net.bin"

    class Named(Mine):
        def command(self):
            return ["program", "-c", "long = 1\n" * 1000, word.format(net)]

    before = Named().fingerprint()
    net.write_bytes(b"weights")
    assert Named().fingerprint() != before


def test_an_instance_that_is_not_loaded_pickles(program):
    pickle.loads(pickle.dumps(Mine()))


def test_keys_with_null_are_as_none(mine):
    (found,) = mine.predict([face("nulls", 7)])
    np.testing.assert_allclose(found.R_cam, rotation_from_angles([7.0, 0.0, 0.0]))
    assert found.confidence is None


# ---- failures ------------------------------------------------------------------------------------


def test_a_worker_that_dies_once_is_started_again_counted_and_said(mine, caplog):
    with caplog.at_level(logging.WARNING, "hpbench"):
        (found,) = mine.predict([face("once", 30)])
    assert isinstance(found, Prediction)
    said = "the worker exited with status 1 (out of luck) and was started again"
    assert mine.incidents() == [said]
    assert "method 'mine': its worker exited with status 1 (out of luck)" in caplog.text


def test_a_face_that_kills_the_worker_twice_is_counted_and_the_others_are_predicted(mine):
    solved = solve_batch(mine, [face("a", 1), face("crashes"), face("b", 2), face("none")])
    outcomes = [one.prediction for one in solved]
    assert [isinstance(one, Prediction) for one in outcomes] == [True, False, True, False]
    assert outcomes[1].reason == (
        "infer failed: WorkerError: the worker was killed by SIGSEGV (bad crop), twice"
    )
    assert outcomes[3].reason == "too dark"


def test_a_worker_that_survives_no_request_ends_the_run(start):
    process = start()
    for _ in range(2):
        with pytest.raises(WorkerError, match=r"exited with status 1 \(out of luck\), twice"):
            process.ask([face("dies")])
    for given_up in (face("dies"), face("a")):  # the reason stays the same
        with pytest.raises(HpbenchError, match=r"its worker .*out of luck.*, 3 requests in a row"):
            process.ask([given_up])


def test_a_request_that_is_refused_ends_the_row_of_those_that_kill_the_worker(start):
    process = start()
    for what in ("dies", "dies", "refused", "dies", "dies"):
        with pytest.raises(WorkerError):
            process.ask([face(what)])


def test_a_worker_that_hangs_is_killed_with_its_children(program):
    process = WorkerProcess(
        "method 'x'", ["/bin/sh", "-c", f"{sys.executable} {program}; true"], reply_s=0.3
    )
    child = psutil.Process(process.pid)
    family = [child, *child.children(recursive=True)]
    assert len(family) == 2
    with pytest.raises(WorkerError, match=r"did not reply within 0\.3 s and was killed, twice"):
        process.ask([face("hangs")])
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []


def test_a_request_that_is_never_read_counts_as_no_reply(program):
    """It is longer than a pipe holds, so writing it must not wait for ever either."""
    program.write_text("""if True:
        import json, time
        print(json.dumps({"hpbench_worker": 1}), flush=True)
        time.sleep(60)
    """)
    process = WorkerProcess("method 'x'", [sys.executable, str(program)], reply_s=0.3)
    with pytest.raises(WorkerError, match=r"did not reply within 0\.3 s and was killed, twice"):
        process.ask([face("x" * 10_000) for _ in range(8)])


def interrupt(*_):
    """As Ctrl-C in a notebook does."""
    raise KeyboardInterrupt


def test_a_request_that_was_interrupted_does_not_shift_the_next_one(start, monkeypatch):
    process = start()

    with monkeypatch.context() as patch:
        patch.setattr(process, "_read", interrupt)
        with pytest.raises(KeyboardInterrupt):
            process.ask([face("a", 1)])
    (reply,) = process.ask([face("b", 2)])
    assert reply["face"]["image_id"] == "b"
    assert process.restarts == ["was interrupted"]


def test_a_restart_that_was_interrupted_does_not_shift_the_next_request(start, monkeypatch):
    process = start()

    with monkeypatch.context() as patch:
        patch.setattr(process, "_read", interrupt)
        for _ in range(2):  # the request, and then the greeting of the worker that is started again
            with pytest.raises(KeyboardInterrupt):
                process.ask([face("a", 1)])
    (reply,) = process.ask([face("b", 2)])
    assert reply["face"]["image_id"] == "b"


def test_what_a_program_prints_is_named_as_the_mistake(start):
    with pytest.raises(HpbenchError, match=r"wrote 'loading model \.\.\.' to standard output"):
        start().ask([face("prints")])


def test_too_few_replies_are_an_error(start):
    with pytest.raises(HpbenchError, match=r"gave 0 replies to 1"):
        start().ask([face("few")])


def test_a_line_too_many_is_never_taken_for_the_reply_to_the_next_request(start):
    process = start()
    process.ask([face("stutters")])
    with pytest.raises(HpbenchError, match="a line for request 1 as the reply to 2"):
        process.ask([face("b", 2)])


def test_a_reply_without_the_number_of_the_request_is_named_with_what_it_says(start):
    said = r'lacks "request" \(CUDA is out of memory\); copy it from the request'
    with pytest.raises(HpbenchError, match=said):
        start().ask([face("old")])


def test_an_error_of_the_worker_is_the_reason_of_the_face(mine):
    found = [one.prediction for one in solve_batch(mine, [face("refused"), face("b", 2)])]
    assert found[0] == Failed("infer failed: WorkerError: cannot do that")
    assert isinstance(found[1], Prediction)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"START": "never"}, r"does not start: it exited with status 1 \(no weights here\)"),
        ({"START": "error"}, r"does not start: no GPU"),
        ({"PROTOCOL": "9"}, r"speaks protocol 9, this hpbench 1"),
    ],
)
def test_a_worker_that_does_not_start_is_one_line(start, environment, message):
    with pytest.raises(HpbenchError, match=message):
        start(environment=environment)


def test_a_program_that_is_not_there_is_one_line():
    with pytest.raises(HpbenchError, match=r"cannot be started: /no/such/program: No such file"):
        WorkerProcess("method 'x'", ["/no/such/program"])


def test_a_worker_ends_with_its_method(program):
    method = Mine()
    method.load()
    child = psutil.Process(method.process.pid)
    del method
    gc.collect()
    deadline = time.monotonic() + 10
    while child.is_running() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not child.is_running()


# ---- the page ------------------------------------------------------------------------------------


def test_a_worker_that_hangs_ends_with_a_killed_parent(program):
    call = [sys.executable, "-c", KILLED, str(program)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as parent:
        worker = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.2)  # it hangs by now
        parent.kill()
    worker.wait(5)


KILLED = """
import sys
import numpy as np
from hpbench.face import Face
from hpbench.inference.worker import WorkerProcess

worker = WorkerProcess("method 'x'", [sys.executable, sys.argv[1]])
print(worker.pid, flush=True)
worker.ask([Face("hangs", np.zeros((9, 9, 3), np.uint8), np.array([0.0, 0.0, 9.0, 9.0]))])
"""


def test_the_page_of_the_protocol_shows_requests_and_replies_as_they_are(mine):
    page = (ROOT / "docs" / "worker-protocol.md").read_text()
    shown_request, shown_reply = (
        json.loads(text)
        for text in re.findall(r"^ {8}(\{.*?\]\})$", page, re.MULTILINE | re.DOTALL)
    )
    (sent,) = mine.process.ask([face()])
    assert shown_request.keys() == {"request", "pixels", "faces"}
    assert shown_request["faces"][0].keys() == sent["face"].keys()
    assert shown_reply["request"] == shown_request["request"]
    found = mine.prediction(shown_reply["replies"][0])
    assert geodesic_deg(found.R_cam, rotation_from_angles([12.5, -3.0, 0.8])) < 1e-6
