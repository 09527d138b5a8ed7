"""Methods that live in a program of their own: another Python environment, another language.

The program reads one JSON object per line from its standard input and writes one per line to its
standard output; pixels are in memory that both share. docs/worker-protocol.md is the protocol.
"""

from __future__ import annotations

import contextlib
import json
import logging
import mmap
import os
import select
import selectors
import signal
import subprocess
import tempfile
import weakref
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from time import monotonic
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from hpbench.errors import HpbenchError, first_line
from hpbench.face import Face
from hpbench.geometry.boxes import box_problem
from hpbench.inference.worker_processes import how_it_ended, last_line
from hpbench.method import Method, NoPrediction, Prediction
from hpbench.paths import is_file
from hpbench.rotation import rotation_from_angles
from hpbench.weights.store import sha256_of

__all__ = ["PROTOCOL", "Reply", "Worker", "WorkerError", "WorkerProcess"]

PROTOCOL = 1
"""Version of the protocol, which a worker names in its first line."""

MAX_REQUEST_BYTES = 64 * 2**20
MAX_REQUEST_FACES = 64
"""Of one request; a larger image goes alone. The line has to fit into the pipe."""

MAX_FAILURES = 3
"""Requests in a row that a worker does not survive: it is broken, not the faces."""

STOP_S = 5.0
"""How long a worker may take to end after its input is closed."""

_log = logging.getLogger("hpbench")

Reply = Mapping[str, Any]
"""What a worker says of one face; a :class:`Worker` reads it in :meth:`Worker.prediction`."""


class WorkerError(Exception):
    """A worker that cannot reply to a request; one face of many may be the cause."""


class _EndedError(Exception):
    """The worker has ended, or was ended because it took too long; the text says how."""


