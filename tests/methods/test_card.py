"""Declared methods: cards, crops, decoding, and FSA-Net against its reference figures."""

from __future__ import annotations

import pickle
import re
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpbench.checking.conformance import check_method
from hpbench.datasets.aflw2000 import Aflw2000, Aflw2000Options
from hpbench.errors import DataError, HpbenchError, UsageError, WeightsError
from hpbench.face import Face
from hpbench.method import NoPrediction
from hpbench.methods.card import CardMethod, DeclaredMethod, FsaNet, read_card
from hpbench.methods.card.decode import decode_networks
from hpbench.methods.card.method import CardOptions, fit_to
from hpbench.methods.card.outputs import AnglesOutput, BinsOutput, RotationOutput
from hpbench.registry import make_dataset, make_method, make_methods
from hpbench.rotation import angles_from_rotation, rotation_from_angles
from hpbench.weights.downloads import DownloadLimits
from hpbench.weights.store import add_weights, fetch_weights, sha256_of

ANGLES = np.array([[30.0, -20.0, 10.0], [-50.0, 15.0, -35.0]])
S = np.diag([1.0, -1.0, -1.0])

CARD = (
    (Path(__file__).parents[1] / "probe_card.toml").read_text()
    + """\
[output]
kind = "angles"
order = ["yaw", "pitch", "roll"]
unit = "deg"
"""
)


def write_card(folder: Path, *changes: tuple[str, str], extra: str = "") -> Path:
    text = CARD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "probe.toml"
    path.write_text(text + extra)
    return path


def write_colour_probe(folder: Path, layout: str = "NCHW", batch: object = "n") -> Path:
    """A network that predicts the mean of each of its three colour planes."""
    onnx = pytest.importorskip("onnx", reason="builds the ONNX files of these tests")
    axes, shape = ([2, 3], [batch, 3, 8, 8]) if layout == "NCHW" else ([1, 2], [batch, 8, 8, 3])
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["y"], axes=axes, keepdims=0)],
        "probe",
        [helper.make_tensor_value_info("x", number, shape)],
        [helper.make_tensor_value_info("y", number, [batch, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = folder / "probe.onnx"
    onnx.save(model, path)
    return path


def coloured_face(red=40, green=20, blue=10) -> Face:
    image = np.empty((32, 32, 3), np.uint8)
    image[:] = (red, green, blue)
    return Face("a", image, np.array([4.0, 4.0, 20.0, 20.0]))


def answer_of(card: Path | str, face: Face | None = None) -> np.ndarray:
    method = make_method(str(card))
    method.load()
    (prediction,) = method.predict([face or coloured_face()])
    assert not isinstance(prediction, NoPrediction), prediction.reason
    return angles_from_rotation(prediction.R_cam)


# ---- FSA-Net ---------------------------------------------------------------------------------


def test_fsanet_gives_its_reference_error(aflw2000_dir, shared_path):
    folder = shared_path("weights/fsanet-var-iter-688590.onnx").parent
    pytest.importorskip("onnxruntime")
    method = FsaNet(FsaNet.Options(weights=str(folder)))
    method.load()
    reference = {"pt2d-positive": [4.96, 6.13, 4.89, 5.33], "pt3d_68": [3.94, 6.00, 4.60, 4.84]}
    boxes = [
        {record.image_id: record.box_xyxy for record in dataset_with(aflw2000_dir, box).records()}
        for box in reference
    ]
    dataset = dataset_with(aflw2000_dir, "pt3d_68")
    errors = []
    for record in dataset.records():
        if record.excluded is None:
            image = dataset.read_image(record)
            faces = [Face(record.image_id, image, box[record.image_id]) for box in boxes]
            read = angles_from_rotation([one.R_cam for one in method.predict(faces)])
            errors.append(np.abs(read - record.label.angles_deg))
    assert len(errors) == 491
    mae = np.mean(np.minimum(errors, 360.0 - np.array(errors)), axis=0)
    with_mean = np.column_stack([mae, mae.mean(axis=1)])
    np.testing.assert_allclose(with_mean, list(reference.values()), atol=0.05)


def dataset_with(folder: Path, box: str) -> Aflw2000:
    return Aflw2000(folder, Aflw2000Options(box=box))


def test_fsanet_refuses_altered_weights(shared_path, tmp_path):
    source = shared_path("weights/fsanet-var-iter-688590.onnx").parent
    for name in ("fsanet-1x1-iter-688590.onnx", "fsanet-var-iter-688590.onnx"):
        content = bytearray((source / name).read_bytes())
        content[5000] ^= 1
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=r"fsanet-1x1.*altered or incomplete"):
        FsaNet(FsaNet.Options(weights=str(tmp_path))).load()


def test_fsanet_finds_its_weights_in_the_cache(shared_path, tmp_path, monkeypatch):
    source = shared_path("weights/fsanet-var-iter-688590.onnx").parent
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path))
    assert "hpbench weights fetch fsanet" in FsaNet.missing()
    (tmp_path / "weights").mkdir()
    for name in ("fsanet-1x1-iter-688590.onnx", "fsanet-var-iter-688590.onnx"):
        (tmp_path / "weights" / name).symlink_to(source / name)
    assert FsaNet.missing() is None
    FsaNet().load()


