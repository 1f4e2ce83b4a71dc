"""What a model's hours held, and the reports for people that are made of them. Times of a report are datetimes: it is read, not computed with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from monitor.stream.events import Nanos


@dataclass(frozen=True, slots=True)
class IncidentTold:
    """An incident in a line. `ended` is a word: resolved or settled; empty while it is open. `silenced`: nobody was told that it opened."""

    incident: str
    version: str
    rule: str
    kind: str
    severity: str
    opened_at: datetime
    ended_at: datetime | None = None
    ended: str = ""
    features: tuple[str, ...] = ()
    features_total: int = 0
    words: str = ""
    silenced: bool = False


@dataclass(frozen=True, slots=True)
class RequestTold:
    """A wish for retraining, and what became of it."""

    id: str
    at: datetime
    version: str
    reason: str
    outcome: str
    because: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class MetricSeen:
    """A metric of the last window that was judged, with its 95 % interval where there is one."""

    name: str
    value: float
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class WorthTold:
    """What a version was worth, as judged last."""

    version: str
    end: datetime
    coverage: float
    metrics: tuple[MetricSeen, ...]


@dataclass(frozen=True, slots=True)
class VersionTold:
    """A version, and when its first judged window began."""

    version: str
    since: datetime


@dataclass(frozen=True, slots=True)
class ModelTallied:
    """What is known of a model's last hours: counts by hour of event time, and the incidents, requests, worth and versions of these."""

    model: str
    hours: Mapping[Nanos, Mapping[str, float]]
    incidents: tuple[IncidentTold, ...] = ()
    requests: tuple[RequestTold, ...] = ()
    worth: tuple[WorthTold, ...] = ()
    versions: tuple[VersionTold, ...] = ()
    per_month: float | None = None  # false alarms that its budget allows
    timezone: str | None = None  # of its reports


@dataclass(frozen=True, slots=True)
class DayTold:
    """One day of a report, in its zone."""

    day: date
    rows: int
    opened: int


@dataclass(frozen=True, slots=True)
class OpenedTold:
    """How many incidents opened under a rule."""

    rule: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class BudgetTold:
    """Whether the budget of false alarms was held. `chance`: of so many or more by false alarms alone. Warnings of charts are told to nobody."""

    per_month: float
    expected: float
    opened: int
    chance: float
    warnings: int
    expected_warnings: float

    @property
    def held(self) -> bool:
        """Whether no more opened than false alarms alone explain."""
        return self.chance >= 0.05  # noqa: PLR2004 - one report of twenty says otherwise by chance


@dataclass(frozen=True, slots=True)
class LabelsTold:
    """Predictions of the windows that were judged by labels, and how many had one."""

    predictions: int
    labelled: int

    @property
    def coverage(self) -> float:
        """The share that has a label."""
        return self.labelled / self.predictions if self.predictions else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a model from `start` to `end`, event time. `as_of`: how far events were read; `whole`: to the end.

    `missing`: share of all values that were; `hours_without` of `hours` had no judged window, the longest run of these `longest_gap`
    hours. Wishes for retraining are counted by outcome, decisions of people by kind.
    """

    model: str
    start: datetime
    end: datetime
    timezone: str
    as_of: datetime | None
    whole: bool
    windows: int
    rows: int
    few_windows: int
    missing: float | None
    hours: int
    hours_without: int
    longest_gap: int
    days: tuple[DayTold, ...]
    opened: tuple[OpenedTold, ...]
    escalated: int
    settled: int
    resolved: int
    silenced: int
    reminders_held: int
    incidents: tuple[IncidentTold, ...]
    incidents_total: int
    outcomes: Mapping[str, int]
    requests: tuple[RequestTold, ...]
    decisions: Mapping[str, int]
    budget: BudgetTold | None
    labels: LabelsTold | None
    worth: tuple[WorthTold, ...]
    versions: tuple[VersionTold, ...]

    @property
    def open(self) -> tuple[IncidentTold, ...]:
        """Those listed that were open at the end."""
        return tuple(each for each in self.incidents if not each.ended)


@dataclass(frozen=True, slots=True)
class ReportMade:
    """A report is due and was made; `id` is the same however often it is made."""

    id: str
    due: Nanos
    report: Report

    @property
    def model(self) -> str:
        """Of which model."""
        return self.report.model
