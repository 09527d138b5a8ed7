"""``run.json``: what was run, on what, with what, and by which rules."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from hpbench.dataset import DatasetCard
from hpbench.method import MethodCard
from hpbench.protocol import Protocol
from hpbench.results.json_file import FrozenModel, JsonFile
from hpbench.results.run_config import ANNOTATED, RunConfig

__all__ = [
    "SEVERAL_FACES", "CorruptionRecord", "DatasetRecord", "LabelWarning", "MethodRecord",
    "ReusedRecord", "RunRecord",
]  # fmt: skip


SEVERAL_FACES = "several faces in the image and no annotated box"
"""Reason under which such a face is excluded."""


class CorruptionRecord(FrozenModel):
    """How a corrupted copy of a data set differs from it."""

    name: str
    level: float
    of: str = Field(description="Name of the clean data set in this run.")


class MethodRecord(FrozenModel):
    """One method of a run, by its canonical spec."""

    name: str
    fingerprint: str = Field(
        alias="identity", description="Changes with the options, the card and the weights."
    )
    digest: str = Field(
        "", description="Changes whenever predictions may change, also with the code."
    )
    card: MethodCard
    stored: bool = Field(False, description="Predictions were read from a file, not computed.")
    incidents: tuple[str, ...] = Field(
        (), description="What went wrong on the way and was put right, such as a restarted worker."
    )


class LabelWarning(FrozenModel):
    """Something that looks wrong with the labels or boxes of a data set."""

    code: str
    text: str = Field(description="One line, with what to write if it is wrong.")


class DatasetRecord(FrozenModel):
    """One data set of a run, by its name in the tables."""

    name: str
    card: DatasetCard
    protocol: Protocol
    protocol_hash: str
    boxes: str = ANNOTATED
    resample: Literal["image", "group"] = Field("image", description="Bootstrap unit.")
    digest: str = Field(
        "", description="Changes whenever its faces may change, also with the code and versions."
    )
    not_run: dict[str, str] = Field({}, description="Why a method was left out, by spec.")
    corruption: CorruptionRecord | None = None
    warnings: tuple[LabelWarning, ...] = ()


class ReusedRecord(FrozenModel):
    """When reused predictions (by data set and method) and times were computed."""

    predictions: dict[str, dict[str, str]] = Field(default_factory=dict)
    timing: str | None = None


class RunRecord(JsonFile):
    """Content of ``run.json``."""

    file_name: ClassVar[str] = "run.json"
    replaced_by: ClassVar[str] = "repeat the run with a new --out"
    """Without this file nobody knows what run the folder holds."""

    hpbench: str
    created: str = Field(description="ISO 8601, UTC.")
    command: tuple[str, ...]
    fingerprint: str = Field(description="A folder is resumed only by a run of the same one.")
    spec: RunConfig
    seed: int
    versions: dict[str, str]
    hardware: dict[str, str | int | float | None]
    batch_size: int | None = Field(
        None, description="Faces per network call, also where 'auto' has found it."
    )
    reused: ReusedRecord = ReusedRecord()
    git: str | None = Field(None, description="Commit of the checkout, '-dirty' with changes.")
    methods: dict[str, MethodRecord] = Field(min_length=1)
    datasets: dict[str, DatasetRecord] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        for name, record in self.datasets.items():
            if record.corruption is not None and record.corruption.of not in self.datasets:
                raise ValueError(f"data set '{name}' is a copy of none of the run")
            if unknown := record.not_run.keys() - self.methods.keys():
                raise ValueError(f"data set '{name}' lacks a method of none: {min(unknown)!r}")
        return self
