from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hpbench.datasets.aflw2000 import Aflw2000, Aflw2000Options
from hpbench.errors import DataError
from hpbench.rotation import geodesic_deg, nearest_rotation


@pytest.fixture(scope="module")
def real(aflw2000_dir: Path):
    return Aflw2000(aflw2000_dir).records()


def test_image00002_has_the_published_angles(real):
    yaw, pitch, roll = next(r for r in real if r.image_id == "image00002").label.angles_deg
    assert (yaw, pitch, roll) == pytest.approx((1.0443, -22.874, 4.909), abs=1e-3)


def test_labels_agree_with_the_rigid_motion_of_the_3d_landmarks(real):
    """Aligning pt3d_68 of two faces gives their relative rotation without any Euler angle."""
    from scipy.io import loadmat

    def points_in_camera(record):
        x, y, z_to_viewer = loadmat(record.image_path.with_suffix(".mat"))["pt3d_68"].astype(float)
        points = np.stack([x, y, -z_to_viewer], axis=1)
        return points - points.mean(axis=0)

    faces = [r for r in real if r.excluded is None][::10]
    frontal = min(faces, key=lambda r: float(geodesic_deg(r.label.R_cam, np.eye(3))))
    head = points_in_camera(frontal) @ frontal.label.R_cam
    errors = [
        geodesic_deg(nearest_rotation(points_in_camera(r).T @ head), r.label.R_cam) for r in faces
    ]
    assert max(abs(r.label.angles_deg[0]) for r in faces) > 80
    assert np.median(errors) < 2.0
    assert max(errors) < 8.0


def test_the_nine_faces_beyond_99_degrees_are_excluded_with_their_reason(real):
    excluded = {record.image_id: record.excluded for record in real if record.excluded}
    assert len(real) == 500
    assert set(excluded) == {
        f"image{number}"
        for number in (
            ["00088", "00150", "00339", "00352", "00617", "00983", "03162", "03174", "03286"]
        )
    }
    assert excluded["image00088"] == "|roll| 103.4 deg is beyond 99"


def test_constant_predictor_scores_the_reference_figure(real):
    angles = np.array([r.label.angles_deg for r in real if r.excluded is None])
    assert np.abs(angles).mean(axis=0) == pytest.approx([27.2, 14.1, 13.9], abs=0.06)


def test_no_limit_keeps_every_face(aflw2000_dir):
    options = Aflw2000Options(max_abs_angle_deg="none")
    assert not any(r.excluded for r in Aflw2000(aflw2000_dir, options).records())


def test_clean_excludes_doubtful_labels(write_face, tmp_path):
    for stem in ("image02139", "image00002"):
        write_face(tmp_path, stem)
    records = Aflw2000(tmp_path, Aflw2000Options(clean=True)).records()
    assert [bool(record.excluded) for record in records] == [False, True]


def test_hidden_points_pull_the_raw_box_to_the_corner_and_no_other(write_face, tmp_path):
    hidden = np.array([[100.0, -1.0, 200.0], [150.0, 452.0, 250.0]])
    write_face(tmp_path, "image00002", pt2d=hidden)
    box = {
        rule: Aflw2000(tmp_path, Aflw2000Options(box=rule)).records()[0].box_xyxy.tolist()
        for rule in ("pt2d", "pt2d-visible", "pt2d-positive", "pt3d_68")
    }
    assert box == {
        "pt2d": [-1, 150, 200, 452],
        "pt2d-visible": [100, 150, 200, 250],
        "pt2d-positive": [100, 150, 200, 250],
        "pt3d_68": [20, 12, 50, 40],
    }


@pytest.mark.parametrize(
    ("points", "box"),
    [
        ([[10.0, 20.0, 30.0], [-4.0, -2.0, 40.0]], [30, 40, 30, 40]),
        ([[10.0, 20.0, 0.0], [5.0, 6.0, 7.0]], [10, 5, 20, 6]),  # zero is not positive
    ],
)
def test_fsanet_rule_judges_by_the_axis_with_fewer_positive_points(
    write_face, tmp_path, points, box
):
    write_face(tmp_path, "image00002", pt2d=np.array(points))
    record = Aflw2000(tmp_path, Aflw2000Options(box="pt2d-positive")).records()[0]
    assert record.box_xyxy.tolist() == box


def test_427_of_the_500_real_faces_have_hidden_points(aflw2000_dir):
    records = Aflw2000(aflw2000_dir, Aflw2000Options(box="pt2d")).records()
    assert sum(record.box_xyxy[0] == -1 for record in records) == 427


def test_real_faces_carry_68_landmarks_that_span_the_default_box(real):
    points = real[0].landmarks_xy
    assert points.shape == (68, 2)
    assert real[0].box_xyxy.tolist() == [*points.min(axis=0), *points.max(axis=0)]


def test_original_archive_with_code_folder_is_read_like_a_flat_folder(write_face, tmp_path):
    write_face(tmp_path / "AFLW2000", "image00002")
    (tmp_path / "Code").mkdir()
    (tmp_path / "Code" / "model.mat").write_bytes(b"not a face")
    assert [r.image_id for r in Aflw2000(tmp_path).records()] == ["image00002"]


