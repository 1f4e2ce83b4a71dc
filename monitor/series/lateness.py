"""Whether events come in time: where many are too late to be counted, that is an incident of the stream.

What is decided follows from events alone: rows of sealed panes, and late events between them. So it is the same live, from a
backlog and in a backtest, as far as the same events are late.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from detectors import Sketch
from detectors.charts import IncidentKind
from monitor.alerting.alerts import Span
from monitor.alerting.budget import BY_LATENESS
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import LATENESS_RULE, Severity
from monitor.facts import Fact, WindowSpan
from monitor.series.alerts import Teller
from monitor.series.evidence import integers
from monitor.series.incident import IncidentAlert, incident_row, restore_row
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.stream.events import HOUR, MINUTE, Nanos, SeriesKey
from monitor.stream.windows import SealedPane

MANY, CALM = BY_LATENESS.fire_above, BY_LATENESS.clear_below  # shares of the events
MOST = 0.2  # share from which on it is critical: what is judged is no longer most of the traffic
FEW = 400  # events, below which a share says little: a fiftieth that is late would come to a twentieth by chance
SPAN: Nanos = 5 * MINUTE  # of event time, at least
COUNTS = "late_counts"  # kind of the row of what was counted


@dataclass(slots=True)
class SpanCounts:
    """What came since the last span was judged. `usual`: events of that one; `end`: of the last sealed pane."""

    begun: Nanos | None = None
    end: Nanos | None = None
    rows: int = 0
    late: dict[str, int] = field(default_factory=dict)  # by topic
    usual: int = 0

    @property
    def events(self) -> int:
        """Those counted in time and those too late."""
        return self.rows + self.too_late

    @property
    def too_late(self) -> int:
        """All late ones."""
        return sum(self.late.values())

    @property
    def whole(self) -> bool:
        """Whether it is long enough, and holds enough, to be judged."""
        return self.begun is not None and self.end is not None and self.end - self.begun >= SPAN and self.events >= FEW


class LateEvents(Operator[Sketch]):
    """The incident of late events of one series, judged in spans of whole panes.

    Where event time stands still, as while old events pour in, as many of them as the last span held events, and as came in
    time since, suffice; how many are told of is then what had come when they were looked at.
    """

    name = LATENESS_RULE
    kinds = (LATENESS_RULE, COUNTS)

    def __init__(self, key: SeriesKey, reference: str, interval: Nanos) -> None:
        self.alert = IncidentAlert(
            Teller(key, BY_LATENESS, reference, interval, kind=IncidentKind.SERVICE), (), apart=HOUR
        )
        self.counts = SpanCounts()
        self._changed = self._moved = True  # counts; the incident

    def on_late(self, late: Mapping[str, int], open_rows: int, sealed_until: Nanos) -> list[Fact]:
        """Take late events by topic, before panes are sealed. All may be, of one that came after event time had."""
        counts = self.counts
        counts.end = sealed_until if counts.end is None else counts.end
        for topic, rows in late.items():
            counts.late[topic] = counts.late.get(topic, 0) + rows
        self._changed = True
        in_time = counts.rows + open_rows
        if self.alert.incident.open or counts.too_late < max(FEW, counts.usual, in_time):
            return []
        return self._judge(in_time + counts.too_late)

    def on_pane(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Take a sealed pane, which may end a span."""
        counts, self._changed = self.counts, True
        counts.begun = pane.start if counts.begun is None else counts.begun
        counts.rows, counts.end = counts.rows + pane.sketch.arrived, pane.end
        if not counts.whole:
            return []
        facts = self._judge(counts.events)
        self.counts = SpanCounts(end=counts.end, usual=counts.events)
        return facts

    def _judge(self, events: int) -> list[Fact]:
        """Let the incident take what came, of so many events."""
        counts, incident = self.counts, self.alert.incident
        share, limit = counts.too_late / events, CALM if incident.open else MANY
        if share <= limit and not incident.state.alerts:
            return []
        assert counts.end is not None
        span = Span(counts.end if counts.begun is None else counts.begun, counts.end)
        found = self._evidence(events, span) if share > limit else []
        episodes = incident.follow({each.feature: each.since or span.end for each in found}, found, span)
        self._moved = True
        return [*self.alert.told(episodes, WindowSpan(span.start, span.end, events))]

    def _evidence(self, events: int, at: Span) -> list[Evidence]:
        """The topics that are late, the worst first; those beside it where they matter by themselves."""
        alerts, late = self.alert.state.alerts, self.counts.late
        worst, *others = sorted(late, key=lambda topic: (-late[topic], topic))
        known = {topic: alert.since for topic, alert in alerts.items()}
        return [
            Evidence(
                feature=topic,
                detector=LATENESS_RULE,
                score=late[topic] / events,
                threshold=MANY,
                pvalue=None,
                rows=events,
                chart=LATENESS_RULE,
                since=known.get(topic) or at.end,
                effect=late[topic] / events,
                severity=Severity.CRITICAL if late[topic] >= MOST * events else Severity.WARNING,
                counts=integers(late[topic], events),
            )
            for topic in (worst, *(other for other in others if late[other] > CALM * events))
        ]

    def current(self) -> list[Fact]:
        """The incident, unless it is inactive."""
        return [*self.alert.current()]

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Entry]:
        """The counts and the incident, if they changed."""
        counts = [self._counts()] if self._changed else []
        incident = [incident_row(LATENESS_RULE, self.alert)] if self._moved else []
        self._changed = self._moved = False
        return [*counts, *incident]

    def snapshot(self) -> list[Entry]:
        """A row of each."""
        return [self._counts(), incident_row(LATENESS_RULE, self.alert)]

    def _counts(self) -> Entry:
        return Entry(COUNTS, msgspec.json.encode(self.counts))

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up the incident; the counts where panes are those that they were."""
        for entry in entries:
            if entry.kind == LATENESS_RULE:
                restore_row(entry, self.alert)
            elif alike:
                self.counts = msgspec.json.decode(entry.held, type=SpanCounts)
        return []
