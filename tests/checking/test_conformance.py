"""The conformance checks on a method that is right, and on methods that are wrong on purpose.

The faces are balls with three painted spots (a blue forehead, a red nose, a green chin) of a
known pose, so that a method that reads the pose exactly is a few lines of geometry.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import softmax
from typer.testing import CliRunner

from hpbench.checking.checks.conventions import check_offset
from hpbench.checking.checks.description import check_light_import
from hpbench.checking.checks.geometry import check_in_plane_rotation, check_mirror
from hpbench.checking.checks.unusual_faces import check_tiny_and_huge_faces, check_unsolvable_faces
from hpbench.checking.conformance import CHECKS, Check, Probe, check_method
from hpbench.cli import app
from hpbench.dataset import Dataset, DatasetCard, Label, Record
from hpbench.errors import DataError, UsageError
from hpbench.face import Face
from hpbench.method import Method, MethodCard, NoPrediction, Prediction
from hpbench.methods.card import FsaNet
from hpbench.registry import METHODS, make_dataset, make_method
from hpbench.rotation import (
    ANGLES,
    angles_from_rotation,
    geodesic_deg,
    rotation_from_angles,
)
from hpbench.scoring.known_mistakes import MISTAKES, diagnose

SIZE_PX, RADIUS_PX, SPOT_PX = 128, 40.0, 4.0
SPOTS = {
    "nose": (0.0, 0.0, -1.0),
    "chin": (0.0, 0.5, -(0.75**0.5)),
    "forehead": (0.0, -0.5, -(0.75**0.5)),
}
MIDDLES_DEG = 3.0 * np.arange(66) - 97.5
CHANNEL = {"nose": 0, "chin": 1, "forehead": 2}


def painted_picture(R_cam: np.ndarray) -> np.ndarray:
    image = np.full((SIZE_PX, SIZE_PX, 3), 60, np.uint8)
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    for name, place in SPOTS.items():
        spot_x, spot_y, _ = (SIZE_PX - 1) / 2 + RADIUS_PX * (R_cam @ place)
        inside = (x - spot_x) ** 2 + (y - spot_y) ** 2 <= SPOT_PX**2
        image[inside] = 60
        image[inside, CHANNEL[name]] = 200
    return image


class Balls(Dataset):
    """Painted balls of 24 poses."""

    name = "balls"
    summary = "painted balls"
    needs_root = False
    card = DatasetCard(name="balls", title="Balls", domain="render")

    def records(self):
        middle = (SIZE_PX - 1) / 2
        box = np.array([middle - 45, middle - 45, middle + 45, middle + 45])
        angles = np.random.default_rng(1).uniform((-40, -30, -35), (40, 30, 35), (24, 3))
        return [
            Record(f"ball{i}", Path("painted"), Label.from_angles(*row), box)
            for i, row in enumerate(angles)
        ]

    def read_image(self, record):
        return painted_picture(record.label.R_cam)


class Reader(Method):
    """Finds the spots inside the box and works out the one pose that puts them there."""

    name = "reader"
    summary = "reads painted balls"
    colours = CHANNEL

    def card(self):
        return MethodCard(
            name=self.name, title="Reader", licence="MIT", colour_order="RGB", crop_rule="the box"
        )

    def prepare(self, face):
        x0, y0, x1, y1 = np.round(face.box_xyxy).astype(int)
        height, width = face.image.shape[:2]
        image = face.image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
        middle = np.array([(x0 + x1) / 2 - max(x0, 0), (y0 + y1) / 2 - max(y0, 0)])
        spots = {}
        for name, channel in self.colours.items():
            own = image[..., channel].astype(int)
            others = np.delete(image, channel, axis=2).max(axis=2, initial=0)
            y, x = np.nonzero(own > others + 50)
            if len(x) == 0:
                return NoPrediction(f"no {name} in sight")
            spots[name] = (np.array([x.mean(), y.mean()]) - middle) / ((x1 - x0) / 90 * RADIUS_PX)
        return spots

    def infer(self, batch):
        return list(batch)

    def decode(self, output):
        return [Prediction(self.pose(**spots)) for spots in output]

    def pose(self, nose, chin, forehead):
        front = np.array([-nose[0], -nose[1], 0.0])
        front[2] = np.sqrt(max(1.0 - front @ front, 1e-6))
        down = np.array([chin[0] - forehead[0], chin[1] - forehead[1], 0.0])
        down[2] = -(down @ front) / front[2]
        down /= max(np.linalg.norm(down), 1e-9)
        front -= down * (down @ front)
        front /= np.linalg.norm(front)
        return np.stack([np.cross(down, front), down, front], axis=1)


SLOW = (check_light_import, check_tiny_and_huge_faces)


def outcome(kind: type[Method], checks: Sequence[Check]) -> dict[str, str]:
    """Reasons of the checks that a method fails, by name."""
    results = check_method(kind, Balls(), checks=checks)
    return {result.name: result.reason for result in results if result.status == "failed"}


def test_method_that_is_right_passes_every_check():
    results = check_method(Reader, Balls())
    not_passed = [(r.name, r.reason) for r in results if r.status != "passed"]
    assert not_passed == [("worker", "the method has no worker")]
    assert len(results) == len(CHECKS)


# ---- wrong conventions -------------------------------------------------------------------------


class Changed(Reader):
    """A reader whose prediction is changed in the last step."""

    def decode(self, output):
        R = np.array([one.R_cam for one in super().decode(output)])
        return [Prediction(changed) for changed in self.change(R)]


class YawSign(Changed):
    def change(self, R):
        return rotation_from_angles(angles_from_rotation(R) * (-1, 1, 1))


class PitchSign(Changed):
    def change(self, R):
        return rotation_from_angles(angles_from_rotation(R) * (1, -1, 1))


class RollSign(Changed):
    def change(self, R):
        return rotation_from_angles(angles_from_rotation(R) * (1, 1, -1))


class UpwardFrame(Changed):
    """The frame of 3DDFA and MediaPipe: y up, z to the viewer."""

    def change(self, R):
        S = np.diag([1.0, -1.0, -1.0])
        return S @ R @ S


class RqOrder(Changed):
    def change(self, R):
        yaw, pitch, roll = angles_from_rotation(R).T
        angles = np.stack([-pitch, yaw, roll], axis=1)
        return Rotation.from_euler("xyz", angles, degrees=True).as_matrix()


class RqDecomp(Changed):
    """Reads the angles of the right matrix by OpenCV and takes them for this project's."""

    def change(self, R):
        import cv2

        x, y, z = np.array([cv2.RQDecomp3x3(one)[0] for one in R]).T
        return rotation_from_angles(np.stack([y, -x, z], axis=1))


