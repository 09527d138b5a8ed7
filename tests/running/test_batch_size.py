"""``--batch-size auto``: what is tried, and what becomes of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hpbench.errors import UsageError
from hpbench.inference.progress import NoProgress
from hpbench.method import Method, NoPrediction
from hpbench.results.run_config import RunConfig
from hpbench.running.batch_size import settle_batch_size
from hpbench.running.runner import _prepare, run

torch = pytest.importorskip("torch")


class SmallGpu(Method):
    """Takes 8 ms for any batch up to `full`, then as long as the batch is; no room for 512.

    The time passes on a clock of its own: on a busy machine a sleep takes any time.
    """

    name = "small_gpu"

    def __init__(self, full):
        super().__init__(device="cuda")
        self.full = full
        self.clock_s = 0.0

    def card(self):
        raise NotImplementedError

    def prepare(self, face):
        return face.image

    def infer(self, batch):
        if len(batch) >= 512:
            raise torch.cuda.OutOfMemoryError
        self.clock_s += 8e-3 * max(1.0, len(batch) / self.full)

    def infer_ahead(self, batch):
        self.infer(batch)
        return lambda: [NoPrediction("none")] * len(batch)

    def decode(self, output):
        raise NotImplementedError


@pytest.mark.parametrize(("full", "found"), [(64, 64), (10_000, 256)])
def test_size_is_doubled_until_it_no_longer_pays_or_memory_is_short(full, found, monkeypatch):
    gpu = SmallGpu(full)
    monkeypatch.setattr("hpbench.running.batch_size.perf_counter", lambda: gpu.clock_s)
    (one,) = _prepare(RunConfig(methods="constant", limit=3, timing="off")).evaluations
    on_gpu = replace(one, methods={"small_gpu": gpu, **one.methods})
    assert settle_batch_size("auto", [on_gpu]) == found


def test_size_that_was_used_is_in_the_record(tmp_path):
    config = RunConfig(methods="constant", limit=3, timing="off", fresh=True, device="cpu")
    run(config, tmp_path / "run", NoProgress())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["batch_size"] == 32


@pytest.mark.parametrize("size", [0, -3, "many", 1.5])
def test_what_is_no_size_is_refused_with_what_is_one(size):
    import hpbench

    with pytest.raises(UsageError, match="must be a whole number above 0, or auto"):
        hpbench.run("constant", batch_size=size)
