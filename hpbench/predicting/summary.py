"""Counts over all frames of a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hpbench.errors import DataError, ImageError
from hpbench.method import NoPrediction
from hpbench.predicting.faces import FrameResult
from hpbench.predicting.panels import short_names

__all__ = ["Summary"]


@dataclass
class Summary:
    """Counts over all frames of a source.

    Attributes
    ----------
    without_face, unreadable : int
        Frames.
    predicted : Counter of str
        Faces that each method predicted.
    reasons : Counter of tuple (method, reason)
        Faces that it did not.
    first_problem : str or None
        Why the first unreadable image could not be read.
    stopped : bool
        Whether the user stopped it.
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
        """Refuse a source in which nothing can be read, or no face was found."""
        if self.faces or self.stopped:
            return
        if self.frames and self.unreadable == self.frames:
            raise ImageError(f"{source}: no image in it can be read: {self.first_problem}")
        raise DataError(
            f"{source}: no face found by {boxes}; try --boxes dlib[upsample=1] for small faces "
            "or --boxes yunet for profiles"
        )

    def lines(self, methods: Sequence[str], word: str) -> list[str]:
        """The counts in words; `word` is ``image`` or ``frame``."""
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