class Transposed(Changed):
    def change(self, R):
        return np.swapaxes(R, 1, 2)


class PitchForYaw(Changed):
    def change(self, R):
        return rotation_from_angles(angles_from_rotation(R)[:, [1, 0, 2]])


class RadiansForDegrees(Changed):
    def change(self, R):
        return rotation_from_angles(np.radians(angles_from_rotation(R)))


class DegreesForRadians(Changed):
    def change(self, R):
        return rotation_from_angles(np.degrees(angles_from_rotation(R)))


class Bgr(Reader):
    colours = {"nose": 2, "chin": 1, "forehead": 0}  # noqa: RUF012


class NoRoll(Changed):
    def change(self, R):
        return rotation_from_angles(angles_from_rotation(R) * (1, 1, 0))


class Collapsed(Changed):
    """As a network whose input is scaled wrongly."""

    def change(self, R):
        return rotation_from_angles(0.1 * angles_from_rotation(R) + (15.0, 5.0, -8.0))


class TurnedHead(Changed):
    """As from a crop that is not centred."""

    def change(self, R):
        return rotation_from_angles(angles_from_rotation(R) + np.array([12.0, 0.0, 0.0]))


@pytest.mark.parametrize(
    ("wrong", "failed", "looks_like"),
    [
        (YawSign, {"signs"}, "sign of yaw is swapped"),
        (PitchSign, {"signs"}, "sign of pitch is swapped"),
        (RollSign, {"signs", "in_plane_rotation"}, "sign of roll is swapped"),
        (UpwardFrame, {"signs", "in_plane_rotation"}, "sign of yaw and roll is swapped"),
        (RqOrder, {"euler_order"}, r"Rz\(roll\) Ry\(yaw\) Rx\(-pitch\) instead of"),
        (RqDecomp, {"euler_order"}, r"cv2\.RQDecomp3x3"),
        (Transposed, {"euler_order", "in_plane_rotation"}, "inverted"),
        (PitchForYaw, {"euler_order"}, "yaw and pitch are exchanged"),
        (RadiansForDegrees, {"angle_unit", "in_plane_rotation"}, "radians are read as degrees"),
        (
            DegreesForRadians,
            {"angle_unit", "in_plane_rotation", "mirror"},
            "degrees read as radians",
        ),
        (Bgr, {"colour_order"}, "BGR for RGB"),
        (
            Collapsed,
            {"angle_unit", "in_plane_rotation", "mirror"},
            "wrong scaling of the input",
        ),
        (NoRoll, {"in_plane_rotation"}, r"rotates the pose by -?[01]\.\d"),
        (TurnedHead, {"mirror", "offset"}, r"yaw is off by \+1[12] degrees"),
    ],
)
def test_wrong_convention_fails_the_right_check(wrong, failed, looks_like):
    reasons = outcome(wrong, [check for check in CHECKS if check not in SLOW])
    assert set(reasons) == failed
    assert any(re.search(looks_like, reason) for reason in reasons.values()), reasons


