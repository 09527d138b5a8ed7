"""Landmark detectors as a plugin kind, and PnP on top of them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from hpbench.datasets.aflw2000 import Aflw2000
from hpbench.errors import UsageError, WeightsError
from hpbench.face import Face
from hpbench.landmarks.base import LANDMARKS, make_landmark_detector
from hpbench.landmarks.dlib import installed_predictor
from hpbench.method import NoPrediction
from hpbench.registry import make_method


@pytest.fixture(scope="session")
def annotated_faces(aflw2000_dir):
    dataset = Aflw2000(aflw2000_dir)
    records = [record for record in dataset.records() if record.excluded is None][::25]
    return [
        Face(r.image_id, dataset.read_image(r), r.box_xyxy, None, r.landmarks_xy) for r in records
    ]


def error_of(detector, faces):
    """Median distance of what is found to the annotation, in face sizes; the median face."""
    shares = []
    for face in faces:
        found = detector.find(face)
        if isinstance(found, NoPrediction):
            continue
        distance = np.linalg.norm(found - face.landmarks_xy, axis=1)
        x0, y0, x1, y1 = face.box_xyxy
        shares.append(np.median(distance) / np.sqrt((x1 - x0) * (y1 - y0)))
    return np.median(shares)


def test_detectors_are_found_by_their_entry_points():
    assert {"annotated", "dlib", "facemesh", "tddfa"} <= set(LANDMARKS.plugins())


def test_an_unknown_detector_is_named_with_the_nearest_one():
    with pytest.raises(UsageError, match=r"no landmark detector 'dlip'; did you mean 'dlib'"):
        make_method("pnp[landmarks=dlip]")


def test_a_detectors_options_are_written_in_brackets(tmp_path):
    detector = make_landmark_detector("dlib[predictor=other.dat]")
    assert detector.options.predictor == Path("other.dat")
    with pytest.raises(UsageError, match="has no option 'size'"):
        make_method("pnp[landmarks=dlib[size=3]]")


def test_annotated_landmarks_are_given_as_they_are(annotated_faces):
    face = annotated_faces[0]
    np.testing.assert_array_equal(make_landmark_detector("annotated").find(face), face.landmarks_xy)


def test_a_face_without_annotation_has_no_annotated_landmarks():
    face = Face("a", np.zeros((8, 8, 3), np.uint8), np.array([0.0, 0.0, 8.0, 8.0]))
    assert isinstance(make_landmark_detector("annotated").find(face), NoPrediction)


@pytest.mark.parametrize(("detect", "limit"), [("on", 0.05), ("off", 0.08)])
def test_dlib_lies_near_the_annotation(annotated_faces, detect, limit):
    detector = make_landmark_detector(f"dlib[detect={detect}]")
    detector.load()
    assert error_of(detector, annotated_faces) < limit


def test_3ddfa_lies_near_the_annotation(annotated_faces, shared_path):
    weights = shared_path("weights/zoo/tddfa_mb05_120x120.pth")
    detector = make_landmark_detector(f"tddfa[weights={weights}]")
    detector.load()
    assert error_of(detector, annotated_faces) < 0.03


def test_pnp_on_3ddfas_landmarks(aflw2000_dir, annotated_faces, shared_path):
    weights = shared_path("weights/zoo/tddfa_mb05_120x120.pth")
    method = make_method(f"pnp[landmarks=tddfa[weights={weights}]]")
    method.load()
    on_annotation = make_method("pnp[landmarks=annotated]")
    on_annotation.load()
    found, expected = (
        np.stack([prediction.R_cam for prediction in m.predict(annotated_faces)])
        for m in (method, on_annotation)
    )
    angle = np.degrees(np.arccos((np.einsum("nij,nij->n", found, expected) - 1.0) / 2.0))
    assert np.median(angle) < 8.0
    assert method.card().title == "3DDFA_V2 landmarks and PnP"
    assert method.card().trained_on == ("w300lp",)


def test_the_fingerprint_follows_the_detector(shared_path):
    weights = shared_path("weights/zoo/tddfa_mb05_120x120.pth")
    specs = ("pnp", "pnp[landmarks=annotated]", f"pnp[landmarks=tddfa[weights={weights}]]")
    assert len({make_method(spec).fingerprint() for spec in specs}) == 3


def test_a_method_with_a_detector_pickles_before_and_after_loading():
    method = make_method("pnp")
    method.load()
    assert pickle.loads(pickle.dumps(method)).fingerprint() == method.fingerprint()


def test_a_predictor_that_has_changed_is_read_anew(tmp_path):
    file = tmp_path / "predictor.dat"
    file.symlink_to(installed_predictor())
    detector = make_landmark_detector(f"dlib[predictor={file}]")
    detector.load()
    file.unlink()
    file.write_bytes(b"none")
    with pytest.raises(WeightsError, match="not a dlib shape predictor"):
        detector.load()


@pytest.mark.parametrize(("limit", "believed"), [(0.12, True), (0.02, False)])
def test_a_detector_says_how_well_its_landmarks_have_to_fit(annotated_faces, limit, believed):
    """The annotated landmarks, each moved by 4 % of the face."""

    class Moved(type(make_landmark_detector("annotated"))):
        needs_box = True
        largest_fit_error = limit

        def find(self, face):
            noise = np.random.default_rng(0).normal(0.0, 0.04, (68, 2))
            return face.landmarks_xy + noise * np.ptp(face.landmarks_xy, axis=0).max()

    method = make_method("pnp[landmarks=annotated]")
    method._detector = Moved()
    (found,) = method.predict(annotated_faces[:1])
    assert isinstance(found, NoPrediction) is not believed
