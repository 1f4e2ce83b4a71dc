"""What other policies of retraining would have asked for on the same record: a fixed cadence, on drift, and both.

They hear what the pipeline hears, in one run. What a retrained model would have changed is not on record, so it is said what is: how
often each asks, how old the model would have been, and how long drift went on that no training had seen.

    drift       [─────────────────────)               an incident, from its first breaching window to its end
    request            │
    trained            └── takes ──┐                  asked for after the drift began, so trained on some of it
    uncovered   [──────────────────)
    age         ////////           /////              since the request of the last training that was done
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from detectors.charts import IncidentKind
from monitor.alerting.retraining import PERFORMANCE_REASON, REASON, RetrainCosts, RetrainOutcome, RetrainPolicy
from monitor.alerting.schedule import Schedule
from monitor.backtest.result import AlertEpisode, PolicyOutcome
from monitor.pipeline import retraining_of
from monitor.retraining import Retraining
from monitor.series.series import SeriesSpec
from monitor.stream.events import DAY, Nanos

WEEKLY = "0 0 * * 1"  # where no schedule is configured
FIXED, ON_DRIFT, BOTH = "fixed cadence", "on drift", "both"
OF_DRIFT = frozenset({IncidentKind.DRIFT, IncidentKind.PREDICTION, IncidentKind.PERFORMANCE})

Span = tuple[Nanos, Nanos]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One policy over all models."""

    name: str
    policies: Mapping[str, RetrainPolicy]
    retraining: Retraining


def rehearsals(specs: Sequence[SeriesSpec]) -> list[Rehearsal]:
    """The policies to compare, each made of what is configured."""
    configured = {spec.key.model: spec.retraining for spec in specs}
    named = {
        name: {model: variant(name, policy) for model, policy in configured.items()} for name in (FIXED, ON_DRIFT, BOTH)
    }
    return [Rehearsal(name, policies, retraining_of(specs, policies, keep=None)) for name, policies in named.items()]


def variant(name: str, policy: RetrainPolicy) -> RetrainPolicy:
    """A policy as it would ask, whoever had to approve it; what it asked for is done in as long as it takes."""
    every = policy.every or Schedule(WEEKLY)
    takes = (policy.costs or RetrainCosts()).takes
    plain = replace(policy, dry_run=False, approval_within=None, in_flight_timeout=takes or None)
    if name == FIXED:
        return replace(plain, on=frozenset(), every=every, unless_trained_within=None)
    asks = replace(plain, on=policy.on or frozenset({REASON, PERFORMANCE_REASON}))
    return replace(asks, every=None, unless_trained_within=None) if name == ON_DRIFT else replace(asks, every=every)


def compared(
    rehearsed: Sequence[Rehearsal],
    configured: Mapping[str, RetrainPolicy],
    alerts: Sequence[AlertEpisode],
    judged: Mapping[str, Span],
) -> tuple[PolicyOutcome, ...]:
    """Every policy by model, the best in front: by cost where costs are given, else by the drift it left uncovered, then by requests.

    `judged`: from when to when each model was.
    """
    found = list[PolicyOutcome]()
    for model, span in judged.items():
        drifts = list(spans(alerts, model, span[1]))
        outcomes = [outcome(each, model, drifts, span, configured[model]) for each in rehearsed]
        ranked = sorted(outcomes, key=lambda each: (each.cost or 0.0, each.uncovered, each.requests, each.policy))
        found += [replace(each, rank=rank) for rank, each in enumerate(ranked, start=1)]
    return tuple(found)


def spans(alerts: Iterable[AlertEpisode], model: str, last: Nanos) -> Iterable[Span]:
    """When a model was otherwise, by its incidents; those that are open go on to the end."""
    for alert in alerts:
        if alert.key.model == model and alert.kind in OF_DRIFT:
            end = last if alert.resolved_at is None else alert.resolved_at
            yield alert.since, max(end, alert.since)


def outcome(
    rehearsal: Rehearsal, model: str, drifts: Sequence[Span], judged: Span, configured: RetrainPolicy
) -> PolicyOutcome:
    """What one policy came to for one model."""
    policy = rehearsal.policies[model]
    costs, takes = policy.costs, (policy.costs or RetrainCosts()).takes
    decided = [each for each in rehearsal.retraining.decided if each.key.model == model]
    asked = sorted(each.at for each in decided if each.outcome is RetrainOutcome.REQUESTED)
    open_spans = [uncovered(drift, asked, takes) for drift in drifts]
    left = length(open_spans)
    mean, oldest = ages(asked, takes, judged)
    same = policy.on == configured.on and policy.every == configured.every
    return PolicyOutcome(
        model=model,
        policy=rehearsal.name,
        on=tuple(sorted(policy.on)),
        every=None if policy.every is None else policy.every.cron,
        configured=same and policy.unless_trained_within == configured.unless_trained_within,
        requests=len(asked),
        suppressed=dict(sorted(Counter(each.outcome.value for each in decided if each.outcome.suppressed).items())),
        age_mean=mean,
        age_most=oldest,
        drift=length(drifts),
        uncovered=left,
        cost=None if costs is None else costs.retraining * len(asked) + costs.drift_per_day * left / DAY,
    )


def uncovered(drift: Span, asked: Sequence[Nanos], takes: Nanos) -> Span:
    """How long a drift goes on until a model is there that was trained after it began."""
    begin, end = drift
    done = next((at + takes for at in asked if at >= begin), end)
    return begin, min(done, end)


def length(found: Iterable[Span]) -> Nanos:
    """How long any of these lasts.

    >>> length([(0, 10), (5, 12), (20, 21)])
    13
    """
    total, until = 0, -(2**63)
    for begin, end in sorted(found):
        total += max(0, end - max(begin, until))
        until = max(until, end)
    return total


def ages(asked: Sequence[Nanos], takes: Nanos, judged: Span) -> tuple[Nanos, Nanos]:
    """Mean and largest age of a model, new at the beginning: at a time it is as old as the request of the last training done by then.

    >>> ages([4], 0, (0, 10))
    (2, 6)
    """
    first, last = judged
    born, since, area, oldest = first, first, 0, 0
    for at in [*(at for at in asked if at + takes < last), last - takes]:
        until = max(at + takes, since)
        area += ((until - born) ** 2 - (since - born) ** 2) // 2
        oldest = max(oldest, until - born)
        born, since = at, until
    return area // max(last - first, 1), oldest
