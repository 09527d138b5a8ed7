"""Cards of networks that give landmarks."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hpbench.errors import DataError, HpbenchError, UsageError
from hpbench.face import Face
from hpbench.geometry.views import mirrored
from hpbench.landmarks.base import make_landmark_detector
from hpbench.landmarks.orders import ORDERS, POINT_COUNTS
from hpbench.method import NoPrediction, Prediction
from hpbench.registry import make_method

CARD = (
    (Path(__file__).parents[1] / "probe_card.toml").read_text()
    + """\
outside = "clip"
[output]
kind = "landmarks"
points = "wflw98"
unit = "pixels"
"""
)

WFLW_FLIPS = {
    **{i: 32 - i for i in range(33)},
    **{33: 46, 34: 45, 35: 44, 36: 43, 37: 42},
    **{i: i for i in (51, 52, 53, 54, 57, 79, 85, 90, 94)},
    **{55: 59, 56: 58, 60: 72, 61: 71, 63: 69, 64: 68, 65: 75, 67: 73},
    **{76: 82, 77: 81, 78: 80, 83: 87, 84: 86, 88: 92, 89: 91, 93: 95},
}
WFLW_FLIPS |= {value: key for key, value in WFLW_FLIPS.items()}


def write_network(folder: Path, values: np.ndarray, **changes: str) -> Path:
    """A network that gives the same numbers for every face, and its card."""
    onnx = pytest.importorskip("onnx", reason="builds the ONNX files of these tests")
    pytest.importorskip("onnxruntime")
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    constant = helper.make_tensor("c", number, [1, values.size], values.ravel().astype(float))
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["m", "zero"], ["z"]),
        helper.make_node("Unsqueeze", ["z", "axes"], ["u"]),
        helper.make_node("Add", ["u", "c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "probe",
        [helper.make_tensor_value_info("x", number, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", number, ["n", values.size])],
        [
            constant,
            helper.make_tensor("zero", number, [], [0.0]),
            helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "probe.onnx")
    text = CARD
    for old, new in changes.items():
        text = text.replace(old, new)
    path = folder / "probe.toml"
    path.write_text(text)
    return path


def face_with(box):
    return Face("a", np.full((100, 100, 3), 90, np.uint8), np.array(box, dtype=float))


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_names_68_different_points(order):
    ids = ORDERS[order]
    assert ids.shape == (68,)
    assert len(set(ids.tolist())) == 68
    assert ids.min() >= 0 and ids.max() < POINT_COUNTS[order]


def test_wflw_points_mirror_as_ibug_landmarks_do():
    """Left and right of WFLW's own flip list agree with those of the 68 landmarks."""
    landmarks = np.stack([np.arange(68.0), np.zeros(68)], axis=1)
    face = Face("a", np.zeros((4, 4, 3), np.uint8), np.array([0.0, 0, 4, 4]), None, landmarks)
    flipped = np.rint(3.0 - mirrored(face).landmarks_xy[:, 0]).astype(int)
    ids = ORDERS["wflw98"]
    assert [WFLW_FLIPS[int(i)] for i in ids] == ids[flipped].tolist()


@pytest.mark.parametrize(
    ("unit", "scale", "shift"), [("pixels", 8.0, 0.0), ("share", 1.0, 0.0), ("centred", 2.0, -1.0)]
)
def test_landmarks_are_placed_in_the_whole_image(tmp_path, unit, scale, shift):
    shares = np.random.default_rng(0).random((98, 2))
    card = write_network(tmp_path, shares * scale + shift, pixels=unit)
    detector = make_landmark_detector(str(card))
    found = detector.find(face_with([20, 30, 59, 79]))
    # the crop has its last row and column: 40 by 50 pixels
    expected = [20, 30] + shares[ORDERS["wflw98"]] * [40, 50]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_crop_that_ends_at_the_image_places_landmarks_in_what_is_left(tmp_path):
    card = write_network(tmp_path, np.full((98, 2), 4.0))
    found = make_landmark_detector(str(card)).find(face_with([-20, 30, 39, 69]))
    np.testing.assert_allclose(found, np.tile([20.0, 50.0], (68, 1)), atol=1e-4)


def test_a_third_coordinate_is_left_out(tmp_path):
    values = np.column_stack([np.full((98, 2), 4.0), np.full(98, 77.0)])
    found = make_landmark_detector(str(write_network(tmp_path, values))).find(
        face_with([0, 0, 99, 99])
    )
    np.testing.assert_allclose(found, 50.0, atol=1e-4)


