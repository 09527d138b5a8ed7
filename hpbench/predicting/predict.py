"""Head poses of all faces in images and videos, by the very methods that are benchmarked.

The pieces, each usable alone: :func:`predict_faces` finds the faces of one image and asks the
methods, :func:`predict_frames` does so frame by frame and follows faces through a video,
:func:`draw_result` shows the predictions, :func:`result_rows` puts them into table rows, and
:func:`predict_source` hands everything to the writers of
:mod:`hpbench.predicting.prediction_files`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpbench.detectors.base import Detector
from hpbench.errors import DataError, ImageError
from hpbench.face import Face
from hpbench.geometry.pose_drawing import DrawStyle, draw_face
from hpbench.geometry.text_drawing import draw_text, enlarge_small, side_by_side
from hpbench.inference.solving import solve_batch
from hpbench.method import Method, NoPrediction, Prediction
from hpbench.predicting.sources import Frame
from hpbench.predicting.tracking import RotationSmoother, Tracker
from hpbench.rotation import ANGLES, angles_from_rotation
from hpbench.spec import parse_spec
from hpbench.storage.run_folder import rotation_cells

if TYPE_CHECKING:
    from hpbench.predicting.prediction_files import PredictionWriter

__all__ = [
    "FoundFace",
    "FrameResult",
    "Summary",
    "angles_in_words",
    "draw_result",
    "predict_faces",
    "predict_frames",
    "predict_source",
    "result_rows",
    "short_names",
]

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

MAX_VIDEO_WIDTH_PX = 3840
"""Panels of a video are reduced to fit side by side into this; MPEG-4 ends at 8191."""


@dataclass(frozen=True, slots=True)
class FoundFace:
    """One face that a detector found, with the predictions of all methods.

    Attributes
    ----------
    box_xyxy : ndarray, shape (4,)
        Pixels.
    score : float
        The detector's own; higher is surer.
    predictions : mapping of str to Prediction or NoPrediction
        By method. Always what the method said about this image alone.
    track : int or None
        Number that stays with a face through a video.
    smoothed : mapping of str to ndarray, shape (3, 3)
        By method, where smoothing was asked for.
    """

    box_xyxy: Array
    score: float
    predictions: Mapping[str, Prediction | NoPrediction]
    track: int | None = None
    smoothed: Mapping[str, Array] = field(default_factory=dict)

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
    image_rgb: Pixels,
    methods: Mapping[str, Method],
    detector: Detector,
    image_id: str = "image",
) -> list[FoundFace]:
    """Find the faces in an image and let methods tell their poses.

    Parameters
    ----------
    image_rgb : ndarray, shape (height, width, 3), uint8
    methods : mapping of str to Method
        Loaded, by the name to give the predictions.
    detector : Detector
        Loaded.
    image_id : str
        Handed to the methods.

    Returns
    -------
    list of FoundFace
        The surest first; empty where the detector finds none.

    Raises
    ------
    HpbenchError
        As a method raises it. Any other exception of a method is a :class:`NoPrediction` for the
        faces that cause it.

    Examples
    --------
    ::

        methods = {"hopenet": make_method("hopenet"), "pnp": make_method("pnp")}
        detector = make_detector("dlib")
        for method in methods.values():
            method.load()
        detector.load()
        for face in predict_faces(read_rgb(Path("face.jpg")), methods, detector):
            print(face.box_xyxy, face.predictions["pnp"])
    """
    boxes, scores = detector.detect(image_rgb)
    faces = [Face(image_id, image_rgb, box) for box in boxes]
    solved = {name: solve_batch(method, faces) for name, method in methods.items()}
    return [
        FoundFace(box, float(score), {name: solved[name][place].prediction for name in methods})
        for place, (box, score) in enumerate(zip(boxes, scores, strict=True))
    ]


def predict_frames(
    frames: Iterable[Frame],
    methods: Mapping[str, Method],
    detector: Detector,
    smoothing_s: float | None = None,
) -> Iterator[FrameResult]:
    """Predict on frames one after the other; faces of a video keep their numbers.

    Parameters
    ----------
    frames : iterable of Frame
        For example ``open_source("clip.mp4").frames()``.
    methods : mapping of str to Method
        Loaded.
    detector : Detector
        Loaded.
    smoothing_s : float or None
        Time constant of :class:`hpbench.predicting.tracking.RotationSmoother`; None: no smoothing.
        Images that do not follow each other are never smoothed.

    Yields
    ------
    FrameResult
        One per frame; without faces where the image cannot be read.
    """
    tracker = Tracker()
    smoother = None if smoothing_s is None else RotationSmoother(smoothing_s)
    for frame in frames:
        faces: list[FoundFace] = []
        if frame.image is not None:
            faces = predict_faces(frame.image, methods, detector, frame.name)
        if frame.time_s is not None:
            faces = _follow(faces, frame.time_s, tracker, smoother)
        yield FrameResult(frame, faces)


def predict_source(
    frames: Iterable[Frame],
    methods: Mapping[str, Method],
    detector: Detector,
    writers: Sequence[PredictionWriter],
    smoothing_s: float | None = None,
) -> Summary:
    """Predict on all frames and hand each prediction to the writers.

    Ctrl-C ends it early with complete files; it is how a camera is ended.

    Parameters
    ----------
    frames : iterable of Frame
    methods : mapping of str to Method
        Loaded.
    detector : Detector
        Loaded.
    writers : sequence of PredictionWriter
        Entered here, and closed at the end.
    smoothing_s : float or None
        As in :func:`predict_frames`.

    Returns
    -------
    Summary
    """
    summary = Summary()
    with ExitStack() as stack:
        for writer in writers:
            stack.enter_context(writer)
        try:
            for result in predict_frames(frames, methods, detector, smoothing_s):
                for writer in writers:
                    writer.write(result)
                summary.add(result)
        except KeyboardInterrupt:
            summary.stopped = True
    return summary


def _follow(
    faces: Sequence[FoundFace], time_s: float, tracker: Tracker, smoother: RotationSmoother | None
) -> list[FoundFace]:
    boxes = np.array([face.box_xyxy for face in faces]).reshape(-1, 4)
    followed = []
    for face, track in zip(faces, tracker.update(boxes, time_s), strict=True):
        smoothed = {}
        if smoother is not None:
            smoothed = {
                name: smoother.update((track, name), prediction.R_cam, time_s)
                for name, prediction in face.predictions.items()
                if not isinstance(prediction, NoPrediction)
            }
        followed.append(FoundFace(face.box_xyxy, face.score, face.predictions, track, smoothed))
    return followed


def draw_result(
    result: FrameResult,
    methods: Sequence[str],
    style: DrawStyle = "axes",
    max_width_px: int | None = None,
) -> Pixels:
    """Draw the poses of all faces, with one panel per method side by side.

    Parameters
    ----------
    result : FrameResult
        Of an image that could be read.
    methods : sequence of str
        Their order is that of the panels.
    style : {'axes', 'cube'}
    max_width_px : int or None
        Reduce the panels to fit into it. Small images are enlarged by a whole factor, so
        that the angles can be read.

    Returns
    -------
    ndarray, shape (height, n * width, 3), uint8
    """
    image = result.frame.image
    if image is None:
        raise ValueError(f"{result.frame.name}: there is no image to draw into")
    image, scale = _fit(image, len(methods), max_width_px)
    panels = []
    for name in methods:
        panel = image
        for face in reversed(result.faces):  # the surest on top
            R_cam = face.shown_rotation(name)
            words = [f"face {face.track}"] if face.track is not None else []
            words += ["no prediction"] if R_cam is None else []
            box = (face.box_xyxy + 0.5) * scale - 0.5
            panel = draw_face(panel, box, R_cam, style, " ".join(words))
        if not result.faces:
            panel = draw_text(panel, ["no face found"], (0.0, panel.shape[0]), 14)
        panels.append(panel)
    titles = short_names(methods) if len(methods) > 1 else [""]
    return side_by_side(panels, titles)


def _fit(image: Pixels, panels: int, max_width_px: int | None) -> tuple[Pixels, float]:
    """Enlarge or reduce an image for drawing; also the factor."""
    import cv2

    image, factor = enlarge_small(image)
    height, width = image.shape[:2]
    if max_width_px is None or panels * width <= max_width_px:
        return image, float(factor)
    reduced = max_width_px // panels
    size_wh = (reduced, max(1, round(height * reduced / width)))
    small = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8), factor * reduced / width


def short_names(methods: Sequence[str]) -> list[str]:
    """Method specs as a reader needs them: plain names where they differ, files without folders.

    Examples
    --------
    >>> short_names(["hopenet[weights=/data/a.pkl]", "pnp"])
    ['hopenet', 'pnp']
    >>> short_names(["hopenet[weights=/data/a.pkl]", "hopenet[weights=/data/b.pkl]"])
    ['hopenet weights=a.pkl', 'hopenet weights=b.pkl']
    """
    specs = [parse_spec(name) for name in methods]
    if len({spec.name for spec in specs}) == len(specs):
        return [spec.name for spec in specs]
    return [
        " ".join([spec.name, *(f"{key}={Path(text).name}" for key, text in spec.options.items())])
        for spec in specs
    ]


def result_rows(result: FrameResult, methods: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of the table that predict writes: one per face and method.

    Parameters
    ----------
    result : FrameResult
    methods : sequence of str

    Returns
    -------
    list of dict
        ``status`` is ``ok``, ``no_answer``, ``no_face`` or ``unreadable``; the last two are one
        row for the whole image. Numbers that do not exist are None.
    """
    frame = result.frame
    about = {"image": frame.name, "frame": frame.number, "time_s": _rounded(frame.time_s, 4)}
    if frame.image is None:
        return [_row(about, status="unreadable", reason=frame.problem)]
    if not result.faces:
        return [_row(about, status="no_face", reason="no face found by the detector")]
    rows = []
    for number, face in enumerate(result.faces, start=1):
        box = zip(("x0", "y0", "x1", "y1"), face.box_xyxy.tolist(), strict=True)
        seen = about | {key: round(value, 2) for key, value in box}
        seen |= {"face": number, "track": face.track, "score": _rounded(face.score, 4)}
        for name in methods:
            prediction = face.predictions[name]
            if isinstance(prediction, NoPrediction):
                row = _row(seen, method=name, status="no_answer", reason=prediction.reason)
            else:
                confidence = _rounded(prediction.confidence, 6)
                row = _row(seen, method=name, status="ok", confidence=confidence)
                row |= _rotation_columns(prediction.R_cam)
            if name in face.smoothed:
                row |= _angle_columns(face.smoothed[name], "smoothed_")
            rows.append(row)
    return rows


