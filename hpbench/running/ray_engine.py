"""The accuracy pass on a Ray cluster: ``hpbench run --engine ray --address HOST:PORT``.

Every worker holds one loaded copy of the methods. The driver hands out shards of faces and
writes what comes back into the run folder; rows reach the folder only when their whole shard
has come back. The shard of a worker that dies is handed out again, so that no face is lost or
counted twice.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from hpbench.dataset import Record
from hpbench.errors import (
    DataError,
    HpbenchError,
    MissingDependencyError,
    UsageError,
    first_line,
    last_line,
)
from hpbench.inference.faces import read_image
from hpbench.inference.progress import Progress
from hpbench.running.evaluation import Evaluation, EvaluationSpec
from hpbench.running.local_engine import (
    FailureWatch,
    IndexedFace,
    Part,
    announce,
    faces_at,
    methods_that_work,
    pending_rows,
    predict_faces,
    store_parts,
)
from hpbench.running.local_ray import local_cluster
from hpbench.storage.environment import versions
from hpbench.storage.run_folder import RunFolder

__all__ = ["RayCluster", "Worker"]

SHARD_FACES = 256
"""Faces that a worker is given at once, and that are lost when it dies."""

MAX_TRIES = 3
"""A shard that has killed so many workers ends the run."""

CONNECT_S = 5.0
START_S = 300.0
"""How long a worker may take to start and load the methods."""


class Worker:
    """One process of the cluster with its own loaded methods; runs as a Ray actor.

    Parameters
    ----------
    spec : EvaluationSpec
    batch_size : int
    faces : int
        Of the data set.
    works : sequence of str
        Methods that have predicted some of them.
    folder : str
        That the run was started in, which paths in options may be relative to.
    """

    def __init__(
        self,
        spec: EvaluationSpec,
        batch_size: int,
        faces: int,
        works: Sequence[str] = (),
        folder: str = "",
    ) -> None:
        self._spec = spec
        self._batch_size = batch_size
        self._watch = FailureWatch(faces, works)
        self._folder = Path(folder)
        self._evaluation: Evaluation | None = None

    def start(self, example: Record, wanted: Mapping[str, str]) -> str | None:
        """Check this machine and load the methods.

        Parameters
        ----------
        example : Record
            A face of the data set, to see whether its image can be reached.
        wanted : mapping of str to str
            Versions of the driver.

        Returns
        -------
        str or None
            What is wrong, in one line that names this machine.
        """
        if self._folder.is_dir():  # on another machine it may not be there
            os.chdir(self._folder)
        try:
            self._check(wanted)
            self._evaluation = self._spec.make()
            read_image(self._evaluation.dataset, example)
        except HpbenchError as error:
            return f"Ray worker on {socket.gethostname()}: {error}"
        return None

    def predict(self, faces: Sequence[IndexedFace]) -> tuple[Part, str | None]:
        """Rows of a shard, or the line that ends the run."""
        assert self._evaluation is not None
        try:
            parts = predict_faces(self._evaluation, faces, self._batch_size, self._watch)
            return [row for part in parts for row in part], None
        except HpbenchError as error:
            return [], f"Ray worker on {socket.gethostname()}: {error}"

    def _check(self, wanted: Mapping[str, str]) -> None:
        here = versions()
        for package, version in wanted.items():
            if here.get(package) != version:
                raise HpbenchError(
                    f"has {package} {here.get(package, 'not installed')}, the driver has "
                    f"{version}; install the same versions everywhere"
                )
        name, root, _ = self._spec.dataset
        if root is not None and not root.exists():
            raise DataError(
                f"{root}: no such folder; data set '{name}' has to be at the same path everywhere"
            )


class RayCluster:
    """A connection to a Ray cluster, or to one that is started on this machine.

    Parameters
    ----------
    address : str or None
        ``HOST:PORT``, ``ray://HOST:PORT`` or ``auto``; None starts Ray on this machine.
    workers : int or None
        Number of workers; None for one per core of the cluster (per GPU on CUDA).

    Raises
    ------
    MissingDependencyError
        If Ray is not installed.
    UsageError
        If there is no cluster at the address.

    Notes
    -----
    Entering connects, and raises :class:`HpbenchError` if Ray does not start, or if the cluster
    runs other versions of Ray or Python.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        if address is None and "ray" not in sys.modules:
            # Ray gives a cluster that it starts a token, and reads whether to use it once
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        try:
            import ray
        except ImportError as error:
            raise MissingDependencyError(
                "--engine ray: needs Ray; pip install 'hpbench[ray]'"
            ) from error
        _refuse_unreachable(address)
        self._ray = ray
        self._address = address
        self._workers = workers
        self._started = ExitStack()

    def __enter__(self) -> RayCluster:
        # A cluster that the caller is connected to already is used and left as it is.
        if not self._ray.is_initialized():
            with ExitStack() as started:
                address = self._address
                if address is None:
                    address = started.enter_context(local_cluster(self._workers))
                started.callback(self._ray.shutdown)
                self._connect(address)
                self._started = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()

    def _connect(self, address: str) -> None:
        try:
            with _sigterm_as_before():
                self._ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise HpbenchError(
                f"--address {address}: Ray cannot connect ({first_line(error)}); of a cluster that "
                "asks for a token, set RAY_AUTH_MODE=token"
            ) from error

    def evaluate_dataset(
        self, evaluation: Evaluation, folder: RunFolder, progress: Progress, batch_size: int
    ) -> None:
        """Do what :class:`hpbench.running.local_engine.LocalEngine` does, on the cluster.

        Raises
        ------
        HpbenchError
            With the first worker's one line if a plugin, the data or a version differs there;
            or if one shard has killed several workers.
        """
        rows = pending_rows(evaluation, folder)
        announce(evaluation, rows, progress)
        if not len(rows):
            return
        works = methods_that_work(evaluation, folder)
        with closing(self._predict(evaluation, rows, batch_size, works)) as parts:
            store_parts(evaluation, parts, folder, progress)

    def _predict(
        self,
        evaluation: Evaluation,
        rows: npt.NDArray[np.int64],
        batch_size: int,
        works: Sequence[str],
    ) -> Generator[Part, None, None]:
        """Parts of all shards, in the order in which they are finished."""
        ray = self._ray
        shards = [rows[k : k + SHARD_FACES] for k in range(0, len(rows), SHARD_FACES)]
        waiting = deque(range(len(shards)))
        tries = [0] * len(shards)
        spec = EvaluationSpec.of(evaluation)
        _, example = _shard(evaluation, rows[:1])[0]
        included = int(evaluation.indexed.index.included().sum())
        settings = {
            "batch_size": batch_size, "faces": included, "works": works, "folder": str(Path.cwd()),
        }  # fmt: skip
        start = partial(self._start_workers, spec, settings, example)
        idle = start(min(self._worker_count(spec.device), len(shards)))
        busy: dict[Any, tuple[Any, int]] = {}
        try:
            while waiting or busy:
                while idle and waiting:
                    actor, number = idle.pop(), waiting.popleft()
                    tries[number] += 1
                    faces = _shard(evaluation, shards[number])
                    busy[actor.predict.remote(faces)] = (actor, number)
                (done,), _ = ray.wait(list(busy), num_returns=1)
                actor, number = busy.pop(done)
                try:
                    part, problem = ray.get(done)
                except ray.exceptions.RayActorError as error:
                    if tries[number] >= MAX_TRIES:
                        _, first = _shard(evaluation, shards[number][:1])[0]
                        raise HpbenchError(
                            f"the shard of {SHARD_FACES} faces from '{first.image_id}' on has "
                            f"killed {MAX_TRIES} Ray workers: {last_line(error)}"
                        ) from error
                    waiting.appendleft(number)
                    idle += start(1)
                    continue
                except ray.exceptions.RayError as error:
                    raise HpbenchError(f"a Ray worker has failed: {last_line(error)}") from error
                idle.append(actor)
                if problem is not None:
                    raise HpbenchError(problem)
                yield part
        finally:
            for actor in [*idle, *(actor for actor, _ in busy.values())]:
                ray.kill(actor)

    def _start_workers(
        self, spec: EvaluationSpec, settings: Mapping[str, Any], example: Record, count: int
    ) -> list[Any]:
        """Workers that have loaded the methods; the first problem of any of them is raised."""
        ray = self._ray
        gpus = 1 if spec.device.startswith("cuda") else 0
        # on a cluster each worker sees the one GPU that Ray gives it
        spec = replace(spec, device="cuda") if gpus else spec
        worker = ray.remote(Worker).options(num_cpus=1, num_gpus=gpus)
        actors = [worker.remote(spec, **settings) for _ in range(count)]
        starts = [actor.start.remote(example, versions()) for actor in actors]
        try:
            problems = ray.get(starts, timeout=START_S)
        except ray.exceptions.GetTimeoutError as error:
            raise HpbenchError(
                f"{count} Ray workers did not start within {START_S:.0f} s; is the cluster full?"
            ) from error
        except ray.exceptions.RayError as error:
            raise HpbenchError(f"a Ray worker cannot be started: {last_line(error)}") from error
        for problem in problems:
            if problem is not None:
                raise HpbenchError(problem)
        return actors

    def _worker_count(self, device: str) -> int:
        if self._workers is not None:
            return self._workers
        resource = "GPU" if device.startswith("cuda") else "CPU"
        return max(1, int(self._ray.cluster_resources().get(resource, 1)))


@contextmanager
def _sigterm_as_before() -> Iterator[None]:
    """Keep what SIGTERM does: Ray's handlers for it print traces of C++, or abort."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        yield
    except SystemExit:  # another thread was given the signal, and Ray's handler made this of it
        signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        signal.signal(signal.SIGTERM, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _shard(evaluation: Evaluation, rows: npt.NDArray[np.int64]) -> list[IndexedFace]:
    """Faces for a worker, which starts in another folder."""
    return [
        (row, replace(record, image_path=record.image_path.absolute()))
        for row, record in faces_at(evaluation, rows)
    ]


def _refuse_unreachable(address: str | None) -> None:
    """Try to connect at all, since Ray itself takes a minute to give up."""
    if address is None or address in ("auto", "local"):
        return
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"--address {address}: write HOST:PORT or ray://HOST:PORT") from error
    if host is None or port is None:
        raise UsageError(f"--address {address}: write HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except OSError as error:
        raise UsageError(
            f"--address {address}: no Ray cluster there ({error}); "
            "start one with 'ray start --head'"
        ) from error
