"""A method and the faces that it is checked on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hpbench.checking.alternatives import Finding, Stage, find_input_mistake
from hpbench.checking.requirements import NotApplicableError, Outcome, stack_rotations
from hpbench.dataset import Dataset, evenly_spaced
from hpbench.detectors.base import face_finder
from hpbench.errors import DataError
from hpbench.face import Face
from hpbench.inference.faces import annotated_face, each_record
from hpbench.labels.boxes import SAMPLE
from hpbench.labels.files import faces_of, review_files
from hpbench.labels.plausibility import review_labels, screened
from hpbench.method import Method, MethodCard
from hpbench.registry import load_method, make_dataset
from hpbench.rotation import (
    ANGLES,
    angles_from_rotation,
    equivalent_angles,
    geodesic_deg,
    is_rotation,
    rotation_from_angles,
    wrap_deg,
)
from hpbench.scoring.known_mistakes import (
    MIN_FACES,
    MISTAKES,
    RADIANS,
    Diagnosis,
    RotationMistake,
    diagnose,
    has_collapsed,
    spread_deg,
)

__all__ = ["MAX_FACES", "Check", "Probe"]

Array = npt.NDArray[np.float64]

MAX_FACES = 96
"""Default number of faces: mistakes that cost little are found on many."""

MAX_REFERENCE_DEG = 30.0
"""A method that is worse on the sample tells nothing about labels."""

EXPLAINED, CLEARLY = 0.5, 0.9
"""A mistake of the rotation whose undoing leaves less than the first share of the error explains
it, and none is looked for in face and input; where both are found it has to leave less than the
second share of what the other leaves."""

POOR_DEG, NEAR_YAW_DEG = 25.0, 25.0
"""From this mean error on, faces within this yaw are looked at alone."""

MIN_OFFSET_DEG = 6.0
"""Networks differ by up to 5 degrees in what they call frontal; a wrong offset is more."""

MAX_OFFSET_DEG = 120.0
"""Of pitch and roll: bins of -99 to 99 degrees that are counted from 0 are off by 99."""

MIN_OFFSET_GAIN = 0.25
"""By which share of the error, or of what another mistake leaves of it, an offset has to lower it:
any constant helps a bit."""

MODERATE_DEG = (60.0, 45.0, 45.0)
"""Largest yaw, pitch and roll of the faces that are used: profile is where methods may fail."""


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
    dataset : str
        Name of the data set that they are of.
    doubts : sequence of str
        What looks so wrong with its labels or boxes, by themselves, that no result is right.
    notes : sequence of str
        What looks unusual about them.
    trust_labels : bool
        Whether labels are assumed correct, so that any mistake is the method's.
    """

    make: Callable[[], Method]
    faces: Sequence[Face]
    ground_truth: Array
    dataset: str = SAMPLE
    doubts: Sequence[str] = ()
    notes: Sequence[str] = ()
    trust_labels: bool = False

    @classmethod
    def of(
        cls,
        make: Callable[[], Method],
        dataset: Dataset,
        limit: int = MAX_FACES,
        trust_labels: bool = False,
    ) -> Probe:
        """Take up to `limit` faces from all over a data set.

        With `trust_labels` labels and boxes are right, whatever they look like.

        Raises
        ------
        DataError
            If it has no face with a whole label, a box, and a moderate pose.
        """
        records = list(screened(each_record(dataset)))
        find_faces = None if dataset.name == SAMPLE else face_finder()
        suspicions = review_labels(records, dataset, find_faces)
        suspicions += review_files(dataset, faces_of(records))
        doubts, notes = list[str](), list[str]()
        for one in suspicions:
            stops = one.stops and not trust_labels
            if stops or one.code != "exchanged":  # which the method is asked about
                (doubts if stops else notes).append(one.line(dataset.name, dataset, trust=""))
        usable = [
            record
            for record in records
            if record.excluded is None
            and record.box_xyxy is not None
            and record.label is not None
            and record.label.R_cam is not None
            and bool((np.abs(record.label.angles_deg) <= MODERATE_DEG).all())
        ]
        faces, ground_truth = [], []
        for record in (usable[index] for index in evenly_spaced(len(usable), limit)):
            assert record.label is not None and record.label.R_cam is not None
            try:
                faces.append(annotated_face(dataset, record))
            except DataError:
                continue
            ground_truth.append(record.label.R_cam)
        if not faces:
            if doubts:
                raise DataError(doubts[0])
            raise DataError(
                f"data set '{dataset.name}' has no face to check a method on: one with yaw, pitch "
                "and roll, an annotated box, and angles up to 60, 45 and 45 degrees"
            )
        truth = np.array(ground_truth)
        return cls(make, faces, truth, dataset.name, doubts, notes, trust_labels)

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
        """Predictions for all faces in one batch."""
        return self.method.predict(self.faces)

    @property
    def sees_images(self) -> bool:
        """Whether the card says that the method looks at the image at all."""
        return self.card.colour_order != "none"

    @cached_property
    def is_stored(self) -> bool:
        """Whether the predictions are stored, so that they stay the same on changed images."""
        return bool(self.method.stored_members)

    def require_live(self) -> None:
        """Skip a check that changes images where predictions are stored.

        Raises
        ------
        NotApplicableError
        """
        if self.is_stored:
            raise NotApplicableError("its predictions are stored and do not change with the image")

    def predicted(self) -> tuple[list[Face], Array, Array]:
        """Faces with a prediction, their predictions, and the ground truth."""
        rotations, predicted = stack_rotations(self.predictions)
        return [self.faces[i] for i in predicted], rotations, self.ground_truth[predicted]

    @cached_property
    def some_faces(self) -> list[int]:
        """Indices of up to 24 faces from all over: enough for what does not need labels."""
        return evenly_spaced(len(self.faces), 24).tolist()

    @cached_property
    def rotation_diagnosis(self) -> Diagnosis:
        """Which mistake of signs, order, unit or offset the predictions look like."""
        _, predictions, ground_truth = self.predicted()
        return _diagnose(predictions, ground_truth)

    @cached_property
    def input_mistake(self) -> Finding | None:
        """Which mistake of colours, scaling or scores the predictions look like."""
        found = self.rotation_diagnosis
        is_explained = found.fixed_deg < EXPLAINED * found.error_deg
        is_fitted = found.mistake is not None and found.mistake.category == "offset"
        if not self.sees_images or self.is_stored:
            return None
        # twice through a softmax angles shrink as if they were radians
        stages: list[Stage] = ["scores"]
        if not is_explained or is_fitted:
            stages += ["face", "input"]
        return find_input_mistake(self.method, self.faces, self.ground_truth, stages)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """The one mistake, of all, that best explains the predictions."""
        found, other = self.rotation_diagnosis, self.input_mistake
        if other is None:
            return found
        if found.mistake is not None and found.fixed_deg < CLEARLY * other.plain_fixed_deg:
            return found
        return Diagnosis(found.faces, other.error_deg, other.mistake, other.fixed_deg)

    @cached_property
    def is_collapsed(self) -> bool:
        """Whether all faces get nearly the same prediction."""
        _, predictions, ground_truth = self.predicted()
        return has_collapsed(predictions, ground_truth)

    def spread_deg(self) -> tuple[float, float]:
        """Mean angle of predictions, and of the ground truth, to their mean."""
        _, predictions, ground_truth = self.predicted()
        return spread_deg(predictions), spread_deg(ground_truth)

    @cached_property
    def label_diagnosis(self) -> Diagnosis | None:
        """The mistake that the labels share, as far as a method shows it; None where it is its own.

        The same method on the embedded sample decides: there the labels are right. A mistake in
        labels is undone in them: undone in the predictions, angles of another order look like a
        rotation vector.
        """
        found = self.diagnosis
        seen_in_input = found.mistake is not None and not isinstance(found.mistake, RotationMistake)
        if self.trust_labels or seen_in_input or self.is_collapsed:
            return None
        _, predictions, ground_truth = self.predicted()
        undone = _diagnose(ground_truth, predictions)
        if undone.mistake is None and isinstance(found.mistake, RotationMistake):
            # undone in the predictions, only a sign is the same mistake
            option = found.mistake.table_option if found.mistake.category == "sign" else ""
            undone = replace(found, mistake=replace(found.mistake, table_option=option))
        return None if undone.mistake is None or self.error_on_sample_deg is None else undone

    @cached_property
    def error_on_sample_deg(self) -> float | None:
        """Error of a method that is sound on the embedded sample; None of another, or there."""
        if self.dataset == SAMPLE:
            return None
        reference = Probe.of(lambda: self.method, make_dataset(SAMPLE))
        try:
            _, predictions, ground_truth = reference.predicted()
        except Exception:  # a method for other faces only, which breaks on these
            return None
        if len(predictions) < MIN_FACES or not is_rotation(predictions, tolerance=1e-3).all():
            return None
        found = _diagnose(predictions, ground_truth)
        is_sound = found.mistake is None and found.error_deg < MAX_REFERENCE_DEG
        return found.error_deg if is_sound else None