# ---- the card --------------------------------------------------------------------------------


def test_colour_order_and_scaling_reach_the_network(tmp_path):
    write_colour_probe(tmp_path)
    assert answer_of(write_card(tmp_path)) == pytest.approx([40, 20, 10], abs=1e-4)
    bgr = write_card(
        tmp_path,
        ('"RGB"', '"BGR"'),
        ("white = 255.0", "white = 1.0"),
        ("mean = 0.0", "mean = [0.1, 0.0, 0.0]"),
        ("std = 1.0", "std = [0.01, 0.01, 0.02]"),
    )
    blue, green, red = 10 / 255, 20 / 255, 40 / 255
    expected = [(blue - 0.1) / 0.01, green / 0.01, red / 0.02]
    assert answer_of(bgr) == pytest.approx(expected, abs=1e-3)


def test_channels_last_networks_are_fed_so(tmp_path):
    write_colour_probe(tmp_path, layout="NHWC")
    card = write_card(tmp_path, ("[crop]", 'layout = "NHWC"\n[crop]'))
    assert answer_of(card) == pytest.approx([40, 20, 10], abs=1e-4)


def test_network_exported_for_one_face_predicts_a_batch(tmp_path):
    write_colour_probe(tmp_path, batch=1)
    method = make_method(str(write_card(tmp_path)))
    method.load()
    faces = [coloured_face(40), coloured_face(60), coloured_face(80)]
    yaws = [angles_from_rotation(prediction.R_cam)[0] for prediction in method.predict(faces)]
    assert yaws == pytest.approx([40, 60, 80], abs=1e-4)


def test_several_weights_files_are_averaged(tmp_path):
    write_colour_probe(tmp_path)
    (tmp_path / "second.onnx").write_bytes((tmp_path / "probe.onnx").read_bytes())
    card = write_card(tmp_path, ("[input]", '[[weights]]\nfile = "second.onnx"\n[input]'))
    assert answer_of(card) == pytest.approx([40, 20, 10], abs=1e-4)
    assert "mean of 2 networks" in make_method(str(card)).card().notes


def test_card_states_what_a_reader_must_know(tmp_path):
    file = write_colour_probe(tmp_path)
    card = make_method(str(write_card(tmp_path, ('"RGB"', '"BGR"')))).card()
    assert (card.name, card.colour_order, card.licence) == ("probe", "BGR", "MIT")
    assert card.weights_sha256 == sha256_of(file)
    assert any("not known" in note for note in card.notes)


