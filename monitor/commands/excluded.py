"""Spans of time that a reference is not to be learnt from."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from detectors.columns import Column
from detectors.features import Bools, Ints
from monitor.settings import ConfigError
from monitor.sources.formats.base import only_rows
from monitor.sources.formats.values import LATEST_NANOS, Rejected, parse_time
from monitor.sources.tables.files import Pieces
from monitor.stream.events import DAY, Nanos

NO_TIME = np.iinfo(np.int64).min  # how numpy stores NaT


@dataclass(frozen=True, slots=True)
class ExcludedSpan:
    """From `first` up to, without, `end`."""

    first: Nanos
    end: Nanos

    @classmethod
    def parse(cls, text: str) -> "ExcludedSpan":
        """`FROM..TO`, `FROM..`, `..TO` or one day; a day without a time of its own is all of it. Raises ConfigError."""
        first, dots, end = text.partition("..")
        if not (first or end):
            raise ConfigError(f"--exclude {text}: names no time")
        try:
            span = cls(
                parse_time(first) if first else -LATEST_NANOS,
                _end(end if dots else first) if end or not dots else LATEST_NANOS,
            )
        except Rejected:
            raise ConfigError(f"--exclude {text}: is no FROM..TO such as 2026-11-01..2026-11-03") from None
        if span.end <= span.first:
            raise ConfigError(f"--exclude {text}: ends before it begins")
        return span

    def holds(self, times: Ints) -> Bools:
        """Which of these times lie in it."""
        return np.asarray((times >= self.first) & (times < self.end))


def _end(text: str) -> Nanos:
    time = parse_time(text)
    return time + DAY if len(text.strip()) == len("2026-11-01") else time


@dataclass(slots=True)
class Exclusion:
    """Leaves rows of the spans out of a table, and counts them; a row without a time stays."""

    spans: Sequence[ExcludedSpan]
    time: str
    rows: int = 0

    def without(self, pieces: Iterable[Pieces]) -> Iterator[Pieces]:
        """The same chunks without these rows."""
        for chunk in pieces:
            kept = self._kept(chunk[self.time])
            self.rows += int(kept.size - np.count_nonzero(kept))
            yield chunk if kept.all() else {name: only_rows(column, kept) for name, column in chunk.items()}

    def _kept(self, column: Column) -> Bools:
        times = np.asarray(column).view(np.int64)
        kept = np.ones(times.size, dtype=np.bool_)
        for span in self.spans:
            kept &= ~span.holds(times) | (times == NO_TIME)
        return kept
