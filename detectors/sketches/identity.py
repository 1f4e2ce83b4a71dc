"""Ids to hashes of 64 bits, and 64 more where ids are joined: the same in every process, compiled and not.

`monitor/sources/formats/json/_hash.hpp` is the same function. Only which rows have the same id is asked, never what the id is.
Of a million ids the chance that any two share a hash is 3e-8.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded, Column, LyingTexts
from detectors.features import canonical
from detectors.sketches.ids import Hashes

NO_ID = 0
LONG = 64  # bytes; longer ids are read one by one
MASK = (1 << 64) - 1
FIRST = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93  # seed and step of a function
SECOND = 0xC2B2AE3D27D4EB4F, 0x9FB21C651E98DF25
FIRST_BYTES = np.array([(1 << 8 * size) - 1 for size in range(9)], dtype=np.uint64)  # so many of a word
LAST = (30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)  # splitmix64's finaliser (Steele and others 2014)


def hashes_of(column: Column | None, rows: int) -> Hashes:
    """The hash of each id in a column, NO_ID where there is none: null, the empty text, an object, NaN."""
    return _hashes_of(column, rows, (FIRST,))[0]


def wide_hashes_of(column: Column | None, rows: int) -> tuple[Hashes, Hashes]:
    """The same, and 64 more bits of each: of ids that are joined no two may be taken for one."""
    first, second = _hashes_of(column, rows, (FIRST, SECOND))
    return first, second


def _hashes_of(column: Column | None, rows: int, lanes: Sequence[tuple[int, int]]) -> list[Hashes]:
    if column is None:
        return [np.zeros(rows, dtype=np.uint64) for _ in lanes]
    if isinstance(column, LyingTexts):
        return _hashes_lying(column, lanes)
    if isinstance(column, Coded):
        texts = [_bytes_of(value) for value in column.values]
        return [np.asarray(hashed(texts, lane)[column.rows]) for lane in lanes]
    if column.dtype.kind == "U" and (table := _ascii(column)) is not None:
        sizes = np.char.str_len(column.astype(np.str_, copy=False))
        return [_hashed(table, sizes, lane) for lane in lanes]
    texts = [_bytes_of(value) for value in column.tolist()]
    return [hashed(texts, lane) for lane in lanes]


def _ascii(column: NDArray[Any]) -> NDArray[np.uint64] | None:
    """Short texts as whole words of bytes, uint64[n, words]; None where they are long, or hold more than ASCII."""
    width = column.dtype.itemsize // 4
    if not column.size or not 0 < width <= LONG:
        return None
    letters = (
        np.ascontiguousarray(column).view(column.dtype.byteorder.replace("|", "=") + "u4").reshape(len(column), width)
    )
    if int(letters.max()) > 127:  # noqa: PLR2004 - ASCII
        return None
    table = np.zeros((len(column), -(-width // 8) * 8), dtype=np.uint8)
    table[:, :width] = letters
    return table.view("<u8")


def _bytes_of(value: Any) -> bytes:
    """An id as text: the number 7 and the text "7" are the same id."""
    if isinstance(value, str):
        text: str | None = value
    elif isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        text = canonical(value)
    else:
        text = None
    return b"" if text is None else text.encode(errors="surrogatepass")


def hashed(ids: Sequence[bytes], lane: tuple[int, int] = FIRST) -> Hashes:
    """The hashes of some ids, NO_ID for an empty one."""
    sizes = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
    short = [each if len(each) <= LONG else b"" for each in ids]
    words = -(-int(min(sizes.max(initial=0), LONG)) // 8)
    if not words:
        found = np.zeros(len(ids), dtype=np.uint64)
    else:
        table = np.array(short, dtype=f"S{8 * words}").view("<u8").reshape(len(ids), words)
        found = _hashed(table, sizes, lane)
    for place in np.flatnonzero(sizes > LONG).tolist():
        found[place] = _hash_long(ids[place], lane)
    return found


def _hashes_lying(texts: LyingTexts, lanes: Sequence[tuple[int, int]]) -> list[Hashes]:
    """The same of texts where they lie: words of eight bytes are taken from there, and what is of the next text is cut off."""
    sizes = texts.sizes
    words = -(-int(min(sizes.max(initial=0), LONG)) // 8)
    room = np.zeros(texts.data.size + LONG, dtype=np.uint8)
    room[: texts.data.size] = texts.data
    table = np.empty((words, sizes.size), dtype="<u8").T
    least = int(sizes.min(initial=LONG))
    alike = least > 0 and least * sizes.size == texts.data.size == int(
        sizes.sum()
    )  # of one size, with nothing between them
    overlapping = np.ndarray((texts.data.size + LONG - 7,), dtype="<u8", buffer=room, strides=(1,))
    for word in range(words):
        first = 8 * word
        table[:, word] = overlapping[first::least][: sizes.size] if alike else overlapping[texts.starts + first]
        if least < first + 8:
            table[:, word] &= FIRST_BYTES[least - first if alike else np.clip(sizes - first, 0, 8)]
    long = np.flatnonzero(sizes > LONG).tolist()
    found = []
    for lane in lanes:
        hashes = _hashed(table, sizes, lane)
        for place in long:
            begin = int(texts.starts[place])
            hashes[place] = _hash_long(room[begin : begin + int(sizes[place])].tobytes(), lane)
        found.append(hashes)
    return found


def _hashed(table: NDArray[np.uint64], sizes: NDArray[np.int64], lane: tuple[int, int]) -> Hashes:
    seed, multiplier = map(np.uint64, lane)
    least = int(sizes.min(initial=LONG))
    found = seed ^ sizes.astype(np.uint64)
    for word in range(table.shape[1]):
        step = (found ^ table[:, word]) * multiplier
        step ^= step >> np.uint64(32)
        found = step if least > 8 * word else np.where(sizes > 8 * word, step, found)
    return mixed(found) if least else np.where(sizes > 0, mixed(found), np.uint64(0))


def mixed(numbers: Hashes) -> Hashes:
    """Numbers whose bits say nothing of each other, none of them 0 (splitmix64's finaliser)."""
    for shift, times in LAST:
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(times)
    return np.maximum(numbers, np.uint64(1))


def _hash_long(data: bytes, lane: tuple[int, int]) -> int:
    seed, multiplier = lane
    mixed = seed ^ len(data)
    for at in range(0, len(data), 8):
        mixed = ((mixed ^ int.from_bytes(data[at : at + 8], "little")) * multiplier) & MASK
        mixed ^= mixed >> 32
    for shift, times in LAST:
        mixed = ((mixed ^ (mixed >> shift)) * times) & MASK
    return max(mixed, 1)