def test_method_that_falls_back_to_the_cpu_says_so(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    write_colour_probe(tmp_path)
    method = make_method(str(write_card(tmp_path)), "cuda")
    method.load()
    assert len(method.predict([coloured_face()])) == 1
    assert any("runs on the CPU and not on cuda" in note for note in method.card().notes)


def test_fingerprint_changes_with_card_and_weights(tmp_path):
    file = write_colour_probe(tmp_path)
    before = make_method(str(write_card(tmp_path))).fingerprint()
    other_crop = make_method(
        str(write_card(tmp_path, ('"box"', '"square"\nk = 1.5')))
    ).fingerprint()
    write_colour_probe(tmp_path, batch=1)
    other_file = make_method(str(write_card(tmp_path))).fingerprint()
    assert file.is_file()
    assert len({before, other_crop, other_file}) == 3


def test_declared_method_pickles_before_it_is_loaded(tmp_path):
    write_colour_probe(tmp_path)
    method = pickle.loads(pickle.dumps(make_method(str(write_card(tmp_path)))))
    method.load()
    assert len(method.predict([coloured_face()])) == 1


def test_short_form_and_long_form_are_the_same_method(tmp_path):
    card = write_card(tmp_path)
    long = make_method(f"card[file={card}]")
    assert isinstance(long, CardMethod)
    assert long.options == make_method(str(card)).options == CardOptions(file=str(card))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('licence = "MIT"', "", "'licence' is missing"),
        ('licence = "MIT"', 'licence = ""', "'licence': must have at least 1 character"),
        ("licence = ", "license = ", "'license' is not known; did you mean 'licence'"),
        ("width = 8", "widht = 8", "'input.widht' is not known; did you mean 'width'"),
        ('unit = "deg"', 'units = "deg"\nunit = "deg"', "did you mean 'unit'"),
        ('unit = "deg"', 'unit = "grad"', "'output.unit'.*'deg' or 'rad'"),
        ('rule = "box"', 'rule = "foo"', r"'crop\.rule': must be .*'margin'.* or 'margins'"),
        ('"pitch", ', '"yaw", ', "yaw, pitch and roll once each"),
        ('"angles"', '"angels"', "'output.kind' is unknown; did you mean 'angles'"),
        ('"angles"', '"spline"', "'output.kind' is unknown; known: 6d, angles"),
        ('rule = "box"', 'rule = "margin"', "rule 'margin' needs k"),
        ("std = 1.0", "std = [1.0, 0.0, 1.0]", "std has to be above 0"),
        ('file = "probe.onnx"', 'url = "https://x/y.onnx"', "needs its sha256"),
        ("schema = 1", "schema = 2", "'schema'"),
        ("schema = 1", "schema = ", "cannot be read as TOML"),
        ("schema = 1", 'schema = 1\nlandmarks = "68"', "'landmarks' is not known; known: code"),
        ("schema = 1", "schema = 1\nshema = 1", "'shema' is not known; did you mean 'schema'"),
        ('kind = "angles"', "", r"'output\.kind' is missing; known: 6d, angles"),
        ('unit = "deg"', 'unit = "deg"\nbins = 66', r"'output\.bins' is not known"),
    ],
)
def test_wrong_card_names_the_entry(tmp_path, old, new, message):
    with pytest.raises(DataError, match=message) as caught:
        read_card(write_card(tmp_path, (old, new)))
    assert str(caught.value).startswith(str(tmp_path / "probe.toml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("width = 8", "width = 16", r"input shape is.*card specifies \[batch, 3, 8, 16\]"),
        ('unit = "deg"', 'unit = "deg"\nnames = ["z"]', r"has no 'z'; known: y|did you mean 'y'"),
        ("[crop]", 'name = "image"\n[crop]', "has no 'image'"),
    ],
)
def test_network_that_does_not_fit_its_card_is_refused(tmp_path, old, new, message):
    write_colour_probe(tmp_path)
    with pytest.raises(WeightsError, match=message):
        make_method(str(write_card(tmp_path, (old, new)))).load()


def test_card_with_open_todo_lines_names_all_of_them_at_once(tmp_path):
    text = write_card(tmp_path).read_text()
    for key in ("licence", "white", "kind"):
        text = re.sub(f"^{key} = ", f"# TODO {key} = ", text, flags=re.MULTILINE)
    (tmp_path / "probe.toml").write_text(text)
    with pytest.raises(DataError, match=r"'licence', 'input\.white', 'output\.kind' are missing"):
        read_card(tmp_path / "probe.toml")


def test_known_keys_are_those_that_cards_have(tmp_path):
    with pytest.raises(DataError, match=r"paper, schema, summary"):
        read_card(write_card(tmp_path, ("schema = 1", "schema = 1\nfoo = 1")))


