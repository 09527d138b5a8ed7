"""One prediction job from what the user names to open files: what ``hpbench predict`` runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpbench.detectors.base import Detector, make_detector
from hpbench.errors import UsageError
from hpbench.inference.devices import resolve_device
from hpbench.method import Method
from hpbench.predicting.predict import Summary, predict_source
from hpbench.predicting.prediction_files import PredictionWriter, TableKind, plan_output
from hpbench.predicting.sources import Frame, ImageFiles, Source, open_source
from hpbench.registry import load_method, make_method
from hpbench.spec import parse_specs

__all__ = ["Draw", "Session", "open_session"]

Draw = Literal["axes", "cube", "none"]


@dataclass(frozen=True)
class Session:
    """A source, loaded methods and detector, and the files that take in the predictions.

    Attributes
    ----------
    source : Source
    methods : dict of str to Method
        Loaded, by canonical spec.
    detector : Detector
        Loaded.
    writers : list of PredictionWriter
    smoothing_s : float or None
        Time constant of the smoothing of a video; None for none.
    """

    source: Source
    methods: dict[str, Method]
    detector: Detector
    writers: list[PredictionWriter]
    smoothing_s: float | None

    def run(self, frames: Iterable[Frame]) -> Summary:
        """Predict on frames of the source and write everything down."""
        return predict_source(frames, self.methods, self.detector, self.writers, self.smoothing_s)

    @property
    def written(self) -> list[Path]:
        """Files that are complete."""
        return [path for writer in self.writers for path in writer.written]


def open_session(
    source: str,
    method: Sequence[str],
    *,
    draw: Draw = "axes",
    boxes: str = "dlib",
    out: Path | None = None,
    table_format: TableKind | None = None,
    smoothing_s: float | None = None,
    device: str = "auto",
    plugins: Sequence[Path] = (),
) -> Session:
    """Open a source, load methods and detector, and begin the files.

    Parameters
    ----------
    source : str
        Image, folder, video or camera; see :func:`hpbench.predicting.sources.open_source`.
    method : sequence of str
        Specs.
    draw : {'axes', 'cube', 'none'}
    boxes : str
        Detector; see :func:`hpbench.detectors.base.make_detector`.
    out : Path or None
        Folder or file; None writes nothing.
    table_format : {'csv', 'json'} or None
    smoothing_s : float or None
    device : str
    plugins : sequence of Path

    Raises
    ------
    HpbenchError
        With one line that names what is wrong and the mend. What can be refused without
        loading a network is refused first.
    """
    opened = open_source(source)
    if smoothing_s is not None and isinstance(opened, ImageFiles):
        raise UsageError(
            f"--smooth: {opened.name} holds single images, which do not follow each other in "
            "time; only videos and cameras are smoothed"
        )
    plan = plan_output(out, opened, draw != "none", table_format) if out is not None else None
    place = resolve_device(device)
    methods = {
        str(item): make_method(item, place, tuple(plugins)) for item in parse_specs(list(method))
    }
    detector = make_detector(boxes)
    for one in methods.values():
        load_method(one)
    detector.load()
    about = {"source": opened.name, "boxes": boxes, "smoothing_s": smoothing_s}
    style: Literal["axes", "cube"] = "cube" if draw == "cube" else "axes"
    writers = plan.open(opened, list(methods), style, about) if plan is not None else []
    return Session(opened, methods, detector, writers, smoothing_s)