def _diagnose(predictions: Array, ground_truth: Array) -> Diagnosis:
    """What explains the predictions, or for want of that those on near-frontal faces.

    Landmark detectors fail on turned heads, and what they predict there hides everything else.
    """
    found = _explain(predictions, ground_truth)
    if found.mistake is not None or not found.error_deg > POOR_DEG:
        return found
    near = np.abs(angles_from_rotation(ground_truth)[:, 0]) < NEAR_YAW_DEG
    second = _explain(predictions[near], ground_truth[near])
    return found if second.mistake is None else second


def _explain(predictions: Array, ground_truth: Array) -> Diagnosis:
    """The best explanation among known mistakes and, for want of one, a constant offset."""
    if len(predictions) < MIN_FACES:
        return diagnose(predictions, ground_truth)
    if has_collapsed(predictions, ground_truth):
        # any change that happens to move the one pose towards the mean would help
        return diagnose(predictions, ground_truth, [RADIANS])
    found = diagnose(predictions, ground_truth)
    offsets = _offset_mistake(predictions, ground_truth)
    with_offsets = diagnose(predictions, ground_truth, (*MISTAKES, *offsets))
    enough = with_offsets.fixed_deg < (1.0 - MIN_OFFSET_GAIN) * found.fixed_deg
    return with_offsets if enough else found


