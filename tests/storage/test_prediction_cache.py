"""Reuse of stored predictions: what is taken again, and what makes a run compute."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

import hpbench.running.local_engine
from hpbench.errors import DataError, UsageError
from hpbench.inference.progress import NoProgress
from hpbench.results.run_config import RunConfig
from hpbench.running.runner import run
from hpbench.storage.prediction_cache import PredictionCache

METHODS = '''
import os
from pathlib import Path
import numpy as np
from hpbench.method import Method, MethodCard, Options, Prediction

class Counting(Method):
    """Notes every loading and every face in a file beside it."""
    name = "counting"
    summary = "for a test"
    class Options(Options):
        turn: float = 0.0
    def note(self, text):
        with Path(__file__).with_name("log.txt").open("a") as log:
            log.write(text + "\\n")
    def card(self): return MethodCard(name=self.name, title=self.name)
    def load(self): self.note("load")
    def prepare(self, face): return face
    def infer(self, batch):
        if Path(__file__).with_name("fail").exists() and batch[0].image_id == "1.png":
            raise RuntimeError("out of luck")
        for face in batch: self.note(face.image_id)
        return batch
    def decode(self, output): return [Prediction(np.eye(3)) for _ in output]
'''


class StopAtOnce(NoProgress):
    def advance(self, dataset, method, count):
        raise KeyboardInterrupt


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with a plugin and five labelled images, and an empty cache."""
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "counting.py").write_text(METHODS)
    lines = ["image,yaw,pitch,roll,x0,y0,x1,y1"]
    for k in range(5):
        Image.new("RGB", (64, 64), (50 * k,) * 3).save(tmp_path / f"{k}.png")
        lines.append(f"{k}.png,{10 * k},0,0,8,8,56,56")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def run_in(here: Path, out: str, methods: str = "counting", bars=None, **changes) -> Path:
    spec = RunConfig(
        methods=methods,
        datasets=f"table={here / 'labels.csv'}",
        plugins=(here / "plugin" / "counting.py",),
        **{"device": "cpu", "timing": "off", **changes},
    )
    return run(spec, here / out, bars or NoProgress())


def log(here: Path) -> list[str]:
    file = here / "plugin" / "log.txt"
    return file.read_text().split() if file.exists() else []


def results(folder: Path) -> dict[str, dict]:
    rows = json.loads((folder / "results.json").read_text())["results"]
    return {row["method"]: row for row in rows}


