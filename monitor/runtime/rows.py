"""Whether windows usually hold as many rows as scores need: said when that changes."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

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

    def judge(self, usual: float) -> list[Fact]:
        """Say whether so many are few, where that is another than was said."""
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

    def begin(self) -> list[Fact]:
        """What references say beforehand, of those that know how many rows are usual."""
        each = ((series, series.spec.judging.usual_rows) for series in self._series.values())
        return [fact for series, usual in each if usual is not None for fact in series.judge(usual)]

    def see(self, facts: Iterable[Fact]) -> list[Fact]:
        """Say of which series windows have come to hold too few rows, or enough."""
        said: list[Fact] = []
        for fact in facts:
            if isinstance(fact, WindowClosed):
                series = self._series[fact.key]
                series.rows.append(fact.rows)
                if len(series.rows) >= FEWEST:
                    said += series.judge(sum(series.rows) / len(series.rows))
        return said
