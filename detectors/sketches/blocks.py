"""Blocks of one column's values: which can be binned, which a sample keeps, their moments, which are new.

By the compiled part where it was built, without the interpreter lock; by numpy where not, with the same result to the last bit.
"""

from typing import NamedTuple

import numpy as np

from detectors.features import LARGEST, Floats, Ints
from detectors.sketches.counting import COMPILED

try:
    from detectors.sketches import _digest
except ImportError:  # installed without a compiler
    _digest = None  # type: ignore[assignment]

USED = COMPILED and _digest is not None


class BlockMoments(NamedTuple):
    """What a block of finite values says of them."""

    mean: float
    std: float
    least: float
    most: float


def fill(values: Floats, start: int, held: Floats, size: int) -> tuple[int, int]:
    """Copy what can be binned of float64[n] `values` from `start` on to `held` from `size` on, until that is full.

    No infinities, no NaN, and one zero instead of two. Returns how far it came in both.
    """
    return _digest.fill(values, start, held, size) if USED else numpy_fill(values, start, held, size)


def numpy_fill(values: Floats, start: int, held: Floats, size: int) -> tuple[int, int]:
    """Do the same by numpy."""
    part = values[start : start + held.size - size]  # no more than there is room for
    usable = np.abs(part) < LARGEST
    taken = (part if usable.all() else part[usable]) + 0.0
    held[size : size + taken.size] = taken
    return start + part.size, size + taken.size


def moments(block: Floats, room: Floats) -> BlockMoments:
    """Return the moments of finite values, float64[n] with n > 0; `room` float64[n] is used meanwhile."""
    return BlockMoments(*_digest.moments(block, room)) if USED else numpy_moments(block)


def numpy_moments(block: Floats) -> BlockMoments:
    """Do the same by numpy; scaled by a power of two, so that nothing over- or underflows."""
    least, most = float(block.min()), float(block.max())
    largest = max(abs(least), abs(most))
    if largest == 0:
        return BlockMoments(0.0, 0.0, least, most)
    scale = float(np.ldexp(1.0, int(np.frexp(largest)[1]) - 1))
    scaled = block / scale
    apart = scaled - scaled[0]  # exact zeros for a constant block, so its deviation is exactly 0
    middle = float(apart.mean())
    spread = float(np.sqrt(np.square(apart - middle).mean()))
    return BlockMoments(min((float(scaled[0]) + middle) * scale, LARGEST), min(spread * scale, LARGEST), least, most)


def kept(draws: Floats, rank: int, sample: int, places: Ints) -> Ints:
    """Return where a reservoir of `sample` values takes one: int64, rising, of draws float64[n] for the ranks from `rank` on.

    `places` int64[n] is used for it.
    """
    return places[: _digest.kept(draws, rank, sample, places)] if USED else numpy_kept(draws, rank, sample)


def numpy_kept(draws: Floats, rank: int, sample: int) -> Ints:
    """Do the same by numpy."""
    return np.flatnonzero(draws * np.arange(rank, rank + draws.size) < sample)


def with_unknown(known: Floats, block: Floats, most: int) -> Floats | None:
    """Return rising `known` values with those of a block that are not among them; None where that is more than `most`."""
    if not USED:
        return numpy_with_unknown(known, block, most)
    found = np.empty(most - known.size)
    count = _digest.unknown(block, known, found)
    if count < 0:
        return None
    return np.union1d(known, found[:count]) if count else known


def numpy_with_unknown(known: Floats, block: Floats, most: int) -> Floats | None:
    """Do the same by numpy."""
    values = np.union1d(known, block)
    return values if values.size <= most else None
