"""The cores that a process may use, as the system limits them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hpbench.inference.cores import compute_threads, usable_cores

PINNED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize(("quota", "cores"), [("100000", 1), ("20000", 1), ("max", PINNED)])
def test_quota_of_a_container_bounds_the_cores(quota, cores, tmp_path):
    (tmp_path / "cpu.max").write_text(f"{quota} 100000\n")
    assert usable_cores(tmp_path) == cores


def test_quota_of_the_first_version_of_control_groups_bounds_the_cores(tmp_path):
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("100000\n")
    assert usable_cores(tmp_path) == 1
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert usable_cores(tmp_path) == PINNED


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pinning is a matter of Linux")
def test_process_pinned_to_one_core_uses_one():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from hpbench.inference.cores import usable_cores; print(usable_cores())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_omp_num_threads_bounds_the_threads_of_a_network_alone(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert compute_threads() == 1
    assert usable_cores() >= compute_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1000")
    assert compute_threads() == usable_cores()
