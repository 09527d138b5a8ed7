"""The card that travels inside a weights file of this project."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hpbench.crops import HopenetRule
from hpbench.errors import WeightsError, invalid_value
from hpbench.methods.hopenet.bins import Bins, Heads, outputs_per_head

__all__ = ["CARD_KEY", "WeightsCard", "read_card"]

CARD_KEY = "hpbench"
"""Key of the card's JSON in the metadata of a safetensors file."""


class WeightsCard(BaseModel):
    """What has to be known to run a weights file, and to judge it.

    Attributes
    ----------
    backbone : str
        See :func:`hpbench.methods.hopenet.network.backbone_names`.
    bins, bin_width_deg, decode_offset_deg
        See :class:`hpbench.methods.hopenet.bins.Bins`; with heads that have no bins they only
        bound the training labels.
    input_size : int
        Side of the network's input in pixels.
    crop, crop_k
        Crop rule and margin that the network was validated with.
    trained_on, trained_domains : tuple of str
        Names of data sets, and ``photo`` and/or ``render``.
    recipe : dict
        All settings of the training run.
    figures : dict
        Errors on the run's own validation faces, and whatever was measured later.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    format: Literal["hpbench-hopenet-1"] = "hpbench-hopenet-1"
    name: str = ""
    summary: str = ""
    licence: str = ""
    backbone: str
    heads: Heads = "bins"
    bins: int = Field(66, ge=1, le=10_000)
    bin_width_deg: float = Field(3.0, gt=0)
    decode_offset_deg: float = -97.5
    input_size: int = Field(224, ge=8, le=4096)
    crop: HopenetRule = "hopenet-train"
    crop_k: float = 0.30
    trained_on: tuple[str, ...] = ()
    trained_domains: tuple[str, ...] = ()
    recipe: dict[str, Any] = {}
    figures: dict[str, Any] = {}

    @property
    def angle_bins(self) -> Bins:
        """The bins, symmetrical around zero."""
        first_edge = -self.bins * self.bin_width_deg / 2.0
        return Bins(self.bins, self.bin_width_deg, first_edge, self.decode_offset_deg)

    @property
    def outputs(self) -> int:
        """Outputs per head."""
        return outputs_per_head(self.heads, self.bins)


def read_card(path: Path) -> WeightsCard | None:
    """Card of a safetensors file, or None where it carries none.

    Raises
    ------
    WeightsError
        If the file is not safetensors, or its card cannot be understood.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(CARD_KEY)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a safetensors file ({error}); fetch it again") from error
    if text is None:
        return None
    try:
        return WeightsCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise WeightsError(
            f"{path}: its card is not understood ({where}: {invalid_value(first)}); "
            "it was written by another version of hpbench"
        ) from error
