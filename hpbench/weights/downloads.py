"""Files fetched over HTTP, from where an earlier try broke off if the server can.

The transfer itself is pooch's; added are the request for the rest of a file (RFC 9110, section
14) and words for what can go wrong.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hpbench.errors import WeightsError

if TYPE_CHECKING:
    from requests import Response

__all__ = ["ask_git_blob", "fetch_rest"]


def fetch_rest(url: str, path: Path, stall_s: float, by_hand: str) -> None:
    """Append to a file what it still lacks of a download.

    A server that cannot send the rest alone sends everything, and the file is written anew.
    Whatever has arrived stays when it breaks off, or when no byte comes for `stall_s` seconds.

    Raises
    ------
    WeightsError
        If the whole file has not arrived; the message says what to do, and what with a file that
        was fetched elsewhere (`by_hand`).
    """
    with _network_errors(url, path, by_hand), path.open("ab") as file:
        try:
            _append(url, file, stall_s)
        except _NotTheRestError:
            file.truncate(0)
            _append(url, file, stall_s)


class _NotTheRestError(Exception):
    """The server has no rest of the file, or sends another part of it."""


def _append(url: str, file: BinaryIO, stall_s: float) -> None:
    import pooch

    done = file.seek(0, os.SEEK_END)
    # compressed on the way, byte positions would be those of another file
    headers = {"Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"

    def seek_start(response: Response, **_: Any) -> None:
        """Before a response is written: see that it goes on where the file ends."""
        if response.status_code == 200:
            file.truncate(0)
        elif response.status_code == 416 or (
            response.status_code == 206 and _first_byte(response) != done
        ):
            response.close()
            raise _NotTheRestError

    pooch.HTTPDownloader(timeout=stall_s, headers=headers, hooks={"response": seek_start})(
        url, file, None
    )


def _first_byte(response: Response) -> int | None:
    """Position of the first byte that a response holds, from ``Content-Range: bytes 5-9/10``."""
    _, _, span = response.headers.get("Content-Range", "").partition(" ")
    first = span.partition("-")[0]
    return int(first) if first.isdecimal() else None


def ask_git_blob(url: str, stall_s: float, by_hand: str) -> str:
    """Id of a file at a fixed commit, from the contents address of GitHub's API.

    Raises
    ------
    WeightsError
        If the address cannot be reached or sends something else.
    """
    import requests

    with _network_errors(url, None, by_hand):
        response = requests.get(url, timeout=stall_s)
        response.raise_for_status()
        try:
            return str(response.json()["sha"])
        except (json.JSONDecodeError, KeyError, TypeError):
            raise WeightsError(f"{url}: the response has no git blob id; try later") from None


@contextmanager
def _network_errors(url: str, path: Path | None, then: str) -> Iterator[None]:
    """Turn what can go wrong on the network or the disk into one line with the fix."""
    from requests import exceptions

    by_hand = f"or fetch it elsewhere and {then}"
    try:
        yield
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
    except exceptions.RequestException as error:
        line = str(error).splitlines()[0]
        raise WeightsError(f"{url}: cannot be fetched ({line}); try later, {by_hand}") from error
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be written ({error.strerror}); make room, or name another folder "
            "with $HPBENCH_CACHE"
        ) from error


def _arrived(path: Path | None) -> str:
    """How much is kept for the next try."""
    size = path.stat().st_size if path is not None and path.is_file() else 0
    return f" ({size / 1e6:.1f} MB are kept)" if size else ""