def test_unchanged_run_computes_and_loads_nothing_and_says_so(here):
    first = run_in(here, "first")
    before = log(here)
    second = run_in(here, "second")
    assert log(here) == before
    for name in ("faces.parquet", "predictions.parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(first / name), pd.read_parquet(second / name))
    reused = json.loads((second / "run.json").read_text())["reused"]
    assert list(reused["predictions"]["table"]) == ["counting"]
    assert results(first) == results(second)


def test_times_of_an_unchanged_run_are_taken_again(here):
    first = run_in(here, "first", timing="quick", timing_images=2)
    before = log(here)
    second = run_in(here, "second", timing="quick", timing_images=2)
    assert log(here) == before
    assert results(first)["counting"]["runtime_ms"] == results(second)["counting"]["runtime_ms"]


def test_fresh_computes_again(here):
    run_in(here, "first")
    before = len(log(here))
    run_in(here, "second", fresh=True)
    assert len(log(here)) == 2 * before


def test_fresh_does_not_mix_with_predictions_that_a_folder_holds(here):
    run_in(here, "first")
    with pytest.raises(UsageError, match="use a new --out or drop --fresh"):
        run_in(here, "first", fresh=True)


def test_other_options_are_another_method(here):
    run_in(here, "first")
    before = len(log(here))
    run_in(here, "second", methods="counting[turn=1]")
    assert len(log(here)) == 2 * before


def test_changed_code_of_the_method_computes_again(here):
    run_in(here, "first")
    again = here / "plugin" / "again"
    again.mkdir()
    (again / "counting.py").write_text(METHODS.replace("np.eye(3)", "np.diag([1.0, -1.0, -1.0])"))
    spec = {"datasets": f"table={here / 'labels.csv'}", "plugins": (again / "counting.py",)}
    run(
        RunConfig(methods="counting", device="cpu", timing="off", **spec),
        here / "second",
        NoProgress(),
    )
    assert (again / "log.txt").exists()


def test_changed_image_computes_again(here):
    run_in(here, "first")
    before = len(log(here))
    Image.new("RGB", (80, 80), (9, 9, 9)).save(here / "3.png")
    run_in(here, "second")
    assert len(log(here)) == 2 * before


def test_changed_label_is_scored_anew(here):
    run_in(here, "first")
    table = here / "labels.csv"
    table.write_text(table.read_text().replace("4.png,40", "4.png,45"))
    second = run_in(here, "second")
    # |yaw| of 0, 10, 20, 30, 45 against predictions of zero
    assert results(second)["counting"]["mae_deg"]["yaw"] == pytest.approx(21.0)


def test_only_the_new_method_is_computed(here):
    run_in(here, "first")
    before = log(here)
    second = run_in(here, "second", methods="constant,counting")
    assert log(here) == before
    assert set(results(second)) == {"constant", "counting"}
    rows = pd.read_parquet(second / "predictions.parquet")
    assert rows.groupby("image_id")["method"].apply(list).map(sorted).map(len).eq(2).all()


def test_run_with_a_failed_face_is_not_kept(here):
    marker = here / "plugin" / "fail"
    marker.touch()
    assert results(run_in(here, "first", batch_size=1))["counting"]["images"]["no_answer"] == 1
    marker.unlink()
    assert results(run_in(here, "second"))["counting"]["images"]["no_answer"] == 0


def test_stopped_run_that_had_reused_one_method_goes_on_without_the_store(here, monkeypatch):
    import hpbench.running.local_engine

    monkeypatch.setattr(hpbench.running.local_engine, "STORE_EVERY_S", 0.0)
    run_in(here, "first")
    with pytest.raises(KeyboardInterrupt):
        run_in(here, "second", methods="constant,counting", batch_size=1, bars=StopAtOnce())
    for file in (here / "cache" / "predictions").iterdir():
        file.unlink()
    second = run_in(here, "second", methods="constant,counting")
    rows = pd.read_parquet(second / "predictions.parquet")
    assert sorted(rows["method"]) == ["constant"] * 5 + ["counting"] * 5


def test_corrupted_entry_is_computed_again(here):
    run_in(here, "first")
    before = len(log(here))
    for file in (here / "cache" / "predictions").iterdir():
        file.write_bytes(file.read_bytes()[:50])
    run_in(here, "second")
    assert len(log(here)) == 2 * before


def test_entry_with_one_flipped_bit_is_replaced_and_named_once(tmp_path, caplog):
    cache, table = PredictionCache(tmp_path), pa.table({"x": list(range(1000))})
    cache.put("key", table, {"created": "then"})
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for bit in range(0, 8 * len(content), 997):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        caplog.clear()
        assert cache.get("key") is None
        assert cache.get("key") is None
        assert caplog.text.count("corrupted; computed again and replaced") == 1
    cache.put("key", table, {"created": "now"})
    cache.put("key", table, {"created": "later"})
    assert cache.get("key").metadata == {"created": "later"}
    assert cache.get("key").table().equals(table)
    assert len(list(tmp_path.iterdir())) == 1


def test_cache_that_cannot_be_written_is_said_once_and_fails_nothing(tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    for key in ("a", "b"):
        PredictionCache(tmp_path / "file" / "predictions").put(key, pa.table({"x": [1.0]}), {})
    (line,) = caplog.messages
    assert str(tmp_path / "file") in line
    assert "set HPBENCH_CACHE" in line


def test_oldest_entries_make_room(tmp_path):
    table = pa.table({"x": list(range(1000))})
    PredictionCache(tmp_path).put("old", table, {"created": "then"})
    assert PredictionCache(tmp_path).get("old").metadata == {"created": "then"}
    (old,) = tmp_path.glob("old.*")
    size = old.stat().st_size
    os.utime(old, (1, 1))
    small = PredictionCache(tmp_path, limit_bytes=int(1.5 * size))
    small.put("new", table, {})
    assert small.get("old") is None
    assert small.get("new").table().equals(table)


def test_entry_that_nobody_writes_any_more_is_deleted(tmp_path):
    old, new = (tmp_path / f"{name}.0123abcd.partial.parquet" for name in ("old", "new"))
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (time.time() - 90_000, time.time() - 90_000))
    PredictionCache(tmp_path).put("key", pa.table({"a": [1]}), {})
    assert not old.exists() and new.exists()


def test_image_that_could_not_be_read_is_tried_again(here):
    state = (here / "3.png").stat()
    content = (here / "3.png").read_bytes()
    # the same size and time: as far as the cache can see, the data set has not changed
    (here / "3.png").write_bytes(bytes(len(content)))
    os.utime(here / "3.png", ns=(state.st_atime_ns, state.st_mtime_ns))
    first = run_in(here, "first", methods="constant,counting")
    assert results(first)["counting"]["images"]["excluded"] == 1
    (here / "3.png").write_bytes(content)
    os.utime(here / "3.png", ns=(state.st_atime_ns, state.st_mtime_ns))
    before = log(here)
    second = run_in(here, "second", methods="constant,counting")
    assert log(here)[len(before) :] == ["load", "3.png"]
    whole = run_in(here, "third", methods="constant,counting", fresh=True)
    assert results(second)["counting"]["images"] == results(whole)["counting"]["images"]
    for name in ("faces.parquet", "predictions.parquet"):
        found, expected = (pd.read_parquet(run / name) for run in (second, whole))
        times = [column for column in found if column.endswith("_ms")]
        pd.testing.assert_frame_equal(found.drop(columns=times), expected.drop(columns=times))


def test_images_over_another_limit_are_not_taken_from_the_cache(here):
    Image.new("RGB", (100, 100)).save(here / "4.png")
    first = results(run_in(here, "first"))["counting"]["images"]
    second = results(run_in(here, "second", max_pixels=5000))["counting"]["images"]
    assert (first["scored"], first["excluded"]) == (5, 0)
    assert (second["scored"], second["excluded"]) == (4, 1)


def test_entry_that_is_deleted_before_it_is_read_is_one_line(tmp_path):
    cache = PredictionCache(tmp_path)
    cache.put("key", pa.table({"row": [1]}), {})
    entry = cache.get("key")
    entry.path.unlink()
    with pytest.raises(DataError, match=r"cannot be read from the cache any more .* repeat"):
        entry.table()


def test_few_faces_that_the_cache_lacks_start_no_processes(here, monkeypatch):
    monkeypatch.setattr(hpbench.running.local_engine, "POOL_FROM_FACES", 5)
    monkeypatch.setattr(hpbench.running.local_engine, "READERS_FROM_CORES", 2)
    marker = here / "plugin" / "fail"
    marker.touch()
    run_in(here, "first", workers=2, batch_size=1)
    marker.unlink()
    before = log(here)
    assert before.count("load") == 3  # in this process and in two that read
    assert results(run_in(here, "second", workers=2))["counting"]["images"]["scored"] == 5
    assert log(here) == [*before, "load", "1.png"]


def test_entry_that_cannot_be_marked_as_used_is_reused_all_the_same(tmp_path, monkeypatch):
    """As on a disk that is mounted to be read only."""
    cache = PredictionCache(tmp_path)
    cache.put("k", pa.table({"row": [1]}), {"created": "now"})

    def refuse(path):
        raise PermissionError(30, "Read-only file system", path)

    monkeypatch.setattr(os, "utime", refuse)
    assert cache.get("k").table().to_pydict() == {"row": [1]}
