"""Packages that ``hpbench new`` writes: they install, pass their own tests, and run."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hpbench.checking.checks.description import check_card
from hpbench.checking.conformance import Probe
from hpbench.cli.new import new
from hpbench.errors import UsageError
from hpbench.methods.card.card import NetworkCard, read_card
from hpbench.methods.card.network import open_network
from hpbench.registry import make_dataset, make_method
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


def test_check_says_what_is_still_as_generated(packages):
    (source,) = packages[0].glob("src/*/__init__.py")
    probe = Probe.of(lambda: make_method("my_net", plugins=[source]), make_dataset("sample"))
    assert check_card(probe) == "still as generated, marked TODO: summary, licence"


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
    [
        ("method", "none"),
        ("method", "pose"),
        ("dataset", "record"),
        ("dataset", "true"),
        ("method", "probe"),
        ("dataset", "image"),
    ],
)
def test_names_that_mean_something_in_python_or_hpbench_give_working_classes(kind, name, tmp_path):
    folder, *_ = write_package(kind, name, tmp_path)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    (entry,) = project["entry-points"][f"hpbench.{kind}s"].values()
    words = runpy.run_path(str(folder / "src" / f"hpbench_{name}" / "__init__.py"))
    class_name = entry.partition(":")[2]
    assert words[class_name].name == name
    test = (folder / "tests" / f"test_{name}.py").read_text()
    assert len(re.findall(rf"import .*\b{class_name}\b", test)) == 1


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


def read_wheel(package: Path, environment, folder: Path) -> zipfile.ZipFile:
    command = ("-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", folder, package)
    done = environment.run(environment.python, *command)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel)


def test_weights_of_a_generated_method_are_in_its_wheel(environment, tmp_path):
    package, *_ = write_package("method", "bulky", tmp_path)
    (package / "src/hpbench_bulky/weights/net.safetensors").write_bytes(b"numbers")
    wheel = read_wheel(package, environment, tmp_path)
    assert wheel.read("hpbench_bulky/weights/net.safetensors") == b"numbers"


def test_fingerprint_of_a_generated_method_changes_with_its_weights(tmp_path):
    package, *_ = write_package("method", "bulky", tmp_path)
    module = package / "src" / "hpbench_bulky" / "__init__.py"
    method = runpy.run_path(str(module))["Bulky"]()
    before = method.fingerprint()
    weights = module.parent / "weights" / "net.safetensors"
    weights.write_bytes(b"numbers")
    with_weights = method.fingerprint()
    weights.write_bytes(b"other numbers")
    assert len({before, with_weights, method.fingerprint()}) == 3


# ---- cards -----------------------------------------------------------------------------------


def write_onnx(path: Path, inputs: dict[str, list], outputs: dict[str, list]) -> Path:
    """A network of these inputs and outputs, which does nothing."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    number = onnx.TensorProto.FLOAT
    values = [
        onnx.numpy_helper.from_array(np.zeros(shape, "f"), f"zero_{name}")
        for name, shape in outputs.items()
    ]
    nodes = [onnx.helper.make_node("Identity", [f"zero_{name}"], [name]) for name in outputs]
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info(name, number, shape) for name, shape in inputs.items()],
        [
            onnx.helper.make_tensor_value_info(name, number, shape)
            for name, shape in outputs.items()
        ],
        values,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def completed(card: Path) -> dict:
    """Content of a card whose TODO lines are taken as they stand."""
    text = card.read_text(encoding="utf-8")
    return tomllib.loads(re.sub(r"^# TODO (?=\w+ = )", "", text, flags=re.MULTILINE))


def test_card_of_a_network_holds_what_its_graph_says(tmp_path):
    network = write_onnx(tmp_path / "my net.onnx", {"face": [1, 3, 48, 64]}, {"pose": [1, 3]})
    card = write_card(network, tmp_path).path
    content = tomllib.loads(card.read_text(encoding="utf-8"))
    assert (content["name"], content["weights"]) == ("my_net", [{"file": "my net.onnx"}])
    assert content["input"] == {"name": "face", "width": 64, "height": 48, "layout": "NCHW"}
    assert content["output"] == {"names": ["pose"]}
    with pytest.raises(UsageError, match="exists already"):
        write_card(network, tmp_path)


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        ({"pose": [1, 3]}, "angles"),
        ({"roll_fc": [1, 1], "pitch_fc": [1, 1], "yaw_fc": [1, 1]}, "angles"),
        ({"angle_r_fc": [1, 1], "angle_p_fc": [1, 1], "angle_y_fc": [1, 1]}, "angles"),
        ({"yaw": [1, 120], "pitch": [1, 66], "roll": [1, 66]}, "bins"),
        ({"scores": [1, 3, 66]}, "bins"),
        ({"quaternion": [1, 4]}, "quaternion"),
        ({"sure": [1, 1], "columns": [1, 6]}, "6d"),
        ({"R": [1, 3, 3]}, "matrix"),
        ({"pose": [1, 3, 4]}, "matrix3x4"),
        ({"points": [1, 98, 2]}, "landmarks"),
    ],
)
def test_completed_card_of_every_kind_is_valid_and_its_network_fits(outputs, kind, tmp_path):
    network = write_onnx(tmp_path / "net.onnx", {"face": [1, 3, 48, 64]}, outputs)
    card = write_card(network, tmp_path).path
    content = completed(card)
    output = NetworkCard.model_validate(content).output
    assert output.kind == kind
    if "yaw_fc" in outputs or "angle_y_fc" in outputs:
        assert output.order == ("roll", "pitch", "yaw")
    card.write_text(re.sub(r"^# TODO (?=\w+ = )", "", card.read_text(), flags=re.MULTILINE))
    open_network(network, read_card(card), "cpu")


def test_inputs_that_have_to_be_frozen_are_named(tmp_path):
    inputs = {"scale": [1, 1], "face": [1, 48, 64, 3]}
    network = write_onnx(tmp_path / "net.onnx", inputs, {"pose": [1, 3]})
    done = CliRunner().invoke(new, ["card", str(network), "--folder", str(tmp_path)])
    assert done.exit_code == 0
    assert "further inputs: scale [1, 1]; hpbench feeds the image (face) alone" in done.output
    assert tomllib.loads((tmp_path / "net.toml").read_text())["input"]["layout"] == "NHWC"


def test_names_of_a_strangers_network_add_nothing_to_the_card(tmp_path):
    outputs = {'pose"]\nlicence = "x': [1, 3]}
    network = write_onnx(tmp_path / "net.onnx", {"face": [1, 3, 48, 64]}, outputs)
    content = tomllib.loads(write_card(network, tmp_path).path.read_text(encoding="utf-8"))
    assert "licence" not in content
    assert content["output"] == {"names": list(outputs)}


def test_a_program_whose_shapes_are_unknown_gets_a_card_that_says_so(tmp_path):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(net, torch.zeros(1, 3, 8, 8)).save(tmp_path / "net.ts")
    text = write_card(tmp_path / "net.ts", tmp_path).path.read_text(encoding="utf-8")
    assert re.search(r"width = 224  # TODO: a guess", text)
    assert "# the file: output_0 [?, 3]" in text
