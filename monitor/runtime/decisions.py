"""What people decided, as routes and log lines show it."""

from collections.abc import Iterable, Iterator
from typing import Any

from monitor.alerting.decisions import (
    Accept,
    Ack,
    Decision,
    End,
    PastDecision,
    Silence,
    Wish,
    acknowledgement,
    is_silenced,
)
from monitor.facts import AlertChanged, AlertSeen
from monitor.runtime.board import Board
from monitor.targets.payloads import rfc3339


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
