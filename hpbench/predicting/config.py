"""What ``hpbench predict`` takes."""

from __future__ import annotations

from numbers import Integral
from os import PathLike
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from hpbench.arguments import Config, Device, Limit, MaxPixels, Metavar, Methods, Plugins
from hpbench.errors import UsageError
from hpbench.images import MAX_PIXELS

__all__ = ["SMOOTH_SECONDS", "PredictConfig"]

SMOOTH_SECONDS = 0.15


def _as_text(source: object) -> str:
    """A path, or the number of a camera, as the command line has it."""
    if not isinstance(source, str | PathLike | Integral):
        raise UsageError(
            f"source of type {type(source).__name__}: write a path, or the number of a camera; "
            "save an image in memory as a file first"
        )
    return str(source)


class PredictConfig(Config):
    """Options of ``hpbench predict`` and arguments of ``hpbench.predict``."""

    source: Annotated[
        str, BeforeValidator(_as_text), Metavar("IMAGE|FOLDER|VIDEO|CAMERA", positional=True)
    ] = Field(description="Image, folder of images, video, or camera: 0, camera:0 or /dev/video0.")
    methods: Methods
    draw: Literal["axes", "cube", "none"] = Field(
        "axes", description="What to draw; none writes the table only."
    )
    boxes: Annotated[str, Metavar("NAME[KEY=VALUE,...]")] = Field(
        "dlib", description="Face detector: dlib, dlib[upsample=1] or yunet[model=FILE]."
    )
    format: Literal["csv", "json"] | None = Field(
        None, description="Table in the output folder; csv if not given."
    )
    smooth: bool = Field(False, description="Smooth each face's rotation over time in a video.")
    smooth_seconds: float = Field(
        SMOOTH_SECONDS, ge=0.001, description="Time constant of the smoothing."
    )
    min_confidence: float | None = Field(
        None,
        allow_inf_nan=False,
        description="Leave out poses with a lower confidence, on the scale of the method; for one "
        "method.",
    )
    unsure_below: float | None = Field(
        None,
        allow_inf_nan=False,
        description="Draw poses with a lower confidence pale; if not given, those with a claimed "
        "spread above 10 degrees.",
    )
    limit: Limit = Field(None, description="Only the first N images or frames.")
    device: Device = "auto"
    max_pixels: MaxPixels = MAX_PIXELS
    plugins: Plugins = ()