def test_output_of_another_kind_than_the_card_says_is_refused(tmp_path):
    write_colour_probe(tmp_path)
    output = CARD[CARD.index("[output]") :]
    card = write_card(tmp_path, (output, '[output]\nkind = "6d"\nframe = "camera"\n'))
    with pytest.raises(
        WeightsError, match=rf"{card.name}: .*3 numbers per face; the card's '6d' has 6"
    ):
        answer_of(card)


def test_reports_name_a_declared_method_by_its_card():
    from hpbench.reports.words import short_labels

    specs = ["nets/my_net.toml", "other/my_net.toml", "nets/deep.toml[weights=/w]"]
    assert short_labels([specs[0], specs[2]]) == {specs[0]: "my_net", specs[2]: "deep"}
    assert len(set(short_labels(specs).values())) == 3


def test_missing_and_corrupted_weights_are_named(tmp_path):
    card = write_card(tmp_path)
    with pytest.raises(WeightsError, match=r"probe\.onnx: no such weights file"):
        make_method(str(card)).load()
    (tmp_path / "probe.onnx").write_bytes(b"not a network")
    with pytest.raises(WeightsError, match=r"probe\.onnx: cannot be opened as an ONNX network"):
        make_method(str(card)).load()


def test_folder_of_weights_without_the_file_is_named(tmp_path):
    card = write_card(tmp_path)
    with pytest.raises(WeightsError, match=r"probe\.onnx: no such weights file.*weights=FOLDER"):
        make_method(f"{card}[weights={tmp_path / 'x.onnx'}]").load()


TWO = ('file = "probe.onnx"', 'file = "a/probe.onnx"\n[[weights]]\nfile = "b/probe.onnx"')


def write_constant(path: Path, yaw: float) -> Path:
    """A network that gives its own yaw for every face."""
    onnx = pytest.importorskip("onnx", reason="builds the ONNX files of these tests")
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0),
            helper.make_node("Mul", ["m", "zero"], ["z"]),
            helper.make_node("Add", ["z", "c"], ["y"]),
        ],
        "constant",
        [helper.make_tensor_value_info("x", number, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", number, ["n", 3])],
        [
            helper.make_tensor("zero", number, [], [0.0]),
            helper.make_tensor("c", number, [1, 3], [yaw, 0.0, 0.0]),
        ],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def test_weights_of_one_name_are_told_apart_by_their_folders(tmp_path):
    card, folder = write_card(tmp_path, TWO), tmp_path / "mine"
    write_constant(folder / "a" / "probe.onnx", 10.0)
    write_constant(folder / "b" / "probe.onnx", 30.0)
    assert answer_of(f"{card}[weights={folder}]") == pytest.approx([20, 0, 0], abs=1e-4)


def test_one_file_does_not_stand_for_two_of_its_name(tmp_path):
    card, folder = write_card(tmp_path, TWO), tmp_path / "mine"
    write_constant(folder / "probe.onnx", 10.0)
    with pytest.raises(WeightsError, match=r"several weights files are called 'probe\.onnx'; put"):
        make_method(f"{card}[weights={folder}]").load()


def test_weights_folder_may_be_flat_where_names_differ(tmp_path):
    deep = ('file = "probe.onnx"', 'file = "../nets/probe.onnx"')
    write_constant(tmp_path / "nets" / "probe.onnx", 30.0)
    write_constant(tmp_path / "mine" / "probe.onnx", 10.0)
    (tmp_path / "cards").mkdir()
    card = write_card(tmp_path / "cards", deep)
    assert answer_of(f"{card}[weights={tmp_path / 'mine'}]") == pytest.approx([10, 0, 0], abs=1e-4)


def test_file_without_a_hash_is_not_taken_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "cache"))
    write_constant(tmp_path / "cache" / "weights" / "probe.onnx", 10.0)
    with pytest.raises(WeightsError, match=r"probe\.onnx: no such weights file"):
        make_method(str(write_card(tmp_path))).load()


