"""Figures on the 491 AFLW2000-3D images at hand whose angles are all within 99 degrees.

Measured for this project on the same images with scripts of their own; errors are per angle,
wrapped at 360 degrees, angles read with yaw in -90..90.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import loadmat

from hpbench.detectors.base import make_detector
from hpbench.face import Face
from hpbench.geometry.boxes import box_from_points, match_box
from hpbench.images import read_rgb
from hpbench.method import NoPrediction
from hpbench.methods.pnp import face_model, solve_pose
from hpbench.registry import make_method
from hpbench.rotation import angles_from_rotation, wrap_deg

CAMERA = np.array([[450.0, 0.0, 225.0], [0.0, 450.0, 225.0], [0.0, 0.0, 1.0]])


@pytest.fixture(scope="module")
def labels(aflw2000_dir):
    """Image files, landmarks (n, 68, 2) and yaw, pitch, roll (n, 3) in degrees."""
    images, landmarks, angles = [], [], []
    for file in sorted(aflw2000_dir.rglob("*.mat")):
        mat = loadmat(file)
        pitch, yaw, roll = np.degrees(mat["Pose_Para"][0, :3])
        if max(abs(pitch), abs(yaw), abs(roll)) <= 99:
            images.append(file.with_suffix(".jpg"))
            landmarks.append(mat["pt3d_68"][:2].T.astype(float))
            angles.append((yaw, pitch, roll))
    if len(images) != 491:
        pytest.skip(f"the figures are for 491 images, here are {len(images)}")
    return images, np.array(landmarks), np.array(angles)


@pytest.fixture(scope="module")
def pictureless_faces(labels):
    images, landmarks, _ = labels
    black = np.zeros((450, 450, 3), np.uint8)
    return [
        Face(image.stem, black, box_from_points(points), None, points)
        for image, points in zip(images, landmarks, strict=True)
    ]


def mean_errors_deg(predictions, angles):
    read = angles_from_rotation([prediction.R_cam for prediction in predictions])
    return np.abs(wrap_deg(read - angles)).mean(axis=0)


def test_constant(pictureless_faces, labels):
    errors = mean_errors_deg(make_method("constant").predict(pictureless_faces), labels[2])
    assert errors == pytest.approx([27.2, 14.1, 13.9], abs=0.05)


def test_mallick6_with_the_sound_solver(pictureless_faces, labels):
    method = make_method("pnp[model=mallick6,landmarks=annotated]")
    errors = mean_errors_deg(method.predict(pictureless_faces), labels[2])
    assert errors == pytest.approx([5.76, 6.15, 3.75], abs=0.15)


@pytest.mark.parametrize(
    ("options", "mean"),
    [
        ("model=ict68", 5.38),
        ("model=ict68,focal=2", 4.36),
        ("model=ict68,focal=4", 4.03),
        ("model=ict51", 3.95),
        ("model=ict51,focal=2", 4.00),
        ("model=ict51,focal=4", 4.06),
        ("model=ict68,solver=sop", 4.05),
        ("model=ict51,solver=sop", 5.01),
    ],
)
def test_the_ict_face(pictureless_faces, labels, options, mean):
    method = make_method(f"pnp[landmarks=annotated,{options}]")
    errors = mean_errors_deg(method.predict(pictureless_faces), labels[2])
    assert errors.mean() == pytest.approx(mean, abs=0.02)


def test_a_face_that_moves_is_nearer_than_any_rigid_one(pictureless_faces, labels):
    """3.60 with a fit of the same model by other code, jaw points counted in full."""
    method = make_method("pnp[landmarks=annotated]")
    errors = mean_errors_deg(method.predict(pictureless_faces), labels[2])
    assert errors == pytest.approx([1.46, 4.40, 2.24], abs=0.05)


def test_landmarks_that_are_no_good_get_no_prediction(labels):
    images, landmarks, angles = (part[::3] for part in labels)
    method = make_method("pnp")
    predictions = [
        method.predict([Face(file.stem, read_rgb(file), box_from_points(points))])[0]
        for file, points in zip(images, landmarks, strict=True)
    ]
    found = np.array([not isinstance(prediction, NoPrediction) for prediction in predictions])
    solved = [prediction for prediction in predictions if not isinstance(prediction, NoPrediction)]
    assert found.mean() == pytest.approx(0.75, abs=0.03)
    assert mean_errors_deg(solved, angles[found]).mean() == pytest.approx(3.9, abs=0.3)


def test_only_the_naive_solver_puts_heads_behind_the_camera(labels):
    model = face_model("mallick6")

    def behind(solver):
        return sum(
            solve_pose(points[model.landmark_ids], model.points, CAMERA, solver=solver).t_cam[2]
            <= 0
            for points in labels[1]
        )

    assert behind("iterative") == pytest.approx(147, abs=15)
    assert behind("sqpnp") == 0


def test_the_naive_solver_is_left_unrepaired(pictureless_faces, labels):
    method = make_method("pnp[model=mallick6,landmarks=annotated,solver=iterative]")
    errors = mean_errors_deg(method.predict(pictureless_faces), labels[2])
    assert errors.mean() == pytest.approx(28, abs=2)


def test_the_naive_solver_depends_on_where_the_model_has_its_origin(labels):
    """OpenCV's linear start is not invariant: the same face, centred, fails far less often."""
    model = face_model("mallick6")
    centred = model.points - model.points.mean(axis=0)

    def behind(points_3d):
        return sum(
            solve_pose(points[model.landmark_ids], points_3d, CAMERA, solver="iterative").t_cam[2]
            <= 0
            for points in labels[1]
        )

    assert behind(model.points) > 3 * behind(centred)


