"""Whether a model gets events at all: a pause longer than its own is an incident of the stream.

Empty windows are not judged, so a model that nobody asks any more has no verdict. Its clock is event time: what other models bring moves
it on; where every partition is at its end and idle, it goes on as processing time does. What is too long:

- three windows and the lateness, and 20 times the mean distance of rows, where the reference knows their rate;
- half as long again as the second longest pause of the last 28 days: nights are its own once they have come twice, one outage is not;
- at these hours of the week, half as long again as a pause of the same hours that has come once: a weekend;
- as long as it has been watched for less than a week, three days, which a weekend is not. Six hours and two windows where the reference
  has a week of windows of its own, and half as long again as all that these leave out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from detectors import Reference, Sketch
from detectors.charts import IncidentKind
from monitor.alerting.alerts import Span
from monitor.alerting.budget import BY_NO_DATA
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import NO_DATA_RULE
from monitor.facts import Fact, WindowSpan
from monitor.series.alerts import Teller
from monitor.series.evidence import integers
from monitor.series.incident import IncidentAlert, incident_row, restore_row
from monitor.series.judging import Judging
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.stream.events import DAY, HOUR, SECOND, Nanos, SeriesKey
from monitor.stream.windows import SealedPane, WindowSpec

EVENTS = "__events__"  # what the incident is of
PAUSES = "pauses"  # kind of the row of what is its own
KEPT, MONTH, WEEK = 8, 28 * DAY, 7 * DAY  # pauses kept, and for how long they count
UNWATCHED, WEEKEND = 6 * HOUR, 3 * DAY
MEAN_DISTANCES = 20  # of independent arrivals, one pause in e²⁰ is longer
LONGER = 1.5  # times its own pause


@dataclass(slots=True)
class Pauses:
    """When its panes began and last ended, and its longest pauses with their ends."""

    begun: Nanos | None = None
    last: Nanos | None = None
    longest: list[tuple[Nanos, Nanos]] = field(default_factory=list)

    def take(self, start: Nanos, end: Nanos) -> None:
        """Take a pane that begins here, and the pause before it."""
        if self.last is not None and start > self.last:
            recent = [pause for pause in self.longest if start - pause[0] < MONTH]
            self.longest = sorted([*recent, (start, start - self.last)], key=lambda pause: -pause[1])[:KEPT]
        self.begun, self.last = start if self.begun is None else self.begun, end

    def own(self, at: Nanos) -> Nanos:
        """The pause that it has made twice."""
        lengths = sorted((length for end, length in self.longest if at - end < MONTH), reverse=True)
        return lengths[1] if len(lengths) > 1 else 0

    def of_the_week(self, last: Nanos) -> Nanos:
        """How long one may be that begins here, by those that came at the same hours of the weeks before."""
        most = 0
        for end, length in self.longest:
            again = end + -(-(last - end) // WEEK) * WEEK  # when it would end next
            begins_here = again - length <= last + (LONGER - 1) * length
            if begins_here and again - end <= MONTH:
                most = max(most, again - last + round((LONGER - 1) * length))
        return most


class NoData(Operator[Sketch]):
    """The incident of a model without events."""

    name = NO_DATA_RULE
    kinds = (NO_DATA_RULE, PAUSES)

    def __init__(self, key: SeriesKey, windows: WindowSpec, judging: Judging) -> None:
        reference = judging.reference
        self.alert = IncidentAlert(
            Teller(key, BY_NO_DATA, reference.hash, 0, kind=IncidentKind.SERVICE), {EVENTS}, apart=HOUR
        )
        self.pauses = Pauses()
        rate = reference.rows_per_second
        self._least = max(
            3 * windows.length + windows.lateness, 0 if not rate else round(MEAN_DISTANCES * SECOND / rate)
        )
        self._unwatched = max(self._least, _unwatched(reference) + 2 * windows.length)
        self._changed = self._moved = True  # pauses; the incident

    def limit(self, last: Nanos) -> Nanos:
        """How long it may be without an event after this one."""
        pauses = self.pauses
        watched = pauses.begun is not None and last - pauses.begun >= WEEK
        own = max(round(LONGER * pauses.own(last)), pauses.of_the_week(last))
        return max(self._least if watched else self._unwatched, own)

    def on_time(self, clock: Nanos, newest: Nanos | None) -> list[Fact]:
        """Take how far time has come, and the end of the newest pane, sealed or not."""
        last = self.pauses.last if newest is None else max(newest, self.pauses.last or newest)
        if last is None or self.alert.incident.state.alerts or clock - last <= (limit := self.limit(last)):
            return []
        return self._open(last, limit)

    def on_pane(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Take a sealed pane: there are events again. A pause that nobody has looked at meanwhile is told all the same."""
        last, facts = self.pauses.last, list[Fact]()
        opened = bool(self.alert.incident.state.alerts)
        if last is not None and not opened and pane.start - last > (limit := self.limit(last)):
            facts += self._open(last, limit)
            opened = True
        if opened:
            facts += self._follow([], Span(pane.start, pane.end), pane.sketch.rows)
        self.pauses.take(pane.start, pane.end)
        self._changed = True
        return facts

    def _open(self, last: Nanos, limit: Nanos) -> list[Fact]:
        found = Evidence(
            feature=EVENTS,
            detector=NO_DATA_RULE,
            score=limit / SECOND,
            threshold=limit / SECOND,
            pvalue=None,
            rows=0,
            chart=NO_DATA_RULE,
            since=last,
            severity=BY_NO_DATA.severity,
            counts=integers(last // SECOND, limit // SECOND),
        )
        return self._follow([found], Span(last, last + limit), 0)

    def _follow(self, found: Sequence[Evidence], span: Span, rows: int) -> list[Fact]:
        self._moved = True
        episodes = self.alert.incident.follow({each.feature: each.since or span.end for each in found}, found, span)
        return [*self.alert.told(episodes, WindowSpan(span.start, span.end, rows))]

    def current(self) -> list[Fact]:
        """The incident, unless it is inactive."""
        return [*self.alert.current()]

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Entry]:
        """The pauses and the incident, if they changed."""
        pauses = [self._pauses()] if self._changed else []
        incident = [incident_row(NO_DATA_RULE, self.alert)] if self._moved else []
        self._changed = self._moved = False
        return [*pauses, *incident]

    def snapshot(self) -> list[Entry]:
        """A row of each."""
        return [self._pauses(), incident_row(NO_DATA_RULE, self.alert)]

    def _pauses(self) -> Entry:
        return Entry(PAUSES, msgspec.json.encode(self.pauses))

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up both: another reference does not change when events come."""
        del alike
        for entry in entries:
            if entry.kind == NO_DATA_RULE:
                restore_row(entry, self.alert)
            else:
                self.pauses = msgspec.json.decode(entry.held, type=Pauses)
        return []


def _unwatched(reference: Reference) -> Nanos:
    """How long the first pauses may be: what a week of the reference's windows leaves out may be one of them."""
    calibration = reference.calibration
    if calibration is None or calibration.span_ns < WEEK:
        return WEEKEND
    left_out = calibration.span_ns - calibration.windows * calibration.window_ns
    return int(min(max(UNWATCHED, round(LONGER * left_out)), WEEKEND))
