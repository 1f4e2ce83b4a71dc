"""Facts as entries of the audit log: which are written down, which are not and why, and what each says."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from monitor import facts
from monitor.alerting.decisions import Ack, Asked
from monitor.alerting.episodes import Evidence
from monitor.alerting.runs import OpenRequest
from monitor.audit.chain import MOST_BYTES, AuditNote, canonical
from monitor.audit.documents import NotFiniteError, digest_of, plain, trace_document
from monitor.facts import (
    AlertChanged,
    AlertEscalated,
    CalibrationLearnt,
    ChartsTakenOver,
    ClockSet,
    DecisionEnded,
    DecisionMade,
    DecisionRefused,
    Fact,
    LevelChanged,
    OffsetsLost,
    PositionSuspected,
    RecordsSkipped,
    ReportMade,
    RetrainDecided,
    RetrainEnded,
    RetrainRunEnded,
    ServiceLearnt,
    StateLost,
    StateRecovered,
    StateReset,
    VersionChanged,
    VersionSeen,
)
from monitor.stream.events import Nanos, SeriesKey

STARTED = "daemon.started"
LARGE = ("counted", "judged", "sums")  # of inputs, in the order in which they are left out
MOST_EVIDENCE = 20  # features of an alert that an entry names
ELSEWHERE: Mapping[type[Fact], str] = {  # written down, but not from the fact
    facts.DeliveryTried: "delivered, present, refused and dead in the transaction that ends the delivery; a later try ends nothing",
    facts.NoticesUnclaimed: "what is owed stands in the outbox, and how each of them ends is written down",
    facts.DeliveryForgotten: "that it was given up is written down, when it was",
    facts.OutboxDecided: "in the transaction that has a notice tried again, or dropped",
    facts.DaemonStarted: "with what has changed in the configuration since the last start",
}
PER_WINDOW = "comes with every window, poll or scrape: what changes of it is in the entry of an alert"
OPERATION = "how the daemon itself runs, for metrics and logs: nothing about a model is decided"
LEFT_OUT: Mapping[type[Fact], str] = {
    facts.AlertSeen: PER_WINDOW,
    facts.WindowClosed: PER_WINDOW,
    facts.WindowScored: PER_WINDOW,
    facts.FeaturesTracked: PER_WINDOW,
    facts.SubgroupCharted: PER_WINDOW,
    facts.PerformanceJudged: PER_WINDOW,
    facts.PerformanceEstimated: PER_WINDOW,
    facts.ServiceJudged: PER_WINDOW,
    facts.BaselineTrails: PER_WINDOW,
    facts.ContractBroken: PER_WINDOW,
    facts.FewRows: PER_WINDOW,
    facts.DetectorFailed: PER_WINDOW,
    facts.RateImproved: "good to know, no alert",
    facts.SchemaChanged: "the alert that it opens or ends says the same",
    facts.CalibrationStands: "the alert of the rule `calibration` says the same",
    facts.CalibrationLearning: "nothing is learnt yet",
    facts.ServiceLearning: "nothing is learnt yet",
    facts.ReferenceStoodIn: "the start's own entry has the reference's hash",
    facts.ReferenceAbsent: "tried again; how the version is judged meanwhile is in the entry of it",
    facts.FirstRowsCounted: "the version's change says the same",
    facts.VersionsStand: "repeats what was written down when it was heard of",
    facts.RunsStand: "repeats what was written down when it ended",
    facts.RetrainRunUnseen: "no end, asked again",
    facts.RegistryAnswered: OPERATION,
    facts.ModelTallied: PER_WINDOW,
    facts.ApprovalLinkUsed: "what was decided by it is a decision as any other; to look decides nothing",
    facts.RequestsStand: "repeats what was written down when it was decided",
    facts.DecisionsStand: "repeats what was written down when it was decided",
    facts.EventsCounted: PER_WINDOW,
    facts.EventsAhead: PER_WINDOW,
    facts.EventsRejected: PER_WINDOW,
    facts.FieldsRejected: PER_WINDOW,
    facts.DeadLettersKept: PER_WINDOW,
    facts.DeadLettersBlocked: "what cannot be saved cannot be written down",
    facts.DeadLettersDropped: OPERATION,
    facts.DeadLettersSized: OPERATION,
    facts.RequestsServed: PER_WINDOW,
    facts.JoinCounted: PER_WINDOW,
    facts.HalvesCounted: PER_WINDOW,
    facts.LabelDelays: PER_WINDOW,
    facts.LateShare: "the alert of the rule `lateness` says the same",
    facts.WatermarkAdvanced: PER_WINDOW,
    facts.ReaderChosen: OPERATION,
    facts.PartitionsAssigned: OPERATION,
    facts.PartitionsHeld: OPERATION,
    facts.ReplicaAssigned: OPERATION,
    facts.CountsQuarantined: OPERATION,
    facts.CountsMissing: OPERATION,
    facts.CountsComplete: OPERATION,
    facts.PartitionsUnreachable: "the alert of the rule `reachability` says the same",
    facts.TopicsMissing: OPERATION,
    facts.RecordsWaiting: OPERATION,
    facts.OffsetsExpired: "nothing of ours is lost",
    facts.ForeignCommit: OPERATION,
    facts.SourceTroubled: OPERATION,
    facts.SourceAnswered: OPERATION,
    facts.LagMeasured: OPERATION,
    facts.PanesOpen: OPERATION,
    facts.CheckpointSaved: OPERATION,
    facts.AuditHead: "says how far this log is",
    facts.StateBegun: "the entry of the start is the first",
    facts.BackupFailed: OPERATION,
    facts.WebAccessChanged: OPERATION,
    facts.CheckpointFailed: "what cannot be saved cannot be written down",
    facts.DaemonStopped: OPERATION,
}


def audited(told: Iterable[Fact], now: Nanos) -> list[AuditNote]:
    """What of these facts is written down, at this wall time."""
    notes = (WRITTEN[type(fact)](fact, now) for fact in told if type(fact) in WRITTEN)
    return [bounded(note) for note in notes if note is not None]


def bounded(note: AuditNote) -> AuditNote:
    """The entry no larger than it may be: inputs that are larger are left out, and that is said."""
    size = len(canonical(note))
    if size <= MOST_BYTES:
        return note
    inputs = note.body.get("inputs") or {}
    for name in LARGE:
        if inputs.get(name):  # the decision at least, without what its scores are computed from
            body = {
                **note.body,
                "inputs": {**inputs, name: []},
                "left_out": f"{name} of scores, with which it had {size} bytes",
            }
            return bounded(msgspec.structs.replace(note, body=body))
    body = {**note.body, "inputs": None, "left_out": f"inputs of {size} bytes, more than {MOST_BYTES}"}
    return msgspec.structs.replace(note, body=body)


# --- alerts -----------------------------------------------------------------------------------------------------------


def _of_alert(fact: AlertChanged, now: Nanos) -> AuditNote:
    kind = "alert.opened" if fact.opened else "alert.closed" if fact.closed else "alert.changed"
    return _alert_note(kind, fact, {}, now)


def _of_escalation(fact: AlertEscalated, now: Nanos) -> AuditNote:
    more = {"severity_before": fact.severity_before.value, "new": [each.feature for each in fact.new[:MOST_EVIDENCE]]}
    return _alert_note("alert.escalated", fact.alert, more, now)


def _alert_note(kind: str, alert: AlertChanged, more: Mapping[str, Any], now: Nanos) -> AuditNote:
    body = {
        "rule": alert.rule,
        "about": alert.kind.value,
        "severity": alert.severity.value,
        "before": alert.before.name.lower(),
        "after": alert.after.name.lower(),
        "since": alert.since,
        "onset": alert.onset,
        "episode": alert.episode,
        "window": plain(alert.window),
        "reference": alert.reference,
        "calibration": alert.calibration,
        "settled": list(alert.about.settled[:MOST_EVIDENCE]),
        "silent": list(alert.about.silent[:MOST_EVIDENCE]),
        "features": len(alert.evidence),
        "evidence": [_evidence(each) for each in alert.evidence[:MOST_EVIDENCE]],
        **more,
        **_inputs(alert.trace),
    }
    return _note(now, kind, alert.key, body, alert.window.end, incident=alert.incident)


def _evidence(evidence: Evidence) -> dict[str, Any]:
    """A feature's part in an alert, as far as people read it."""
    held = msgspec.to_builtins(evidence, order="sorted")
    return {name: value for name, value in held.items() if name != "counts" and value not in (None, "", [], False)}