ROW_COLUMNS = (
    "image", "frame", "time_s", "face", "track", "x0", "y0", "x1", "y1", "score", "method",
    "status", "reason", "confidence", "yaw_deg", "pitch_deg", "roll_deg",
    "smoothed_yaw_deg", "smoothed_pitch_deg", "smoothed_roll_deg",
    "r00", "r01", "r02", "r10", "r11", "r12", "r20", "r21", "r22",
)  # fmt: skip
"""Columns of the table, in order."""


def _row(*parts: Mapping[str, Any], **further: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(ROW_COLUMNS)
    for part in (*parts, further):
        row |= part
    return row


def _rotation_columns(R_cam: Array) -> dict[str, float]:
    cells = {key: round(value, 9) for key, value in rotation_cells(R_cam).items()}
    return _angle_columns(R_cam) | cells


def _angle_columns(R_cam: Array, prefix: str = "") -> dict[str, float]:
    angles = zip(ANGLES, angles_from_rotation(R_cam).tolist(), strict=True)
    return {f"{prefix}{name}_deg": round(value, 4) for name, value in angles}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def angles_in_words(R_cam: Array) -> str:
    """What the three angles mean in the image, for a newcomer.

    Examples
    --------
    >>> from hpbench.rotation import rotation_from_angles
    >>> angles_in_words(rotation_from_angles([20.0, -10.0, 0.0]))
    'yaw +20.0 (nose to the left), pitch -10.0 (looks down), roll +0.0 (upright)'
    """
    words = (
        ("nose to the left", "nose to the right", "straight"),
        ("looks up", "looks down", "level"),
        ("turned clockwise", "turned anticlockwise", "upright"),
    )
    parts = []
    for name, angle, (positive, negative, none) in zip(
        ANGLES, np.round(angles_from_rotation(R_cam), 1) + 0.0, words, strict=True
    ):
        meaning = none if abs(angle) < 1.0 else positive if angle > 0 else negative
        parts.append(f"{name} {angle:+.1f} ({meaning})")
    return ", ".join(parts)


@dataclass
class Summary:
    """Counts over all frames of a source.

    Attributes
    ----------
    frames, faces, without_face, unreadable : int
        `without_face` and `unreadable` count frames.
    predicted : Counter of str
        Faces that each method predicted.
    reasons : Counter of tuple (method, reason)
        Faces that it did not.
    first_problem : str or None
        Why the first unreadable image could not be read.
    stopped : bool
        Whether the user stopped it.
    last : FrameResult or None
    """

    frames: int = 0
    faces: int = 0
    without_face: int = 0
    unreadable: int = 0
    predicted: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    first_problem: str | None = None
    stopped: bool = False
    last: FrameResult | None = None

    def add(self, result: FrameResult) -> None:
        """Count one frame."""
        self.frames += 1
        self.last = result
        self.faces += len(result.faces)
        if result.frame.image is None:
            self.unreadable += 1
            self.first_problem = self.first_problem or result.frame.problem
        elif not result.faces:
            self.without_face += 1
        for face in result.faces:
            for name, prediction in face.predictions.items():
                if isinstance(prediction, NoPrediction):
                    self.reasons[name, prediction.reason] += 1
                else:
                    self.predicted[name] += 1

    def require_faces(self, source: str, boxes: str) -> None:
        """Refuse a source in which there was no face at all.

        Raises
        ------
        ImageError
            If nothing in it can be read.
        DataError
            If the detector found nothing.
        """
        if self.faces or self.stopped:
            return
        if self.frames and self.unreadable == self.frames:
            raise ImageError(f"{source}: no image in it can be read: {self.first_problem}")
        raise DataError(
            f"{source}: no face found by {boxes}; try --boxes dlib[upsample=1] for small faces "
            "or --boxes yunet for profiles"
        )

    def lines(self, methods: Sequence[str], word: str) -> list[str]:
        """The counts in words.

        Parameters
        ----------
        methods : sequence of str
        word : str
            ``image`` or ``frame``.
        """
        first = f"{_counted(self.frames, word)}, {_counted(self.faces, 'face')}"
        if self.without_face:
            first += f"; {_counted(self.without_face, word)} without a face"
        if self.unreadable:
            first += f"; {self.unreadable} unreadable, the first: {self.first_problem}"
        lines = [first]
        for name, shown in zip(methods, short_names(methods), strict=True):
            missing = [
                f"{count} {reason}" for (method, reason), count in self.reasons.items()
                if method == name
            ]  # fmt: skip
            predicted = (
                f"{shown} predicted {self.predicted[name]} of {_counted(self.faces, 'face')}"
            )
            lines.append(predicted + (f"; no prediction: {', '.join(missing)}" if missing else ""))
        return lines


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
