"""Whether a model gets events at all: a pause longer than its own is an incident of the stream.

Empty windows are not judged, so a model that nobody asks any more has no verdict. Its clock is event time: what other models bring moves
it on; where every partition is at its end and idle, it goes on as processing time does. What is too long:

- three windows and the lateness, and 20 times the mean distance of rows, where the reference knows their rate;
- what panes that come at random leave out but once in a million pauses, unless they come by the clock (`Comings`);
- half as long again as the second longest pause of the last 28 days: nights are its own once they have come twice, one outage is not; nor
  is a pause that lasts longer than what came before it, as between the runs of a job, once it has come;
- at these hours of the week, half as long again as a pause of the same hours that has come once: a weekend;
- as long as it has been watched for less than a week, three days, which a weekend is not. Six hours and two windows where the reference
  has a week of windows of its own, and half as long again as all that these leave out.

A pause that is longer than all that is known of the model is a warning. While leaders are silent nobody's pause goes on:
`reachability` tells of that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from detectors import Reference, Sketch
from detectors.charts import IncidentKind
from monitor.alerting.alerts import Span
from monitor.alerting.budget import BY_NO_DATA
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import NO_DATA_RULE, Severity
from monitor.facts import Fact, WindowSpan
from monitor.series.alerts import Teller
from monitor.series.evidence import integers
from monitor.series.incident import IncidentAlert, incident_row, restore_row
from monitor.series.judging import Judging
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.series.spells import LONGER, WEEK, Comings, Spell, own, recurring, with_another
from monitor.stream.events import DAY, HOUR, SECOND, Nanos, Partition, SeriesKey
from monitor.stream.windows import SealedPane, WindowSpec

EVENTS = "__events__"  # what the incident is of
PAUSES = "pauses"  # kind of the row of what is its own
UNWATCHED, WEEKEND = 6 * HOUR, 3 * DAY
MEAN_DISTANCES = 20  # of independent arrivals, one pause in e²⁰ is longer
UNANSWERED = 8  # times of silent leaders that are kept
SLOWLY = 20  # panes in which two thirds of a change are taken


@dataclass(slots=True)
class Pauses:
    """When its panes began and last ended, its longest pauses, how panes come; and when leaders were silent, from and until, the last at the end."""

    begun: Nanos | None = None
    last: Nanos | None = None
    longest: list[Spell] = field(default_factory=list)
    comings: Comings = field(default_factory=Comings)
    unanswered: list[tuple[Nanos, Nanos]] = field(default_factory=list)
    silent: bool = False
    each: float = 1.0  # how many requests a row stands for, where the log holds a sample

    def take(self, start: Nanos, end: Nanos, limit: Nanos) -> None:
        """Take a pane that begins here, and the pause before it: of one that pages no more than its limit is how panes come."""
        if self.last == start:  # as nearly always
            self.comings.take(start, 0.0, end - start)
            self.last = end
            return
        pause = 0 if self.last is None else self.length(self.last, start)
        most = min(pause, limit) if self.last is not None and self.watched(self.last) >= limit else pause
        if pause > 0:
            self.longest = with_another(self.longest, (start, pause))
        self.comings.take(start, most / (end - start), end - start)
        self.begun, self.last = start if self.begun is None else self.begun, end

    def weigh(self, each: float) -> None:
        """Take how many requests a row of a pane stands for: more at once, fewer slowly, for one error that is logged whole is no other log."""
        self.each = max(each, self.each + (each - self.each) / SLOWLY)

    def hear(self, silent: Nanos | None, now: Nanos) -> None:
        """Take since when leaders are silent, None: they are not."""
        since = silent if silent is not None else now
        if self.unanswered and (self.silent or since <= self.unanswered[-1][1]):
            since = min(since, self.unanswered.pop()[0])
        if self.silent or silent is not None:
            self.unanswered = [*self.unanswered, (since, now)][-UNANSWERED:]
        self.silent = silent is not None

    def length(self, since: Nanos, until: Nanos) -> Nanos:
        """How long a pause is, without the time in which leaders were silent."""
        if since == until or not self.unanswered:
            return until - since
        unanswered = (min(end, until) - max(begin, since) for begin, end in self.unanswered)
        return until - since - sum(each for each in unanswered if each > 0)

    def own(self, last: Nanos) -> Nanos:
        """The pause that is its own here, and half as long again."""
        begun = last if self.begun is None else self.begun
        return max(round(LONGER * own(self.longest, begun, last)), recurring(self.longest, last, WEEK))

    def watched(self, last: Nanos) -> Nanos:
        """For how long it is known."""
        return 0 if self.begun is None else last - self.begun


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
        self._pane = windows.slide
        self._least = 3 * windows.length + windows.lateness
        self._apart = MEAN_DISTANCES * SECOND / rate if rate else 0.0  # of requests, logged or not
        self._unwatched = _unwatched(reference) + 2 * windows.length
        self._changed = self._moved = True  # pauses; the incident
        self.others: Callable[[], Nanos | None] = lambda: (
            None
        )  # the end of the newest pane of its model's other versions

    def limit(self, last: Nanos) -> Nanos:
        """How long it may be without an event after this one."""
        pauses, pane = self.pauses, self._pane
        least = max(self._least, round(self._apart * pauses.each))
        usual = least if pauses.watched(last) >= WEEK else max(least, self._unwatched)
        return max(usual, pauses.own(last), round(pauses.comings.by_chance(pane) * pane))

    def on_silence(self, silent: Mapping[Partition, Nanos], now: Nanos) -> list[Fact]:
        """Take the partitions whose leaders are silent: nobody hears of anybody's events."""
        if silent or self.pauses.silent:
            self.pauses.hear(min(silent.values(), default=None), now)
            self._changed = True
        return []

    def on_time(self, clock: Nanos, newest: Nanos | None) -> list[Fact]:
        """Take how far time has come, and the end of the newest pane, sealed or not."""
        last = self.pauses.last if newest is None else max(newest, self.pauses.last or newest)
        if last is None:
            return []
        others = self.others()
        if self.alert.state.alerts:
            elsewhere = others is not None and others > last
            return self._follow([], Span(last, max(last, others or last)), 0) if elsewhere else []
        last = last if others is None else max(last, others)  # who asks another version asks the model
        pause = self.pauses.length(last, clock)
        if pause <= self._least:  # as nearly always: no limit is less
            return []
        limit = self.limit(last)
        return self._open(last, limit) if pause > limit else []

    def on_pane(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Take a sealed pane: there are events again. A pause that nobody has looked at meanwhile is told all the same."""
        last, facts, sketch = self.pauses.last, list[Fact](), pane.sketch
        if last is not None and last != pane.start and (others := self.others()) is not None:
            last = max(last, min(others, pane.start))
        limit = 0 if last is None or pane.start == last else self.limit(last)
        if limit and last is not None and self.pauses.length(last, pane.start) > limit and not self.alert.state.alerts:
            facts += self._open(last, limit)
        if self.alert.state.alerts:
            facts += self._follow([], Span(pane.start, pane.end), sketch.rows)
        self.pauses.take(pane.start, pane.end, limit)
        if sketch.violations is not None or not sketch.rows:
            self.pauses.weigh(sketch.volume / max(sketch.arrived, 1))
        elif self.pauses.each != 1.0:
            self.pauses.weigh(1.0)
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
            severity=BY_NO_DATA.severity if self.pauses.watched(last) >= limit else Severity.WARNING,
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
