"""Everything a user can ask of a run: the options of ``hpbench run``, the arguments of its API."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, NonNegativeInt, model_validator

from hpbench.arguments import (
    Config,
    Corruptions,
    DataFolders,
    DataSets,
    Device,
    Limit,
    MaxPixels,
    Metavar,
    Methods,
    Plugins,
    Workers,
)
from hpbench.images import MAX_PIXELS
from hpbench.results.slicing import parse_by

__all__ = [
    "ANNOTATED", "Boxes", "ProtocolName", "RunConfig", "Several", "SeveralFaces",
    "TimingMode", "TrustLabels",
]  # fmt: skip

ANNOTATED = "annotated"
"""Value of ``boxes``: the data set's own face boxes."""

TimingMode = Literal["off", "quick", "full"]


Several = Literal["surest", "largest", "central", "refuse"]
"""Which of several detected faces is the labelled one."""

# ---- fields of all commands that read faces as a run does ----------------------------------------

ProtocolName = Annotated[
    str,
    Metavar("NAME"),
    Field(description="Named protocol for every data set; 'hpbench list' names those of each."),
]
Boxes = Annotated[
    str,
    Metavar("BOXES"),
    Field(
        description="Where face boxes come from: annotated, dlib, yunet[model=FILE], "
        "or picture: the whole image."
    ),
]
SeveralFaces = Annotated[
    Several,
    Field(
        description="Which face of an image with several is taken where there is no annotated "
        "box: surest, largest, central; refuse: none, and the image is not scored."
    ),
]
TrustLabels = Annotated[
    bool, Field(description="Go on where labels or boxes look wrong (docs/your-data.md).")
]


def _checked_by(by: object) -> object:
    """What to slice by, as one text; its form is checked now, its names when the data is read."""
    if isinstance(by, list | tuple) and all(isinstance(factor, str) for factor in by):
        by = ",".join(by)
    if isinstance(by, str):
        parse_by(by)
    return by


def _size_or_auto(value: object) -> object:
    """A batch size; checked as a whole, so that one line says what is allowed."""
    if value != "auto" and not (str(value).isdecimal() and int(str(value)) > 0):
        raise ValueError("must be a whole number above 0, or auto")
    return value


class RunConfig(Config):
    """What to run; stored in ``run.json`` under ``spec``.

    The fields, with their descriptions, defaults and limits, are the one place where an option of
    a run is defined.
    """

    panels: ClassVar = {
        "Evaluation": "protocol boxes several limit corrupt by seed",
        "Speed": "device batch_size workers engine address fresh verify_data max_pixels",
        "Timing": "timing timing_images",
    }

    methods: Methods
    datasets: DataSets = "sample"
    data: DataFolders = Field({})
    protocol: ProtocolName = "default"
    boxes: Boxes = ANNOTATED
    several: SeveralFaces = "refuse"
    device: Device = "auto"
    batch_size: Annotated[
        int | Literal["auto"], BeforeValidator(_size_or_auto), Metavar("N|auto")
    ] = Field(
        "auto",
        description="Faces per network call; auto: on a GPU as many as still make it faster, "
        "else 32.",
    )
    limit: Limit = None
    plugins: Plugins = ()
    timing: TimingMode = Field(
        "quick",
        description="quick: the serial timing pass; full: also throughput over batch sizes, one "
        "core, cold start and memory (minutes); off: none.",
    )
    timing_images: NonNegativeInt = Field(
        32, description="Faces of the timing pass; 0 leaves it out."
    )
    engine: Literal["local", "ray"] = Field(
        "local", description="local, or ray: spread the accuracy pass over a Ray cluster."
    )
    address: Annotated[str | None, Metavar("HOST:PORT")] = Field(
        None,
        description="Ray cluster: HOST:PORT, ray://HOST:PORT or auto; Ray on this machine if not "
        "given.",
    )
    fresh: bool = Field(False, description="Compute everything; reuse no stored predictions.")
    verify_data: bool = Field(
        False,
        description="Tell by their contents, not by size and time, whether files of data sets are "
        "those of stored predictions.",
    )
    trust_labels: TrustLabels = False
    workers: Workers = None
    max_pixels: MaxPixels = MAX_PIXELS
    seed: NonNegativeInt = Field(0, description="Random seed.")
    corrupt: Corruptions = Field(
        (),
        description="Also evaluate under corruption: downsample=5,10,15, blur=1,2,4, noise, jpeg, "
        "dark, occlude, box-jitter, box-scale; repeatable. Units: docs/robustness.md.",
    )

    by: Annotated[str, BeforeValidator(_checked_by), Metavar("A,B*C")] = Field(
        "",
        description="Factors to slice the results by, such as light,camera*light or "
        "face_px=0:64:128:inf (docs/slices.md); those that matter if not given.",
    )

    @model_validator(mode="after")
    def _require_ray_for_an_address(self) -> Self:
        if self.address is not None and self.engine != "ray":
            raise ValueError(f"--address {self.address}: needs a cluster; add --engine ray")
        return self
