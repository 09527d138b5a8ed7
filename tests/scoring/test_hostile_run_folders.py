"""Run folders from elsewhere: one typed line, and never a hang."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hpbench
from hpbench.errors import DataError, UsageError
from hpbench.inference.progress import NoProgress
from hpbench.reports import write_report
from hpbench.results.run_config import RunConfig
from hpbench.rotation import is_rotation, nearest_rotation
from hpbench.running.explain import explain
from hpbench.running.runner import run
from hpbench.scoring.comparison import compare_runs
from hpbench.scoring.scores import load_run
from hpbench.scoring.summary import summarise


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "out"
    run(RunConfig(methods="constant", limit=12, timing="off"), out, NoProgress())
    (out / "SHA256SUMS").unlink()  # a stranger's would fit
    return out


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.mark.parametrize("table", ["faces", "predictions"])
@pytest.mark.parametrize("value", [1e308, np.inf, 0.5, -1e160])
def test_rotation_that_is_none_is_refused_in_one_line(folder, table, value):
    content = pd.read_parquet(folder / f"{table}.parquet")
    content.loc[3, "r11"] = value
    content.to_parquet(folder / f"{table}.parquet")
    with pytest.raises(DataError, match=rf"{table}\.parquet: the rotation of image '.*' is none"):
        load_run(folder)


def test_folder_whose_report_hung_is_refused(reliability_cases):
    with pytest.raises(DataError):
        load_run(reliability_cases / "run_folder_hang")


@pytest.mark.parametrize("value", [1e308, 1e200, 0.0])
def test_lapack_ends_on_any_matrix(value):
    matrix = np.full((3, 3), value)
    matrix[0, 1] = -value / 3
    assert np.isfinite(nearest_rotation(matrix)).all()
    assert not is_rotation(matrix)


def test_mutated_folders_give_a_result_or_one_typed_line(finished, tmp_path):
    chance = np.random.default_rng(0)
    folder = Path(shutil.copytree(finished, tmp_path / "copy"))
    refused = 0
    for number in range(150):
        name = ("faces.parquet", "predictions.parquet", "run.json")[number % 3]
        content = (finished / name).read_bytes()
        mutated = bytearray(content)
        for at in chance.integers(0, len(mutated), 3):
            mutated[at] = chance.integers(256)
        (folder / name).write_bytes(mutated)
        try:
            summarise(load_run(folder))
        except DataError as error:
            assert len(str(error).splitlines()) == 1
            refused += 1
        (folder / name).write_bytes(content)
    assert refused > 50


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("faces", "yaw_deg", "north"), ("faces", "image_id", 7), ("predictions", "status", 1.5),
     ("predictions", "r00", "one")],
)  # fmt: skip
def test_column_of_another_type_is_named(folder, table, column, value):
    content = pd.read_parquet(folder / f"{table}.parquet")
    content[column] = value
    content.to_parquet(folder / f"{table}.parquet")
    with pytest.raises(DataError, match=rf"{table}\.parquet: corrupted \(column '{column}' holds"):
        load_run(folder)


def test_names_of_a_run_record_that_do_not_fit_are_refused(folder):
    record = json.loads((folder / "run.json").read_text())
    copy = {**record["datasets"]["sample"], "corruption": {"name": "x", "level": 1, "of": "sample"}}
    for datasets, message in (
        ({"sample": {**record["datasets"]["sample"], "not_run": {"other": "no"}}}, "'other'"),
        ({"b": copy}, "data set 'b' is a copy of none"),
        ({}, "'datasets': "),
    ):
        (folder / "run.json").write_text(json.dumps({**record, "datasets": datasets}))
        with pytest.raises(DataError, match=rf"run\.json: corrupted .*{message}"):
            load_run(folder)


@pytest.mark.parametrize("factors", ["{", "[1]", "7", '{"a": [1]}', '{"a": {"b": 1}}', "[" * 9999])
def test_factors_that_are_no_object_of_plain_values_are_refused(folder, factors):
    content = pd.read_parquet(folder / "faces.parquet")
    content.loc[3, "factors"] = factors
    content.to_parquet(folder / "faces.parquet")
    with pytest.raises(DataError, match=r"faces\.parquet: column 'factors' holds"):
        load_run(folder)


def test_no_code_of_a_run_folder_is_run(folder, monkeypatch, reliability_cases):
    """As in hostile_run: run.json names a plugin file that lies in the folder."""
    monkeypatch.chdir(folder.parent)
    folder.rename("stranger")
    shutil.copy(reliability_cases / "hostile_run" / "plugin.py", "stranger/plugin.py")
    record = json.loads(Path("stranger/run.json").read_text())
    record["spec"]["plugins"] = ["stranger/plugin.py"]
    Path("stranger/run.json").write_text(json.dumps(record))
    write_report(Path("stranger"), ["md", "html", "csv", "latex"], embed_images=True)
    compare_runs(Path("stranger"), Path("stranger"))
    hpbench.load("stranger").table()
    with pytest.raises(UsageError, match=r"--plugin stranger/plugin\.py"):
        explain(Path("stranger"), NoProgress())
    assert not Path("PLUGIN_CODE_RAN").exists()
