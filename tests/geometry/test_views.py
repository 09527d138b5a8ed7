"""Views of a face against OpenCV's projection of the mirrored and of the rotated head."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hpbench.face import Camera, Face
from hpbench.geometry.boxes import box_from_points
from hpbench.geometry.views import jittered, mirrored, rotated
from hpbench.methods.pnp.models import face_model
from hpbench.registry import make_dataset
from hpbench.rotation import mirror_rotation, rotate_in_plane, rotation_from_angles

SIZE_WH = (160, 120)
R_CAM = rotation_from_angles([20.0, -10.0, 5.0])
DEPTH = np.array([0.3, -0.2, 9.0])
CAMERA = Camera(
    np.array([[400.0, 0.0, 71.0], [0.0, 360.0, 55.0], [0.0, 0.0, 1.0]]),
    np.array([0.1, -0.05, 0.02, -0.03, 0.01]),
)
POINTS_HEAD = np.random.default_rng(2).normal(size=(68, 3)) * 0.5


def seen(points_cam: np.ndarray, camera: Camera) -> np.ndarray:
    """Pixels of points in the camera's frame, by OpenCV."""
    zero = np.zeros(3)
    return cv2.projectPoints(points_cam, zero, zero, camera.matrix, camera.distortion)[0][:, 0]


def face_of(points_xy: np.ndarray, camera: Camera | None = CAMERA) -> Face:
    image = np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8)
    return Face("a", image, box_from_points(points_xy), camera, points_xy)


def blob_at(x: float, y: float) -> np.ndarray:
    """An image with one soft spot whose brightness is centred on (x, y)."""
    columns, rows = np.meshgrid(np.arange(SIZE_WH[0]), np.arange(SIZE_WH[1]))
    spot = 255.0 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2.0 * 3.0**2))
    return np.repeat(spot.round().astype(np.uint8)[..., None], 3, axis=-1)


def centre_of_light(image: np.ndarray) -> np.ndarray:
    light = image[..., 0].astype(float)
    rows, columns = np.indices(light.shape)
    return np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()


def test_mirrored_camera_sees_the_mirrored_head_in_the_mirrored_box():
    in_camera = POINTS_HEAD @ R_CAM.T + DEPTH
    face = mirrored(face_of(seen(in_camera, CAMERA)))
    mirrored_world = in_camera * (-1.0, 1.0, 1.0)
    pixels = seen(mirrored_world, face.camera)
    np.testing.assert_allclose(box_from_points(pixels), face.box_xyxy, atol=1e-9)
    head, depth = POINTS_HEAD * (-1.0, 1.0, 1.0), DEPTH * (-1.0, 1.0, 1.0)
    np.testing.assert_allclose(head @ mirror_rotation(R_CAM).T + depth, mirrored_world, atol=1e-12)


def test_mirrored_landmarks_of_a_symmetric_frontal_face_are_those_of_the_face():
    width = SIZE_WH[0]
    head = face_model("ict68").points
    scale = 40.0 / np.abs(head[:, :2]).max()
    middle = np.array([(width - 1) / 2.0 - scale * head[27:31, 0].mean(), 60.0])
    landmarks = head[:, :2] * scale + middle
    found = mirrored(face_of(landmarks, None)).landmarks_xy
    np.testing.assert_allclose(found, landmarks, atol=0.5)


def test_mirrored_landmarks_keep_their_meaning_on_a_photo(w300lp_dir):
    dataset = make_dataset("w300lp", w300lp_dir)
    frontal = [r for r in dataset.records() if r.label and np.abs(r.label.angles_deg).max() < 15]
    faces = [record for record in frontal if record.landmarks_xy is not None]
    assert faces
    for record in faces[:3]:
        image = dataset.read_image(record)
        given = record.landmarks_xy
        found = mirrored(Face("a", image, record.box_xyxy, None, given)).landmarks_xy
        aligned = found + np.array([given[27, 0] - found[27, 0], 0.0])  # by the bridge of the nose
        distance = np.linalg.norm(aligned - given, axis=1)
        assert np.median(distance) < 0.2 * np.ptp(given[:, 0])


def test_mirrored_twice_is_the_face_itself():
    face = face_of(seen(POINTS_HEAD @ R_CAM.T + DEPTH, CAMERA))
    again = mirrored(mirrored(face))
    np.testing.assert_array_equal(again.image, face.image)
    for attribute in ("box_xyxy", "landmarks_xy"):
        np.testing.assert_allclose(
            getattr(again, attribute), getattr(face, attribute), rtol=0, atol=1e-12
        )
    np.testing.assert_allclose(again.camera.matrix, CAMERA.matrix)
    np.testing.assert_allclose(again.camera.distortion, CAMERA.distortion)


@pytest.mark.parametrize("angle_deg", [25.0, -140.0])
def test_rotated_camera_sees_the_rotated_head(angle_deg):
    in_camera = POINTS_HEAD @ R_CAM.T + DEPTH
    face = rotated(face_of(seen(in_camera, CAMERA)), angle_deg)
    about_axis, _ = cv2.Rodrigues(np.array([0.0, 0.0, np.radians(angle_deg)]))
    rotated_world = in_camera @ about_axis.T
    np.testing.assert_allclose(seen(rotated_world, face.camera), face.landmarks_xy, atol=1e-9)
    np.testing.assert_allclose(rotate_in_plane(R_CAM, angle_deg), about_axis @ R_CAM, atol=1e-12)


@pytest.mark.parametrize("camera", [None, CAMERA])
@pytest.mark.parametrize(
    "change", [mirrored, lambda face: rotated(face, 33.0)], ids=["mirrored", "rotated"]
)
def test_pixels_lie_where_landmarks_and_box_say(change, camera):
    x, y = 84.3, 40.8
    box = np.array([x - 10.0, y - 8.0, x + 10.0, y + 8.0])
    landmarks = np.full((68, 2), (x, y))
    face = change(Face("a", blob_at(x, y), box, camera, landmarks))
    assert face.image.shape == (SIZE_WH[1], SIZE_WH[0], 3)
    np.testing.assert_allclose(centre_of_light(face.image), face.landmarks_xy[0], atol=0.02)
    middle = (face.box_xyxy[:2] + face.box_xyxy[2:]) / 2.0
    np.testing.assert_allclose(middle, face.landmarks_xy[0], atol=1e-9)
    np.testing.assert_allclose(face.box_xyxy[2:] - face.box_xyxy[:2], [20.0, 16.0], atol=1e-9)


def test_rotation_by_a_quarter_turn_moves_every_pixel_exactly():
    image = np.random.default_rng(0).integers(0, 256, (31, 31, 3), dtype=np.uint8)
    face = rotated(Face("a", image, np.array([5.0, 5.0, 20.0, 25.0])), 90.0)
    # Pillow cuts grey levels off where a rounding error blends two pixels
    np.testing.assert_allclose(face.image.astype(int), np.rot90(image, -1).astype(int), atol=1)


def test_jittered_box_is_that_worked_out_by_hand():
    face = Face("a", np.zeros((100, 100, 3), np.uint8), np.array([10.0, 20.0, 50.0, 40.0]))
    # 40 x 20 pixels: moved by 4 and -1, each side longer by 10 %
    np.testing.assert_allclose(
        jittered(face, (0.1, -0.05), 0.1).box_xyxy, [10 + 4 - 2, 20 - 1 - 1, 50 + 4 + 2, 40 - 1 + 1]
    )