def _inputs(trace: Any) -> dict[str, Any]:
    """What a decision was made from, and a hash of what was decided; or why it is not there."""
    if trace is None:
        return {
            "inputs": None,
            "left_out": "ended without a judgement: its rule or its model is gone, or it was told at a restart",
        }
    try:
        return {"inputs": trace_document(trace), "result": digest_of(trace.said)}
    except NotFiniteError as error:
        return {"inputs": None, "left_out": str(error)}


def _of_level(fact: LevelChanged, now: Nanos) -> AuditNote:
    body = {"feature": fact.feature, "step": fact.step.value, "until": fact.until}
    return _note(now, "level.changed", fact.key, body, fact.at)


# --- retraining -------------------------------------------------------------------------------------------------------


def _of_retraining(fact: RetrainDecided, now: Nanos) -> AuditNote:
    wish = fact.wish
    body = {
        "outcome": fact.outcome.value,
        "why": fact.outcome.words,
        "reason": fact.reason,
        "rule": fact.rule or ("" if wish is None else wish.rule),
        "data_from": fact.data_from,
        "data_to": fact.data_to,
        "offsets": [[each.partition.topic, each.partition.index, each.first, each.end] for each in fact.offsets],
        "whole": fact.whole,
        "expires_at": fact.expires_at,
        "reference": "" if wish is None else wish.reference,
        "by": fact.by,
        "said": fact.why,
        "inputs": None if fact.trace is None else trace_document(fact.trace),
    }
    incident, name = ("", "") if wish is None else (wish.incident, wish.id)
    kind = f"retrain.{'suppressed' if fact.outcome.suppressed else fact.outcome.value.partition('_')[0]}"
    return _note(now, kind, fact.key, body, fact.at, incident=incident, decision=name)


