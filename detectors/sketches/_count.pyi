from typing import Self

from detectors.features import Floats, Ints

class Counter:
    def __new__(cls, edges: tuple[Floats, ...], firsts: Ints, codes: Ints, size: int, /) -> Self: ...
    def count(self, numeric: object, codes: object, counts: object, /) -> bool: ...
