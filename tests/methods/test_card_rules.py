"""Rules of cards against the built-in methods that have them, and against SciPy."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from hpbench.crops import crop_box, whole_pixels
from hpbench.errors import WeightsError
from hpbench.face import Face
from hpbench.methods.adas import Adas
from hpbench.methods.card.crop import CropCard
from hpbench.methods.card.decode import confidence_of, decode_networks
from hpbench.methods.card.outputs import AnglesOutput, ConfidenceOutput, RotationOutput
from hpbench.methods.tddfa import Tddfa
from hpbench.methods.tddfa.method import roi_square
from hpbench.methods.whenet.method import padded_box
from hpbench.rotation import geodesic_deg

DOCS = Path(__file__).resolve().parents[2] / "docs"
S = np.diag([1.0, -1.0, -1.0])


def documented(title: str) -> dict:
    """A TOML block of the page on cards, by its first line."""
    text = (DOCS / "add-a-network.md").read_text(encoding="utf-8")
    (body,) = re.findall(rf"^```toml\n# {re.escape(title)}\n(.*?)^```", text, re.M | re.S)
    return tomllib.loads(body)


def faces(count: int = 200):
    """Boxes of all shapes in an image of 300 by 200 pixels, some of them partly outside."""
    generator = np.random.default_rng(0)
    image = np.zeros((200, 300, 3), np.uint8)
    for _ in range(count):
        x0, y0 = generator.uniform(-20.0, 200.0, 2)
        width, height = generator.uniform(10.0, 150.0, 2)
        yield Face("a", image, np.array([x0, y0, x0 + width, y0 + height]))


def clipped(bounds, face) -> list[int]:
    width, height = face.size_wh
    return list(np.clip(bounds, 0, [width, height, width, height]))


# ---- crops -----------------------------------------------------------------------------------


def test_documented_crop_of_whenet_is_that_of_its_package():
    crop = CropCard.model_validate(documented("crop of whenet")["crop"])
    for face in faces():
        expected = padded_box(face.box_xyxy, face.size_wh)
        if expected[2] > expected[0] and expected[3] > expected[1]:
            assert clipped(crop.bounds(face), face) == clipped(expected, face)


def test_documented_crop_of_adas_is_that_of_openvinos_demo():
    crop = CropCard.model_validate(documented("crop of adas")["crop"])
    assert Adas().facts.crop_rule.startswith("square of 1.2 times the longer side")
    for face in faces():
        assert crop.bounds(face) == whole_pixels(crop_box(face.box_xyxy, "square", 1.2))


def test_documented_crop_of_tddfa_is_that_of_its_landmarks():
    crop = CropCard.model_validate(documented("crop of tddfa")["crop"])
    for face in faces():
        assert crop.bounds(face) == roi_square(face.box_xyxy, "landmarks")


def test_documented_crop_of_tddfas_detector_is_within_a_pixel():
    crop = CropCard.model_validate(documented("crop of tddfa[crop=detection]")["crop"])
    for face in faces():
        expected = roi_square(face.box_xyxy, "detection")
        assert np.abs(np.subtract(crop.bounds(face), expected)).max() <= 1


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"left": 0.1, "right": 0.2}, (90, 100, 220, 150)),
        ({"top": 0.5, "bottom": -0.2}, (100, 75, 200, 140)),
        ({"left": 0.5, "of_x": "height"}, (75, 100, 200, 150)),
        ({"left": 0.2, "of_x": "mean"}, (85, 100, 200, 150)),
        ({"top": 0.2, "of_y": "longer"}, (100, 80, 200, 150)),
        ({"left": 0.1, "right": 0.1, "k": 2.0}, (80, 100, 220, 150)),
        ({"left": 0.5, "right": 0.1, "in_turn": True}, (50, 100, 215, 150)),
        ({"square": "longer"}, (100, 75, 200, 175)),
        ({"square": "shorter"}, (125, 100, 175, 150)),
        ({"shift_x": 0.1, "shift_y": -0.2}, (110, 90, 210, 140)),
    ],
)
def test_margins_of_a_box_of_100_by_50(keys, expected):
    face = Face("a", np.zeros((300, 300, 3), np.uint8), np.array([100.0, 100.0, 200.0, 150.0]))
    assert CropCard(rule="margins", with_last=False, **keys).bounds(face) == expected


@pytest.mark.parametrize(
    ("keys", "crosses"),
    [
        ({"top": -0.4, "bottom": -0.4, "of_y": "longer"}, True),  # 40 of the 50 pixels each
        ({"left": -0.4, "right": -0.4, "of_x": "height"}, False),
    ],
)
def test_margins_that_cross_in_a_box_give_no_crop(keys, crosses):
    box = np.array([100.0, 100.0, 200.0, 150.0])
    face = Face("a", np.zeros((300, 300, 3), np.uint8), box)
    assert (CropCard(rule="margins", **keys).bounds(face) is None) == crosses


def test_a_key_of_another_rule_is_refused():
    with pytest.raises(ValidationError, match="square belongs to rule 'margins', not to 'box'"):
        CropCard(rule="box", square="longer")


def test_margins_that_cross_by_their_factor_are_refused():
    inner = {"left": -0.3, "right": -0.3}
    assert CropCard(rule="margins", k=1.5, **inner)
    with pytest.raises(ValidationError, match="k times a negative margin crosses the middle"):
        CropCard(rule="margins", k=2.0, **inner)


# ---- outputs ---------------------------------------------------------------------------------


def test_output_that_is_named_twice_is_refused():
    with pytest.raises(ValidationError, match="names has one output twice"):
        AnglesOutput(
            kind="angles", unit="deg", order=("yaw", "pitch", "roll"), names=("a", "a", "b")
        )


def random_rotations(count: int = 20) -> np.ndarray:
    return Rotation.random(count, random_state=0).as_matrix()


@pytest.mark.parametrize("order", ["wxyz", "xyzw"])
def test_quaternions_of_any_length(order):
    R = random_rotations()
    xyzw = Rotation.from_matrix(R).as_quat() * np.linspace(0.1, 5.0, len(R))[:, None]
    output = xyzw if order == "xyzw" else xyzw[:, [3, 0, 1, 2]]
    card = RotationOutput(kind="quaternion", frame="camera", order=order)
    assert geodesic_deg(decode_networks([[output]], card), R).max() < 1e-5


def test_a_quaternion_without_length_is_no_rotation():
    card = RotationOutput(kind="quaternion", frame="camera", order="wxyz")
    assert np.isnan(decode_networks([[np.zeros((1, 4))]], card)).all()


def test_yaw_outermost_angles_are_those_of_the_vendors_documentation():
    angles = np.array([[30.0, -20.0, 10.0], [-70.0, 40.0, -35.0]])
    card = AnglesOutput(kind="angles", order=("-yaw", "-pitch", "roll"), unit="deg", euler="yxz")
    expected, _ = Adas().rotations(angles)
    np.testing.assert_allclose(decode_networks([[angles]], card), expected, atol=1e-12)


def test_angles_are_scaled_and_shifted_before_they_are_read():
    card = AnglesOutput(
        kind="angles", order=("yaw", "pitch", "roll"), unit="deg", scale=(90.0,), offset=(0, 5, -5)
    )
    same = AnglesOutput(kind="angles", order=("yaw", "pitch", "roll"), unit="deg")
    given = np.array([[0.5, 0.1, -0.2]])
    np.testing.assert_allclose(
        decode_networks([[given]], card), decode_networks([[given * 90.0 + [0, 5, -5]]], same)
    )


def test_documented_output_of_tddfa_gives_the_rotations_of_the_method():
    card = RotationOutput.model_validate(documented("output of tddfa")["output"])
    outputs = np.random.default_rng(0).normal(size=(20, 62))
    expected, _ = Tddfa().rotations(outputs)
    np.testing.assert_allclose(decode_networks([[outputs]], card), expected, atol=1e-9)


def test_a_scaled_matrix_with_a_translation_is_its_rotation():
    R = random_rotations()
    output = np.concatenate([3e-4 * S @ R @ S, np.full((len(R), 3, 1), 60.0)], axis=2)
    for nearest in ("svd", "rows"):
        card = RotationOutput(kind="matrix3x4", frame="y-up", nearest=nearest)
        assert geodesic_deg(decode_networks([[output]], card), R).max() < 1e-5


@pytest.mark.parametrize(
    "matrix", [np.zeros((3, 3)), np.diag([1.0, 1.0, -1.0]), np.eye(3)[[0, 0, 0]]]
)
def test_a_matrix_without_a_nearest_rotation_gives_none(matrix):
    outputs = np.stack([np.eye(3), matrix, np.diag([1.0, 0.8, -0.3])])
    for frame in ("camera", "6drepnet"):
        card = RotationOutput(kind="matrix", frame=frame)
        R_cam = decode_networks([[outputs.reshape(3, 9)]], card)
        assert np.isnan(R_cam[1]).all()
        # of a mirrored one whose axes differ in size the nearest is known (SVDO+)
        assert geodesic_deg(R_cam[[0, 2]], np.eye(3)).max() < 1e-6


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"take": (0, 12)}, "gives 9 numbers per face; the card takes those from 0 to 12"),
        ({"take": (0, 6)}, "the card takes 6 numbers per face; the card's 'matrix' has 9"),
        ({"scale": (1.0, 2.0)}, "the card's scale has 2 numbers; 9 are read"),
    ],
)
def test_arithmetic_that_does_not_fit_the_output_is_named(keys, message):
    card = RotationOutput(kind="matrix", frame="camera", **keys)
    with pytest.raises(WeightsError, match=message):
        decode_networks([[random_rotations().reshape(-1, 9)]], card)


def test_smaller_numbers_may_mean_surer():
    variances = [np.array([[1.0, 9.0], [3.0, 9.0]]), np.array([[3.0, 9.0], [5.0, 9.0]])]
    card = ConfidenceOutput(name="variance", surer="smaller", index=0)
    np.testing.assert_allclose(confidence_of(variances, card), [-2.0, -4.0])
    with pytest.raises(WeightsError, match="gives 2 numbers per face; say which"):
        confidence_of(variances, ConfidenceOutput(name="variance", surer="smaller"))
