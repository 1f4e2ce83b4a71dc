"""One series at work, and how it is saved: a row for itself, one for its last scores, one for ADWIN, one a pane, one a window."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self
from zlib import crc32

import msgspec
import numpy as np

from detectors import DriftScore, Reference, ScoreColumns
from detectors.charts import CHARTS, Step
from detectors.features import some
from detectors.univariate import adwin
from monitor.alerting.alerts import Alert, AlertState
from monitor.alerting.episodes import OPEN, Episode, Evidence, RuleState
from monitor.alerting.retraining import RetrainPolicy
from monitor.alerting.rules import AlertRule, Severity
from monitor.alerting.table import ScoreTable
from monitor.facts import AlertChanged, AlertSeen, RateImproved, WindowClosed, WindowSpan
from monitor.series.drift import EVERY_FEATURE, VOLUME, DriftState
from monitor.series.judge import SELF_LEARNT_VOLUME, Judge, Judging, Verdict
from monitor.stream.events import Nanos, SeriesKey
from monitor.stream.windows import Windows, WindowSpec

KEPT_WINDOWS = 500  # per series, for GET /api/v1/windows
RATES = CHARTS.index("missing")  # the first of the charts of rates
ADWIN_WHOLE_AFTER = adwin.PANES  # a kilobyte or more a feature, so a checkpoint writes only what came to it


@dataclass(frozen=True, slots=True)
class SeriesSpec:
    """All that one series is monitored by."""

    key: SeriesKey
    windows: WindowSpec
    judging: Judging
    retraining: RetrainPolicy

    @property
    def reference(self) -> Reference:
        """The reference that the series is held against."""
        return self.judging.reference

    @property
    def fingerprint(self) -> str:
        """What panes and detectors are made under; when it changes they are worthless."""
        return f"{self.reference.hash}:{self.windows.length}:{self.windows.slide}"


@dataclass(frozen=True, slots=True)
class Record:
    """One row of saved state. `payload` None: the row is gone."""

    kind: str
    key: str
    payload: bytes | None


@dataclass(slots=True)
class SavedIncident:
    """What the budget's rule remembers besides: its last evidence, when people were last told, and of which features."""

    found: tuple[Evidence, ...]
    opened_at: Nanos | None
    told: frozenset[str]

    @classmethod
    def of(cls, state: RuleState) -> "SavedIncident | None":
        """What a rule's state remembers, if it is the budget's."""
        return cls(state.found, state.opened_at, state.told) if isinstance(state, DriftState) else None

    def restore(self, state: RuleState) -> None:
        """Take it up again."""
        if isinstance(state, DriftState):
            state.found, state.opened_at, state.told = self.found, self.opened_at, self.told


@dataclass(slots=True)
class SavedRule:
    """A rule's state as saved; dropped on restore when the rule itself has changed."""

    rule: str
    alerts: dict[str, Alert]
    scores: dict[str, DriftScore]
    episode: Episode
    incident: SavedIncident | None = None


@dataclass(slots=True)
class Report:
    """The last closed window as it was judged."""

    window: WindowClosed
    scores: ScoreTable
    states: Mapping[str, int]


@dataclass(slots=True)
class SavedColumns:
    """One detector's scores as saved: the arrays of `ScoreColumns` as little-endian bytes."""

    detector: str
    names: tuple[str, ...]
    known: bytes
    rows: bytes
    values: bytes
    pvalues: bytes | None
    details: dict[str, bytes]

    @classmethod
    def of(cls, found: ScoreColumns) -> Self:
        """The columns as bytes."""
        return cls(
            found.detector,
            found.names,
            found.known.tobytes(),
            found.rows.astype("<i8").tobytes(),
            found.values.astype("<f8").tobytes(),
            None if found.pvalues is None else found.pvalues.astype("<f8").tobytes(),
            {name: column.astype("<f8").tobytes() for name, column in found.details.items()},
        )

    def columns(self) -> ScoreColumns:
        """The columns that they were. Raises ValueError where bytes are missing."""
        return ScoreColumns(
            self.detector,
            self.names,
            np.frombuffer(self.known, dtype=np.bool_),
            np.frombuffer(self.rows, dtype="<i8"),
            np.frombuffer(self.values, dtype="<f8"),
            None if self.pvalues is None else np.frombuffer(self.pvalues, dtype="<f8"),
            {name: np.frombuffer(column, dtype="<f8") for name, column in self.details.items()},
        )


@dataclass(slots=True)
class SavedReport:
    """The last closed window as saved; states follow from scores and alerts."""

    window: WindowClosed
    scores: list[SavedColumns]


@dataclass(slots=True)
class SavedSeries:
    """One series as saved, without panes, ADWIN state and last scores, which are records of their own."""

    fingerprint: str
    origin: Nanos | None
    sealed_until: Nanos | None
    rules: dict[str, SavedRule]
    last: WindowSpan | None = None  # the last closed window


