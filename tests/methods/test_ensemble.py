"""Means of several methods: against SciPy's means, and against their members in one run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation, Slerp

import hpbench
import hpbench.running.local_engine
from hpbench.errors import UsageError
from hpbench.face import Face
from hpbench.geometry.views import mirrored
from hpbench.inference.solving import Failed
from hpbench.method import NoPrediction, Prediction
from hpbench.methods.ensemble.method import combine, geodesic_mean
from hpbench.registry import make_dataset, make_method
from hpbench.rotation import (
    angles_from_rotation,
    geodesic_deg,
    mirror_rotation,
    rotation_from_angles,
)
from hpbench.spec import parse_spec
from hpbench.storage.schemas import ROTATION_COLUMNS, SPREAD_DEG

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "ensemble"
MEMBERS = "hopenet;hopenet[k=0.5]"


@pytest.fixture(scope="module")
def members():
    return Rotation.from_rotvec(0.3 * Rotation.random(4, random_state=0).as_rotvec())


@pytest.fixture(scope="module")
def sample_faces():
    data = make_dataset("sample")
    return [
        Face(record.image_id, data.read_image(record), record.box_xyxy)
        for record in data.records()[:3]
    ]


@pytest.mark.parametrize("average", ["chordal", "geodesic"])
def test_mean_of_two_lies_halfway_on_the_shortest_turn(average):
    two = rotation_from_angles([[40.0, -10.0, 5.0], [-20.0, 25.0, -30.0]])
    halfway = Slerp([0, 1], Rotation.from_matrix(two))(0.5).as_matrix()
    mean = geodesic_mean if average == "geodesic" else None
    found = combine(two, mean) if mean else combine(two)
    np.testing.assert_allclose(found.R_cam, halfway, atol=1e-9)


def test_chordal_mean_is_scipys(members):
    np.testing.assert_allclose(
        combine(members.as_matrix()).R_cam, members.mean().as_matrix(), atol=1e-9
    )


def test_geodesic_mean_has_the_least_sum_of_squared_angles(members):
    def cost(rotvec):
        return ((Rotation.from_rotvec(rotvec).inv() * members).magnitude() ** 2).sum()

    best = minimize(cost, members.mean().as_rotvec(), method="BFGS", options={"gtol": 1e-9})
    found = Rotation.from_matrix(geodesic_mean(members.as_matrix()))
    np.testing.assert_allclose(found.as_rotvec(), best.x, atol=1e-5)
    assert cost(found.as_rotvec()) < cost(members.mean().as_rotvec())


def test_geodesic_mean_of_rotations_stored_with_three_digits_is_that_of_the_nearest_ones(members):
    rounded = members.as_matrix().round(3)
    exact = Rotation.from_matrix(rounded)  # SciPy takes the nearest rotations
    found = geodesic_mean(rounded)
    np.testing.assert_allclose(found, geodesic_mean(exact.as_matrix()), atol=1e-12)
    np.testing.assert_allclose(found.T @ found, np.eye(3), atol=1e-14)


def test_confidence_and_spread_are_those_worked_by_hand():
    found = combine(rotation_from_angles([[0.0, 0.0, 0.0], [0.0, 6.0, 0.0], [0.0, -6.0, 0.0]]))
    assert found.confidence == pytest.approx(-np.sqrt(2 * 6.0**2 / 3))
    assert found.spread_deg == pytest.approx([0.0, 6.0, 0.0], abs=1e-9)


def test_spread_across_the_end_of_the_circle_is_small():
    found = combine(rotation_from_angles([[0.0, 0.0, 178.0], [0.0, 0.0, -178.0]]))
    assert found.spread_deg == pytest.approx([0.0, 0.0, np.sqrt(8.0)], abs=1e-9)


def test_a_run_stores_the_mean_of_what_its_members_predict_alone(tmp_path):
    spec = f'ensemble[methods="{MEMBERS}"]'
    hpbench.run(
        methods=f"{MEMBERS.replace(';', ',')},{spec}", datasets="sample", limit=4, out=tmp_path,
        timing_images=2,
    )  # fmt: skip
    rows = pd.read_parquet(tmp_path / "predictions.parquet").set_index(["method", "image_id"])
    one, two, both = (
        rows.loc[name][list(ROTATION_COLUMNS)].to_numpy().reshape(-1, 3, 3)
        for name in ("hopenet", "hopenet[k=0.5]", str(parse_spec(spec)))
    )
    for a, b, mean in zip(one, two, both, strict=True):
        np.testing.assert_allclose(mean, Rotation.from_matrix([a, b]).mean().as_matrix(), atol=1e-6)
    ensemble = rows.loc[str(parse_spec(spec))]
    assert (ensemble["confidence"] < 0.0).all()
    assert (ensemble[list(SPREAD_DEG)] >= 0.0).all(axis=None)


PLUGIN = """
from hpbench.method import Method, MethodCard, Prediction
from hpbench.rotation import rotation_from_angles


