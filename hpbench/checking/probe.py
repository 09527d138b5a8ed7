"""A method and the faces that it is checked on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hpbench.checking.colours import ColourChange, compare_colours
from hpbench.checking.requirements import Outcome, stack_rotations
from hpbench.dataset import Dataset, evenly_spaced
from hpbench.detectors.base import face_finder
from hpbench.errors import DataError, ImageError
from hpbench.face import Face
from hpbench.geometry.boxes import check_box
from hpbench.labels.boxes import SAMPLE
from hpbench.labels.files import faces_of, review_files
from hpbench.labels.plausibility import review_labels, screened
from hpbench.method import Method, MethodCard
from hpbench.registry import load_method, make_dataset
from hpbench.rotation import is_rotation
from hpbench.scoring.known_mistakes import MIN_FACES, Diagnosis, Mistake, diagnose

__all__ = ["Check", "Probe"]

Array = npt.NDArray[np.float64]

MAX_REFERENCE_DEG = 30.0
"""A method that is worse on the sample tells nothing about labels."""

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
        What looks wrong with its labels or boxes, by themselves.
    """

    make: Callable[[], Method]
    faces: Sequence[Face]
    ground_truth: Array
    dataset: str = SAMPLE
    doubts: Sequence[str] = ()

    @classmethod
    def of(cls, make: Callable[[], Method], dataset: Dataset, limit: int = 48) -> Probe:
        """Take up to `limit` faces from all over a data set.

        Raises
        ------
        DataError
            If it has no face with a whole label, a box, and a moderate pose.
        """
        records = list(screened(dataset.iter_records()))
        find_faces = None if dataset.name == SAMPLE else face_finder()
        suspicions = review_labels(records, dataset, find_faces)
        suspicions += review_files(dataset, faces_of(records))
        doubts = [suspicion.line(dataset.name, dataset, trust="") for suspicion in suspicions]
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
            if doubts:
                raise DataError(doubts[0])
            raise DataError(
                f"data set '{dataset.name}' has no face to check a method on: one with yaw, pitch "
                "and roll, an annotated box, and a moderate pose"
            )
        return cls(make, faces, np.array(ground_truth), dataset.name, doubts)

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

    def predicted(self) -> tuple[list[Face], Array, Array]:
        """Faces with a prediction, their predictions, and the ground truth."""
        rotations, predicted = stack_rotations(self.predictions)
        return [self.faces[i] for i in predicted], rotations, self.ground_truth[predicted]

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """What the predictions look like beside the ground truth."""
        _, predictions, ground_truth = self.predicted()
        return diagnose(predictions, ground_truth)

    @cached_property
    def label_mistake(self) -> Mistake | None:
        """Mistake that the labels share, as far as a method shows it; None where it is its own.

        The same method on the embedded sample decides: there the labels are right.
        """
        if self.dataset == SAMPLE or self.diagnosis.mistake is None:
            return None
        reference = Probe.of(lambda: self.method, make_dataset(SAMPLE))
        try:
            _, predictions, ground_truth = reference.predicted()
        except Exception:  # a method for other faces only, which breaks on these
            return None
        if len(predictions) < MIN_FACES or not is_rotation(predictions, tolerance=1e-3).all():
            return None
        found = diagnose(predictions, ground_truth)
        is_sound = found.mistake is None and found.error_deg < MAX_REFERENCE_DEG
        return self.diagnosis.mistake if is_sound else None

    @cached_property
    def colours(self) -> ColourChange:
        """What exchanging red and blue does."""
        faces, _, ground_truth = self.predicted()
        if not faces:  # an exchange of colours may be the very reason why nothing is predicted
            faces, ground_truth = list(self.faces), self.ground_truth
        return compare_colours(self.method, faces, ground_truth)


Check = Callable[[Probe], None]
"""Raises :class:`hpbench.checking.requirements.ConformanceError` where a method fails it."""