@pytest.mark.parametrize("suffix", [".jpg", ".mat"])
def test_files_that_a_mac_leaves_in_archives_are_no_faces(write_face, tmp_path, suffix):
    write_face(tmp_path, "image00002")
    (tmp_path / f"._image00002{suffix}").write_bytes(b"Mac OS X")
    assert [record.image_id for record in Aflw2000(tmp_path).records()] == ["image00002"]


def test_one_bad_file_among_good_ones_is_a_record_with_its_reason(write_face, tmp_path):
    write_face(tmp_path, "image00002")
    write_face(tmp_path, "image00004", Pose_Para=None, other=1.0)
    write_face(tmp_path, "image00006", yaw_deg=float("nan"))
    truncated = write_face(tmp_path, "image00008")
    truncated.write_bytes(truncated.read_bytes()[:200])
    write_face(tmp_path, "image00010").unlink()
    write_face(tmp_path, "image00012", pt3d_68=None)
    write_face(tmp_path, "image00014", pt3d_68=np.zeros((3, 5)))
    write_face(tmp_path, "image00016", Pose_Para=np.zeros((1, 2)))
    write_face(tmp_path, "image00018", pt3d_68=np.full((3, 68), np.nan))
    write_face(tmp_path, "image00020", pt3d_68=np.eye(3, 68) * 20.0)  # zero is a coordinate
    reasons = {r.image_id: r.excluded for r in Aflw2000(tmp_path).records()}
    assert reasons.pop("image00002") is reasons.pop("image00020") is None
    assert reasons["image00004"] == "image00004.mat: no Pose_Para in it"
    assert reasons["image00006"] == "image00006.mat: label is not a number"
    assert reasons["image00008"].startswith("image00008.mat: cannot be read as a MATLAB file")
    assert reasons["image00010"] == "image00010.mat: no such label file"
    assert reasons["image00012"] == "image00012.mat: no pt3d_68 in it, which box=pt3d_68 needs"
    assert "3x5" in reasons["image00014"]
    assert "2 values" in reasons["image00016"]
    assert reasons["image00018"] == "image00018.mat: a coordinate of pt3d_68 is not a number"


def test_face_with_only_hidden_points_is_excluded_under_that_box_rule(write_face, tmp_path):
    write_face(tmp_path, "image00002")
    write_face(tmp_path, "image00004", pt2d=np.array([[-1.0, -1.0], [452.0, 452.0]]))
    records = Aflw2000(tmp_path, Aflw2000Options(box="pt2d-visible")).records()
    assert records[1].excluded == (
        "image00004.mat: no usable point for box=pt2d-visible: all are hidden"
    )


def test_label_without_its_image_stays_in_the_index(write_face, tmp_path):
    write_face(tmp_path, "image00002")
    write_face(tmp_path, "image00004").with_suffix(".jpg").unlink()
    records = Aflw2000(tmp_path).records()
    assert [r.image_path.name for r in records] == ["image00002.jpg", "image00004.jpg"]


def test_folder_of_unusable_faces_is_refused_with_the_first_reason(write_face, tmp_path):
    for stem in ("image00002", "image00004"):
        write_face(tmp_path, stem, Pose_Para=None, other=1.0)
    with pytest.raises(DataError, match=r"none of its 2 faces .* image00002\.mat: no Pose_Para"):
        Aflw2000(tmp_path).records()


def test_missing_folder_empty_folder_and_file_are_refused_by_name(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name, message in {
        "missing": "no such folder",
        "empty": "contains no image",
        "file": "is a file",
    }.items():
        with pytest.raises(DataError, match=f"{name}: {message}"):
            Aflw2000(tmp_path / name).records()


def test_two_images_of_one_name_are_refused(write_face, tmp_path):
    write_face(tmp_path, "image00002")
    (tmp_path / "image00002.png").write_bytes((tmp_path / "image00002.jpg").read_bytes())
    with pytest.raises(DataError, match=r"image00002\.png: image00002\.jpg has the same name"):
        Aflw2000(tmp_path).records()


def test_every_box_rule_is_another_protocol():
    hashes = {protocol.name: protocol.hash for protocol in Aflw2000.protocols}
    assert next(iter(hashes)) == "default"
    assert set(hashes) == {"default", "hopenet-paper", "fsanet", "all-2000"}
    assert len(set(hashes.values())) == 4


def test_protocol_settings_are_the_settings_of_the_named_protocol():
    for protocol in Aflw2000.protocols:
        options = Aflw2000Options.model_validate(protocol.settings)
        assert Aflw2000(None, options).protocol_settings() == protocol.settings


def test_import_loads_no_heavy_library():
    code = (
        "import sys; import hpbench.datasets.aflw2000, hpbench.datasets.biwi, "
        "hpbench.datasets.pointing04, hpbench.datasets.table, hpbench.datasets.w300lp; "
        "print([m for m in ('torch', 'cv2', 'pandas', 'pyarrow', 'scipy.io') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
