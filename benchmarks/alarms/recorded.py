"""A recorded table as traffic: a reference of its first weeks, then window after window, with changes planted in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.alarms.traffic import HOUR, Pane
from detectors import Reference, Sketch
from detectors.features import Floats, Ints

Column = NDArray[Any]
Columns = Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class Edit:
    """What is done to a column from a time on: all rows get one value, or numbers are multiplied."""

    column: str
    becomes: object = None
    times: float = 1.0

    def made(self, values: np.ndarray) -> np.ndarray:
        """The column as it is afterwards."""
        if self.becomes is not None:
            return np.full(values.shape, self.becomes, dtype=values.dtype)
        return np.asarray(values * self.times)


@dataclass(frozen=True, eq=False)
class Recording:
    """Columns with event times, int64[n] rising nanoseconds; numbers are float64, texts objects."""

    columns: Columns
    times: Ints
    window_ns: int
    timezone: str | None = None  # whose hours people keep

    @classmethod
    def of(cls, columns: Columns, times: Ints, hours: float, timezone: str | None = None) -> "Recording":
        """Put in the order of time."""
        order = np.argsort(times, kind="stable")
        ordered = {name: column[order] for name, column in columns.items()}
        return cls(ordered, times[order], round(hours * HOUR), timezone)

    def between(self, first: int, last: int) -> "Recording":
        """The rows of [first, last)."""
        held = slice(*np.searchsorted(self.times, [first, last]).tolist())
        return replace(self, columns={name: one[held] for name, one in self.columns.items()}, times=self.times[held])

    def edited(self, since: int, edits: Sequence[Edit]) -> "Recording":
        """The same with changes from a time on."""
        late = self.times >= since
        columns = dict(self.columns)
        for one in edits:
            columns[one.column] = np.where(late, one.made(columns[one.column]), columns[one.column])
        return replace(self, columns=columns)

    def fit(self) -> Reference:
        """A reference as a user fits one."""
        return Reference.fit(
            dict(self.columns), timestamps=self.times, window_ns=self.window_ns, timezone=self.timezone
        )

    def panes(self, reference: Reference, first: int, last: int) -> Iterator[Pane]:
        """The windows of [first, last) that hold a row, as the daemon counts them: it seals no other."""
        numeric, codes = reference.encode(dict(self.columns))
        starts = np.arange(first // self.window_ns, -(-last // self.window_ns)) * self.window_ns
        ends = np.searchsorted(self.times, np.append(starts, starts[-1] + self.window_ns))
        means = self.means(starts, common(reference))
        for at, (start, begins, upto) in enumerate(
            zip(starts.tolist(), ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        ):
            if upto == begins:
                continue
            sketch = Sketch.empty(reference.layout)
            sketch.update(numeric[begins:upto], codes[begins:upto])
            yield Pane(start, sketch, means[at])

    def means(self, starts: Ints, commonest: Mapping[str, str]) -> Floats:
        """The mean of each number and the share of each text's commonest category, float64[w, f]."""
        window = np.searchsorted(starts, self.times, side="right") - 1
        inside = (window >= 0) & (self.times < starts[-1] + self.window_ns)
        found = np.full((starts.size, len(self.columns)), np.nan)
        for at, (name, column) in enumerate(self.columns.items()):
            values = (column == commonest[name]).astype(np.float64) if name in commonest else column
            held = inside & ~np.isnan(values)
            counts = np.bincount(window[held], minlength=starts.size)
            sums = np.bincount(window[held], weights=values[held], minlength=starts.size)
            np.divide(sums, counts, out=found[:, at], where=counts > 0)
        return found


def common(reference: Reference) -> dict[str, str]:
    """The commonest category of each text."""
    return {one.name: one.categories[0] for one in reference.layout.categorical}
