"""The parts of the renderer that need neither assets nor a graphics driver."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from hpbench.cli import app
from hpbench.datasets.synthetic import Synthetic
from hpbench.errors import DataError, UsageError
from hpbench.rendering.asset_files import Target, load_obj, load_part, load_target
from hpbench.rendering.assets import AssetLibrary, find_assets
from hpbench.rendering.geometry import NeckPose, NormalOperator, PinholeView
from hpbench.rendering.head import (
    HEAD_FRAME_PITCH_DEG,
    mesh_from_label,
)
from hpbench.rendering.identity import HELD_OUT, available, morph
from hpbench.rendering.lighting import (
    Lamp,
    direction,
    environment_rotation,
    find_environments,
    lamp_light,
    load_environment,
)
from hpbench.rendering.post import tone_curve
from hpbench.rendering.render_spec import RenderSpec, parse_sweep
from hpbench.rendering.scene import PoseRanges, Range, draw_pose, parse_range

QUAD = """
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
vt 0 0
vt 1 1
g body
f 1/1 2/1 3/2 4/2
"""

PART = """# a comment
name thing
obj_file thing.obj
x_scale 0 1 2.0
verts 0
material thing.mhmat
0
0 1 2 0.5 0.5 0.0 0.0 0.0 1.0
1 1 1 1 0 0 0.5 0 0
3
delete_verts
1 - 3 7
"""


@pytest.fixture
def part_file(tmp_path):
    (tmp_path / "thing.obj").write_text(QUAD)
    (tmp_path / "thing.mhclo").write_text(PART)
    return tmp_path / "thing.mhclo"


def test_polygons_become_triangle_fans(tmp_path):
    (tmp_path / "quad.obj").write_text(QUAD)
    mesh = load_obj(tmp_path / "quad.obj", group="body")
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.face_uv.tolist() == [[0, 0, 1], [0, 1, 1]]


def test_a_fitted_part_follows_its_base_vertices_and_scales_with_them(part_file):
    part = load_part(part_file)
    base = np.array([[0, 0, 0], [4, 0, 0], [0, 3, 0], [9, 9, 9]], np.float32)
    # The base is 4 wide where the part was made for 2, so offsets along x double.
    expected = [[0, 0, 0], [2, 0, 1], [5, 0, 0], [9, 9, 9]]
    np.testing.assert_allclose(part.fit(base), expected)
    assert part.hidden_base_vertices.tolist() == [1, 2, 3, 7]


def test_targets_are_vertex_numbers_and_offsets(tmp_path):
    (tmp_path / "a.target").write_text("# comment\n7 .5 -1 2\n9 0 0 1e-2\n")
    indices, offsets = load_target(tmp_path / "a.target")
    assert indices.tolist() == [7, 9]
    np.testing.assert_allclose(offsets, [[0.5, -1, 2], [0, 0, 0.01]])


@pytest.mark.parametrize("vertex_count", [4, 40])
def test_a_target_moves_the_vertices_that_it_names(vertex_count):
    target = Target.of(np.array([1, 3]), np.array([[1.0, 0, 0], [0, 2.0, 0]]), vertex_count)
    vertices = np.zeros((vertex_count, 3))
    vertices[target.indices] += target.offsets
    assert {int(i): row.tolist() for i, row in enumerate(vertices) if row.any()} == {
        1: [1.0, 0.0, 0.0], 3: [0.0, 2.0, 0.0],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("a.obj", "v 0 0\nv 1\nf 1 2 9", load_obj),
        ("a.obj", "", load_obj),
        ("a.obj", QUAD.replace("4/2", "5/2"), load_obj),
        ("a.obj", QUAD.replace("4/2", "4/3"), load_obj),
        ("a.target", "1 2 3", load_target),
        ("a.target", "", load_target),
        ("a.mhclo", "verts 0\n1 2 x", load_part),
        ("a.mhclo", "verts 0\n1", load_part),
    ],
)
def test_a_corrupted_asset_is_named_in_one_line(tmp_path, name, content, read):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=name) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_an_asset_that_names_vertices_of_no_base_mesh_is_named(tmp_path):
    (tmp_path / "3dobjs").mkdir()
    (tmp_path / "3dobjs" / "base.obj").write_text(QUAD)
    (tmp_path / "thing.obj").write_text(QUAD)
    (tmp_path / "thing.mhclo").write_text(PART.replace("\n3\n", "\n4\n"))
    macro = tmp_path / "targets" / "macrodetails"
    macro.mkdir(parents=True)
    (macro / "broad.target").write_text("3 0 0 1\n4 0 0 1\n")
    library = AssetLibrary(tmp_path)
    with pytest.raises(DataError, match=r"thing\.mhclo"):
        library.part(tmp_path / "thing.mhclo")
    with pytest.raises(DataError, match=r"broad\.target"):
        library.target("macro/broad")


def test_a_missing_target_is_named_instead_of_drawing_someone_else(tmp_path):
    (tmp_path / "3dobjs").mkdir()
    (tmp_path / "3dobjs" / "base.obj").write_text(QUAD)
    macro = tmp_path / "targets" / "macrodetails"
    macro.mkdir(parents=True)
    (macro / "broad.target").write_text("3 0 0 1\n")
    with pytest.raises(DataError, match=r"macrodetails/tall\.target: missing"):
        morph(AssetLibrary(tmp_path), (("macro/tall", 0.5),))


def test_a_missing_hat_is_named_instead_of_left_off(tmp_path):
    (tmp_path / "3dobjs").mkdir()
    (tmp_path / "3dobjs" / "base.obj").write_text(QUAD)
    with pytest.raises(DataError, match=r"fedora\.mhclo"):
        _ = AssetLibrary(tmp_path).hats


def test_missing_assets_say_where_they_come_from(tmp_path, monkeypatch):
    monkeypatch.delenv("HPBENCH_ASSETS", raising=False)
    for folder in (None, tmp_path):
        with pytest.raises(DataError, match="makehumancommunity/makehuman"):
            find_assets(folder)


def test_a_folder_without_environments_is_refused(tmp_path):
    with pytest.raises(DataError, match="exr"):
        find_environments(tmp_path)


def test_a_corrupted_environment_is_named(tmp_path):
    pytest.importorskip("OpenEXR")
    (tmp_path / "bad.exr").write_bytes(b"no panorama")
    with pytest.raises(DataError, match=r"bad\.exr"):
        load_environment(tmp_path / "bad.exr")


def write_panorama(path, pixels):
    OpenEXR = pytest.importorskip("OpenEXR")
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": np.ascontiguousarray(pixels, np.float32)}).write(str(path))


@pytest.mark.parametrize("width", [64, 512, 2048])
def test_a_panorama_of_any_size_gives_the_same_light(tmp_path, width):
    """A white sky over black ground lights a surface that faces up with white, sideways half."""
    pixels = np.zeros((width // 2, width, 3))
    pixels[: width // 4] = 1.0
    write_panorama(tmp_path / "sky.exr", pixels)
    environment = load_environment(tmp_path / "sky.exr")
    assert environment.view_panorama.shape == (256, 512, 3)
    sent = environment.soft_radiance[:, 1] + 0.0
    upwards = np.maximum(environment.soft_directions[:, 1], 0)
    sideways = np.maximum(environment.soft_directions[:, 0], 0)
    assert (sent * upwards).sum() / np.pi == pytest.approx(1.0, abs=0.03)
    assert (sent * sideways).sum() / np.pi == pytest.approx(0.5, abs=0.03)


def test_an_image_that_is_no_panorama_is_refused(tmp_path):
    write_panorama(tmp_path / "square.exr", np.ones((64, 64, 3)))
    with pytest.raises(DataError, match=r"square\.exr: is 64 x 64 pixels"):
        load_environment(tmp_path / "square.exr")


def test_normals_of_a_square_point_to_its_front():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    normals = NormalOperator(np.array([[0, 1, 2], [0, 2, 3]], np.int32), 4)(vertices)
    np.testing.assert_allclose(normals, np.tile([0, 0, 1], (4, 1)))


def test_the_projection_for_opengl_and_the_camera_matrix_agree():
    view = PinholeView(size=200, fov_deg=30.0, shift=(0.1, -0.2), near=1.0, far=30.0)
    points = np.array([[0.3, 0.5, -9.0], [-0.4, 0.1, -12.0], [0, 0, -5.0]])
    clip = np.hstack([points, np.ones((3, 1))]) @ view.projection.T
    ndc = clip[:, :3] / clip[:, 3:]
    # OpenGL's window spans -0.5 to size - 0.5 when whole numbers are pixel centres.
    x = (ndc[:, 0] + 1) / 2 * 200 - 0.5
    y = (1 - ndc[:, 1]) / 2 * 200 - 0.5
    np.testing.assert_allclose(view.project(points), np.stack([x, y], axis=1), atol=1e-9)
    depth = ((ndc[:, 2] + 1) / 2).astype(np.float64)
    np.testing.assert_allclose(view.distance_of_depth(depth), -points[:, 2], rtol=1e-9)


def test_skull_vertices_turn_rigidly_and_torso_vertices_not_with_them():
    head, torso = Rotation.from_euler("y", 60, degrees=True), Rotation.identity()
    pose = NeckPose(torso.as_quat(), head.as_quat(), np.zeros(3), np.array([0, 1.0, 0]), np.ones(3))
    rest = np.array([[0, 2.0, 0], [1.0, 2, 0], [0, 2, 1.0]], np.float32)
    skull = pose.apply(rest, np.ones(3, np.float32))
    np.testing.assert_allclose(skull[1:] - skull[0], head.apply(rest[1:] - rest[0]), atol=1e-6)
    np.testing.assert_allclose(pose.apply(rest, np.zeros(3, np.float32)), rest + 1.0, atol=1e-6)


def test_a_mesh_that_its_axes_call_frontal_is_labelled_with_the_pitch_between_the_frames():
    frontal = Rotation.from_euler("x", -HEAD_FRAME_PITCH_DEG, degrees=True)
    np.testing.assert_allclose(mesh_from_label(frontal.as_matrix()), np.eye(3), atol=1e-12)
    turned = Rotation.random(random_state=3)
    mesh = mesh_from_label((turned * frontal).as_matrix())
    np.testing.assert_allclose(mesh, turned.as_matrix(), atol=1e-12)


def test_splits_share_no_reserved_material_and_cover_all():
    for kind, reserved in HELD_OUT.items():
        names = [*sorted(reserved), "something", "else"]
        train = available(kind, names, "train")
        held_out = available(kind, names, "heldout")
        assert not set(train) & set(held_out)
        assert sorted(train + held_out) == sorted(available(kind, names, "all"))


def test_poses_stay_in_their_ranges_and_reach_their_ends():
    ranges = PoseRanges(Range(-90, 90), Range(-10, 20), Range(5, 6))
    rng = np.random.default_rng(0)
    poses = np.array([draw_pose(rng, ranges) for _ in range(3000)])
    assert (poses.min(axis=0) >= [-90, -10, 5]).all()
    assert (poses.max(axis=0) <= [90, 20, 6]).all()
    assert (np.abs(poses[:, 0]) > 75).mean() > 0.08


@pytest.mark.parametrize("text", ["10:-10", "a:b", "5", "1:2:3", "-200:0", "nan:3", ""])
def test_an_impossible_range_is_refused(text):
    with pytest.raises(UsageError, match="--yaw"):
        parse_range(text, "--yaw", 90.0)


@pytest.mark.parametrize("wrong", [("--yaw", "5:1"), ("--pitch", "x")])
def test_the_command_refuses_before_it_writes_anything(tmp_path, wrong):
    outcome = CliRunner().invoke(app, ["render", str(tmp_path / "out"), *wrong])
    assert isinstance(outcome.exception, UsageError)
    assert not (tmp_path / "out").exists()


def test_the_command_refuses_an_unknown_split(tmp_path):
    outcome = CliRunner().invoke(app, ["render", str(tmp_path / "out"), "--split", "test"])
    assert isinstance(outcome.exception, UsageError)
    assert not (tmp_path / "out").exists()


def test_sweeps_are_numbers_with_both_ends_or_names():
    assert parse_sweep("yaw=-90:90:2", []).values == tuple(float(v) for v in range(-90, 91, 2))
    assert parse_sweep("exposure=-1,0,1", []).values == (-1.0, 0.0, 1.0)
    assert parse_sweep("expression=0:0.3:0.1", []).values == pytest.approx((0, 0.1, 0.2, 0.3))
    assert parse_sweep("hair", ["bob", "short"]).values == ("none", "bob", "short")


@pytest.mark.parametrize(
    "text", ["size=1:2:1", "yaw=0:200:10", "yaw=0:10:0", "yaw=5:1:1", "yaw", "hair=wig", "yaw=x"]
)
def test_an_impossible_sweep_is_refused(text):
    with pytest.raises(UsageError, match="--sweep"):
        parse_sweep(text, ["bob"])


def test_a_sweep_is_rounded_down_to_whole_sweeps_but_never_to_none():
    sweep = parse_sweep("yaw=0:9:1", [])
    assert RenderSpec(count=25, sweep=sweep).total == 20
    assert RenderSpec(count=3, sweep=sweep).total == 10


@pytest.mark.parametrize(
    "wrong",
    ["--count=0", "--size=8", "--seed=-1", f"--seed={2**63}", "--per-identity=0"],
)
def test_an_impossible_size_or_number_is_refused(tmp_path, wrong):
    outcome = CliRunner().invoke(app, ["render", str(tmp_path / "out"), wrong])
    assert isinstance(outcome.exception, UsageError)
    assert not (tmp_path / "out").exists()


def test_a_white_surface_facing_the_camera_is_metered_to_one():
    rig = lamp_light((Lamp(0.0, 0.0, (3.0, 3.0, 3.0)),), (0.0, 0.0, 0.0))
    np.testing.assert_allclose(rig.directions[0], [0, 0, 1], atol=1e-6)
    # Over the half sphere the cosine-weighted mean of a frontal lamp is 2/3; shadows take 30 %.
    assert rig.colours[0, 0] * 2 / 3 * 0.7 == pytest.approx(1.0, rel=0.02)


def test_lamps_stand_where_their_angles_say():
    np.testing.assert_allclose(direction(90, 0), [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(direction(0, 90), [0, 1, 0], atol=1e-6)


def test_environments_turn_without_changing_shape():
    for mirrored in (False, True):
        matrix = environment_rotation(40.0, 10.0, mirrored)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(matrix) == pytest.approx(-1.0 if mirrored else 1.0, abs=1e-5)


def test_the_tone_curve_rises_and_never_burns_out():
    light = np.linspace(0, 4, 500, dtype=np.float32)
    shown = tone_curve(light)
    assert (np.diff(shown) >= 0).all()
    assert shown[0] == 0
    assert shown[-1] <= 1
    # Middle grey stays sRGB's: 18 % reflectance is shown as 118 of 255.
    assert tone_curve(np.array([0.18], np.float32))[0] * 255 == pytest.approx(117.6, abs=1.0)


def test_an_unfinished_folder_is_not_taken_for_a_data_set(tmp_path):
    (tmp_path / "render.json").write_text(json.dumps({}))
    with pytest.raises(DataError, match="unfinished"):
        Synthetic(root=tmp_path).records()


def test_a_folder_without_labels_or_with_corrupted_ones_is_named(tmp_path):
    with pytest.raises(DataError, match="hpbench render"):
        Synthetic(root=tmp_path).records()
    (tmp_path / "labels.parquet").write_bytes(b"half a table")
    with pytest.raises(DataError, match=r"labels\.parquet"):
        Synthetic(root=tmp_path).records()