class WorkerProcess:
    """A running worker; one that dies is started again.

    Parameters
    ----------
    subject : str
        Whose worker it is, in messages: ``"method 'my_net'"``.
    command : sequence of str
        Program and arguments.
    environment : mapping of str to str, optional
        Variables beside those of this process.
    start_s, reply_s : float
        Seconds after which a worker that is not ready, or does not reply, is killed.

    Raises
    ------
    HpbenchError
        If the worker cannot be started.
    """

    def __init__(
        self,
        subject: str,
        command: Sequence[str],
        environment: Mapping[str, str] = MappingProxyType({}),
        start_s: float = 300.0,
        reply_s: float = 60.0,
    ) -> None:
        self._subject = subject
        self._command = list(command)
        self._environment = {**os.environ, **environment}
        self._start_s, self._reply_s = start_s, reply_s
        self._lock = Lock()
        self._pixels = _SharedPixels()
        self._failures = self._requests = 0
        self._given_up = ""
        self._awaited = False  # a reply that an interrupted request, as by Ctrl-C, did not read
        self.restarts: list[str] = []
        """How the worker had ended, for each time that it was started again."""
        self._start()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._child.pid

    def ask(self, faces: Sequence[Face]) -> list[Reply]:
        """Replies of the worker, one per face, in order.

        A worker that dies, or takes too long, is started again and asked once more.

        Raises
        ------
        WorkerError
            If it dies on the same request again, or replies with an error.
        HpbenchError
            If its replies are not what the protocol says, or it survives no request any more.
        """
        with self._lock:
            if self._given_up:
                raise HpbenchError(self._given_up)
            return [reply for some in _portions(faces) for reply in self._ask_twice(some)]

    def _ask_twice(self, faces: Sequence[Face]) -> list[Reply]:
        for attempt in (1, 2):
            try:
                replies = self._ask(faces)
            except _EndedError as ended:
                self._failures += attempt == 2
                if self._failures == MAX_FAILURES:
                    self._given_up = (
                        f"{self._subject}: its worker {ended}, {MAX_FAILURES} requests in a row"
                    )
                    raise HpbenchError(self._given_up) from ended
                self._start_again(str(ended))
                if attempt == 2:
                    raise WorkerError(f"the worker {ended}, twice") from ended
            else:
                self._failures = 0
                break
        return replies

    def _ask(self, faces: Sequence[Face]) -> list[Reply]:
        places = self._pixels.write([face.image for face in faces])
        described = [_described(face, place) for face, place in zip(faces, places, strict=True)]
        self._requests += 1
        request = {"request": self._requests, "pixels": self._pixels.path, "faces": described}
        if self._awaited:
            self._start_again("was interrupted")
        self._awaited = True
        reply = self._exchange(json.dumps(request, ensure_ascii=False).encode() + b"\n")
        self._awaited = False
        if "request" not in reply:
            said = f" ({first_line(WorkerError(reply['error']))})" if "error" in reply else ""
            raise HpbenchError(
                f'{self._subject}: a reply of its worker lacks "request"{said}; copy it from the '
                "request (docs/worker-protocol.md)"
            )
        if reply["request"] != self._requests:  # a line too many would shift all that follow
            raise HpbenchError(
                f"{self._subject}: its worker wrote a line for request {reply['request']} as the "
                f"reply to {self._requests}; write one line per request"
            )
        if reply.get("error") is not None:
            self._failures = 0  # it has survived this one
            raise WorkerError(str(reply["error"]))
        replies = reply.get("replies")
        if not isinstance(replies, list) or len(replies) != len(faces):
            count = len(replies) if isinstance(replies, list) else "no"
            raise HpbenchError(f"{self._subject}: its worker gave {count} replies to {len(faces)}")
        if not all(isinstance(one, dict) for one in replies):
            raise HpbenchError(f"{self._subject}: its worker gave a reply that is no JSON object")
        return replies

    def _start(self) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (the child's, while it lives)
        try:
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=self._environment,
                pass_fds=[self._pixels.descriptor],
                start_new_session=True,  # Ctrl-C is for hpbench, and all its processes end together
            )
        except OSError as error:
            raise HpbenchError(
                f"{self._subject}: its worker cannot be started: {self._command[0]}: "
                f"{error.strerror}"
            ) from error
        self._unread, self._awaited = b"", True
        self._end = weakref.finalize(self, _stop, self._child, _watch(self._child))
        try:
            first = self._read(monotonic() + self._start_s, self._start_s)
        except _EndedError as ended:
            raise HpbenchError(f"{self._subject}: its worker does not start: it {ended}") from ended
        self._awaited = False
        if first.get("error") is not None:
            raise HpbenchError(f"{self._subject}: its worker does not start: {first['error']}")
        if first.get("hpbench_worker") != PROTOCOL:
            raise HpbenchError(
                f"{self._subject}: its worker speaks protocol {first.get('hpbench_worker')}, this "
                f"hpbench {PROTOCOL} (docs/worker-protocol.md)"
            )

    def _start_again(self, reason: str) -> None:
        self.restarts.append(reason)
        _log.warning(
            "%s: its worker %s; it is started again (%d)",
            self._subject,
            reason,
            len(self.restarts),
        )
        self._end()
        self._start()

    def _exchange(self, request: bytes) -> Reply:
        """Write a request and read the reply; both together may take so long."""
        deadline = monotonic() + self._reply_s
        assert self._child.stdin is not None
        descriptor = self._child.stdin.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_WRITE)
            while request and selector.select(max(deadline - monotonic(), 0.0)):
                try:  # as much as a pipe takes at once that can be written to
                    request = request[os.write(descriptor, request[: select.PIPE_BUF]) :]
                except OSError as error:
                    raise _EndedError(self._how_it_ended()) from error
        return self._read(deadline, self._reply_s)

    def _read(self, deadline: float, limit_s: float) -> Reply:
        """The next line of the worker, as a JSON object."""
        line = self._line(deadline)
        if line is None:
            _kill(self._child)
            raise _EndedError(f"did not reply within {limit_s:g} s and was killed")
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            shown = line.decode(errors="replace").strip()[:80]
            raise HpbenchError(
                f"{self._subject}: its worker wrote '{shown}' to standard output, which is for "
                "JSON objects; write messages to standard error"
            )
        return message

    def _line(self, deadline: float) -> bytes | None:
        """The next line; None where it does not come in time."""
        assert self._child.stdout is not None
        descriptor = self._child.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not selector.select(max(deadline - monotonic(), 0.0)):
                    return None
                some = os.read(descriptor, 2**20)
                if not some:
                    raise _EndedError(self._how_it_ended())
                self._unread += some
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _how_it_ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):  # it may have closed its output only
            self._child.wait(STOP_S)
        _kill(self._child)
        return how_it_ended(self._child.wait()) + last_line(self._stderr)


class _SharedPixels:
    """Memory that a worker maps, too; it has no name that could be left behind."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self.descriptor = os.memfd_create("hpbench-pixels")
        else:
            with tempfile.TemporaryFile() as file:
                self.descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self.descriptor)
        self.path = f"/dev/fd/{self.descriptor}"
        self._mapped: mmap.mmap | None = None

    def write(self, images: Sequence[np.ndarray]) -> list[int]:
        """Put images one behind the other, and return where each begins."""
        sizes = [image.nbytes for image in images]
        starts = np.cumsum([0, *sizes]).tolist()
        if self._mapped is None or len(self._mapped) < starts[-1]:
            os.ftruncate(self.descriptor, starts[-1])
            self._mapped = mmap.mmap(self.descriptor, starts[-1])
        for start, image in zip(starts, images, strict=False):
            self._mapped[start : start + image.nbytes] = np.ascontiguousarray(image).data.cast("B")
        return starts[:-1]


def _portions(faces: Sequence[Face]) -> Iterator[list[Face]]:
    """Some faces at a time, as many as fit into one request."""
    portion: list[Face] = []
    size = 0
    for face in faces:
        full = len(portion) == MAX_REQUEST_FACES or size + face.image.nbytes > MAX_REQUEST_BYTES
        if portion and full:
            yield portion
            portion, size = [], 0
        portion.append(face)
        size += face.image.nbytes
    if portion:
        yield portion


def _described(face: Face, offset: int) -> dict[str, Any]:
    """A face in a request; annotated landmarks are not sent, for a method must not use them."""
    width, height = face.size_wh
    camera = face.camera
    return {
        "image_id": face.image_id,
        "offset": offset,
        "width": width,
        "height": height,
        "box_xyxy": face.box_xyxy.tolist(),
        "camera_matrix": None if camera is None else camera.matrix.tolist(),
        "distortion": None if camera is None else camera.distortion.tolist(),
    }


def _watch(child: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """Process that kills the worker, whatever it is doing, when this one ends, however it ends.

    The kernel could (``PR_SET_PDEATHSIG``), but when the thread ends that has started the worker.
    """
    return subprocess.Popen(
        ["sh", "-c", 'read -r _; kill -s KILL -- "-$0"', str(child.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _stop(child: subprocess.Popen[bytes], watch: subprocess.Popen[bytes]) -> None:
    """End the worker with its input; one that does not listen is killed."""
    assert child.stdin is not None
    with contextlib.suppress(OSError):
        child.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=STOP_S)
    watch.kill()
    watch.communicate()
    _kill(child)


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill the worker and the processes that it has started."""
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


