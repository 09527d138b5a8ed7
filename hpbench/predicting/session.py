"""One prediction job from what the user names to open files: what ``hpbench predict`` runs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hpbench.detectors.base import Detector, make_detector
from hpbench.errors import UsageError
from hpbench.images import MAX_PIXELS, pixel_limit
from hpbench.inference.devices import resolve_device
from hpbench.method import Method
from hpbench.predicting.config import SMOOTH_SECONDS, PredictConfig
from hpbench.predicting.faces import Certainty, predict_frames
from hpbench.predicting.outputs import plan_output, refuse_to_overwrite
from hpbench.predicting.sources import Frame, ImageFiles, Source, open_source
from hpbench.predicting.summary import Summary
from hpbench.predicting.writers import PredictionWriter
from hpbench.registry import load_method, make_method, require_live
from hpbench.spec import parse_specs

__all__ = ["Session", "open_session"]


@dataclass(frozen=True)
class Session:
    """A source, loaded methods (by canonical spec) and detector, and writers of predictions.

    `smoothing_s` is the time constant of the smoothing of a video; None for none.
    """

    source: Source
    methods: dict[str, Method]
    detector: Detector
    writers: list[PredictionWriter]
    smoothing_s: float | None
    certainty: Certainty | None = None
    max_pixels: int = MAX_PIXELS

    def run(self, frames: Iterable[Frame]) -> Summary:
        """Predict on frames of the source and hand each result to the writers.

        Ctrl-C ends it early with complete files; it is how a camera is ended.
        """
        summary = Summary()
        with ExitStack() as stack:
            stack.enter_context(pixel_limit(self.max_pixels))
            for writer in self.writers:
                stack.enter_context(writer)
            try:
                results = predict_frames(
                    frames, self.methods, self.detector, self.smoothing_s, self.certainty
                )
                for result in results:
                    for writer in self.writers:
                        writer.write(result)
                    summary.add(result)
            except KeyboardInterrupt:
                summary.stopped = True
        return summary

    @property
    def written(self) -> list[Path]:
        """Files that are complete."""
        return [path for writer in self.writers for path in writer.written]


def open_session(config: PredictConfig, out: Path | None) -> Session:
    """Open a source, load methods and detector, and plan the files; `out` None writes nothing.

    What can be rejected without loading a network is rejected first.
    """
    with pixel_limit(config.max_pixels):
        return _open(config, out)


def _open(config: PredictConfig, out: Path | None) -> Session:
    opened = open_source(config.source)
    smoothing_s = config.smooth_seconds if config.smooth else None
    if smoothing_s is not None and isinstance(opened, ImageFiles):
        raise UsageError(
            f"--smooth: {opened.name} holds single images, which do not follow each other in "
            "time; only videos and cameras are smoothed"
        )
    if not config.smooth and config.smooth_seconds != SMOOTH_SECONDS:
        raise UsageError("--smooth-seconds: has no effect without --smooth; add it")
    style = None if config.draw == "none" else config.draw
    metadata = {"source": opened.name, "boxes": config.boxes, "smoothing_s": smoothing_s}
    specs = parse_specs(config.methods)
    names = [str(spec) for spec in specs]
    for option, value in (
        ("--min-confidence", config.min_confidence), ("--unsure-below", config.unsure_below),
    ):  # fmt: skip
        if value is not None and len(names) > 1:
            raise UsageError(
                f"{option} {value:g}: every method has a scale of its own; name one method"
            )
    writers = plan_output(out, opened, style, config.format, names, metadata) if out else []
    refuse_to_overwrite(writers, opened)
    device = resolve_device(config.device)
    methods = {str(spec): make_method(spec, device, config.plugins) for spec in specs}
    for method in methods.values():
        require_live(method, "hpbench predict")
    detector = make_detector(config.boxes, config.plugins)
    for method in methods.values():
        load_method(method)
    detector.load()
    certainty = Certainty(config.min_confidence, config.unsure_below)
    return Session(opened, methods, detector, writers, smoothing_s, certainty, config.max_pixels)
