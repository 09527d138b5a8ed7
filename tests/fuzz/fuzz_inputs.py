"""Random changes of bytes, texts, JSON values and tables; the same chance makes the same change."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from random import Random
from typing import Any

import pyarrow as pa

_BYTES = (0, 1, 3, 5, 8, 14, 15, 32, 34, 92, 123, 127, 128, 254, 255)
_LENGTHS = (0, 1, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_WORDS = (
    "", " ", "0", "-1", "1e308", "-1e-308", "1e999", "nan", "inf", "-inf", "0x10", "1_0", "1,5",
    "\u0661", "9" * 40, "9" * 5000, "true", "null", "none", "\x00", "\n", "\r", "\t", "\x1b[2J",
    "'", '"', "\\", "[", "]", "{", "}", "=", ",", ":", ";", "*", "#", "%s", "{0}", "../../x",
    "/dev/zero", "\ud800", "\u202e", "e\u0301", "\U0001f600", "<script>", "=1+1", "a" * 300,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 10**400, 0.0, -0.0, 0.5, 1e308, -1e308,
    1e-320, float("nan"), float("inf"), [], {}, [[]], [None], {"": None}, *_WORDS,
)  # fmt: skip
"""Values that a field of a stranger's file may hold instead of its own."""


def mutated_bytes(content: bytes, chance: Random) -> bytes:
    """A few bytes changed, mostly near the start, where headers are; or a part cut, or doubled."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        if not changed:
            break
        reach = len(changed) if chance.random() < 0.6 else min(len(changed), 256)
        at = chance.randrange(reach)
        kind = chance.random()
        if kind < 0.5:
            changed[at] = chance.choice(_BYTES) if chance.random() < 0.6 else chance.randrange(256)
        elif kind < 0.6:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind < 0.8:
            size = chance.choice((2, 4, 8))
            number = chance.choice(_LENGTHS) % (1 << 8 * size)
            changed[at : at + size] = number.to_bytes(size, chance.choice(("little", "big")))
        elif kind < 0.87:
            del changed[at : at + chance.choice((1, 2, 8, 64))]
        elif kind < 0.94:
            changed[at:at] = changed[at : at + chance.choice((1, 2, 8, 64))]
        else:
            del changed[at:]
    return bytes(changed)


def mutated_text(text: str, chance: Random, words: Sequence[str] = ()) -> str:
    """Pieces cut, doubled, moved, or replaced by words: strange ones and the format's own."""
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice((0, 0, 1, 1, 4, 20)))
        kind = chance.random()
        if kind < 0.55:
            piece = chance.choice((*_WORDS, *words, *words))
        elif kind < 0.7:
            piece = chr(chance.choice((chance.randrange(32, 127), chance.randrange(0x11_0000))))
        elif kind < 0.85:
            other = chance.randrange(len(text) + 1)
            piece = text[other : other + chance.choice((1, 5, 40))]
        else:
            piece = text[start:end] * chance.choice((0, 2, 2, 50))
        text = text[:start] + piece + text[end:]
    return text


def mutated_json(content: bytes, chance: Random) -> bytes:
    """Some values of a JSON file replaced, removed, doubled or renamed; or its bytes changed."""
    if chance.random() < 0.25:
        return mutated_bytes(content, chance)
    value = json.loads(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        value = _with_other_value(value, chance)
    try:
        return json.dumps(value).encode()
    except RecursionError:  # twice nested deeply
        return b"[" * 10_000


def _with_other_value(value: Any, chance: Random) -> Any:
    """One value at a random place changed."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.15:
        return _strange(value, chance)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = chance.choice(keys)
    kind = chance.random()
    if kind < 0.06:
        del value[key]
    elif kind < 0.12 and isinstance(value, dict):
        value[chance.choice((*_WORDS, *keys))] = value.pop(key)
    elif kind < 0.16 and isinstance(value, list):
        value.append(value[key])
    else:
        value[key] = _with_other_value(value[key], chance)
    return value


def _strange(value: Any, chance: Random) -> Any:
    kind = chance.random()
    if kind < 0.7:
        return copy.copy(chance.choice(VALUES))
    if kind < 0.8 and isinstance(value, int | float) and abs(value) < 1e8:
        return value * chance.choice((-1, 0.5, 1000, 1e300))
    if kind < 0.9 and isinstance(value, str):
        return mutated_text(value, chance)
    for _ in range(chance.choice((1, 3, 3, 2000))):
        value = [value] if chance.random() < 0.5 else {"a": value}
    return value


def mutated_table(table: pa.Table, chance: Random) -> pa.Table:
    """Some columns of a table retyped, refilled, removed or renamed; or rows doubled or lost."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if not table.num_columns:
            break
        place = chance.randrange(table.num_columns)
        name, kind = table.column_names[place], chance.random()
        if kind < 0.1:
            table = table.remove_column(place)
        elif kind < 0.15:
            other = chance.choice((*_WORDS[:4], *table.column_names))
            names = [other if k == place else old for k, old in enumerate(table.column_names)]
            table = table.rename_columns(names)
        elif kind < 0.25:
            rows = [chance.randrange(len(table)) for _ in range(chance.randrange(len(table) + 1))]
            table = table.take(pa.array(rows, pa.int64())) if len(table) else table
        else:
            table = table.set_column(place, name, _other_column(table.column(place), chance))
    return table


def _other_column(column: pa.ChunkedArray, chance: Random) -> pa.Array:
    """A column of the same length: some cells changed, or cells of another type."""
    try:
        cells = column.to_pylist()
    except (OverflowError, UnicodeDecodeError):  # what an earlier change made Python cannot hold
        cells = [None] * len(column)
    # of its own type, as far as that goes; an entry of a map without a key ends the process
    if chance.random() < 0.7 and not pa.types.is_map(column.type):
        for _ in range(chance.choice((1, 1, 3, len(cells)))):
            if cells:
                cells[chance.randrange(len(cells))] = chance.choice((*VALUES, *cells))
        try:
            return pa.array(cells, column.type)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            pass
    kind = chance.choice((
        pa.null(), pa.int64(), pa.uint8(), pa.float32(), pa.float64(), pa.string(), pa.binary(),
        pa.bool_(), pa.timestamp("us"), pa.date32(), pa.decimal128(38, 9), pa.list_(pa.float64()),
        pa.struct([("a", pa.int64())]), pa.dictionary(pa.int32(), pa.string()), pa.large_string(),
        pa.map_(pa.string(), pa.int64()), pa.duration("s"), pa.float16(),
    ))  # fmt: skip
    return pa.array([_cell(kind, chance) for _ in cells], kind)


def _cell(kind: pa.DataType, chance: Random) -> Any:
    for _ in range(8):
        value = chance.choice((*VALUES, b"\xff", [1.0], {"a": 1}, [("k", 1)]))
        if value == [None] and pa.types.is_map(kind):  # ends the process
            continue
        try:
            pa.array([value], kind)
        except (pa.ArrowException, OverflowError, TypeError, ValueError, AttributeError):
            continue
        return value
    return None
