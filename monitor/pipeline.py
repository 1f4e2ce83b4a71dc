"""The one owner of state: micro-batches in, facts out. Pure and single-threaded; time is an argument.

A batch is folded into the panes of its view and merged; event time moves on; views close what it has passed. What several
series share stays here: event time, retraining, the alerts resolved last.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from itertools import chain
from typing import Any

import msgspec

from monitor.alerting.alerts import Span
from monitor.alerting.decisions import Accept, Announce, Approve, Asked, Decision, Refusal, Reject, Trigger, Wish
from monitor.alerting.episodes import OPEN
from monitor.alerting.retraining import RetrainOutcome, RetrainPolicy
from monitor.alerting.runs import RunsReport
from monitor.alerting.versions import Announcement, ListedVersions, OfferedReference, VersionSource
from monitor.decided import Decided, features_of
from monitor.facts import (
    AlertChanged,
    AlertEscalated,
    AlertSeen,
    DecisionMade,
    DecisionRefused,
    Fact,
    FirstRowsCounted,
    OffsetSpan,
    PanesOpen,
    RegistryAnswered,
    RequestsStand,
    RetrainDecided,
    StateReset,
    WatermarkAdvanced,
)
from monitor.naming import STATE as NAMES
from monitor.naming import Names
from monitor.reporting.reports import STATE as REPORTS
from monitor.reporting.reports import ReportPlan, Reports
from monitor.reporting.tallies import HOURS, LISTS, Tallies
from monitor.retraining import KEPT, LISTED, Retraining
from monitor.retraining import STATE as RETRAINING
from monitor.series.alerts import without_counts
from monitor.series.deciding import forgotten
from monitor.series.halves import VIEW as HALVES
from monitor.series.halves import SeriesHalves
from monitor.series.older import todays
from monitor.series.performance import PERFORMANCE, Performance
from monitor.series.performance import STATE as JOINED
from monitor.series.records import Entry, Owner, Record, owned
from monitor.series.removed import ends_of_removed_rules, resets_of_removed_rules
from monitor.series.renewal import hear_others, take_over
from monitor.series.series import Series, SeriesSpec
from monitor.series.view import STATE, View
from monitor.stream.delta import NO_ROWS, Folder, PaneDelta, RowsHeld
from monitor.stream.events import FEATURES, MINUTE, EventBatch, MicroBatch, Nanos, Partition, SeriesKey
from monitor.stream.offsets import OffsetIndex
from monitor.stream.watermark import NOWHERE, Watermark, restore_watermark, saved_watermark
from monitor.stream.windows import WindowSpec
from monitor.versions import KINDS as OF_VERSIONS
from monitor.versions import Versions, announced

KEPT_RESOLVED = 100  # alerts, over all series
BEGINNING: Nanos = -(2**63)
OFFSETS = "offsets"  # kind of the rows of which records hold which event times
OWNED = frozenset({OFFSETS, RETRAINING, LISTED, HOURS, LISTS, REPORTS})  # kinds of rows of those that no series owns
DISPENSABLE = frozenset({HOURS, LISTS, "resolved"})  # kinds that are shown, decide nothing and fill again
SHARED = ("watermark", "labels", "resolved", "decisions", NAMES)  # kinds of records that belong to no series
ASKING = frozenset({AlertChanged, AlertEscalated})  # facts from which anything follows
TELLING = ASKING | {FirstRowsCounted}  # or after which anything is told


class Pipeline:
    """Ingests micro-batches, advances event time, and says what happened."""

    def __init__(
        self,
        specs: Iterable[SeriesSpec],
        idle_after: Nanos,
        max_future: Nanos = 0,
        label_topics: frozenset[str] = frozenset(),
        rehearsals: Sequence[Retraining] = (),
        reports: ReportPlan | None = None,
        versions: Versions | None = None,
        instance: str = "",
    ) -> None:
        self.series = {spec.key: Series(spec) for spec in specs}
        self.views = {(key, name): view for key, series in self.series.items() for name, view in series.views.items()}
        self.performance = {
            key: Performance(key, series.spec.performance)
            for key, series in self.series.items()
            if series.spec.performance is not None
        }
        self.halves = {key: SeriesHalves(key, each.spec.halves_spec) for key, each in self.series.items()}
        self.admit: Callable[[EventBatch], EventBatch] = lambda batch: batch
        """What is counted of requests that nobody answered: a record that is replayed may count some of them."""
        self._label_topics = label_topics
        self._labels = Watermark(idle_after)  # how far labels are read: features never wait for it
        self.most_ahead = max_future + usual_lead([series.spec.windows for series in self.series.values()], idle_after)
        self.watermark = Watermark(idle_after)
        self.folder = Folder({place: view.spec.windows.slide for place, view in self.views.items()})
        self.retraining = retraining_of([series.spec for series in self.series.values()])
        self._instance, self._names = instance, Names(instance)
        self.retraining.instance = instance
        self._rehearsals = rehearsals
        self.versions = Versions() if versions is None else versions
        self.offsets = OffsetIndex()
        self.resolved: deque[AlertChanged] = deque(maxlen=KEPT_RESOLVED)
        self.decided = Decided({key: features_of(series.spec) for key, series in self.series.items()}, self.retraining)
        timezone = None if reports is None else reports.schedule.timezone
        self.tallies = Tallies([each.spec for each in self.series.values()], timezone)
        self.reports = Reports(self.tallies, reports, instance)
        self._dirty: set[str] = set()
        self._came_at: Nanos | None = None  # processing time: the last events, or that we began
        self._read_at: Nanos | None = None  # processing time: the last turn
        self._looked_at: int | None = None  # minute of event time at which all views were looked at
        self._order = {view: number for number, view in enumerate(self.views.values())}
        self._changed: dict[View[Any], None] = {}  # since the last checkpoint
        self._late: dict[View[Any], None] = {}  # those to which late events came, not judged yet
        self._pending_panes = dict.fromkeys(self.series)  # whose number of panes was not said yet
        self._agenda: list[tuple[Nanos, int, View[Any]]] = []  # a heap: when the watermark next matters to a view
        for view in self.views.values():
            self._sleep(view)
        hear_others(self.series)

    # --- events in, facts out ---------------------------------------------------------------------------------

    def ingest(self, arrived: MicroBatch, now: Nanos) -> list[Fact]:
        """Fold a micro-batch into its panes. Event time moves on in `advance`, after all of it is counted."""
        self._count_silence(arrived, now)
        arrived, facts = self.whole(arrived)
        for batch in arrived.batches:
            facts += self._see(batch, now)
            for delta in self.folder.fold(batch):
                facts += self.merge(delta)
        for seen in arrived.versions:
            facts += self._see_version(Announcement(seen[0], seen[1], VersionSource.EVENTS, seen[2]), now)
        for key, told in arrived.schemas:
            view = self.views[key, FEATURES]
            facts += view.note_schema(told)
            self._changed[view] = None
        for rows in arrived.joins:
            facts += self.performance[rows.key].take(rows)
        if self._label_topics:
            self._show(self._labels, "labels", arrived.of(self._label_topics, others=False), now)
            arrived = arrived.of(self._label_topics, others=True)
        self._show(self.watermark, "watermark", arrived, now)
        return facts

    def whole(self, arrived: MicroBatch) -> tuple[MicroBatch, list[Fact]]:
        """A micro-batch with the events that its halves came to, and none of these; what became of them."""
        if not arrived.halves:
            return arrived, []
        batches, joins, facts = [*arrived.batches], [*arrived.joins], list[Fact]()
        for halves in arrived.halves:
            self.offsets.take(halves)
            joined = self.halves[halves.key].take(halves)
            batches += joined.batches
            joins += joined.joins
            facts += joined.facts
        return replace(arrived, batches=tuple(batches), joins=tuple(joins), halves=()), facts

    def _expire(self, watermark: Nanos) -> list[Fact]:
        """Give up the halves that have waited long enough; requests that count all the same are counted."""
        facts: list[Fact] = []
        for each in self.halves.values():
            expired = each.expire(watermark)
            facts += expired.facts
            for batch in expired.batches:
                for delta in self.folder.fold(self.admit(batch)):
                    facts += self.merge(delta)
        return facts

    def _see(self, batch: EventBatch, now: Nanos) -> list[Fact]:
        """Keep which records hold which event times, and which versions there are."""
        self.offsets.take(batch)
        return self._see_first(batch.key, batch.view, int(batch.event_times.min()), now) if len(batch) else []

    def _see_first(self, key: SeriesKey, view: str, first: Nanos, now: Nanos) -> list[Fact]:
        """The first events of a series are those of a version."""
        if self.views[key, view].windows.origin is not None:
            return []
        return self._see_version(Announcement(key.model, key.version, VersionSource.EVENTS, first), now)

    def _see_version(self, told: Announcement, now: Nanos) -> list[Fact]:
        """There is a version, by whoever says so: what is in flight ends, and it may get a series of its own."""
        by_others = told.source is not VersionSource.EVENTS
        (new, ended), *_ = [
            each.see_version(told.model, told.version, told.at, told.trained_at, told=by_others)
            for each in (self.retraining, *self._rehearsals)
        ]
        return [*ended, *self.versions.see(told, now, new=new or told.source is VersionSource.REQUEST)]

    def _announced(self, wish: Announce, now: Nanos) -> list[Fact]:
        """A version that somebody has told of."""
        at = now if self.watermark.value is None else self.watermark.value
        source = VersionSource.REQUEST
        told = Announcement(wish.model, wish.version, source, at, wish.trained_at, wish.reference)
        return self._see_version(told, now)

    def hear(self, told: OfferedReference | ListedVersions, now: Nanos) -> list[Fact]:
        """Take what was found of new versions outside: a reference, or what a registry lists. An input like events."""
        if isinstance(told, OfferedReference):
            return self.versions.take(told)
        facts: list[Fact] = [RegistryAnswered(told.model, told.why)]
        if told.model not in self.retraining.models or told.why:
            return facts
        at = now if self.watermark.value is None else self.watermark.value
        for each in announced(self.versions.hear_registry(told), told.model, at):
            facts += self._see_version(each, now)
        return facts

    def _count_silence(self, arrived: MicroBatch, now: Nanos) -> None:
        """Events end the time in which nothing comes; time in which nobody read is no part of it."""
        away = 0 if self._read_at is None else now - self._read_at
        if arrived.batches or arrived.halves:
            self._came_at = now
        elif arrived.unconfirmed and self._came_at is not None and away > MINUTE:
            self._came_at = min(self._came_at + away, now)
        self._read_at = now

    def _show(self, watermark: Watermark, kind: str, arrived: MicroBatch, now: Nanos) -> None:
        """Let a watermark have what its partitions have shown."""
        watermark.assign(arrived.assigned, now)
        for partition in arrived.unconfirmed:
            watermark.restart_silence(partition, now)
        for partition in arrived.read:
            watermark.read(partition)
        for partition, event_time in arrived.seen.items():
            watermark.observe(partition, event_time, now)
        for partition, as_of in arrived.confirmed.items():
            watermark.confirm(partition, as_of)
        if arrived.seen or arrived.assigned:
            self._dirty.add(kind)

    def merge(self, delta: PaneDelta) -> list[Fact]:
        """Add what was folded, here or by a replica, to the panes of its view."""
        view = self.views[delta.key, delta.view]
        self._changed[view] = None
        facts = view.merge(delta)
        if view.late:
            self._late[view] = None
        return facts

    def hold(self, slot: Hashable, delta: PaneDelta, known: Mapping[Nanos, RowsHeld], now: Nanos) -> list[Fact]:
        """Let this be what a slot has counted so far, in the place of what is `known` of it; `ingest` is told what its partition has shown.

        What is new of it is told and judged as if it were ingested now. `settle` ends the slot.
        """
        view = self.views[delta.key, delta.view]
        new = [start for start, part in delta.panes.items() if part.rows > known.get(start, NO_ROWS).rows]
        if not new:
            return []
        self._came_at = now
        self._changed[view] = None
        self.offsets.note(delta.offsets, min(new), max(new) + view.spec.windows.slide - 1)
        facts = self._see_first(delta.key, delta.view, min(delta.panes[start].earliest for start in new), now)
        facts += view.hold(slot, delta, known)
        if view.late:
            self._late[view] = None
        return facts

    def settle_slot(self, slot: Hashable, key: SeriesKey, view: str) -> None:
        """Count what a slot holds of a view for good."""
        held = self.views[key, view]
        self._changed[held] = None
        held.windows.settle(slot)

    def silence(self, silent: Mapping[Partition, Nanos], now: Nanos) -> list[Fact]:
        """Take which partitions nobody answers for, each since when: for them event time stands. It waits for no labels."""
        silent = {partition: since for partition, since in silent.items() if partition.topic not in self._label_topics}
        facts: list[Fact] = []
        for view in self.views.values():
            self._changed[view] = None
            facts += self._followed(view.judge_silence(silent, now))
        return facts

    def advance(self) -> list[Fact]:
        """Move the watermark, close what it has passed, and judge it."""
        moved = self.watermark.advance()
        self.retraining.lag = 0 if self._read_at is None else self.watermark.lag(self._read_at)
        if moved or self.watermark.fell_idle:
            self._dirty.add("watermark")
        facts, self._late = [fact for view in self._late for fact in self._followed(view.judge_late())], {}
        if not moved:
            return [*facts, *self._judge_performance(), *self._ask_again(None)]
        assert self.watermark.value is not None
        facts.append(WatermarkAdvanced(self.watermark.value))
        facts += self._expire(self.watermark.value)
        woken = self._wake(self.watermark.value)
        facts += self._close(woken, self.watermark.value)
        for view in woken:
            view.settle()
            view.seal_until(self.watermark.value)
            self._sleep(view)
        if self.watermark.value // MINUTE != self._looked_at:
            facts += self._judge_time(self.watermark.value)
        facts += self._on_schedule(self.watermark.value)
        return [*facts, *self._judge_performance(), *self._ask_again(self.watermark.value)]

    def _close(self, woken: Sequence[View[Any]], watermark: Nanos) -> list[Fact]:
        """Close what is due. Windows after which nobody asks for anything are noted together: that nothing is done between them is sure."""
        facts, quiet = list[Fact](), list[Fact]()
        for view, end in self._in_order(woken, watermark):
            at = end + view.spec.windows.lateness - 1
            due = bool(self._rehearsals) or self.retraining.is_due(at)
            if due:
                facts, quiet = [*facts, *(self._followed(quiet) if quiet else ()), *self._on_schedule(at)], []
            told = view.close(end)
            if due or not TELLING.isdisjoint(map(type, told)):
                facts, quiet = [*facts, *(self._followed(quiet) if quiet else ()), *self._followed(told)], []
            else:
                quiet += told
        return [*facts, *self._followed(quiet)] if quiet else facts

    def rest(self, now: Nanos) -> list[Fact]:
        """Take that time goes on though nothing comes: where every partition is at its end and idle, as processing time does."""
        if self._came_at is None or now < self._came_at:  # since we began, or the clock was set back
            self._came_at = now
        if self.watermark.value is None or self.watermark.floor() is not None:
            return []
        return self._judge_time(self.watermark.value + now - self._came_at)

    def _judge_time(self, clock: Nanos) -> list[Fact]:
        """Let every view have how far time has come."""
        self._looked_at = clock // MINUTE
        facts = list[Fact]()
        for view in self.views.values():
            found = view.judge_time(clock)
            if found:
                self._changed[view] = None
                view.changed()
                facts += self._followed(found)
        return facts

    def _judge_performance(self) -> list[Fact]:
        """Judge the predictions whose labels have had their time: event time is here no further than labels are read."""
        if not self.performance or self.watermark.value is None:
            return []
        self._labels.advance()  # it is not asked how far, but who is idle
        if self._labels.fell_idle:
            self._dirty.add("labels")
        facts = list[Fact]()
        for key, each in self.performance.items():
            floor = self._labels.floor(each.spec.topics)
            if floor != NOWHERE:
                read = self.watermark.value if floor is None else floor - self.series[key].spec.windows.lateness
                facts += self._followed(each.advance(min(read, self.watermark.value), self._distrusted(key)))
        return facts

    def settle(self, until: Nanos) -> list[Fact]:
        """Judge the performance of windows as far as this, where neither events nor labels follow: a record has ended."""
        judged = (each.advance(until, self._distrusted(key)) for key, each in self.performance.items())
        return [fact for facts in judged for fact in facts]

    def _distrusted(self, key: SeriesKey) -> Sequence[Span]:
        """Times whose predictions say nothing of what a model is worth, as its features tell."""
        view = self.views.get((key, FEATURES))
        return () if view is None else view.distrusted()

    def _wake(self, watermark: Nanos) -> list[View[Any]]:
        """The views of which the watermark has passed another pane. The others are not looked at."""
        woken = []
        while self._agenda and self._agenda[0][0] <= watermark:
            _, _, view = heappop(self._agenda)
            self._changed[view] = None
            woken.append(view)
        return woken

    def _sleep(self, view: View[Any]) -> None:
        awake_at = view.windows.awake_at
        heappush(self._agenda, (BEGINNING if awake_at is None else awake_at, self._order[view], view))

    def _in_order(self, woken: Sequence[View[Any]], watermark: Nanos) -> list[tuple[View[Any], Nanos]]:
        """The ends of windows that are due, in the order in which a watermark moving slowly would close them.

        Series of one model share a retraining history, so the order must not depend on how far the watermark jumped.
        """
        due = [(view, end) for view in woken for end in tuple(view.due(watermark))]
        if len(woken) == 1:
            return due
        return sorted(due, key=lambda closing: (closing[1] + closing[0].spec.windows.lateness, self._order[closing[0]]))

    def ahead(self) -> frozenset[Partition]:
        """Partitions that should not be read for now: the panes they fill wait for others, in memory."""
        ahead = self.watermark.ahead(self.most_ahead)
        if not self._label_topics or self.watermark.value is None or self.watermark.floor() is None:
            return ahead  # where predictions pause, labels are read on: they wait in bounded memory
        return ahead | self._labels.ahead_of(self.watermark.value, self.most_ahead)

    # --- what people decide -----------------------------------------------------------------------------------

    def decide(self, asked: Asked, now: Nanos) -> list[Fact]:
        """Take what somebody asks for: an input like an event. The first fact says whether it was made or refused."""
        facts = self.decided.take(asked, self._open_incidents(), self.watermark.value, now)
        match facts[0]:
            case DecisionMade(decision=decision, repeated=repeated):
                facts[0] = DecisionMade(decision, repeated, self._not_accepted(asked.wish))
                facts += [] if repeated else self._accept(decision)
                if not repeated and isinstance(asked.wish, Announce):
                    return [*facts, *self._announced(asked.wish, now)]
                if not repeated and isinstance(asked.wish, Approve | Reject | Trigger):
                    return self._decide_retraining(asked, facts)
        return facts

    def _decide_retraining(self, asked: Asked, made: Sequence[Fact]) -> list[Fact]:
        """What becomes of a request that somebody approved, rejected or made: one that cannot be granted is refused, and that is told."""
        assert self.watermark.value is not None  # else nothing is asked for, nor waits
        decided = self._whole(self.retraining.decide(asked, self.watermark.value))
        if decided.outcome in {RetrainOutcome.REQUESTED, RetrainOutcome.REJECTED}:
            return [*made, decided]
        return [DecisionRefused(asked, Refusal.CONFLICT, why_not(asked.wish, decided)), decided]

    def take_runs(self, report: RunsReport) -> list[Fact]:
        """Take how the runs of a request stand: an input like an event."""
        at = self.watermark.value
        return [] if at is None else self.retraining.take_runs(report, at)

    def news_of_runs(self) -> list[Fact]:
        """How requests for retraining stand, where that has changed."""
        return self.retraining.news_of_runs()

    def _not_accepted(self, wish: Wish) -> tuple[str, ...]:
        """What an accept means and does not reach: thresholds, a line where there are any."""
        if not isinstance(wish, Accept):
            return ()
        series = (each for key, each in self.performance.items() if wish.scope.holds(key))
        standing = dict.fromkeys(
            words
            for each in series
            for words in (() if each.decision is None else each.decision.thresholds(wish.scope.features))
        )
        return (f"thresholds are never accepted and stand: {', '.join(standing)}",) if standing else ()

    def _accept(self, decision: Decision) -> list[Fact]:
        """Let every operator of the series that are meant accept, where that was decided."""
        if not isinstance(decision.asked.wish, Accept):
            return []
        assert decision.event_time is not None
        scope, facts = decision.asked.wish.scope, list[Fact]()
        for key, series in self.series.items():
            for view in series.views.values() if scope.holds(key) else ():
                self._changed[view] = None
                facts += self._followed(view.accept(scope.features, decision.until, decision.event_time))
            if key in self.performance and scope.holds(key):
                accepted = self.performance[key].accept(scope.features, decision.until, decision.event_time)
                facts += self._followed(accepted)
        return facts

    def _open_incidents(self) -> dict[str, AlertSeen]:
        """Each alert that is open, by the id of its incident."""
        seen = self._names.tell(self._open_alerts())
        return {alert.incident: alert for alert in seen if isinstance(alert, AlertSeen)}

    def _open_alerts(self) -> list[AlertSeen]:
        told = (fact for view in self.views.values() for operator in view.operators for fact in operator.current())
        seen = chain(told, *(each.alerts() for each in self.performance.values()))
        return [alert for alert in seen if isinstance(alert, AlertSeen) and alert.state in OPEN]

    def expire(self, now: Nanos) -> list[Fact]:
        """End the decisions whose time is over, and the waiting for references."""
        return [*self.decided.expire(self.watermark.value, now), *self.versions.expire(now)]

    def told(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """What people may be told of these facts: silences hold some back, and those that ended let go."""
        told = self.decided.told(facts)
        self.tallies.note(facts, told)
        return told

    def report(self, now: Nanos) -> list[Fact]:
        """What there is of each model that has changed, for those who ask, and the reports for people that are due."""
        return [*self.tallies.stands(), *self.reports.advance(now, self.watermark.value)]

    # --- what series share ------------------------------------------------------------------------------------

    def _followed(self, facts: Iterable[Fact]) -> list[Fact]:
        """The facts, each with what follows from it. Those of one window stand together before any of them asks for anything."""
        facts = self._names.tell(facts)
        for each in (self.retraining, *self._rehearsals):
            each.note(facts)
        facts += self.versions.note(facts)
        if not ASKING.isdisjoint(map(type, facts)):
            facts = [each for fact in facts for each in (fact, *self._follow(fact))]
        return [*facts, *self._ask_again(None)]

    def _follow(self, fact: Fact) -> list[Fact]:
        """Keep an alert that has ended; let one that has opened or has become worse ask for retraining."""
        if isinstance(fact, AlertChanged) and fact.closed:
            self._keep(fact)
            self.decided.follow(fact)
        for each in self._rehearsals:
            each.follow(fact)
        return [self._whole(decided) for decided in self.retraining.follow(fact)]

    def _on_schedule(self, until: Nanos) -> list[Fact]:
        """Let schedules be due until an event time."""
        for each in (self.retraining, *self._rehearsals):
            each.begin(until)
        for each in self._rehearsals:
            each.advance(until)
        return [self._whole(decided) for decided in self.retraining.advance(until)]

    def _ask_again(self, at: Nanos | None) -> list[Fact]:
        """Let wishes ask again whose vetoes have ended."""
        for each in self._rehearsals:
            each.ask_again(at)
        return [self._whole(decided) for decided in self.retraining.ask_again(at)]

    def _whole(self, decided: RetrainDecided) -> RetrainDecided:
        """What was decided, with the records to train on."""
        found = self.offsets.between(decided.data_from, decided.data_to)
        offsets = tuple(OffsetSpan(*each) for each in found)
        return replace(decided, offsets=offsets, whole=self.offsets.reaches(decided.data_from))

    def _keep(self, ended: AlertChanged) -> None:
        """Keep an alert whose episode has ended, for those who ask later; without the counts, of which there are many."""
        self.resolved.append(without_counts(ended))
        self._dirty.add("resolved")

    # --- state ------------------------------------------------------------------------------------------------

    def current(self) -> list[Fact]:
        """The facts that say where things stand, for a reader that starts now."""
        facts: list[Fact] = []
        if self.watermark.value is not None:
            facts.append(WatermarkAdvanced(self.watermark.value))
        for view in self.views.values():
            facts += self._names.tell(view.current())
        for each in self.performance.values():
            facts += self._names.tell(each.current())
        facts += self.resolved
        facts += self.decided.current()
        facts += self.versions.current()
        facts += [RequestsStand(tuple(self.retraining.decided))] if self.retraining.decided else []
        facts += [self.retraining.runs_stand()] if self.retraining.decided else []
        facts += self.tallies.current()
        return facts

    def open_panes(self) -> PanesOpen:
        """How many panes each series holds, what memory depends on, where that has changed since it was last said."""
        panes = tuple((key, self.series[key].open_panes) for key in self._pending_panes)
        self._pending_panes.clear()
        return PanesOpen(panes)

    def snapshot(self) -> list[Record]:
        """All state as records."""
        there = {"labels": bool(self._label_topics), NAMES: self._names != Names()}
        records = [self._shared_record(kind) for kind in SHARED if there.get(kind, True)]
        records += [*self.tallies.snapshot(), *self.reports.snapshot()]
        records += [
            *self.versions.snapshot(),
            *self.retraining.snapshot(),
            *(Record(OFFSETS, *row) for row in self.offsets.rows()),
        ]
        for view in self.views.values():
            records += view.snapshot()
        for each in self.performance.values():
            records += each.snapshot()
        for halves in self.halves.values():
            records += halves.snapshot()
        return records

    def changes(self) -> list[Record]:
        """The records that changed since the last call: what a checkpoint has to write."""
        if self.decided.changed():
            self._dirty.add("decisions")
        records = [self._shared_record(kind) for kind in sorted(self._dirty)]
        self._dirty.clear()
        records += [*self.tallies.changes(), *self.reports.changes()]
        records += [
            *self.versions.changes(),
            *self.retraining.changes(),
            *(Record(OFFSETS, *row) for row in self.offsets.changes()),
        ]
        for view in self._changed:
            records += view.changes()
            self._pending_panes[view.key] = None
        self._changed.clear()
        for each in self.performance.values():
            records += each.changes()
        for halves in self.halves.values():
            records += halves.changes()
        return records

    def _shared_record(self, kind: str) -> Record:
        match kind:
            case "watermark":
                saved: object = saved_watermark(self.watermark)
            case "labels":
                saved = saved_watermark(self._labels)
            case "decisions":
                return Record(kind, "", self.decided.to_bytes())
            case "instance":
                saved = self._names
            case _:
                saved = list(self.resolved)
        return Record(kind, "", msgspec.json.encode(saved))

    def restore(self, records: Iterable[Record], now: Nanos) -> list[Fact]:
        """Take up saved state. What belongs to a series that changed is dropped and said; the rest goes on."""
        rows: dict[Owner, list[Entry]] = {}
        facts: list[Fact] = []
        self._names = Names()  # whoever saved no name had none
        for record in records:
            if record.payload is None:
                continue
            if record.kind in OF_VERSIONS:
                self.versions.restore(record)
            elif record.kind in SHARED:
                facts += self._restore_shared(record.kind, record.payload, now)
            elif record.kind in OWNED:
                self._restore_owned(record)
            else:
                owner, entry = owned(record)
                rows.setdefault(owner, []).append(entry)
        facts += [fact for owner, entries in rows.items() for fact in self._restore_view(owner, todays(entries))]
        facts += take_over(self.series, rows, self.watermark.value)
        for view in self.views.values():
            if self.watermark.value is not None and view.windows.sealed_until is None:
                view.windows.seal_until(self.watermark.value)  # a new view, or one that starts anew
        facts = self._names.tell(facts)
        if self._names.begin(self._instance, self._open_alerts()):
            self._dirty.add(NAMES)
        self.retraining.stand(self._open_incidents())
        self._agenda.clear()
        for view in self.views.values():
            self._sleep(view)
        self._pending_panes |= dict.fromkeys(self.series)
        return facts

    def _restore_owned(self, record: Record) -> None:
        """Take up a row of what no series owns."""
        assert record.payload is not None
        match record.kind:
            case "offsets":
                self.offsets.restore([(record.key, record.payload)])
            case "reports":
                self.reports.restore(record)
            case "tally" | "tallied":
                self.tallies.restore(record)
            case _:
                self.retraining.restore(record)

    def go_on_from(self, before: "Pipeline") -> None:
        """Go on while the source does, after a restore: what was not saved, of partitions that are still assigned."""
        self.watermark.go_on_from(before.watermark)
        self._labels.go_on_from(before._labels)  # noqa: SLF001 - of the same class
        self._came_at, self._read_at = before._came_at, before._read_at  # noqa: SLF001 - same

    def _restore_shared(self, kind: str, payload: bytes, now: Nanos) -> list[Fact]:
        match kind:
            case "watermark":
                restore_watermark(self.watermark, payload, now)
            case "labels":
                restore_watermark(self._labels, payload, now)
            case "decisions":
                return self.decided.restore(payload, now)
            case "instance":
                self._names = msgspec.json.decode(payload, type=Names)
            case _:
                self.resolved.extend(msgspec.json.decode(payload, type=list[AlertChanged]))
        return []

    def _restore_view(self, owner: Owner, entries: Sequence[Entry]) -> list[Fact]:
        """Take up one view. The ends of alerts whose rule was taken away come first."""
        if owner.view == PERFORMANCE:
            return self._ended(self._restore_performance(owner.key, entries))
        if owner.view == HALVES and owner.key in self.halves:
            return self.halves[owner.key].restore(entries)
        view = self.views.get((owner.key, owner.view))
        rules = {} if view is None else {rule.name: rule for rule in view.rules(entries)}
        facts = self._ended(ends_of_removed_rules(owner.key, entries, rules))
        if view is not None:
            return [*facts, *resets_of_removed_rules(owner.key, entries, rules), *view.restore(entries)]
        if any(entry.kind == STATE for entry in entries):
            facts.append(StateReset(owner.key, "no longer configured: its state is forgotten"))
        return facts

    def _restore_performance(self, key: SeriesKey, entries: Sequence[Entry]) -> list[Fact]:
        if key in self.performance:
            return self.performance[key].restore(entries)
        reset = StateReset(key, "labels are no longer joined: what was kept of them is forgotten")
        known = any(entry.kind == JOINED for entry in entries)
        return [*forgotten(key, entries), *([reset] if known else [])]

    def _ended(self, facts: Sequence[Fact]) -> list[Fact]:
        """Keep the alerts that ended with their rule."""
        facts = self._names.tell(facts)
        for ended in facts:
            self._follow(ended)
        return facts


def retraining_of(
    specs: Sequence[SeriesSpec], policies: Mapping[str, RetrainPolicy] | None = None, keep: int | None = KEPT
) -> Retraining:
    """The retraining of some series, by their own policies or by others."""
    if policies is None:
        policies = {spec.key.model: spec.retraining for spec in specs}
    return Retraining(policies, {spec.key: spec.reference.hash for spec in specs}, keep)


def why_not(wish: Wish, decided: RetrainDecided) -> str:
    """Why a person's request is not granted, in a line, and what to do."""
    todo = "it waits on" if isinstance(wish, Approve) else "--force stands above it"
    if decided.outcome is RetrainOutcome.DRY_RUN:
        todo = "set retraining.dry_run to false"
    return f"{decided.outcome.words}: not requested; {todo}"


def usual_lead(windows: Sequence[WindowSpec], idle_after: Nanos) -> Nanos:
    """How far partitions read to their ends may be apart; nor is it worth holding one for less than two windows."""
    shortest = min((each.length for each in windows), default=0)
    return max(idle_after, 2 * shortest, *(each.lateness for each in windows))
