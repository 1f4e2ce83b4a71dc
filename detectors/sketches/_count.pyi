from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.features import Codes, Floats, Ints

class Counter:
    def __new__(cls, edges: tuple[Floats, ...], firsts: Ints, codes: Ints, size: int, /) -> Self: ...
    def count(self, numeric: object, codes: object, counts: object, places: object, /) -> bool: ...

def place(
    edges: Floats, values: Floats, scale: float, bases: Floats, counts: Ints, sums: Floats, cells: Codes, /
) -> bool: ...
def tally(cells: Codes, merged: Ints, window: Ints, slots: Ints, counts: NDArray[np.uint32], /) -> bool: ...