def test_file_without_a_hash_is_not_added_to_the_cache(tmp_path):
    mine = write_constant(tmp_path / "mine.onnx", 10.0)
    card = write_card(tmp_path)
    declared = type("Declared", (DeclaredMethod,), {"name": "own", "card_file": card})
    (info,) = declared.named_weights()
    with pytest.raises(WeightsError, match=f"not kept in the cache; .* belongs into {tmp_path}"):
        add_weights(info, mine)


def test_fetched_files_of_one_name_do_not_meet_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "cache"))
    serve_files = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve_files) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        for name, yaw in (("one", 10.0), ("two", 30.0)):
            network = write_constant(tmp_path / name / "net.onnx", yaw)
            url = f"http://127.0.0.1:{server.server_port}/{name}/net.onnx"
            entry = f'url = "{url}"\nsha256 = "{sha256_of(network)}"'
            card = write_card(tmp_path / name, ('file = "probe.onnx"', entry))
            fetched = type("Fetched", (DeclaredMethod,), {"name": name, "card_file": card})
            (info,) = fetched.named_weights()
            fetch_weights(info, DownloadLimits(allow_http=True))
        server.shutdown()
    answers = [answer_of(tmp_path / name / "probe.toml") for name in ("one", "two")]
    np.testing.assert_allclose(answers, [[10.0, 0.0, 0.0], [30.0, 0.0, 0.0]], atol=1e-4)


def test_method_without_card_says_what_to_write():
    with pytest.raises(UsageError, match=r"card\[file=my_net\.toml\]"):
        make_method("card").load()


def test_use_before_load_is_an_error_of_one_line(tmp_path):
    write_colour_probe(tmp_path)
    with pytest.raises(HpbenchError, match="before load"):
        make_method(str(write_card(tmp_path))).predict([coloured_face()])


# ---- options, confidence, identity -----------------------------------------------------------


def test_options_stand_in_place_of_what_the_card_says(tmp_path):
    write_colour_probe(tmp_path)
    card = write_card(tmp_path, ('"box"', '"square"\nk = 1.5'))
    edited = tmp_path / "edited"
    edited.mkdir()
    write_colour_probe(edited)
    other = write_card(edited, ('"box"', '"square"\nk = 2.5\noutside = "edge"'))
    option = make_method(f"{card}[k=2.5,outside=edge]")
    assert option.card().crop_rule == "square k=2.5, outside edge"
    assert option.fingerprint() == make_method(str(other)).fingerprint()
    assert option.fingerprint() != make_method(str(card)).fingerprint()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("k=20", r"probe\.toml: k=20\.0: must be less than or equal to 10"),
        ("filter=nearest", r"probe\.toml: filter=nearest: must be 'opencv-linear'"),
        ("outside=white", "outside=white: must be 'black', 'clip' or 'edge'"),
    ],
)
def test_option_that_does_not_fit_the_card_is_named(tmp_path, options, message):
    write_colour_probe(tmp_path)
    card = write_card(tmp_path, ('"box"', '"square"\nk = 1.5'))
    with pytest.raises(UsageError, match=message):
        make_method(f"{card}[{options}]").fingerprint()


def test_a_sweep_over_a_cards_option_is_a_method_per_value(tmp_path):
    write_colour_probe(tmp_path)
    card = write_card(tmp_path, ('"box"', '"square"\nk = 1.5'))
    made = make_methods(f"{card}[k=1:2:0.5]")
    assert list(made) == ["probe.toml[k=1]", "probe.toml[k=1.5]", "probe.toml[k=2]"]
    assert len({method.fingerprint() for method in made.values()}) == 3


def test_a_card_is_the_same_method_from_any_folder(tmp_path):
    fingerprints = set()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        write_colour_probe(tmp_path / name)
        made = make_methods(str(write_card(tmp_path / name)))
        assert list(made) == ["probe.toml"]
        fingerprints.add(made["probe.toml"].fingerprint())
    assert len(fingerprints) == 1


def test_two_cards_of_one_name_keep_their_paths_in_one_run(tmp_path):
    paths = []
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        write_colour_probe(tmp_path / name)
        paths.append(str(write_card(tmp_path / name)))
    assert list(make_methods(paths)) == paths


