"""A card in another folder is the same method: reuse, compare, explain; a changed one is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from hpbench.errors import DataError, UsageError
from hpbench.inference.progress import NoProgress
from hpbench.registry import MethodSpec, make_methods
from hpbench.results.results_file import ResultsFile
from hpbench.results.run_config import RunConfig
from hpbench.results.run_record import RunRecord
from hpbench.running.explain import explain
from hpbench.running.explain_config import ExplainConfig
from hpbench.running.runner import run
from hpbench.scoring.comparison import compare_runs

CARD = (Path(__file__).parents[1] / "probe_card.toml").read_text() + (
    'outside = "black"\n'
    '[output]\nkind = "angles"\norder = ["yaw", "pitch", "roll"]\nunit = "deg"\nscale = 0.2\n'
)
WIDER = ('rule = "box"', 'rule = "square"\nk = 2.0')


@pytest.fixture(scope="module")
def card(tmp_path_factory) -> Path:
    """The card of a network that adds numbers of an external file to the mean of each colour."""
    onnx = pytest.importorskip("onnx", reason="builds the ONNX file of these tests")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("nets")
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x"], ["means"], axes=[2, 3], keepdims=0),
            helper.make_node("Add", ["means", "offset"], ["y"]),
        ],
        "probe",
        [helper.make_tensor_value_info("x", number, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", number, ["n", 3])],
        [onnx.numpy_helper.from_array(np.full(3, -100.0, np.float32), "offset")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(
        model, folder / "probe.onnx", save_as_external_data=True, size_threshold=0,
        location="numbers.data",
    )  # fmt: skip
    (folder / "probe.toml").write_text(CARD)
    return folder / "probe.toml"


def run_of(methods: Path | str, out: Path) -> Path:
    config = RunConfig(
        methods=str(methods), datasets="sample", limit=24, timing="off", device="cpu", workers=1
    )
    return run(config, out, NoProgress())


def copied(card: Path, to: Path, *change: str) -> Path:
    shutil.copytree(card.parent, to)
    if change:
        (to / card.name).write_text(CARD.replace(*change))
    return to / card.name


@pytest.fixture(scope="module")
def first(card, tmp_path_factory) -> Path:
    return run_of(card, tmp_path_factory.mktemp("first") / "run")


def test_results_name_the_card(first):
    (row,) = ResultsFile.read(first).results
    assert (row.method, row.card, row.method_spec) == ("card", "probe", "probe.toml")


def test_copy_in_another_folder_is_reused_and_compared(first, card, tmp_path):
    second = run_of(copied(card, tmp_path / "elsewhere"), tmp_path / "run")
    assert set(RunRecord.read(second).reused.predictions["sample"]) == {"probe.toml"}
    (change,) = compare_runs(first, second).changes
    assert (change.method_a, change.method_b, change.change("mae")) == (
        "probe.toml",
        "probe.toml",
        0.0,
    )


def test_an_edited_card_is_the_candidate_of_the_same_name(first, card, tmp_path):
    edited = run_of(copied(card, tmp_path / "edited", *WIDER), tmp_path / "run")
    assert not RunRecord.read(edited).reused.predictions
    (change,) = compare_runs(first, edited).changes
    assert change.method_b == "probe.toml"
    assert change.change("mae") != 0.0


def test_options_that_mean_the_same_as_an_edited_card_are_the_same_method(first, card, tmp_path):
    squared = copied(card, tmp_path / "squared", *WIDER)
    edited = copied(card, tmp_path / "edited", WIDER[0], 'rule = "square"\nk = 3.0')
    a = run_of(f"{squared}[k=3.0],{squared}[k=4.0]", tmp_path / "a")
    b = run_of(edited, tmp_path / "b")
    pairs = {(one.method_a, one.method_b): one for one in compare_runs(a, b).changes}
    assert list(pairs) == [("probe.toml[k=3.0]", "probe.toml")]


def test_external_data_that_changed_is_run_again(card, first, tmp_path):
    changed = copied(card, tmp_path / "changed")
    numbers = changed.with_name("numbers.data")
    numbers.write_bytes((np.frombuffer(numbers.read_bytes(), np.float32) + 50).tobytes())
    second = run_of(changed, tmp_path / "run")
    assert not RunRecord.read(second).reused.predictions
    (change,) = compare_runs(first, second).changes
    assert change.values_a["mae"] != change.values_b["mae"]


def test_explain_finds_a_moved_card_where_it_is_named(card, tmp_path, monkeypatch):
    here = copied(card, tmp_path / "here")
    monkeypatch.chdir(here.parent)
    folder = run_of("probe.toml", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"probe\.toml: no such card.* with --methods"):
        explain(ExplainConfig(rundir=folder), NoProgress())
    explain(ExplainConfig(rundir=folder, methods="here/probe.toml"), NoProgress())
    assert (folder / "explain.json").is_file()


def test_explain_refuses_a_card_that_has_changed(card, first, tmp_path):
    edited = copied(card, tmp_path / "edited", *WIDER)
    with pytest.raises(DataError, match=r"'probe\.toml' has changed since the run"):
        explain(ExplainConfig(rundir=first, methods=str(edited)), NoProgress())


def test_explain_refuses_other_methods(first):
    with pytest.raises(UsageError, match=r"holds probe\.toml; name the same methods"):
        explain(ExplainConfig(rundir=first, methods="constant"), NoProgress())


def test_another_process_makes_the_card_that_tables_name_by_its_name(card):
    (method,) = make_methods(f"{card}").values()
    assert MethodSpec.of(method).make("cpu").fingerprint() == method.fingerprint()
