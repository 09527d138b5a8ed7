"""The accuracy pass on images made here, with small methods written for the test."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

import hpbench.running.local_engine
from hpbench.errors import DataError, HpbenchError, UsageError
from hpbench.face import Face
from hpbench.inference.progress import NoProgress
from hpbench.inference.solving import Failed, Solved
from hpbench.method import NoPrediction, Prediction
from hpbench.results.run_config import RunConfig
from hpbench.running.evaluation import ReadFace
from hpbench.running.local_engine import FailureWatch, ImagesAhead, PreparedFace
from hpbench.running.runner import run
from hpbench.scoring.scores import load_run

METHODS = '''
import threading, time
from pathlib import Path
import numpy as np
from hpbench.method import Method, MethodCard, NoPrediction, Options, Prediction
from hpbench.rotation import rotation_from_angles

class _Base(Method):
    summary = "for a test"
    def card(self): return MethodCard(name=self.name, title=self.name)
    def prepare(self, face): return face
    def infer(self, batch): return batch

class Half(_Base):
    """Knows half of the faces by their ids."""
    name = "half"
    def decode(self, output):
        even = [int(f.image_id[3:5]) % 2 == 0 for f in output]
        return [Prediction(np.eye(3)) if known else NoPrediction("odd face") for known in even]

class Brightness(_Base):
    """Yaw is the grey level of the image minus 100."""
    name = "brightness"
    def decode(self, output):
        yaws_deg = [float(f.image[0, 0, 0]) - 100.0 for f in output]
        return [Prediction(rotation_from_angles([yaw, 0, 0])) for yaw in yaws_deg]

class Chokes(Brightness):
    name = "chokes"
    def infer(self, batch):
        if any(f.image_id.startswith("img03") for f in batch):
            raise ValueError("cannot take this one")
        return batch

class Broken(_Base):
    name = "broken"
    def infer(self, batch): raise RuntimeError("always")
    def decode(self, output): return []

class Sure(_Base):
    """Sure of a face by its number, with three values that are no confidence."""
    name = "sure"
    def decode(self, output):
        strange = {0: None, 1: float("nan"), 2: float("inf"), 3: "very"}
        numbers = [int(f.image_id[3:5]) for f in output]
        return [Prediction(np.eye(3), confidence=strange.get(n, n)) for n in numbers]

class Ahead(Chokes):
    """Decodes a batch when it is asked to, as on a GPU; says how many were started by then."""
    name = "ahead"
    batches = 0
    def infer_ahead(self, batch):
        self.batches += 1
        output = self.infer(batch)
        return lambda: [NoPrediction(f"{self.batches} started") for _ in output]

class Writer(_Base):
    """Blackens the even faces for itself, and so for those after it."""
    name = "writer"
    def prepare(self, face):
        if int(face.image_id[3:5]) % 2 == 0: face.image[:] = 0
        return face
    def decode(self, output): return [Prediction(np.eye(3)) for _ in output]

class Exits(_Base):
    name = "exits"
    def infer(self, batch): raise SystemExit(3)
    def decode(self, output): return []

class Unready(_Base):
    name = "unready"
    def prepare(self, face): raise KeyError("mean_face")
    def decode(self, output): return []

class Threads(_Base):
    """Each reading thread leaves a file."""
    name = "threads"
    def prepare(self, face):
        Path("threads", threading.current_thread().name).touch()
        time.sleep(0.01)
        return face
    def decode(self, output): return [Prediction(np.eye(3)) for _ in output]

class Skewed(_Base):
    """Predicts no rotation for the even faces, or for all."""
    name = "skewed"
    class Options(Options):
        always: bool = False
    def decode(self, output):
        even = [self.options.always or int(f.image_id[3:5]) % 2 == 0 for f in output]
        return [Prediction(np.diag([1.0, 1.0, -1.0]) if bad else np.eye(3)) for bad in even]
'''


class StopAfter(NoProgress):
    """Stops the run like a user's Ctrl-C once so many faces are predicted."""

    def __init__(self, faces):
        self.left = faces

    def advance(self, dataset, method, count):
        self.left -= count
        if self.left <= 0:
            raise KeyboardInterrupt


@pytest.fixture
def plugin(tmp_path) -> Path:
    file = tmp_path / "test_methods.py"
    file.write_text(METHODS)
    return file


