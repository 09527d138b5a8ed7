"""Numeric matrices of MATLAB 5 files, read without compiled code.

The labels that come with a data set are a stranger's files, and ``scipy.io.loadmat`` ends the
process on some: a sparse or nested variable whose header lies. Only dense numeric matrices
are read here, each after its header agrees with the bytes that there are.

Layout: "MAT-File Format" (MathWorks), Level 5.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MAX_BYTES", "read_matrices"]

MAX_BYTES = 16 * 2**20
"""Of a file, and of one of its variables when decompressed; a file of 300W-LP has 0.3 MB."""

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED, _INT8, _INT32, _UINT32 = 14, 15, 1, 5, 6
_DTYPES = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_CLASSES = {1: "a cell array", 2: "a structure", 3: "an object", 4: "text", 5: "sparse"}
_NUMERIC_CLASSES = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip
_COMPLEX = 0x08


def read_matrices(path: Path, names: Collection[str]) -> dict[str, npt.NDArray[Any]]:
    """Read some variables of a MATLAB 5 file; those that are not in it are left out.

    Parameters
    ----------
    path : Path
    names : collection of str
        Other variables are skipped, whatever they hold.

    Returns
    -------
    dict of str to ndarray
        In the class that MATLAB shows, shape as in MATLAB.

    Raises
    ------
    ValueError
        If the file is none, contradicts itself, or one of the variables holds anything but real
        numbers.
    OSError
        If it cannot be read.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES >> 20} MB")
    content = path.read_bytes()
    if content.startswith(b"MATLAB 7.3"):
        raise ValueError("written by save -v7.3; save it with -v7")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:_HEADER_BYTES])
    if order is None:
        raise ValueError("not a MATLAB 5 file")
    found: dict[str, npt.NDArray[Any]] = {}
    for element_type, data in _elements(memoryview(content)[_HEADER_BYTES:], order):
        if element_type == _COMPRESSED:
            element_type, data = next(_elements(_decompressed(data), order), (0, data))
        if element_type != _MATRIX:
            raise ValueError(f"an element of type {element_type} instead of a variable")
        name, matrix = _variable(data, order, names)
        if matrix is not None:
            found.setdefault(name, matrix)
        if len(found) == len(names):
            break
    return found


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and data of each element, one after the other."""
    position = 0
    while position < len(content):
        if position + 8 > len(content):
            raise ValueError("truncated")
        first, size = np.frombuffer(content[position : position + 8], order + "u4").tolist()
        if first >> 16:  # a small element holds its data in the tag
            start, element_type, size = position + 4, first & 0xFFFF, first >> 16
            position += 8
        else:
            start, element_type = position + 8, first
            padded = size if element_type == _COMPRESSED else -(-size // 8) * 8
            position = start + padded
        if start + size > min(len(content), max(position, start)):
            raise ValueError("truncated")
        yield element_type, content[start : start + size]


def _decompressed(data: memoryview) -> memoryview:
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(data, MAX_BYTES)
    except zlib.error as error:
        raise ValueError(f"a compressed variable is corrupted ({error})") from None
    if not stream.eof:
        raise ValueError(f"a compressed variable is truncated or larger than {MAX_BYTES >> 20} MB")
    return memoryview(content)


def _variable(
    data: memoryview, order: str, names: Collection[str]
) -> tuple[str, npt.NDArray[Any] | None]:
    """Name of a variable, and its matrix if it is one of `names`."""
    parts = _elements(data, order)

    def values(expected: int | None = None) -> npt.NDArray[Any]:
        element_type, content = next(parts, (0, data))
        dtype = np.dtype(order + _DTYPES.get(element_type, "V1"))
        fits = dtype.kind != "V" and len(content) % dtype.itemsize == 0
        if not fits or expected not in (None, element_type):
            raise ValueError(f"a variable with a part of type {element_type}")
        return np.frombuffer(content, dtype)

    flags = values(_UINT32)
    if len(flags) != 2:
        raise ValueError("a variable without its class")
    array_class = int(flags[0]) & 0xFF
    shape = values(_INT32).tolist()
    name = values(_INT8).tobytes().decode("latin-1")
    if name not in names:
        return name, None
    if array_class not in _NUMERIC_CLASSES or int(flags[0]) >> 8 & _COMPLEX:
        what = _CLASSES.get(array_class, "complex or of an unknown class")
        raise ValueError(f"{name} is {what} instead of a matrix of numbers")
    numbers = values()
    if len(shape) < 2 or min(shape) < 0 or math.prod(shape) != len(numbers):
        raise ValueError(f"{name} has {len(numbers)} values, its header says {shape}")
    with np.errstate(invalid="ignore"):  # NaN, or a number that the class cannot hold
        matrix = numbers.astype(_NUMERIC_CLASSES[array_class])
    return name, matrix.reshape(shape, order="F")
