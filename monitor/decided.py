"""What people decide, put into force: checked against what there is, taken once, ended in time, saved."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from detectors.charts import duplicates
from detectors.univariate import volume
from monitor.alerting.decisions import (
    MOST_IN_FORCE,
    Accept,
    Ack,
    Announce,
    Approve,
    Asked,
    Decision,
    Decisions,
    End,
    PastDecision,
    Refusal,
    RefusedError,
    Reject,
    Scope,
    Silence,
    Trigger,
    acknowledgement,
    is_silenced,
)
from monitor.alerting.metrics import metric_feature
from monitor.alerting.severity import is_worse
from monitor.facts import (
    AlertChanged,
    AlertEscalated,
    AlertSeen,
    DecisionEnded,
    DecisionMade,
    DecisionRefused,
    DecisionsStand,
    Fact,
)
from monitor.retraining import Retraining
from monitor.series.series import SeriesSpec
from monitor.stream.events import Nanos, SeriesKey
from monitor.withheld import HeldBack, Withheld

SHOWN = 50  # features in a refusal
NOT_ENDED = {Accept: "an accept is not taken back: fit a new reference", End: "an end is not taken back"}


@dataclass(slots=True)
class SavedDecisions:
    """All of it as saved."""

    in_force: list[Decision]
    past: list[PastDecision]
    held: list[HeldBack]
    known: dict[str, list[str]] = field(default_factory=dict)


class Decided:
    """The decisions of all series. `features`: the names that may be decided of, by series; `retraining` knows what waits for approval."""

    def __init__(self, features: Mapping[SeriesKey, Sequence[str]], retraining: Retraining) -> None:
        self._features = features
        self._retraining = retraining
        self._decisions = Decisions()
        self._withheld = Withheld(self._is_silenced)
        self._known: dict[str, list[str]] = {}  # features of an incident when it was acknowledged, by its id
        self._resolved: list[str] = []  # incidents, since `expire` last looked
        self._changed = False

    # --- decisions in ---------------------------------------------------------------------------------------------

    def take(
        self, asked: Asked, incidents: Mapping[str, AlertSeen], event_time: Nanos | None, now: Nanos
    ) -> list[Fact]:
        """Take a decision, given the incidents that are open: first whether it was made or refused, then what it ended."""
        known = self._decisions.find(asked.id)
        try:
            if known is not None:
                return [_again(known, asked)]
            model = self._model(asked, incidents, event_time)
        except RefusedError as error:
            return [DecisionRefused(asked, error.refusal, str(error))]
        decision = Decision(asked, model, made_at=now, event_time=event_time)
        return [DecisionMade(decision), *self._ended(self._decisions.take(decision)), self._stand()]

    def _model(self, asked: Asked, incidents: Mapping[str, AlertSeen], event_time: Nanos | None) -> str:
        """The model that it is about. Raises RefusedError where it cannot be taken."""
        if self._decisions.full and not isinstance(asked.wish, End):
            raise RefusedError(Refusal.CONFLICT, f"{MOST_IN_FORCE} decisions are in force; end some first")
        match asked.wish:
            case Accept(scope=scope):
                self._check(scope)
                if event_time is None:
                    raise RefusedError(Refusal.CONFLICT, "no event has been read yet: there is nothing to accept")
                return scope.model
            case Silence(scope=scope):
                self._check(scope)
                return scope.model
            case Ack(incident=incident):
                return self._acknowledged(incident, incidents)
            case End(decision=name):
                return self._endable(name)
            case Announce(model=model):
                self._check(Scope(model))
                return model
            case Approve() | Reject() | Trigger():
                return self._retraining.model_of(asked, event_time)

    def _check(self, scope: Scope) -> None:
        """Raise RefusedError where there is no such model, version or feature."""
        keys = [key for key in self._features if scope.holds(key)]
        if not keys:
            versions = [key.version for key in self._features if key.model == scope.model]
            models = sorted({key.model for key in self._features})
            known = f"version {scope.version} of {scope.model}" if versions else f"model {scope.model}"
            raise RefusedError(Refusal.UNKNOWN, f"there is no {known}; there is {', '.join(versions or models)}")
        names = dict.fromkeys(name for key in keys for name in self._features[key])
        for feature in scope.features:
            if feature not in names:
                there = ", ".join(map(repr, islice(names, SHOWN)))
                more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                raise RefusedError(Refusal.UNKNOWN, f"{scope.model} has no feature {feature!r}; it has {there}{more}")

    def _acknowledged(self, incident: str, incidents: Mapping[str, AlertSeen]) -> str:
        if incident not in incidents:
            raise RefusedError(Refusal.UNKNOWN, f"there is no open incident {incident}")
        for name in self._decisions.acks(incident):
            who = self._decisions.in_force[name].asked.by
            raise RefusedError(Refusal.CONFLICT, f"{incident} is acknowledged by {who} already")
        self._known[incident] = features_in(incidents[incident])
        return incidents[incident].key.model

    def _endable(self, name: str) -> str:
        decision = self._decisions.find(name)
        if decision is None:
            raise RefusedError(Refusal.UNKNOWN, f"there is no decision {name}")
        if type(decision.asked.wish) in NOT_ENDED:
            raise RefusedError(Refusal.CONFLICT, NOT_ENDED[type(decision.asked.wish)])
        if name not in self._decisions.in_force:
            raise RefusedError(Refusal.CONFLICT, f"{name} has ended already")
        return decision.model

    # --- time ---------------------------------------------------------------------------------------------------

    def follow(self, alert: AlertChanged) -> None:
        """An acknowledgement ends with what it is of."""
        if alert.closed:
            self._resolved.append(alert.incident)

    def expire(self, event_time: Nanos | None, now: Nanos) -> list[Fact]:
        """End what is over."""
        over = self._decisions.expire(now, event_time)
        for incident in self._resolved:
            over += self._decisions.end(self._decisions.acks(incident), now, "resolved")
            self._known.pop(incident, None)
        self._resolved.clear()
        return [*self._ended(over), self._stand()] if over else []

    def _ended(self, past: Iterable[PastDecision]) -> list[Fact]:
        self._changed = True
        return [DecisionEnded(each) for each in past]

    # --- what people are told -----------------------------------------------------------------------------------

    def told(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """What may be told of these facts, after what silences hold back no longer."""
        kinds = {type(each.asked.wish) for each in self._in_force}
        if Ack in kinds:
            facts = [fact for fact in facts if not self._is_reminder(fact)]
        return self._withheld.told(facts) if Silence in kinds or self._withheld.held else facts

    def _is_reminder(self, fact: Fact) -> bool:
        """Whether it says no more to who acknowledged the incident than that what they know of has grown.

        What joins is news, though it began before, and so is what begins again.
        """
        if not isinstance(fact, AlertEscalated) or is_worse(fact.alert.severity, fact.severity_before):
            return False
        ack = acknowledgement(self._in_force, fact.alert.incident)
        if ack is None or ack.event_time is None:
            return False
        known, at = self._known.get(fact.alert.incident, ()), ack.event_time
        return all(each.feature in known and (each.since is None or each.since <= at) for each in fact.new)

    def _is_silenced(self, key: SeriesKey, features: Sequence[str]) -> bool:
        return is_silenced(self._in_force, key, features)

    @property
    def _in_force(self) -> Iterable[Decision]:
        return self._decisions.in_force.values()

    def _stand(self) -> DecisionsStand:
        return DecisionsStand(tuple(self._in_force), tuple(self._decisions.past))

    # --- state --------------------------------------------------------------------------------------------------

    def changed(self) -> bool:
        """Whether anything changed since the last call."""
        changed = self._changed or self._withheld.changed
        self._changed = self._withheld.changed = False
        return changed

    def current(self) -> list[Fact]:
        """How things stand; nothing where nobody has decided anything."""
        return [self._stand()] if self._decisions.in_force or self._decisions.past else []

    def to_bytes(self) -> bytes:
        """All of it."""
        saved = SavedDecisions(list(self._in_force), list(self._decisions.past), self._withheld.saved(), self._known)
        return msgspec.json.encode(saved)

    def restore(self, payload: bytes, now: Nanos) -> list[Fact]:
        """Take it up again; decisions of a model that is no longer configured end, and that is said."""
        saved = msgspec.json.decode(payload, type=SavedDecisions)
        self._decisions.in_force = {decision.id: decision for decision in saved.in_force}
        self._decisions.past.extend(saved.past)
        self._withheld.restore(saved.held)
        self._known = saved.known
        models = {key.model for key in self._features}
        gone = [decision.id for decision in saved.in_force if decision.model not in models]
        return self._ended(self._decisions.end(gone, now, "no longer configured")) if gone else []


def _again(known: Decision, asked: Asked) -> DecisionMade:
    """The same asked again. Raises RefusedError where its id stands for another."""
    if known.asked != asked:
        raise RefusedError(Refusal.CONFLICT, f"{asked.id} is the id of another decision")
    return DecisionMade(known, repeated=True)


def features_in(alert: AlertSeen) -> list[str]:
    """Every feature that is part of an alert, or was."""
    return list(dict.fromkeys(each.feature for each in (*alert.evidence, *alert.about.members)))


def features_of(spec: SeriesSpec) -> tuple[str, ...]:
    """What can be decided of in a series: its features, its rows, which of them repeat an id, how requests are served, and the metrics that are watched."""
    decision = None if spec.performance is None else spec.performance.decision
    metrics = dict.fromkeys(metric_feature(each.metric) for each in (decision.judges if decision else ()))
    return *spec.reference.names, volume.FEATURE, duplicates.FEATURE, *spec.judging.service_names, *metrics