def test_dlib_landmarks_in_the_annotated_boxes(labels):
    images, landmarks, angles = labels
    method = make_method("pnp[model=mallick6,check=off]")
    faces = (
        Face(file.stem, read_rgb(file), box_from_points(points))
        for file, points in zip(images, landmarks, strict=True)
    )
    predictions = [method.predict([face])[0] for face in faces]
    assert mean_errors_deg(predictions, angles).mean() == pytest.approx(16.4, abs=1.5)


def test_dlib_landmarks_in_the_boxes_that_dlib_finds(labels):
    every_second = slice(None, None, 2)
    images, landmarks, angles = (part[every_second] for part in labels)
    detector, method = make_detector("dlib"), make_method("pnp[model=mallick6,check=off]")
    predictions = []
    for file, points in zip(images, landmarks, strict=True):
        image = read_rgb(file)
        boxes, _ = detector.detect(image)
        place = match_box(boxes, box_from_points(points))
        if place is None:
            predictions.append(NoPrediction("missed"))
        else:
            predictions.extend(method.predict([Face(file.stem, image, boxes[place])]))
    found = np.array([not isinstance(prediction, NoPrediction) for prediction in predictions])
    solved = [prediction for prediction in predictions if not isinstance(prediction, NoPrediction)]

    assert found.mean() == pytest.approx(0.74, abs=0.02)
    assert mean_errors_deg(solved, angles[found]).mean() == pytest.approx(5.95, abs=0.5)
    profile = np.abs(angles[:, 0]) > 60
    assert found[profile].mean() < 0.3  # a frontal detector: what it misses is not at random


def test_found_landmarks_lie_near_the_annotated_ones(labels):
    """Frontal faces only; the distance is in box sizes, as 300-W's NME is in face sizes."""
    images, landmarks, angles = labels
    frontal = np.flatnonzero(np.abs(angles).max(axis=1) < 15)[:20]
    method = make_method("pnp[check=off]")
    errors = []
    for place in frontal:
        box = box_from_points(landmarks[place])
        seen = method.prepare(Face("a", read_rgb(images[place]), box))
        distance = np.linalg.norm(seen.landmarks_xy - landmarks[place], axis=1).mean()
        errors.append(distance / np.sqrt((box[2:] - box[:2]).prod()))
    assert np.median(errors) < 0.05
