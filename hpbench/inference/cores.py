"""How many cores this process may use: the only place that counts them."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["compute_threads", "usable_cores"]

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Cores that this process is pinned to, and no more than its container's share of time.

    `cgroup` is where Linux mounts the control group, whose CPU quota ``docker run --cpus`` sets.
    """
    pinned = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min(pinned or 1, _quota(cgroup))))


def compute_threads() -> int:
    """Threads for the layers of a network: the usable cores, and no more than OMP_NUM_THREADS."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(usable_cores(), int(limit))) if limit.isdecimal() else usable_cores()


def _quota(cgroup: Path) -> float:
    """Seconds of CPU time per second; infinite where there is no limit."""
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:  # version 1
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            quota, period = ((cgroup / "cpu" / name).read_text().strip() for name in names)
    except (OSError, ValueError):
        return math.inf
    return math.inf if quota in ("max", "-1") else int(quota) / int(period)
