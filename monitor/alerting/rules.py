"""What a rule makes of one score: breach, deadband, clear, or no data."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from fnmatch import fnmatchcase

from detectors import DriftScore
from detectors.charts import IncidentKind

BUDGET_RULE, SELF_CHECK_RULE = "drift", "calibration"  # the budget's own; the first is also its charts' detector
LATENESS_RULE, REACHABILITY_RULE = "lateness", "reachability"  # those of the stream
PERFORMANCE_RULE = "performance"  # that of what models are worth
FROZEN_RULE, NO_DATA_RULE = "frozen", "no_data"  # same
CONTRACT_RULE, SCHEMA_RULE = "contract", "schema"  # those of a data contract
LATENCY_RULE, ERRORS_RULE = "latency", "errors"  # those of how requests are served
OUR_RULES = frozenset(
    {
        BUDGET_RULE,
        SELF_CHECK_RULE,
        LATENESS_RULE,
        REACHABILITY_RULE,
        FROZEN_RULE,
        NO_DATA_RULE,
        PERFORMANCE_RULE,
        CONTRACT_RULE,
        SCHEMA_RULE,
        LATENCY_RULE,
        ERRORS_RULE,
    }
)
INCIDENT_RULES = OUR_RULES - {SELF_CHECK_RULE}  # those that are told as incidents

OF_QUALITY = frozenset({"missing", "unseen", "volume"})  # detectors of explicit rules


class Signal(Enum):
    """What one closed window says of one feature under one rule."""

    BREACH = "breach"
    DEADBAND = "deadband"
    CLEAR = "clear"
    NO_DATA = "no data"


class Severity(StrEnum):
    """How bad a firing rule is; only critical asks for retraining."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A feature's own thresholds for a detector, in place of a rule's."""

    fire_above: float
    clear_below: float | None = None


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An explicit rule with its hysteresis.

    `hold` (`for` in the configuration) and `keep_firing_for` count consecutive disjoint windows; `min_rows` is in
    usable values of the feature, or in rows for the detectors that judge all rows.
    """

    name: str
    detector: str
    fire_above: float
    clear_below: float
    features: tuple[str, ...] = ("*",)
    hold: int = 1
    keep_firing_for: int = 1
    min_rows: int = 0
    severity: Severity = Severity.WARNING

    def __post_init__(self) -> None:
        if self.clear_below > self.fire_above:
            raise ValueError(
                f"{self.name}: clear_below {self.clear_below} must not exceed fire_above {self.fire_above}"
            )
        if self.hold < 1 or self.keep_firing_for < 1:
            raise ValueError(f"{self.name}: for and keep_firing_for count windows and must be at least 1")

    @property
    def kind(self) -> IncidentKind:
        """What its alerts are about. The budget's own rule has an incident of each kind instead."""
        return IncidentKind.DATA_QUALITY if self.detector in OF_QUALITY else IncidentKind.DRIFT

    def applies_to(self, feature: str) -> bool:
        """Whether one of the rule's names or globs matches the feature."""
        return any(fnmatchcase(feature, pattern) for pattern in self.features)

    def adjusted(self, own: Thresholds | None) -> "AlertRule":
        """The rule with a feature's own thresholds; the deadband keeps its proportion unless it is given too."""
        if own is None:
            return self
        clear_below = own.clear_below
        if clear_below is None:
            clear_below = own.fire_above * (self.clear_below / self.fire_above if self.fire_above else 1.0)
        return replace(self, fire_above=own.fire_above, clear_below=clear_below)

    def classify(self, score: DriftScore | None) -> Signal:
        """The signal of a score; a score equal to `fire_above` does not breach, one equal to `clear_below` clears."""
        if score is None or score.value is None or score.rows < self.min_rows:
            return Signal.NO_DATA
        if score.value > self.fire_above:
            return Signal.BREACH
        if score.value <= self.clear_below:
            return Signal.CLEAR
        return Signal.DEADBAND


def lowest_threshold(rules: Iterable[AlertRule]) -> float | None:
    """The score at which a window would first breach one of the rules; none apply: None."""
    return min((rule.fire_above for rule in rules), default=None)
