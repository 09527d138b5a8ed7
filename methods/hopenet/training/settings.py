"""Settings of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hpbench.crops import HopenetRule
from hpbench.methods.hopenet.bins import Bins

__all__ = ["TrainSettings"]


class TrainSettings(BaseModel):
    """Everything that decides what a training run computes.

    The augmentation has settings of its own,
    :class:`hpbench.methods.hopenet.training.augment.Augmentation`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str = "resnet50"
    heads: Literal["bins", "regression"] = "bins"
    bins: int = Field(66, ge=2, le=360)
    bin_width: float = Field(3.0, gt=0.0, le=90.0)
    alpha: float = Field(1.0, ge=0.0)
    targets: Literal["hard", "soft"] = "hard"
    penalty: Literal["mse", "huber"] = "mse"
    out_of_range: Literal["drop", "clip"] = "drop"
    epochs: int = Field(25, ge=1)
    epoch_faces: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0.0)
    batch_size: int = Field(64, ge=2)
    lr: float = Field(1e-3, gt=0.0)
    weight_decay: float = Field(0.02, ge=0.0)
    warm_up: float = Field(0.02, ge=0.0, lt=1.0)
    clip_norm: float = Field(5.0, gt=0.0)
    average: float = Field(0.998, ge=0.0, lt=1.0)
    input_size: int = Field(224, ge=32, le=1024)
    first_size: int | None = Field(None, ge=32, le=1024)
    crop: HopenetRule = "hopenet-train"
    crop_k: float = Field(0.3, ge=0.0, le=2.0)
    holdout: float = Field(0.05, ge=0.0, lt=1.0)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: str = "cpu"
    seed: int = 0
    init: Path | None = None

    @property
    def angle_bins(self) -> Bins:
        """The bins; with regression heads they only bound the labels."""
        return Bins.centred(self.bins, self.bin_width)

    @property
    def outputs(self) -> int:
        """Outputs per head."""
        return self.bins if self.heads == "bins" else 1

    def input_size_at(self, progress: float) -> int:
        """Side of the input when a share of the run is done: it grows for the first two thirds."""
        if self.first_size is None:
            return self.input_size
        grown = self.first_size + (self.input_size - self.first_size) * min(1.0, progress / 0.65)
        return min(self.input_size, 16 * round(grown / 16))