def _of_run(fact: RetrainRunEnded, now: Nanos) -> AuditNote:
    found = fact.run.found
    body = {"outcome": found.state.value, "run": found.run, "url": found.url, "type": fact.run.type}
    return _of_request("retrain.run_ended", fact.request, body, now, fact.run.target)


def _of_request_ended(fact: RetrainEnded, now: Nanos) -> AuditNote:
    body = {"outcome": fact.request.outcome, "new_version": fact.request.version, "requested_at": fact.request.at}
    return _of_request("retrain.ended", fact.request, body, now)


def _of_request(kind: str, request: OpenRequest, body: dict[str, Any], now: Nanos, target: str = "") -> AuditNote:
    note = _note(now, kind, request.key, body, incident=request.incident, decision=request.id)
    return msgspec.structs.replace(note, target=target)


# --- versions ---------------------------------------------------------------------------------------------------------


def _of_version(fact: VersionSeen | VersionChanged, now: Nanos) -> AuditNote:
    known = fact.known
    body = {
        "source": known.source.value,
        "judged": known.standing.value,
        "reference": known.reference,
        "place": known.place,
        "rows": known.rows,
        "trained_at": known.trained_at,
        "why": known.why,
    }
    kind = "version.seen" if isinstance(fact, VersionSeen) else "version.changed"
    return AuditNote(now, kind, body, event_time=known.seen_at, model=known.model, version=known.version)


def _of_taken_over(fact: ChartsTakenOver, now: Nanos) -> AuditNote:
    body = {"before": fact.before, "features": len(fact.features)}
    return _note(now, "charts.taken_over", fact.key, body, fact.at)


def _of_report(fact: ReportMade, now: Nanos) -> AuditNote:
    return AuditNote(now, "report.made", {"due": fact.due}, model=fact.model, decision=fact.id)


# --- people -----------------------------------------------------------------------------------------------------------


def _of_decision(fact: DecisionMade, now: Nanos) -> AuditNote | None:
    if fact.repeated:
        return None
    made = fact.decision
    body = {**_asked(made.asked), "until": made.until, "notes": list(fact.notes)}
    return AuditNote(
        now,
        "decision.made",
        body,
        event_time=made.event_time,
        model=made.model,
        incident=_incident(made.asked),
        decision=made.id,
    )


def _of_refusal(fact: DecisionRefused, now: Nanos) -> AuditNote:
    body = {**_asked(fact.asked), "refused": fact.refusal.value, "why": fact.why}
    return AuditNote(now, "decision.refused", body, incident=_incident(fact.asked), decision=fact.asked.id)


def _of_end(fact: DecisionEnded, now: Nanos) -> AuditNote:
    ended = fact.past.decision
    body = {**_asked(ended.asked), "ended_at": fact.past.ended_at, "ended": fact.past.why}
    return AuditNote(now, "decision.ended", body, model=ended.model, incident=_incident(ended.asked), decision=ended.id)


def _asked(asked: Asked) -> dict[str, Any]:
    return {"asked": plain(asked.wish), "by": asked.by, "reason": asked.reason}


def _incident(asked: Asked) -> str:
    return asked.wish.incident if isinstance(asked.wish, Ack) else ""


