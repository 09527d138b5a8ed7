"""LwHPE: network, crop, decode and rectification."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hpbench.datasets.biwi import Biwi
from hpbench.face import Camera, Face
from hpbench.method import NoPrediction
from hpbench.methods.lwhpe.method import Lwhpe, LwhpeOptions, demo_square
from hpbench.methods.lwhpe.network import LwhpeNetwork
from hpbench.methods.lwhpe.rectify import rectify, rotation_to_axis
from hpbench.rotation import angles_from_rotation, geodesic_deg, rotation_from_angles
from hpbench.weights.store import sha256_of

CAMERA = Camera(
    np.array([[500.0, 0.0, 320.0], [0.0, 520.0, 240.0], [0.0, 0.0, 1.0]]),
    np.array([0.1, -0.05, 0.001, -0.002, 0.0]),
)


@pytest.fixture(scope="session")
def weights(shared_path):
    return shared_path("weights/zoo/lwhpe_model-b66.pkl")


def test_one_bin_decodes_to_its_middle_without_any_spread():
    logits = np.full((1, 3, 66), -100.0)
    logits[0, 0, 40] = logits[0, 1, 20] = logits[0, 2, 33] = 100.0
    R_cam, spread_deg = Lwhpe().rotations(logits.reshape(1, -1))
    # bin i covers 3 i - 99 .. 3 i - 96
    np.testing.assert_allclose(angles_from_rotation(R_cam[0]), [22.5, -37.5, 1.5], atol=1e-9)
    np.testing.assert_allclose(spread_deg, 0.0, atol=1e-9)


def test_spread_bins_are_less_sure():
    (found,) = Lwhpe().predictions(np.zeros((1, 198)))
    np.testing.assert_allclose(found.R_cam, np.eye(3), atol=1e-12)
    # standard deviation of 66 equal steps of 3 degrees
    of_uniform = 3.0 * np.sqrt((66**2 - 1) / 12.0)
    np.testing.assert_allclose(found.spread_deg, of_uniform)
    assert found.confidence == pytest.approx(-of_uniform)


@pytest.mark.parametrize(
    ("box", "square"),
    [
        ([100.0, 100.0, 200.0, 180.0], (75, 65, 225, 215)),
        ([10.0, 100.0, 110.0, 180.0], (0, 65, 150, 215)),  # moved to the right as a whole
    ],
)
def test_the_demos_square_moves_into_the_image(box, square):
    assert demo_square(np.array(box), 1.5) == square


def test_the_architecture_is_that_of_the_published_tensors():
    network = LwhpeNetwork()
    assert network.features[4].exp_conv[0].weight.shape == (192, 24, 1, 1)
    assert network.features[7].pw_conv[0].weight.shape == (128, 256, 1, 1)
    assert network.eval()(torch.zeros(2, 3, 224, 224)).shape == (2, 198)


def test_the_published_weights_are_pinned(weights):
    (info,) = Lwhpe.published
    assert (weights.stat().st_size, sha256_of(weights)) == (info.size_bytes, info.sha256)


def test_angles_are_those_of_the_onnx_export(weights, shared_path, loaded, aflw2000_faces):
    onnxruntime = pytest.importorskip("onnxruntime")
    method = loaded(f"lwhpe[weights={weights}]")
    inputs = [method.prepare(face) for face in aflw2000_faces[0][:40]]
    found = np.stack([prediction.R_cam for prediction in method.decode(method.infer(inputs))])
    session = onnxruntime.InferenceSession(str(shared_path("weights/zoo/lwhpe.onnx")))
    pixels = np.stack([crop for crop, _ in inputs]) / 255.0
    values = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    values = values.transpose(0, 3, 1, 2).astype(np.float32)
    outputs = session.run(None, {session.get_inputs()[0].name: values})
    roll, yaw, pitch = np.concatenate([np.reshape(o, (40, -1)) for o in outputs], axis=1).T
    expected = rotation_from_angles(np.stack([yaw, pitch, roll], axis=1))
    assert geodesic_deg(found, expected).max() < 1e-2


def test_reference_error_on_aflw2000(weights, loaded, aflw2000_errors):
    errors, predicted = aflw2000_errors(loaded(f"lwhpe[weights={weights}]"))
    np.testing.assert_allclose(errors, [4.18, 5.32, 4.01, 4.50], atol=0.02)
    assert predicted == 1.0


def test_confidence_orders_the_errors(weights, loaded, confidence_orders_errors):
    assert confidence_orders_errors(loaded(f"lwhpe[weights={weights}]"), step=4) < -0.4


# ---- rectification ---------------------------------------------------------------------------


def seen_at(point):
    pixel, _ = cv2.projectPoints(
        point.reshape(1, 3), np.zeros(3), np.zeros(3), CAMERA.matrix, CAMERA.distortion
    )
    return pixel.ravel()


def test_the_camera_is_turned_to_the_face_by_the_smallest_rotation():
    point = np.array([0.6, -0.3, 2.0])
    R = rotation_to_axis(seen_at(point), CAMERA)
    turned = R @ point
    np.testing.assert_allclose(turned[:2], 0.0, atol=1e-6)
    angle = np.arccos(point[2] / np.linalg.norm(point))
    np.testing.assert_allclose(
        np.linalg.norm(Rotation.from_matrix(R).as_rotvec()), angle, rtol=1e-6
    )


@pytest.mark.parametrize("left", [0, 330])
def test_a_rectified_image_shows_what_the_turned_camera_would_see(left):
    """Also of a part of the photo, from a column on: the principal point lies outside of it."""
    part = np.array([left, 0.0])
    matrix = CAMERA.matrix.copy()
    matrix[0, 2] -= left
    camera = Camera(matrix, CAMERA.distortion)
    centre = np.array([0.5, 0.3, 2.0])
    x, y = seen_at(centre) - part
    image = np.zeros((480, 640 - left, 3), np.uint8)
    face = Face("a", image, np.array([x - 60, y - 60, x + 60, y + 60]), camera)
    mark = centre + np.array([0.08, -0.05, 0.03])
    place = np.rint(seen_at(mark) - part).astype(int)
    cv2.circle(image, place.tolist(), 4, (255, 255, 255), -1)
    rectified, R = rectify(face, camera)
    rows, columns = np.nonzero(rectified.image[..., 0] > 127)
    expected = rectified.camera.matrix @ R @ mark
    np.testing.assert_allclose([columns.mean(), rows.mean()], expected[:2] / expected[2], atol=1.0)
    x0, y0, x1, y1 = rectified.box_xyxy
    np.testing.assert_allclose([(x0 + x1) / 2, (y0 + y1) / 2], [x, y], atol=5.0)


def test_rectification_needs_a_camera():
    method = Lwhpe(LwhpeOptions(rectify=True))
    assert "no camera" in method.unsupported_reason("aflw2000", False, True)
    assert method.unsupported_reason("biwi", True, False) is None
    face = Face("a", np.zeros((60, 60, 3), np.uint8), np.array([10.0, 10.0, 50.0, 50.0]))
    assert isinstance(method.prepare(face), NoPrediction)


def test_rectification_halves_the_error_of_faces_beside_the_optical_axis(weights, loaded, biwi_dir):
    """The paper's claim; a rectification or a way back in the wrong direction doubles the error."""
    dataset = Biwi(biwi_dir)
    records = [record for record in dataset.records() if record.excluded is None]
    faces = [
        Face(record.image_id, dataset.read_image(record), record.box_xyxy, record.camera)
        for record in records
    ]
    R_label = np.stack([record.label.R_cam for record in records])
    plain, rectified = (
        geodesic_deg(np.stack([p.R_cam for p in method.predict(faces)]), R_label).mean()
        for option in ("", ",rectify=true")
        for method in [loaded(f"lwhpe[weights={weights}{option}]")]
    )
    np.testing.assert_allclose([plain, rectified], [5.32, 2.70], atol=0.1)
