from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpbench.datasets.biwi import Biwi, BiwiOptions
from hpbench.errors import DataError
from hpbench.geometry.boxes import iou
from hpbench.rotation import geodesic_deg, is_rotation


@pytest.fixture(scope="module")
def real(biwi_dir: Path):
    return Biwi(biwi_dir).records()


def test_frame_00003_has_the_published_angles(real):
    first = real[0]
    assert first.image_id == "01/frame_00003"
    assert first.label.angles_deg == pytest.approx([3.291, 7.607, -1.567], abs=1e-3)


def test_six_digit_matrix_becomes_an_exact_rotation(real):
    assert all(is_rotation(record.label.R_cam, tolerance=1e-12) for record in real)


def test_box_is_where_a_detector_sees_the_face(biwi_dir, real):
    """The wrong direction of the depth-to-colour transform would move it by a quarter."""
    import dlib

    image = Biwi(biwi_dir).read_image(real[0])
    face = dlib.get_frontal_face_detector()(image, 0)[0]
    assert iou(real[0].box_xyxy, [face.left(), face.top(), face.right(), face.bottom()]) > 0.75


def test_box_centre_agrees_with_opencv_projection(biwi_dir, real):
    import cv2

    values = np.array((biwi_dir / "01" / "rgb.cal").read_text().split(), dtype=float)
    R_rgb_depth, t_mm = values[13:22].reshape(3, 3), values[22:25]
    pose = np.array((biwi_dir / "01" / "frame_00003_pose.txt").read_text().split(), dtype=float)
    rvec, _ = cv2.Rodrigues(R_rgb_depth)
    camera = real[0].camera
    projected, _ = cv2.projectPoints(pose[None, 9:], rvec, t_mm, camera.matrix, camera.distortion)
    box = real[0].box_xyxy
    assert (box[:2] + box[2:]) / 2 == pytest.approx(projected.ravel(), abs=1e-6)


def test_calibrated_labels_turn_by_the_angle_between_the_cameras(biwi_dir, real):
    """By hand from the trace in rgb.cal: acos((2.999668 - 1) / 2) is 1.04 degrees."""
    calibrated = Biwi(biwi_dir, BiwiOptions(calibrated=True)).records()
    turned = [
        geodesic_deg(a.label.R_cam, b.label.R_cam) for a, b in zip(real, calibrated, strict=True)
    ]
    assert turned == pytest.approx([1.04] * len(real), abs=0.02)
    pitch_change = calibrated[0].label.angles_deg[1] - real[0].label.angles_deg[1]
    assert 0.5 < pitch_change < 1.5  # the field's average over all sequences is +1.08


def test_made_frame_projects_by_hand(write_sequence, tmp_path):
    write_sequence(tmp_path / "hpdb")
    record = Biwi(tmp_path, BiwiOptions(face_mm=200)).records()[0]
    # x = 500 * (80 + 20) / 1000 + 320, y = 500 * 40 / 1000 + 240, half side 500 * 100 / 1000
    assert record.box_xyxy.tolist() == [320, 210, 420, 310]
    assert record.camera.matrix[0].tolist() == [500, 0, 320]
    assert record.camera.distortion.shape == (5,)


def test_turned_colour_camera_sees_the_head_where_opencv_projects_it(write_sequence, tmp_path):
    """The point and the label go from the depth camera's frame into the colour camera's."""
    import cv2

    to_colour = Rotation.from_euler("xyz", [4, -7, 2], degrees=True).as_matrix()
    head = Rotation.from_euler("xyz", [10, 25, -15], degrees=True).as_matrix()
    t_mm, centre_mm = np.array([20.0, -3.0, 8.0]), np.array([80.0, 40.0, 1000.0])
    matrix, distortion = (
        np.array([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]]),
        [0.1, -0.2, 3e-3, 4e-3],
    )
    folder = write_sequence(tmp_path / "hpdb", frames=1)
    numbers = [*matrix.ravel(), *distortion, *to_colour.ravel(), *t_mm, 640, 480]
    (folder / "rgb.cal").write_text(" ".join(map(str, numbers)))
    pose = " ".join(map(str, [*head.ravel(), *centre_mm]))
    (folder / "frame_00003_pose.txt").write_text(pose)
    (record,) = Biwi(tmp_path).records()
    (calibrated,) = Biwi(tmp_path, BiwiOptions(calibrated=True)).records()
    np.testing.assert_allclose(record.label.R_cam, head, atol=1e-12)
    np.testing.assert_allclose(calibrated.label.R_cam, to_colour @ head, atol=1e-12)
    rvec, _ = cv2.Rodrigues(to_colour)
    seen, _ = cv2.projectPoints(centre_mm[None], rvec, t_mm, matrix, None)  # boxes leave it out
    np.testing.assert_allclose(record.box_xyxy.reshape(2, 2).mean(axis=0), seen.ravel(), atol=1e-9)
    assert record.camera.distortion.tolist() == [*distortion, 0.0]


def test_sequence_is_the_group_and_repeated_people_share_a_subject(write_sequence, tmp_path):
    names = [f"{number:02d}" for number in range(1, 25)]
    for name in names:
        write_sequence(tmp_path, name, frames=1)
    records = Biwi(tmp_path).records()
    assert [record.group for record in records] == names
    subject = {record.group: record.factors["subject"] for record in records}
    assert len(set(subject.values())) == 20
    for first, again in (("03", "15"), ("05", "18"), ("02", "21"), ("07", "22")):
        assert subject[first] == subject[again]


