"""What ``hpbench label`` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from hpbench.arguments import (
    Config,
    DataFolders,
    Device,
    Limit,
    MaxPixels,
    Metavar,
    Methods,
    Plugins,
    Seed,
)
from hpbench.images import MAX_PIXELS
from hpbench.results.run_config import TrustLabels

__all__ = ["LabelConfig"]


class LabelConfig(Config):
    """Options of ``hpbench label``."""

    dataset: Annotated[str, Metavar("DATASET", positional=True)] = Field(
        description="Data set to label, with options."
    )
    methods: Methods = Field(description="Methods whose mean prediction is the label.")
    out: Annotated[Path, Metavar("FILE")] = Field(
        description="Parquet (or CSV) file, a 'table' data set."
    )
    data: DataFolders = Field({})
    views: int = Field(
        4, ge=1, description="Boxes per face, moved and scaled a little; each also mirrored."
    )
    max_spread: float | None = Field(
        None,
        ge=0.0,
        allow_inf_nan=False,
        description="Leave out faces whose predictions differ by more, in degrees.",
    )
    dataset_label: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="Weight of the data set's own label in the mean with that of the teachers.",
    )
    limit: Limit = Field(None, description="Only the first N faces.")
    device: Device = "auto"
    seed: Seed = 0
    max_pixels: MaxPixels = MAX_PIXELS
    plugins: Plugins = ()
    trust_labels: TrustLabels = False
