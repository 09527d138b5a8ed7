"""Rendering itself; needs MakeHuman assets and an EGL driver, and skips without them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from hpbench.datasets.synthetic import Synthetic
from hpbench.errors import DataError, MissingDependencyError
from hpbench.rendering.assets import AssetLibrary
from hpbench.rendering.identity import Expression
from hpbench.rendering.job import render_dataset
from hpbench.rendering.render_spec import RenderSpec, Sweep, apply_factor
from hpbench.rendering.scene import PoseRanges, Scene, draw_scene, expressive, identity_for
from hpbench.rotation import geodesic_deg

SIZE = 96


@pytest.fixture(scope="module")
def library(assets):
    return AssetLibrary(assets)


@pytest.fixture(scope="module")
def renderer(library):
    pytest.importorskip("moderngl")
    from hpbench.rendering.renderer import HeadRenderer

    try:
        made = HeadRenderer(library, {}, SIZE)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain_scene(library) -> Scene:
    """A bald, lamp-lit head without anything before its face, near the front."""
    person = replace(identity_for(3, 1, library, "all"), hair="none")
    scene = draw_scene(3, 1, person, library, [], PoseRanges(), "all", occluder_share=0.0)
    return replace(scene, yaw_deg=15.0, pitch_deg=-5.0, roll_deg=8.0, background="backdrop")


@pytest.fixture(scope="module")
def environments(shared_path) -> Path:
    return shared_path("assets/hdri")


def test_landmarks_are_their_3d_points_seen_by_the_labelled_camera(renderer, plain_scene):
    result = renderer.render(plain_scene)
    seen, _ = cv2.projectPoints(
        result.landmarks_camera_dm, np.zeros(3), np.zeros(3), result.camera_matrix, None
    )
    np.testing.assert_allclose(result.landmarks_xy, seen[:, 0], atol=1e-6)


def test_the_labelled_turn_between_two_images_is_the_one_that_the_head_makes(renderer, plain_scene):
    first = renderer.render(plain_scene)
    turned = renderer.render(replace(plain_scene, yaw_deg=-50.0, pitch_deg=20.0, roll_deg=-15.0))
    a = first.landmarks_camera_dm - first.landmarks_camera_dm.mean(axis=0)
    b = turned.landmarks_camera_dm - turned.landmarks_camera_dm.mean(axis=0)
    u, _, vt = np.linalg.svd(b.T @ a)
    moved = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    # A few jaw points also follow the neck a little.
    assert geodesic_deg(moved, turned.R_cam @ first.R_cam.T) < 1.0


def test_the_image_shows_the_eyes_where_the_landmarks_say(renderer, plain_scene):
    """Two renders differ in gaze only: what changes lies at the landmarks of the eyes."""
    open_eyed = replace(plain_scene, expression=plain_scene.expression.scaled(0.0), yaw_deg=0.0)
    aside = renderer.render(replace(open_eyed, gaze_deg=(20.0, 0.0)))
    ahead = renderer.render(replace(open_eyed, gaze_deg=(-20.0, 0.0)))
    change = np.abs(aside.image.astype(int) - ahead.image.astype(int)).sum(axis=2)
    y, x = np.nonzero(change > 0.4 * change.max())
    for eye in (slice(36, 42), slice(42, 48)):
        middle = aside.landmarks_xy[eye].mean(axis=0)
        nearby = np.hypot(x - middle[0], y - middle[1]) < 0.08 * SIZE
        assert nearby.any()
        x, y = x[~nearby], y[~nearby]
    assert len(x) == 0


def test_the_same_scene_gives_the_same_image(renderer, plain_scene):
    np.testing.assert_array_equal(
        renderer.render(plain_scene).image, renderer.render(plain_scene).image
    )


def test_the_far_side_of_a_turned_face_is_not_visible(renderer, plain_scene):
    to_the_left = renderer.render(replace(plain_scene, yaw_deg=80.0, roll_deg=0.0))
    # +yaw turns the nose to the image's left: the person's right side (0..7) is hidden.
    assert not to_the_left.landmarks_visible[0:6].any()
    assert to_the_left.landmarks_visible[11:17].all()
    frontal = renderer.render(replace(plain_scene, yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0))
    assert frontal.landmarks_visible[17:].mean() > 0.95


def test_more_light_makes_a_brighter_image_and_moves_nothing(renderer, plain_scene):
    dark = renderer.render(replace(plain_scene, exposure_ev=-1.0))
    bright = renderer.render(replace(plain_scene, exposure_ev=1.0))
    assert bright.image.mean() > 1.3 * dark.image.mean()
    np.testing.assert_array_equal(dark.landmarks_xy, bright.landmarks_xy)


def test_a_head_that_turns_is_not_exposed_anew(renderer, plain_scene):
    """The backdrop's corner looks alike whatever the pose."""
    corners = [
        renderer.render(replace(plain_scene, yaw_deg=yaw)).image[:6, :6].astype(int)
        for yaw in (-40.0, 40.0)
    ]
    assert np.abs(corners[0] - corners[1]).max() <= 2


