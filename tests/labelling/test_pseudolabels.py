"""Pseudo-labels: means of rotations, views of a face, and the table they become."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpbench.errors import DataError
from hpbench.face import Face
from hpbench.labelling.pseudolabels import blend_own_yaw, jittered_views, label_faces, mean_rotation
from hpbench.registry import make_dataset, make_method
from hpbench.rotation import angles_from_rotation, geodesic_deg, rotation_from_angles


def test_mean_of_rotations_agrees_with_scipy():
    rotations = Rotation.from_rotvec(np.random.default_rng(0).normal(0.0, 0.3, (20, 3)))
    weights = np.random.default_rng(1).random(20)
    expected = rotations.mean(weights=weights).as_matrix()
    found = mean_rotation(rotations.as_matrix(), weights)
    assert float(geodesic_deg(found, expected)) < 1e-6


def test_first_view_is_the_face_itself_and_its_mirror_lies_on_the_mirrored_face():
    image = np.zeros((20, 40, 3), np.uint8)
    image[5:15, 4:12] = 255
    face = Face("a", image, np.array([4.0, 5.0, 12.0, 15.0]))
    (plain, is_mirrored), (mirror, mirror_is_mirrored) = jittered_views(
        face, 1, np.random.default_rng(0)
    )
    assert (is_mirrored, mirror_is_mirrored) == (False, True)
    np.testing.assert_array_equal(plain.box_xyxy, face.box_xyxy)
    x0, y0, x1, y1 = mirror.box_xyxy.astype(int)
    assert mirror.image[y0:y1, x0:x1].min() == 255
    assert mirror.image.sum() == mirror.image[y0:y1, x0:x1].sum()


def test_own_yaw_counts_from_30_degrees_and_most_at_90():
    label = rotation_from_angles([60.0, 10.0, 5.0])

    def blended(own_yaw: float) -> list[float]:
        return angles_from_rotation(blend_own_yaw(label, own_yaw, 30.0, 0.6)).tolist()

    assert blended(90.0) == pytest.approx([0.4 * 60.0 + 0.6 * 90.0, 10.0, 5.0])
    assert blended(60.0) == pytest.approx([60.0, 10.0, 5.0])
    assert blended(float("nan")) == pytest.approx([60.0, 10.0, 5.0])
    assert blended(20.0) == pytest.approx([60.0, 10.0, 5.0])


def test_a_teacher_that_always_says_frontal_has_no_spread(pointing04_dir):
    faces = make_dataset("pointing04", pointing04_dir)
    teacher = make_method("constant")
    teacher.load()
    labels, failures = label_faces(faces, faces.records()[:3], [teacher], views=2)
    assert not failures
    for label in labels:
        assert label.predictions == 4
        assert label.spread_deg == pytest.approx(0.0, abs=1e-5)
        np.testing.assert_allclose(label.R_cam, np.eye(3), atol=1e-9)


def test_no_face_to_label_is_an_error(pointing04_dir):
    faces = make_dataset("pointing04", pointing04_dir)
    teacher = make_method("constant")
    teacher.load()
    with pytest.raises(DataError, match="no face could be labelled"):
        label_faces(faces, [], [teacher])


def test_hopenet_lite_labels_near_frontal_photos_near_their_grid(
    pointing04_dir, hopenet_lite_weights
):
    """Pan and tilt of 0 or +-15 degrees are about where heads went (protocols.md, B.3)."""
    faces = make_dataset("pointing04", pointing04_dir)
    chosen = [
        record for record in faces.records() if np.abs(record.label.angles_deg[:2]).max() <= 15.0
    ][::40]
    teacher = make_method(f"hopenet[weights={hopenet_lite_weights},crop=hopenet-train]")
    teacher.load()
    labels, _ = label_faces(faces, chosen, [teacher], views=1)
    yaw = np.array([angles_from_rotation(label.R_cam)[0] for label in labels])
    asked = np.array([label.record.label.angles_deg[0] for label in labels])
    assert len(labels) >= 6
    assert np.abs(yaw - asked).mean() < 8.0
