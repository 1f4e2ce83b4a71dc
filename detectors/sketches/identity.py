"""Ids to 64-bit hashes: the same in every process, on every machine, compiled and not (`monitor/sources/formats/json/_hash.hpp` is the same function).

Only which rows have the same id is asked, never what the id is. Of a million ids the chance that any two share a hash is 3e-8.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded, Column
from detectors.features import canonical
from detectors.sketches.ids import Hashes

NO_ID = 0
LONG = 64  # bytes; longer ids are read one by one
MASK = (1 << 64) - 1
SEED, STEP = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
LAST = (30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)  # splitmix64's finaliser (Steele and others 2014)


def hashes_of(column: Column | None, rows: int) -> Hashes:
    """The hash of each id in a column, NO_ID where there is none: null, the empty text, an object, NaN."""
    if column is None:
        return np.zeros(rows, dtype=np.uint64)
    if isinstance(column, Coded):
        return np.asarray(hashed([_bytes_of(value) for value in column.values])[column.rows])
    return hashed([_bytes_of(value) for value in column.tolist()])


def _bytes_of(value: Any) -> bytes:
    """An id as text: the number 7 and the text "7" are the same id."""
    if isinstance(value, str):
        text: str | None = value
    elif isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        text = canonical(value)
    else:
        text = None
    return b"" if text is None else text.encode(errors="surrogatepass")


def hashed(ids: Sequence[bytes]) -> Hashes:
    """The hashes of some ids, NO_ID for an empty one."""
    sizes = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
    short = [each if len(each) <= LONG else b"" for each in ids]
    words = -(-int(min(sizes.max(initial=0), LONG)) // 8)
    if not words:
        found = np.zeros(len(ids), dtype=np.uint64)
    else:
        table = np.array(short, dtype=f"S{8 * words}").view("<u8").reshape(len(ids), words)
        found = _hashed(table, sizes)
    for place in np.flatnonzero(sizes > LONG).tolist():
        found[place] = _hash_long(ids[place])
    return found


def _hashed(table: NDArray[np.uint64], sizes: NDArray[np.int64]) -> Hashes:
    found = np.uint64(SEED) ^ sizes.astype(np.uint64)
    for word in range(table.shape[1]):
        step = (found ^ table[:, word]) * np.uint64(STEP)
        found = np.where(sizes > 8 * word, step ^ (step >> np.uint64(32)), found)
    return np.where(sizes > 0, mixed(found), 0).astype(np.uint64)


def mixed(numbers: Hashes) -> Hashes:
    """Numbers whose bits say nothing of each other, none of them 0 (splitmix64's finaliser)."""
    for shift, times in LAST:
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(times)
    return np.maximum(numbers, np.uint64(1))


def _hash_long(data: bytes) -> int:
    mixed = SEED ^ len(data)
    for at in range(0, len(data), 8):
        mixed = ((mixed ^ int.from_bytes(data[at : at + 8], "little")) * STEP) & MASK
        mixed ^= mixed >> 32
    for shift, times in LAST:
        mixed = ((mixed ^ (mixed >> shift)) * times) & MASK
    return max(mixed, 1)
