"""Whether the partitions can be reached: where a leader is silent event time stands, and that is an incident of the stream.

It is told in processing time, for event time stands still; nothing of what events say depends on it.
"""

from collections.abc import Mapping, Sequence

from detectors import Sketch
from detectors.charts import IncidentKind
from monitor.alerting.alerts import Span
from monitor.alerting.budget import BY_REACHABILITY
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import REACHABILITY_RULE
from monitor.facts import Fact, WindowSpan
from monitor.series.alerts import Teller
from monitor.series.evidence import integers
from monitor.series.incident import IncidentAlert, incident_row, restore_row
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.stream.events import HOUR, SECOND, Nanos, Partition, SeriesKey


class Reachability(Operator[Sketch]):
    """The incident of partitions whose leaders are silent, as one series has it."""

    name = REACHABILITY_RULE
    kinds = (REACHABILITY_RULE,)

    def __init__(self, key: SeriesKey, reference: str) -> None:
        self.alert = IncidentAlert(
            Teller(key, BY_REACHABILITY, reference, 0, kind=IncidentKind.SERVICE), (), apart=HOUR
        )
        self._moved = True

    def on_silence(self, silent: Mapping[Partition, Nanos], now: Nanos) -> list[Fact]:
        """Take the partitions that nobody answers for now, each since when."""
        incident = self.alert.incident
        if not silent and not incident.state.alerts:
            return []
        known = {name: alert.since for name, alert in incident.state.alerts.items()}
        since = {str(place): known.get(str(place)) or at for place, at in silent.items()}
        span = Span(min(since.values(), default=now), now)
        found = [unreachable(name, at, now) for name, at in sorted(since.items(), key=lambda each: (each[1], each[0]))]
        episodes = incident.follow(since, found, span)
        self._moved = True
        return [*self.alert.told(episodes, WindowSpan(span.start, span.end, 0))]

    def current(self) -> list[Fact]:
        """The incident, unless it is inactive."""
        return [*self.alert.current()]

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Entry]:
        """The incident, if it changed."""
        moved, self._moved = self._moved, False
        return self.snapshot() if moved else []

    def snapshot(self) -> list[Entry]:
        """A row of the incident."""
        return [incident_row(REACHABILITY_RULE, self.alert)]

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up the incident; another reference leaves it as it is."""
        del alike
        for entry in entries:
            restore_row(entry, self.alert)
        return []


def unreachable(name: str, since: Nanos, now: Nanos) -> Evidence:
    """What speaks for it: how long its leader has been silent, in seconds."""
    seconds = max(0, now - since) / SECOND
    return Evidence(
        feature=name,
        detector=REACHABILITY_RULE,
        score=seconds,
        threshold=BY_REACHABILITY.fire_above,
        pvalue=None,
        rows=0,
        chart=REACHABILITY_RULE,
        since=since,
        effect=seconds,
        severity=BY_REACHABILITY.severity,
        counts=integers(since // SECOND),
    )