class Sideways(Method):
    name = "sideways"
    summary = "looks 20 degrees to the side"

    def card(self):
        return MethodCard(name="sideways", title="Sideways")

    def prepare(self, face):
        return face.image_id

    def infer(self, batch):
        return batch

    def decode(self, output):
        return [Prediction(rotation_from_angles([20.0, 0.0, 0.0])) for _ in output]
"""


def test_method_of_a_plugin_file_is_a_member_in_the_run_and_in_its_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(hpbench.running.local_engine, "POOL_FROM_FACES", 1)
    monkeypatch.setattr(hpbench.running.local_engine, "READERS_FROM_CORES", 2)
    plugin = tmp_path / "sideways.py"
    plugin.write_text(PLUGIN)
    hpbench.run(
        methods='ensemble[methods="sideways;constant"]', datasets="sample", limit=6,
        out=tmp_path / "run", timing="off", plugin=[plugin], workers=2,
    )  # fmt: skip
    rows = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    R_cam = rows[list(ROTATION_COLUMNS)].to_numpy().reshape(-1, 3, 3)
    np.testing.assert_allclose(angles_from_rotation(R_cam), [[10.0, 0.0, 0.0]] * 6, atol=1e-9)


def test_cards_are_members_and_together_they_are_the_published_mean(
    loaded, sample_faces, shared_path
):
    pytest.importorskip("onnxruntime")
    weights = shared_path("weights")
    members = ";".join(
        f"{EXAMPLES / name}[weights={weights}]" for name in ("fsanet-1x1.toml", "fsanet-var.toml")
    )
    both = loaded(f'ensemble[methods="{members}"]')
    published = loaded(f"fsanet[weights={weights}]")  # the mean of the angles
    for a, b in zip(both.predict(sample_faces), published.predict(sample_faces), strict=True):
        assert geodesic_deg(a.R_cam, b.R_cam) < 0.5
    assert both.card().trained_on == ("w300lp",)


def test_spec_with_options_of_members_is_read_as_it_is_written():
    spec = parse_spec('ensemble[methods="hopenet[k=0.5,crop=hopenet-train];pnp"]')
    assert parse_spec(str(spec)) == spec
    assert list(make_method(spec)._members) == ["hopenet[crop=hopenet-train,k=0.5]", "pnp"]


def test_face_that_one_member_cannot_predict_has_no_prediction(loaded, sample_faces):
    method = loaded('ensemble[methods="hopenet;pnp[landmarks=annotated]"]')
    (found,) = method.predict(sample_faces[:1])  # the sample has no annotated landmarks
    assert isinstance(found, NoPrediction)
    assert found.reason.startswith("pnp[landmarks=annotated]: ")


ONLY_UNMIRRORED = """
from hpbench.method import NoPrediction
from hpbench.methods.constant import Constant


class OnlyLeft(Constant):
    name = "only_left"

    def prepare(self, face):
        left, width = face.box_xyxy[0], face.size_wh[0]
        return super().prepare(face) if left < width / 4 else NoPrediction("box at the right")