def test_fingerprint_and_stated_hashes_change_with_external_data(tmp_path):
    onnx = pytest.importorskip("onnx", reason="builds the ONNX files of these tests")
    model = onnx.load(write_colour_probe(tmp_path))
    numbers = onnx.numpy_helper.from_array(np.ones((1, 3), np.float32), "numbers")
    model.graph.initializer.append(numbers)
    onnx.save(
        model, tmp_path / "probe.onnx", save_as_external_data=True, size_threshold=0,
        location="probe.onnx.data",
    )  # fmt: skip
    card = str(write_card(tmp_path))
    before, stated = make_method(card).fingerprint(), make_method(card).card()
    data = tmp_path / "probe.onnx.data"
    assert stated.weights == "probe.onnx, probe.onnx.data"
    content = bytearray(data.read_bytes())
    content[0] ^= 1
    data.write_bytes(content)
    assert make_method(card).fingerprint() != before
    assert make_method(card).card().weights_sha256 != stated.weights_sha256


CONFIDENCE = """
names = ["y"]
[confidence]
name = "z"
surer = "larger"
"""


def write_two_outputs(folder: Path) -> None:
    """The colour probe with a second output: the mean of all colours, one number per face."""
    onnx = pytest.importorskip("onnx", reason="builds the ONNX files of these tests")
    model = onnx.load(write_colour_probe(folder))
    nodes = [onnx.helper.make_node("ReduceMean", ["x"], ["z"], axes=[1, 2, 3], keepdims=0)]
    model.graph.node.extend(nodes)
    number = onnx.TensorProto.FLOAT
    model.graph.output.append(onnx.helper.make_tensor_value_info("z", number, ["n"]))
    onnx.save(model, folder / "probe.onnx")


def test_an_output_that_the_card_names_is_the_confidence(tmp_path):
    write_two_outputs(tmp_path)
    method = make_method(str(write_card(tmp_path, extra=CONFIDENCE)))
    method.load()
    (prediction,) = method.predict([coloured_face(60, 20, 10)])
    assert prediction.confidence == pytest.approx(30.0)
    np.testing.assert_allclose(angles_from_rotation(prediction.R_cam), [60, 20, 10], atol=1e-4)
    assert "confidence: output 'z', larger is surer" in method.card().notes


def test_size_is_that_of_all_files_and_their_constants(tmp_path):
    onnx = pytest.importorskip("onnx", reason="builds the ONNX files of these tests")
    model = onnx.load(write_colour_probe(tmp_path))
    numbers = onnx.numpy_helper.from_array(np.ones((4, 3), np.float32), "numbers")
    model.graph.initializer.append(numbers)
    onnx.save(model, tmp_path / "probe.onnx")
    method = make_method(str(write_card(tmp_path)))
    method.load()
    file = tmp_path / "probe.onnx"
    assert (method.size().parameters, method.size().weights_bytes) == (12, file.stat().st_size)


def test_network_that_mixes_faces_of_a_batch_is_run_on_one_at_a_time(tmp_path):
    onnx = pytest.importorskip("onnx", reason="builds the ONNX files of these tests")
    model = onnx.load(write_colour_probe(tmp_path))
    model.graph.node[0].output[0] = "means"
    largest = onnx.helper.make_node("ReduceMax", ["means"], ["top"], axes=[0], keepdims=1)
    spread = onnx.helper.make_node("Max", ["means", "top"], ["y"])
    model.graph.node.extend([largest, spread])
    onnx.save(model, tmp_path / "probe.onnx")
    method = make_method(str(write_card(tmp_path)))
    method.load()
    faces = [coloured_face(40), coloured_face(60)]
    yaws = [angles_from_rotation(prediction.R_cam)[0] for prediction in method.predict(faces)]
    assert yaws == pytest.approx([40, 60], abs=1e-4)
    assert "run on one face at a time: the network takes no batches" in method.card().notes


def test_further_inputs_of_a_network_are_named(tmp_path):
    onnx = pytest.importorskip("onnx", reason="builds the ONNX files of these tests")
    model = onnx.load(write_colour_probe(tmp_path))
    number = onnx.TensorProto.FLOAT
    model.graph.input.append(onnx.helper.make_tensor_value_info("scale", number, [1]))
    model.graph.node[0].output[0] = "means"
    model.graph.node.append(onnx.helper.make_node("Mul", ["means", "scale"], ["y"]))
    onnx.save(model, tmp_path / "probe.onnx")
    with pytest.raises(WeightsError, match=r"further inputs: scale \[1\].* frozen"):
        make_method(str(write_card(tmp_path))).load()


