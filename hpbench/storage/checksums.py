"""``SHA256SUMS`` of a run folder: what its files were when they were written.

It has the form of ``sha256sum``, so that ``sha256sum -c SHA256SUMS`` verifies a folder without
hpbench. It finds damage, not forgery: who changes a file can change it, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from hpbench.storage.atomic import sha256_of_file, write_text

__all__ = [
    "CHECKSUMS",
    "differs",
    "read_checksums",
    "replace_text",
    "store_checksums",
]

CHECKSUMS = "SHA256SUMS"

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def read_checksums(folder: Path) -> dict[str, set[str]]:
    """SHA-256 by name of file; empty where the folder has no checksums.

    A file has two while it is being replaced, and afterwards if that was interrupted.
    """
    path = folder / CHECKSUMS
    known: dict[str, set[str]] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if found := _LINE.fullmatch(line):
                known.setdefault(found[2], set()).add(found[1])
    return known


def differs(folder: Path, name: str, content: bytes | None = None) -> bool:
    """Whether a file of the folder is not what its checksum says; without one it does not differ.

    `content` is what was read of the file, where it was.
    """
    expected = read_checksums(folder).get(name)
    path = folder / name
    if expected is None:
        return False
    if content is not None:
        return hashlib.sha256(content).hexdigest() not in expected
    return not path.is_file() or sha256_of_file(path) not in expected


def store_checksums(folder: Path, files: Iterable[Path], start: bool = False) -> None:
    """Note what files of the folder are now.

    A folder without checksums gets none, unless `start` begins them: a run that is not finished
    has none.
    """
    known = {} if start else read_checksums(folder)
    if not known and not start:
        return
    known |= {file.relative_to(folder).as_posix(): {sha256_of_file(file)} for file in files}
    _write(folder, known)


def replace_text(path: Path, text: str) -> None:
    """Write a file of a folder and its checksum; killed at any time, this leaves no wrong checksum.

    A folder without checksums gets none.
    """
    known, new = read_checksums(path.parent), {hashlib.sha256(text.encode()).hexdigest()}
    if known:
        _write(path.parent, known | {path.name: known.get(path.name, set()) | new})
    write_text(path, text)
    if known:
        _write(path.parent, known | {path.name: new})


def _write(folder: Path, known: Mapping[str, set[str]]) -> None:
    lines = [f"{one}  {name}\n" for name, some in sorted(known.items()) for one in sorted(some)]
    write_text(folder / CHECKSUMS, "".join(lines))
