from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpbench.datasets.mat_3ddfa import read_mat
from hpbench.datasets.w300lp import W300lp, W300lpOptions
from hpbench.errors import DataError
from hpbench.geometry.face_fit import distant_plane, fit_faces
from hpbench.methods.pnp.models import ict_shape_model
from hpbench.rotation import geodesic_deg


@pytest.fixture(scope="module")
def real(w300lp_dir: Path):
    return W300lp(w300lp_dir).records()


def test_all_61_real_pairs_are_usable(real):
    assert len(real) == 61
    assert not any(record.excluded for record in real)
    assert real[0].image_id == "AFW/AFW_1051618982_1_0"


def test_folder_of_one_source_gives_the_same_records(w300lp_dir, real):
    inner = W300lp(w300lp_dir / "AFW").records()
    assert [record.image_id for record in inner] == [record.image_id for record in real]


def test_positive_yaw_has_the_nose_to_the_left_of_the_image(real):
    unturned = [record for record in real if record.landmarks_xy is not None]
    points = np.array([record.landmarks_xy for record in unturned])
    eyes_x = (points[:, 36, 0] + points[:, 45, 0]) / 2
    height = np.array([record.box_xyxy[3] - record.box_xyxy[1] for record in unturned])
    nose_offset = (points[:, 30, 0] - eyes_x) / height
    sine_yaw = np.sin(np.radians([record.label.angles_deg[0] for record in unturned]))
    assert np.corrcoef(nose_offset, sine_yaw)[0, 1] < -0.9


def test_box_spans_the_68_points(real):
    for record in real:
        points = read_mat(record.image_path.with_suffix(".mat")).pt2d_xy
        assert record.box_xyxy.tolist() == [*points.min(axis=0), *points.max(axis=0)]


def test_turned_versions_and_mirror_images_of_a_photo_are_one_group(write_face, tmp_path):
    for folder, stem in [
        ("AFW", "AFW_134212_1_0"),
        ("AFW", "AFW_134212_1_17"),
        ("AFW_Flip", "AFW_134212_1_0"),
        ("AFW", "AFW_134212_2_0"),
    ]:
        write_face(tmp_path / folder, stem)
    records = W300lp(tmp_path).records()
    assert {record.image_id: record.group for record in records} == {
        "AFW/AFW_134212_1_0": "AFW_134212_1",
        "AFW/AFW_134212_1_17": "AFW_134212_1",
        "AFW/AFW_134212_2_0": "AFW_134212_2",
        "AFW_Flip/AFW_134212_1_0": "AFW_134212_1",
    }


def test_only_the_unturned_photo_has_landmarks(real):
    """A face fitted to the points of turned versions is off by up to 80 degrees."""
    model = ict_shape_model()
    for record in real:
        if record.landmarks_xy is None:
            assert not record.image_id.endswith("_0")
            continue
        fit = fit_faces(distant_plane(record.landmarks_xy)[None], model, by_visibility=True)
        assert geodesic_deg(fit.R_cam[0], record.label.R_cam) < 6.0


def test_turned_version_has_no_landmarks_for_its_points_are_those_of_the_photo(
    write_face, tmp_path
):
    points = np.stack([np.linspace(20, 50, 68), np.linspace(12, 40, 68)])
    for stem in ("AFW_1_1_0", "AFW_1_1_3"):
        write_face(tmp_path / "AFW", stem, pt2d=points, pt3d_68=None)
    photo, turned = W300lp(tmp_path).records()
    np.testing.assert_allclose(photo.landmarks_xy, points.T)
    assert turned.landmarks_xy is None


def test_same_filter_on_large_angles_as_aflw2000(write_face, tmp_path):
    write_face(tmp_path / "AFW", "AFW_1_1_0", pitch_deg=-104.2)
    write_face(tmp_path / "AFW", "AFW_1_1_1", pitch_deg=-99)
    write_face(tmp_path / "AFW", "AFW_1_1_2", roll_deg=99.1)
    reasons = [record.excluded for record in W300lp(tmp_path).records()]
    assert reasons == ["|pitch| 104.2 deg is beyond 99", None, "|roll| 99.1 deg is beyond 99"]
    unlimited = W300lp(tmp_path, W300lpOptions(max_abs_angle_deg=None)).records()
    assert not any(record.excluded for record in unlimited)


def test_folders_of_the_archive_without_images_are_left_out(write_face, tmp_path):
    write_face(tmp_path / "AFW", "AFW_1_1_0")
    (tmp_path / "landmarks").mkdir()
    (tmp_path / "landmarks" / "AFW_1_1_0_pts.mat").write_bytes(b"other content")
    assert len(W300lp(tmp_path).records()) == 1


def test_folder_of_several_data_sets_gives_no_faces_of_the_others(write_face, tmp_path):
    """AFLW2000, a test set, has pairs of the same form."""
    (tmp_path / "AFLW2000").mkdir()
    write_face(tmp_path / "AFLW2000", "image00002")
    with pytest.raises(DataError, match=r"contains no image with a \.mat file in AFW"):
        W300lp(tmp_path).records()
    (tmp_path / "300W_LP" / "AFW").mkdir(parents=True)
    write_face(tmp_path / "300W_LP" / "AFW", "AFW_1_1_0")
    assert [one.image_id for one in W300lp(tmp_path).records()] == ["AFW/AFW_1_1_0"]


def test_folder_without_faces_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"contains no image with a \.mat file"):
        W300lp(tmp_path).records()