# --- what judges and what is judged -----------------------------------------------------------------------------------


def _of_reset(fact: StateReset, now: Nanos) -> AuditNote:
    return _note(now, "state.reset", fact.key, {"cause": fact.cause})


def _of_learnt(fact: CalibrationLearnt | ServiceLearnt, now: Nanos) -> AuditNote:
    kind = "service.learnt" if isinstance(fact, ServiceLearnt) else "calibration.learnt"
    body = {"calibration": fact.calibration, "before": fact.before, "after": fact.after, "windows": fact.windows}
    return _note(now, kind, fact.key, body, fact.at)


def _of_recovery(fact: StateRecovered, now: Nanos) -> AuditNote:
    return AuditNote(now, "state.recovered", {"cause": fact.cause, "found": fact.found, "how": fact.how})


def _of_lost_state(fact: StateLost, now: Nanos) -> AuditNote:
    body = {"topic": fact.partition.topic, "partition": fact.partition.index}
    return AuditNote(now, "state.lost", {**body, "committed": fact.committed, "resumed": fact.resumed})


def _of_lost(fact: OffsetsLost, now: Nanos) -> AuditNote:
    body = {"topic": fact.partition.topic, "partition": fact.partition.index}
    return AuditNote(now, "events.lost", {**body, "wanted": fact.wanted, "resumed": fact.resumed, "cause": fact.cause})


def _of_skipped(fact: RecordsSkipped, now: Nanos) -> AuditNote:
    body = {"topic": fact.partition.topic, "partition": fact.partition.index}
    return AuditNote(now, "events.skipped", {**body, "first": fact.first, "last": fact.last, "cause": fact.cause})


def _of_suspicion(fact: PositionSuspected, now: Nanos) -> AuditNote:
    body = {"topic": fact.partition.topic, "partition": fact.partition.index}
    return AuditNote(now, "position.suspected", {**body, "offset": fact.offset, "deaths": fact.deaths})


def _of_clock(fact: ClockSet, now: Nanos) -> AuditNote:
    return AuditNote(now, "clock.set", {"by": fact.by, "behind": fact.behind})


def _note(
    now: Nanos,
    kind: str,
    key: SeriesKey,
    body: dict[str, Any],
    at: Nanos | None = None,
    *,
    incident: str = "",
    decision: str = "",
) -> AuditNote:
    body = body | ({"segment": key.segment} if key.segment else {})
    return AuditNote(
        now, kind, body, event_time=at, model=key.model, version=key.version, incident=incident, decision=decision
    )


WRITTEN: Mapping[type[Fact], Callable[[Any, Nanos], AuditNote | None]] = {
    AlertChanged: _of_alert,
    AlertEscalated: _of_escalation,
    LevelChanged: _of_level,
    RetrainDecided: _of_retraining,
    DecisionMade: _of_decision,
    DecisionRefused: _of_refusal,
    DecisionEnded: _of_end,
    StateReset: _of_reset,
    StateRecovered: _of_recovery,
    StateLost: _of_lost_state,
    CalibrationLearnt: _of_learnt,
    ServiceLearnt: _of_learnt,
    OffsetsLost: _of_lost,
    RecordsSkipped: _of_skipped,
    PositionSuspected: _of_suspicion,
    ClockSet: _of_clock,
    RetrainRunEnded: _of_run,
    RetrainEnded: _of_request_ended,
    VersionSeen: _of_version,
    VersionChanged: _of_version,
    ChartsTakenOver: _of_taken_over,
    ReportMade: _of_report,
}


# --- what is committed by itself --------------------------------------------------------------------------------------


def delivery_note(
    outcome: str, target: str, notice: str, type_: str, subject: str, now: Nanos, more: Mapping[str, Any]
) -> AuditNote:
    """What became of a notice: delivered, present, refused, dead; or that a person had it tried again, or dropped."""
    body = {"notice": type_, "subject": subject, **more}
    return AuditNote(now, f"delivery.{outcome}", body, decision=notice, target=target)


def start_note(
    version: str, config_hash: str, sections: Mapping[str, str], before: AuditNote | None, now: Nanos
) -> AuditNote:
    """That a daemon has begun, and which sections of its configuration are other than at the last start, as far as that is known."""
    known = None if before is None else before.body.get("sections", {})
    changed = (
        None
        if known is None
        else sorted(name for name in known.keys() | sections.keys() if known.get(name) != sections.get(name))
    )
    body = {"version": version, "config_hash": config_hash, "sections": dict(sections), "changed": changed}
    return AuditNote(now, STARTED, body)