"""


def test_reason_says_that_it_is_the_mirror_image_that_has_no_prediction(tmp_path):
    (tmp_path / "left.py").write_text(ONLY_UNMIRRORED)
    method = make_method("ensemble[methods=only_left,mirror=true]", plugins=[tmp_path / "left.py"])
    method.load()
    face = Face("a", np.zeros((40, 200, 3), np.uint8), np.array([0.0, 0.0, 40.0, 40.0]))
    (found,) = method.predict([face])
    assert found == NoPrediction("only_left, mirrored: box at the right")


FAILING = """
from hpbench.method import Prediction
from hpbench.methods.constant import Constant


class Failing(Constant):
    name = "failing"

    def decode(self, output):
        return [Prediction(found.R_cam * 2.0) for found in super().decode(output)]
"""


def test_failure_of_a_member_is_one_of_the_ensemble(tmp_path, sample_faces):
    (tmp_path / "failing.py").write_text(FAILING)
    method = make_method('ensemble[methods="constant;failing"]', plugins=[tmp_path / "failing.py"])
    method.load()
    (found,) = method.predict(sample_faces[:1])
    assert found == Failed("failing: prediction is not a rotation matrix")


@pytest.mark.parametrize(
    ("members", "expected"), [("constant;hopenet", "threads"), ("constant;pnp", "processes")]
)
def test_faces_are_prepared_in_processes_if_a_member_wants_them_there(members, expected):
    assert make_method(f'ensemble[methods="{members}"]').prepare_in == expected


def test_data_set_that_a_member_declines_is_declined():
    method = make_method('ensemble[methods="hopenet;lwhpe[rectify=true]"]')
    reason = method.unsupported_reason("sample", has_camera=False, has_landmarks=False)
    assert reason.startswith("lwhpe[rectify=true]: the data set has no camera")


def test_card_names_all_members_and_their_training(loaded):
    card = loaded('ensemble[methods="hopenet;constant"]').card()
    alone = loaded("hopenet").card()
    assert alone.title in card.title
    assert "Always frontal" in card.title
    assert card.trained_on == alone.trained_on
    assert card.trained_domains == alone.trained_domains
    assert any(str(alone.weights_sha256) in note for note in card.notes)


def test_a_network_that_sees_the_mirror_image_too_computes_twice(loaded):
    both, one = loaded("ensemble[methods=hopenet,mirror=true]").size(), loaded("hopenet").size()
    assert (both.parameters, both.flops) == (one.parameters, 2 * one.flops)


def test_size_is_the_sum_of_the_members(loaded):
    both, one = loaded(f'ensemble[methods="{MEMBERS}"]').size(), loaded("hopenet").size()
    assert both.parameters == 2 * one.parameters
    assert both.flops == 2 * one.flops


def test_a_mirrored_face_gets_exactly_the_mirrored_pose(loaded, sample_faces):
    method = loaded("ensemble[methods=hopenet,mirror=true]")
    found = np.stack([one.R_cam for one in method.predict(sample_faces)])
    of_mirrored = method.predict([mirrored(face) for face in sample_faces])
    back = mirror_rotation(np.stack([one.R_cam for one in of_mirrored]))
    assert geodesic_deg(found, back).max() < 1e-3


def test_the_mirror_image_counts_as_much_as_the_face(loaded, sample_faces):
    alone = loaded("hopenet")
    faces = np.stack([one.R_cam for one in alone.predict(sample_faces)])
    yaw_pitch_roll = angles_from_rotation(
        np.stack([one.R_cam for one in alone.predict([mirrored(face) for face in sample_faces])])
    )
    back = rotation_from_angles(yaw_pitch_roll * [-1.0, 1.0, -1.0])
    found = loaded("ensemble[methods=hopenet,mirror=true]").predict(sample_faces)
    for face, mirror, one in zip(faces, back, found, strict=True):
        halfway = Slerp([0, 1], Rotation.from_matrix([face, mirror]))(0.5).as_matrix()
        assert geodesic_deg(one.R_cam, halfway) < 1e-3


def test_ensemble_of_ensembles_is_a_method(loaded, sample_faces):
    inner = "ensemble[methods='hopenet;constant']"
    found = loaded(f'ensemble[methods="{inner};constant"]').predict(sample_faces)
    frontal = angles_from_rotation(found[0].R_cam)
    assert isinstance(found[0], Prediction)
    assert np.isfinite(frontal).all()


def test_fingerprint_changes_with_the_options_of_a_member_and_the_mean():
    given = f'methods="{MEMBERS}"'
    texts = [given, 'methods="hopenet;hopenet[k=0.4]"', f"{given},average=geodesic",
             f"{given},mirror=true"]  # fmt: skip
    assert len({make_method(f"ensemble[{text}]").fingerprint() for text in texts}) == 4


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ("hopenet", "has one member"),
        ("hopenet;hoppenet", "did you mean 'hopenet'"),
        ("hopenet;hopenet", "listed twice"),
        ("pnp;pnp[check=on]", r"'pnp' and 'pnp\[check=on\]' are the same method"),
        ("hopenet,pnp[check=on]", r"'hopenet,pnp\[check=on\]': members have a semicolon between"),
        ("hopenet[k=1,foo]", "'foo' is not of the form key=value; a path .*pkl\"]'$"),
    ],
)
def test_members_that_make_no_ensemble_are_refused(methods, message):
    with pytest.raises(UsageError, match=message):
        make_method(f'ensemble[methods="{methods}"]')


def test_one_file_under_two_paths_is_one_member(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pkl").touch()
    (tmp_path / "link.pkl").symlink_to("a.pkl")
    (tmp_path / "b.pkl").touch()
    for other in ("./a.pkl", str(tmp_path / "a.pkl"), "link.pkl"):
        with pytest.raises(UsageError, match="are the same method"):
            make_method(f'ensemble[methods="hopenet[weights=a.pkl];hopenet[weights={other}]"]')
    make_method('ensemble[methods="hopenet[weights=a.pkl];hopenet[weights=b.pkl]"]')


def test_ensemble_without_members_says_how_to_name_them():
    with pytest.raises(
        UsageError, match=r'has no members; write ensemble\[methods="hopenet;pnp"\]'
    ):
        make_method("ensemble").load()


def test_ensemble_with_a_stored_member_is_neither_corrupted_nor_timed(tmp_path):
    stored = tmp_path / "stored.csv"
    names = [record.image_id for record in make_dataset("sample").records()]
    pd.DataFrame({"image_id": names, "yaw_deg": 0, "pitch_deg": 0, "roll_deg": 0}).to_csv(
        stored, index=False
    )
    both = f'ensemble[methods="constant;predictions[file={stored},euler=rq,dataset=sample]"]'
    run = hpbench.run(
        methods=["constant", both], datasets="sample", corrupt=["dark=4"], limit=4,
        timing_images=2, out=tmp_path / "run",
    )  # fmt: skip
    found = {(row.dataset, row.method): row for row in run.rows}
    assert {dataset for dataset, method in found if method == "ensemble"} == {"sample"}
    timed = {method for (_, method), row in found.items() if row.runtime_ms["total"].count}
    assert timed == {"constant"}


RESTARTED = """
from hpbench.methods.constant import Constant


class Restarted(Constant):
    name = "restarted"

    def incidents(self):
        return ["started again"]
"""


def test_stored_predictions_are_not_taken_for_those_of_mirrored_faces(tmp_path):
    stored = tmp_path / "stored.csv"
    stored.write_text("image_id,yaw_deg,pitch_deg,roll_deg\nsample_000,10,0,0\n")
    member = f"predictions[file={stored},euler=rq,dataset=sample]"
    with pytest.raises(UsageError, match="hold none of mirrored faces"):
        make_method(f'ensemble[methods="{member}",mirror=true]')


def test_incidents_of_members_are_those_of_the_ensemble(tmp_path):
    (tmp_path / "restarted.py").write_text(RESTARTED)
    both = make_method(
        'ensemble[methods="constant;restarted"]', plugins=[tmp_path / "restarted.py"]
    )
    assert both.incidents() == ["restarted: started again"]
