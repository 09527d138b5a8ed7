"""Mutate MATLAB files and read them as labels: each gives a face or a reason, nothing else.

    python tools/fuzz_mat.py FILE.mat ... [--files 20000] [--seconds 3600]

Bytes are changed or the end is cut off, and of compressed variables the inside is changed, too.
Prints how many files gave what; ends with a traceback, or as the crash does, at anything else.
"""

from __future__ import annotations

import argparse
import random
import struct
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path

from hpbench.datasets.mat_3ddfa import read_mat
from hpbench.errors import DataError

_HEADER_BYTES = 128
_INTERESTING = (0, 1, 3, 5, 8, 14, 15, 32, 127, 128, 255)


def main() -> None:
    """Mutate, read and count until the number of files or the time is reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", nargs="+", type=Path)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=3600.0)
    options = parser.parse_args()
    seeds = [path.read_bytes() for path in options.seeds]
    seeds += [unpacked for seed in seeds if (unpacked := _unpacked(seed)) != seed]
    chance, counts = random.Random(0), Counter()
    end = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutated.mat"
        while sum(counts.values()) < options.files and time.monotonic() < end:
            path.write_bytes(_mutated(chance.choice(seeds), chance))
            try:
                read_mat(path)
                counts["a face"] += 1
            except DataError:
                counts["a reason"] += 1
    print(f"{sum(counts.values())} files: {counts['a face']} faces, {counts['a reason']} reasons")


def _mutated(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        # tags and headers are what crashes readers, and most of them stand at the start
        reach = len(changed) if chance.random() < 0.5 else min(len(changed), 512)
        value = chance.choice(_INTERESTING) if chance.random() < 0.7 else chance.randrange(256)
        changed[chance.randrange(126, max(reach, 127))] = value
    return bytes(changed[: chance.randrange(len(changed))] if chance.random() < 0.1 else changed)


def _unpacked(content: bytes) -> bytes:
    """The same file without compression, so that mutations reach the variables."""
    parts, position = [content[:_HEADER_BYTES]], _HEADER_BYTES
    while position + 8 <= len(content):
        element_type, size = struct.unpack_from("<II", content, position)
        data = content[position + 8 : position + 8 + size]
        parts.append(
            zlib.decompress(data) if element_type == 15 else content[position:][: size + 8]
        )
        position += 8 + size
    return b"".join(parts)


if __name__ == "__main__":
    main()
