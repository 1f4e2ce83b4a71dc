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
UPPER_BITS: Final = ~((1 << 26) - 1)  # of a double: sign, exponent, and half of what follows
LARGEST_BATCH: Final = 2**14  # stays in the cache; halves would add up exactly up to 2**26


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
    exponents = (bits >> FRACTION) & EXPONENT
    upper = (bits & UPPER_BITS).view(np.float64)
    lowest = int(exponents.min())
    span = int(exponents.max()) - lowest + 1
    cells = groups * span + (exponents - lowest)
    halves = [np.bincount(cells, weights=half) for half in (upper, values - upper)]
    for half in halves:
        for cell in np.flatnonzero(half).tolist():
            numerator, denominator = float(half[cell]).as_integer_ratio()
            totals[cell // span] += numerator << (UNIT - denominator.bit_length() + 1)


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
