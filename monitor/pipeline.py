"""The one owner of state: micro-batches in, facts out. Pure and single-threaded; time is an argument."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from operator import itemgetter
from typing import Any

import msgspec

from detectors import Sketch
from detectors.univariate import adwin
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import OPEN
from monitor.alerting.retraining import RetrainHistory, RetrainOutcome
from monitor.alerting.rules import Severity
from monitor.facts import (
    AlertChanged,
    CalibrationStands,
    EventsCounted,
    Fact,
    PaneCharted,
    PanesOpen,
    Qualities,
    RetrainDecided,
    StateReset,
    WatermarkAdvanced,
    WindowClosed,
    WindowScored,
    WindowSpan,
)
from monitor.series import drift
from monitor.series.judge import RuleStep
from monitor.series.series import (
    Record,
    SavedSeries,
    Series,
    SeriesSpec,
    adwin_record,
    charts_record,
    forgotten_rules,
    improved,
    last_words,
    pane_record,
    report_record,
    restore_charts,
    restore_report,
    restore_series,
    seen_alert,
    series_changes,
    series_record,
    window_record,
)
from monitor.stream.events import EventBatch, MicroBatch, Nanos, Partition, SeriesKey
from monitor.stream.watermark import Watermark
from monitor.stream.windows import ClosedWindow, SealedPane, WindowSpec

BROKEN_DATA = frozenset({"missing", "rows-", "rows+"})  # charts of what a model must not be trained on
OURS = frozenset({drift.NAME, drift.SELF_CHECK})  # the rules that rest on a calibration
KEPT_RESOLVED = 100  # alerts, over all series
BEGINNING: Nanos = -(2**63)


@dataclass(slots=True)
class SavedPartition:
    """One partition's share of the watermark. Idleness was decided on processing time, so it is kept."""

    topic: str
    index: int
    seen: Nanos | None
    idle: bool


@dataclass(slots=True)
class SavedWatermark:
    """The watermark as saved."""

    value: Nanos | None
    partitions: list[SavedPartition]


