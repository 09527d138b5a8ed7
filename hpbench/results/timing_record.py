"""``timing.json``: what the timing pass has found, and under which conditions."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from hpbench.method import ModelSize
from hpbench.results.json_file import FrozenModel, JsonFile
from hpbench.results.run_config import TimingMode

__all__ = [
    "BatchThroughput", "ColdStart", "CoresTiming", "MethodTiming", "Spread", "Throughput",
    "TimeSummary", "TimingConditions", "TimingRecord",
]  # fmt: skip


class TimeSummary(FrozenModel):
    """Percentiles of times in milliseconds per face; all None where none was measured."""

    count: int = 0
    p25: float | None = None
    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    iqr: float | None = Field(None, description="Interquartile range.")
    decimals: int = Field(3, description="Last decimal that is no finer than the range.")
    wide: bool = Field(False, description="The range is above a tenth of the median.")
    low: float | None = Field(None, description="Lowest median of a round.")
    high: float | None = Field(None, description="Highest median of a round.")


class BatchThroughput(FrozenModel):
    """Faces per second at one batch size: median, lowest and highest of the rounds."""

    size: int
    faces_per_s: float
    low: float
    high: float


class Throughput(FrozenModel):
    """Throughput over batch sizes, and the best of them."""

    batches: list[BatchThroughput]
    best: BatchThroughput


class Spread(FrozenModel):
    """Lowest, median and highest of a few values."""

    low: float
    median: float
    high: float


class ColdStart(FrozenModel):
    """Seconds from the start of a new process, and its memory."""

    first_answer_s: Spread
    load_s: Spread
    peak_memory_mib: float
    peak_device_memory_mib: float | None


class CoresTiming(FrozenModel):
    """Time per face in a process that may use some of the cores."""

    count: int
    threads: int | None
    total_ms: TimeSummary | None
    processor_ms: float | None = Field(
        description="Processor time per face of the process and of those it has started, added up."
    )


class MethodTiming(FrozenModel):
    """What was measured of one method on one data set."""

    stages_ms: dict[str, TimeSummary | None]
    size: ModelSize = ModelSize()
    throughput: Throughput | None = None
    cold_start: ColdStart | None = None
    cores: dict[Literal["all", "one"], CoresTiming] | None = None


class TimingConditions(FrozenModel):
    """Machine and settings that times depend on."""

    system: str
    processor: str
    cores: int | None
    memory_gib: float
    device: str
    device_name: str | None = None
    usable_cores: int | None = Field(
        default=None, description="Cores that the process was pinned to or allowed to use."
    )
    threads: dict[str, int]
    garbage_collection: str
    order: str
    warm_up_faces: int
    batch_size: int
    clock: str
    load_average_before: float | None
    load_average_after: float | None


class TimingRecord(JsonFile):
    """Content of ``timing.json``."""

    file_name: ClassVar[str] = "timing.json"

    created: str
    mode: TimingMode
    faces: int = Field(description="Faces of each data set, spread evenly over it.")
    rounds: int
    conditions: TimingConditions
    datasets: dict[str, dict[str, MethodTiming]]