@dataclass(slots=True)
class Series:
    """One series at work."""

    spec: SeriesSpec
    windows: Windows
    judge: Judge
    history: deque[WindowClosed] = field(default_factory=lambda: deque(maxlen=KEPT_WINDOWS))
    report: Report | None = None
    dirty: bool = False
    adwin_saved: list[int] = field(default_factory=list)  # the entries of its journal that the store holds
    adwin_whole: int = 0  # where its journal begins: what was fed when it was last written whole
    new_windows: list[WindowClosed] = field(default_factory=list)
    dropped_windows: list[WindowClosed] = field(default_factory=list)
    _alike: int = 0  # windows in the history that are as long as today's
    _rows: int = 0  # in those

    @classmethod
    def fresh(cls, spec: SeriesSpec) -> "Series":
        """A series that has seen nothing."""
        return cls(spec, Windows(spec.windows, spec.reference.grid), Judge(spec.judging))

    def usual_rows(self) -> float | None:
        """Mean rows of the windows kept that are as long as today's, once there are enough of them."""
        return self._rows / self._alike if self._alike >= SELF_LEARNT_VOLUME else None

    def recall(self, window: WindowClosed) -> WindowClosed | None:
        """Put a window at the end of the history; the one that it pushes out is returned."""
        gone = self.history[0] if len(self.history) == KEPT_WINDOWS else None
        self.history.append(window)
        for one, sign in ((window, 1), (gone, -1)):
            if one is not None and one.end - one.start == self.spec.windows.length:
                self._alike += sign
                self._rows += sign * one.rows
        return gone

    def replay(self, number: int, entry: bytes) -> None:
        """Feed an entry of the journal to the sequential detectors, unless they hold it already."""
        self.adwin_saved.append(number)
        if number == self.judge.adwin.fed + 1:
            self.judge.adwin.replay(entry)

    def remember(self, window: WindowClosed, verdict: Verdict) -> None:
        """Keep a window in the history, without the details that only the last one needs."""
        self.report = Report(window, verdict.scores, verdict.states)
        brief = WindowClosed(window.key, window.start, window.end, window.rows, ())
        gone = self.recall(brief)
        if gone is not None:
            self.dropped_windows.append(gone)
        self.new_windows.append(brief)
        self.dirty = True


def forgotten_rules(rules: Mapping[str, AlertRule], saved: SavedSeries) -> dict[str, str]:
    """Saved rules whose alerts cannot go on, and why."""
    found = {}
    for name, rule in saved.rules.items():
        if name not in rules:
            found[name] = f"rule {name} is gone: its alert is forgotten"
        elif rule.rule != rule_fingerprint(rules[name]):
            found[name] = f"rule {name} changed: its alert starts anew"
    return found


def last_words(key: SeriesKey, saved: SavedSeries, names: Iterable[str]) -> list[AlertChanged]:
    """The ends of episodes that were open when their rule was taken away: who was told of them is told so."""
    found = []
    for name in names:
        episode = saved.rules[name].episode
        if episode.state not in OPEN or episode.since is None:
            continue
        rule = msgspec.json.decode(saved.rules[name].rule)
        found.append(
            AlertChanged(
                key=key,
                rule=name,
                severity=Severity(rule["severity"]),
                before=episode.state,
                after=AlertState.INACTIVE,
                since=episode.since,
                episode=episode.number,
                window=saved.last or WindowSpan(episode.since, episode.since, 0),
                evidence=(),
                reference=saved.fingerprint.partition(":")[0],
            )
        )
    return found


def restore_series(series: Series, saved: SavedSeries) -> list[str]:
    """Take up one series; what had to be dropped is returned as causes."""
    forgotten = forgotten_rules(series.judge.rules, saved)
    causes = list(forgotten.values())
    if saved.fingerprint == series.spec.fingerprint:
        series.windows.origin = saved.origin
        series.windows.sealed_until = saved.sealed_until
    else:
        causes.append("reference or window changed: panes, detectors and last scores start anew")
    for name, state in series.judge.rule_states.items():
        found = saved.rules.get(name)
        if found is None or name in forgotten:
            continue
        known = {*state.rules, VOLUME, EVERY_FEATURE} if isinstance(state, DriftState) else state.rules.keys()
        state.alerts = {feature: alert for feature, alert in found.alerts.items() if feature in known}
        state.scores = {feature: score for feature, score in found.scores.items() if feature in state.alerts}
        state.episode = found.episode
        if found.incident is not None:
            found.incident.restore(state)
    return causes


def restore_report(series: Series, payload: bytes) -> None:
    """Take up the last closed window, under today's thresholds and alerts. Raises ValueError for damaged bytes."""
    saved = msgspec.msgpack.decode(payload, type=SavedReport)
    scores = series.judge.as_ruled(found.columns() for found in saved.scores)
    series.report = Report(saved.window, scores, series.judge.states(scores))


