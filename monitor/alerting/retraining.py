"""When retraining is asked for, and when it is told no: one model's wishes as a state machine.

        wish ──► veto? ──► approval waits? ──► in flight? ──► cooldown? ──► week full? ──► dry run? ──► approval ──► requested
                  │            │                  │             │              │             │            │
                  └────────────┴──────────────────┴─────────────┴──────────────┴─────────────┘         pending ──► approved, rejected, expired
                                    suppressed, for the first reason that holds

All times are event time. A veto says that data are not fit to train on; what it suppressed is asked again when it ends.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase

from detectors.charts import IncidentKind
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import Severity
from monitor.alerting.schedule import Schedule
from monitor.alerting.severity import is_worse
from monitor.stream.events import DAY, Nanos

REASON, PERFORMANCE_REASON = "drift", "performance"  # of requests
SCHEDULE_REASON, MANUAL_REASON = "schedule", "manual"
WEEK: Nanos = 7 * DAY
BROKEN_DATA = frozenset({"missing", "rows-", "rows+", "duplicates"})  # charts of what a model must not be trained on
KEPT_VERSIONS = 100  # of a model


class RetrainOutcome(StrEnum):
    """What became of a wish for retraining; the `outcome` label of `driftd_retrain_requests_total`."""

    REQUESTED = "requested"
    COOLDOWN = "suppressed_cooldown"
    WEEKLY_MAX = "suppressed_weekly_max"
    DATA_QUALITY = "suppressed_data_quality"  # values or rows are missing: training on that makes it worse
    NO_DATA = "suppressed_no_data"  # nothing comes
    CALIBRATION = "suppressed_calibration"  # the alert itself is in doubt
    LAG = "suppressed_lag"  # what is judged is old: nobody knows how things are now
    FEW_LABELS = "suppressed_few_labels"
    IN_FLIGHT = "suppressed_in_flight"  # an earlier request has not led to a new version yet, and its runs go on
    TRAINED = "suppressed_trained_recently"  # of a schedule
    WAITING = "suppressed_pending_approval"  # an earlier request waits for approval
    DRY_RUN = "suppressed_dry_run"  # would have been requested
    REJECTED = "suppressed_rejected"  # by a person
    EXPIRED = "suppressed_approval_expired"
    PENDING = "pending_approval"  # neither requested nor suppressed yet

    @property
    def suppressed(self) -> bool:
        """Whether nothing was requested, and nothing is open."""
        return self not in {RetrainOutcome.REQUESTED, RetrainOutcome.PENDING}

    @property
    def words(self) -> str:
        """Why, in words."""
        return WORDS[self]


WORDS = {
    RetrainOutcome.REQUESTED: "requested",
    RetrainOutcome.COOLDOWN: "the cooldown since the last request is not over",
    RetrainOutcome.WEEKLY_MAX: "the requests of these seven days are used up",
    RetrainOutcome.DATA_QUALITY: "data are bad: an incident of kind data_quality is open",
    RetrainOutcome.NO_DATA: "no data come",
    RetrainOutcome.CALIBRATION: "the calibration is in doubt: more warnings come than it lets expect",
    RetrainOutcome.LAG: "events are read too late (max_lag)",
    RetrainOutcome.FEW_LABELS: "too few labelled rows since the change began (min_labelled_rows)",
    RetrainOutcome.IN_FLIGHT: "an earlier request has led to no new version yet",
    RetrainOutcome.TRAINED: "the model was trained or asked for lately (unless_trained_within)",
    RetrainOutcome.WAITING: "an earlier request waits for approval",
    RetrainOutcome.DRY_RUN: "dry run: it would have been requested",
    RetrainOutcome.REJECTED: "rejected",
    RetrainOutcome.EXPIRED: "nobody has approved it in time",
    RetrainOutcome.PENDING: "waits for approval",
}
VETOES = {  # in the order in which they are looked at; those of open incidents have a name in the configuration
    "data_quality": RetrainOutcome.DATA_QUALITY,
    "no_data": RetrainOutcome.NO_DATA,
    "calibration": RetrainOutcome.CALIBRATION,
}
ASKED_AGAIN = frozenset({*VETOES.values(), RetrainOutcome.LAG, RetrainOutcome.FEW_LABELS})  # once these have ended


@dataclass(frozen=True, slots=True)
class RetrainCosts:
    """What one retraining costs, what a day of drift costs that no retraining has answered yet, and how long one takes."""

    retraining: float = 0.0
    drift_per_day: float = 0.0
    takes: Nanos = 0


@dataclass(frozen=True, slots=True)
class RetrainPolicy:
    """Of one model. `cooldown` in event time, nanoseconds; `max_per_week` over rolling seven days.

    `on` are reasons of alerts that ask; `severity` and `features` (globs, of drift) which of their alerts. `every`: when a schedule
    asks, unless the model was trained or asked for within `unless_trained_within`. `in_flight_timeout` None: the next request waits
    for nothing. `veto` are names of `VETOES`; `max_lag` None: however late events are read. Approval waits for so long; None: not needed.
    """

    cooldown: Nanos
    max_per_week: int
    on: frozenset[str] = frozenset({REASON, PERFORMANCE_REASON})
    every: Schedule | None = None
    unless_trained_within: Nanos | None = None
    severity: Severity = Severity.CRITICAL
    features: tuple[str, ...] = ("*",)
    in_flight_timeout: Nanos | None = None
    min_labelled_rows: int = 0
    veto: frozenset[str] = frozenset(VETOES)
    max_lag: Nanos | None = None
    dry_run: bool = False
    approval_within: Nanos | None = None
    costs: RetrainCosts | None = None

    def asks(self, reason: str, severity: Severity, evidence: Sequence[Evidence]) -> bool:
        """Whether an alert of this reason, as bad as this and with this evidence, asks for retraining."""
        if reason not in self.on or is_worse(self.severity, severity):
            return False
        return reason != REASON or "*" in self.features or any(map(self._names, evidence))

    def _names(self, evidence: Evidence) -> bool:
        return any(fnmatchcase(evidence.feature, pattern) for pattern in self.features)


@dataclass(frozen=True, slots=True)
class RetrainHistory:
    """What one model's next wish depends on; event times. `requested`: oldest first, the last, and those a week before it.

    `in_flight` and `pending`: when the request was made that has led to no new version yet, or that waits for approval.
    `failed`: those of `requested` whose runs failed: they trained nothing. `trained`: when a new version was last seen. `dry`: `requested` are those of a dry run, which stand for nothing once it ends.
    """

    requested: tuple[Nanos, ...] = ()
    in_flight: Nanos | None = None
    pending: Nanos | None = None
    trained: Nanos | None = None
    dry: bool = False
    failed: tuple[Nanos, ...] = ()

    def decide(
        self,
        policy: RetrainPolicy,
        at: Nanos,
        reason: str = REASON,
        vetoes: Collection[RetrainOutcome] = (),
        *,
        forced: bool = False,
    ) -> tuple["RetrainHistory", RetrainOutcome]:
        """Decide on a wish at event time `at`. A replay of a decision already taken is within its own cooldown.

        What a person asks for needs no approval; `forced`: it stands above all but a dry run.
        """
        history = self._under(policy)
        refused = None if forced else next(history.against(policy, at, reason, vetoes), None)
        if refused is not None:
            return history, refused
        if policy.dry_run:
            return replace(history.granted(at), dry=True), RetrainOutcome.DRY_RUN
        if policy.approval_within is not None and reason != MANUAL_REASON:
            return replace(history, pending=at), RetrainOutcome.PENDING
        return history.granted(at), RetrainOutcome.REQUESTED

    def approve(
        self, policy: RetrainPolicy, at: Nanos, vetoes: Collection[RetrainOutcome] = ()
    ) -> tuple["RetrainHistory", RetrainOutcome]:
        """Decide on the request that waits, which a person approves: what holds against it by now still does, and it waits on."""
        history, outcome = replace(self, pending=None).decide(policy, at, MANUAL_REASON, vetoes)
        return (history, outcome) if outcome is RetrainOutcome.REQUESTED else (self, outcome)

    def without_pending(self) -> "RetrainHistory":
        """Nothing waits for approval any more."""
        return replace(self, pending=None)

    def seen_trained(self, at: Nanos, trained_at: Nanos | None = None) -> "RetrainHistory":
        """A new version is there: nothing is in flight any more, unless it was trained before that was asked for."""
        trained = at if trained_at is None else min(trained_at, at)
        waits = self.in_flight is not None and trained < self.in_flight
        return replace(self, in_flight=self.in_flight if waits else None, trained=max(trained, self.trained or trained))

    def seen_ended(self, requested: Nanos, *, failed: bool) -> "RetrainHistory":
        """All runs of the request made at `requested` have ended: it is in flight no longer. Cooldown and weekly maximum go on."""
        kept = tuple(each for each in (*self.failed, *([requested] if failed else ())) if each in self.requested)
        return replace(self, in_flight=None if self.in_flight == requested else self.in_flight, failed=kept)

    @property
    def known_trained(self) -> Nanos | None:
        """When the model was last trained, or asked for without a failure since; None where nobody knows."""
        known = [each for each in (self.trained, *self.requested) if each is not None and each not in self.failed]
        return max(known, default=None)

    def _under(self, policy: RetrainPolicy) -> "RetrainHistory":
        """What stands under this policy: what a dry run would have requested stands under no other."""
        if self.dry and not policy.dry_run:
            return replace(self, requested=(), in_flight=None, dry=False)
        return self

    def granted(self, at: Nanos) -> "RetrainHistory":
        """A request is made."""
        recent = tuple(time for time in self.requested if at - time < WEEK)
        return replace(self, requested=(*recent, at), in_flight=at)

    def against(
        self, policy: RetrainPolicy, at: Nanos, reason: str, vetoes: Collection[RetrainOutcome]
    ) -> Iterator[RetrainOutcome]:
        """All that holds against a wish, the first of which is told."""
        known, within = self.known_trained, policy.unless_trained_within
        if reason == SCHEDULE_REASON and known is not None and within is not None and at - known < within:
            yield RetrainOutcome.TRAINED
        yield from (each for each in RetrainOutcome if each in vetoes)
        if self.pending is not None:
            yield RetrainOutcome.WAITING
        if self._is_in_flight(policy, at):
            yield RetrainOutcome.IN_FLIGHT
        if self.requested and at - self.requested[-1] < policy.cooldown:  # which may be longer than a week
            yield RetrainOutcome.COOLDOWN
        if sum(at - time < WEEK for time in self.requested) >= policy.max_per_week:
            yield RetrainOutcome.WEEKLY_MAX

    def _is_in_flight(self, policy: RetrainPolicy, at: Nanos) -> bool:
        timeout = policy.in_flight_timeout
        return timeout is not None and self.in_flight is not None and at - self.in_flight < timeout


def reason_of(kind: IncidentKind) -> str:
    """Why an incident asks for retraining.

    >>> reason_of(IncidentKind.PERFORMANCE), reason_of(IncidentKind.PREDICTION)
    ('performance', 'drift')
    """
    return PERFORMANCE_REASON if kind is IncidentKind.PERFORMANCE else REASON


def shows_broken_data(evidence: Sequence[Evidence]) -> bool:
    """Whether what stands first is of values or rows that are missing."""
    return bool(evidence) and evidence[0].chart in BROKEN_DATA
