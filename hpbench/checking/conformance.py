"""Checks that any method has to pass, as scikit-learn has them for estimators.

Each check is a function that takes a :class:`Probe` and raises :class:`ConformanceError` with the
reason. In the tests of a plugin::

    from hpbench.checking.conformance import CHECKS, Probe
    from hpbench.registry import make_dataset, make_method

    @pytest.fixture(scope="module")
    def probe():
        return Probe.of(lambda: make_method("my_net"), make_dataset("sample"))

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_conformance(check, probe):
        check(probe)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from traceback import extract_tb
from typing import Literal

import numpy as np
import numpy.typing as npt

from hpbench.checking.known_mistakes import MIN_FACES, Diagnosis, diagnose
from hpbench.dataset import Dataset
from hpbench.errors import DataError, HpbenchError, ImageError, UsageError
from hpbench.face import Camera, Face
from hpbench.geometry.boxes import check_box
from hpbench.images import read_rgb
from hpbench.method import Method, MethodCard, NoPrediction, Prediction
from hpbench.registry import load_method
from hpbench.rotation import (
    angles_from_rotation,
    geodesic_deg,
    is_rotation,
    mean_rotation,
    mirror_rotation,
)

__all__ = [
    "CHECKS",
    "Check",
    "CheckResult",
    "ConformanceError",
    "NotApplicableError",
    "Probe",
    "check_method",
    "mirrored_face",
    "rotated_face",
]

Array = npt.NDArray[np.float64]
Outcome = Prediction | NoPrediction

SAME_DEG = 0.05
"""Predictions that differ by less are the same: batched networks round differently."""

MIRROR_TOLERANCE_DEG = 10.0
"""Median difference between a pose and the mirrored pose of the mirrored image."""

TURN_DEG = 15.0
TURN_TOLERANCE_DEG = 6.0
"""How far images are turned, and by how much the median turn of the predictions may differ."""

SATURATIONS = (1.0, 2.0, 4.0)
"""Colours are exaggerated so much before red and blue are exchanged: networks learn to bear
odd colours, and on plain images an exchange may even help. How much shows it best differs."""

MIN_COLOUR_GAIN = 0.10
"""By which share of the error an exchange of colours has to lower it to count."""

MAX_COLOUR_P = 1e-3
"""Of Wilcoxon's signed-rank test; a mean would be ruled by the few faces that fail outright."""

UNRELATED_DEG = 75.0
"""From this mean error on predictions have nothing to do with the faces."""

COLLAPSED = 0.25
"""Predictions that spread by less than this share of what the labels do are all but one pose."""

MODERATE_DEG = (60.0, 45.0, 45.0)
"""Largest yaw, pitch and roll of the faces that are used: profile is where methods may fail."""

_HEAVY = ("torch", "torchvision", "cv2", "dlib", "pandas", "matplotlib", "onnxruntime")

_IMPORT_ALONE = """
import importlib, runpy, sys
name, file, *heavy = sys.argv[1:]
try:
    importlib.import_module(name)
except ModuleNotFoundError as error:
    if error.name != name.partition(".")[0]:
        raise
    runpy.run_path(file)  # a single file, such as --plugin names
print(*(module for module in heavy if module in sys.modules))
"""

_MIRRORED_POINTS = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *(27, 28, 29, 30, 35, 34, 33, 32, 31),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
    *(64, 63, 62, 61, 60, 67, 66, 65),
)
"""Which of the 68 iBUG points stands at each place in the mirrored image."""


class ConformanceError(HpbenchError):
    """A method does not conform; the text says why and what to look for."""


