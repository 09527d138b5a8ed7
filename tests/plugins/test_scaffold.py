"""Packages that ``hpbench new`` writes: they install, pass their own tests, and run."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from string import Template

import pytest
from typer.testing import CliRunner

from hpbench import scaffold
from hpbench.cli.new import new
from hpbench.errors import UsageError
from hpbench.methods.onnx_card.card import NetworkCard
from hpbench.scaffold import write_card, write_package


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    parent = tmp_path_factory.mktemp("new")
    method, *_ = write_package("method", "my_net", parent)
    dataset, *_ = write_package("dataset", "my_faces", parent)
    return method, dataset


@pytest.fixture(scope="module")
def environment(new_environment, packages):
    made = new_environment("scaffold")
    made.install(*packages, editable=True)
    return made


def test_generated_packages_pass_their_own_tests(environment, packages):
    for package in packages:
        done = environment.run("pytest", "-q", "-p", "no:cacheprovider", package)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "passed" in done.stdout


def test_generated_plugins_are_found_once_installed(environment):
    listing = environment.run("hpbench", "list").stdout
    for name in ("my_net", "my_faces"):
        (line,) = [line for line in listing.splitlines() if line.split()[:1] == [name]]
        assert "cannot be used" not in line


def test_generated_method_and_data_set_run_together(environment, tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64), "grey").save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(
        "image,yaw,pitch,roll,x0,y0,x1,y1\na.png,9,0,0,8,8,56,56\n"
    )
    done = environment.run(
        *("hpbench", "run", "--methods", "my_net[margin=0.4]", "--datasets", "my_faces"),
        *("--data", f"my_faces={tmp_path}", "--device", "cpu", "--out", tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.md").is_file()


def test_generated_code_is_clean(packages):
    pytest.importorskip("ruff", reason="ruff is a tool of developers")
    rules = ["--select", "E,F,B,UP,I", "--line-length", "100", "--config", "src = ['src']"]
    for package in packages:
        done = subprocess.run(
            [sys.executable, "-m", "ruff", "check", "--isolated", *rules, "."],
            cwd=package,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


def test_long_and_short_names_give_valid_classes(tmp_path):
    for name, class_name in (("a", "A"), ("two_words9", "TwoWords9")):
        folder, *_ = write_package("method", name, tmp_path)
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        assert project["entry-points"]["hpbench.methods"] == {name: f"hpbench_{name}:{class_name}"}


@pytest.mark.parametrize(
    ("kind", "name"),
    [("method", "none"), ("method", "pose"), ("dataset", "record"), ("dataset", "true")],
)
def test_names_that_mean_something_in_python_or_hpbench_give_working_classes(kind, name, tmp_path):
    folder, *_ = write_package(kind, name, tmp_path)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    (entry,) = project["entry-points"][f"hpbench.{kind}s"].values()
    words = runpy.run_path(str(folder / "src" / f"hpbench_{name}" / "__init__.py"))
    assert words[entry.partition(":")[2]].name == name


def test_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for below in ("file", "file/deeper"):
        with pytest.raises(UsageError, match=r"file.*--folder"):
            write_package("method", "mine", tmp_path / below)


@pytest.mark.parametrize("name", ["My_Net", "9net", "my-net", "_net", "net_", "a b", "../x", ""])
def test_malformed_names_are_refused(name, tmp_path):
    with pytest.raises(UsageError, match="small letters"):
        write_package("method", name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_in_use_and_folders_that_exist_are_refused(tmp_path):
    with pytest.raises(UsageError, match="taken"):
        write_package("method", "pnp", tmp_path, taken=("pnp",))
    (tmp_path / "hpbench-mine").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        write_package("method", "mine", tmp_path)


def test_command_refuses_the_name_of_a_built_in(tmp_path):
    done = CliRunner().invoke(new, ["dataset", "biwi", "--folder", str(tmp_path)])
    assert isinstance(done.exception, UsageError)
    assert list(tmp_path.iterdir()) == []


def test_command_says_what_it_wrote_and_what_to_do_next(tmp_path):
    done = CliRunner().invoke(new, ["method", "mine", "--folder", str(tmp_path)])
    assert done.exit_code == 0
    assert str(tmp_path / "hpbench-mine" / "src" / "hpbench_mine" / "__init__.py") in done.output
    assert "pip install -e" in done.output.splitlines()[-1]


def test_card_of_a_network_holds_what_its_graph_says(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 48, 64])
        for name in ("face", "pose")
    ]
    node = onnx.helper.make_node("Identity", ["face"], ["pose"])
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, tmp_path / "my net.onnx")
    card = write_card(tmp_path / "my net.onnx", tmp_path)
    content = tomllib.loads(card.read_text(encoding="utf-8"))
    assert (content["name"], content["weights"]) == ("my_net", [{"file": "my net.onnx"}])
    assert content["input"] == {"width": 64, "height": 48, "layout": "NCHW"}
    with pytest.raises(UsageError, match="exists already"):
        write_card(tmp_path / "my net.onnx", tmp_path)


def test_completed_card_is_valid(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"")
    text = (Path(scaffold.__file__).parent / "card/card.toml.template").read_text(encoding="utf-8")
    words = {"file": "net.onnx", "name": "net", "path": "net.onnx", "inputs": "", "outputs": ""}
    words |= {"width": "64", "height": "64", "layout": "NCHW"}
    completed = re.sub(r"^# (?=\w+ = )", "", Template(text).substitute(words), flags=re.MULTILINE)
    assert NetworkCard.model_validate(tomllib.loads(completed)).output.kind == "angles"
