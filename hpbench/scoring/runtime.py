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

__all__ = ["runtime_ms", "summarise_times", "told_apart"]

_STAGES = tuple(stage for stage in STAGES if stage != "infer_device")
"""The device's own clock is read for timing.json only: its time is part of `infer`."""

_WIDE_SPREAD = 0.1
"""An interquartile range above this share of the median is flagged, as PyTorch's timer does."""


def runtime_ms(times: pd.DataFrame | None) -> dict[str, TimeSummary]:
    """Time per face of each stage, from a method's rows of ``timing.parquet``, if any."""
    if times is None:
        return dict.fromkeys(_STAGES, TimeSummary())
    return {
        stage: summarise_times(times.get(f"{stage}_ms", []), times.get("round")) or TimeSummary()
        for stage in _STAGES
    }


def told_apart(one: TimeSummary, other: TimeSummary) -> bool:
    """Whether every round of one method was faster than every round of the other.

    The methods take turns on every face, so a machine that slows down slows both. Of two methods
    that are equally fast, three rounds tell one pair in ten apart, five rounds one in 126.
    """
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.high < other.low or other.high < one.low


def summarise_times(
    times_ms: Sequence[float | None], rounds: Sequence[int] | None = None
) -> TimeSummary | None:
    """Percentiles of times, and the number of decimals that the scatter leaves meaningful.

    None and NaN are left out; None without values. `rounds` says in which round each was taken.

    Examples
    --------
    >>> found = summarise_times([10.0, 11.0, 12.0, 13.0, 14.0])
    >>> found.p50, found.iqr, found.decimals, found.wide
    (12.0, 2.0, 0, True)
    """
    every = np.array([np.nan if v is None else v for v in times_ms], dtype=np.float64)
    known = np.isfinite(every)
    numbers = every[known]
    if not numbers.size:
        return None
    medians: list[float] = []
    if rounds is not None:
        taken = np.asarray(rounds, dtype=np.float64)[known]  # a stranger's table may lack some
        told = np.unique(taken[np.isfinite(taken)])
        medians = [float(np.median(numbers[taken == number])) for number in told]
    shares = (25, 50, 75, 90, 95, 99)
    found = dict(zip(shares, np.percentile(numbers, shares).tolist(), strict=True))
    iqr = found[75] - found[25]
    return TimeSummary(
        count=numbers.size,
        **{f"p{share}": value for share, value in found.items()},
        iqr=iqr,
        decimals=_decimals(iqr),
        wide=iqr > _WIDE_SPREAD * found[50],
        low=min(medians, default=None),
        high=max(medians, default=None),
    )


def _decimals(spread: float) -> int:
    """Decimals of which the last is no finer than a spread: 0.3 -> 1, 4 -> 0; at most 3."""
    return min(3, max(0, math.ceil(-math.log10(spread)))) if spread > 0 else 3
