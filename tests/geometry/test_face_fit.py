"""Fits of pose and shape against projections made here by hand, SciPy, and rendered heads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from hpbench.datasets.sample import Sample
from hpbench.geometry.face_fit import LANDMARK_NOISE, distant_plane, fit_faces
from hpbench.methods.pnp.models import ict_shape_model
from hpbench.rotation import geodesic_deg, rotation_from_angles

POSES = [(0.0, 0.0, 0.0), (30.0, -20.0, 10.0), (-75.0, 15.0, -30.0), (88.0, 0.0, 0.0)]
MODEL = ict_shape_model()


def project(R, t, points):
    placed = points @ np.asarray(R).T + t
    return placed[:, :2] / placed[:, 2:]


def shape_of(coefficients):
    return MODEL.points + np.einsum("k,kmi->mi", coefficients, MODEL.modes)


@pytest.fixture(scope="module")
def rendered():
    """Exact landmarks (n, 68, 2) of the embedded renders, and their rotations (n, 3, 3)."""
    records = Sample().records()[::3]
    return (
        np.stack([record.landmarks_xy for record in records]),
        np.stack([record.label.R_cam for record in records]),
    )


@pytest.mark.parametrize("robust", ["none", "huber", "geman-mcclure"])
@pytest.mark.parametrize("distance", [40.0, 1000.0])
def test_the_mean_face_is_recovered_from_exact_points(robust, distance):
    R = rotation_from_angles(POSES)
    seen = np.stack([project(pose, [3.0, -2.0, distance], MODEL.points) for pose in R])
    fits = fit_faces(seen, MODEL, robust=robust)
    assert geodesic_deg(fits.R_cam, R).max() < 0.01
    np.testing.assert_allclose(fits.t_cam, [[3.0, -2.0, distance]] * 4, rtol=2e-3, atol=1e-2)
    assert fits.error.max() < 1e-4


def test_noisy_points_get_the_most_probable_pose_and_shape():
    """The same cost, brought down by SciPy from the true pose."""
    rng = np.random.default_rng(3)
    R, t = rotation_from_angles([-35.0, 12.0, 8.0]), np.array([4.0, -3.0, 70.0])
    seen = project(R, t, shape_of(rng.normal(size=len(MODEL.modes))))
    seen += rng.normal(0.0, 0.01 * np.ptp(seen), seen.shape)
    noise = LANDMARK_NOISE * np.sqrt(np.prod(np.ptp(seen, axis=0)))

    def residuals(state):
        rotation = Rotation.from_rotvec(state[:3]).as_matrix()
        distance = (seen - project(rotation, state[3:6], shape_of(state[6:]))) / noise
        return np.append(np.sqrt(MODEL.weights)[:, None] * distance, state[6:])

    start = np.concatenate([Rotation.from_matrix(R).as_rotvec(), t, np.zeros(len(MODEL.modes))])
    best = least_squares(residuals, start, x_scale="jac", xtol=1e-12, ftol=1e-12)
    fits = fit_faces(seen[None], MODEL, robust="none")
    best_R = Rotation.from_rotvec(best.x[:3]).as_matrix()
    assert geodesic_deg(fits.R_cam[0], best_R) < 0.05
    np.testing.assert_allclose(fits.shape[0], best.x[6:], atol=0.01)
    off = np.linalg.norm(
        seen - project(fits.R_cam[0], fits.t_cam[0], shape_of(fits.shape[0])), axis=1
    )
    extent = max(np.ptp(seen[:, 0]), np.ptp(seen[:, 1]))
    assert fits.error[0] == pytest.approx(np.sqrt(np.mean(off**2)) / extent)


def test_a_face_unlike_the_mean_is_turned_more_exactly_when_its_shape_may_move():
    rng = np.random.default_rng(1)
    R = rotation_from_angles(rng.uniform([-60, -30, -30], [60, 30, 30], (40, 3)))
    shapes = [shape_of(coefficients) for coefficients in rng.normal(size=(40, len(MODEL.modes)))]
    seen = np.stack([project(r, [0.0, 0.0, 2000.0], s) for r, s in zip(R, shapes, strict=True)])
    rigid = replace(MODEL, modes=np.empty((0, 68, 3)))
    fitted_deg, rigid_deg = (
        geodesic_deg(fit_faces(seen, model).R_cam, R).mean() for model in (MODEL, rigid)
    )
    assert fitted_deg < 0.6 * rigid_deg


def test_a_face_is_fitted_alone_as_in_a_batch(rendered):
    seen = distant_plane(rendered[0][:6])
    together = fit_faces(seen, MODEL)
    for index in range(6):
        alone = fit_faces(seen[index : index + 1], MODEL)
        assert geodesic_deg(alone.R_cam[0], together.R_cam[index]) < 1e-6


def test_a_distant_face_looks_alike_wherever_and_however_large_it_is(rendered):
    points = rendered[0][0]
    moved = 3.0 * points + [500.0, -80.0]
    np.testing.assert_allclose(distant_plane(moved), distant_plane(points), atol=1e-12)


def test_points_that_cannot_be_fitted_leave_the_others_alone(rendered):
    points = rendered[0][:4].copy()
    expected = fit_faces(distant_plane(points), MODEL).R_cam
    points[1, 5, 0] = np.nan
    points[2] = 7.0
    fits = fit_faces(distant_plane(points), MODEL)
    assert np.isnan(fits.R_cam[[1, 2]]).all() and np.isnan(fits.error[[1, 2]]).all()
    assert geodesic_deg(fits.R_cam[[0, 3]], expected[[0, 3]]).max() < 0.01


@pytest.mark.parametrize("slope", [0.0, 2.0, -0.3])
def test_points_on_one_line_have_no_fit(slope):
    on_a_line = np.stack([np.arange(68.0), slope * np.arange(68.0)], axis=1)
    fits = fit_faces(distant_plane(on_a_line)[None], MODEL)
    assert np.isnan(fits.R_cam).all() and np.isnan(fits.error).all()


@pytest.mark.parametrize(
    ("robust", "limit_deg"), [("huber", 1.5), ("geman-mcclure", 0.5), ("none", np.inf)]
)
def test_planted_outliers_are_borne(rendered, robust, limit_deg):
    """A fifth of the points inside the face, half a face away from their places."""
    points, R = rendered
    rng = np.random.default_rng(0)
    spoiled = points.copy()
    for face in spoiled:
        chosen = rng.choice(np.arange(17, 68), 10, replace=False)
        face[chosen] += rng.normal(0.0, 0.5 * np.ptp(face, axis=0).min(), (10, 2))
    clean, planted = (
        geodesic_deg(fit_faces(distant_plane(xy), MODEL, robust=robust).R_cam, R).mean()
        for xy in (points, spoiled)
    )
    assert clean < 5.0
    assert planted < clean + limit_deg
    if robust == "none":
        assert planted > clean + 8.0


def test_points_that_the_pose_hides_can_count_less(rendered):
    """All hidden points of a face lie off together, as guessed ones do."""
    points, R = rendered
    rng = np.random.default_rng(0)
    guessed = points.copy()
    for face, pose in zip(guessed, R, strict=True):
        hidden = (MODEL.normals @ pose.T)[:, 2] > 0.0
        face[hidden] += rng.normal(0.0, 0.1 * np.ptp(face, axis=0).max(), 2)
    turned = np.abs(R[:, 0, 2]) > 0.5
    plane = distant_plane(guessed[turned])
    weighted, alike = (
        geodesic_deg(fit_faces(plane, MODEL, by_visibility=on).R_cam, R[turned]).mean()
        for on in (True, False)
    )
    assert weighted < 0.75 * alike


def test_points_in_full_sight_count_fully(rendered):
    """A flat face that looks into the camera hides nothing: its fit is the same both ways."""
    towards_camera = np.tile([0.0, 0.0, -1.0], (len(MODEL.points), 1))
    flat = replace(MODEL, normals=towards_camera)
    plane = distant_plane(rendered[0])[np.abs(rendered[1][:, 2, 2]) > 0.8]
    weighted, alike = (fit_faces(plane, flat, by_visibility=on) for on in (True, False))
    np.testing.assert_allclose(weighted.R_cam, alike.R_cam, atol=1e-12)
    np.testing.assert_allclose(weighted.shape, alike.shape, atol=1e-10)
