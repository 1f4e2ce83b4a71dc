from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.features import Bools, Codes, Floats, Ints

def distances(
    counts: Ints,
    starts: Ints,
    widths: Ints,
    rows: Floats,
    upto: NDArray[np.int32 | np.int64],
    single: Bools,
    behind: Floats,
    most: Floats,
    values: Floats,
    upper: Floats,
    /,
) -> bool: ...
def edges(
    counts: Ints,
    starts: Ints,
    widths: Ints,
    rows: Floats,
    upto: NDArray[np.int32 | np.int64],
    behind: Floats,
    values: Floats,
    /,
) -> bool: ...
def errors(
    rows: Ints, shifts: Floats, known: Bools, constant: Bools, limits: Floats, errors: Floats, usable: Bools, /
) -> bool: ...
def fade(
    usable: Ints, most: Ints, varies: Bools, seen: Ints, varied: Ints, recent: Floats, memory: Floats, /
) -> bool: ...
def add(counts: Ints, part: NDArray[Any], /) -> bool: ...
def fullest(counts: Ints, bounds: Ints, most: Ints, /) -> bool: ...
def missing(counts: Ints, bounds: Ints, missing: Ints, /) -> bool: ...
def moments(counts: Ints, starts: Ints, widths: Ints, places: Floats, sums: Floats, /) -> bool: ...
def pearson(window: Ints, reference: Ints, starts: Ints, sums: Floats, dof: Ints, /) -> bool: ...
def runs(counts: Ints, starts: Ints, sums: Ints, /) -> bool: ...
def nearest(values: Floats, known: Bools, bounds: Floats, places: Ints, near: Floats, /) -> bool: ...
def subtract(counts: Ints, part: NDArray[Any], /) -> bool: ...
def shifts(
    counts: Ints, starts: Ints, widths: Ints, places: Floats, rows: Ints, zero: Floats, shifts: Floats, /
) -> bool: ...
def unvaried(
    numeric: Floats, codes: Codes, columns: Ints, unseen: Ints, values: Floats, kept: Bools, /
) -> bool: ...
def shares(window: Ints, reference: Ints, starts: Ints, ratios: Floats, apart: Floats, expected: Floats, /) -> bool: ...
