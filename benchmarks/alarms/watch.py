"""The operator of the daemon under simulated panes, and what people hear of it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.alarms.traffic import Pane
from detectors import Reference
from detectors.charts import BudgetSpec
from monitor.alerting.budget import BY_CHARTS, BY_SELF_CHECK
from monitor.alerting.episodes import Evidence
from monitor.facts import AlertChanged
from monitor.series.charts import ChartBudget
from monitor.stream.events import SeriesKey
from monitor.stream.windows import SealedPane

OPENED, ESCALATED, SETTLED, CLOSED = "opened", "escalated", "settled", "closed"
HEARD = frozenset({OPENED, ESCALATED})
DOUBT = "doubt"  # the self-check says that the calibration does not fit
LEVEL = "level"  # a feature is held to another level than before: no incident of its own
NO_INCIDENTS = frozenset({DOUBT, LEVEL})


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people are told: which incident, what became of it, the features in question, the first in front."""

    at: int
    incident: str
    what: str
    features: tuple[str, ...]
    charts: tuple[str, ...]
    warning: bool = False  # less than a page

    @property
    def heard(self) -> bool:
        """Whether it is news of an incident: doubts of the calibration are none."""
        return self.what in HEARD and self.incident not in NO_INCIDENTS

    @property
    def cause(self) -> str:
        """The chart of the feature in front."""
        return self.charts[0] if self.charts else ""

    @property
    def line(self) -> str:
        """It in a line; hours since a start are the reader's."""
        return (
            f"{self.incident} {self.what} {', '.join(map(' '.join, zip(self.features[:3], self.charts, strict=False)))}"
        )


def notice_of(fact: object) -> Notice | None:
    """The one place that knows which facts people hear of, and as what; some are known by name, since builds without them are measured too."""
    if isinstance(fact, AlertChanged):
        what = _became(fact)
        return None if what is None else _notice(fact, what, fact.evidence)
    match type(fact).__name__:
        case "AlertEscalated":
            alert, new = fact.alert, fact.new  # type: ignore[attr-defined]
            return _notice(alert, ESCALATED, new)
        case "LevelChanged":
            at, feature, step = fact.at, fact.feature, fact.step  # type: ignore[attr-defined]
            return Notice(at, LEVEL, str(getattr(step, "value", step)), (feature,), ("",))
    return None


def _notice(alert: AlertChanged, what: str, evidence: Sequence[Evidence]) -> Notice:
    incident = DOUBT if alert.rule == BY_SELF_CHECK.name else str(getattr(alert, "kind", alert.rule))
    features, charts = tuple(one.feature for one in evidence), tuple(one.chart for one in evidence)
    return Notice(alert.window.end, incident, what, features, charts, alert.severity is not BY_CHARTS.severity)


def _became(alert: AlertChanged) -> str | None:
    """What became of an incident; None where nobody is told."""
    if getattr(alert, "settled", False):
        return SETTLED
    return OPENED if alert.opened else CLOSED if alert.closed else None


@dataclass(eq=False)
class Watch:
    """A series' operator from its first pane on, at one false alarm a month."""

    reference: Reference
    window_ns: int
    notices: list[Notice] = field(default_factory=list)
    windows: int = 0
    open_windows: int = 0
    doubtful: int = 0
    _open: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        calibration = self.reference.calibration
        assert calibration is not None, self.reference.cold
        plan = BudgetSpec(per_month=1.0, pane_ns=self.window_ns)
        self._operator = ChartBudget(SeriesKey("model", "1"), self.reference, plan, calibration.kind)

    @property
    def open(self) -> bool:
        """Whether any incident is open; doubts of the calibration are none."""
        return bool(self._open - NO_INCIDENTS)

    def take(self, pane: Pane) -> list[Notice]:
        """Let the operator see a pane; what people are told now."""
        facts = self._operator.on_pane(SealedPane(pane.start, pane.start + self.window_ns, pane.sketch))
        heard = [notice for fact in facts if (notice := notice_of(fact)) is not None]
        for notice in heard:
            self._follow(notice)
        self.notices += heard
        self.windows += 1
        self.open_windows += self.open
        self.doubtful += DOUBT in self._open
        return heard

    def _follow(self, notice: Notice) -> None:
        if notice.what in HEARD:
            self._open.add(notice.incident)
        else:
            self._open.discard(notice.incident)

    def count(self, what: str) -> int:
        """How many such notices of incidents there were."""
        return sum(one.what == what and one.incident not in NO_INCIDENTS for one in self.notices)

    @property
    def warnings(self) -> int:
        """How many of the opened ones were warnings."""
        return sum(one.what == OPENED and one.warning and one.incident != DOUBT for one in self.notices)


def names(notices: Iterable[Notice], features: Collection[str]) -> Notice | None:
    """The first of them that opens or escalates an incident and names one of these features."""
    asked = set(features)
    return next((one for one in notices if one.heard and asked.intersection(one.features)), None)
