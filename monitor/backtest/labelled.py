"""Which labels a backtest reads, and what it keeps of what they say."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from detectors.durations import show_duration
from monitor.backtest.result import JudgedAge
from monitor.facts import PerformanceJudged
from monitor.series.performance import PerformanceSpec
from monitor.series.series import SeriesSpec
from monitor.stream.events import Nanos

MOST = 500  # windows kept of each age; every second is let go once there are as many


def with_labels(specs: Iterable[SeriesSpec], topics: frozenset[str], *, inside: bool) -> Iterator[SeriesSpec]:
    """Series whose labels come from these topics, or stand inside their predictions; of the others nothing is joined."""
    for spec in specs:
        performance = spec.performance
        if performance is not None:
            read = replace(performance, topics=performance.topics & topics)
            performance = read if read.topics or inside else None
        yield replace(spec, performance=performance)


@dataclass(slots=True)
class Judgements:
    """The windows of a series whose performance was judged, by age, at most MOST of each, and what became of its labels."""

    windows: dict[Nanos, list[PerformanceJudged]] = field(default_factory=dict)
    counts: Counter[Nanos] = field(default_factory=Counter)
    steps: dict[Nanos, int] = field(default_factory=dict)  # one window in so many is kept
    labels: Counter[str] = field(default_factory=Counter)

    def take(self, fact: PerformanceJudged) -> None:
        """One more window."""
        kept, step = self.windows.setdefault(fact.age, []), self.steps.setdefault(fact.age, 1)
        if self.counts[fact.age] % step == 0:
            kept.append(fact)
        self.counts[fact.age] += 1
        if len(kept) == MOST:
            self.windows[fact.age], self.steps[fact.age] = kept[::2], 2 * step

    def by_age(self) -> tuple[JudgedAge, ...]:
        """As values, the earliest age first."""
        return tuple(JudgedAge(age, self.counts[age], tuple(self.windows[age])) for age in sorted(self.windows))

    def hint(self, spec: PerformanceSpec | None) -> str:
        """That no window was judged, where labels were read; else empty."""
        if spec is None or self.windows:
            return ""
        return f"no window is {show_duration(spec.ages[0])} old when the record ends: its performance is not judged (labels.wait, judge_at)"
