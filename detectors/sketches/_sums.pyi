import numpy as np
from numpy.typing import NDArray

from detectors.features import Bools, Floats, Ints

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
def moments(counts: Ints, starts: Ints, widths: Ints, places: Floats, sums: Floats, /) -> bool: ...
def pearson(window: Ints, reference: Ints, starts: Ints, sums: Floats, dof: Ints, /) -> bool: ...
def runs(counts: Ints, starts: Ints, sums: Ints, /) -> bool: ...
def shares(window: Ints, reference: Ints, starts: Ints, ratios: Floats, apart: Floats, expected: Floats, /) -> bool: ...