def test_pnp_takes_a_card_by_its_path(tmp_path):
    method = make_method(f"pnp[landmarks={write_network(tmp_path, np.zeros((98, 2)))}]")
    method.load()
    assert method.card().title == "Probe and PnP"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.random.default_rng(0).random((98, 2)) * 8.0, "off a face's shape"),
        (np.random.default_rng(0).random((98, 2)) * 8.0 + 3.0, "lie outside of the box"),
    ],
)
def test_points_without_the_shape_of_a_face_get_no_prediction(tmp_path, values, reason):
    card = write_network(tmp_path, values)
    (checked,) = make_method(f"pnp[landmarks={card}]").predict([face_with([20, 30, 79, 89])])
    assert isinstance(checked, NoPrediction) and reason in checked.reason
    method = make_method(f"pnp[landmarks={card},check=off]")
    (forced,) = method.predict([face_with([20, 30, 79, 89])])
    assert isinstance(forced, Prediction)


def test_a_network_of_landmarks_is_no_method(tmp_path):
    method = make_method(str(write_network(tmp_path, np.zeros((98, 2)))))
    with pytest.raises(UsageError, match=r"gives landmarks; write pnp\[landmarks="):
        method.load()


def test_another_number_of_points_is_named(tmp_path):
    card = write_network(tmp_path, np.zeros((68, 2)))
    with pytest.raises(
        HpbenchError, match="gives 136 numbers per face; the card's 'wflw98' has 196 or 294"
    ):
        make_landmark_detector(str(card)).find(face_with([0, 0, 50, 50]))


def test_a_card_of_angles_has_no_landmarks(tmp_path):
    card = write_network(tmp_path, np.zeros(3))
    text = card.read_text().partition("[output]")[0]
    card.write_text(
        f'{text}[output]\nkind = "angles"\nunit = "deg"\norder = ["yaw", "pitch", "roll"]\n'
    )
    with pytest.raises(HpbenchError, match=r"needs a card with output\.kind = 'landmarks'"):
        make_landmark_detector(str(card)).load()


def test_landmarks_need_an_input_that_keeps_its_place(tmp_path):
    card = write_network(tmp_path, np.zeros((98, 2)))
    card.write_text(card.read_text().replace('"stretch"', '"pad"'))
    with pytest.raises(DataError, match=r"'landmarks' needs input\.fit 'stretch'"):
        make_landmark_detector(str(card)).load()


def write_openvino_network(folder: Path) -> Path:
    """A network that gives other points for every face and takes its time, and its card."""
    openvino = pytest.importorskip("openvino", reason="pip install 'hpbench[openvino]'")
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3 if i == 0 else 16, 16, 3, padding=1) for i in range(8)]
    end = [torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(256, 196)]
    network = torch.nn.Sequential(*layers, *end).eval()
    model = openvino.convert_model(network, example_input=torch.zeros(1, 3, 64, 64))
    openvino.save_model(model, folder / "probe.xml")
    path = folder / "probe.toml"
    text = CARD.replace("width = 8", "width = 64").replace("height = 8", "height = 64")
    path.write_text(text.replace("probe.onnx", "probe.xml"))
    return path


def test_threads_get_the_landmarks_of_one_face_after_the_other(tmp_path):
    detector = make_landmark_detector(str(write_openvino_network(tmp_path)))
    images = np.random.default_rng(0).integers(0, 256, (32, 64, 64, 3)).astype(np.uint8)
    faces = [Face(str(i), image, np.array([0.0, 0, 63, 63])) for i, image in enumerate(images)]
    expected = [detector.find(face) for face in faces]
    with ThreadPoolExecutor(4) as threads:
        np.testing.assert_array_equal(list(threads.map(detector.find, faces)), expected)


def test_an_edited_card_gives_other_landmarks_in_the_same_process(tmp_path):
    card = write_network(tmp_path, np.full((98, 2), 4.0))
    face = face_with([0, 0, 99, 99])
    before = make_landmark_detector(str(card)).find(face)
    card.write_text(card.read_text().replace('"pixels"', '"share"'))
    np.testing.assert_allclose(make_landmark_detector(str(card)).find(face), 8.0 * before)


def test_landmarks_are_those_of_the_card_in_the_fingerprint(tmp_path):
    card = write_network(tmp_path, np.full((98, 2), 4.0))
    detector = make_landmark_detector(str(card))
    face, fingerprint = face_with([0, 0, 99, 99]), detector.fingerprint()
    card.write_text(card.read_text().replace('"pixels"', '"share"'))
    np.testing.assert_allclose(detector.find(face), 50.0)
    assert detector.fingerprint() == fingerprint


def test_a_loaded_detector_pickles(tmp_path):
    detector = make_landmark_detector(str(write_network(tmp_path, np.full((98, 2), 4.0))))
    face = face_with([0, 0, 99, 99])
    expected = detector.find(face)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(detector)).find(face), expected)