class Pipeline:
    """Ingests micro-batches, advances event time, and says what happened."""

    def __init__(self, specs: Iterable[SeriesSpec], idle_after: Nanos, max_future: Nanos = 0) -> None:
        self.series = {spec.key: Series.fresh(spec) for spec in specs}
        self.most_ahead = max_future + usual_lead([series.spec.windows for series in self.series.values()], idle_after)
        self.watermark = Watermark(idle_after)
        self.retraining: dict[str, RetrainHistory] = {}
        self.resolved: deque[AlertChanged] = deque(maxlen=KEPT_RESOLVED)
        self._dirty: set[str] = set()
        self._changed: dict[SeriesKey, Series] = {}  # since the last checkpoint
        self._pending_panes = dict(self.series)  # whose number of panes was not said yet
        self._order = {key: number for number, key in enumerate(self.series)}
        self._agenda: list[tuple[Nanos, int, Series]] = []  # a heap: when the watermark next matters to a series
        for series in self.series.values():
            self._sleep(series)

    # --- events in, facts out ---------------------------------------------------------------------------------

    def ingest(self, arrived: MicroBatch, now: Nanos) -> list[Fact]:
        """Fold a micro-batch into its panes. Event time moves on in `advance`, after all of it is counted."""
        facts: list[Fact] = []
        for batch in arrived.batches:
            facts += self._count(batch)
        self.watermark.assign(arrived.assigned, now)
        for partition in arrived.blind:
            self.watermark.unheard(partition, now)
        for partition in arrived.read:
            self.watermark.read(partition)
        for partition, event_time in arrived.seen.items():
            self.watermark.observe(partition, event_time, now)
        for partition in arrived.ends:
            self.watermark.end(partition)
        if arrived.seen or arrived.assigned:
            self._dirty.add("watermark")
        return facts

    def _count(self, batch: EventBatch) -> list[Fact]:
        series = self._changed[batch.key] = self.series[batch.key]
        origin = series.windows.origin
        series.judge.exemplars.see(batch)
        late = series.windows.add(batch)
        series.dirty = series.dirty or series.windows.origin != origin
        counted = (("ok", len(batch) - late), ("late", late))
        return [EventsCounted(batch.topic, outcome, count) for outcome, count in counted if count]

    def advance(self, now: Nanos) -> list[Fact]:
        """Move the watermark, close what it has passed, and judge it."""
        idle = self.watermark.idle
        moved = self.watermark.advance(now)
        if moved or self.watermark.idle != idle:
            self._dirty.add("watermark")
        if not moved:
            return []
        assert self.watermark.value is not None
        facts: list[Fact] = [WatermarkAdvanced(self.watermark.value)]
        woken = self._wake(self.watermark.value)
        for series, end in self._in_order(woken, self.watermark.value):
            for closed in series.windows.close(end):
                match closed:
                    case SealedPane():
                        facts += self._chart(series, closed)
                    case ClosedWindow():
                        facts += self._judge(series, closed)
        for series in woken:
            series.windows.seal_until(self.watermark.value)
            self._sleep(series)
        return facts

    def _wake(self, watermark: Nanos) -> list[Series]:
        """The series of which the watermark has passed another pane. The others are not looked at."""
        woken = []
        while self._agenda and self._agenda[0][0] <= watermark:
            _, _, series = heappop(self._agenda)
            series.dirty = True
            self._changed[series.spec.key] = series
            woken.append(series)
        return woken

    def _sleep(self, series: Series) -> None:
        at = series.windows.awake_at
        heappush(self._agenda, (BEGINNING if at is None else at, self._order[series.spec.key], series))

    def ahead(self) -> frozenset[Partition]:
        """Partitions that should not be read for now: the panes they fill wait for others, in memory."""
        return self.watermark.ahead(self.most_ahead)

    def _chart(self, series: Series, pane: SealedPane) -> list[Fact]:
        facts: list[Fact] = []
        for charted in series.judge.see_pane(pane):
            step = charted.step
            facts += [PaneCharted(series.spec.key, step.start, step.end, step.rows, step), *improved(series, step)]
            for change in charted.changes:
                facts += self._follow(series, change, WindowSpan(step.start, step.end, step.rows))
        return facts

    def _judge(self, series: Series, window: ClosedWindow) -> list[Fact]:
        key, rows = series.spec.key, window.sketch.rows
        verdict = series.judge.judge(window, series.usual_rows())
        closed = WindowClosed(key, window.start, window.end, rows, Qualities(verdict.tally))
        series.remember(closed, verdict)
        facts: list[Fact] = [closed, WindowScored(key, window.end, verdict.scores, verdict.states)]
        for step in verdict.steps:
            facts += self._follow(series, step, WindowSpan(window.start, window.end, rows))
        return facts

    def _follow(self, series: Series, step: RuleStep, window: WindowSpan) -> list[Fact]:
        before, after = step.before, step.after
        if before.state is after.state is AlertState.INACTIVE:
            return []
        facts: list[Fact] = [seen_alert(series, step.rule.name)]
        if before.state is after.state:
            return facts
        since = before.since if before.state in OPEN and after.state not in OPEN else after.since or before.since
        assert since is not None
        changed = AlertChanged(
            key=series.spec.key,
            rule=step.rule.name,
            severity=step.rule.severity,
            before=before.state,
            after=after.state,
            since=since,
            episode=after.number,
            window=window,
            evidence=series.judge.rule_states[step.rule.name].evidence(),
            reference=series.spec.reference.hash,
            calibration=series.spec.judging.calibration if step.rule.name in OURS else "",
        )
        facts.append(changed)
        if changed.closed:
            self._close([changed])
        if changed.opened and step.rule.severity is Severity.CRITICAL:
            facts.append(self._ask_for_retraining(series, changed))
        return facts

    def _close(self, ended: list[AlertChanged]) -> list[AlertChanged]:
        """Keep alerts whose episode has ended, for those who ask later."""
        self.resolved.extend(ended)
        if ended:
            self._dirty.add("resolved")
        return ended

    def _ask_for_retraining(self, series: Series, alert: AlertChanged) -> RetrainDecided:
        model = series.spec.key.model
        onset = alert.since - series.judge.step_of(alert.rule)
        if alert.evidence and alert.evidence[0].chart in BROKEN_DATA:
            return RetrainDecided(alert, RetrainOutcome.DATA_QUALITY, data_from=onset, data_to=alert.window.end)
        history, outcome = self.retraining.get(model, RetrainHistory()).decide(
            series.spec.retraining, at=alert.window.end
        )
        if outcome is RetrainOutcome.REQUESTED:
            self.retraining[model] = history
            self._dirty.add("retraining")
        return RetrainDecided(alert, outcome, data_from=onset, data_to=alert.window.end)

    # --- state ------------------------------------------------------------------------------------------------

    def current(self) -> list[Fact]:
        """The facts that say where things stand, for a reader that starts now."""
        facts: list[Fact] = []
        if self.watermark.value is not None:
            facts.append(WatermarkAdvanced(self.watermark.value))
        for key, series in self.series.items():
            facts += series.history
            if series.report is not None:
                report = series.report
                facts += [report.window, WindowScored(key, report.window.end, report.scores, report.states)]
            if series.judge.charts is not None:
                facts.append(CalibrationStands(key, series.judge.charts.check.suspect))
            facts += [
                seen_alert(series, name)
                for name, state in series.judge.rule_states.items()
                if state.episode.state is not AlertState.INACTIVE
            ]
        facts += self.resolved
        return facts

    def open_panes(self) -> PanesOpen:
        """How many panes each series holds, what memory depends on, where that has changed since it was last said."""
        found = [(key, len(series.windows.panes)) for key, series in self._pending_panes.items()]
        self._pending_panes.clear()
        return PanesOpen(tuple(found))

    def snapshot(self) -> list[Record]:
        """All state as records."""
        records = [self._shared_record(kind) for kind in ("watermark", "retraining", "resolved")]
        for series in self.series.values():
            records += [series_record(series), report_record(series), charts_record(series), adwin_record(series)]
            records += [pane_record(series, start) for start in series.windows.panes]
            records += [window_record(window) for window in series.history]
        return records

    def changes(self) -> list[Record]:
        """The records that changed since the last call: what a checkpoint has to write."""
        records = [self._shared_record(kind) for kind in sorted(self._dirty)]
        self._dirty.clear()
        for series in self._changed.values():
            records += series_changes(series)
        self._pending_panes |= self._changed
        self._changed.clear()
        return records

    def _shared_record(self, kind: str) -> Record:
        match kind:
            case "watermark":
                partitions = [
                    SavedPartition(partition.topic, partition.index, clock.seen, clock.idle)
                    for partition, clock in self.watermark.partitions.items()
                ]
                saved: object = SavedWatermark(self.watermark.value, partitions)
            case "retraining":
                saved = self.retraining
            case _:
                saved = list(self.resolved)
        return Record(kind, "", msgspec.json.encode(saved))

    def restore(self, records: Iterable[Record], now: Nanos) -> list[Fact]:
        """Take up saved state. What belongs to a series that changed is dropped and said; the rest goes on."""
        by_kind: dict[str, list[tuple[str, bytes]]] = {}
        for record in records:
            if record.payload is not None:
                by_kind.setdefault(record.kind, []).append((record.key, record.payload))
        self._restore_shared(by_kind, now)
        facts: list[Fact] = []
        kept: set[SeriesKey] = set()
        for name, payload in by_kind.get("series", []):
            key = SeriesKey(*msgspec.json.decode(name, type=tuple[str, str]))
            saved = msgspec.json.decode(payload, type=SavedSeries)
            rules = self.series[key].judge.rules if key in self.series else {}
            facts += self._close(last_words(key, saved, forgotten_rules(rules, saved)))
            if key not in self.series:
                facts.append(StateReset(key, "no longer configured: its state is forgotten"))
            else:
                causes = restore_series(self.series[key], saved)
                facts += [StateReset(key, cause) for cause in causes]
                if not any(cause.startswith("reference") for cause in causes):
                    kept.add(key)
        facts += self._restore_parts(by_kind, kept)
        for series in self.series.values():
            if self.watermark.value is not None and series.windows.sealed_until is None:
                series.windows.seal_until(self.watermark.value)  # a new series, or one that starts anew
        self._agenda.clear()
        for series in self.series.values():
            self._sleep(series)
        self._pending_panes |= self.series
        return facts

    def _restore_shared(self, by_kind: Mapping[str, list[tuple[str, bytes]]], now: Nanos) -> None:
        for _, payload in by_kind.get("watermark", []):
            saved = msgspec.json.decode(payload, type=SavedWatermark)
            self.watermark.value = saved.value
            for one in saved.partitions:
                self.watermark.restore(Partition(one.topic, one.index), one.seen, idle=one.idle, now=now)
        for _, payload in by_kind.get("retraining", []):
            self.retraining = msgspec.json.decode(payload, type=dict[str, RetrainHistory])
        for _, payload in by_kind.get("resolved", []):
            self.resolved.extend(msgspec.json.decode(payload, type=list[AlertChanged]))

    def _restore_parts(self, by_kind: Mapping[str, list[tuple[str, bytes]]], kept: set[SeriesKey]) -> list[Fact]:
        facts = [
            fact
            for series, _, payload in self._owned(by_kind.get("adwin", []), kept)
            for fact in self._restore_adwin(series, payload)
        ]
        for series, number, payload in sorted(self._owned(by_kind.get("fed", []), kept), key=itemgetter(1)):
            series.replay(number, payload)
        for series, _, payload in self._owned(by_kind.get("charts", []), kept):
            cause = restore_charts(series, payload)
            facts += [] if cause is None else [StateReset(series.spec.key, cause)]
        for series, _, payload in self._owned(by_kind.get("report", []), kept):
            restore_report(series, payload)
        for series, start, payload in self._owned(by_kind.get("pane", []), kept):
            series.windows.restore(start, Sketch.from_bytes(series.windows.grid, payload).packed())
        found = [msgspec.json.decode(payload, type=WindowClosed) for _, payload in by_kind.get("window", [])]
        for window in sorted(found, key=lambda window: window.end):
            if window.key in self.series:
                self.series[window.key].recall(window)
        return facts

    @staticmethod
    def _restore_adwin(series: Series, payload: bytes) -> list[Fact]:
        try:
            delta = series.spec.judging.adwin_delta
            series.judge.adwin = adwin.AdwinBank.from_bytes(series.spec.reference, payload, delta=delta)
        except ValueError as error:  # written under another version of river, or another delta
            return [StateReset(series.spec.key, f"adwin starts anew: {error}")]
        series.adwin_whole = series.judge.adwin.fed
        return []

    def _owned(self, saved: Iterable[tuple[str, bytes]], kept: set[SeriesKey]) -> list[tuple[Series, int, bytes]]:
        """The saved parts of the series that go on: whose it is, its number or time (0: it has none), its payload."""
        parts = []
        for name, payload in saved:
            model, version, *number = msgspec.json.decode(name, type=list[Any])
            key = SeriesKey(model, version)
            if key in kept:
                parts.append((self.series[key], sum(number), payload))
        return parts

    def _in_order(self, woken: Iterable[Series], watermark: Nanos) -> list[tuple[Series, Nanos]]:
        """The ends of windows that are due, in the order in which a watermark moving slowly would close them.

        Series of one model share a retraining history, so the order must not depend on how far the watermark jumped.
        """
        due = [(series, end) for series in woken for end in series.windows.due(watermark)]
        return sorted(due, key=lambda one: (one[1] + one[0].spec.windows.lateness, self._order[one[0].spec.key]))


def usual_lead(windows: Sequence[WindowSpec], idle_after: Nanos) -> Nanos:
    """How far partitions read to their ends may be apart; nor is it worth holding one for less than two windows."""
    shortest = min((one.length for one in windows), default=0)
    return max(idle_after, 2 * shortest, *(one.lateness for one in windows))
