"""3DDFA_V2: network, crop and decode against the authors' formulas and an ONNX export."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hpbench.errors import WeightsError
from hpbench.face import Face
from hpbench.methods.tddfa.method import POSE_MEAN, POSE_STD, Tddfa, roi_square
from hpbench.methods.tddfa.network import MobileNet, load_network
from hpbench.rotation import angles_from_rotation, geodesic_deg, rotation_from_angles
from hpbench.weights.store import sha256_of

S = np.diag([1.0, -1.0, -1.0])


@pytest.fixture(scope="session")
def weights(shared_path):
    return shared_path("weights/zoo/tddfa_mb05_120x120.pth")


def outputs_of(angles_deg, scale=5e-4):
    """What a perfect network would give for yaw, pitch, roll."""
    matrix = np.zeros((3, 4))
    matrix[:, :3] = scale * (S @ rotation_from_angles(angles_deg) @ S)
    outputs = np.zeros((1, 62))
    outputs[0, :12] = ((matrix - POSE_MEAN) / POSE_STD).ravel()
    return outputs


def test_decode_denormalises_the_scaled_rotation():
    for angles in ([0.0, 0.0, 0.0], [40.0, -20.0, 10.0], [-80.0, 5.0, -30.0]):
        R_cam, confidence = Tddfa().rotations(outputs_of(angles))
        np.testing.assert_allclose(angles_from_rotation(R_cam[0]), angles, atol=1e-6)
        assert confidence is None


def test_an_output_of_no_direction_is_no_prediction():
    outputs = np.zeros((1, 62))
    outputs[0, :12] = (-POSE_MEAN / POSE_STD).ravel()
    outputs[0, 0] = np.inf
    (found,) = Tddfa().predictions(outputs)
    assert "not a number" in found.reason


def test_the_crop_of_landmarks_is_a_square_of_the_boxs_diagonal():
    # longer side 100: a square of 141.42 around (150, 140)
    assert roi_square(np.array([100.0, 100.0, 200.0, 180.0]), "landmarks") == (79, 69, 221, 211)


def test_the_crop_of_detections_is_larger_and_lower():
    # mean side 90: side int(142.2) around (150, 140 + 12.6)
    assert roi_square(np.array([100.0, 100.0, 200.0, 180.0]), "detection") == (79, 82, 221, 224)


def test_what_lies_outside_of_the_image_is_black():
    face = Face("a", np.full((60, 60, 3), 200, np.uint8), np.array([0.0, 0.0, 60.0, 60.0]))
    crop = Tddfa().prepare(face)
    assert crop.shape == (120, 120, 3)
    assert crop[0].max() == 0
    assert crop[60, 60].tolist() == [200, 200, 200]


def test_the_architecture_is_that_of_the_published_tensors():
    network = MobileNet()
    names = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    assert len(names) == 5 + 13 * 10 + 2
    assert network.dw5_6.conv_sep.weight.shape == (512, 256, 1, 1)
    assert network.eval()(torch.zeros(2, 3, 120, 120)).shape == (2, 62)


def test_weights_of_another_network_are_refused(shared_path):
    with pytest.raises(
        WeightsError, match=r"does not fit the MobileNet of 3DDFA_V2: tensor 'conv1"
    ):
        load_network(shared_path("weights/zoo/lwhpe_model-b66.pkl"))


def test_the_published_weights_are_pinned(weights):
    (info,) = Tddfa.published
    assert (weights.stat().st_size, sha256_of(weights)) == (info.size_bytes, info.sha256)


def test_rotations_are_those_of_the_onnx_export(weights, shared_path, loaded, aflw2000_faces):
    onnxruntime = pytest.importorskip("onnxruntime")
    method = loaded(f"tddfa[weights={weights}]")
    inputs = [method.prepare(face) for face in aflw2000_faces[0][:40]]
    found = method.decode(method.infer(inputs))
    session = onnxruntime.InferenceSession(str(shared_path("weights/zoo/tddfa.onnx")))
    values = (np.stack(inputs)[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 128
    name = session.get_inputs()[0].name
    # rows of the export: two normalised, the third their cross product, frame y-up
    rows = session.run(None, {name: values})[0].reshape(-1, 3, 3).astype(float)
    U, _, Vt = np.linalg.svd(rows)
    expected = S @ (U @ Vt) @ S
    difference = geodesic_deg(np.stack([prediction.R_cam for prediction in found]), expected)
    assert difference.max() < 1e-2


def test_reference_error_on_aflw2000(weights, loaded, aflw2000_errors):
    method = loaded(f"tddfa[weights={weights}]")
    errors, predicted = aflw2000_errors(method)
    np.testing.assert_allclose(errors, [2.95, 5.33, 3.57, 3.95], atol=0.02)
    assert predicted == 1.0
    card = method.card()
    assert (card.weights, card.trained_on) == ("mb05", ("w300lp",))
    assert round(method.size().parameters / 1e6, 2) == 0.85  # the paper's "0.85M"
