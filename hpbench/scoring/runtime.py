"""Percentiles of the serial timing pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpbench.results.timing_record import TimeSummary
from hpbench.storage.schemas import STAGES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["runtime_ms", "summarise_times"]

_STAGES = tuple(stage for stage in STAGES if stage != "infer_device")
"""The device's own clock is read for timing.json only: its time is part of `infer`."""

_WIDE_SPREAD = 0.1
"""An interquartile range above this share of the median is flagged, as PyTorch's timer does."""


def runtime_ms(times: pd.DataFrame | None) -> dict[str, TimeSummary]:
    """Time per face of each stage, from a method's rows of ``timing.parquet``, if any."""
    if times is None:
        return dict.fromkeys(_STAGES, TimeSummary())
    return {
        stage: summarise_times(times.get(f"{stage}_ms", [])) or TimeSummary() for stage in _STAGES
    }


def summarise_times(times_ms: Sequence[float | None]) -> TimeSummary | None:
    """Percentiles of times, and the number of decimals that the scatter leaves meaningful.

    None and NaN are left out; None without values.

    Examples
    --------
    >>> found = summarise_times([10.0, 11.0, 12.0, 13.0, 14.0])
    >>> found.p50, found.iqr, found.decimals, found.wide
    (12.0, 2.0, 0, True)
    """
    numbers = np.array([v for v in times_ms if v is not None], dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return None
    shares = (25, 50, 75, 90, 95, 99)
    found = dict(zip(shares, np.percentile(numbers, shares).tolist(), strict=True))
    iqr = found[75] - found[25]
    return TimeSummary(
        count=numbers.size,
        **{f"p{share}": value for share, value in found.items()},
        iqr=iqr,
        decimals=_decimals(iqr),
        wide=iqr > _WIDE_SPREAD * found[50],
    )


def _decimals(spread: float) -> int:
    """Decimals of which the last is no finer than a spread: 0.3 -> 1, 4 -> 0; at most 3."""
    return min(3, max(0, math.ceil(-math.log10(spread)))) if spread > 0 else 3