def test_a_patch_hides_the_landmarks_beneath_it(renderer, plain_scene):
    free = renderer.render(plain_scene)
    covered = renderer.render(apply_factor(plain_scene, "occlusion", 0.4))
    assert covered.landmarks_visible.sum() < free.landmarks_visible.sum()
    np.testing.assert_array_equal(free.landmarks_xy, covered.landmarks_xy)


def test_a_sweep_of_hair_takes_off_the_hat_that_would_hide_it(renderer, library, plain_scene):
    hatted = replace(plain_scene, occluder="hat")
    styles = ("none", *sorted(library.hair)[:2])
    images = [renderer.render(apply_factor(hatted, "hair", one)).image for one in styles]
    assert (images[0] != images[1]).any() and (images[1] != images[2]).any()


def test_a_sweep_of_expression_finds_one_for_a_neutral_face(library, plain_scene):
    neutral = replace(plain_scene, expression=Expression("neutral", ()))
    moved = expressive(neutral, 3, 1, library, "all")
    assert moved.expression.weights
    assert replace(moved, expression=neutral.expression) == neutral
    assert expressive(neutral, 3, 1, library, "all") == moved
    assert expressive(moved, 3, 1, library, "all") is moved


def test_a_lamp_that_is_moved_leaves_no_environment_behind_the_head(plain_scene):
    outdoors = replace(plain_scene, environment="park", background="environment")
    lit = apply_factor(outdoors, "light_elevation", 30.0)
    assert lit.environment is None
    assert lit.background == "clutter"


def test_fringes_are_kept_off_the_eyes(renderer, library, plain_scene):
    """No hair style hides more eye landmarks of a frontal face than a bald head does."""
    for hair in sorted(library.hair):
        person = replace(plain_scene.identity, hair=hair, fringe_kept_off_eyes=True)
        frontal = replace(plain_scene, identity=person, yaw_deg=0.0, pitch_deg=0.0, roll_deg=0.0)
        assert renderer.render(frontal).landmarks_visible[36:48].sum() >= 10, hair


def test_cutting_a_fringe_takes_no_shadow_of_the_face_away(renderer, plain_scene):
    """Whether hair would be cut makes no difference to somebody who has none."""
    lit_from_the_side = apply_factor(
        replace(plain_scene, shadow_strength=1.0), "light_azimuth", 70.0
    )
    cut, uncut = (
        renderer.render(
            replace(
                lit_from_the_side, identity=replace(plain_scene.identity, fringe_kept_off_eyes=kept)
            )
        )
        for kept in (True, False)
    )
    np.testing.assert_array_equal(cut.image, uncut.image)


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(
    assets, environments, renderer, tmp_path
):
    spec = RenderSpec(count=5, seed=5, size=64, shard=3, per_identity=3)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    render_dataset(whole, spec, assets, environments)

    class StopHereError(Exception):
        pass

    def stop_after_first(_: int) -> None:
        raise StopHereError

    with pytest.raises(StopHereError):
        render_dataset(broken, spec, assets, environments, on_progress=stop_after_first)
    with pytest.raises(DataError, match="unfinished"):
        Synthetic(root=broken).records()
    render_dataset(broken, spec, assets, environments)
    for path in sorted(whole.rglob("*.jpg")):
        assert path.read_bytes() == (broken / path.relative_to(whole)).read_bytes()
    pd.testing.assert_frame_equal(
        pd.read_parquet(whole / "labels.parquet"), pd.read_parquet(broken / "labels.parquet")
    )
    records = Synthetic(root=whole).records()
    assert len(records) == 5
    np.testing.assert_allclose(
        records[0].box_xyxy[:2], records[0].landmarks_xy.min(axis=0), atol=1e-9
    )
    other = replace(spec, seed=6)
    with pytest.raises(DataError, match=r"other settings \(seed 5, now 6\); name"):
        render_dataset(whole, other, assets, environments)


def test_a_sweep_moves_its_factor_and_nothing_else(assets, environments, renderer, tmp_path):
    spec = RenderSpec(count=3, seed=5, size=64, sweep=Sweep("yaw", (-30.0, 0.0, 30.0)))
    render_dataset(tmp_path / "out", spec, assets, environments)
    table = pd.read_parquet(tmp_path / "out" / "labels.parquet")
    assert table["yaw_deg"].tolist() == [-30.0, 0.0, 30.0]
    moved = table.columns.str.match(r"image|yaw|r\d\d|[xy][01]$|landmarks|sweep_value")
    still = table.loc[:, ~moved]
    assert (still.nunique(dropna=False) == 1).all()


def test_a_folder_with_something_else_in_it_is_left_alone(assets, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        render_dataset(tmp_path, RenderSpec(count=2), assets)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
