"""Files fetched over HTTP, from where an earlier try broke off if the server can.

The transfer itself is requests'; added are the request for the rest of a file (RFC 9110, section
14), limits, and words for what can go wrong.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from hpbench.errors import WeightsError, first_line

if TYPE_CHECKING:
    from requests import Response

__all__ = ["ADD_COMMAND", "DownloadLimits", "ask_git_blob", "fetch_rest"]

ADD_COMMAND = "hpbench weights add"
"""Takes what ``hpbench weights fetch`` knows, too; for other files callers have other advice."""

MAX_ID_BYTES = 4 * 2**20
"""Of what GitHub says of a file; up to 1 MB of its content is in it."""

_CHUNK_BYTES = 1024
"""What has arrived of a chunk is lost when a connection breaks."""


@dataclass(frozen=True)
class DownloadLimits:
    """What a server may do.

    Attributes
    ----------
    stall_s : float
        It is given up when it sends nothing for so long.
    total_s : float
        For all of a file.
    max_bytes : int
    allow_http : bool
        Whether a connection may be without TLS.
    """

    stall_s: float = 30.0
    total_s: float = 3600.0
    max_bytes: int = 4 * 2**30
    allow_http: bool = False


def fetch_rest(url: str, path: Path, limits: DownloadLimits, by_hand: str) -> None:
    """Append to a file what it still lacks of a download.

    A server that cannot send the rest alone sends everything, and the file is written anew.
    Whatever has arrived stays when it breaks off, or when a limit of time is reached.

    Raises
    ------
    WeightsError
        If the whole file has not arrived; the message says what to do, and what with a file that
        was fetched elsewhere (`by_hand`).
    """
    with _network_errors(url, path, limits, by_hand), path.open("ab") as file:
        try:
            _within(limits.total_s, lambda: _append(url, file, limits))
        except _NotTheRestError:
            file.truncate(0)
            try:
                _within(limits.total_s, lambda: _append(url, file, limits))
            except _NotTheRestError as error:
                raise WeightsError(
                    f"{url}: the server sends another part than the one asked for; try later, or "
                    f"fetch it elsewhere and {by_hand}"
                ) from error


class _NotTheRestError(Exception):
    """The server has no rest of the file, or sends another part of it."""


def _within(seconds: float, work: Callable[[], None]) -> None:
    """Do something in a thread; TimeoutError if it takes longer, whatever it waits for."""
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    Thread(target=run, name="hpbench-download", daemon=True).start()
    done.result(timeout=seconds)


def _append(url: str, file: BinaryIO, limits: DownloadLimits) -> None:
    done = file.seek(0, os.SEEK_END)
    # compressed on the way, byte positions would be those of another file
    headers = {"Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    with _get(url, limits, headers) as response:
        if response.status_code == 416 or (
            response.status_code == 206 and _first_byte(response) != done
        ):
            raise _NotTheRestError
        if response.status_code != 206:
            file.truncate(0)
            done = 0
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and done + int(announced) > limits.max_bytes:
            raise _TooLargeError
        for chunk in response.iter_content(_CHUNK_BYTES):
            done += len(chunk)
            if done > limits.max_bytes:
                file.truncate(0)
                raise _TooLargeError
            file.write(chunk)


class _TooLargeError(Exception):
    """More bytes than a file may have."""


class _WithoutTlsError(Exception):
    """An address of plain HTTP, perhaps behind a redirect."""


def _get(url: str, limits: DownloadLimits, headers: dict[str, str] | None = None) -> Response:
    """The response to a request whose body has not been read.

    No request is sent without TLS unless the limits say so, behind a redirect neither.
    """
    import requests

    def require_tls(address: str) -> None:
        if not limits.allow_http and urlsplit(address).scheme != "https":
            raise _WithoutTlsError(address)

    def look_at_redirect(response: Response, **_: Any) -> None:
        if response.is_redirect:
            require_tls(urljoin(response.url, response.headers["Location"]))

    require_tls(url)
    response = requests.get(
        url,
        stream=True,
        timeout=limits.stall_s,
        headers=headers,
        hooks={"response": look_at_redirect},
    )
    if response.status_code != 416:
        response.raise_for_status()
    return response


def _first_byte(response: Response) -> int | None:
    """Position of the first byte that a response holds, from ``Content-Range: bytes 5-9/10``."""
    _, _, span = response.headers.get("Content-Range", "").partition(" ")
    first = span.partition("-")[0]
    return int(first) if first.isdecimal() else None


def ask_git_blob(url: str, limits: DownloadLimits, by_hand: str) -> str:
    """Id of a file at a fixed commit, from the contents address of GitHub's API.

    Raises
    ------
    WeightsError
        If the address cannot be reached or sends something else.
    """
    content = bytearray()

    def ask() -> None:
        with _get(url, limits) as response:
            for chunk in response.iter_content(_CHUNK_BYTES):
                content.extend(chunk)
                if len(content) > MAX_ID_BYTES:
                    raise _TooLargeError

    with _network_errors(url, None, limits, by_hand):
        _within(limits.total_s, ask)
        try:
            return str(json.loads(content)["sha"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise WeightsError(f"{url}: the response has no git blob id; try later") from None


@contextmanager
def _network_errors(
    url: str, path: Path | None, limits: DownloadLimits, then: str
) -> Iterator[None]:
    """Turn what can go wrong on the network or the disk into one line with the fix."""
    from requests import exceptions
    from urllib3.exceptions import LocationParseError

    by_hand = f"or fetch it elsewhere and {then}"
    try:
        yield
    except _WithoutTlsError as error:
        with_option = "fetch it with 'hpbench weights fetch --allow-http' if you trust the network"
        fix = f"{with_option}, {by_hand}" if ADD_COMMAND in then else by_hand.removeprefix("or ")
        raise WeightsError(f"{error}: is no https address; {fix}") from error
    except _TooLargeError as error:
        size = f"{limits.max_bytes / 1e6:.1f} MB" if path is not None else "is allowed"
        raise WeightsError(
            f"{url}: sends more than {size}; nothing was stored; {by_hand}"
        ) from error
    except TimeoutError as error:
        raise WeightsError(
            f"{url}: not finished within {limits.total_s:.0f} s{_arrived(path)}; start it again, "
            f"{by_hand}"
        ) from error
    except exceptions.HTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        raise WeightsError(f"{url}: the server returned {status}; try later, {by_hand}") from error
    except exceptions.ChunkedEncodingError as error:
        raise WeightsError(
            f"{url}: the download was interrupted{_arrived(path)}; start it again, {by_hand}"
        ) from error
    except (exceptions.Timeout, exceptions.ConnectionError) as error:
        what = "download stalled" if "timed out" in str(error).lower() else "cannot be reached"
        raise WeightsError(
            f"{url}: {what}{_arrived(path)}; check the network and start again, {by_hand}"
        ) from error
    except (exceptions.RequestException, LocationParseError, ValueError) as error:
        # the latter two of an address, or a header, that no server should send
        raise WeightsError(
            f"{url}: cannot be fetched ({first_line(error)}); try later, {by_hand}"
        ) from error
    except OSError as error:
        if error.errno is None:  # of requests, for certificates that are not where a variable says
            raise WeightsError(
                f"{url}: cannot be fetched ({error}); correct that and start again, {by_hand}"
            ) from error
        raise WeightsError(
            f"{path}: cannot be written ({error.strerror}); make room, or name another folder "
            "with $HPBENCH_CACHE"
        ) from error


def _arrived(path: Path | None) -> str:
    """How much is kept for the next try."""
    size = path.stat().st_size if path is not None and path.is_file() else 0
    return f" ({size / 1e6:.1f} MB are kept)" if size else ""
