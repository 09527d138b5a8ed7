"""Networks in files: every format gives the same numbers; hostile files run nothing."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzz_networks import tflite_of_means
from torch import nn

from hpbench.errors import WeightsError
from hpbench.inference.graphs import graph_files, open_graph

PARAMETERS = 8 * 3 * 9 + 8 + 8 * 3 + 3
"""Of the network: a convolution and a linear layer."""

exports = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 9),
    reason="torch.export.save writes the layout that is read from torch 2.9 on",
)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.linear = nn.Linear(8, 3)

    def forward(self, image):
        pooled = torch.relu(self.convolution(image)).mean((2, 3))
        return self.linear(pooled).reshape(image.shape[0], -1), pooled.std(1)


@pytest.fixture(scope="module")
def network() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def files(network, tmp_path_factory) -> dict[str, Path]:
    """The network in every format that can be written here."""
    folder = tmp_path_factory.mktemp("graphs")
    example = torch.zeros(2, 3, 16, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network, example).save(folder / "traced.ts")
        torch.jit.freeze(torch.jit.script(network)).save(folder / "frozen.pt")
        dynamic = {"image": {0: torch.export.Dim("n")}}
        program = torch.export.export(network, (example,), dynamic_shapes=dynamic)
        torch.export.save(program, folder / "net.pt2")
        names = ["angles", "spread"]
        torch.onnx.export(
            network, (example,), str(folder / "net.onnx"), input_names=["image"],
            output_names=names, dynamic_axes={name: {0: "n"} for name in ("image", *names)},
            dynamo=False,
        )  # fmt: skip
    found = {name: folder / name for name in ("traced.ts", "frozen.pt", "net.pt2", "net.onnx")}
    try:
        import openvino
    except ImportError:
        return found
    model = openvino.convert_model(folder / "net.onnx")
    openvino.save_model(model, folder / "net.xml", compress_to_fp16=False)
    return found | {"net.xml": folder / "net.xml"}


@pytest.mark.parametrize(
    "name",
    ["traced.ts", "frozen.pt", pytest.param("net.pt2", marks=exports), "net.onnx", "net.xml"],
)
def test_every_format_gives_what_the_network_gives(name, files, network):
    if name not in files:
        pytest.skip("openvino is not installed")
    pytest.importorskip("onnxruntime")
    image = np.random.default_rng(0).random((3, 3, 16, 16), dtype=np.float32)
    graph = open_graph(files[name])
    (given,) = graph.inputs
    graph.find_outputs(given.name, image[:1])
    names = [info.name for info in graph.outputs]
    with torch.no_grad():
        expected = [output.numpy() for output in network(torch.from_numpy(image))]
    for one_core in (False, True):
        for found, wanted in zip(
            graph.run(given.name, image, names, one_core), expected, strict=True
        ):
            np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert graph.parameters == PARAMETERS
    assert [info.shape for info in graph.outputs] == [(None, 3), (None,)]


class ListOfOne(nn.Module):
    def forward(self, image):
        (whole,) = image.mean((2, 3)).split(3, 1)
        return whole + 1.0


@exports
def test_a_program_whose_operator_gives_a_list_of_one_is_run(tmp_path):
    image = np.random.default_rng(0).random((2, 3, 8, 8), dtype=np.float32)
    program = torch.export.export(ListOfOne().eval(), (torch.from_numpy(image),))
    torch.export.save(program, tmp_path / "net.pt2")
    graph = open_graph(tmp_path / "net.pt2")
    (found,) = graph.run(graph.inputs[0].name, image, [graph.outputs[0].name])
    np.testing.assert_allclose(found, image.mean((2, 3)) + 1.0, atol=1e-6)


def write_tflite(path: Path, step: float = 0.0, zero: int = 0) -> Path:
    pytest.importorskip("ai_edge_litert", reason="pip install 'hpbench[tflite]'")
    path.write_bytes(tflite_of_means(step, zero))
    return path


def test_tflite_with_a_name_that_is_no_text_is_one_line(tmp_path):
    path = write_tflite(tmp_path / "probe.tflite")
    path.write_bytes(path.read_bytes().replace(b"image", b"\xffmage"))
    with pytest.raises(WeightsError, match=r"probe\.tflite: cannot be opened as a TFLite network"):
        open_graph(path)


def ends_within_an_entry(entry: bytearray, listed: bytearray) -> None:
    listed[20:28] = (10**6).to_bytes(4, "little") * 2  # both sizes


def is_encrypted(entry: bytearray, listed: bytearray) -> None:
    entry[6] |= 1
    listed[8] |= 1


def is_said_to_be_lzma(entry: bytearray, listed: bytearray) -> None:
    entry[8] = listed[10] = 14


@pytest.mark.parametrize("suffix", [".pt2", ".ts"])
@pytest.mark.parametrize("damage", [ends_within_an_entry, is_encrypted, is_said_to_be_lzma])
def test_damaged_archive_is_one_line(tmp_path, suffix, damage):
    path = tmp_path / f"net{suffix}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/code/model.py", "{}" * 9)
    content = path.read_bytes()
    at = content.index(b"PK\x01\x02")
    entry, listed = bytearray(content[:at]), bytearray(content[at:])
    damage(entry, listed)
    path.write_bytes(entry + listed)
    with pytest.raises(WeightsError, match=r"net\.\w+: no archive that torch wrote"):
        open_graph(path)


def test_tflite_gives_the_means_that_its_graph_computes(tmp_path):
    path = write_tflite(tmp_path / "probe.tflite")
    image = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
    graph = open_graph(path)
    (output,) = graph.run(graph.inputs[0].name, image, [graph.outputs[0].name])
    np.testing.assert_allclose(output, image.mean(axis=(1, 2)), rtol=1e-6)
    assert graph.inputs[0].shape == (1, 8, 8, 3)


def test_quantised_tflite_is_fed_and_read_as_real_numbers(tmp_path):
    path = write_tflite(tmp_path / "probe.tflite", step=0.5, zero=-128)
    image = np.full((1, 8, 8, 3), 20.25, np.float32)
    graph = open_graph(path)
    assert graph.inputs[0].dtype == "float32"
    (output,) = graph.run(graph.inputs[0].name, image, [graph.outputs[0].name])
    np.testing.assert_allclose(output, 20.0, atol=0.5)


# ---- all files of a network ------------------------------------------------------------------


def write_external(folder: Path, location: str = "net.onnx.data") -> Path:
    onnx = pytest.importorskip("onnx")
    numbers = onnx.numpy_helper.from_array(np.ones(3, np.float32), "numbers")
    numbers.ClearField("raw_data")
    numbers.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "12")):
        numbers.external_data.add(key=key, value=value)
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "numbers"], ["y"])],
        "g",
        [info("x", onnx.TensorProto.FLOAT, ["n", 3])],
        [info("y", onnx.TensorProto.FLOAT, ["n", 3])],
        [numbers],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    model.ir_version = 8
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    return folder / "net.onnx"


def test_external_data_of_onnx_is_one_of_its_files(tmp_path):
    path = write_external(tmp_path)
    with pytest.raises(WeightsError, match=r"net\.onnx\.data: no such file; net\.onnx needs it"):
        graph_files(path)
    (tmp_path / "net.onnx.data").write_bytes(np.ones(3, np.float32).tobytes())
    assert graph_files(path) == [path, tmp_path / "net.onnx.data"]


@pytest.mark.parametrize("location", ["/etc/passwd", "../secret.bin", "a/../../secret.bin"])
def test_external_data_outside_of_the_folder_is_refused(location, tmp_path):
    path = write_external(tmp_path, location)
    with pytest.raises(WeightsError, match="names data outside of its folder"):
        open_graph(path)


def test_openvino_needs_its_numbers(files, tmp_path):
    if "net.xml" not in files:
        pytest.skip("openvino is not installed")
    (tmp_path / "net.xml").write_bytes(files["net.xml"].read_bytes())
    for use in (graph_files, open_graph):
        with pytest.raises(WeightsError, match=r"net\.bin: no such file"):
            use(tmp_path / "net.xml")


def test_openvino_names_that_are_no_text_are_one_line(files, tmp_path):
    if "net.xml" not in files:
        pytest.skip("openvino is not installed")
    content = files["net.xml"].read_bytes()
    assert b'names="angles"' in content
    (tmp_path / "net.xml").write_bytes(content.replace(b'names="angles"', b'names="angle\xb4"'))
    (tmp_path / "net.bin").write_bytes(files["net.xml"].with_suffix(".bin").read_bytes())
    with pytest.raises(WeightsError, match=r"net\.xml: cannot be opened as OpenVINO IR"):
        open_graph(tmp_path / "net.xml")


# ---- hostile and damaged files ---------------------------------------------------------------


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def changed_program(files, folder: Path, change) -> Path:
    """The torch.export program with its JSON entries changed by ``change(name, content)``."""
    path = folder / "changed.pt2"
    with zipfile.ZipFile(files["net.pt2"]) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename.endswith(".json"):
                content = json.dumps(change(info.filename, json.loads(content))).encode()
            new.writestr(info.filename, content)
    return path


@exports
@pytest.mark.parametrize(
    "target", ["torch.load", "torch.hub.load", "torch.ops.aten.from_file.default", "os.system"]
)
def test_a_program_that_calls_anything_but_operators_is_refused(target, files, tmp_path):
    def change(name, content):
        if "graph_module" in content:
            content["graph_module"]["graph"]["nodes"][1]["target"] = target
        return content

    with pytest.raises(WeightsError, match=f"calls '{target}', which is no operator"):
        open_graph(changed_program(files, tmp_path, change))


def test_a_program_in_the_layout_of_an_older_torch_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.pt2", "w") as archive:
        for name in ("serialized_exported_program.json", "serialized_state_dict.pt", "version"):
            archive.writestr(name, "5.1")
    with pytest.raises(WeightsError, match=r"save it again with torch 2\.9 or later"):
        open_graph(tmp_path / "net.pt2")


@exports
def test_pickled_weights_of_a_program_are_not_unpickled(files, tmp_path):
    def change(name, content):
        if name.endswith("model_weights_config.json"):
            for entry in content["config"].values():
                entry["use_pickle"] = True
        return content

    path = changed_program(files, tmp_path, change)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/data/weights/trap", pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(WeightsError, match="is a pickled object, which could run code"):
        open_graph(path)
    assert not (tmp_path / "sprung").exists()


class Writer(nn.Module):
    def forward(self, image):
        torch.save(image, "written-by-a-network")
        return image


def test_a_torchscript_program_that_writes_files_is_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Writer()).save(tmp_path / "net.ts")
    with pytest.raises(WeightsError, match=r"net\.ts: refused: its program calls 'save\("):
        open_graph(tmp_path / "net.ts")


def test_an_entry_that_an_archive_has_twice_is_refused(files, tmp_path):
    """Two readers of an archive may take different ones."""
    path = tmp_path / "net.ts"
    path.write_bytes(files["traced.ts"].read_bytes())
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".py"))
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(name, "other code")
    with pytest.raises(WeightsError, match="twice"):
        open_graph(path)


def test_a_state_dict_is_no_network(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    said = r"weights without a network; export .*or name .* NAME\[weights=.*weights\.pt\]"
    with pytest.raises(WeightsError, match=said):
        open_graph(tmp_path / "weights.pt")


@pytest.mark.parametrize("suffix", [".onnx", ".pt2", ".ts", ".xml", ".tflite"])
def test_a_file_of_something_else_is_named(suffix, tmp_path):
    runtime = {".onnx": "onnxruntime", ".xml": "openvino", ".tflite": "ai_edge_litert"}
    if suffix in runtime:
        pytest.importorskip(runtime[suffix])
    path = tmp_path / f"net{suffix}"
    path.write_bytes(b"no network at all")
    (tmp_path / "net.bin").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"net\..*(cannot be opened as|no archive)") as caught:
        open_graph(path)
    assert "\n" not in str(caught.value)


def test_an_unknown_format_is_named_with_those_that_are_read(tmp_path):
    with pytest.raises(WeightsError, match=r"net\.h5: not a format .* \.onnx, \.pt2"):
        open_graph(tmp_path / "net.h5")
