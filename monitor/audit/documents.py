"""Traces and facts as plain JSON values, and back: every float as it was, nothing that decides nothing."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from monitor.alerting.episodes import Evidence, RuleState
from monitor.alerting.incidents import Incident
from monitor.audit.chain import canonical
from monitor.facts import AlertChanged, AlertEscalated
from monitor.series.traces import Called, IncidentTrace, RetrainTrace, RuleTrace, untraced

TRACES: dict[str, type[IncidentTrace | RuleTrace | RetrainTrace]] = {
    "incident": IncidentTrace,
    "rule": RuleTrace,
    "retraining": RetrainTrace,
}
Trace = IncidentTrace | RuleTrace | RetrainTrace
T = TypeVar("T")


class NotFiniteError(ValueError):
    """A number that JSON does not have."""


def trace_document(trace: Trace) -> dict[str, Any]:
    """A trace in plain values. Raises NotFiniteError."""
    name = next(name for name, kind in TRACES.items() if isinstance(trace, kind))
    if not isinstance(trace, RuleTrace):
        return {"of": name, **plain(bare(trace))}
    counts = msgspec.to_builtins(
        [each.plain() for each in trace.counted], order="sorted"
    )  # of a reference, whose numbers are finite: there are many
    return {"of": name, **plain(bare(replace(trace, counted=()))), "counted": counts}


def trace_of(document: Mapping[str, Any]) -> Trace:
    """A trace as it was. Raises msgspec.ValidationError and KeyError."""
    rest = {name: value for name, value in document.items() if name != "of"}
    return msgspec.convert(rest, TRACES[document["of"]])


def digest_of(fact: AlertChanged | AlertEscalated) -> str:
    """A hash of all that a fact says, words apart, and under whose name it is told: that is decided after it."""
    told = plain(wordless(fact))
    told.get("alert", told).pop("instance")
    return hashlib.sha256(canonical(told)).hexdigest()


def plain(value: Any) -> Any:
    """Plain values. Raises NotFiniteError."""
    found = msgspec.to_builtins(value, order="sorted")
    try:
        json.dumps(found, allow_nan=False)  # the quickest way to look at every number
    except ValueError as error:
        raise NotFiniteError(str(error)) from None
    return found


# --- without what decides nothing -------------------------------------------------------------------------------------


def wordless(fact: AlertChanged | AlertEscalated) -> AlertChanged | AlertEscalated:
    """The fact without words, the counts that they are made of, and its trace."""
    fact = untraced(fact)
    if isinstance(fact, AlertEscalated):
        alert = wordless(fact.alert)
        assert isinstance(alert, AlertChanged)
        return replace(fact, alert=alert, new=tuple(map(_wordless, fact.new)))
    about = replace(fact.about, members=tuple(map(_wordless, fact.about.members)))
    return replace(fact, evidence=tuple(map(_wordless, fact.evidence)), about=about)


def bare(trace: Trace) -> Trace:
    """The trace without words and their counts, and with those rules alone that it needs."""
    match trace:
        case IncidentTrace():
            called = tuple(map(_bare_call, trace.called))
            named = {name for each in trace.called for name in each.scores}
            return replace(trace, before=_bare_incident(trace.before, named), called=called, said=None)
        case RuleTrace():
            return replace(trace, before=_needed(trace.before, trace.scores), scores=dict(trace.scores), said=None)
        case RetrainTrace():
            return replace(trace, evidence=tuple(map(_wordless, trace.evidence)))


def _wordless(evidence: Evidence) -> Evidence:
    return replace(evidence, words="", counts=b"") if evidence.words or evidence.counts else evidence


def _bare_call(called: Called) -> Called:
    return replace(
        called,
        since=dict(called.since),
        states=dict(called.states),
        scores=dict(called.scores),
        evidence=tuple(map(_wordless, called.evidence)),
    )


def _bare_incident(incident: Incident, named: Mapping[str, Any] | set[str]) -> Incident:
    return replace(
        incident,
        state=_needed(incident.state, named),
        evidence=tuple(map(_wordless, incident.evidence)),
        members={name: _wordless(each) for name, each in incident.members.items()},
        news=tuple(map(_wordless, incident.news)),
    )


def _needed(state: RuleState, named: Mapping[str, Any] | set[str]) -> RuleState:
    """The state with the rules of what its alerts are of, and of what is named."""
    wanted = state.alerts.keys() | set(named)
    return replace(state, rules={name: state.rules[name] for name in sorted(wanted) if name in state.rules})