def test_check_stops_at_the_first_fault_of_a_graph(tmp_path):
    write_colour_probe(tmp_path)
    output = CARD[CARD.index("[output]") :]
    card = write_card(tmp_path, (output, '[output]\nkind = "6d"\nframe = "camera"\n'))
    with pytest.raises(WeightsError, match="gives 3 numbers per face; the card's '6d' has 6"):
        check_method(lambda: make_method(str(card)), make_dataset("sample"))


def test_cards_are_bounded(tmp_path):
    card = tmp_path / "card.toml"
    card.write_text(f"name = '{'x' * 40_000}'")
    with pytest.raises(DataError, match=r"card\.toml: larger than 32 KiB"):
        read_card(card)
    for text in ("a = " + "[" * 20_000, "a = " + "[" * 9 + "]" * 9, f"{'a.' * 15_000}b = 1"):
        card.write_text(text)
        with pytest.raises(DataError, match=r"card\.toml: nested deeper than 8"):
            read_card(card)


@pytest.mark.parametrize("number", ["nan", "inf", "9" * 5000])
def test_numbers_that_are_none_are_refused(tmp_path, number):
    with pytest.raises(DataError, match=r"probe\.toml: .*(finite|digits)"):
        read_card(write_card(tmp_path, ("mean = 0.0", f"mean = {number}")))


# ---- scaling ---------------------------------------------------------------------------------


def test_centre_fit_is_that_of_torchvision(aflw2000_dir):
    functional = pytest.importorskip("torchvision.transforms.functional")
    from PIL import Image

    image = Image.open(aflw2000_dir / "image00002.jpg").crop((40, 90, 300, 420))
    theirs = functional.center_crop(functional.resize(image, 256), 224)
    ours = fit_to(np.asarray(image), (224, 224), "centre", 256, "pillow-bilinear")
    np.testing.assert_array_equal(ours, np.asarray(theirs))


def test_padding_keeps_the_aspect():
    padded = fit_to(np.full((50, 100, 3), 9, np.uint8), (64, 64), "pad", None, "opencv-area")
    assert padded.shape == (64, 64, 3)
    assert (padded[16:48] == 9).all()
    assert (padded[:16] == 0).all()
    assert (padded[48:] == 0).all()


# ---- decoding --------------------------------------------------------------------------------


def angles_card(**fields) -> AnglesOutput:
    given = {"kind": "angles", "order": ("yaw", "pitch", "roll"), "unit": "deg", **fields}
    return AnglesOutput.model_validate(given)


def elementary(axis: str, angles_deg) -> np.ndarray:
    angles = np.asarray(angles_deg).reshape(len(ANGLES), -1)
    return Rotation.from_euler(axis, angles, degrees=True).as_matrix()


def assert_angles(R_cam, expected_deg):
    np.testing.assert_allclose(angles_from_rotation(R_cam), expected_deg, atol=1e-6)


def test_order_sign_and_unit_of_angles():
    yaw, pitch, roll = ANGLES.T
    output = np.radians(np.stack([roll, -yaw, pitch], axis=1))
    card = angles_card(order=("roll", "-yaw", "pitch"), unit="rad")
    assert_angles(decode_networks([[output]], card), ANGLES)


def test_three_outputs_of_one_angle_each():
    outputs = [ANGLES[:, [0]], ANGLES[:, [1]], ANGLES[:, [2]]]
    assert_angles(decode_networks([outputs], angles_card()), ANGLES)


def test_rq_triple_of_a_published_matrix():
    # natanielruiz/deep-head-pose#39: the same matrix under both readings
    R_published = np.array(
        [
            [0.45684, -0.404949, -0.792031],
            [-0.103806, 0.860022, -0.499587],
            [0.883471, 0.310449, 0.350856],
        ]
    )
    pitch, yaw, roll = 41.503, -62.064, -12.802
    R_cam = decode_networks([[np.array([[yaw, -pitch, roll]])]], angles_card(euler="rq"))
    np.testing.assert_allclose(R_cam[0], R_published, atol=2e-4)


