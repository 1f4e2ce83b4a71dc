"""What people decided, as routes and log lines show it."""

from collections.abc import Iterable, Iterator
from typing import Any

from monitor.alerting.decisions import (
    Accept,
    Ack,
    Announce,
    Approve,
    Decision,
    End,
    PastDecision,
    Reject,
    Silence,
    Trigger,
    Wish,
    acknowledgement,
    is_silenced,
)
from monitor.alerting.retraining import RetrainOutcome
from monitor.alerting.runs import OpenRequest
from monitor.facts import AlertChanged, AlertSeen, RetrainDecided
from monitor.runtime.board import Board
from monitor.stream.events import Nanos
from monitor.targets.payloads import rfc3339
from monitor.targets.retraining import run_item

ENDED = frozenset(
    {RetrainOutcome.REQUESTED, RetrainOutcome.REJECTED, RetrainOutcome.EXPIRED}
)  # of what waited for approval


def listed(in_force: Iterable[Decision], past: Iterable[PastDecision]) -> Iterator[dict[str, Any]]:
    """`GET /api/v1/decisions`: those in force, then the last that are over; the newest first."""
    for decision in reversed([*in_force]):
        yield shown(decision)
    for each in reversed([*past]):
        yield shown(each.decision) | {"ended_at": rfc3339(each.ended_at), "ended": each.why}


def shown(decision: Decision) -> dict[str, Any]:
    """One decision; what it is about, by its kind."""
    asked = decision.asked
    return {
        "id": decision.id,
        "decision": asked.kind,
        "model": decision.model,
        **about(asked.wish),
        "until": None if decision.until is None else rfc3339(decision.until),
        "by": asked.by,
        "reason": asked.reason,
        "made_at": rfc3339(decision.made_at),
        "event_time": None if decision.event_time is None else rfc3339(decision.event_time),
        "ended_at": None,
        "ended": None,
    }


def about(wish: Wish) -> dict[str, Any]:
    """What a decision is about, beside its model."""
    match wish:
        case Accept(scope=scope) | Silence(scope=scope):
            return {"version": scope.version, "features": list(scope.features)}
        case Ack(incident=incident):
            return {"incident": incident}
        case End(decision=name):
            return {"ends": name}
        case Approve(request=name) | Reject(request=name):
            return {"request": name}
        case Trigger(force=force):
            return {"force": force}
        case Announce(version=version, trained_at=trained_at, reference=place):
            trained = None if trained_at is None else rfc3339(trained_at)
            return {"version": version, "trained_at": trained, "reference": place or None}


def decided(board: Board, alert: AlertSeen | AlertChanged) -> dict[str, Any]:
    """What people have decided of an alert: whether nobody is told, and who looks after it or did."""
    open_now = isinstance(alert, AlertSeen)
    past = [] if open_now else [each.decision for each in reversed(board.past_decisions)]
    ack = acknowledgement([*board.decisions, *past], alert.incident)
    features = [entry.feature for entry in alert.evidence]
    return {
        "silenced": open_now and is_silenced(board.decisions, alert.key, features),
        "acknowledged": ack and {"by": ack.asked.by, "at": rfc3339(ack.made_at), "reason": ack.asked.reason},
    }


# --- retraining -------------------------------------------------------------------------------------------------------


def asked_lately(board: Board) -> Iterator[dict[str, Any]]:
    """`GET /api/v1/retraining`: the last requests and wishes for one, those that wait for approval first, then the newest."""
    last: dict[str, RetrainDecided] = {}
    made = {each.id: each for each in board.requests_made}
    for each in board.retrains:
        if each.wish is None:
            continue
        before = last.pop(each.wish.id, None)
        waits = before is not None and before.outcome is RetrainOutcome.PENDING and each.outcome not in ENDED
        last[each.wish.id] = before if waits and before is not None else each
    found = reversed(last.values())
    for each in sorted(found, key=lambda each: each.outcome is not RetrainOutcome.PENDING):
        yield asked_item(each, made.get(each.wish.id if each.wish else ""), board.watermark)


def asked_item(decided: RetrainDecided, made: OpenRequest | None, event_time: Nanos | None) -> dict[str, Any]:
    """One of them. Times are event time. `made`: what is known of its runs, of the last requests."""
    wish = decided.wish
    assert wish is not None
    ended = made is not None and (made.outcome or made.version)
    return {
        "id": wish.id,
        "model": wish.key.model,
        "version": wish.key.version,
        "reason": wish.reason,
        "outcome": decided.outcome.value,
        "because": decided.outcome.words,
        "at": rfc3339(wish.at),
        "incident": wish.incident or None,
        "rule": wish.rule or None,
        "data_range": {"from": rfc3339(decided.data_from), "to": rfc3339(decided.data_to)},
        "expires_at": None if decided.expires_at is None else rfc3339(decided.expires_at),
        "by": decided.by or None,
        "why": decided.why or None,
        "in_flight": made is not None and made.is_in_flight(event_time),
        "ended": {
            "outcome": made.outcome,
            "at": None if made.ended_at is None else rfc3339(made.ended_at),
            "new_version": made.version or None,
        }
        if made is not None and ended
        else None,
        "runs": [] if made is None else [run_item(each) for each in made.runs],
    }
