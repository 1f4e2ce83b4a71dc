"""How the requests of a reference were served, and how windows of it differ in that: latencies and failures as columns of a profile.

A latency is the logarithm, of base 2, of the middle of its bin (sketches/served.py), so that a table and live counts give the same
numbers. A failure is a value that is missing: its rate is calibrated as such rates are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from detectors.columns import Column, as_columns, as_written_floats, distinct
from detectors.features import Bools, Floats
from detectors.sketches.served import BOUNDS, UNKNOWN, Served, ServedCounts, bins_of
from detectors.spellings import TRUTH

LATENCY, ERROR = "__latency__", "__error__"
STATUS = 100, 500  # the first of a protocol such as HTTP, and the first that is a failure of the server
NO_FAILURES = ("", "0", *(word for word, flag in TRUTH.items() if flag == "0"), *map(str, range(*STATUS)))
BEYOND = 1.05  # times the last bound, of what took longer
MIDDLES: Floats = np.log2(
    np.concatenate([BOUNDS[:1], np.sqrt(BOUNDS[:-1] * BOUNDS[1:]), BOUNDS[-1:] * BEYOND])
)  # of each bin
RawChunk = Mapping[str, ArrayLike]


@dataclass(frozen=True, slots=True)
class ServedColumns:
    """The columns of a table that say how requests were served: `unit` of latencies in seconds, `fine` texts that are no failure."""

    latency: str | None = None
    unit: float = 1.0
    error: str | None = None
    fine: frozenset[str] = frozenset()

    @property
    def names(self) -> Sequence[str]:
        """Those that there are."""
        return [name for name in (self.latency, self.error) if name is not None]

    def without(self, chunks: Iterable[RawChunk]) -> Iterator[RawChunk]:
        """The chunks without these columns."""
        for chunk in chunks:
            yield {name: values for name, values in chunk.items() if name not in self.names}

    def profiled(self, chunks: Iterable[RawChunk], timestamp: str | None, heard: ServedCounts) -> Iterator[RawChunk]:
        """The chunks with what is profiled of these columns, and the times alone; `heard` counts. Raises ValueError for a column that is not there."""
        for chunk in chunks:
            for name in self.names:
                if name not in chunk:
                    raise ValueError(f"there is no column {name} of requests; there are {', '.join(chunk)}")
            columns = as_columns({name: chunk[name] for name in self.names})
            served = self._served(columns)
            heard.update(served)
            times = {} if timestamp is None or timestamp not in chunk else {timestamp: chunk[timestamp]}
            yield {**profiled(served, self), **times}

    def _served(self, columns: Mapping[str, Column]) -> Served:
        rows = next(iter(columns.values())).size
        served = np.full((rows, 2), UNKNOWN, dtype=np.int16)
        if self.latency is not None:
            served[:, 0] = bins_of(as_written_floats(columns[self.latency]) * self.unit)
        if self.error is not None:
            served[:, 1] = failures(columns[self.error], self.fine)
        return served


def as_columns_of(served: Served) -> dict[str, Floats]:
    """What was read of requests as columns of a table, seconds and 1 for a failure: `ServedColumns(LATENCY, 1.0, ERROR)` reads them the same."""
    seconds = np.where(served[:, 0] == UNKNOWN, np.nan, np.exp2(MIDDLES)[served[:, 0]])
    return {LATENCY: seconds, ERROR: (served[:, 1] == 1).astype(np.float64)}


def failures(column: Column, fine: frozenset[str] = frozenset()) -> Bools:
    """Which values say that a request failed: any but nothing, false, 0, a whole number from 100 to 499, and texts that are fine.

    >>> failures(as_columns({"error": [None, "", "timeout", "404", "503"]})["error"]).tolist()
    [False, False, True, False, True]
    """
    if isinstance(column, np.ndarray) and column.dtype.kind in "iufb":
        numbers = column.astype(np.float64)
        status = (numbers >= STATUS[0]) & (numbers < STATUS[1]) & (numbers == np.floor(numbers))
        return np.asarray(np.isfinite(numbers) & (numbers != 0) & ~status)
    texts, places = distinct(column)
    said = {*NO_FAILURES, *fine}
    failed: Bools = np.array([text is not None and text not in said for text in texts], dtype=np.bool_)
    return np.asarray(failed[places])


def profiled(served: Served, columns: ServedColumns) -> dict[str, Floats]:
    """What is profiled of requests, float64[n] by name."""
    found = {}
    if columns.latency is not None:
        found[LATENCY] = np.where(served[:, 0] == UNKNOWN, np.nan, MIDDLES[served[:, 0]])
    if columns.error is not None:
        found[ERROR] = np.where(served[:, 1] == 1, np.nan, 0.0)
    return found