def test_bins_of_hopenet_decode_to_their_lower_edge():
    card = BinsOutput.model_validate(
        {
            "kind": "bins",
            "order": ["yaw", "pitch", "roll"],
            "width_deg": 3.0,
            "offset_deg": -99.0,
            "scores": "logits",
        }
    )
    scores = np.full((1, 3, 66), -50.0)
    scores[0, 0, 33] = scores[0, 1, 40] = scores[0, 2, [30, 31]] = 50.0
    assert_angles(decode_networks([[scores]], card), [[0.0, 21.0, -7.5]])


def test_bins_of_whenet_differ_per_angle():
    card = BinsOutput.model_validate(
        {
            "kind": "bins",
            "order": ["yaw", "pitch", "roll"],
            "width_deg": 3.0,
            "offset_deg": [-180.0, -99.0, -99.0],
            "scores": "probabilities",
        }
    )
    yaw, pitch, roll = np.zeros((1, 120)), np.zeros((1, 66)), np.zeros((1, 66))
    yaw[0, 70] = pitch[0, 30] = roll[0, 36] = 1.0
    assert_angles(decode_networks([[yaw, pitch, roll]], card), [[30.0, -9.0, 9.0]])


def test_6drepnet_rotation():
    yaw, pitch, roll = ANGLES.T
    R_6d = elementary("z", roll) @ elementary("y", yaw) @ elementary("x", pitch)
    columns = np.concatenate(
        [2.0 * R_6d[:, :, 0], 3.0 * R_6d[:, :, 1] + 0.5 * R_6d[:, :, 0]], axis=1
    )
    card = RotationOutput(kind="6d", frame="6drepnet")
    assert_angles(decode_networks([[columns]], card), ANGLES)


def test_3ddfa_matrix():
    yaw, pitch, roll = ANGLES.T
    R_3d = elementary("x", -pitch) @ elementary("y", -yaw) @ elementary("z", -roll)
    card = RotationOutput(kind="matrix", frame="y-up")
    assert_angles(decode_networks([[R_3d]], card), ANGLES)


def test_opal_matrix():
    yaw, pitch, roll = ANGLES.T
    R_opal = elementary("XYZ", np.stack([pitch, -yaw, roll], axis=1))
    card = RotationOutput(kind="matrix", frame="opal")
    assert_angles(decode_networks([[R_opal.reshape(-1, 9)]], card), ANGLES)


def test_rotation_vector_in_the_camera_frame():
    vectors = Rotation.from_matrix(rotation_from_angles(ANGLES)).as_rotvec()
    card = RotationOutput(kind="rotvec", frame="camera")
    assert_angles(decode_networks([[vectors]], card), ANGLES)


def test_mean_of_two_rotations_lies_half_way():
    card = RotationOutput(kind="rotvec", frame="camera")
    about_z = np.radians([[0.0, 0.0, 10.0]]), np.radians([[0.0, 0.0, 50.0]])
    R_cam = decode_networks([[about_z[0]], [about_z[1]]], card)
    assert_angles(R_cam, [[0.0, 0.0, 30.0]])


def test_mean_of_angles_goes_the_short_way_round():
    angles = np.array([[179.0, 10.0, 0.0]]), np.array([[-179.0, 20.0, 0.0]])
    R_cam = decode_networks([[angles[0]], [angles[1]]], angles_card())
    np.testing.assert_allclose(R_cam, rotation_from_angles([[180.0, 15.0, 0.0]]), atol=1e-9)


@pytest.mark.parametrize("output", [np.full((1, 6), np.nan), np.zeros((1, 6)), np.ones((1, 6))])
def test_output_that_is_no_rotation_decodes_to_none(output):
    R_cam = decode_networks([[output]], RotationOutput(kind="6d", frame="camera"))
    assert not np.isfinite(R_cam).all()


def test_card_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "card.toml").write_text(CARD, encoding="utf-8-sig")
    assert read_card(tmp_path / "card.toml").name == "probe"
