"""The share of late events a topic, over the last minutes: a share that matters is a state, with a cause."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from monitor.alerting.budget import BY_LATENESS
from monitor.explain.stream import late_cause
from monitor.facts import EventsCounted, Fact, LateShare
from monitor.stream.events import MINUTE, SECOND, Nanos, Partition

MANY, CALM = BY_LATENESS.fire_above, BY_LATENESS.clear_below  # a share about the limit is one state, not many
FEW = 100  # events, below which a share says nothing
FADE: Nanos = 5 * MINUTE  # processing time in which counts weigh a third (1/e) of new ones
SAY_EVERY: Nanos = 10 * SECOND
Behind = Callable[[], Mapping[Partition, Nanos]]


@dataclass(slots=True)
class TopicLateness:
    """Counts that fade. `many` stands from a share above 5 % until one below half of that."""

    events: float = 0.0
    late: float = 0.0
    at: Nanos = 0
    many: bool = False
    said_at: Nanos = 0

    @property
    def share(self) -> float | None:
        """Late events of all that are counted or late; None of too few."""
        return self.late / self.events if self.events >= FEW else None

    def add(self, events: int, late: int, now: Nanos) -> None:
        """Count these, and let the older ones fade."""
        left = max(0.0, 1.0 - max(0, now - self.at) / FADE)
        self.events, self.late, self.at = self.events * left + events, self.late * left + late, now

    def due(self, now: Nanos) -> bool:
        """Whether the share is to be said again, though it be the same state."""
        return abs(now - self.said_at) >= SAY_EVERY

    def judge(self) -> bool:
        """Whether the state changed."""
        many = (self.share or 0.0) > (CALM if self.many else MANY)
        changed, self.many = many != self.many, many
        return changed


class Lateness:
    """Watches what becomes of events."""

    def __init__(self) -> None:
        self._topics: dict[str, TopicLateness] = {}

    def see(self, facts: Iterable[Fact], behind: Behind, now: Nanos) -> list[Fact]:
        """Say where many events are late, and the share now and then; `behind` says how far each partition trails the watermark."""
        counted: dict[str, list[int]] = {}
        for fact in facts:
            if isinstance(fact, EventsCounted) and fact.outcome in {"ok", "excluded", "late"}:
                counts = counted.setdefault(fact.topic, [0, 0])
                counts[0] += fact.count
                counts[1] += fact.count if fact.outcome == "late" else 0
        for topic, (events, late) in counted.items():
            self._topics.setdefault(topic, TopicLateness(at=now)).add(events, late, now)
        quiet = [topic for topic, state in self._topics.items() if topic not in counted and state.due(now)]
        for topic in quiet:  # what was goes by, also where nothing comes any more
            self._topics[topic].add(0, 0, now)
        return [fact for topic in (*counted, *quiet) for fact in self._said(topic, behind, now)]

    def _said(self, topic: str, behind: Behind, now: Nanos) -> list[Fact]:
        state = self._topics[topic]
        if not (changed := state.judge()) and not state.due(now):
            return []
        state.said_at = now
        if state.events < 1:
            del self._topics[topic]
        return [LateShare(topic, state.share, many=state.many, changed=changed, cause=late_cause(topic, behind()))]
