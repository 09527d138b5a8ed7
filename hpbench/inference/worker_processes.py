"""Processes that work for this one and import hpbench and its plugins, and nothing else.

``multiprocessing`` would let a new process import the user's script again, on a copy of the
``sys.path`` that a thread may be changing at this moment (the first ``import cv2`` does). A worker
is a fresh interpreter instead, which takes its work from standard input and ends when that is
closed, so also when this process is killed. On Linux the kernel ends it then, in the middle of
whatever it does.

Results come through a pipe of their own. On Linux the arrays in them come through a file in memory,
each in one read, which does not hold Python's lock; a pipe takes 64 KiB at a time.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np

import hpbench
from hpbench import errors
from hpbench.errors import HpbenchError
from hpbench.inference.cores import usable_cores
from hpbench.inference.prefetch import prefetch

__all__ = ["WorkerPool", "each_result", "how_it_ended", "last_line"]

_START = """
import sys
from importlib import util

spec = util.spec_from_file_location("hpbench", sys.argv[1])
sys.modules["hpbench"] = package = util.module_from_spec(spec)
spec.loader.exec_module(package)
from hpbench.inference.worker_processes import serve

serve()
"""
"""Program of a worker: this very hpbench, wherever `sys.path` of the new interpreter leads."""

_LARGE_BYTES = 16 * 2**10
"""From this size on arrays do not go through the pipe."""

_PR_SET_PDEATHSIG = 1
"""Of Linux's ``sys/prctl.h``."""


