"""The event times of a table: as those of messages, but a text may hold a plain number."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded, Column
from monitor.sources.formats.base import only_rows
from monitor.sources.formats.times import NOT_A_TIME, times_of
from monitor.sources.formats.values import LATEST_NANOS
from monitor.sources.tables.base import Chunk, TableError

TIME_REFUSED = {
    "timestamp_before_2000": "is before 2000; is --timestamp-unit right?",
    "timestamp_in_future": "is after 2262; is --timestamp-unit right?",
}


@dataclass(slots=True)
class TimeColumn:
    """The column of event times, every one of which must be valid; numbers are epochs in `unit` nanoseconds."""

    name: str
    unit: int
    absent: int = 0  # rows without a time

    def nanos(self, path: Path, chunk: Chunk) -> NDArray[np.datetime64]:
        """The times of a chunk, datetime64[ns], NaT where there is none. Raises TableError for a value that is no time."""
        column = chunk.get(self.name)
        if column is None:
            raise TableError(f"{path}: has no column {self.name}")
        rejected: Counter[str] = Counter()
        times = times_of(plain_times(column), self.unit, LATEST_NANOS - 1, rejected)
        self.absent += rejected.pop("timestamp_missing", 0)
        if rejected:
            raise TableError(f"{path}: {self.name}: {self._first_refused(column, times)}")
        return times.view("datetime64[ns]")

    def _first_refused(self, column: Column, times: NDArray[np.int64]) -> str:
        """The first value that is no valid time, and why."""
        for row in np.flatnonzero(times == NOT_A_TIME).tolist():
            only, rejected = only_rows(column, np.array([row])), Counter[str]()
            times_of(plain_times(only), self.unit, LATEST_NANOS - 1, rejected)
            (reason,) = rejected
            if reason != "timestamp_missing":
                return f"{_shown(only)} {TIME_REFUSED.get(reason, 'is no time')}"
        raise AssertionError(self.name)


def _shown(column: Column) -> str:
    if not isinstance(column, Coded) and column.dtype.kind == "M":
        return str(column.astype("datetime64[s]")[0])
    return repr(column.tolist()[0])[:40]


def plain_times(column: Column) -> Column:
    """Texts that are plain numbers as numbers, NaN as nothing, everything else as it is."""
    if isinstance(column, Coded):
        return Coded(tuple(map(as_number, column.values)), column.rows)
    if column.dtype.kind != "O":
        return column
    return np.fromiter(map(as_number, column), dtype=object, count=column.size)


def as_number(value: Any) -> Any:
    """Text that is a plain number as a number, NaN as None, everything else as it is."""
    if isinstance(value, str) and value.replace(".", "", 1).removeprefix("-").isdecimal():
        return float(value) if "." in value else int(value)
    return None if value != value else value  # noqa: PLR0124 - NaN
