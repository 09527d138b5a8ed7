"""Landmark methods in processes of their own give the predictions of one process."""

from __future__ import annotations

import pandas as pd
import pytest

import hpbench.running.local_engine
from hpbench.errors import HpbenchError
from hpbench.results.run_config import RunConfig
from hpbench.running.runner import run


class Silent:
    def start(self, dataset: str, method: str, total: int, done: int) -> None: ...

    def advance(self, dataset: str, method: str, count: int) -> None: ...


def predictions(out, **options) -> pd.DataFrame:
    spec = RunConfig(datasets="sample", limit=12, timing="off", fresh=True, **options)
    run(spec, out, Silent())
    table = pd.read_parquet(out / "predictions.parquet")
    return table.drop(columns=["prepare_ms", "infer_ms", "decode_ms"])


@pytest.mark.parametrize("methods", ["pnp", "pnp,hopenet"])
def test_two_processes_answer_as_one(methods, tmp_path, monkeypatch) -> None:
    one = predictions(tmp_path / "one", methods=methods, workers=1)
    monkeypatch.setattr(hpbench.running.local_engine, "POOL_FROM_FACES", 1)
    two = predictions(tmp_path / "two", methods=methods, workers=2, batch_size=5)
    order = ["method", "image_id"]
    pd.testing.assert_frame_equal(
        one.sort_values(order, ignore_index=True),
        two.sort_values(order, ignore_index=True),
        rtol=0,
        atol=1e-5,
    )


def test_process_that_dies_ends_the_run_in_one_line(tmp_path, monkeypatch) -> None:
    plugin = tmp_path / "fatal.py"
    plugin.write_text(
        """
import os
from hpbench.method import Method, MethodCard


class Fatal(Method):
    name = "fatal"
    summary = "kills its process"
    prepare_in = "processes"

    def card(self):
        return MethodCard(name="fatal", title="Fatal")

    def prepare(self, face):
        os._exit(9)

    def infer(self, batch):
        return batch

    def decode(self, output):
        return output
"""
    )
    monkeypatch.setattr(hpbench.running.local_engine, "POOL_FROM_FACES", 1)
    with pytest.raises(HpbenchError, match=r"process of 'fatal' died .* --workers 1"):
        predictions(tmp_path / "out", methods="fatal", workers=2, plugins=(plugin,))
