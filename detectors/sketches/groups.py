"""How rows come together: the sum of squared group sizes, by signed counts that add and subtract exactly.

Rows of one session, one user, one client share their values, so what a window knows depends on how many rows a group has. With
m the sizes, K = Σm² / Σm is the size of the group of a row drawn at random, from which Kish's design effect follows.
Σm² is the second frequency moment (Alon, Matias and Szegedy 1996): each group's hash gives it one of 512 places and a sign; every
row adds its sign there, and the squares of the places add up to Σm², unbiased, with a standard error of √(2 / 512), 6 %
(Thorup and Zhang 2004). A single group that holds most rows is exact but for the others, which a sample of groups would miss.
No hash is kept: ten bits of it are left, so a pane of a single group narrows down which it may be to one in a thousand.

N. Alon, Y. Matias and M. Szegedy, The space complexity of approximating the frequency moments, STOC (1996).
M. Thorup and Y. Zhang, Tabulation based 4-universal hashing with applications to second moment estimation, SODA (2004).
L. Kish, Survey Sampling (1965).
"""

import struct
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.features import Floats, Ints
from detectors.sketches.ids import Hashes

PLACES = 512
FEWEST = 10  # one row in so many must say its group, or nothing is known of them
HEAD = struct.Struct("<QB")  # rows with a group, bytes a place; then the places


def enough(said: int, rows: int) -> bool:
    """Return whether of so many rows enough say their group that something is known of them all."""
    return said * FEWEST >= max(rows, 1)


def spread(hashes: Hashes) -> tuple[Ints, Ints]:
    """Return the place of each row's group and its sign, int64[n] each; of a row without one it is 0."""
    signs = 1 - 2 * (hashes & np.uint64(1)).astype(np.int64)
    return ((hashes >> np.uint64(1)) % np.uint64(PLACES)).astype(np.int64), np.where(hashes > 0, signs, 0)


def together(sums: NDArray[np.integer[Any]], grouped: Ints, rows: Ints) -> Floats:
    """Return how many rows the group of a row drawn at random has, float64[k], NaN where none has any.

    `sums` int[k, 512] of `grouped` rows, int64[k] of `rows`. Rows that do not say their group are taken to be of the groups that
    others say, as many of each as there are: then all rows have 1 + (Σm² - g) n / g², g of n said. NaN where fewer than a tenth say it.
    """
    squares, said = np.square(sums.astype(np.float64)).sum(axis=1), np.maximum(grouped, 1)
    found = 1 + np.maximum(squares - grouped, 0.0) * rows / np.square(said, dtype=np.float64)
    return np.where(grouped * FEWEST >= np.maximum(rows, 1), found, np.nan)


class GroupSizes:
    """The groups of some rows: `rows` that have one, and what they add up to by place, int64[512].

    >>> sessions = GroupSizes()
    >>> sessions.update(np.array([7, 7, 7, 9, 0], dtype=np.uint64))  # of three rows, of one; the last row says none
    >>> sessions.together(4), sessions.together(5)  # (9 + 1) / 4, and as if a fifth row were as these
    (2.5, 2.875)
    """

    __slots__ = ("rows", "sums")

    def __init__(self, rows: int = 0, sums: NDArray[Any] | None = None) -> None:
        self.rows = rows
        self.sums: NDArray[Any] = np.zeros(PLACES, dtype=np.int64) if sums is None else sums

    def update(self, hashes: Hashes) -> None:
        """Take the groups of some rows; a row without one has 0."""
        places, signs = spread(hashes)
        self.sums = self.sums + np.bincount(places, signs, PLACES).astype(np.int64)
        self.rows += int(np.count_nonzero(signs))

    def together(self, rows: int) -> float:
        """Return how many of `rows` the group of a row drawn at random has; NaN where too few say theirs."""
        return float(together(self.sums[None], np.array([self.rows]), np.array([rows]))[0])

    def plus(self, other: "GroupSizes") -> "GroupSizes":
        """Return these and others."""
        return GroupSizes(self.rows + other.rows, np.add(self.sums, other.sums, dtype=np.int64))

    def less(self, other: "GroupSizes") -> "GroupSizes":
        """Return these without others that were added."""
        return GroupSizes(self.rows - other.rows, np.subtract(self.sums, other.sums, dtype=np.int64))

    def copy(self) -> "GroupSizes":
        """Return groups that no longer change with these."""
        return GroupSizes(self.rows, self.sums.astype(np.int64))

    def packed(self) -> "GroupSizes":
        """Return the same in the smallest integers that hold it, to be kept."""
        return GroupSizes(self.rows, self.sums.astype(f"<i{self._width}"))

    @property
    def _width(self) -> int:
        most = int(np.abs(self.sums).max())
        return next(width for width in (1, 2, 4, 8) if most < 1 << (8 * width - 1))

    def to_bytes(self) -> bytes:
        """Write them; `from_bytes` reads them."""
        return HEAD.pack(self.rows, self._width) + self.sums.astype(f"<i{self._width}").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes."""
        rows, width = HEAD.unpack_from(data) if len(data) > HEAD.size else (0, 0)
        if width not in {1, 2, 4, 8} or len(data) != HEAD.size + width * PLACES:
            raise ValueError(f"the groups should be {PLACES} sums")
        sums = np.frombuffer(data, f"<i{width}", PLACES, HEAD.size).astype(np.int64)
        if int(np.abs(sums).sum()) > rows or (int(sums.sum()) - rows) % 2:
            raise ValueError(f"the groups are damaged: they do not make {rows} rows")
        return cls(rows, sums)
