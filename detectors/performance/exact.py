"""Exact sums of doubles: integers as wide as it takes, so that order and batches change nothing and what was added can be taken out.

Doubles of one exponent are whole multiples of their last bit. Halved, into upper bits and the rest, 2²⁶ of them add up exactly
in a double. So a batch is added up by exponent and half; a sum is one integer in units of 2⁻¹⁰⁷⁴, the smallest double.
Kulisch, Computer Arithmetic and Validity (2008), has the idea; the total, rounded once, is that of `math.fsum`.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final

import numpy as np

from detectors.features import Floats, Ints

UNIT: Final = 1074  # sums are whole numbers of 2**-UNIT
FRACTION: Final = 52  # bits of a double that follow those of its exponent
EXPONENT: Final = 0x7FF  # its bits, shifted down
HALF: Final = 26  # bits of the lower half
UPPER_BITS: Final = ~((1 << HALF) - 1)  # of a double: sign, exponent, and half of what follows
RUN: Final = 16  # exponents whose sums still fit one integer of 64 bits
LARGEST_BATCH: Final = 2**14  # stays in the cache, and in those bits


def exact_sums(values: Floats, groups: Ints, size: int) -> list[int]:
    """Return the sum of each group, in units of 2⁻¹⁰⁷⁴.

    `values` float64[n] are below 1e300 in size, `groups` int64[n] are 0..size-1.

    >>> [as_float(total) for total in exact_sums(np.array([0.1, 1e300, 0.2, -1e300]), np.array([0, 1, 0, 1]), 2)]
    [0.30000000000000004, 0.0]
    """
    totals = [0] * size
    for first in range(0, values.size, LARGEST_BATCH):
        part = slice(first, first + LARGEST_BATCH)
        _add(totals, values[part], groups[part])
    return totals


def _add(totals: list[int], values: Floats, groups: Ints) -> None:
    bits = values.view(np.int64)
    places = np.maximum((bits >> FRACTION) & EXPONENT, 1) - 1  # of the last bit: 0 is that of the smallest double
    lowest = int(places.min()) // RUN * RUN
    runs = (int(places.max()) - lowest) // RUN + 1
    cells = groups * (runs * RUN) + (places - lowest)
    upper = (bits & UPPER_BITS).view(np.float64)
    for half, moved in ((upper, HALF), (values - upper, 0)):
        sums = np.bincount(cells, weights=half, minlength=len(totals) * runs * RUN).reshape(-1, RUN)
        units = (UNIT - moved - lowest) - np.arange(runs * RUN).reshape(runs, RUN)
        whole = np.ldexp(sums, np.tile(units, (len(totals), 1))).astype(np.int64)  # 27 bits a value, 41 a batch
        merged = (whole << np.arange(RUN)).sum(axis=1)  # and 16 more
        used = np.flatnonzero(merged)
        for at, total in zip(used.tolist(), merged[used].tolist(), strict=True):
            group, run = divmod(at, runs)
            totals[group] += total << (lowest + run * RUN + moved)


def exact_columns(columns: Sequence[Floats]) -> list[int]:
    """Return the sum of each of some columns of equal length, in units of 2⁻¹⁰⁷⁴."""
    if not columns:
        return []
    groups = np.repeat(np.arange(len(columns), dtype=np.int64), columns[0].size)
    return exact_sums(np.concatenate(columns), groups, len(columns))


def as_fraction(total: int) -> Fraction:
    """Return a sum as it is."""
    return Fraction(total, 1 << UNIT)


def as_float(total: int) -> float:
    """Return a sum, rounded once."""
    return float(as_fraction(total))


def to_bytes(totals: Iterable[int]) -> bytes:
    """Write sums: of each how many of its last bits are zero, its length, its other bits."""
    return b"".join(_one_to_bytes(total) for total in totals)


def _one_to_bytes(total: int) -> bytes:
    zeros = (total & -total).bit_length() - 1 if total else 0
    rest = total >> zeros
    body = rest.to_bytes(rest.bit_length() // 8 + 1, "little", signed=True)
    return zeros.to_bytes(2, "little") + len(body).to_bytes(2, "little") + body


def from_bytes(data: bytes, size: int) -> list[int]:
    """Read what `to_bytes` wrote. Raises ValueError where that is not just so many sums."""
    totals, at = [], 0
    for _ in range(size):
        zeros, length = int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 2 : at + 4], "little")
        at += 4 + length
        totals.append(int.from_bytes(data[at - length : at], "little", signed=True) << zeros)
    if at != len(data):
        raise ValueError(f"{len(data)} bytes are not {size} sums")
    return totals
