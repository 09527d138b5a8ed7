"""Run folders from elsewhere: one typed line, and never a hang."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import hpbench
from hpbench.errors import DataError, HpbenchError, UsageError
from hpbench.inference.progress import NoProgress
from hpbench.reports import write_report
from hpbench.reports.content import load_report
from hpbench.results.explain_file import ExplainFile, ExplainRow, FailedVariant
from hpbench.results.run_config import RunConfig
from hpbench.rotation import is_rotation, nearest_rotation
from hpbench.running.explain import explain
from hpbench.running.explain_config import ExplainConfig
from hpbench.running.runner import run
from hpbench.scoring.comparison import compare_runs
from hpbench.scoring.scores import load_run, score_datasets


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "out"
    run(RunConfig(methods="constant", limit=12, timing="off"), out, NoProgress())
    (out / "SHA256SUMS").unlink()  # a stranger's would fit
    return out


@pytest.fixture(scope="module")
def explained(finished, tmp_path_factory) -> Path:
    """With times, and a row of ``hpbench explain`` that needed no detector."""
    out = tmp_path_factory.mktemp("runs") / "timed"
    run(RunConfig(methods="constant", limit=8, timing_images=1), out, NoProgress())
    (out / "SHA256SUMS").unlink()
    (result,) = json.loads((out / "results.json").read_text())["results"]
    row = {key: result[key] for key in ExplainRow.model_fields if key in result}
    ExplainFile(
        created="now",
        run_created=result.get("created", ""),
        rows=[ExplainRow.model_validate({**row, "rule": "boxes"})],
        failed=[FailedVariant(dataset="sample", rule="boxes", reason="none")],
    ).write(out)
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


JSON_FILES = ("run.json", "timing.json", "explain.json", "results.json")
TABLES = ("faces.parquet", "predictions.parquet", "timing.parquet")
STRANGE = (None, "", 0, -1, 1e308, True, [], {}, "\x1b[2J", "../../etc/passwd", [[[]]], 10**30,
           "NaN", {"a": 1}, "\ud800", "a\0b", "<script>", "x" * 70_000)  # fmt: skip
CELLS = ("text", 7, 1e308, np.nan, None, True, b"bytes", [1, 2], {"a": 1}, pd.Timestamp("2020"))
MUTATIONS = int(os.environ.get("HPBENCH_MUTATIONS", "5"))
"""Of each file; some hundreds take minutes."""


@pytest.mark.parametrize("name", [*JSON_FILES, *TABLES])
def test_mutated_folder_gives_a_result_or_one_typed_line(explained, tmp_path, name):
    folder = Path(shutil.copytree(explained, tmp_path / "copy"))
    for number in range(MUTATIONS):
        chance = np.random.default_rng([number, len(name)])
        content = mutated(explained / name, chance)
        for read in (lambda: load_report(folder), lambda: compare_runs(explained, folder)):
            (folder / name).write_bytes(content)
            try:
                read()
            except HpbenchError as error:
                assert len(str(error).splitlines()) == 1
            except Exception as error:
                pytest.fail(f"mutation {number} of {name}: {type(error).__name__}: {error}")


def mutated(file: Path, chance: np.random.Generator) -> bytes:
    """Content with some other bytes, or some other values."""
    content = file.read_bytes()
    kind = chance.random()
    if kind < 0.2:
        return content[: chance.integers(len(content))]
    if kind < 0.4:
        other = bytearray(content)
        for at in chance.integers(0, len(other), 3):
            other[at] = chance.integers(256)
        return bytes(other)
    if file.suffix == ".json":
        root = json.loads(content)
        places = list(places_in(root))
        owner, key = places[chance.integers(len(places))]
        if chance.random() < 0.2:
            del owner[key]
        else:
            owner[key] = STRANGE[chance.integers(len(STRANGE))]
        return json.dumps(root).encode()
    return mutated_table(pd.read_parquet(file), chance)


def places_in(value):
    """Every container of a JSON value with each of its keys."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places_in(value[key])


def mutated_table(table: pd.DataFrame, chance: np.random.Generator) -> bytes:
    column = table.columns[chance.integers(len(table.columns))]
    cell = CELLS[chance.integers(len(CELLS))]
    kind = chance.integers(5)
    if kind == 0:
        table = table.drop(columns=column)
    elif kind == 1:
        table[column] = [cell] * len(table)
    elif kind == 2:
        row = int(chance.integers(len(table)))
        table = table.astype({column: object})
        table.at[row, column] = cell
    elif kind == 3:
        table = table.iloc[chance.integers(0, len(table), int(chance.integers(2 * len(table))))]
    else:
        table = table.rename(columns={column: str(cell)})
    try:
        return table.to_parquet()
    except (pa.ArrowException, TypeError):  # Parquet holds no such mixture
        return table.astype(str).to_parquet()


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


def test_column_of_categories_is_named(folder):
    content = pd.read_parquet(folder / "faces.parquet")
    content["box_status"] = pd.Categorical(content["box_status"])
    content.to_parquet(folder / "faces.parquet")
    with pytest.raises(DataError, match=r"corrupted \(column 'box_status' holds dictionary"):
        load_run(folder)


@pytest.mark.parametrize("name", ["run.json", "faces.parquet", "SHA256SUMS"])
def test_pipe_in_place_of_a_file_is_not_waited_for(folder, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    if name == "SHA256SUMS":
        load_run(folder)
    else:
        with pytest.raises(DataError, match=f"{name}: missing"):
            load_run(folder)


def test_face_that_was_predicted_twice_is_named(folder):
    content = pd.read_parquet(folder / "predictions.parquet")
    pd.concat([content, content[3:4]]).to_parquet(folder / "predictions.parquet")
    twice = content["image_id"].iloc[3]
    with pytest.raises(DataError, match=rf"predictions\.parquet: image '{twice}' occurs twice for"):
        score_datasets(load_run(folder))


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


@pytest.mark.parametrize(
    "factors",
    ["{", "[1]", "7", '{"a": [1]}', '{"a": {"b": 1}}', "[" * 9999, f'{{"a": 1{"0" * 400}}}'],
)
def test_factors_that_are_no_object_of_plain_values_are_refused(folder, factors):
    content = pd.read_parquet(folder / "faces.parquet")
    content.loc[3, "factors"] = factors
    content.to_parquet(folder / "faces.parquet")
    with pytest.raises(DataError, match=r"faces\.parquet: column 'factors' holds"):
        load_run(folder)


def test_empty_factors_are_none(folder):
    content = pd.read_parquet(folder / "faces.parquet")
    content["factors"] = ""
    content.to_parquet(folder / "faces.parquet")
    (scores,) = score_datasets(load_run(folder))
    assert "light" not in scores.factors and "face_px" in scores.factors


@pytest.mark.parametrize("time_ms", [1e308, np.inf, -1.0])
def test_time_that_is_none_is_refused(explained, tmp_path, time_ms):
    folder = Path(shutil.copytree(explained, tmp_path / "copy"))
    content = pd.read_parquet(folder / "timing.parquet")
    content["total_ms"] = time_ms
    content.to_parquet(folder / "timing.parquet")
    with pytest.raises(DataError, match=r"timing\.parquet: a time of image '.*' is none"):
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
        explain(ExplainConfig(rundir=Path("stranger")), NoProgress())
    assert not Path("PLUGIN_CODE_RAN").exists()
