"""``results.json``: what was found, in the form that scripts read."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from hpbench.results.json_file import FrozenModel, Interval, JsonFile, Rounded, round_value
from hpbench.results.run_record import LabelWarning
from hpbench.results.timing_record import TimeSummary

__all__ = [
    "Aligned", "AlignedErrors", "AngleErrors", "Bias", "Calibration", "Ced", "Comparison",
    "ConfidenceErrors", "DatasetWarning", "GeodesicErrors", "ImageCounts", "Intervals",
    "MethodErrors", "MethodResult", "NotRun", "ProtocolRef", "ResultsFile", "SliceErrors",
    "SliceGap", "SubsetErrors", "WorstSlice", "YawBinErrors", "value_at",
]  # fmt: skip


class AngleErrors(FrozenModel):
    """Mean absolute errors in degrees; None for an axis without labels."""

    yaw: Rounded
    pitch: Rounded
    roll: Rounded
    mean: Rounded


class Bias(FrozenModel):
    """Mean signed errors in degrees, predicted minus ground truth."""

    yaw: Rounded
    pitch: Rounded
    roll: Rounded


class GeodesicErrors(FrozenModel):
    """Geodesic errors in degrees."""

    mean: Rounded
    median: Rounded


class Ced(FrozenModel, extra="allow"):
    """Values of the cumulative error distribution, by the name of the metric."""

    __pydantic_extra__: dict[str, Rounded]
    error: Literal["geodesic", "mean_angle"]


class SubsetErrors(FrozenModel):
    """Errors on some of the faces, or of other predictions."""

    images: int
    mae_deg: AngleErrors
    geodesic_deg: GeodesicErrors


class AlignedErrors(FrozenModel):
    """Errors after removing the best-fitting constant rotation; diagnostic only, not a score."""

    per: Literal["all", "group"]
    mae_deg: AngleErrors
    geodesic_deg: GeodesicErrors


class Aligned(FrozenModel):
    """Both sides on which a constant rotation can be removed."""

    camera_side: AlignedErrors
    head_side: AlignedErrors


class YawBinErrors(FrozenModel):
    """Errors of the faces in one bin of absolute ground-truth yaw."""

    from_deg: float = Field(alias="from")
    to_deg: float = Field(alias="to")
    images: int
    no_answer: int
    mae_mean: Rounded

    @property
    def faces(self) -> int:
        """Faces of the bin, predicted or not."""
        return self.images + self.no_answer


class ConfidenceErrors(FrozenModel):
    """What the confidences of a method are worth, over its predicted faces (docs/slices.md)."""

    faces: int = Field(description="Predicted faces.")
    given: int = Field(description="Those with a confidence.")
    problem: str | None = Field(
        None, description="Why the confidences cannot be measured; the values are null then."
    )
    aurc_deg: Rounded = Field(
        None, description="Area under the risk-coverage curve: mean of the curve's errors."
    )
    e_aurc_deg: Rounded = Field(
        None, description="aurc_deg minus that of the best possible order of the same errors."
    )
    error_at_80_deg: Rounded = Field(
        None, description="Mean error of the most confident 80 % of the predicted faces."
    )
    error_at_90_deg: Rounded = Field(None, description="The same of 90 %.")
    spearman: Rounded = Field(
        None, description="Rank correlation of confidence and error; -1 is best."
    )


class Calibration(FrozenModel):
    """Whether claimed spreads are true, over the predicted faces (docs/slices.md)."""

    faces: int = Field(description="Predicted faces.")
    given: int = Field(description="Those with a claimed spread.")
    problem: str | None = Field(
        None, description="Why the spreads cannot be measured; the shares are null then."
    )
    mean_spread_deg: Rounded = Field(
        None, description="Mean claimed standard deviation over the three angles."
    )
    within_50: Rounded = Field(
        None, description="Share of the faces whose ground truth is within the claimed 50 % region."
    )
    within_80: Rounded = Field(None, description="The same of the 80 % region.")
    within_95: Rounded = Field(None, description="The same of the 95 % region.")


class SliceErrors(FrozenModel):
    """Errors of one method on the faces of one slice, and against all other faces."""

    factor: str = Field(description="Factor, or crossed factors as in 'camera * light'.")
    slice: str = Field(description="Value or range; 'unknown' where the factor is missing.")
    values: tuple[str, ...] = Field(description="The same, of each of the crossed factors.")
    faces: int
    scored: int
    coverage: Rounded
    mae_deg: Rounded
    interval_95: Interval
    difference_deg: Rounded = Field(description="Mean error minus that of all other faces.")
    difference_interval_95: Interval
    p_value: Rounded
    p_holm: Rounded = Field(description="p_value corrected over all slices and methods shown.")


class FactorShare(FrozenModel):
    """How much of the variance of a method's log error one factor explains."""

    factor: str
    matters: bool = Field(description="Whether it explains more than chance, given the others.")
    p_value: Rounded = Field(description="Corrected over all factors of the method.")
    alone: Rounded = Field(description="Share that it explains alone.")
    alone_95: Interval
    together: Rounded = Field(
        description="Share that is lost without it, given the other factors that matter; null "
        "where it does not matter."
    )
    together_95: Interval = None