class NotApplicableError(HpbenchError):
    """A check does not apply to a method, or there are too few faces for it."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Outcome of one check.

    Attributes
    ----------
    name : str
        The check's function without ``check_``.
    summary : str
        First line of its docstring.
    status : {'passed', 'failed', 'skipped'}
    reason : str
        Why it failed or was skipped; empty when it passed.
    """

    name: str
    summary: str
    status: Literal["passed", "failed", "skipped"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Colours:
    """How a method bears exaggerated colours, as they are and with red and blue exchanged.

    Attributes
    ----------
    predicted, predicted_swapped : int
        Faces with a prediction at every saturation.
    error_deg, error_exchanged_deg : float
        Mean geodesic error of those with both predictions, over all saturations.
    largest_change_deg : float
        Largest difference that the exchange makes.
    exchange_helps : bool
        Whether errors are clearly smaller with the exchange, or predictions far more.
    """

    predicted: int
    predicted_swapped: int
    error_deg: float
    error_exchanged_deg: float
    largest_change_deg: float
    exchange_helps: bool


@dataclass(frozen=True)
class Probe:
    """A method and the faces that it is checked on.

    Attributes
    ----------
    make : callable
        Makes an instance that is not loaded.
    faces : sequence of Face
        Moderate poses.
    ground_truth : ndarray, shape (n, 3, 3)
        Their ``R_cam``.
    """

    make: Callable[[], Method]
    faces: Sequence[Face]
    ground_truth: Array

    @classmethod
    def of(cls, make: Callable[[], Method], dataset: Dataset, limit: int = 48) -> Probe:
        """Take faces from all over a data set.

        Parameters
        ----------
        make : callable
        dataset : Dataset
        limit : int
            Largest number of faces.

        Raises
        ------
        DataError
            If it has no face with a whole label, a box, and a moderate pose.
        """
        usable = [
            record
            for record in dataset.records()
            if record.excluded is None
            and record.box_xyxy is not None
            and record.label is not None
            and record.label.R_cam is not None
            and bool((np.abs(record.label.angles_deg) <= MODERATE_DEG).all())
        ]
        places = np.unique(np.linspace(0, len(usable) - 1, min(limit, len(usable))).astype(int))
        faces, ground_truth = [], []
        for record in (usable[place] for place in places):
            assert record.label is not None and record.label.R_cam is not None
            assert record.box_xyxy is not None
            try:
                image = dataset.read_image(record)
                check_box(record.box_xyxy, (image.shape[1], image.shape[0]))
            except (ImageError, DataError):
                continue
            faces.append(
                Face(record.image_id, image, record.box_xyxy, record.camera, record.landmarks_xy)
            )
            ground_truth.append(record.label.R_cam)
        if not faces:
            raise DataError(
                f"data set '{dataset.name}' has no face to check a method on: one with yaw, pitch "
                "and roll, an annotated box, and a moderate pose"
            )
        return cls(make, faces, np.array(ground_truth))

    @cached_property
    def method(self) -> Method:
        """The method, loaded."""
        method = self.make()
        load_method(method)
        return method

    @cached_property
    def card(self) -> MethodCard:
        """Its card."""
        return self.method.card()

    @cached_property
    def predictions(self) -> list[Outcome]:
        """Predictions to all faces in one batch."""
        return self.method.predict(self.faces)

    @property
    def sees_images(self) -> bool:
        """Whether the card says that the method looks at the image at all."""
        return self.card.colour_order != "none"

    def predicted(self) -> tuple[list[Face], Array, Array]:
        """Faces with a prediction, their predictions, and the ground truth."""
        rotations, predicted = _rotations(self.predictions)
        return [self.faces[i] for i in predicted], rotations, self.ground_truth[predicted]

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """What the predictions look like beside the ground truth."""
        _, predictions, ground_truth = self.predicted()
        return diagnose(predictions, ground_truth)

    @cached_property
    def colours(self) -> Colours:
        """What exchanging red and blue does."""
        return _compare_colours(self)


Check = Callable[[Probe], None]


def check_method(
    make: Callable[[], Method],
    dataset: Dataset,
    limit: int = 48,
    checks: Sequence[Check] | None = None,
) -> list[CheckResult]:
    """Run all checks, or some.

    Parameters
    ----------
    make : callable
        Makes an instance that is not loaded.
    dataset : Dataset
        Where faces with ground truth come from; the embedded sample suffices.
    limit : int
        Largest number of faces.
    checks : sequence of callable or None
        None for all of :data:`CHECKS`.

    Raises
    ------
    HpbenchError
        If the method cannot be made or loaded at all: weights that are not there.
    UsageError
        If `limit` is below 12: with fewer faces no mistake of conventions is found.
    """
    if limit < MIN_FACES:
        raise UsageError(f"a check needs at least {MIN_FACES} faces, not {limit}")
    probe = Probe.of(make, dataset, limit)
    probe.method  # noqa: B018 - what is missing on this machine is no fault of the method
    return [_run_check(check, probe) for check in (CHECKS if checks is None else checks)]


def _run_check(check: Check, probe: Probe) -> CheckResult:
    name = check.__name__.removeprefix("check_")
    summary = (check.__doc__ or "").splitlines()[0]
    try:
        check(probe)
    except NotApplicableError as skipped:
        return CheckResult(name, summary, "skipped", str(skipped))
    except HpbenchError as failed:  # what does not conform, and what a method itself explains
        return CheckResult(name, summary, "failed", str(failed))
    except Exception as error:  # whatever a method raises is its own failure
        line = (str(error) or "no message").splitlines()[0]
        text = f"raised {type(error).__name__}: {line}{_place_of(error, probe.method)}"
        return CheckResult(name, summary, "failed", text)
    return CheckResult(name, summary, "passed")


def _place_of(error: Exception, method: Method) -> str:
    """Where the method's own file was when it raised, for its author."""
    file = getattr(sys.modules.get(type(method).__module__), "__file__", None)
    frames = [frame for frame in extract_tb(error.__traceback__) if frame.filename == file]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


# ---- what the method says of itself ------------------------------------------------------------


def check_card(probe: Probe) -> None:
    """States name, title, licence, weights' licence and crop rule."""
    card = probe.card
    if not isinstance(card, MethodCard):
        raise ConformanceError(f"card() returns a {type(card).__name__}, not a MethodCard")
    for field in ("name", "title", "licence", "crop_rule"):
        if not getattr(card, field):
            raise ConformanceError(f"the card states no {field}")
    if card.weights and not card.weights_licence:
        raise ConformanceError(
            "the card names weights and no weights_licence ('not known' is allowed)"
        )
    if card.weights and not card.trained_on and not card.notes:
        raise ConformanceError(
            "the card does not say what the weights were trained on: trained_on, or a note that "
            "it is not known"
        )


def check_light_import(probe: Probe) -> None:
    """Its module imports without torch, OpenCV, dlib, pandas, ..."""
    name = type(probe.method).__module__
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        raise NotApplicableError("the class is not in a module that can be imported alone")
    command = [sys.executable, "-c", _IMPORT_ALONE, name, file, *_HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ConformanceError(f"'{name}' cannot be imported: {done.stderr.splitlines()[-1]}")
    if done.stdout.strip():
        raise ConformanceError(
            f"importing '{name}' loads {done.stdout.strip()}; move these imports into load() and "
            "the steps, so that 'hpbench --help' stays fast"
        )


# ---- the form of predictions ------------------------------------------------------------------


def check_rotations(probe: Probe) -> None:
    """Every prediction is a 3x3 rotation of real numbers (determinant 1), or NoPrediction."""
    predictions = probe.predictions
    if len(predictions) != len(probe.faces):
        raise ConformanceError(f"{len(predictions)} predictions to {len(probe.faces)} faces")
    for face, prediction in zip(probe.faces, predictions, strict=True):
        _require_valid(prediction, f"face '{face.image_id}'")
    if all(isinstance(prediction, NoPrediction) for prediction in predictions):
        reasons = {
            prediction.reason for prediction in predictions if isinstance(prediction, NoPrediction)
        }
        raise ConformanceError(f"no prediction to any of {len(predictions)} faces: {min(reasons)}")


def _require_valid(prediction: object, what: str) -> None:
    """Raise unless a prediction has the form that the contract asks for."""
    if isinstance(prediction, NoPrediction):
        if not prediction.reason:
            raise ConformanceError(f"{what}: NoPrediction without a reason")
        return
    if not isinstance(prediction, Prediction):
        raise ConformanceError(
            f"{what}: decode gives a {type(prediction).__name__}; return Prediction(R_cam)"
        )
    R_cam = prediction.R_cam
    if not isinstance(R_cam, np.ndarray):
        raise ConformanceError(f"{what}: R_cam is a {type(R_cam).__name__}, not a numpy array")
    if R_cam.shape != (3, 3):
        raise ConformanceError(f"{what}: R_cam has shape {R_cam.shape}, not (3, 3)")
    if R_cam.dtype.kind != "f":
        raise ConformanceError(f"{what}: R_cam has dtype {R_cam.dtype}, not a floating one")
    if not np.isfinite(R_cam).all():
        raise ConformanceError(f"{what}: R_cam holds NaN or infinity; return NoPrediction instead")
    if not is_rotation(R_cam, tolerance=1e-3):
        determinant = np.linalg.det(R_cam.astype(np.float64))
        raise ConformanceError(
            f"{what}: R_cam is not a rotation (determinant {determinant:.3f}); "
            "hpbench.rotation.nearest_rotation makes one of it"
        )
    if prediction.confidence is not None and not np.isfinite(prediction.confidence):
        raise ConformanceError(
            f"{what}: the confidence is {prediction.confidence}; give a finite number or None"
        )


def _rotations(predictions: Sequence[Outcome]) -> tuple[Array, list[int]]:
    """Predicted rotations, shape (m, 3, 3), and the indices of the faces they belong to."""
    found = {i: one.R_cam for i, one in enumerate(predictions) if isinstance(one, Prediction)}
    return np.array(list(found.values()), dtype=np.float64).reshape(-1, 3, 3), list(found)


def check_empty_batch(probe: Probe) -> None:
    """No faces give no predictions."""
    predictions = probe.method.predict([])
    if list(predictions) != []:
        raise ConformanceError(f"{len(predictions)} predictions to no faces")


def check_batch_size(probe: Probe) -> None:
    """A face gets the same prediction alone and in a batch."""
    faces = probe.faces[:8]
    alone = [probe.method.predict([face])[0] for face in faces]
    _require_same(faces, alone, probe.method.predict(faces), "alone and in a batch")


def check_order(probe: Probe) -> None:
    """The order of faces in a batch does not matter."""
    reversed_predictions = probe.method.predict(probe.faces[::-1])[::-1]
    _require_same(
        probe.faces, probe.predictions, reversed_predictions, "when the batch is reversed"
    )


def check_deterministic(probe: Probe) -> None:
    """The same faces get the same predictions again, also from a second instance."""
    again = probe.method.predict(probe.faces)
    _require_same(probe.faces, probe.predictions, again, "when asked twice")
    second = probe.make()
    second.load()
    faces = probe.faces[:8]
    _require_same(faces, probe.predictions[:8], second.predict(faces), "from a second instance")


def check_input_unchanged(probe: Probe) -> None:
    """Image, box and landmarks are not written to."""
    face = probe.faces[0]
    own = replace(
        face,
        image=face.image.copy(),
        box_xyxy=face.box_xyxy.copy(),
        landmarks_xy=None if face.landmarks_xy is None else face.landmarks_xy.copy(),
    )
    probe.method.predict([own])
    for field in ("image", "box_xyxy", "landmarks_xy"):
        before, after = getattr(face, field), getattr(own, field)
        if before is not None and not np.array_equal(before, after):
            raise ConformanceError(f"it writes into face.{field}, which other methods see too")


def check_threads(probe: Probe) -> None:
    """`prepare` gives the same from several threads at once."""
    if probe.method.prepare_in != "threads":
        raise NotApplicableError(f"its faces are prepared in {probe.method.prepare_in}")
    with ThreadPoolExecutor(4) as pool:
        prepared = list(pool.map(probe.method.prepare, probe.faces))
    inputs = [value for value in prepared if not isinstance(value, NoPrediction)]
    decoded = iter(probe.method.decode(probe.method.infer(inputs)) if inputs else ())
    predictions: list[Outcome] = [
        value if isinstance(value, NoPrediction) else next(decoded) for value in prepared
    ]
    _require_same(probe.faces, probe.predictions, predictions, "when prepared in threads")


def check_pickle(probe: Probe) -> None:
    """An instance that is not loaded pickles, and the copy predicts the same."""
    from multiprocessing.reduction import ForkingPickler

    copy = ForkingPickler.loads(ForkingPickler.dumps(probe.make()))  # as a worker receives it
    copy.load()
    faces = probe.faces[:8]
    _require_same(faces, probe.predictions[:8], copy.predict(faces), "from an unpickled copy")


def _require_same(
    faces: Sequence[Face],
    first: Sequence[Outcome],
    second: Sequence[Outcome],
    when: str,
) -> None:
    if len(first) != len(second):
        raise ConformanceError(f"{len(first)} and {len(second)} predictions {when}")
    for face, a, b in zip(faces, first, second, strict=True):
        if isinstance(a, NoPrediction) or isinstance(b, NoPrediction):
            if isinstance(a, NoPrediction) != isinstance(b, NoPrediction):
                raise ConformanceError(
                    f"face '{face.image_id}' is predicted once and once not {when}"
                )
            continue
        difference = float(geodesic_deg(a.R_cam, b.R_cam))
        if not difference <= SAME_DEG:
            raise ConformanceError(
                f"face '{face.image_id}' gets predictions {difference:.2f} degrees apart {when}"
            )


# ---- unusual faces -----------------------------------------------------------------------------


def check_tiny_and_huge_faces(probe: Probe) -> None:
    """Faces of 12 and of 1500 pixels get a prediction or NoPrediction."""
    for size_px in (12, 1500):
        face = _resized_face(probe.faces[0], size_px)
        _require_graceful(probe.method, face, f"a face of {size_px} pixels")


def check_box_partly_outside(probe: Probe) -> None:
    """A box that reaches outside the image on any side gets a prediction or NoPrediction."""
    face = probe.faces[0]
    x0, y0, x1, y1 = face.box_xyxy
    for side, cut in {
        "left": np.s_[:, int((x0 + x1) / 2) :],
        "top": np.s_[int((y0 + y1) / 2) :, :],
        "right": np.s_[:, : int((x0 + x1) / 2)],
        "bottom": np.s_[: int((y0 + y1) / 2), :],
    }.items():
        image = face.image[cut]
        if image.size == 0:
            continue
        moved = [cut[1].start or 0, cut[0].start or 0]
        points = None if face.landmarks_xy is None else face.landmarks_xy - moved
        part = Face(face.image_id, image, face.box_xyxy - moved * 2, None, points)
        _require_graceful(probe.method, part, f"a box cut by the {side} side of the image")


def check_grey_and_16_bit_pictures(probe: Probe) -> None:
    """Grey images of 8 and of 16 bits get the same prediction."""
    from PIL import Image

    face = probe.faces[0]
    grey = np.asarray(Image.fromarray(face.image).convert("L"))
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "grey8.png", Path(folder) / "grey16.png"]
        Image.fromarray(grey).save(files[0])
        Image.fromarray(grey.astype(np.uint16) << 8).save(files[1])
        faces = [replace(face, image=read_rgb(file)) for file in files]
    for part, bits in zip(faces, (8, 16), strict=True):
        _require_graceful(probe.method, part, f"a grey image of {bits} bits")
    first, second = (probe.method.predict([part]) for part in faces)
    _require_same([face], first, second, "as grey image of 8 and of 16 bits")


def check_unsolvable_faces(probe: Probe) -> None:
    """A black image, noise, and a box of one pixel get a prediction or NoPrediction."""
    face = probe.faces[0]
    noise = np.random.default_rng(0).integers(0, 256, face.image.shape, dtype=np.uint8)
    x, y = np.clip(face.box_xyxy[:2], 0, np.array(face.size_wh) - 2)
    for part, what in (
        (replace(face, image=np.zeros_like(face.image)), "a black image"),
        (replace(face, image=noise), "an image of noise"),
        (replace(face, box_xyxy=np.array([x, y, x + 1.0, y + 1.0])), "a box of one pixel"),
    ):
        _require_graceful(probe.method, part, what)


def _require_graceful(method: Method, face: Face, what: str) -> None:
    try:
        predictions = method.predict([face])
    except Exception as error:
        line = (str(error) or "no message").splitlines()[0]
        raise ConformanceError(
            f"{what} raises {type(error).__name__}: {line}; return NoPrediction with a reason"
        ) from error
    if len(predictions) != 1:
        raise ConformanceError(f"{what}: {len(predictions)} predictions to one face")
    _require_valid(predictions[0], what)


def _resized_face(face: Face, size_px: int) -> Face:
    """The face with its surroundings, scaled so that its box is about `size_px` wide."""
    from PIL import Image

    x0, y0, x1, y1 = face.box_xyxy
    side = max(x1 - x0, y1 - y0)
    left, top = int(max(x0 - side / 2, 0)), int(max(y0 - side / 2, 0))
    part = face.image[top : int(y1 + side / 2), left : int(x1 + side / 2)]
    scale = size_px / side
    size = (max(round(part.shape[1] * scale), 1), max(round(part.shape[0] * scale), 1))
    image = np.asarray(Image.fromarray(np.ascontiguousarray(part)).resize(size))
    moved = np.array([left, top, left, top], dtype=np.float64)
    points = None if face.landmarks_xy is None else (face.landmarks_xy - moved[:2]) * scale
    return Face(face.image_id, image, (face.box_xyxy - moved) * scale, None, points)


# ---- geometry ----------------------------------------------------------------------------------


def check_mirror(probe: Probe) -> None:
    """The mirrored image gets the mirrored pose (median within 10 degrees)."""
    faces, predictions = _comparable(probe)
    mirrored, predicted = _predictions_for(probe, [mirrored_face(face) for face in faces])
    difference = geodesic_deg(mirror_rotation(mirrored), predictions[predicted])
    median = _median(difference)
    if median > MIRROR_TOLERANCE_DEG:
        signed = _wrapped_mean(
            angles_from_rotation(mirror_rotation(mirrored)), predictions[predicted]
        )
        raise ConformanceError(
            f"the mirrored image's pose is {median:.1f} degrees off (median) from the mirrored "
            f"pose; it should be (-yaw, pitch, -roll). {signed}"
        )


def check_in_plane_rotation(probe: Probe) -> None:
    """Turning the image by 15 degrees turns the head by as much (median within 6 degrees)."""
    faces, predictions = _comparable(probe)
    # towards upright, where every method is at home
    turns_deg = np.where(angles_from_rotation(predictions)[:, 2] > 0, -TURN_DEG, TURN_DEG)
    turned_faces = [rotated_face(*pair) for pair in zip(faces, turns_deg, strict=True)]
    turned, predicted = _predictions_for(probe, turned_faces)
    D = turned @ np.swapaxes(predictions[predicted], 1, 2)
    about_z = np.degrees(np.arctan2(D[:, 1, 0] - D[:, 0, 1], D[:, 0, 0] + D[:, 1, 1]))
    median = _median(about_z * np.sign(turns_deg[predicted]))
    if abs(median - TURN_DEG) > TURN_TOLERANCE_DEG:
        hint = "roll grows clockwise" if median < -TURN_TOLERANCE_DEG else "see crop and decode"
        raise ConformanceError(
            f"an image turned by {TURN_DEG:g} degrees turns the pose by {median:.1f} (median); "
            f"{hint}"
        )


def _comparable(probe: Probe) -> tuple[list[Face], Array]:
    """The 24 predicted faces nearest to frontal, for methods that look at them."""
    if not probe.sees_images and all(face.landmarks_xy is None for face in probe.faces):
        raise NotApplicableError("by its card the method does not look at the image")
    faces, predictions, ground_truth = probe.predicted()
    if (
        not probe.sees_images
        and float(geodesic_deg(predictions, predictions[:1]).max()) <= SAME_DEG
    ):
        raise NotApplicableError("by its card the method does not look at the image")
    if len(faces) < 3:
        raise NotApplicableError(f"three predicted faces are needed, there are {len(faces)}")
    nearest = np.argsort(geodesic_deg(ground_truth, np.eye(3)), kind="stable")[:24]
    return [faces[place] for place in nearest], predictions[nearest]


def _predictions_for(probe: Probe, faces: Sequence[Face]) -> tuple[Array, list[int]]:
    """Predictions for changed faces, shape (m, 3, 3), and the indices of those predicted."""
    rotations, predicted = _rotations(probe.method.predict(faces))
    if len(predicted) < max(len(faces) / 2, 3):
        raise NotApplicableError(
            f"only {len(predicted)} of {len(faces)} changed images have a prediction"
        )
    return rotations, predicted


def _median(values: Array) -> float:
    return float(np.median(values))


def _wrapped_mean(angles_deg: Array, predictions: Array) -> str:
    off = (angles_deg - angles_from_rotation(predictions) + 180.0) % 360.0 - 180.0
    yaw, pitch, roll = np.median(off, axis=0)
    return f"Medians per angle: yaw {yaw:+.1f}, pitch {pitch:+.1f}, roll {roll:+.1f}"


def mirrored_face(face: Face) -> Face:
    """The face in the mirrored image, with its box, landmarks and camera.

    Parameters
    ----------
    face : Face

    Returns
    -------
    Face
        Its pose is :func:`hpbench.rotation.mirror_rotation` of the face's.
    """
    last = face.image.shape[1] - 1
    x0, y0, x1, y1 = face.box_xyxy
    points = face.landmarks_xy
    if points is not None:
        points = points[list(_MIRRORED_POINTS)] * (-1.0, 1.0) + (last, 0.0)
    camera = face.camera
    if camera is not None:
        matrix = camera.matrix.copy()
        matrix[0, 2] = last - matrix[0, 2]
        # p2 belongs to the term that is odd in x
        camera = Camera(matrix, camera.distortion * (1.0, 1.0, 1.0, -1.0, 1.0))
    image = np.ascontiguousarray(face.image[:, ::-1])
    return Face(face.image_id, image, np.array([last - x1, y0, last - x0, y1]), camera, points)


def rotated_face(face: Face, clockwise_deg: float) -> Face:
    """The face in the image turned about the principal point, with box and landmarks.

    Parameters
    ----------
    face : Face
    clockwise_deg : float
        As seen; corners that come in are black.

    Returns
    -------
    Face
        Its pose is ``Rz(clockwise_deg) @ R_cam``. The box keeps its size where the face has no
        landmarks to make a new one of.
    """
    from PIL import Image

    width, height = face.size_wh
    centre = np.array([(width - 1) / 2.0, (height - 1) / 2.0])
    if face.camera is not None:
        centre = face.camera.matrix[:2, 2]
    turned = Image.fromarray(face.image).rotate(
        -clockwise_deg, Image.Resampling.BILINEAR, center=tuple(centre + 0.5)
    )
    sine, cosine = np.sin(np.radians(clockwise_deg)), np.cos(np.radians(clockwise_deg))
    turn = np.array([[cosine, -sine], [sine, cosine]])

    def moved(points_xy: Array) -> Array:
        return (points_xy - centre) @ turn.T + centre

    corners = face.box_xyxy.reshape(2, 2)
    half = (corners[1] - corners[0]) / 2.0
    middle = moved(corners.mean(axis=0))
    box = np.concatenate([middle - half, middle + half])
    points = None if face.landmarks_xy is None else moved(face.landmarks_xy)
    return Face(face.image_id, np.asarray(turned), box, face.camera, points)


# ---- conventions -------------------------------------------------------------------------------


def check_signs(probe: Probe) -> None:
    """No angle has the wrong sign."""
    _require_no_mistake(probe, "sign")


def check_euler_order(probe: Probe) -> None:
    """Angles are put together in the right order and the matrix is not transposed."""
    _require_no_mistake(probe, "order")


def check_angle_unit(probe: Probe) -> None:
    """Degrees are degrees: predictions lie neither all near one pose nor anywhere."""
    _require_no_mistake(probe, "unit")
    diagnosis = _diagnosis(probe)
    _, predictions, ground_truth = probe.predicted()
    spread, true_spread = _spread_deg(predictions), _spread_deg(ground_truth)
    if diagnosis.mistake is None and spread < COLLAPSED * true_spread:
        raise ConformanceError(
            f"all faces get nearly the same prediction (they lie {spread:.1f} degrees around their "
            f"mean, the faces {true_spread:.1f}): it looks like wrong scaling of the input (white, "
            "mean, std), or wrong weights"
        )
    unrelated = diagnosis.mistake is None and diagnosis.error_deg > UNRELATED_DEG
    if unrelated and not probe.colours.exchange_helps:
        raise ConformanceError(
            f"the predictions have nothing to do with the faces (mean error "
            f"{diagnosis.error_deg:.0f} degrees): it looks like degrees read as radians, or "
            "wrong weights"
        )


def _spread_deg(R: Array) -> float:
    """Mean angle between rotations, shape (n, 3, 3), and the their mean."""
    return float(geodesic_deg(R, mean_rotation(R)).mean())


def _require_no_mistake(probe: Probe, kind: str) -> None:
    diagnosis = _diagnosis(probe)
    mistake = diagnosis.mistake
    if mistake is not None and mistake.kind == kind:
        raise ConformanceError(
            f"it looks like {mistake.text}: undoing that lowers the mean error on "
            f"{diagnosis.faces} faces from {diagnosis.error_deg:.1f} to "
            f"{diagnosis.mended_deg:.1f} degrees"
        )


def _diagnosis(probe: Probe) -> Diagnosis:
    _comparable(probe)
    return probe.diagnosis


def check_colour_order(probe: Probe) -> None:
    """Red and blue are not exchanged; a card with colour order 'none' means no look at all."""
    colours = probe.colours
    if not probe.sees_images:
        if colours.largest_change_deg > SAME_DEG:
            raise ConformanceError(
                "the card says colour_order='none', but the predictions change with the colours"
            )
        return
    if colours.exchange_helps:
        raise ConformanceError(
            f"it looks like BGR for RGB: with red and blue exchanged (and exaggerated) "
            f"{_colour_gain(colours)}; face.image is RGB"
        )


def _colour_gain(colours: Colours) -> str:
    """What an exchange of colours brings, in words."""
    gains = []
    if colours.error_exchanged_deg < colours.error_deg:
        gains.append(
            f"the mean error falls from {colours.error_deg:.1f} to "
            f"{colours.error_exchanged_deg:.1f} degrees"
        )
    if colours.predicted_swapped != colours.predicted:
        gains.append(
            f"{colours.predicted_swapped} instead of {colours.predicted} faces are predicted"
        )
    return " and ".join(gains)


def _compare_colours(probe: Probe) -> Colours:
    faces, _, ground_truth = probe.predicted()
    if not faces:  # an exchange of colours may be the very reason why nothing is predicted
        faces, ground_truth = list(probe.faces), probe.ground_truth
    as_it_is, exchanged = (_predictions_in_colours(probe, faces, swap) for swap in (False, True))
    predicted, predicted_swapped = _always_predicted(as_it_is), _always_predicted(exchanged)
    both = predicted & predicted_swapped
    first, second = _stacked(as_it_is, both), _stacked(exchanged, both)
    error = geodesic_deg(first, ground_truth[both]).mean(axis=0)
    error_exchanged = geodesic_deg(second, ground_truth[both]).mean(axis=0)
    return Colours(
        predicted=int(predicted.sum()),
        predicted_swapped=int(predicted_swapped.sum()),
        error_deg=float(error.mean()) if both.any() else float("nan"),
        error_exchanged_deg=float(error_exchanged.mean()) if both.any() else float("nan"),
        largest_change_deg=float(geodesic_deg(first, second).max()) if both.any() else 0.0,
        exchange_helps=_exchange_helps(error, error_exchanged)
        or predicted.sum() < predicted_swapped.sum() / 2,
    )


def _predictions_in_colours(probe: Probe, faces: Sequence[Face], swap: bool) -> list[list[Outcome]]:
    """Predictions at each saturation, to all faces."""
    return [
        list(
            probe.method.predict(
                [replace(face, image=_vivid(face.image, saturation, swap)) for face in faces]
            )
        )
        for saturation in SATURATIONS
    ]


def _always_predicted(
    predictions: Sequence[Sequence[Outcome]],
) -> npt.NDArray[np.bool_]:
    """Which faces have a prediction at every saturation."""
    predicted = [[not isinstance(one, NoPrediction) for one in row] for row in predictions]
    return np.asarray(np.logical_and.reduce(predicted, axis=0), dtype=np.bool_)


def _stacked(predictions: Sequence[Sequence[Outcome]], which: npt.NDArray[np.bool_]) -> Array:
    """Predictions for some faces, shape (saturations, faces, 3, 3)."""
    kept = np.flatnonzero(which).tolist()
    return np.stack([_rotations([row[i] for i in kept])[0] for row in predictions])


def _exchange_helps(error: Array, error_exchanged: Array) -> bool:
    """Whether an exchange of colours lowers the errors of faces, shape (n,), clearly."""
    from scipy.stats import wilcoxon

    gain = error - error_exchanged
    if len(gain) < MIN_FACES or gain.mean() <= MIN_COLOUR_GAIN * error.mean():
        return False
    return bool(wilcoxon(gain, alternative="greater").pvalue < MAX_COLOUR_P)


def _vivid(
    image: npt.NDArray[np.uint8], saturation: float, exchange: bool
) -> npt.NDArray[np.uint8]:
    """The image in exaggerated colours, with red and blue exchanged if wanted."""
    grey = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    strong = grey[..., None] + saturation * (image - grey[..., None])
    pixels = np.clip(np.rint(strong), 0.0, 255.0).astype(np.uint8)
    return np.ascontiguousarray(pixels[..., ::-1]) if exchange else pixels


CHECKS: tuple[Check, ...] = (
    check_card,
    check_light_import,
    check_rotations,
    check_empty_batch,
    check_batch_size,
    check_order,
    check_deterministic,
    check_input_unchanged,
    check_threads,
    check_pickle,
    check_tiny_and_huge_faces,
    check_box_partly_outside,
    check_grey_and_16_bit_pictures,
    check_unsolvable_faces,
    check_mirror,
    check_in_plane_rotation,
    check_signs,
    check_euler_order,
    check_angle_unit,
    check_colour_order,
)
"""All checks, the cheap ones first."""
