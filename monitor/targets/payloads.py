"""From facts to what is said: bodies, and ids that are the same whenever the same thing is said."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from monitor.alerting.episodes import Evidence
from monitor.alerting.retraining import RetrainOutcome
from monitor.explain.words import summary
from monitor.facts import AlertChanged, Fact, RetrainDecided
from monitor.store.sqlite import Notification
from monitor.stream.events import Nanos

RETRAIN = "model.retrain.requested"
FIRING = "model.alert.firing"
RESOLVED = "model.alert.resolved"
MOST_EVIDENCE = 50  # features
MOST_BYTES = 17_000  # of evidence: with what is around it a body stays under the 20 kB that Standard Webhooks asks for
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A webhook's name and the types it wants; `*` is all."""

    name: str
    types: frozenset[str]

    def wants(self, kind: str) -> bool:
        """Whether it is to be told of this type."""
        return kind in self.types or "*" in self.types


@dataclass(frozen=True, slots=True)
class Sender:
    """Who speaks: what every body says of us."""

    config_hash: str
    version: str


def rfc3339(nanos: Nanos) -> str:
    """Nanoseconds as RFC 3339 UTC text, with a fraction only where there is one."""
    return (EPOCH + timedelta(microseconds=nanos // 1_000)).isoformat().replace("+00:00", "Z")


def identity(alert: AlertChanged, kind: str) -> str:
    """The id of a notification: a hash of what is said, so that a replay or a lost state says it under the same id."""
    said = msgspec.json.encode([alert.key.model, alert.key.version, alert.rule, alert.since, kind])
    return hashlib.sha256(said).hexdigest()[:32]


def notifications(facts: Iterable[Fact], subscribers: Sequence[Subscriber], sender: Sender) -> list[Notification]:
    """What some facts give to say, one notification per webhook that wants it."""
    found = []
    for fact in facts:
        kind = kind_of(fact)
        if kind is None:
            continue
        assert isinstance(fact, AlertChanged | RetrainDecided)
        alert = fact.alert if isinstance(fact, RetrainDecided) else fact
        name = identity(alert, kind)
        body = msgspec.json.encode(body_of(fact, alert, kind, name, sender))
        subject = f"{alert.key}/{alert.rule}"
        found += [
            Notification(subscriber.name, name, kind, subject, body, alert.window.end)
            for subscriber in subscribers
            if subscriber.wants(kind)
        ]
    return found


def kind_of(fact: Fact) -> str | None:
    """The type of notification a fact asks for; None for most."""
    match fact:
        case RetrainDecided(outcome=RetrainOutcome.REQUESTED):
            return RETRAIN
        case AlertChanged(opened=True):
            return FIRING
        case AlertChanged(closed=True):
            return RESOLVED
        case _:
            return None


def body_of(
    fact: AlertChanged | RetrainDecided, alert: AlertChanged, kind: str, name: str, sender: Sender
) -> dict[str, Any]:
    """The JSON body of a notification."""
    evidence = evidence_items(alert.evidence)
    data: dict[str, Any] = {
        "model": alert.key.model,
        "model_version": alert.key.version,
        "reason": "drift",
        "severity": alert.severity.value,
        "alert": {"rule": alert.rule, "since": rfc3339(alert.since), "episode": alert.episode},
        "window": {
            "start": rfc3339(alert.window.start),
            "end": rfc3339(alert.window.end),
            "rows": alert.window.rows,
        },
        "evidence": evidence,
        "evidence_total": len(alert.evidence),
        "reference": {"hash": alert.reference},
        "config_hash": sender.config_hash,
        "driftd_version": sender.version,
        "summary": summary(alert),
    }
    if alert.calibration:
        data["calibration"] = alert.calibration
    if omitted := len(alert.evidence) - len(evidence):
        data["evidence_omitted"] = omitted
    if isinstance(fact, RetrainDecided):
        data = {"decision_id": name, **data}
        data["data_range"] = {"from": rfc3339(fact.data_from), "to": rfc3339(fact.data_to)}
    return {"type": kind, "timestamp": rfc3339(alert.window.end), "data": data}


def evidence_items(evidence: Sequence[Evidence]) -> list[dict[str, Any]]:
    """The first features' evidence as JSON, as many as there is room for."""
    found: list[dict[str, Any]] = []
    size = 0
    for one in evidence[:MOST_EVIDENCE]:
        item = evidence_item(one)
        size += len(msgspec.json.encode(item)) + 1
        if size > MOST_BYTES:
            break
        found.append(item)
    return found


def evidence_item(one: Evidence) -> dict[str, Any]:
    """One feature's evidence as JSON; what is not known is left out, but for the p-value, which is null."""
    item = {
        "feature": one.feature,
        "detector": one.detector,
        "score": one.score,
        "threshold": one.threshold,
        "pvalue": one.pvalue,
        "rows": one.rows,
    }
    more = {
        "chart": one.chart or None,
        "since": None if one.since is None else rfc3339(one.since),
        "effect": one.effect,
        "resolution": one.resolution,
        "words": one.words or None,
    }
    return item | {name: value for name, value in more.items() if value is not None}
