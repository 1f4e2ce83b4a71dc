"""What becomes of a topic's events, over the last minutes: counts by outcome that fade."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from monitor.facts import EventsCounted, Fact, RecordsSkipped
from monitor.stream.events import MINUTE, Nanos

SEEN = frozenset({EventsCounted, RecordsSkipped})
FADE: Nanos = 5 * MINUTE  # processing time in which what was counted fades


@dataclass(slots=True)
class TopicOutcomes:
    """Faded counts by outcome."""

    counts: dict[str, float] = field(default_factory=dict)
    at: Nanos = 0

    def add(self, outcome: str, count: int, now: Nanos) -> None:
        """Count these, and let the older ones fade."""
        self.counts = self.faded(now)
        self.counts[outcome] = self.counts.get(outcome, 0.0) + count
        self.at = now

    def faded(self, now: Nanos) -> dict[str, float]:
        """What is left of them by now."""
        left = max(0.0, 1.0 - max(0, now - self.at) / FADE)
        return {outcome: count * left for outcome, count in self.counts.items()}


class RecentOutcomes:
    """All topics."""

    def __init__(self) -> None:
        self._topics: defaultdict[str, TopicOutcomes] = defaultdict(TopicOutcomes)

    def see(self, facts: Iterable[Fact], now: Nanos) -> None:
        """Take what was counted."""
        for fact in [each for each in facts if type(each) in SEEN]:
            match fact:
                case EventsCounted(topic, outcome, count):
                    self._topics[topic].add(outcome, count, now)
                case RecordsSkipped(partition, first, last):
                    self._topics[partition.topic].add("rejected", last - first + 1, now)
                case _:
                    pass

    def counts(self, now: Nanos) -> Mapping[str, Mapping[str, float]]:
        """By topic and outcome."""
        return {topic: each.faded(now) for topic, each in self._topics.items()}
