"""The Python API: the same words and figures as the command line."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest
import typer.main
from matplotlib.figure import Figure

import hpbench
from hpbench import api
from hpbench.cli import app
from hpbench.datasets.sample import Sample
from hpbench.errors import DataError, UsageError
from hpbench.results.run_config import RunConfig

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "datasets" / "sample" / "images"
FIGURES = ("accuracy", "errors", "ced", "by_yaw", "heat_map", "runtime", "tradeoff")


TURNED = """
from hpbench.method import Options, Prediction
from hpbench.methods.constant import Constant
from hpbench.results.run_config import RunConfig
from hpbench.rotation import rotation_from_angles


class Turned(Constant):
    name = "turned"

    class Options(Options):
        yaw_deg: float = 10.0

    def decode(self, output):
        R_cam = rotation_from_angles([self.options.yaw_deg, 0.0, 0.0])
        return [Prediction(R_cam) for _ in range(output)]
"""


@pytest.fixture(scope="module")
def turned(tmp_path_factory):
    """A plugin that predicts the same yaw for every face."""
    file = tmp_path_factory.mktemp("plugin") / "turned.py"
    file.write_text(TURNED)
    return [file]


@pytest.fixture(scope="module")
def results(tmp_path_factory, turned):
    out = tmp_path_factory.mktemp("api") / "run"
    return hpbench.run("constant,turned", limit=40, timing_images=4, out=out, plugin=turned)


@pytest.fixture(scope="module")
def corrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("api") / "corrupted"
    return hpbench.run("constant", limit=20, timing="off", corrupt="blur=1,2", out=out)


@pytest.mark.parametrize("name", ["run", "predict", "faces", "compare", "check"])
def test_function_takes_the_words_of_its_command(name):
    command = typer.main.get_command(app).get_command(None, name)
    words = {
        max(parameter.opts, key=len).lstrip("-").replace("-", "_") for parameter in command.params
    }
    words -= {"help", "embed_images", "no_report"}  # the API writes no report unless asked to
    assert set(inspect.signature(getattr(hpbench, name)).parameters) == words


@pytest.mark.parametrize(
    ("name", "default"),
    [("run", ("batch_size", "auto")), ("predict", ("draw", "axes")), ("check", ("device", "auto"))],
)
def test_help_shows_names_types_defaults_and_descriptions(name, default):
    function = getattr(hpbench, name)
    shown = inspect.signature(function).parameters
    assert shown[default[0]].default == default[1]
    described = rf"{default[0]} : .*, default {default[1]!r}\n    \w"
    assert re.search(described, inspect.getdoc(function))


def test_table_holds_the_figures_of_results_json(results):
    stored = json.loads((results.folder / "results.json").read_text())["results"]
    table = results.table()
    assert table["method"].tolist() == ["constant", "turned"]
    assert table["mae_mean_deg"].tolist() == [row["mae_deg"]["mean"] for row in stored]
    assert table["scored"].tolist() == [40, 40]


def test_error_of_frontal_predictions_is_the_mean_of_the_labelled_angles(results):
    ground_truth = results.faces()[["yaw_deg", "pitch_deg", "roll_deg"]].abs().mean()
    row = results.table().iloc[0]
    for angle in ("yaw", "pitch", "roll"):
        assert row[f"mae_{angle}_deg"] == pytest.approx(ground_truth[f"{angle}_deg"], abs=1e-3)


def test_finished_run_can_be_loaded_and_a_missing_one_is_refused(results, tmp_path):
    assert hpbench.load(results.folder).table().equals(results.table())
    with pytest.raises(DataError):
        hpbench.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"engine": "spark"}, "engine='spark'"),
        ({"timing": "fast"}, "timing='fast'"),
        ({"batch_size": "many"}, "batch_size='many'"),
    ],
)
def test_word_that_is_no_choice_is_a_usage_error(words, said):
    with pytest.raises(UsageError, match=said):
        hpbench.run("constant", **words)


def test_folder_without_results_is_named(tmp_path):
    with pytest.raises(DataError, match=r"run\.json"):
        hpbench.Results(tmp_path)


def test_help_and_completion_show_the_functions():
    assert {"run", "load", "predict", "compare", "check"} <= set(dir(hpbench))


def test_results_say_what_they_are(results):
    assert re.fullmatch(r"<Results of .*constant.* on sample in .*>", repr(results))


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_matplotlibs_and_shows_itself_in_a_notebook(results, name, tmp_path):
    figure = getattr(results.plot, name)()
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    figure.savefig(tmp_path / "one.svg")
    assert (tmp_path / "one.svg").stat().st_size > 1000


def test_bars_of_the_accuracy_figure_are_the_mean_errors(results):
    (axes,) = results.plot.accuracy().axes
    names = [label.get_text().partition(" ")[0] for label in axes.get_yticklabels()]
    drawn = {name: bar.get_width() for name, bar in zip(names, axes.patches, strict=True)}
    table = results.table().set_index("method")["mae_mean_deg"]
    assert drawn == pytest.approx(table.to_dict())


def test_robustness_is_drawn_where_images_were_corrupted(results, corrupted):
    (axes,) = (axes for axes in corrupted.plot.robustness().axes if axes.get_visible())
    assert [label.get_text() for label in axes.get_xticklabels()][-2:] == ["1", "2"]
    with pytest.raises(DataError, match="this figure needs a run with corrupt"):
        results.plot.robustness()


def test_figure_without_what_it_needs_is_refused(corrupted):
    with pytest.raises(DataError, match="needs a timing pass"):
        corrupted.plot.runtime()
    with pytest.raises(UsageError, match="no data set 'sampel' in this run; did you mean 'sample'"):
        corrupted.plot.ced("sampel")


def test_data_set_has_to_be_named_where_there_are_several(tmp_path):
    images = "".join(f"{SAMPLE}/sample_{k:03d}.jpg,{k},0,0,60,60,200,200\n" for k in range(12))
    (tmp_path / "mine.csv").write_text("image,yaw,pitch,roll,x0,y0,x1,y1\n" + images)
    two = hpbench.run(
        "constant", ["sample", f"table={tmp_path / 'mine.csv'}"], limit=12, timing="off",
        out=tmp_path / "two",
    )  # fmt: skip
    with pytest.raises(UsageError, match="several data sets; name one of sample, table"):
        two.plot.ced()
    assert isinstance(two.plot.ced("sample"), Figure)


def test_report_is_written_on_request(results):
    paths = results.report(format="md,csv")
    assert [path.name for path in paths] == ["report.md", "tables"]


def test_comparison_finds_what_the_change_of_the_prediction_did(results, turned, tmp_path):
    """Of a yaw of 80 instead of 10 degrees, worked out from the labels."""
    spec = "turned[yaw_deg=80.0]"
    other = hpbench.run(spec, limit=40, timing="off", out=tmp_path / "other", plugin=turned)
    change = hpbench.compare(results, other, fail_if=["mae>+90", "mae<90"])
    (holds,) = (one for one in change.failed if not one.problem)
    assert (holds.condition, holds.dataset, holds.method) == ("mae<90", "sample", spec)
    # 'constant' is not in the candidate, so neither condition can be judged for it
    vanished = [(one.condition, one.method) for one in change.failed if one.problem]
    assert vanished == [("mae>+90", "constant"), ("mae<90", "constant")]
    row = change.table().iloc[0]
    yaw = results.faces()["yaw_deg"]
    expected = ((yaw - 80.0).abs() - (yaw - 10.0).abs()).mean() / 3.0
    assert row["change_deg"] == pytest.approx(expected, abs=1e-3)
    assert row["faces"] == 40


def test_prediction_is_a_table_and_writes_only_what_it_is_told_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = hpbench.predict(SAMPLE / "sample_051.jpg", ["constant", "pnp"])
    assert found.table()["method"].tolist() == ["constant", "pnp"]
    assert found.table().iloc[0][["yaw_deg", "pitch_deg", "roll_deg"]].tolist() == [0, 0, 0]
    assert (found.written, list(tmp_path.iterdir())) == ([], [])
    drawn = hpbench.predict(SAMPLE / "sample_051.jpg", "constant", out="one.png", draw="cube")
    assert drawn.written == [Path("one.png")]


def test_image_without_a_face_is_a_row_and_no_error():
    (row,) = hpbench.predict(SAMPLE / "sample_000.jpg", "constant").rows
    assert row["status"] == "no_face"


@pytest.mark.parametrize("source", [np.zeros((50, 50, 3), np.uint8), ["a.jpg", "b.jpg"], None])
def test_source_that_is_no_path_is_named_by_its_type_in_one_line(source):
    with pytest.raises(UsageError, match="write a path, or the number of a camera") as caught:
        hpbench.predict(source, "constant")
    assert len(str(caught.value)) < 200


def test_check_says_what_failed(tmp_path):
    plugin = tmp_path / "wrong.py"
    plugin.write_text(
        "from hpbench.method import Prediction\n"
        "from hpbench.methods.constant import Constant\n"
        "class Wrong(Constant):\n"
        "    name = 'wrong'\n"
        "    def decode(self, output):\n"
        "        return [Prediction(2.0 * one.R_cam) for one in super().decode(output)]\n"
    )
    checks = hpbench.check("wrong", limit=12, plugin=[plugin])
    assert not checks.passed
    table = checks.table().set_index("name")
    assert table.loc["rotations", "status"] == "failed"
    assert hpbench.check("constant", limit=12).passed


def test_blocks_of_the_documentation_run_in_order(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(compile(block, "python-api.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "no method 'hopnet'; did you mean 'hopenet'" in printed
    assert (tmp_path / "by_yaw.svg").is_file()
    assert (tmp_path / "drawn" / "sample_051_pose.jpg").is_file()


def test_options_may_be_mappings_and_paths_hold_whatever_they_hold(tmp_path):
    folder = tmp_path / "a=1,b=[2]"
    folder.mkdir()
    records = Sample().records()[:12]
    lines = ["image,yaw_rad,pitch_rad,roll_rad"]
    for record in records:
        numbers = (repr(float(value)) for value in np.radians(record.label.angles_deg))
        lines.append(",".join([str(record.image_path), *numbers]))
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    results = hpbench.run(
        methods={"constant": None},
        datasets={"table": {"unit": "rad"}},
        data={"table": folder / "labels.csv"},
        boxes="picture",
        timing="off",
        out=tmp_path / "run",
    )
    (row,) = results.rows
    expected = np.abs([record.label.angles_deg[0] for record in records]).mean()
    assert row.mae_deg.yaw == pytest.approx(expected, abs=1e-3)
    with pytest.raises(UsageError, match="no option 'sign'"):
        hpbench.run(methods=["constant", {"pnp": {"sign": 1}}], out=tmp_path / "other")


def test_runs_that_start_in_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with api.run_folder(None) as first, api.run_folder(None) as second:
        assert first != second
        (first / "run.json").write_text("{}")
    assert list((tmp_path / "runs").iterdir()) == [tmp_path / first]  # nothing is in the other


def test_home_folder_and_a_changed_working_folder_are_no_other_run(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found = hpbench.run(methods="constant", limit=3, timing="off", out="~/a")
    assert hpbench.load("~/a").folder == found.folder == tmp_path / "a"
    relative = hpbench.load("a")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(relative.predictions()) == 3
    (tmp_path / "a" / "predictions.parquet").unlink()
    with pytest.raises(DataError, match=r"predictions\.parquet: missing"):
        relative.predictions()


def test_factors_and_formats_may_be_lists(results):
    results.report(format="md, csv", by=["abs_yaw"])
    assert hpbench.compare(results, results, by=["abs_yaw"], fail_if=None).slices()["factor"].any()
    methods = (name for name in ("constant", "pnp"))
    assert RunConfig(methods=methods).methods == "constant,pnp"
