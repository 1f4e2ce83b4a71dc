"""Floats of less than double precision: the decimals that they are written as, and which doubles are the same value."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Less = type[np.float32] | type[np.float16]  # a precision below that of a double

SURE_DIGITS, ENOUGH_DIGITS = 6, 9  # that every single survives, and that tell any two apart
FEW = 256  # values that are looked at first
TINY = 1e-30  # below about 1e-38 a single has fewer digits
WHOLE = 2.0**24  # up to here a single holds every whole number


def as_written(column: NDArray[np.generic]) -> Floats:
    """Return singles and halves as the doubles of their shortest decimals: what a CSV or JSON of them holds.

    Other numbers are cast. A decimal of few digits is a whole number over a power of ten, whose division is rounded right
    (Clinger 1990, How to read floating point numbers accurately); what that does not reach Python writes.

    >>> as_written(np.array([0.1, 16777216, np.nan], dtype=np.float32)).tolist()
    [0.1, 16777216.0, nan]
    >>> as_written(np.array([0.1, 0.3], dtype=np.float16)).tolist()
    [0.1, 0.3]
    """
    if column.dtype == np.float16:
        return np.asarray(_halves()[column.view(np.uint16)])
    if column.dtype != np.float32:
        with np.errstate(over="ignore"):  # a long double may overflow: then it is infinite, hence missing
            return column.astype(np.float64, copy=False)
    written = column.astype(np.float64)
    odd = ~_plain(written)
    left, rest = np.flatnonzero(odd & _reached(written)), np.flatnonzero(odd & ~_reached(written))
    for digits in range(SURE_DIGITS, ENOUGH_DIGITS + 1):
        singles = column[left]
        decimals = _rounded(written[left], digits)
        found = decimals.astype(np.float32) == singles
        written[left[found]] = decimals[found]
        left = left[~found]
    for rows in (left, rest):
        written[rows] = [float(str(value)) for value in column[rows]]
    return written


def _plain(values: Floats) -> Bools:
    """Whether a double says a single as people would: whole numbers that a single holds, halves, nothing."""
    return np.asarray((np.rint(values * 2) == values * 2) & (np.abs(values) <= WHOLE) | ~np.isfinite(values))


def _reached(values: Floats) -> Bools:
    """Whether the shortest decimals are sure to be found by rounding; beside a power of two floats lie unevenly."""
    sizes = np.abs(values)
    return np.asarray((sizes > 1e-13) & (sizes < 1e27) & (np.frexp(values)[0] != 0.5))  # noqa: PLR2004 - ten to the 22nd is the last exact one


def _rounded(values: Floats, digits: int) -> Floats:
    """Return the nearest decimals of so many digits."""
    shift = digits - 1 - np.floor(np.log10(np.abs(values))).astype(np.int64)
    scale, up = np.power(10.0, np.abs(shift)), shift >= 0
    whole = np.rint(np.where(up, values * scale, values / scale))
    return np.where(up, whole / scale, whole * scale)


@cache
def _halves() -> Floats:
    """Every half by its bits."""
    with np.errstate(invalid="ignore"):
        return np.array([float(str(half)) for half in np.arange(2**16, dtype=np.uint16).view(np.float16)])


def rounded(values: Floats, less: Less) -> NDArray[np.floating]:
    """Return the nearest values in less precision; what is too large for it is infinite."""
    with np.errstate(over="ignore"):
        return values.astype(less)


def is_written(values: Floats, less: Less = np.float32) -> bool:
    """Whether all of these doubles are decimals of less precision, and some of them are not exact in it.

    >>> [is_written(np.array(values)) for values in ([0.1, 0.3], [0.5, 3], [1 / 3], [16777217])]
    [True, False, False, False]
    """
    few = values[:: max(1, values.size // FEW)]  # most columns are told by these
    if (as_written(rounded(few, less)) != few).any():
        return False
    nearest = rounded(values, less)
    if not np.isfinite(nearest).all() or (nearest.astype(np.float64) == values).all():
        return False
    rest = ~_of_few_digits(values, few) if less is np.float32 else np.ones(values.shape, dtype=bool)
    return bool((as_written(nearest[rest]) == values[rest]).all())


def _of_few_digits(values: Floats, few: Floats) -> Bools:
    """Whether doubles are decimals of so few digits that every single keeps them; as many behind the point as `few` have."""
    places = next((at for at in range(SURE_DIGITS) if (np.rint(few * 10.0**at) / 10.0**at == few).all()), SURE_DIGITS)
    with np.errstate(over="ignore"):
        whole = np.rint(values * 10.0**places)
    return np.asarray((whole / 10.0**places == values) & (np.abs(whole) < 10.0**SURE_DIGITS))


def are_told_apart(values: Floats) -> bool:
    """Whether singles tell these distinct doubles apart, all of them well within the range of singles.

    Above the whole numbers that a single holds one by one it would lose whole ones, which are rather counts and codes.

    >>> [are_told_apart(np.array(values)) for values in ([1 / 3, 0.5], [1, 1 + 1e-9], [1 / 3, 1e9], [0.5, 3])]
    [True, False, False, False]
    """
    singles = rounded(values, np.float32)
    sizes = np.abs(values[values != 0])
    if values.size < 2 or (singles.astype(np.float64) == values).all() or sizes.max() > WHOLE or sizes.min() < TINY:  # noqa: PLR2004 - one value is known exactly
        return False
    return np.unique(singles).size == np.unique(values).size


def last_of(values: Floats, less: Less = np.float32) -> Floats:
    """Return the largest doubles that are the same value in less precision.

    >>> bound = last_of(np.array([0.1]))
    >>> np.float32(bound) == np.float32(0.1), np.float32(np.nextafter(bound, 1)) == np.float32(0.1)
    (array([ True]), array([False]))
    """
    nearest = rounded(values, less)
    above = np.nextafter(nearest, less(np.inf)).astype(np.float64)
    between = nearest.astype(np.float64) / 2 + above / 2
    return np.asarray(np.where(rounded(between, less) == nearest, between, np.nextafter(between, -np.inf)))


def last_before(values: Floats, less: Less = np.float32) -> Floats:
    """Return the largest doubles that are a smaller value in less precision."""
    below = np.nextafter(rounded(values, less), less(-np.inf))
    return last_of(below.astype(np.float64), less)


def precision_of(edges: Floats) -> Less | None:
    """Return the precision of which every edge is the last double of some value; None where they are doubles' own.

    >>> edges = np.array([0.1, 0.3])
    >>> precision_of(edges), precision_of(last_of(edges)), precision_of(last_of(edges, np.float16))
    (None, <class 'numpy.float32'>, <class 'numpy.float16'>)
    """
    above = np.nextafter(edges, np.inf)
    kinds: tuple[Less, ...] = (np.float32, np.float16)
    for less in kinds if edges.size else ():
        if (rounded(edges, less) != rounded(above, less)).all():
            return less
    return None