class Worker(Method):
    """Base of methods that are a program of their own.

    A subclass names the program in :meth:`command`, and describes it in :meth:`Method.card`.

    Attributes
    ----------
    start_s, reply_s : float
        Seconds after which a worker that is not ready, or does not reply, is killed.

    Examples
    --------
    ::

        class MyNet(Worker):
            name = "my_net"
            summary = "my network, in its own environment"

            def command(self):
                return ["/envs/my_net/bin/python", str(Path(__file__).with_name("worker.py"))]

            def card(self):
                return MethodCard(name=self.name, title="My network", licence="MIT", ...)
    """

    start_s: ClassVar[float] = 300.0
    reply_s: ClassVar[float] = 60.0
    _process: WorkerProcess | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Program and arguments of the worker, with absolute paths."""

    def environment(self) -> Mapping[str, str]:
        """Variables that the worker has beside those of hpbench."""
        return {}

    def fingerprint(self) -> str:
        """Options, and the SHA-256 of every file that the command names, as in ``--net=FILE``."""
        words = [part for word in self.command() for part in (word, word.partition("=")[2])]
        files = [path for path in map(Path, words) if is_file(path)]
        return " ".join([super().fingerprint(), *map(sha256_of, files)])

    def load(self) -> None:
        """Start the worker; the variable HPBENCH_DEVICE tells it the device."""
        self._process = WorkerProcess(
            f"method '{self.name}'",
            self.command(),
            {"HPBENCH_DEVICE": self.device, **self.environment()},
            self.start_s,
            self.reply_s,
        )

    def load_to_prepare(self) -> None:
        """Start nothing: only :meth:`infer` asks the worker."""

    @property
    def process(self) -> WorkerProcess:
        """The running worker."""
        if self._process is None:
            raise HpbenchError(f"method '{self.name}' was used before load()")
        return self._process

    def incidents(self) -> list[str]:
        """Every restart of the worker."""
        restarts = [] if self._process is None else self._process.restarts
        return [f"the worker {reason} and was started again" for reason in restarts]

    def prepare(self, face: Face) -> Any | NoPrediction:
        """Check the box; the worker cuts out what it needs."""
        if problem := box_problem(face.box_xyxy, face.size_wh):
            return NoPrediction(problem)
        return face

    def infer(self, batch: Sequence[Any]) -> Any:
        """Have the worker reply to the faces."""
        return self.process.ask(batch)

    def decode(self, output: Any) -> Sequence[Prediction | NoPrediction]:
        """Read the replies."""
        return [self.prediction(reply) for reply in output]

    def prediction(self, reply: Reply) -> Prediction | NoPrediction:
        """What a reply says: ``no_prediction``, ``R_cam``, or ``angles_deg`` (yaw, pitch, roll).

        A key with null is as none.
        """
        reply = {key: value for key, value in reply.items() if value is not None}
        if "no_prediction" in reply:
            return NoPrediction(str(reply["no_prediction"]))
        if "R_cam" in reply:
            R_cam = np.array(reply["R_cam"], dtype=np.float64).reshape(3, 3)
        elif "angles_deg" in reply:
            angles_deg = np.array(reply["angles_deg"], dtype=np.float64)
            if angles_deg.shape != (3,):
                raise HpbenchError(
                    f"method '{self.name}': angles_deg is {json.dumps(reply['angles_deg'])[:80]} "
                    "instead of yaw, pitch and roll"
                )
            R_cam = rotation_from_angles(angles_deg)
        else:
            raise HpbenchError(
                f"method '{self.name}': a reply has neither R_cam nor angles_deg nor "
                f"no_prediction: {json.dumps(reply)[:80]}"
            )
        return Prediction(R_cam, confidence=reply.get("confidence"))
