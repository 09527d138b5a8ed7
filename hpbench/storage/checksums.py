"""``SHA256SUMS`` of a run folder: what its files were when they were written.

It has the form of ``sha256sum``, so that ``sha256sum -c SHA256SUMS`` verifies a folder without
hpbench. It finds damage, not forgery: who changes a file can change it, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from hpbench.storage.atomic import write_text

__all__ = ["CHECKSUMS", "differs", "read_checksums", "sha256_of_file", "store_checksums"]

CHECKSUMS = "SHA256SUMS"

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_checksums(folder: Path) -> dict[str, str]:
    """SHA-256 by name of file; empty where the folder has no checksums."""
    path = folder / CHECKSUMS
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return {found[2]: found[1] for line in lines if (found := _LINE.fullmatch(line))}


def differs(folder: Path, name: str, content: bytes | None = None) -> bool:
    """Whether a file of the folder is not what its checksum says; without one it does not differ.

    `content` is what was read of the file, where it was.
    """
    expected = read_checksums(folder).get(name)
    path = folder / name
    if expected is None:
        return False
    if content is not None:
        return hashlib.sha256(content).hexdigest() != expected
    return not path.is_file() or sha256_of_file(path) != expected


def store_checksums(folder: Path, files: Iterable[Path], start: bool = False) -> None:
    """Note what files of the folder are now.

    A folder without checksums gets none, unless `start` begins them: a run that is not finished
    has none.
    """
    known = {} if start else read_checksums(folder)
    if not known and not start:
        return
    known |= {file.relative_to(folder).as_posix(): sha256_of_file(file) for file in files}
    lines = [f"{sha256}  {name}\n" for name, sha256 in sorted(known.items())]
    write_text(folder / CHECKSUMS, "".join(lines))
