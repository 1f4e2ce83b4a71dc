"""One model's hours: what happened in each, in a few counts; its incidents, requests and worth as lists that cannot grow."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from monitor.facts import (
    AlertChanged,
    AlertEscalated,
    IncidentTold,
    MetricSeen,
    ModelTallied,
    PerformanceJudged,
    Qualities,
    RequestTold,
    RetrainDecided,
    SubgroupCharted,
    VersionTold,
    WindowClosed,
    WorthTold,
)
from monitor.stream.events import DAY, HOUR, Nanos
from monitor.stream.windows import WindowSpec

KEPT: Nanos = 40 * DAY  # of event time: a month and a week
MOST_INCIDENTS, MOST_REQUESTS, MOST_VERSIONS = 100, 50, 20  # of a model
MOST_FEATURES, MOST_METRICS = 5, 16  # named
MOST_WORDS = 160  # characters
Counts = defaultdict[str, float]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What is counted of an hour. Names after a slash are of an open set: a rule and a kind, an outcome, a decision.
WINDOWS, ROWS, FEW, MISSING, VALUES, SEEN = "windows", "rows", "few", "missing", "values", "seen"
OPENED, SETTLED, RESOLVED, ESCALATED, HELD = "opened/", "settled", "resolved", "escalated", "reminders_held"
RETRAIN, DECISION = "retrain/", "decision/"
WARNED, EXPECTED = "warned", "expected_warnings"
PREDICTIONS, LABELLED = "predictions", "labelled"


def moment(at: Nanos) -> datetime:
    """An event time as people read it, to the microsecond."""
    return EPOCH + timedelta(microseconds=at // 1000)


def nanos(at: datetime) -> Nanos:
    """The same back."""
    return (at - EPOCH) // timedelta(microseconds=1) * 1000


def hour_of(at: Nanos) -> Nanos:
    """The hour that holds a time; of an end, the hour before it."""
    return (at - 1) // HOUR * HOUR


@dataclass(slots=True)
class ModelTally:
    """What is kept of one model. `hours` by their beginning, event time."""

    hours: dict[Nanos, Counts] = field(default_factory=dict)
    incidents: dict[str, IncidentTold] = field(default_factory=dict)
    requests: list[RequestTold] = field(default_factory=list)
    worth: dict[str, WorthTold] = field(default_factory=dict)
    versions: dict[str, VersionTold] = field(default_factory=dict)
    per_month: float | None = None
    timezone: str | None = None

    def stand(self, model: str) -> ModelTallied:
        """All of it as it is now; the counts of hours that go on are copied."""
        hours: Mapping[Nanos, Mapping[str, float]] = {at: dict(counts) for at, counts in self.hours.items()}
        lists = tuple(self.incidents.values()), tuple(self.requests), tuple(self.worth.values())
        return ModelTallied(model, hours, *lists, tuple(self.versions.values()), self.per_month, self.timezone)

    def at(self, time: Nanos) -> Counts:
        """The counts of the hour that ends at, or holds, a time."""
        return self.hours.setdefault(hour_of(time), defaultdict(float))

    def close(self, window: WindowClosed, spec: WindowSpec, min_rows: int) -> Nanos:
        """Take a window; of those that overlap, every one that begins where the last taken ended. Its hour is returned."""
        version = window.key.version
        if version not in self.versions:
            self.versions[version] = VersionTold(version, moment(window.start))
            if len(self.versions) > MOST_VERSIONS:
                self.versions.pop(next(iter(self.versions)))
        for hour in range(window.start // HOUR * HOUR, window.end, HOUR):
            self.hours.setdefault(hour, defaultdict(float))[SEEN] = 1
        if (window.end // spec.slide) % max(spec.length // spec.slide, 1) == 0:
            counts = self.at(window.end)
            counts[WINDOWS] += 1
            counts[ROWS] += window.rows
            counts[FEW] += window.rows < min_rows
            if isinstance(window.quality, Qualities):
                counts[MISSING] += window.quality.missing_values
                counts[VALUES] += window.rows * len(window.quality)
        return window.end

    def alert(self, alert: AlertChanged, *, silenced: bool) -> Nanos:
        """Take that an alert has opened or ended; the time of it is returned."""
        at = alert.window.end
        known = self.incidents.get(alert.incident)
        if alert.opened:
            self.at(at)[f"{OPENED}{alert.kind.value}/{alert.rule}"] += 1
            self._keep(incident_of(alert, silenced=silenced))
        elif alert.closed:
            self.at(at)[SETTLED if alert.settled else RESOLVED] += 1
            told = known or incident_of(alert, silenced=silenced)
            self._keep(replace(told, ended_at=moment(at), ended=SETTLED if alert.settled else RESOLVED))
        return at

    def escalate(self, fact: AlertEscalated, *, held: bool) -> Nanos:
        """Take that an incident has become more; the time of it is returned."""
        alert = fact.alert
        at = alert.window.end
        self.at(at)[HELD if held else ESCALATED] += 1
        known = self.incidents.get(alert.incident)
        told = incident_of(alert, silenced=known is not None and known.silenced)
        self._keep(told if known is None else replace(told, opened_at=known.opened_at))
        return at

    def release(self, incident: str) -> bool:
        """Take that people are told of what was silenced; whether it is known."""
        known = self.incidents.get(incident)
        if known is None or not known.silenced:
            return False
        self.incidents[incident] = replace(known, silenced=False)
        return True

    def _keep(self, told: IncidentTold) -> None:
        """Keep an incident. Where there are too many, the one that ended first goes, else the one that opened first."""
        self.incidents[told.incident] = told
        if len(self.incidents) > MOST_INCIDENTS:
            ended = [each for each in self.incidents.values() if each.ended_at is not None]
            gone = min(ended or self.incidents.values(), key=lambda each: each.ended_at or each.opened_at)
            del self.incidents[gone.incident]

    def retrain(self, decided: RetrainDecided) -> Nanos:
        """Take what became of a wish for retraining; the time of it is returned."""
        at, outcome = decided.at, decided.outcome
        self.at(at)[f"{RETRAIN}{outcome.value}"] += 1
        name = "" if decided.wish is None else decided.wish.id
        told = RequestTold(
            name, moment(at), decided.key.version, decided.reason, outcome.value, outcome.words, decided.by
        )
        self.requests = [*self.requests, told][-MOST_REQUESTS:]
        return at

    def judge(self, judged: PerformanceJudged) -> Nanos:
        """Take what a window was worth once no later label is waited for; it counts where it was judged."""
        at = judged.end + judged.age
        counts = self.at(at)
        counts[PREDICTIONS] += judged.predictions
        counts[LABELLED] += judged.labelled
        metrics = [
            MetricSeen(each.name, each.value, each.lower, each.upper)
            for each in judged.metrics
            if each.value is not None
        ]
        version = judged.key.version
        coverage = judged.coverage if judged.predictions else 0.0
        self.worth[version] = WorthTold(version, moment(judged.end), coverage, tuple(metrics[:MOST_METRICS]))
        if len(self.worth) > MOST_VERSIONS:
            self.worth.pop(next(iter(self.worth)))
        return at

    def chart(self, fact: SubgroupCharted) -> Nanos:
        """Take how many charts warned, and how many were expected to."""
        counts = self.at(fact.end)
        counts[WARNED] += fact.point.warned
        counts[EXPECTED] += fact.point.expected_warnings
        return fact.end

    def forget(self, before: Nanos) -> list[Nanos]:
        """Forget what is older, but for what is open; the hours that went are returned."""
        gone = [hour for hour in self.hours if hour < before]
        for hour in gone:
            del self.hours[hour]
        if gone:
            limit = moment(before)
            self.incidents = {
                name: each for name, each in self.incidents.items() if each.ended_at is None or each.ended_at >= limit
            }
            self.requests = [each for each in self.requests if each.at >= limit]
            self.worth = {name: each for name, each in self.worth.items() if each.end >= limit}
        return gone


def incident_of(alert: AlertChanged, *, silenced: bool) -> IncidentTold:
    """An incident in a line, as an alert shows it."""
    words = next((each.words for each in alert.evidence if each.words), "")
    return IncidentTold(
        incident=alert.incident,
        version=alert.key.version,
        rule=alert.rule,
        kind=alert.kind.value,
        severity=alert.severity.value,
        opened_at=moment(alert.window.end),
        features=tuple(each.feature for each in alert.evidence[:MOST_FEATURES]),
        features_total=len(alert.evidence),
        words=words if len(words) <= MOST_WORDS else f"{words[: MOST_WORDS - 1]}…",
        silenced=silenced,
    )
