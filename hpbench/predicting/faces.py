"""Faces that a detector finds, with the predictions of all methods, image by image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from hpbench.detectors.base import Detector, find_faces
from hpbench.errors import ImageError
from hpbench.face import Face
from hpbench.inference.solving import solve_batch
from hpbench.method import Method, NoPrediction, Prediction
from hpbench.predicting.sources import Frame
from hpbench.predicting.tracking import RotationSmoother, Tracker

__all__ = ["Certainty", "FoundFace", "FrameResult", "predict_faces", "predict_frames"]

Array = npt.NDArray[np.float64]


UNSURE_SPREAD_DEG = 10.0
"""Mean of the claimed standard deviations above which a pose is drawn pale."""


@dataclass(frozen=True, slots=True)
class Certainty:
    """What is left out, and what is drawn pale.

    Attributes
    ----------
    min_confidence : float or None
        A prediction with a lower confidence, or none, is left out.
    unsure_below : float or None
        A prediction with a lower confidence is unsure; None: one with a large claimed spread.
    """

    min_confidence: float | None = None
    unsure_below: float | None = None

    def kept(self, prediction: Prediction | NoPrediction) -> Prediction | NoPrediction:
        """The prediction, or why it is left out."""
        if self.min_confidence is None or isinstance(prediction, NoPrediction):
            return prediction
        if prediction.confidence is None:
            return NoPrediction("without a confidence, which --min-confidence needs")
        if prediction.confidence < self.min_confidence:
            return NoPrediction(f"confidence below {self.min_confidence:g}")
        return prediction

    def is_unsure(self, prediction: Prediction | NoPrediction) -> bool:
        """Whether a prediction is to be drawn pale."""
        if isinstance(prediction, NoPrediction):
            return False
        if self.unsure_below is not None:
            return prediction.confidence is None or prediction.confidence < self.unsure_below
        spread_deg = prediction.spread_deg
        return spread_deg is not None and float(spread_deg.mean()) > UNSURE_SPREAD_DEG


@dataclass(frozen=True, slots=True)
class FoundFace:
    """One face that a detector found, with the predictions of all methods.

    Attributes
    ----------
    score : float
        The detector's own; higher is surer.
    predictions : mapping of str to Prediction or NoPrediction
        By method. Always what the method said about this image alone.
    track : int or None
        Number that stays with a face through a video.
    smoothed : mapping of str to ndarray, shape (3, 3)
        By method, where smoothing was asked for.
    unsure : frozenset of str
        Methods that are not sure of this face.
    """

    box_xyxy: Array
    score: float
    predictions: Mapping[str, Prediction | NoPrediction]
    track: int | None = None
    smoothed: Mapping[str, Array] = field(default_factory=dict)
    unsure: frozenset[str] = frozenset()

    def shown_rotation(self, method: str) -> Array | None:
        """The smoothed rotation where there is one, else the predicted one, if any."""
        prediction = self.predictions[method]
        if method in self.smoothed or isinstance(prediction, NoPrediction):
            return self.smoothed.get(method)
        return prediction.R_cam


@dataclass(frozen=True, slots=True)
class FrameResult:
    """One frame with its faces, the surest first."""

    frame: Frame
    faces: Sequence[FoundFace]


def predict_faces(
    image_rgb: npt.NDArray[np.uint8],
    methods: Mapping[str, Method],
    detector: Detector,
    image_id: str = "image",
) -> list[FoundFace]:
    """Find the faces in an image and predict their poses, with loaded methods and detector.

    Parameters
    ----------
    image_rgb : ndarray, shape (height, width, 3), uint8
    methods : mapping of str to Method
        By the name to give the predictions.
    detector : Detector
    image_id : str
        Handed to the methods.

    Returns
    -------
    list of FoundFace
        The surest first; empty where the detector finds none.

    Raises
    ------
    ImageError
        If the detector fails on the image.
    HpbenchError
        As a method raises it. Any other exception of a method is a :class:`NoPrediction` for the
        faces that cause it.
    """
    boxes, scores = find_faces(detector, image_rgb)
    faces = [Face(image_id, image_rgb, box) for box in boxes]
    solved = {name: solve_batch(method, faces) for name, method in methods.items()}
    return [
        FoundFace(box, float(score), {name: solved[name][index].prediction for name in methods})
        for index, (box, score) in enumerate(zip(boxes, scores, strict=True))
    ]


def predict_frames(
    frames: Iterable[Frame],
    methods: Mapping[str, Method],
    detector: Detector,
    smoothing_s: float | None = None,
    certainty: Certainty | None = None,
) -> Iterator[FrameResult]:
    """Predict on frames one after the other; faces of a video keep their numbers.

    `smoothing_s` is the time constant of :class:`~hpbench.predicting.tracking.RotationSmoother`;
    images that do not follow each other are never smoothed. An unreadable frame has no faces.
    Methods and detector are loaded.
    """
    tracker = Tracker()
    smoother = None if smoothing_s is None else RotationSmoother(smoothing_s)
    for frame in frames:
        faces: list[FoundFace] = []
        if frame.image is not None:
            try:
                faces = predict_faces(frame.image, methods, detector, frame.name)
            except ImageError as error:
                frame = replace(frame, image=None, problem=str(error))
            faces = [_judged(face, certainty or Certainty()) for face in faces]
        if frame.time_s is not None:
            faces = _follow(faces, frame.time_s, tracker, smoother)
        yield FrameResult(frame, faces)


def _judged(face: FoundFace, certainty: Certainty) -> FoundFace:
    predictions = {name: certainty.kept(one) for name, one in face.predictions.items()}
    unsure = frozenset(name for name, one in predictions.items() if certainty.is_unsure(one))
    return replace(face, predictions=predictions, unsure=unsure)


def _follow(
    faces: Sequence[FoundFace], time_s: float, tracker: Tracker, smoother: RotationSmoother | None
) -> list[FoundFace]:
    boxes = np.array([face.box_xyxy for face in faces]).reshape(-1, 4)
    tracks = tracker.update(boxes, time_s)
    if smoother is not None:
        smoother.keep(tracker.tracks)
    followed = []
    for face, track in zip(faces, tracks, strict=True):
        smoothed = {
            name: smoother.update((track, name), prediction.R_cam, time_s)
            for name, prediction in face.predictions.items()
            if smoother is not None and isinstance(prediction, Prediction)
        }
        followed.append(replace(face, track=track, smoothed=smoothed))
    return followed
