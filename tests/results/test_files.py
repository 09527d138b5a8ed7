"""The JSON files of a run folder: one model each, one schema each, refused in one line."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import jsonschema
import pydantic
import pytest

from hpbench.errors import DataError
from hpbench.inference.progress import NoProgress
from hpbench.results.explain_file import ExplainFile
from hpbench.results.json_file import FrozenModel, Interval, Rounded
from hpbench.results.results_file import Ced, ResultsFile, value_at
from hpbench.results.run_config import RunConfig
from hpbench.results.run_record import RunRecord
from hpbench.results.timing_record import TimingRecord
from hpbench.running.explain import explain
from hpbench.running.explain_config import ExplainConfig
from hpbench.running.runner import run

ROOT = Path(__file__).resolve().parents[2]
FILES = (RunRecord, TimingRecord, ResultsFile, ExplainFile)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    config = RunConfig(
        methods="constant,pnp", datasets="sample", limit=8, device="cpu", timing_images=2
    )
    out = run(config, tmp_path_factory.mktemp("run") / "run", NoProgress())
    explain(ExplainConfig(rundir=out), NoProgress())
    return out


@pytest.mark.skipif(
    tuple(map(int, pydantic.VERSION.split(".")[:2])) < (2, 10),
    reason="older versions of pydantic write the same schema in other words",
)
def test_committed_schemas_and_metrics_table_are_the_generated_ones() -> None:
    generated = runpy.run_path(str(ROOT / "tools" / "reference.py"))["generated"]()
    for path, text in generated.items():
        assert path.read_text(encoding="utf-8") == text, "run python tools/reference.py"


@pytest.mark.parametrize("model", FILES, ids=lambda model: model.file_name)
def test_files_of_a_run_fit_their_schema_and_come_back_unchanged(folder, model) -> None:
    text = (folder / model.file_name).read_text(encoding="utf-8")
    schema = (ROOT / "docs" / "schemas" / model.file_name).read_text(encoding="utf-8")
    jsonschema.validate(json.loads(text), json.loads(schema))
    assert model.read(folder).as_json() == json.loads(text)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema": 1}, "schema 1, this hpbench reads 2; use the hpbench that wrote it"),
        (
            {"seed": "many"},
            r"\('seed': must be a valid integer\); repeat the run with a new --out$",
        ),
        ({"methods": None}, "'methods'"),
    ],
)
def test_file_that_does_not_fit_is_refused_with_its_field(
    folder, tmp_path, change, complaint
) -> None:
    content = json.loads((folder / "run.json").read_text()) | change
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=complaint) as error:
        RunRecord.read(tmp_path)
    assert "\n" not in str(error.value)


def test_key_of_a_later_hpbench_is_no_error(folder, tmp_path) -> None:
    content = json.loads((folder / "run.json").read_text()) | {"weather": "fine"}
    (tmp_path / "run.json").write_text(json.dumps(content))
    assert RunRecord.read(tmp_path) == RunRecord.read(folder)


def test_values_that_do_not_exist_are_null() -> None:
    class Part(FrozenModel):
        value: Rounded
        interval: Interval

    nan = float("nan")
    assert Part(value=nan, interval=(1.0, nan)) == Part(value=None, interval=None)
    assert Part(value=0.12345678, interval=(1, 2)).value == 0.123457


def test_values_are_found_by_dotted_name(folder) -> None:
    result = ResultsFile.read(folder).results[0]
    assert value_at(result, "ced.auc_15") == result.ced.auc_15
    assert value_at(result, "ced.auc_16") is None
    assert value_at(None, "mae_deg.mean") is None
    assert value_at(Ced(error="geodesic", auc_15=float("nan")), "auc_15") is None
