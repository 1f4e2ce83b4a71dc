"""What detectors ask of the counts of several windows, found for all of them at once: a call costs more than what it adds up."""

from collections.abc import Sequence

import numpy as np

from detectors.features import Bools, Counts, Ints
from detectors.sketches import sums
from detectors.sketches.sketch import Tally


class TallyStack:
    """Windows on one layout, at least one, whose counts must not change meanwhile. What is found has a row for each, [w, ...].

    `kept` [w, size] are their counts, as wide as the widest of them.

    >>> from detectors import Reference
    >>> reference = Reference.fit({"age": [1, 2, 3, None]})
    >>> tally = reference.sketch.tally()
    >>> TallyStack([tally, tally]).usable.tolist()
    [[3], [3]]
    """

    __slots__ = ("_usable", "each", "kept", "layout")

    def __init__(self, each: Sequence[Tally]) -> None:
        self.each = each
        self.layout = each[0].layout
        self._usable: Ints | None = None
        self.kept: Counts = np.concatenate([one.kept for one in each]).reshape(len(each), -1)

    @property
    def usable(self) -> Ints:
        """Rows with a value, int64[w, f]."""
        if self._usable is None:
            rows = np.array([one.rows for one in self.each])[:, None]
            self._usable = rows - sums.missing(self.layout, self.kept)
            for one, usable in zip(self.each, self._usable, strict=True):
                one.know(usable)
        return self._usable

    @property
    def most(self) -> Ints:
        """Rows in the fullest cell of values, int64[w, f]."""
        return sums.fullest(self.layout, self.kept)

    def enough(self, least: int) -> Bools:
        """Whether there are so many rows with a value, and one at least, bool[w, f]."""
        return np.asarray(self.usable >= max(1, least))
