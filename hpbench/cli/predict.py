"""``hpbench predict``."""

from __future__ import annotations

from collections.abc import Iterator
from os.path import commonpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpbench.predicting.config import PredictConfig

if TYPE_CHECKING:
    from hpbench.predicting.sources import Frame, Source
    from hpbench.predicting.summary import Summary

__all__ = ["predict"]

MAX_PATHS = 10
"""Of more files only the folder is printed."""


def predict(
    config: PredictConfig,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for drawings and table; or one file: .csv, .json, an image, .mp4. "
            "A new folder below runs/ if not given.",
            metavar="PATH",
        ),
    ] = None,
) -> None:
    """Estimate and draw head poses in images, a video or a camera stream.

    Finds the faces and runs the methods that 'hpbench run' compares.

    Examples
    --------
    hpbench predict photo.jpg --methods hopenet,pnp
    hpbench predict clip.mp4 --methods hopenet --smooth --out clip_pose.mp4
    """
    from hpbench.api import run_folder

    with run_folder(out, "predict_") as folder:
        _predict_into(folder, config)


def _predict_into(out: Path, config: PredictConfig) -> None:
    from hpbench.predicting.session import open_session

    session = open_session(config, out)
    opened = session.source
    summary = session.run(_with_bar(opened, config.limit))
    word = "image" if opened.fps is None else "frame"
    not_drawn = [line for writer in session.writers for line in writer.notes]
    for line in [*summary.lines(list(session.methods), word), *opened.notes, *not_drawn]:
        typer.echo(line)
    if opened.total == 1:
        _print_angles(summary)
    for writer in session.writers:
        many = len(writer.written) > MAX_PATHS
        for path in [Path(commonpath(writer.written))] if many else writer.written:
            typer.echo(str(path))
    summary.require_faces(opened.name, config.boxes)
    if summary.stopped and not opened.live:
        raise KeyboardInterrupt


def _with_bar(source: Source, limit: int | None) -> Iterator[Frame]:
    """The frames, with a bar that moves as they are taken."""
    from itertools import islice

    from hpbench.cli.terminal import open_bar

    frames = islice(source.frames(), limit)
    if source.total == 1:
        yield from frames
        return
    if source.live:
        typer.echo(f"{source.name}: recording, Ctrl-C ends it", err=True)
    counts = [count for count in (source.total, limit) if count is not None]
    with open_bar(Path(source.name).name or source.name, min(counts, default=None)) as advance:
        for frame in frames:
            yield frame
            advance(1)


def _print_angles(summary: Summary) -> None:
    """Every face of a single image, with what the angles mean."""
    from hpbench.method import NoPrediction
    from hpbench.predicting.panels import short_names
    from hpbench.predicting.rows import angles_in_words

    faces = summary.last.faces if summary.last is not None else ()
    for number, face in enumerate(faces, start=1):
        shown = short_names(list(face.predictions))
        for name, prediction in zip(shown, face.predictions.values(), strict=True):
            if isinstance(prediction, NoPrediction):
                words = f"no prediction: {prediction.reason}"
            else:
                words = angles_in_words(prediction.R_cam)
            typer.echo(f"face {number}, {name}: {words}")
