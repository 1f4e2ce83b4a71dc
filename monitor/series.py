"""One series at work, and how it is saved: a row for itself, one for ADWIN, one a pane, one a closed window."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from detectors import DriftScore, Reference, Sketch
from monitor.alerting.alerts import Alert, AlertState
from monitor.alerting.episodes import OPEN, Episode, RuleState
from monitor.alerting.judge import SELF_LEARNT_VOLUME, Judge, Judging, Verdict
from monitor.alerting.retraining import RetrainPolicy
from monitor.alerting.rules import AlertRule, Severity
from monitor.facts import AlertChanged, AlertSeen, FeatureQuality, WindowClosed, WindowSpan
from monitor.stream.events import Nanos, SeriesKey
from monitor.stream.windows import Windows, WindowSpec

KEPT_WINDOWS = 500  # per series, for GET /api/v1/windows


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
class SavedRule:
    """A rule's state as saved; dropped on restore when the rule itself has changed."""

    rule: str
    alerts: dict[str, Alert]
    scores: dict[str, DriftScore]
    episode: Episode


@dataclass(slots=True)
class SavedReport:
    """The last closed window as it was judged."""

    window: WindowClosed
    scores: tuple[DriftScore, ...]
    states: dict[str, int]


@dataclass(slots=True)
class SavedSeries:
    """One series as saved, without its panes and ADWIN state, which are records of their own."""

    fingerprint: str
    origin: Nanos | None
    sealed_until: Nanos | None
    rules: dict[str, SavedRule]
    report: SavedReport | None


@dataclass(slots=True)
class Series:
    """One series at work."""

    spec: SeriesSpec
    windows: Windows
    judge: Judge
    history: deque[WindowClosed] = field(default_factory=lambda: deque(maxlen=KEPT_WINDOWS))
    report: SavedReport | None = None
    dirty: bool = False
    new_windows: list[WindowClosed] = field(default_factory=list)
    dropped_windows: list[WindowClosed] = field(default_factory=list)

    @classmethod
    def fresh(cls, spec: SeriesSpec) -> "Series":
        """A series that has seen nothing."""
        return cls(spec, Windows(spec.windows, spec.reference.grid), Judge(spec.judging))

    def usual_rows(self) -> float | None:
        """Mean rows of the windows kept that are as long as today's, once there are enough of them."""
        length = self.spec.windows.length
        rows = [window.rows for window in self.history if window.end - window.start == length]
        return sum(rows) / len(rows) if len(rows) >= SELF_LEARNT_VOLUME else None

    def remember(self, window: WindowClosed, verdict: Verdict) -> None:
        """Keep a window in the history, without the details that only the last one needs."""
        self.report = SavedReport(window, verdict.scores, verdict.states)
        brief = WindowClosed(window.key, window.start, window.end, window.rows, ())
        if len(self.history) == KEPT_WINDOWS:
            self.dropped_windows.append(self.history[0])
        self.history.append(brief)
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
        window = saved.report.window if saved.report else WindowClosed(key, episode.since, episode.since, 0, ())
        found.append(
            AlertChanged(
                key=key,
                rule=name,
                severity=Severity(rule["severity"]),
                before=episode.state,
                after=AlertState.INACTIVE,
                since=episode.since,
                episode=episode.number,
                window=WindowSpan(window.start, window.end, window.rows),
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
        if saved.report is not None:
            series.report = replace(saved.report, scores=series.judge.as_ruled(saved.report.scores))
    else:
        causes.append("reference or window changed: panes, detectors and last scores start anew")
    for name, state in series.judge.rule_states.items():
        found = saved.rules.get(name)
        if found is None or name in forgotten:
            continue
        state.alerts = {feature: alert for feature, alert in found.alerts.items() if feature in state.rules}
        state.scores = {feature: score for feature, score in found.scores.items() if feature in state.alerts}
        state.episode = found.episode
    if series.report is not None:
        series.report = replace(series.report, states=series.judge.states(series.report.scores))
    return causes


def quality_of(sketch: Sketch) -> tuple[FeatureQuality, ...]:
    """Missing and unseen shares of all rows, a feature each."""
    rows = max(sketch.rows, 1)
    return tuple(
        FeatureQuality(name, missing / rows, unseen / rows)
        for name, missing, unseen in zip(
            sketch.grid.names, sketch.missing.tolist(), sketch.unseen.tolist(), strict=True
        )
    )


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
        name: SavedRule(rule_fingerprint(series.judge.rules[name]), state.alerts, state.scores, state.episode)
        for name, state in series.judge.rule_states.items()
    }
    windows = series.windows
    saved = SavedSeries(series.spec.fingerprint, windows.origin, windows.sealed_until, rules, series.report)
    return Record("series", name_of(series.spec.key), msgspec.json.encode(saved))


def adwin_record(series: Series) -> Record:
    """The sequential detectors of a series."""
    return Record("adwin", name_of(series.spec.key), series.judge.adwin.to_bytes())


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