def test_frame_list_picks_frames_in_the_order_of_the_data_set(write_sequence, tmp_path):
    write_sequence(tmp_path / "hpdb", frames=3)
    listed = tmp_path / "frames.txt"
    listed.write_text("# the best ones\n01/frame_00005\n\n01/frame_00003\n")
    records = Biwi(tmp_path / "hpdb", BiwiOptions(frames=listed)).records()
    assert [record.image_id for record in records] == ["01/frame_00003", "01/frame_00005"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("01/frame_00003\n01/frame_99999\n", r"frames\.txt:2: no frame '01/frame_99999'"),
        ("01/frame_00003\n01/frame_00003\n", r"frames\.txt:2: .* is already in line 1"),
        ("\n# nothing\n", "frame list is empty"),
    ],
)
def test_wrong_frame_list_is_refused_with_its_line(write_sequence, tmp_path, text, message):
    write_sequence(tmp_path / "hpdb")
    listed = tmp_path / "frames.txt"
    listed.write_text(text)
    with pytest.raises(DataError, match=message):
        Biwi(tmp_path / "hpdb", BiwiOptions(frames=listed)).records()


def test_frame_list_enters_the_protocol_by_content_and_not_by_path(tmp_path):
    settings = []
    for name, text in {"a": "01/frame_00003\n", "b": "01/frame_00003\n", "c": "01/f\n"}.items():
        (tmp_path / name).write_text(text)
        settings.append(Biwi(None, BiwiOptions(frames=tmp_path / name)).protocol_settings())
    assert settings[0] == settings[1] != settings[2]
    assert str(tmp_path) not in str(settings)


def test_one_bad_frame_among_good_ones_is_a_record_with_its_reason(write_sequence, tmp_path):
    folder = write_sequence(tmp_path, frames=6)
    (folder / "frame_00004_pose.txt").write_text("1 0 0\n0 1 0\n")
    (folder / "frame_00005_pose.txt").write_text("1 0 0\n0 1 0\n0 0 1\n\nnan 40 1000\n")
    (folder / "frame_00006_pose.txt").write_text("2 0 0\n0 1 0\n0 0 1\n\n80 40 1000\n")
    (folder / "frame_00007_pose.txt").unlink()
    (folder / "frame_00008_pose.txt").write_text("1 0 0\n0 1 0\n0 0 1\n\n80 40 -1000\n")
    assert [record.excluded for record in Biwi(tmp_path).records()] == [
        None,
        "frame_00004_pose.txt: holds 6 numbers instead of 12",
        "frame_00005_pose.txt: label is not a number",
        "frame_00006_pose.txt: its matrix is not a rotation",
        "frame_00007_pose.txt: no such file",
        "the labelled head centre lies behind the camera",
    ]


def test_only_boxes_and_calibrated_labels_need_the_calibration(write_sequence, tmp_path):
    write_sequence(tmp_path, "01", frames=1)
    (write_sequence(tmp_path, "02", frames=1) / "rgb.cal").unlink()
    with_box, without = Biwi(tmp_path).records()
    assert (with_box.excluded, without.excluded) == (None, None)
    assert with_box.box_xyxy is not None and without.box_xyxy is without.camera is None
    assert without.label.angles_deg.tolist() == with_box.label.angles_deg.tolist()
    reasons = [record.excluded for record in Biwi(tmp_path, BiwiOptions(calibrated=True)).records()]
    assert reasons == [None, "rgb.cal: no such file, which calibrated=true needs"]


@pytest.mark.parametrize("name", ["frame_00003_rgb.jpg", "frame_00003_rgb.JPG", "frame_00003.jpeg"])
def test_copy_with_jpeg_images_one_folder_further_down_is_read(write_sequence, tmp_path, name):
    folder = write_sequence(tmp_path / "archive" / "faces_0", frames=1)
    for image in folder.glob("*.png"):
        image.unlink()
    (folder / name).write_bytes(b"")
    (tmp_path / "archive" / "notes").mkdir()
    (record,) = Biwi(tmp_path / "archive").records()
    assert (record.image_id, record.image_path) == ("01/frame_00003", folder / name)


def test_the_original_image_goes_before_its_jpeg_copy(write_sequence, tmp_path):
    folder = write_sequence(tmp_path, frames=1)
    (folder / "frame_00003_rgb.png").write_bytes(b"")
    (folder / "frame_00003_rgb.jpg").write_bytes(b"")
    assert Biwi(tmp_path).records()[0].image_path.suffix == ".png"


def test_two_folders_of_sequences_are_both_named(write_sequence, tmp_path):
    write_sequence(tmp_path / "a")
    write_sequence(tmp_path / "b")
    with pytest.raises(DataError, match="a and b hold sequences; pass one"):
        Biwi(tmp_path).records()


def test_folder_without_frames_is_refused(tmp_path):
    with pytest.raises(DataError, match="contains no sequence folder"):
        Biwi(tmp_path).records()


def test_list_of_frames_may_lie_in_the_home_folder(write_sequence, tmp_path, monkeypatch):
    """A shell expands no ~ within brackets."""
    monkeypatch.setenv("HOME", str(tmp_path))
    write_sequence(tmp_path / "hpdb", frames=3)
    (tmp_path / "list.txt").write_text("01/frame_00003\n")
    assert len(Biwi(tmp_path / "hpdb", BiwiOptions(frames=Path("~/list.txt"))).records()) == 1


def test_part_that_a_list_chooses_is_not_called_incomplete(write_sequence, tmp_path):
    write_sequence(tmp_path / "hpdb", frames=3)
    (tmp_path / "list.txt").write_text("01/frame_00003\n")
    root = tmp_path / "hpdb"
    assert Biwi(root, BiwiOptions()).complete_faces() == 15678
    assert Biwi(root, BiwiOptions(frames=tmp_path / "list.txt")).complete_faces() is None