# ---- broken contracts --------------------------------------------------------------------------


class Scaled(Changed):
    def change(self, R):
        return 1.1 * R


class Reflected(Changed):
    def change(self, R):
        return R @ np.diag([1.0, 1.0, -1.0])


class Angles(Changed):
    def change(self, R):
        return angles_from_rotation(R)


class Whole(Changed):
    def change(self, R):
        return np.tile(np.eye(3, dtype=int), (len(R), 1, 1))


class NotANumber(Changed):
    def change(self, R):
        return R * np.nan


class BareArrays(Reader):
    def decode(self, output):
        return [one.R_cam for one in super().decode(output)]


class ListOfNone(Reader):
    def decode(self, output):
        return [None for _ in super().decode(output)]


class ForgotReturn(Reader):
    def decode(self, output):
        super().decode(output)


class EndlesslySure(Reader):
    def decode(self, output):
        return [replace(one, confidence=float("inf")) for one in super().decode(output)]


class OneTooFew(Reader):
    def predict(self, faces):
        return super().predict(faces)[:-1]


class SpeechlessNoAnswer(Reader):
    def prepare(self, face):
        return NoPrediction("")


class AnswersNothing(Reader):
    def prepare(self, face):
        return NoPrediction("no face found")


class NeedsAFace(Reader):
    def predict(self, faces):
        assert faces[0] is not None
        return super().predict(faces)


class BatchMean(Changed):
    """Batch statistics at inference, as a network left in training mode has them."""

    def change(self, R):
        angles = angles_from_rotation(R)
        return rotation_from_angles(angles - 0.2 * angles.mean(axis=0))


class Tracker(Changed):
    """Smooths over the batch as if it were a film."""

    def change(self, R):
        angles = angles_from_rotation(R)
        angles[1:] = 0.9 * angles[1:] + 0.1 * angles[:-1]
        return rotation_from_angles(angles)


class Random(Changed):
    """Test-time dropout."""

    def change(self, R):
        return rotation_from_angles(
            angles_from_rotation(R) + np.random.default_rng().normal(0, 1, (len(R), 3))
        )


class Seeded(Changed):
    """Another prediction from every instance."""

    def load(self):
        self.shift = np.random.default_rng().normal(0, 2, 3)

    def change(self, R):
        return rotation_from_angles(angles_from_rotation(R) + self.shift)


class Draws(Reader):
    def prepare(self, face):
        prepared = super().prepare(face)
        face.image[:5] = 255
        return prepared


class MovesBox(Reader):
    def prepare(self, face):
        prepared = super().prepare(face)
        face.box_xyxy[:] += 1.0
        return prepared


class SharedBuffer(Reader):
    def prepare(self, face):
        self.face = face
        time.sleep(0.002)  # lets the other threads in
        return super().prepare(self.face)


class Remembers(Reader):
    """Keeps on itself what decode needs."""

    seen = ()

    def prepare(self, face):
        spots = super().prepare(face)
        self.seen = (*self.seen, spots)
        return 0

    def decode(self, output):
        seen, self.seen = self.seen, ()
        return super().decode(seen)


class HoldsLambda(Reader):
    def __init__(self, options=None, device="cpu"):
        super().__init__(options, device)
        self.helper = lambda value: value


class FailsOnTiny(Reader):
    def prepare(self, face):
        if face.box_xyxy[2] - face.box_xyxy[0] < 20:
            raise ZeroDivisionError("face of no size")
        return super().prepare(face)


