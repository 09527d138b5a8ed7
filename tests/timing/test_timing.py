"""The timing pass: what is measured, in which order, and how it is summed up."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hpbench.detectors.base import make_detector
from hpbench.face import Face
from hpbench.inference.progress import NoProgress
from hpbench.method import Method, MethodCard, NoPrediction, Prediction
from hpbench.registry import make_method
from hpbench.reports.tables.runtime import _not_told_apart
from hpbench.results.results_file import MethodResult
from hpbench.results.run_config import RunConfig
from hpbench.results.timing_record import TimeSummary
from hpbench.running.runner import run
from hpbench.scoring.runtime import runtime_ms, summarise_times, told_apart
from hpbench.timing.cold_start import _processor_s, measure_fresh
from hpbench.timing.measure import TimedDataset, time_methods
from hpbench.timing.throughput import faces_per_s, measure_throughput


class Counting:
    """Keeps what the progress was told."""

    def __init__(self):
        self.totals = {}
        self.done = {}

    def start(self, dataset, method, total, done):
        self.totals[method], self.done[method] = total, done

    def advance(self, dataset, method, count):
        self.done[method] += count


class Sleeping(Method):
    """Sleeps a known time in every step; a batch sleeps as long as one face, up to four."""

    name = "sleeping"
    summary = "for a test"

    def card(self):
        return MethodCard(name=self.name, title=self.name)

    def prepare(self, face):
        time.sleep(0.002)
        return face

    def infer(self, batch):
        time.sleep(0.01 * max(1.0, len(batch) / 4))
        return batch

    def decode(self, output):
        return [Prediction(np.eye(3))] * len(output)


@pytest.fixture
def labels(tmp_path):
    lines = ["image,yaw,pitch,roll,x0,y0,x1,y1"]
    for k in range(6):
        Image.new("RGB", (48, 48), (40 * k,) * 3).save(tmp_path / f"{k}.png")
        lines.append(f"{k}.png,{k},0,0,8,8,40,40")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "labels.csv"


def run_here(labels, **changes):
    options = {"methods": "constant", "device": "cpu", "fresh": True, "timing_images": 3} | changes
    out = labels.parent / "run"
    run(RunConfig(datasets=f"table={labels}", **options), out, NoProgress())
    return pd.read_parquet(out / "timing.parquet"), json.loads((out / "timing.json").read_text())


def faces(count):
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    return [Face(str(k), image, np.array([4.0, 4.0, 28.0, 28.0])) for k in range(count)]


def test_percentiles_are_those_of_numpy():
    values = np.random.default_rng(0).gamma(4.0, 2.0, 500)
    found = summarise_times([*values, None, float("nan")])
    assert found.count == 500
    for name, percent in (("p25", 25), ("p50", 50), ("p75", 75), ("p90", 90), ("p99", 99)):
        assert getattr(found, name) == pytest.approx(np.percentile(values, percent))
    assert found.iqr == pytest.approx(found.p75 - found.p25)


@pytest.mark.parametrize(
    ("spread", "decimals"), [(4.0, 0), (1.0, 0), (0.3, 1), (0.02, 2), (1e-5, 3)]
)
def test_digits_are_no_finer_than_the_spread(spread, decimals):
    # the middle half of five evenly spaced values spans two of the four gaps
    values = 50.0 + spread / 2 * np.arange(5)
    assert summarise_times(list(values)).decimals == decimals


def test_wide_spread_is_flagged():
    assert not summarise_times([10.0, 10.2, 10.4, 10.6, 10.8]).wide
    assert summarise_times([10.0, 11.0, 12.0, 13.0, 14.0]).wide


def test_no_times_have_no_summary():
    assert summarise_times([None, float("nan")]) is None


def test_methods_whose_rounds_overlap_are_not_told_apart():
    times, rounds = [10.0, None, 10.5, 40.0, 11.0, 11.5, 10.0], [0, 0, 0, 0, 1, 1, 1]
    one = summarise_times(times, rounds)  # medians 10.5 and 11
    assert (one.low, one.high) == (10.5, 11.0)
    assert not told_apart(one, summarise_times([10.9, 12.0], [0, 1]))
    assert told_apart(one, summarise_times([11.1, 12.0], [0, 1]))
    assert told_apart(summarise_times([11.1, 12.0], [0, 1]), one)
    assert not told_apart(one, TimeSummary())


def test_report_names_the_methods_as_fast_as_the_fastest():
    def method(spec: str, *totals_ms: float) -> MethodResult:
        times = runtime_ms(
            pd.DataFrame({"round": range(len(totals_ms)), "total_ms": list(totals_ms)})
        )
        return MethodResult.model_construct(method=spec, method_spec=spec, runtime_ms=times)

    results = [method("a", 1.0, 1.2), method("b", 1.1, 1.3), method("c", 2.0, 2.1)]
    note = _not_told_apart(results, {name: name.upper() for name in "abc"})
    assert "Not told apart from A, the fastest" in note
    assert note.endswith("overlap: B.")


def test_processor_time_counts_that_of_a_child():
    burn = "import time\nwhile time.process_time() < 0.4: pass\nprint(flush=True)\ninput()"
    before_s = _processor_s()
    with subprocess.Popen(
        [sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        used_s = _processor_s() - before_s
        child.communicate(b"\n")
    assert used_s >= 0.35


def test_methods_take_turns_on_every_face_in_every_round():
    timed = TimedDataset("table", faces(3), {"a": Sleeping(), "b": Sleeping()})
    rows = time_methods(timed, 2, NoProgress())
    assert [(row["round"], row["image_id"], row["method"]) for row in rows] == [
        (number, str(face), name) for number in range(2) for face in range(3) for name in "ab"
    ]
    # what was slept is measured
    assert all(row["infer_ms"] >= 10.0 and row["prepare_ms"] >= 2.0 for row in rows)


def test_timing_pass_shows_that_it_goes_on():
    counted = Counting()
    time_methods(TimedDataset("table", faces(2), {"sleeping": Sleeping()}), 2, counted)
    assert counted.totals == {"timing": 2}
    assert counted.done == {"timing": 2}


def test_total_is_the_sum_of_its_steps(labels):
    rows, _ = run_here(labels)
    steps = rows[["prepare_ms", "infer_ms", "decode_ms"]].sum(axis=1)
    # the steps follow each other, and nothing is counted twice
    assert (rows["total_ms"] >= steps - 1e-6).all()


def test_detector_is_timed_where_it_runs(labels):
    pytest.importorskip("dlib")
    annotated, _ = run_here(labels)
    assert annotated["detect_ms"].isna().all()
    detector = make_detector("dlib")
    detector.load()
    timed = TimedDataset("table", faces(2), {"sleeping": Sleeping()}, detector)
    rows = time_methods(timed, 1, NoProgress())
    assert all(row["detect_ms"] > 0 for row in rows)
    assert all(row["total_ms"] > row["detect_ms"] + row["infer_ms"] for row in rows)


def test_timing_off_leaves_no_times(labels):
    rows, summary = run_here(labels, timing="off")
    assert rows.empty
    assert summary["mode"] == "off" and summary["datasets"] == {}


def test_conditions_are_written_down(labels):
    conditions = run_here(labels)[1]["conditions"]
    assert conditions["cores"] >= 1 and conditions["device"] == "cpu"
    assert "load_average_before" in conditions and "garbage_collection" in conditions


def test_batches_are_doubled_until_the_throughput_stops_growing():
    rates = {1: 100.0, 2: 190.0, 4: 300.0, 8: 310.0, 16: 900.0}
    found = measure_throughput(
        {"sleeping": Sleeping()}, faces(2), rate=lambda method, inputs, size: rates[size]
    )["sleeping"]
    assert [one.size for one in found.batches] == [1, 2, 4, 8]
    assert (found.best.size, found.best.faces_per_s) == (8, 310.0)


def test_throughput_is_that_of_infer_and_decode_after_a_first_batch(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("hpbench.timing.throughput.perf_counter", lambda: clock[0])

    class Clocked(Sleeping):
        """Its first batch takes 5 seconds, each later one 0.04 and 0.01."""

        def infer(self, batch):
            clock[0] += 0.04 if clock[0] else 5.0
            return batch

        def decode(self, outputs):
            clock[0] += 0.01
            return outputs

    assert faces_per_s(Clocked(), ["a", "b", "c"], 8) == pytest.approx(8 / 0.05)


def test_method_that_predicts_no_face_has_no_throughput():
    class Unable(Sleeping):
        def prepare(self, face):
            return NoPrediction("never")

    assert measure_throughput({"unable": Unable()}, faces(2)) == {}


def test_fresh_process_predicts_on_one_core():
    found = measure_fresh(make_method("constant"), (), faces(3), one_core=True)
    assert found.cores == 1
    assert len(found.total_ms) == 3
    assert found.first_answer_s > found.load_s >= 0.0
    assert found.peak_memory_mib > 10


def test_full_timing_describes_cold_start_and_cores(labels):
    _, summary = run_here(labels, timing="full")
    found = summary["datasets"]["table"]["constant"]
    assert found["cold_start"]["first_answer_s"]["median"] > 0
    assert found["cores"]["one"]["count"] == 1
    assert found["throughput"]["best"]["faces_per_s"] > 0


class Choking(Sleeping):
    """Raises on the face with the id 1, in the step that it is told."""

    def __init__(self, step: str, error: type[BaseException] = RuntimeError) -> None:
        super().__init__()
        self.step, self.error = step, error

    def prepare(self, face):
        if self.step == "prepare" and face.image_id == "1":
            raise self.error("chokes")
        return face

    def infer(self, batch):
        if self.step == "infer" and any(face.image_id == "1" for face in batch):
            raise self.error("chokes")
        return super().infer(batch)


def test_face_that_is_given_up_early_does_not_count_as_a_fast_one():
    class Picky(Sleeping):
        def prepare(self, face):
            return NoPrediction("too small") if face.image_id == "1" else super().prepare(face)

    rows = time_methods(TimedDataset("table", faces(3), {"a": Picky()}), 2, NoProgress())
    assert [row["image_id"] for row in rows if row["total_ms"] is None] == ["1"] * 2
    assert all(row["prepare_ms"] is not None for row in rows)


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
@pytest.mark.parametrize("step", ["prepare", "infer"])
def test_face_on_which_a_method_raises_has_no_time_and_ends_nothing(step, error):
    methods = {"a": Sleeping(), "b": Choking(step, error)}
    rows = time_methods(TimedDataset("table", faces(3), methods), 2, NoProgress())
    untimed = [(row["method"], row["image_id"]) for row in rows if row["total_ms"] is None]
    assert untimed == [("b", "1")] * 2
    assert all(row["infer_ms"] is None for row in rows if row["total_ms"] is None)


@pytest.mark.parametrize("error", [MemoryError, SystemExit])
@pytest.mark.parametrize("step", ["prepare", "infer"])
def test_throughput_is_that_of_the_other_faces(step, error):
    seen = []

    def rate(method, inputs, size):
        seen.append({face.image_id for face in inputs})
        if size == 4:
            raise error
        return 100.0 * size

    found = measure_throughput({"b": Choking(step)}, faces(3), rate=rate)
    assert [one.size for one in found["b"].batches] == [1, 2]
    assert all(ids == {"0", "2"} for ids in seen)
