"""Which labels a backtest reads, and what it keeps of what they say."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from detectors.durations import show_duration
from monitor.backtest.result import Estimates, JudgedAge
from monitor.explain.performance import no_positive_words
from monitor.facts import PerformanceEstimated, PerformanceJudged
from monitor.series.performance import PerformanceSpec
from monitor.series.series import SeriesSpec
from monitor.stream.events import Nanos

MANY_REJECTED = 0.01  # of the labels
MOST = 500  # windows kept of each age; every second is let go once there are as many
Window = TypeVar("Window", PerformanceJudged, PerformanceEstimated)


def with_labels(specs: Iterable[SeriesSpec], topics: frozenset[str], *, inside: bool) -> Iterator[SeriesSpec]:
    """Series whose labels come from these topics, or stand inside their predictions; of the others nothing is joined."""
    for spec in specs:
        performance = spec.performance
        if performance is not None:
            read = replace(performance, topics=performance.topics & topics)
            performance = read if read.topics or inside else None
        yield replace(spec, performance=performance)


@dataclass(slots=True)
class EveryFew(Generic[Window]):
    """Windows as they come, all until there are MOST; then every second is let go, again and again."""

    kept: list[Window] = field(default_factory=list)
    count: int = 0
    step: int = 1  # one window in so many is kept

    def take(self, window: Window) -> None:
        """One more window."""
        if self.count % self.step == 0:
            self.kept.append(window)
        self.count += 1
        if len(self.kept) == MOST:
            self.kept, self.step = self.kept[::2], 2 * self.step


@dataclass(slots=True)
class Judgements:
    """The windows of a series whose performance was judged, by age, those that were estimated, and what became of its labels."""

    windows: dict[Nanos, EveryFew[PerformanceJudged]] = field(default_factory=dict)
    estimates: EveryFew[PerformanceEstimated] = field(default_factory=EveryFew)
    labels: Counter[str] = field(default_factory=Counter)
    no_positive: str = ""  # that labels came, and none was the positive one, in words

    def take(self, fact: PerformanceJudged | PerformanceEstimated) -> None:
        """One more window."""
        if isinstance(fact, PerformanceEstimated):
            self.estimates.take(fact)
            return
        self.windows.setdefault(fact.age, EveryFew()).take(fact)
        if fact.labelled:
            self.no_positive = no_positive_words(fact)

    def by_age(self) -> tuple[JudgedAge, ...]:
        """As values, the earliest age first."""
        each = sorted(self.windows.items())
        return tuple(JudgedAge(age, windows.count, tuple(windows.kept)) for age, windows in each)

    def estimated(self) -> Estimates | None:
        """What was estimated; None: nothing, for the reference has no labels."""
        return Estimates(self.estimates.count, tuple(self.estimates.kept)) if self.estimates.count else None

    def hints(self, spec: PerformanceSpec | None) -> Iterator[str]:
        """That no window was judged, or none with a label, where labels were read."""
        if spec is None:
            return
        if not self.windows:
            age = show_duration(spec.ages[0])
            yield f"no window is {age} old when the record ends: its performance is not judged (labels.wait, judge_at)"
        elif not any(each.labelled for judged in self.windows.values() for each in judged.kept):
            yield f"{self._why_none()}: no window could be judged"
        elif self.no_positive:
            yield self.no_positive

    def _why_none(self) -> str:
        received, withdrawn = self.labels["received"], self.labels["withdrawn"]
        if withdrawn:
            return f"its labels are withdrawn, {withdrawn:,} of {received:,} where a prediction waits: nothing stands at fields.label"
        if received:
            return f"none of its {received:,} labels found a prediction (fields.id of both topics, labels.wait)"
        return "no label that could be used is of this model"


@dataclass(slots=True)
class LabelsRead:
    """What became of the messages of a topic of labels: by outcome, and of those that could not be used by reason."""

    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def hints(self, topic: str) -> Iterator[str]:
        """That many could not be used."""
        rejected, unmonitored, read = self.outcomes["rejected"], self.outcomes["unmonitored"], self.outcomes.total()
        if rejected > MANY_REJECTED * read:
            many = "none" if rejected == read else f"{rejected:,}"
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.most_common(3))
            could = "could" if rejected == read else "could not"
            yield f"{topic}: {many} of {read:,} labels {could} be used: {reasons}; `driftd explain --topic {topic}` shows why"
        if unmonitored > MANY_REJECTED * read:
            yield f"{topic}: {unmonitored:,} of {read:,} labels are of models that have none configured"
