"""One column of a segment as bytes that describe themselves, with a checksum; nothing in them is ever run.

    4 bytes "OMC1", 4 bytes CRC-32 of all that follows, 4 bytes length of the head, the head (JSON), the arrays one after another

An array in which all values are the same stands in the head and takes no further bytes.
"""

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"OMC1"
_START = struct.Struct("<4sII")
_DTYPES = {"|u1": np.uint8, "<u2": np.uint16, "<u4": np.uint32, "<i8": np.int64}

Whole = NDArray[Any]
"""An array of whole numbers."""


class SegmentDamaged(ValueError):
    """The bytes are not what was written. Archive the rulings again from the decisions that they were made from."""

    def __init__(self, column: str, what: str) -> None:
        super().__init__(f"column {column!r}: {what}; its rulings are to be read from their decisions")
        self.column = column


@dataclass(frozen=True, slots=True)
class Packed:
    """A column that has been read. `head` is plain JSON; an array in `same` has one value `size` times."""

    head: Mapping[str, Any]
    arrays: Mapping[str, Whole]
    same: Mapping[str, int]


def pack(head: Mapping[str, Any], arrays: Mapping[str, Whole]) -> bytes:
    described, payload = [], []
    for name, array in arrays.items():
        first = int(array[0]) if len(array) else 0
        if bool((array == first).all()):
            described.append([name, array.dtype.str, len(array), first])
            continue
        described.append([name, array.dtype.str, len(array), None])
        payload.append(np.ascontiguousarray(array).tobytes())
    text = json.dumps({"head": dict(head), "arrays": described}, allow_nan=False).encode()
    body = b"".join((struct.pack("<I", len(text)), text, *payload))
    return _MAGIC + struct.pack("<I", zlib.crc32(body)) + body


def unpack(data: bytes, column: str) -> Packed:
    """Raises SegmentDamaged, naming the column."""
    if len(data) < _START.size:
        raise SegmentDamaged(column, "it ends before it has begun")
    magic, checksum, length = _START.unpack_from(data)
    if magic != _MAGIC:
        raise SegmentDamaged(column, "it is no column of a segment, or of another format")
    if zlib.crc32(memoryview(data)[8:]) != checksum:
        raise SegmentDamaged(column, "its bytes were changed or cut off")
    start = _START.size + length
    try:
        text = json.loads(bytes(data[_START.size : start]))
        return _laid_out(data, start, text["head"], text["arrays"])
    except (ValueError, KeyError, TypeError) as error:
        raise SegmentDamaged(column, f"its head cannot be read ({error})") from error


def _laid_out(data: bytes, start: int, head: Mapping[str, Any], described: list[list[Any]]) -> Packed:
    arrays: dict[str, Whole] = {}
    same: dict[str, int] = {}
    for name, dtype, count, first in described:
        kind = np.dtype(_DTYPES[dtype])
        if first is not None:
            arrays[name] = np.broadcast_to(np.array(first, kind), (count,))
            same[name] = first
            continue
        arrays[name] = np.frombuffer(data, kind, count, start)
        start += count * kind.itemsize
    return Packed(head, arrays, same)


# --- whole numbers in as few bytes as they need ---


def narrowest(values: Whole) -> Whole:
    """Numbers from 0 up, in the smallest type that holds them."""
    top = int(values.max()) if len(values) else 0
    kind = np.uint8 if top < 2**8 else np.uint16 if top < 2**16 else np.uint32 if top < 2**32 else np.int64
    return values.astype(kind)


def pack_numbers(values: NDArray[np.int64]) -> bytes:
    """Numbers of at most 2**62 either way, as steps above the least of them."""
    base = int(values.min()) if len(values) else 0
    above = values - base
    unit = max(1, int(np.gcd.reduce(above)) if len(above) else 1)
    return pack({"base": base, "unit": unit}, {"steps": narrowest(above // unit)})


def numbers_of(packed: Packed, rows: NDArray[np.intp] | None = None) -> NDArray[np.int64]:
    """The numbers of these rows, or of all."""
    base, unit = int(packed.head["base"]), int(packed.head["unit"])
    steps = packed.arrays["steps"]
    if "steps" in packed.same:
        size = len(steps) if rows is None else len(rows)
        return np.broadcast_to(np.int64(packed.same["steps"] * unit + base), (size,))
    numbers = (steps if rows is None else steps[rows]).astype(np.int64)
    if unit != 1:
        numbers *= unit
    if base:
        numbers += base
    return numbers


# --- texts, one per row ---


def pack_texts(texts: Sequence[str]) -> bytes:
    """Texts of one length in plain characters lie side by side without what they begin with in common."""
    least, most = min(texts), max(texts)
    start = least[: next((at for at, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), len(least))]
    rest = [text[len(start) :] for text in texts]
    widths = {len(text) for text in rest}
    if len(widths) == 1 and all(text.isascii() for text in rest):
        return pack({"start": start, "width": widths.pop()}, {"text": np.frombuffer("".join(rest).encode(), np.uint8)})
    return pack({"texts": list(texts)}, {})


def text_of(packed: Packed, row: int) -> str:
    """The text of one row."""
    if "texts" in packed.head:
        return str(packed.head["texts"][row])
    width = int(packed.head["width"])
    return str(packed.head["start"]) + packed.arrays["text"][row * width : (row + 1) * width].tobytes().decode("ascii")
