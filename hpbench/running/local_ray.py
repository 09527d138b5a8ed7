"""A Ray cluster on this machine that ends with the process that asked for it.

Started by the run itself, two of Ray's processes outlive a run that is killed, or stopped while
the cluster starts. A process that only holds the cluster shuts it down in order, whatever ends
the run: it waits for the end of its standard input.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hpbench.errors import HpbenchError, first_line

__all__ = ["local_cluster"]


@contextmanager
def local_cluster(cpus: int | None) -> Iterator[str]:
    """Start a cluster, and shut it down afterwards.

    Parameters
    ----------
    cpus : int or None
        Cores that it offers; None for all of this machine.

    Yields
    ------
    str
        Its address.

    Raises
    ------
    HpbenchError
        If Ray does not start.
    """
    # -P: the folder that hpbench was started in is not searched for modules
    command = [sys.executable, "-P", "-m", __name__, *([] if cpus is None else [str(cpus)])]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,  # Ctrl-C reaches the run alone
    ) as process:  # fmt: skip
        assert process.stdout is not None
        kind, _, said = process.stdout.readline().strip().partition(" ")
        if kind != "address":
            raise HpbenchError(f"--engine ray: Ray cannot be started ({said or 'it has ended'})")
        yield said


def _hold(cpus: int | None) -> None:
    """Be the process that holds the cluster."""
    import ray

    try:
        context: Any = ray.init(  # local: not one that RAY_ADDRESS or an earlier run names
            "local", num_cpus=cpus, include_dashboard=False, log_to_driver=False
        )
        said = f"address {context.address_info['address']}"
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        said = f"failed {first_line(error)}"
    with suppress(BrokenPipeError):  # the run has ended meanwhile
        print(said, flush=True)
    sys.stdin.read()
    ray.shutdown()


if __name__ == "__main__":
    _hold(int(sys.argv[1]) if len(sys.argv) > 1 else None)
