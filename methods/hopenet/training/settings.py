"""Settings of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from hpbench.arguments import Config, DataFolders, Device, Metavar, Plugins, Seed
from hpbench.crops import HopenetRule
from hpbench.methods.hopenet.bins import Bins, Heads, outputs_per_head

__all__ = ["Augmentation", "OutOfRange", "Penalty", "Targets", "TrainConfig", "TrainSettings"]

Targets = Literal["hard", "soft"]
Penalty = Literal["mse", "huber"]
OutOfRange = Literal["drop", "clip"]

_GROWN = 0.65
"""Share of a run at which inputs have reached their size."""


class Augmentation(BaseModel):
    """Strengths of all augmentations; probabilities are per face unless said otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    k_min: float = Field(0.2, ge=0.0, description="smallest margin of the training crop rule")
    k_max: float = Field(
        0.4, ge=0.0, validate_default=True, description="largest margin, not below k_min"
    )
    test_rule: float = Field(0.2, ge=0.0, le=1.0, description="share cut by the test rule instead")
    scale: float = Field(0.12, ge=0.0, lt=1.0, description="the crop's side varies by this share")
    shift: float = Field(0.06, ge=0.0, description="its centre moves by this share of the side")
    aspect: float = Field(0.06, ge=0.0, description="standard deviation of the log aspect")
    mirror: float = Field(0.5, ge=0.0, le=1.0, description="share mirrored")
    rotate: float = Field(0.5, ge=0.0, le=1.0, description="share rotated in the image plane")
    rotate_max_deg: float = Field(20.0, ge=0.0, le=90.0)
    light: float = Field(1.0, ge=0.0, description="strength of gamma, contrast, colour; 0: none")
    grey: float = Field(0.2, ge=0.0, le=1.0)
    low_resolution: float = Field(0.3, ge=0.0, le=1.0, description="share of the batch")
    blur: float = Field(0.05, ge=0.0, le=1.0, description="share of the batch")
    noise: float = Field(0.4, ge=0.0, le=1.0)
    cut_out: float = Field(0.3, ge=0.0, le=1.0)
    random_convolution: float = Field(0.08, ge=0.0, le=1.0, description="share of the batch")

    @field_validator("k_max")
    @classmethod
    def _not_below(cls, value: float, info: ValidationInfo) -> float:
        if value < info.data.get("k_min", value):
            raise ValueError("is below k_min")
        return value


