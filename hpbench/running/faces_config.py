"""What ``hpbench faces`` takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpbench.arguments import Config, DataFolders, Limit, MaxPixels, Metavar, Plugins
from hpbench.images import MAX_PIXELS
from hpbench.results.run_config import (
    ANNOTATED,
    Boxes,
    ProtocolName,
    SeveralFaces,
    TrustLabels,
)

__all__ = ["FacesConfig"]


class FacesConfig(Config):
    """Options of ``hpbench faces`` and arguments of ``hpbench.faces``."""

    dataset: Annotated[str, Metavar("DATASET", positional=True)] = Field(
        description="Data set with options, such as aflw2000 or table=labels.csv."
    )
    data: DataFolders = Field({})
    protocol: ProtocolName = "default"
    boxes: Boxes = ANNOTATED
    several: SeveralFaces = "refuse"
    limit: Limit = None
    plugins: Plugins = ()
    trust_labels: TrustLabels = False
    max_pixels: MaxPixels = MAX_PIXELS
