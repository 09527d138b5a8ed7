"""Everything a user can ask of a run: the options of ``hpbench run`` and ``hpbench.api.run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from hpbench.errors import UsageError

__all__ = ["ANNOTATED", "RunConfig", "TimingMode"]

ANNOTATED = "annotated"
"""Value of ``boxes``: the data set's own face boxes."""

TimingMode = Literal["off", "quick", "full"]


class RunConfig(BaseModel):
    """What to run; stored in ``run.json`` under ``spec``.

    The fields, with their descriptions, defaults and limits, are the one place where an option of
    a run is defined.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: str = Field(
        description="Methods with options: hopenet,pnp[model=mallick6,focal=1.0]. "
        "'hpbench list' names them."
    )
    datasets: str = Field(
        "sample",
        description="Data sets with options: aflw2000,biwi or table=labels.csv. "
        "Default: the embedded sample.",
    )
    data: dict[str, Path] = Field(
        {}, description="Folder of a data set by name; repeatable. Or $HPBENCH_DATA/NAME."
    )
    protocol: str = Field(
        "default",
        description="Named protocol for every data set; 'hpbench list' names those of each.",
    )
    boxes: str = Field(
        ANNOTATED, description="Where face boxes come from: annotated, dlib, yunet[model=FILE]."
    )
    device: str = Field("auto", description="cpu, cuda, cuda:1, or auto: cuda where available.")
    batch_size: PositiveInt = Field(32, description="Faces per network call.")
    limit: PositiveInt | None = Field(
        None, description="Only the first N faces of each data set. Default: all."
    )
    plugins: tuple[Path, ...] = Field(
        (), description="Python file with further methods or data sets; repeatable."
    )
    timing_images: NonNegativeInt = Field(
        32, description="Faces of the timing pass; 0 leaves it out."
    )
    timing: TimingMode = Field(
        "quick",
        description="quick: the serial timing pass; full: also throughput over batch sizes, one "
        "core, cold start and memory (minutes); off: none.",
    )
    engine: Literal["local", "ray"] = Field(
        "local", description="local, or ray: spread the accuracy pass over a Ray cluster."
    )
    address: str | None = Field(
        None,
        description="Ray cluster: HOST:PORT, ray://HOST:PORT or auto. "
        "Default: start Ray on this machine.",
    )
    fresh: bool = Field(False, description="Compute everything; reuse no stored predictions.")
    workers: PositiveInt | None = Field(
        None, description="Threads that read images and prepare inputs. Default: all cores."
    )
    seed: NonNegativeInt = Field(0, description="Random seed.")
    corrupt: tuple[str, ...] = Field(
        (),
        description="Also evaluate under corruption: downsample=5,10,15, blur=1,2,4, noise, jpeg, "
        "dark, occlude, box-jitter, box-scale; repeatable. Units: docs/robustness.md.",
    )

    @classmethod
    def from_options(cls, **options: Any) -> Self:
        """Validate what a user asked for.

        Raises
        ------
        UsageError
            In one line, with the first option that does not fit.
        """
        try:
            config = cls(**options)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise UsageError(f"{name}={first['input']!r}: {first['msg']}") from error
        if config.address is not None and config.engine != "ray":
            raise UsageError(f"--address {config.address}: works only with --engine ray")
        return config