class WorkerPool:
    """Workers that each hold what `start` has made, and hand further arguments to it.

    Parameters
    ----------
    name : str
        What the workers are for, in messages.
    start : callable
        Function of a module of hpbench that a worker calls once; it returns the function that is
        called with the arguments of every :meth:`submit`.
    *arguments
        Of `start`. Nothing in them may be an instance of a plugin's class.
    environment : mapping of str to str, optional
        Variables that the workers have beside those of this process.
    """

    def __init__(
        self,
        name: str,
        processes: int,
        start: Callable[..., Any],
        *arguments: Any,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._name = name
        self._environment = {**os.environ, **environment}
        self._setup = (start, arguments, [os.path.abspath(folder) for folder in sys.path])  # noqa: PTH100
        self._workers: list[_Worker] = []
        self._is_over = False
        self._local = threading.local()
        # one thread for each worker: it waits for the worker's result
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="hpbench-worker")

    def submit(self, *arguments: Any) -> Future[Any]:
        """Have a worker do something; the future raises :class:`HpbenchError` if it cannot."""
        return self._threads.submit(self._call, arguments)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers, also in the middle of their work."""
        self._is_over = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in list(self._workers):
            worker.kill()  # the thread that waits for it goes on
        self._threads.shutdown()
        for worker in self._workers:
            worker.close()

    def _call(self, arguments: tuple[Any, ...]) -> Any:
        if not hasattr(self._local, "worker"):
            worker = _Worker(self._name, self._environment)
            self._workers.append(worker)
            if self._is_over:  # the pool was left while this one was started
                worker.kill()
            worker.ask(self._setup)
            self._local.worker = worker  # only now: what fails is tried, and said, anew
        return self._local.worker.ask(arguments)


def each_result(
    name: str,
    calls: Iterable[tuple[Any, ...]],
    in_processes: bool,
    start: Callable[..., Any],
    *arguments: Any,
) -> Iterator[Any]:
    """What the function that `start` makes returns for the arguments of every call, in order.

    One call after the other here, each made when its result is asked for; or some ahead, in one
    process per core, where there are several cores. See :class:`WorkerPool`.
    """
    processes = usable_cores()
    if not in_processes or processes == 1:
        work = start(*arguments)
        for call in calls:
            yield work(*call)
        return
    with WorkerPool(name, processes, start, *arguments) as pool:
        yield from prefetch(lambda call: pool.submit(*call), calls, processes)


class _Worker:
    """One process, and the pipes to it."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._name = name
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - until close()
        self._oom_kills = _oom_kills()
        self._arrays = os.memfd_create("hpbench") if hasattr(os, "memfd_create") else None
        results, written = os.pipe()  # not standard output, which anything may print to
        self._results = os.fdopen(results, "rb")
        passed = [written] if self._arrays is None else [written, self._arrays]
        self._process = subprocess.Popen(
            # -P: no module there may hide one of Python's; serve() appends this one's folders last
            [sys.executable, "-P", "-c", _START, str(hpbench.__file__), str(os.getpid()),
             *map(str, passed)],
            stdin=subprocess.PIPE,
            stdout=self._stderr,
            stderr=self._stderr,
            env=environment,
            pass_fds=passed,
        )  # fmt: skip
        os.close(written)

    def ask(self, message: Any) -> Any:
        """Send a message and wait for what comes of it."""
        assert self._process.stdin is not None
        try:
            pickle.dump(message, self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
            sizes = pickle.load(self._results)
            arrays = [] if self._arrays is None else _read_buffers(self._arrays, sizes)
            succeeded, result = pickle.load(self._results, buffers=arrays)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise HpbenchError(self._how_it_ended()) from error
        if not succeeded:
            raise result
        return result

    def kill(self) -> None:
        """End the process, also in the middle of its work."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and close what belongs to it; no thread may use it any more."""
        self.kill()
        for stream in (self._process.stdin, self._results, self._stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was not sent cannot be flushed
                    stream.close()
        if self._arrays is not None:
            os.close(self._arrays)

    def _how_it_ended(self) -> str:
        status = self._process.wait()
        said, fix = last_line(self._stderr), "run with --workers 1 to see where"
        if status == -signal.SIGKILL and _oom_kills() > self._oom_kills:
            said, fix = " (out of memory)", "run with fewer --workers"
        return f"a worker process of '{self._name}' {how_it_ended(status)}{said}; {fix}"


def how_it_ended(status: int) -> str:
    """Exit code or signal of a process that has ended, as the rest of a sentence."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"exited with status {status}"


def last_line(stderr: IO[bytes]) -> str:
    """The last line of a file that held standard error, in brackets; nothing without one."""
    end = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(end - 4096, 0))
    lines = stderr.read().decode(errors="replace").strip().splitlines()
    return f" ({lines[-1].strip()})" if lines else ""


def _oom_kills() -> int:
    """How many processes the kernel has killed for want of memory; 0 where it does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def serve() -> None:
    """Work in a worker until there is no more to do: the other side of :class:`WorkerPool`."""
    _end_with_parent(int(sys.argv[2]))
    for descriptor in sys.argv[3:]:  # a process that a plugin leaves behind must not hold them
        os.set_inheritable(int(descriptor), False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    requests, results = sys.stdin.buffer, os.fdopen(int(sys.argv[3]), "wb")
    arrays = int(sys.argv[4]) if len(sys.argv) > 4 else None
    work: Callable[..., Any] | None = None
    while True:
        large: list[pickle.PickleBuffer] = []
        try:
            message = pickle.load(requests)
        except EOFError:
            return
        try:
            if work is None:
                start, arguments, folders = message
                # after its own: a script may have modules of a plugin beside it
                sys.path += [folder for folder in folders if folder not in sys.path]
                work, result = start(*arguments), None
            else:
                result = work(*message)
            apart = None if arrays is None else partial(_put_apart, large)
            reply = pickle.dumps((True, result), pickle.HIGHEST_PROTOCOL, buffer_callback=apart)
            if arrays is not None:
                _write_buffers(arrays, large)
        except HpbenchError as error:
            # a plugin's own kind may not be known there, or not be made of one text
            kind = next(one for one in type(error).__mro__ if one.__module__ == errors.__name__)
            large, reply = [], pickle.dumps((False, kind(str(error))))
        except Exception as error:
            line = f"worker process: {type(error).__name__}: {error}; run with --workers 1"
            large, reply = [], pickle.dumps((False, HpbenchError(line)))
        results.write(pickle.dumps([buffer.raw().nbytes for buffer in large]))
        results.write(reply)
        results.flush()


def _put_apart(large: list[pickle.PickleBuffer], buffer: pickle.PickleBuffer) -> bool:
    """Keep a large buffer out of the pickle; whether it is to stay in."""
    if buffer.raw().nbytes < _LARGE_BYTES:
        return True
    large.append(buffer)
    return False


def _write_buffers(file: int, buffers: Sequence[pickle.PickleBuffer]) -> None:
    """Write buffers one after the other from the start of a file."""
    os.lseek(file, 0, os.SEEK_SET)
    for buffer in buffers:
        rest = buffer.raw()
        while rest:  # a write ends after two gigabytes
            rest = rest[os.write(file, rest) :]


def _read_buffers(file: int, sizes: Sequence[int]) -> list[Any]:
    """What :func:`_write_buffers` has written, as memory that may be changed."""
    content = np.empty(sum(sizes), np.uint8)  # a bytearray would be filled with zeros first
    rest = content.data
    while rest:
        rest = rest[os.preadv(file, [rest], len(content) - len(rest)) :]
    return np.split(content, np.cumsum(sizes[:-1])) if sizes else []


def _end_with_parent(parent: int) -> None:
    """Have the kernel kill this process as soon as the thread that started it ends."""
    if sys.platform != "linux":
        return  # it ends when it asks for more work
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended meanwhile
        os._exit(1)