@pytest.fixture
def labels(tmp_path) -> Path:
    """Ten images whose yaw is their grey level minus 100: 80, 84, ... -> -20, -16, ..."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = []
    for k in range(10):
        name = f"img{k:02d}.png"
        Image.new("RGB", (64, 64), (80 + 4 * k,) * 3).save(folder / name)
        rows.append((name, -20 + 4 * k, 0, 0, 16, 16, 48, 48))
    table = folder / "labels.csv"
    columns = ["image", "yaw", "pitch", "roll", "x0", "y0", "x1", "y1"]
    pd.DataFrame(rows, columns=columns).to_csv(table, index=False)
    return table


def run_here(tmp_path, plugin, labels, methods, bars=None, **changes) -> dict[str, dict]:
    spec = RunConfig(
        methods=methods,
        datasets=f"table={labels}",
        plugins=(plugin,),
        device="cpu",
        timing_images=2,
        fresh=True,
        **changes,
    )
    out = run(spec, tmp_path / "out", bars or NoProgress())
    results = json.loads((out / "results.json").read_text())["results"]
    return {row["method"]: row for row in results}


def test_perfect_method_has_no_error(tmp_path, plugin, labels):
    rows = run_here(tmp_path, plugin, labels, "brightness")
    assert rows["brightness"]["mae_deg"]["mean"] == pytest.approx(0.0, abs=1e-9)


def test_constant_is_off_by_the_mean_absolute_label(tmp_path, plugin, labels):
    rows = run_here(tmp_path, plugin, labels, "constant")
    # |yaw| of -20, -16, ..., 16
    assert rows["constant"]["mae_deg"]["yaw"] == pytest.approx(
        np.mean(np.abs(np.arange(-20, 17, 4)))
    )


def test_confidence_is_stored_and_null_where_it_is_no_finite_number(tmp_path, plugin, labels):
    run_here(tmp_path, plugin, labels, "sure")
    table = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert (table["status"] == "ok").all()
    assert table["confidence"].isna().tolist() == [True] * 4 + [False] * 6
    assert table["confidence"].dropna().tolist() == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0]


def test_face_without_prediction_is_counted(tmp_path, plugin, labels):
    images = run_here(tmp_path, plugin, labels, "half")["half"]["images"]
    assert images == {"total": 10, "excluded": 0, "scored": 5, "no_answer": 5}


def test_truncated_image_is_counted_and_the_run_goes_on(tmp_path, plugin, labels):
    image = labels.parent / "img04.png"
    image.write_bytes(image.read_bytes()[:60])
    images = run_here(tmp_path, plugin, labels, "constant")["constant"]["images"]
    assert images == {"total": 10, "excluded": 1, "scored": 9, "no_answer": 0}
    faces = pd.read_parquet(tmp_path / "out" / "faces.parquet").set_index("image_id")
    assert "img04.png" in faces["excluded"].dropna().iloc[0]


def test_data_set_without_a_usable_image_is_refused_with_the_first_reason(tmp_path, plugin, labels):
    for image in labels.parent.glob("*.png"):
        image.write_bytes(image.read_bytes()[:60])
    with pytest.raises(DataError, match=r"none of the 10 faces .* img00\.png: .* cannot be read"):
        run_here(tmp_path, plugin, labels, "constant")


def test_face_that_a_method_chokes_on_does_not_take_its_batch_along(tmp_path, plugin, labels):
    rows = run_here(tmp_path, plugin, labels, "chokes")
    assert rows["chokes"]["images"]["no_answer"] == 1


def test_method_that_runs_ahead_is_given_a_batch_before_the_last_one_is_decoded(
    tmp_path, plugin, labels
):
    run_here(tmp_path, plugin, labels, "ahead", batch_size=2)
    rows = pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    started = rows["reason"].fillna("solved alone").tolist()
    # the second batch raises when it is started, and is solved face by face
    assert started[:2] == ["2 started"] * 2
    assert started[4:] == ["4 started"] * 2 + ["5 started"] * 4
    assert started[2] == "solved alone"
    assert started[3].startswith("infer failed: ValueError")


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("broken", "RuntimeError: always"),
        ("unready", "KeyError: 'mean_face'"),
        ("exits", "SystemExit: 3"),
        ("skewed[always=true]", "prediction is not a rotation matrix"),
    ],
)
def test_method_that_fails_on_every_face_stops_the_run_with_its_error(
    tmp_path, plugin, labels, method, error
):
    with pytest.raises(HpbenchError, match=f"fails on every face: .*{error}"):
        run_here(tmp_path, plugin, labels, method)


def test_first_face_that_fails_does_not_stop_the_run(tmp_path, plugin, labels):
    rows = run_here(tmp_path, plugin, labels, "skewed", batch_size=1)  # so do all even faces
    assert rows["skewed"]["images"] == {"total": 10, "excluded": 0, "scored": 5, "no_answer": 5}


def test_method_is_broken_only_after_failures_and_not_after_reasons_of_its_own():
    failed, own = Solved(Failed("no rotation")), Solved(NoPrediction("dark"))
    watch = FailureWatch(100)
    watch.look("m", [own] * 50 + [failed] * 31)
    with pytest.raises(HpbenchError, match="'m' fails on every face"):
        watch.look("m", [failed])
    watch.look("other", [Solved(Prediction(np.eye(3)))])
    watch.look("other", [failed] * 99)


def test_prediction_that_is_no_rotation_is_not_scored(tmp_path, plugin, labels):
    rows = run_here(tmp_path, plugin, labels, "skewed")
    assert rows["skewed"]["images"]["no_answer"] == 5


@pytest.mark.parametrize("workers", [1, 2])
def test_method_that_writes_into_its_face_fails_alone(tmp_path, plugin, labels, workers):
    rows = run_here(tmp_path, plugin, labels, "writer,brightness", workers=workers)
    assert rows["writer"]["images"]["no_answer"] == 5
    assert rows["brightness"]["mae_deg"]["mean"] == pytest.approx(0.0, abs=1e-9)
    reasons = pd.read_parquet(tmp_path / "out" / "predictions.parquet")["reason"].dropna()
    assert reasons.str.contains("may write into its face, .* change a copy").all()


def test_predictions_do_not_depend_on_the_batch_size(tmp_path, plugin, labels):
    one = run_here(tmp_path / "a", plugin, labels, "brightness", batch_size=1)
    all_at_once = run_here(tmp_path / "b", plugin, labels, "brightness", batch_size=64)
    assert one["brightness"]["mae_deg"] == all_at_once["brightness"]["mae_deg"]


def test_stopped_run_is_resumed_and_gives_the_same_rows(tmp_path, plugin, labels, monkeypatch):
    import hpbench.running.local_engine

    monkeypatch.setattr(hpbench.running.local_engine, "STORE_EVERY_S", 0.0)
    whole = run_here(tmp_path / "a", plugin, labels, "brightness", batch_size=2)
    with pytest.raises(KeyboardInterrupt):
        run_here(tmp_path / "b", plugin, labels, "brightness", batch_size=2, bars=StopAfter(6))
    out = tmp_path / "b" / "out"
    stored = pd.concat(pd.read_parquet(part) for part in out.glob("parts/*/part-*.parquet"))
    assert 0 < len(stored) < 10 and stored["row"].is_unique
    resumed = run_here(tmp_path / "b", plugin, labels, "brightness", batch_size=2)
    assert resumed["brightness"]["mae_deg"] == whole["brightness"]["mae_deg"]
    rows = pd.read_parquet(out / "predictions.parquet")
    assert rows["image_id"].tolist() == [f"img{k:02d}.png" for k in range(10)]


def test_index_of_all_faces_is_written_before_the_first_prediction(tmp_path, plugin, labels):
    with pytest.raises(KeyboardInterrupt):
        run_here(tmp_path, plugin, labels, "brightness", batch_size=1, bars=StopAfter(1))
    index = pd.read_parquet(tmp_path / "out" / "faces.parquet")
    assert index["image_id"].tolist() == [f"img{k:02d}.png" for k in range(10)]
    assert index["yaw_deg"].tolist() == list(range(-20, 17, 4))
    assert index["x1"].tolist() == [48.0] * 10


class Thief(NoProgress):
    """Another process that writes to the same folder and joins its parts first."""

    def __init__(self, out):
        self.parts = out / "parts"

    def advance(self, dataset, method, count):
        for part in self.parts.glob("*/part-000000.*"):
            part.unlink()


def test_run_whose_parts_another_process_takes_is_not_published(
    tmp_path, plugin, labels, monkeypatch
):
    import hpbench.running.local_engine

    monkeypatch.setattr(hpbench.running.local_engine, "STORE_EVERY_S", 0.0)
    with pytest.raises(
        DataError, match="files of the run are gone or corrupted; repeat the command"
    ):
        run_here(tmp_path, plugin, labels, "constant", bars=Thief(tmp_path / "out"), batch_size=1)
    assert not (tmp_path / "out" / "predictions.parquet").exists()
    rows = run_here(tmp_path, plugin, labels, "constant")
    assert rows["constant"]["images"]["scored"] == 10


class SecondRun(NoProgress):
    """Starts the same run in the same folder while the first is under way."""

    def __init__(self, start):
        self.start_run, self.error = start, None

    def advance(self, dataset, method, count):
        if self.error is None:
            with pytest.raises(DataError) as caught:
                self.start_run()
            self.error = str(caught.value)


def test_second_run_in_one_folder_stops_in_one_line_and_harms_nothing(tmp_path, plugin, labels):
    def start(bars=None):
        return run_here(tmp_path, plugin, labels, "constant", bars=bars, batch_size=1)

    second = SecondRun(start)
    assert start(second)["constant"]["images"]["scored"] == 10
    holder = rf"process {os.getpid()} on {platform.node()} since 20\S+"
    assert re.fullmatch(rf".*out: the run of {holder} writes to it; wait .* --out", second.error)
    assert not (tmp_path / "out" / ".lock").exists()


def test_lock_of_a_killed_run_is_named_and_taken_over(tmp_path, plugin, labels, caplog):
    (tmp_path / "out").mkdir()
    lock = {"pid": 4711, "host": "node7", "started": "2026-01-01T00:00:00+00:00"}
    (tmp_path / "out" / ".lock").write_text(json.dumps(lock))
    assert run_here(tmp_path, plugin, labels, "constant")["constant"]["images"]["scored"] == 10
    assert "process 4711 on node7 since 2026-01-01" in caplog.text
    assert "taken over" in caplog.text


def test_part_with_one_flipped_bit_is_computed_again(tmp_path, plugin, labels, monkeypatch, caplog):
    import hpbench.running.local_engine

    monkeypatch.setattr(hpbench.running.local_engine, "STORE_EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run_here(tmp_path, plugin, labels, "brightness", bars=StopAfter(8), batch_size=1)
    part = sorted(tmp_path.glob("out/parts/*/part-000002.*"))[0]
    content = bytearray(part.read_bytes())
    content[len(content) // 3] ^= 1
    part.write_bytes(content)
    rows = run_here(tmp_path, plugin, labels, "brightness")
    assert rows["brightness"]["mae_deg"]["mean"] == pytest.approx(0.0, abs=1e-9)
    assert caplog.text.count("1 corrupted files of the stopped run are replaced") == 1


def test_flipped_bit_in_a_rotation_of_a_finished_table_is_found(tmp_path, plugin, labels):
    run_here(tmp_path, plugin, labels, "brightness")
    table = tmp_path / "out" / "predictions.parquet"
    content, group = table.read_bytes(), pq.read_metadata(table).row_group(0)
    columns = map(group.column, range(group.num_columns))
    rotation = [column for column in columns if re.fullmatch(r"r\d\d", column.path_in_schema)]
    assert len(rotation) == 9
    for column in rotation:
        flipped = bytearray(content)
        start = column.dictionary_page_offset or column.data_page_offset
        flipped[start + column.total_compressed_size - 1] ^= 0x10
        table.write_bytes(flipped)
        with pytest.raises(DataError, match=r"predictions\.parquet: corrupted .*; repeat the run"):
            load_run(tmp_path / "out")


def test_foreign_folder_is_refused(tmp_path, plugin, labels):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("keep me")
    with pytest.raises(UsageError, match="not a run folder"):
        run_here(tmp_path, plugin, labels, "constant")
    assert (tmp_path / "out" / "precious.txt").read_text() == "keep me"


def test_limit_takes_the_first_faces(tmp_path, plugin, labels):
    rows = run_here(tmp_path, plugin, labels, "constant", limit=3)
    assert rows["constant"]["images"]["total"] == 3


def test_unknown_protocol_is_refused_with_what_there_is(tmp_path, plugin, labels):
    with pytest.raises(UsageError, match="no protocol 'papper'"):
        run_here(tmp_path, plugin, labels, "constant", protocol="papper")


def protocol_of(text):
    from hpbench.running.plan import open_dataset
    from hpbench.spec import parse_spec

    return open_dataset(parse_spec(text), RunConfig(methods="constant"))[1]


def test_option_of_the_data_set_changes_the_protocol_name_and_hash():
    changed, default = protocol_of("aflw2000[box=pt2d-visible]"), protocol_of("aflw2000")
    assert changed.name == "default (box=pt2d-visible)"
    assert changed.hash != default.hash


def test_option_that_repeats_the_default_changes_nothing():
    assert protocol_of("aflw2000[box=pt3d_68]").hash == protocol_of("aflw2000").hash


def test_frame_list_enters_the_protocol_by_its_content_and_not_by_its_path(tmp_path):
    hashes = set()
    for folder in ("a", "b"):
        frames = tmp_path / folder / "frames.txt"
        frames.parent.mkdir()
        frames.write_text("01/frame_00003\n")
        hashes.add(protocol_of(f"biwi[frames={frames}]").hash)
    assert len(hashes) == 1


def test_omp_num_threads_bounds_the_readers(tmp_path, plugin, labels, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "threads").mkdir()
    run_here(tmp_path, plugin, labels, "threads", timing="off")
    readers = [path.name for path in (tmp_path / "threads").glob("hpbench-read*")]
    assert len(readers) == 1


def test_images_read_ahead_and_in_a_batch_are_bounded_by_their_bytes():
    read = []

    def read_large(face) -> PreparedFace:
        read.append(face[0])
        image = np.zeros((8000, 8000, 3), np.uint8)  # 183 MiB, which no one touches
        return PreparedFace(face[0], ReadFace("", Face("", image, np.array([0.0, 0, 9, 9]))))

    ahead = ImagesAhead(read_large)
    first = [ahead.read((row, None)) for row in range(40)]
    assert len(read) == 3  # the third exceeds 512 MiB; the others wait for their turn
    batches = list(ahead.batches(iter(first), 32))
    assert [item.row for batch in batches for item in batch] == list(range(40))
    assert max(map(len, batches)) == 3
    assert isinstance(ahead.read((0, None)), PreparedFace)


def test_whatever_the_reader_of_a_plugin_raises_costs_one_image(tmp_path, plugin, labels):
    reader = tmp_path / "reader.py"
    reader.write_text(
        "from hpbench.datasets.table import Table\n"
        "class Odd(Table):\n"
        "    name = 'odd'\n"
        "    def read_image(self, record):\n"
        "        if record.image_id.startswith('img04'):\n"
        "            raise KeyError('codec')\n"
        "        return super().read_image(record)\n"
    )
    spec = RunConfig(
        methods="constant", datasets=f"odd={labels}", plugins=(reader,), device="cpu",
        timing="off", fresh=True,
    )  # fmt: skip
    faces = pd.read_parquet(run(spec, tmp_path / "out", NoProgress()) / "faces.parquet")
    assert faces["excluded"].dropna().tolist() == ["image cannot be read (KeyError: 'codec')"]


def test_limit_of_pixels_is_an_option_of_a_run(tmp_path, plugin, labels):
    Image.new("RGB", (65, 64)).save(labels.parent / "img04.png")
    images = run_here(tmp_path, plugin, labels, "constant", max_pixels=64 * 64)
    assert images["constant"]["images"]["excluded"] == 1


class FolderGone(NoProgress):
    """Takes the data away after some faces."""

    def __init__(self, folder, after):
        self.folder, self.left = folder, after

    def advance(self, dataset, method, count):
        self.left -= count
        if self.left == 0:
            self.folder.rename(self.folder.with_name("away"))


def test_images_that_vanish_during_the_run_stop_it_and_are_read_again_later(
    tmp_path, plugin, labels, monkeypatch
):
    import hpbench.running.local_engine

    monkeypatch.setattr(hpbench.running.local_engine, "STORE_EVERY_S", 0.0)
    gone = FolderGone(labels.parent, after=3)
    with pytest.raises(DataError, match=r"'table': \d of 10 images vanished during the run; .*out"):
        run_here(tmp_path, plugin, labels, "brightness", bars=gone, batch_size=1, workers=1)
    (tmp_path / "away").rename(labels.parent)
    rows = run_here(tmp_path, plugin, labels, "brightness")
    assert rows["brightness"]["images"]["scored"] == 10
    assert rows["brightness"]["mae_deg"]["mean"] == pytest.approx(0.0, abs=1e-9)


def test_images_that_were_never_there_are_counted(tmp_path, plugin, labels):
    (labels.parent / "img04.png").unlink()
    images = run_here(tmp_path, plugin, labels, "constant")["constant"]["images"]
    assert images == {"total": 10, "excluded": 1, "scored": 9, "no_answer": 0}


def test_method_whose_failures_alone_are_left_is_not_broken(tmp_path, plugin, labels, monkeypatch):
    """What it predicted is in the cache, so the second run has only the faces that it failed on."""
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("hpbench.running.local_engine.ENOUGH_FAILED", 3)
    given = {"datasets": f"table={labels}", "plugins": (plugin,), "timing": "off", "batch_size": 1}
    config = RunConfig(methods="skewed", **given)
    first, second = tmp_path / "first", tmp_path / "second"
    run(config, first, NoProgress())
    run(config, second, NoProgress())
    results = [json.loads((out / "results.json").read_text())["results"] for out in (first, second)]
    assert results[0] == results[1]
    assert results[0][0]["images"]["no_answer"] == 5


def test_broken_method_does_not_wait_for_images_that_were_to_be_read_ahead(
    tmp_path, plugin, labels, monkeypatch
):
    monkeypatch.setattr("hpbench.running.local_engine.ENOUGH_FAILED", 1)
    read = []
    original = hpbench.running.local_engine.read_face
    monkeypatch.setattr(
        "hpbench.running.local_engine.read_face",
        lambda evaluation, record: (
            read.append(record.image_id), time.sleep(0.1), original(evaluation, record)
        )[-1],
    )  # fmt: skip
    with pytest.raises(HpbenchError, match="fails on every face"):
        run_here(tmp_path, plugin, labels, "broken", batch_size=2, workers=1)
    assert len(read) <= 6  # two batches, and what was being read


@pytest.mark.parametrize("hook", ["fingerprint", "unsupported_reason"])
def test_hook_of_a_plugin_that_fails_before_the_run_is_one_line(tmp_path, plugin, labels, hook):
    fails = f"    def {hook}(self, *_): raise KeyError('mine')\n"
    plugin.write_text(METHODS + "\nclass Hooked(Half):\n    name = 'hooked'\n" + fails)
    with pytest.raises(HpbenchError, match=rf"method 'hooked': its {hook}\(\) fails: KeyError"):
        run_here(tmp_path, plugin, labels, "hooked")


@pytest.mark.parametrize("hook", ["size", "incidents"])
def test_hook_of_a_plugin_that_fails_after_the_run_does_not_cost_it(tmp_path, plugin, labels, hook):
    fails = f"    def {hook}(self, *_): raise KeyError('mine')\n"
    plugin.write_text(METHODS + "\nclass Hooked(Half):\n    name = 'hooked'\n" + fails)
    assert run_here(tmp_path, plugin, labels, "hooked")["hooked"]["images"]["scored"] == 5


def test_data_set_that_cannot_be_made_is_one_line(tmp_path, plugin, labels):
    plugin.write_text(METHODS + BAD_DATASET)
    config = RunConfig(methods="half", datasets="bad", plugins=(plugin,), timing="off")
    with pytest.raises(HpbenchError, match="data set 'bad' cannot be made: KeyError: 'no index'"):
        run(config, tmp_path / "out", NoProgress())


BAD_DATASET = """
from hpbench.dataset import Dataset, DatasetCard
from hpbench.protocol import Protocol

class Bad(Dataset):
    name, summary = "bad", "for a test"
    card = DatasetCard(name="bad", title="Bad")
    protocols = (Protocol(name="default", dataset="bad", version=1),)
    def __init__(self, root, options=None):
        raise KeyError("no index")
    def records(self):
        return []
"""
