"""A method that lives in a program of its own: what happens when that program ends."""

from __future__ import annotations

import os
import signal

from hpbench.checking.probe import Probe
from hpbench.checking.requirements import ConformanceError, NotApplicableError, require_same
from hpbench.inference.worker import Worker

__all__ = ["check_worker"]


def check_worker(probe: Probe) -> None:
    """A worker that is killed is started again, and predicts the same."""
    method = probe.method
    if not isinstance(method, Worker):
        raise NotApplicableError("the method has no worker")
    faces, before = probe.faces[:8], probe.predictions[:8]
    restarts = len(method.process.restarts)
    os.killpg(method.process.pid, signal.SIGKILL)
    require_same(faces, before, method.predict(faces), "after its worker was killed")
    if len(method.process.restarts) != restarts + 1:
        raise ConformanceError(
            "infer gave predictions without its worker; ask it with self.process.ask(faces)"
        )
