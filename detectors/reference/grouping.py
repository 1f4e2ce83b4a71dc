"""The column of what a reference's rows come together in, and what is done where too few rows say it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from detectors.columns import Coded, Column
from detectors.precision import as_written
from detectors.sketches.groups import enough
from detectors.sketches.identity import hashes_of
from detectors.sketches.ids import Hashes

Few = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class GroupColumn:
    """Where a reference's rows have their groups: the column `name`.

    `hashed`: it holds hashes already, uint64, 0 for none, as events bring them; the numbers of a table never are.
    `few` hears how many of how many rows say their group, where that is fewer than one in ten and rows are taken for
    independent; without it such a column is refused.
    """

    name: str
    hashed: bool = False
    few: Few | None = None

    def hashes(self, column: Column | None, rows: int) -> Hashes:
        """Return the hash of each row's group, 0 where it has none."""
        if self.hashed and column is not None:
            return np.asarray(column, dtype=np.uint64)
        return groups_of(column, rows)

    def enough(self, said: int, rows: int) -> bool:
        """Return whether so many of all rows say their group that it is learnt from. Raises ValueError where nobody hears that not."""
        if enough(said, rows):
            return True
        if self.few is None:
            raise ValueError(
                f"group {self.name}: {said:,} of {rows:,} rows say what they belong to, fewer than one in ten"
            )
        self.few(said, rows)
        return False


def groups_of(column: Column | None, rows: int) -> Hashes:
    """Return which rows of a table come together, as hashes, 0 where one says nothing; 7, 7.0 and the text "7" are one group."""
    if not isinstance(column, np.ndarray) or column.dtype.kind not in "biuf":
        return hashes_of(column, rows)
    values, places = np.unique(column, return_inverse=True)
    plain = as_written(values) if values.dtype.kind == "f" else values
    return hashes_of(Coded(tuple(plain.tolist()), places), rows)
