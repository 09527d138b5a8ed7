"""OpenVINO's network: decode by its documentation, batches, files."""

from __future__ import annotations

import numpy as np
import pytest

from hpbench.errors import WeightsError
from hpbench.face import Face
from hpbench.methods.adas.method import Adas
from hpbench.weights.store import sha256_of


@pytest.fixture(scope="session")
def weights(shared_path):
    return shared_path("weights/zoo/head-pose-estimation-adas-0001.xml")


def documented_rotation(yaw, pitch, roll):
    """Product of the model page's three factors; x to the camera, y to the right, z up."""
    Y, P, R = np.radians([yaw, pitch, roll])
    about_up = [[np.cos(Y), -np.sin(Y), 0], [np.sin(Y), np.cos(Y), 0], [0, 0, 1]]
    about_right = [[np.cos(P), 0, np.sin(P)], [0, 1, 0], [-np.sin(P), 0, np.cos(P)]]
    about_front = [[1, 0, 0], [0, np.cos(R), np.sin(R)], [0, -np.sin(R), np.cos(R)]]
    return np.array(about_up) @ about_right @ about_front


def test_decode_is_the_documented_rotation_in_the_camera_frame():
    to_camera = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
    for angles in ([0.0, 0.0, 0.0], [30.0, -20.0, 10.0], [-70.0, 40.0, -35.0]):
        R_cam, _ = Adas().rotations(np.array([angles]))
        expected = to_camera @ documented_rotation(*angles) @ to_camera.T
        np.testing.assert_allclose(R_cam[0], expected, atol=1e-12)


def test_a_graph_needs_its_numbers_beside_it(weights, tmp_path):
    graph = tmp_path / "net.xml"
    graph.write_bytes(weights.read_bytes())
    with pytest.raises(WeightsError, match=r"net\.bin: no such file; keep \.xml and \.bin"):
        Adas(Adas.Options(weights=str(graph))).fingerprint()


def test_the_published_weights_are_pinned(weights):
    for info in Adas.published:
        path = weights.with_suffix(info.file[-4:])
        assert (path.stat().st_size, sha256_of(path)) == (info.size_bytes, info.sha256)


def test_card_has_the_hash_of_the_numbers_too(weights):
    card = Adas(Adas.Options(weights=str(weights))).card()
    hashes = [sha256_of(weights), sha256_of(weights.with_suffix(".bin"))]
    assert card.weights_sha256 == ", ".join(hashes)
    assert card.weights == f"{weights.name}, {weights.stem}.bin"


def test_a_corrupted_graph_is_refused(weights, tmp_path, loaded):
    pytest.importorskip("openvino")
    (tmp_path / "net.bin").write_bytes(b"")
    (tmp_path / "net.xml").write_text("<net")
    with pytest.raises(WeightsError, match=r"net\.xml: cannot be opened as OpenVINO IR"):
        loaded(f"adas[weights={tmp_path / 'net.xml'}]")


def test_omp_num_threads_bounds_its_threads(weights, loaded, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    method = loaded(f"adas[weights={weights}]")
    assert method._graph._model.get_property("INFERENCE_NUM_THREADS") == 1


def test_a_batch_is_what_the_published_graph_gives_one_by_one(weights, loaded, aflw2000_faces):
    openvino = pytest.importorskip("openvino")
    method = loaded(f"adas[weights={weights}]")
    inputs = [method.prepare(face) for face in aflw2000_faces[0][:8]]
    single = {"INFERENCE_PRECISION_HINT": "f32"}
    graph = openvino.Core().compile_model(weights, "CPU", single)
    expected = []
    for pixels in inputs:
        outputs = graph(pixels[None, ..., ::-1].transpose(0, 3, 1, 2).astype(np.float32))
        expected.append([float(outputs[f"angle_{a}_fc"].item()) for a in "ypr"])
    np.testing.assert_allclose(method.infer(inputs), expected, atol=1e-3)


def test_reference_error_on_aflw2000(weights, loaded, aflw2000_errors):
    pytest.importorskip("openvino")
    method = loaded(f"adas[weights={weights}]")
    errors, predicted = aflw2000_errors(method)
    np.testing.assert_allclose(errors, [8.51, 14.23, 9.03, 10.59], atol=0.05)
    assert predicted == 1.0
    assert "training data" in method.card().weights_licence
    assert round(method.size().parameters / 1e6, 2) == 1.91  # the vendor's MParams


def test_a_face_at_the_edge_is_cut_off_at_the_image():
    face = Face("a", np.full((60, 60, 3), 200, np.uint8), np.array([-10.0, -10.0, 50.0, 50.0]))
    assert Adas().prepare(face).min() == 200