class TrainSettings(BaseModel):
    """Everything but :class:`Augmentation` that decides what a training run computes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    panels: ClassVar = {
        "Network": "backbone heads bins bin_width input_size first_size crop crop_k init",
        "Loss": "alpha targets penalty geodesic out_of_range",
        "Schedule": "epochs epoch_faces minutes batch_size lr weight_decay warm_up clip_norm "
        "average",
    }

    backbone: Annotated[str, Metavar("NAME")] = Field(
        "resnet50",
        description="thin_resnet_s, thin_resnet_m, efficientnet_lite0, or a torchvision network.",
    )
    heads: Heads = Field(
        "bins",
        description="bins; or without bins: regression of the angles, or rotation6d, the first "
        "two columns of the rotation.",
    )
    bins: int = Field(66, ge=2, le=360, description="Bins per angle, around zero.")
    bin_width: float = Field(3.0, gt=0.0, le=90.0, description="Width of a bin in degrees.")
    alpha: float = Field(1.0, ge=0.0, description="Weight of the regression term.")
    targets: Targets = Field(
        "hard", description="hard: one bin, as in the paper; soft: neighbours count too."
    )
    penalty: Penalty = Field("mse", description="Regression term: mse, as in the paper, or huber.")
    geodesic: float = Field(
        0.0,
        ge=0.0,
        description="Weight of the angle between rotations, in degrees, added to the loss of bins "
        "or angles; it is all of the loss of rotation6d.",
    )
    out_of_range: OutOfRange = Field(
        "drop", description="Labels outside the bins are counted and: drop, or clip."
    )
    epochs: int = Field(25, ge=1, description="Passes over the training faces.")
    epoch_faces: int | None = Field(
        None, ge=1, description="Faces per epoch; as many as there are if not given."
    )
    minutes: float | None = Field(
        None,
        gt=0.0,
        description="End training after this time at the latest; loading, validation and writing "
        "come on top. The schedule shrinks with it.",
    )
    batch_size: int = Field(64, ge=2, description="Faces per step.")
    lr: float = Field(1e-3, gt=0.0, description="Peak learning rate of AdamW.")
    weight_decay: float = Field(0.02, ge=0.0, description="Weight decay of AdamW.")
    warm_up: float = Field(
        0.02, ge=0.0, lt=1.0, description="Share of the run over which the learning rate rises."
    )
    clip_norm: float = Field(5.0, gt=0.0, description="Largest norm of the gradients.")
    average: float = Field(
        0.998, ge=0.0, lt=1.0, description="Decay of the moving average of the weights; 0: none."
    )
    input_size: int = Field(224, ge=32, le=1024, description="Side of the input in pixels.")
    first_size: int | None = Field(
        None, ge=32, le=1024, description="Start with smaller inputs that grow to --input-size."
    )
    crop: HopenetRule = Field(
        "hopenet-train", description="Crop rule of validation, and of the weights' card."
    )
    crop_k: float = Field(0.3, ge=0.0, le=2.0, description="Margin of that crop rule.")
    holdout: float = Field(
        0.05,
        ge=0.0,
        lt=1.0,
        description="Share of each data set (whole groups) kept for validation.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="fp32, bf16, or auto: bf16 on cuda."
    )
    device: Device = "auto"
    seed: Seed = 0
    init: Annotated[Path | None, Metavar("FILE")] = Field(
        None, description="Weights to start from: Hopenet's, or ImageNet's."
    )

    @property
    def angle_bins(self) -> Bins:
        """The bins; with heads that have none they only bound the labels."""
        return Bins.centred(self.bins, self.bin_width)

    @property
    def decoded_bins(self) -> Bins | None:
        """The bins that outputs are decoded with; None for heads that have none."""
        return self.angle_bins if self.heads == "bins" else None

    @property
    def outputs(self) -> int:
        """Outputs per head."""
        return outputs_per_head(self.heads, self.bins)

    def input_size_at(self, progress: float) -> int:
        """Side of the input when a share of the run is done: it grows for the first two thirds."""
        if self.first_size is None or progress >= _GROWN:
            return self.input_size
        grown = self.first_size + (self.input_size - self.first_size) * progress / _GROWN
        return min(max(self.first_size, 16 * round(grown / 16)), self.input_size)

    @property
    def unused(self) -> list[str]:
        """Options of the loss that were changed and have no effect on these heads."""
        of_bins = ["alpha", "targets"]
        unused = {
            "bins": [], "regression": of_bins, "rotation6d": [*of_bins, "penalty", "geodesic"],
        }[self.heads]  # fmt: skip
        fields = type(self).model_fields
        return [name for name in unused if getattr(self, name) != fields[name].default]

    @field_validator("first_size")
    @classmethod
    def _no_larger(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and value > info.data.get("input_size", value):
            raise ValueError("is more than --input-size; inputs grow")
        return value


class TrainConfig(Config):
    """What ``hpbench train`` takes beside the settings of the training itself."""

    panels: ClassVar = {"Weights card": "name summary licence trained_on"}

    datasets: Annotated[tuple[str, ...], Metavar("NAME[=DIR][KEY=VALUE,...][:SHARE]")] = Field(
        description="Training data, repeatable: a data set with options, its folder, and its "
        "share of the faces that are drawn. 'hpbench list' names the data sets."
    )
    validate_on: Annotated[tuple[str, ...], Metavar("NAME[=DIR]")] = Field(
        (), validation_alias="validate", description="Data set to validate on only; repeatable."
    )
    data: DataFolders = Field({})
    out: Path = Field(Path("runs/train"), description="Folder for weights, checkpoint and curves.")
    resume: bool = Field(False, description="Resume from the checkpoint in --out.")
    augment: Annotated[Augmentation, Metavar("KEY=VALUE")] = Field(
        Augmentation(), description="Change an augmentation; repeatable."
    )
    name: str = Field("", description="Name for the weights' card.")
    summary: str = Field("", description="One line for the weights' card.")
    licence: str = Field("", description="Licence for the weights' card.")
    trained_on: Annotated[str, Metavar("A,B")] = Field(
        "",
        description="Data sets for the card, comma-separated, where a table holds another one's "
        "images; the names in --datasets if not given.",
    )
    plugins: Plugins = ()
