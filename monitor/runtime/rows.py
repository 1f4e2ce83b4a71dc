"""Whether windows usually hold as many rows as scores need: said when that changes."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from monitor.facts import Fact, FewRows, WindowClosed
from monitor.series.series import SeriesSpec
from monitor.stream.events import SeriesKey

USUAL = 24  # windows, whose mean is what is usual
FEWEST = 6  # from which on there is one
ENOUGH = 1.2  # times min_rows, from which on few rows are no longer: about the limit is one state, not many


@dataclass(slots=True)
class UsualRows:
    """The rows of the last windows of one series, and whether it was said that they are few."""

    spec: SeriesSpec
    few: bool = False
    rows: deque[int] = field(default_factory=lambda: deque(maxlen=USUAL))

    @property
    def usual(self) -> float | None:
        """How many are usual, as windows have shown; None before some have."""
        return sum(self.rows) / len(self.rows) if len(self.rows) >= FEWEST else None

    def judge(self, usual: float | None) -> list[Fact]:
        """Say whether so many are few, where that is another than was said."""
        if usual is None:
            return []
        least, length = self.spec.judging.min_rows, self.spec.windows.length
        limit = ENOUGH * least if self.few else least
        if (few := 0 < usual < limit) == self.few:
            return []
        self.few = few
        return [FewRows(self.spec.key, usual, length, least, few=few)]


class RowsWatch:
    """Watches the rows of the windows of all series."""

    def __init__(self, specs: Iterable[SeriesSpec]) -> None:
        self._series: dict[SeriesKey, UsualRows] = {spec.key: UsualRows(spec) for spec in specs}

    def renew(self, specs: Iterable[SeriesSpec]) -> None:
        """Watch these from now on; what is known of those that stay goes on, and is not said again."""
        before = self._series
        self._series = {spec.key: replace(before.get(spec.key, UsualRows(spec)), spec=spec) for spec in specs}

    def begin(self, restored: Iterable[Fact]) -> list[Fact]:
        """What the windows of a saved state say, or references beforehand, of those that know how many rows are usual."""
        list(self._take(restored))
        return [
            fact
            for series in self._series.values()
            for fact in series.judge(series.spec.judging.usual_rows if series.usual is None else series.usual)
        ]

    def see(self, facts: Iterable[Fact]) -> list[Fact]:
        """Say of which series windows have come to hold too few rows, or enough."""
        return [fact for series in self._take(facts) for fact in series.judge(series.usual)]

    def _take(self, facts: Iterable[Fact]) -> Iterator[UsualRows]:
        """Take the windows that closed, one by one; whose each is."""
        for fact in facts:
            if isinstance(fact, WindowClosed):
                self._series[fact.key].rows.append(fact.rows)
                yield self._series[fact.key]