def improved(series: Series, step: Step) -> list[RateImproved]:
    """Rates that have become better than the reference's, said once."""
    found, charts = [], series.judge.charts
    if charts is None or not some(step.improved):
        return []
    names, usual = series.spec.reference.names, charts.plan.usual_rates
    for at, which in zip(*np.nonzero(step.improved), strict=True):
        now = float(step.effects[at, RATES + which] + usual[at, which])
        what = CHARTS[RATES + which]
        found.append(RateImproved(series.spec.key, step.end, names[at], what, float(usual[at, which]), now))
    return found


def seen_alert(series: Series, rule: str) -> AlertSeen:
    """A rule's alert as it stands."""
    state: RuleState = series.judge.rule_states[rule]
    return AlertSeen(
        key=series.spec.key,
        rule=rule,
        severity=series.judge.rules[rule].severity,
        state=state.episode.state,
        since=state.episode.since,
        episode=state.episode.number,
        evidence=state.evidence(),
    )


def rule_fingerprint(rule: AlertRule) -> str:
    """What a rule's alert is made under."""
    return msgspec.json.encode(rule).decode()


def series_record(series: Series) -> Record:
    """A series' own record."""
    rules = {
        name: SavedRule(
            rule_fingerprint(series.judge.rules[name]),
            state.alerts,
            state.scores,
            state.episode,
            SavedIncident.of(state),
        )
        for name, state in series.judge.rule_states.items()
    }
    windows, last = series.windows, series.report and series.report.window
    span = WindowSpan(last.start, last.end, last.rows) if last else None
    saved = SavedSeries(series.spec.fingerprint, windows.origin, windows.sealed_until, rules, span)
    return Record("series", name_of(series.spec.key), msgspec.json.encode(saved))


def report_record(series: Series) -> Record:
    """The last closed window of a series, as it was judged."""
    report, saved = series.report, None
    if report is not None:
        columns = [SavedColumns.of(part.columns) for part in report.scores.parts]
        window = replace(report.window, quality=tuple(report.window.quality))
        saved = msgspec.msgpack.encode(SavedReport(window, columns))
    return Record("report", name_of(series.spec.key), saved)


def adwin_record(series: Series) -> Record:
    """The sequential detectors of a series."""
    return Record("adwin", name_of(series.spec.key), series.judge.adwin.to_bytes())


def charts_record(series: Series) -> Record:
    """The budget's charts of a series."""
    charts = series.judge.charts
    return Record("charts", name_of(series.spec.key), None if charts is None else charts.to_bytes())


def restore_charts(series: Series, payload: bytes) -> str | None:
    """Take up the budget's charts; why they begin anew, if they do."""
    if series.judge.charts is None:
        return None
    try:
        series.judge.charts.restore(payload)
    except ValueError as error:
        return f"charts start anew: {error}"
    return None


def series_changes(series: Series) -> list[Record]:
    """The records of a series that changed since the last call."""
    records = [pane_record(series, start) for start in series.windows.touched]
    series.windows.touched.clear()
    if series.dirty:
        records += [series_record(series), report_record(series), charts_record(series), *adwin_changes(series)]
        records += [window_record(window) for window in series.new_windows]
        records += [window_record(window, gone=True) for window in series.dropped_windows]
        series.dirty = False
        series.new_windows.clear()
        series.dropped_windows.clear()
    return records


def adwin_changes(series: Series) -> list[Record]:
    """What was fed to the sequential detectors since the last call; after 64 panes all of their state instead."""
    bank = series.judge.adwin
    entries = bank.take_journal()
    apart = crc32(str(series.spec.key).encode()) % (ADWIN_WHOLE_AFTER // 2)  # so that not all series come at once
    if bank.fed - series.adwin_whole < ADWIN_WHOLE_AFTER - apart:
        series.adwin_saved += [number for number, _ in entries]
        return [Record("fed", name_of(series.spec.key, number), entry) for number, entry in entries]
    gone = [Record("fed", name_of(series.spec.key, number), None) for number in series.adwin_saved]
    series.adwin_whole = bank.fed
    series.adwin_saved.clear()
    return [adwin_record(series), *gone]


def pane_record(series: Series, start: Nanos) -> Record:
    """One pane; gone once no window needs it."""
    pane = series.windows.panes.get(start)
    return Record("pane", name_of(series.spec.key, start), None if pane is None else pane.to_bytes())


def window_record(window: WindowClosed, *, gone: bool = False) -> Record:
    """One closed window of the history."""
    return Record("window", name_of(window.key, window.end), None if gone else msgspec.json.encode(window))


def name_of(key: SeriesKey, *parts: int) -> str:
    """A record's key: a JSON array, so that any model name is safe."""
    return msgspec.json.encode([key.model, key.version, *parts]).decode()