class Importance(FrozenModel):
    """Which factors explain the error of a method's predicted faces (docs/slices.md)."""

    faces: int
    problem: str | None = Field(
        None, description="Why this cannot be told; the rest is empty then."
    )
    explained: Rounded = Field(
        None, description="Share of the variance that the factors that matter explain together."
    )
    explained_95: Interval = None
    factors: list[FactorShare] = Field(
        default_factory=list, description="Those that matter first, in the order of their weight."
    )


class WorstSlice(FrozenModel):
    """Slice with the highest mean error among those with at least 20 scored faces."""

    factor: str
    slice: str
    scored: int
    mae_deg: Rounded


class SliceGap(FrozenModel):
    """Factor whose worst and best slice differ most, each with at least 20 scored faces."""

    factor: str
    worst: str
    best: str
    gap_deg: Rounded


IntervalTree = Interval | dict[str, Interval | dict[str, Interval]]


class Intervals(FrozenModel, extra="allow"):
    """95 % bootstrap intervals, under the keys of the values that they belong to."""

    __pydantic_extra__: dict[str, IntervalTree]
    draws: Literal["image", "group"] = Field(description="Bootstrap unit.")
    units: int
    by_abs_yaw: list[Interval]


class ProtocolRef(FrozenModel):
    """Which protocol a result stands under."""

    name: str
    version: int
    hash: str


class ImageCounts(FrozenModel):
    """Counts of faces: ``total = excluded + scored + no_answer``."""

    total: int
    excluded: int
    scored: int
    no_answer: int


class MethodErrors(FrozenModel):
    """Mean errors of one method on one data set, and over which faces."""

    dataset: str
    method_spec: str
    protocol: ProtocolRef
    boxes: str
    images: ImageCounts
    mae_deg: AngleErrors
    geodesic_deg: GeodesicErrors


class MethodResult(MethodErrors, extra="allow"):
    """One method on one data set. Metrics of plugins are further keys with a number or null."""

    __pydantic_extra__: dict[str, Rounded]
    method: str
    card: str = Field(description="Name on the method's card, such as that of a network's card.")
    coverage: Rounded = Field(description="Share of the evaluated faces with a prediction.")
    excluded_reasons: dict[str, int]
    no_answer_reasons: dict[str, int]
    weights_sha256: str | None
    trained_on: list[str]
    trained_on_this: bool
    trained_on_renders: bool
    by_abs_yaw: list[YawBinErrors]
    balanced_mae_deg: Rounded
    bias_deg: Bias
    maev_deg: Rounded
    failures: Annotated[int | None, BeforeValidator(round_value)]
    ced: Ced
    common_images: SubsetErrors
    missing_as_frontal: SubsetErrors
    aligned: Aligned
    intervals_95: Intervals | None
    rank: int | None
    runtime_ms: dict[str, TimeSummary]
    stated_ms: TimeSummary | None = Field(
        None, description="Times that came with stored predictions; not measured by hpbench."
    )
    confidence: ConfidenceErrors | None = Field(
        None, description="null where the method gives no confidence."
    )
    calibration: Calibration | None = Field(
        None, description="null where the method claims no spread."
    )
    importance: Importance | None = Field(
        None, description="null where there is no factor, or the faces are corrupted."
    )
    slices: list[SliceErrors] = Field(default_factory=list)
    worst_slice: WorstSlice | None = None
    slice_gap: SliceGap | None = None
    not_sliced: dict[str, str] = Field(
        default_factory=dict, description="Factors that give no slices, with the reason."
    )


class Comparison(FrozenModel):
    """Two methods on the faces of a data set that both predicted."""

    dataset: str
    method_spec_a: str
    method_spec_b: str
    images: int
    difference_deg: float = Field(description="Mean error of A minus that of B.")
    interval_95: Interval
    p_value: float
    p_holm: float | None = Field(
        description="p_value corrected over the pairs of the data set; null where it could not be "
        "below 5 % with so few independent faces and so many pairs."
    )
    test: str


class NotRun(FrozenModel):
    """A method that does not support a data set."""

    dataset: str
    method_spec: str
    reason: str


class DatasetWarning(LabelWarning):
    """A warning about the labels of one data set of the run."""

    dataset: str


class ResultsFile(JsonFile):
    """Content of ``results.json``."""

    file_name: ClassVar[str] = "results.json"

    hpbench: str
    created: str
    results: list[MethodResult]
    comparisons: list[Comparison]
    not_run: list[NotRun]
    warnings: list[DatasetWarning] = Field(default_factory=list)


def value_at(found: Any, path: str) -> Any:
    """Value at a dotted path such as ``ced.auc_15``; None where the path ends early."""
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else getattr(found, key, None)
    return found
