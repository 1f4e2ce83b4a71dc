"""When a critical alert asks for retraining, and when it is told no."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from detectors.charts import IncidentKind
from monitor.alerting.episodes import Evidence
from monitor.stream.events import DAY, Nanos

REASON, PERFORMANCE_REASON = "drift", "performance"  # of requests
WEEK: Nanos = 7 * DAY
BROKEN_DATA = frozenset({"missing", "rows-", "rows+", "duplicates"})  # charts of what a model must not be trained on


class RetrainOutcome(StrEnum):
    """What became of a critical alert's wish; the `outcome` label of `driftd_retrain_requests_total`."""

    REQUESTED = "requested"
    COOLDOWN = "suppressed_cooldown"
    WEEKLY_MAX = "suppressed_weekly_max"
    DATA_QUALITY = "suppressed_data_quality"  # values or rows are missing: training on that makes it worse


@dataclass(frozen=True, slots=True)
class RetrainPolicy:
    """`cooldown` in event time, nanoseconds; `max_per_week` over rolling seven days. Both per model."""

    cooldown: Nanos
    max_per_week: int


@dataclass(frozen=True, slots=True)
class RetrainHistory:
    """When retraining was requested for one model: event times, oldest first; the last, and those a week before it."""

    requested: tuple[Nanos, ...] = ()

    def decide(self, policy: RetrainPolicy, at: Nanos) -> tuple["RetrainHistory", RetrainOutcome]:
        """Decide on a wish at event time `at`. A replay of a decision already taken is within its own cooldown."""
        recent = tuple(time for time in self.requested if at - time < WEEK)
        if self.requested and at - self.requested[-1] < policy.cooldown:  # which may be longer than a week
            return self, RetrainOutcome.COOLDOWN
        if len(recent) >= policy.max_per_week:
            return self, RetrainOutcome.WEEKLY_MAX
        return replace(self, requested=(*recent, at)), RetrainOutcome.REQUESTED


def reason_of(kind: IncidentKind) -> str:
    """Why an incident asks for retraining.

    >>> reason_of(IncidentKind.PERFORMANCE), reason_of(IncidentKind.PREDICTION)
    ('performance', 'drift')
    """
    return PERFORMANCE_REASON if kind is IncidentKind.PERFORMANCE else REASON


def shows_broken_data(evidence: Sequence[Evidence]) -> bool:
    """Whether what stands first is of values or rows that are missing."""
    return bool(evidence) and evidence[0].chart in BROKEN_DATA