def _offset_mistake(predictions: Array, ground_truth: Array) -> list[RotationMistake]:
    """The median difference of each angle that has a large one, as a mistake."""
    truth_deg = angles_from_rotation(ground_truth)
    first = angles_from_rotation(predictions)
    starts = [np.zeros(3)]  # an offset may be so large that only few faces tell which it is
    for index in evenly_spaced(len(first), 5):
        starts += [
            first[index] - truth_deg[index],
            equivalent_angles(first[index]) - truth_deg[index],
        ]
    offsets = [
        np.median(wrap_deg(_angles_near(predictions, start) - start - truth_deg), axis=0) + start
        for start in starts
    ]
    # half turns of all three are another triple of the rotation with the sign of yaw swapped
    usual = [off for off in map(wrap_deg, offsets) if (np.abs(off[1:]) < MAX_OFFSET_DEG).all()]
    if not usual:
        return []
    off_deg = min(
        (np.where(np.abs(off) < MIN_OFFSET_DEG, 0.0, off) for off in usual),
        key=lambda off: float(geodesic_deg(_without(predictions, off), ground_truth).mean()),
    )
    if not off_deg.any():
        return []
    named = [(name, off) for name, off in zip(ANGLES, off_deg.tolist(), strict=True) if off]
    text = " and ".join(f"{name} is off by {off:+.0f} degrees" for name, off in named)
    option = ",".join(f"{name}{-off:+.0f}" for name, off in named)
    return [
        RotationMistake(
            f"a wrong offset_deg, first bin or crop: {text} on all faces",
            "offset",
            lambda R: _without(R, off_deg),
            f'offset="{option}"',
            f"{text} on all faces",
        )
    ]


def _without(R: Array, off_deg: Array) -> Array:
    return rotation_from_angles(_angles_near(R, off_deg) - off_deg)


def _angles_near(R: Array, off_deg: Array) -> Array:
    """The triple of each rotation whose pitch and roll are nearer to an offset."""
    both = np.stack([angles_from_rotation(R), equivalent_angles(angles_from_rotation(R))])
    distance = np.abs(wrap_deg(both - off_deg))[..., 1:].sum(axis=-1)
    return np.asarray(both[distance.argmin(axis=0), np.arange(len(R))])


Check = Callable[[Probe], str | None]
"""Gives a remark or None, and raises :class:`hpbench.checking.requirements.ConformanceError` where
a method fails it."""