class FailsOutside(Reader):
    def prepare(self, face):
        if face.box_xyxy.min() < 0:
            raise IndexError("box outside")
        return super().prepare(face)


class FailsOnGrey(Reader):
    def prepare(self, face):
        if (face.image[..., 0] == face.image[..., 1]).all() and face.image.any():
            raise ValueError("not enough colours")
        return super().prepare(face)


class FailsOnBlack(Reader):
    def prepare(self, face):
        return super().prepare(Face("a", face.image // face.image.max(), face.box_xyxy))

    def infer(self, batch):
        return batch


class NoLicence(Reader):
    def card(self):
        return super().card().model_copy(update={"licence": ""})


class SecretLook(Reader):
    def card(self):
        return super().card().model_copy(update={"colour_order": "none"})


@pytest.mark.parametrize(
    ("wrong", "check", "reason"),
    [
        (Scaled, "rotations", "not a rotation"),
        (Reflected, "rotations", r"determinant -1\.000"),
        (Angles, "rotations", r"shape \(3,\)"),
        (Whole, "rotations", "dtype int"),
        (NotANumber, "rotations", "NaN"),
        (BareArrays, "rotations", r"decode gives a ndarray; return Prediction\(R_cam\)"),
        (ListOfNone, "order", r"decode gives a NoneType; return Prediction\(R_cam\)"),
        (ForgotReturn, "rotations", "decode gave a NoneType, not a list of Prediction"),
        (EndlesslySure, "rotations", "confidence is inf; give a finite number or None"),
        (OneTooFew, "rotations", "23 predictions to 24 faces"),
        (SpeechlessNoAnswer, "rotations", "NoPrediction without a reason"),
        (AnswersNothing, "rotations", "no prediction to any of 24 faces: no face found"),
        (NeedsAFace, "empty_batch", "IndexError"),
        (BatchMean, "batch_size", "alone and in a batch"),
        (Tracker, "order", "when the batch is reversed"),
        (Random, "deterministic", "when asked twice"),
        (Seeded, "deterministic", "from a second instance"),
        (Draws, "input_unchanged", "it may write into its face"),
        (MovesBox, "input_unchanged", "it may write into its face"),
        (SharedBuffer, "threads", "when prepared in threads"),
        (Remembers, "prepared_elsewhere", "0 predictions to 24 faces when another instance"),
        (HoldsLambda, "pickle", "pickle|lambda"),
        (FailsOnTiny, "tiny_and_huge_faces", "a face of 12 pixels raises ZeroDivisionError"),
        (FailsOutside, "box_partly_outside", "box cut by the left side.*IndexError"),
        (FailsOnGrey, "grey_and_16_bit_images", "a grey image of 8 bits raises ValueError"),
        (NoLicence, "card", "states no licence"),
        (SecretLook, "colour_order", "predictions change with the colours"),
    ],
)
def test_broken_contract_fails_the_right_check(wrong, check, reason):
    reasons = outcome(wrong, [one for one in CHECKS if one.__name__ == f"check_{check}"])
    assert list(reasons) == [check]
    assert re.search(reason, reasons[check]), reasons[check]


@pytest.mark.filterwarnings("error")
def test_method_that_predicts_nothing_is_told_so_once_and_without_a_warning():
    reasons = outcome(AnswersNothing, [check for check in CHECKS if check not in SLOW])
    assert list(reasons) == ["rotations"]


@pytest.mark.filterwarnings("error")
def test_method_without_any_prediction_is_judged_without_warnings_of_numpy():
    assert {"rotations", "labels"} & outcome(ListOfNone, CHECKS).keys() == {"rotations"}


def test_method_that_raises_on_a_black_image_fails_the_right_check():
    with np.errstate(all="raise"):
        assert "unsolvable_faces" in outcome(FailsOnBlack, [check_unsolvable_faces])


def test_heavy_import_is_named(tmp_path):
    file = tmp_path / "heavy.py"
    file.write_text(
        "import cv2\nfrom hpbench.methods.constant import Constant\n"
        "class Heavy(Constant):\n    name = 'heavy'\n"
    )
    results = check_method(
        lambda: make_method("heavy", plugins=[file]), Balls(), checks=[check_light_import]
    )
    assert results[0].status == "failed"
    assert "loads cv2" in results[0].reason


# ---- real methods, real networks ----------------------------------------------------------------


@pytest.mark.parametrize("spec", ["constant", "pnp", "pnp[landmarks=annotated]"])
def test_built_in_passes_on_the_sample(spec):
    assert failures_on_the_sample(spec) == {}


def test_fsanet_passes_on_the_sample(shared_path):
    folder = shared_path("weights/fsanet-var-iter-688590.onnx").parent
    assert failures_on_the_sample(f"fsanet[weights={folder}]") == {}


def test_hopenet_lite_passes_on_the_sample(hopenet_lite_weights):
    spec = f"hopenet[weights={hopenet_lite_weights},crop=hopenet-train]"
    assert failures_on_the_sample(spec) == {}


def test_bundled_hopenet_passes_on_the_sample():
    missing = METHODS.load("hopenet").missing()
    if missing:
        pytest.skip(missing)
    assert failures_on_the_sample("hopenet") == {}


def failures_on_the_sample(spec, checks=None):
    faces = 24 if checks is None else 96
    results = check_method(lambda: make_method(spec), make_dataset("sample"), faces, checks)
    return {result.name: result.reason for result in results if result.status == "failed"}


CONVENTIONS = [check for check in CHECKS if check.__module__.endswith("conventions")]


@pytest.mark.parametrize(
    ("old", "new", "failed", "named"),
    [
        ('"BGR"', '"RGB"', "colour_order", "BGR for RGB"),
        ("white = 255.0", "white = 1.0", "input_scaling", "white is wrong.* wants 0..255"),
        ("mean = 127.5\nstd = 128.0", "mean = 0\nstd = 1", "input_scaling", "mean and std are mis"),
        ("std = 128.0", "std = 1", "input_scaling", "the std is missing"),
        ('"yaw", "pitch"', '"-yaw", "pitch"', "signs", "the sign of yaw is swapped"),
        ('"yaw", "pitch"', '"yaw", "-pitch"', "signs", "the sign of pitch is swapped"),
        ('"pitch", "roll"', '"roll", "pitch"', "euler_order", "pitch and roll are exchanged"),
        ('"yaw", "pitch", "roll"', '"pitch", "roll", "yaw"', "euler_order", "yaw, pitch and roll"),
        ('unit = "deg"', 'unit = "deg"\neuler = "rq"', "euler_order", "Rx.* instead of Rx"),
        ('unit = "deg"', 'unit = "rad"', "angle_unit", "degrees read as radians"),
    ],
)
def test_wrong_line_in_a_real_networks_card_is_named(
    tmp_path, shared_path, old, new, failed, named
):
    folder = shared_path("weights/fsanet-var-iter-688590.onnx").parent
    text = FsaNet.card_file.read_text()
    assert old in text
    card = tmp_path / "wrong.toml"
    card.write_text(text.replace(old, new))
    found = failures_on_the_sample(f"card[file={card},weights={folder}]", CONVENTIONS)
    assert list(found) == [failed]
    assert re.search(named, found[failed])


def test_scores_of_bins_without_or_with_two_softmaxes_are_named():
    class Bins(Reader):
        """Gives scores of 66 bins per angle for what the painted spots say."""

        given, read = "logits", "logits"

        def infer(self, batch):
            R = np.array([super(Bins, self).pose(**spots) for spots in batch])
            logits = -(((angles_from_rotation(R)[:, :, None] - MIDDLES_DEG) / 4.0) ** 2) + 3.0
            return logits if self.given == "logits" else softmax(logits, axis=2)

        def decode(self, output):
            shares = softmax(output, axis=2) if self.read == "logits" else output
            return [Prediction(R) for R in rotation_from_angles(shares @ MIDDLES_DEG)]

    checks = [check for check in CHECKS if check.__name__ == "check_scores"]
    assert outcome(Bins, checks) == {}
    for given, read in (("logits", "probabilities"), ("probabilities", "logits")):
        wrong = type("Wrong", (Bins,), {"given": given, "read": read})
        reason = outcome(wrong, checks)["scores"]
        assert f"it looks like {given} are taken for {read}" in reason


@pytest.mark.parametrize("offset_deg", [(9, 9, 9), (0, 45, 0), (-81, 0, 0), (97.5, 97.5, 97.5)])
def test_offset_of_any_size_is_measured(offset_deg):
    class Shifted(Changed):
        def change(self, R):
            return rotation_from_angles(angles_from_rotation(R) + offset_deg)

    reason = outcome(Shifted, [check_offset])["offset"]
    found = dict(re.findall(r"(\w+) is off by ([+-]\d+) degrees", reason))
    for name, degrees in zip(ANGLES, offset_deg, strict=True):
        assert float(found.get(name, 0)) == pytest.approx(degrees, abs=3)


def test_a_method_that_understates_roll_is_told_so_and_passes():
    class Timid(Changed):
        def change(self, R):
            return rotation_from_angles(angles_from_rotation(R) * (1, 1, 0.5))

    (result,) = check_method(Timid, Balls(), checks=[check_in_plane_rotation])
    assert result.status == "passed"
    assert re.search("rotates the pose by [78].*understates roll", result.reason)


def test_mirror_check_bears_noise_of_a_weak_method():
    class Weak(Changed):
        """Off by 15 degrees, another way on every image."""

        def change(self, R):
            seeds = [int(abs(one[0, 2]) * 1e9) for one in R]
            noise = np.array([np.random.default_rng(seed).normal(0, 15, 3) for seed in seeds])
            return rotation_from_angles(angles_from_rotation(R) + noise)

    assert outcome(Weak, [check_mirror]) == {}


def test_wrong_colours_are_found_in_a_network_that_bears_them_well():
    class Blue(METHODS.load("hopenet")):
        def prepare(self, face):
            return super().prepare(replace(face, image=np.ascontiguousarray(face.image[..., ::-1])))

    results = check_method(lambda: Blue(Blue.Options()), make_dataset("sample"), 96, CONVENTIONS)
    assert [result.name for result in results if result.status == "failed"] == ["colour_order"]


def test_command_names_the_failed_check_and_exits_with_one(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from hpbench.methods.constant import Constant\n"
        "class Mine(Constant):\n"
        "    name = 'mine'\n"
        "    def card(self):\n"
        "        return super().card().model_copy(update={'licence': ''})\n"
    )
    done = CliRunner().invoke(app, ["check", "mine", "--plugin", str(file), "--limit", "12"])
    assert done.exit_code == 1
    lines = done.output.splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith("FAIL")]
    assert lines[place].split()[1] == "card"
    assert lines[place + 1].strip() == "the card states no licence"
    assert "1 failed" in lines[-1]


def test_device_that_is_not_there_is_refused():
    done = CliRunner().invoke(app, ["check", "constant", "--device", "tpu"])
    assert isinstance(done.exception, UsageError)


# ---- parts ------------------------------------------------------------------------------------


def test_every_known_mistake_is_undone_by_its_own_fix():
    """The fixed rotations of exact ones, taken for predictions, are explained down to nothing."""
    ground_truth = rotation_from_angles(
        np.random.default_rng(3).uniform((-60, -40, -40), (60, 40, 40), (40, 3))
    )
    for mistake in MISTAKES:
        if "radians" in mistake.text or "inverted" in mistake.text:
            continue
        planted = np.swapaxes(ground_truth, 1, 2) if "transposed" in mistake.text else None
        planted = mistake.fix(ground_truth) if planted is None else planted
        assert diagnose(planted, ground_truth).fixed_deg < 1e-3, mistake.text


def test_few_faces_are_no_evidence():
    ground_truth = rotation_from_angles(np.random.default_rng(0).uniform(-40, 40, (8, 3)))
    assert diagnose(np.swapaxes(ground_truth, 1, 2), ground_truth).mistake is None


def test_noise_alone_is_no_mistake():
    rng = np.random.default_rng(0)
    angles = rng.uniform(-30, 30, (60, 3))
    noisy = rotation_from_angles(angles + rng.normal(0, 8, angles.shape))
    assert diagnose(noisy, rotation_from_angles(angles)).mistake is None


def test_data_set_without_whole_labels_is_refused():
    class Unlabelled(Balls):
        def records(self):
            label = Label.from_angles(1.0, 2.0, np.nan)
            return [Record("a", Path("painted"), label, np.array([0.0, 0, 9, 9]))]

    with pytest.raises(DataError, match="no face to check a method on"):
        Probe.of(Reader, Unlabelled())


def test_reader_reads():
    probe = Probe.of(Reader, Balls())
    _, rotations, ground_truth = probe.predicted()
    assert len(rotations) == len(probe.faces)
    assert float(geodesic_deg(rotations, ground_truth).max()) < 3.0
