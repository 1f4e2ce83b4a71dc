"""From facts to notices: what is said, and ids that are the same whenever the same thing is said."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from detectors.charts import IncidentKind
from monitor.alerting.episodes import Evidence, FirstOffset
from monitor.alerting.ids import notice_id
from monitor.alerting.incidents import Standing
from monitor.alerting.metrics import MetricEvidence
from monitor.alerting.retraining import reason_of
from monitor.alerting.rules import Severity
from monitor.explain.words import escalation, summary
from monitor.facts import AlertChanged, AlertEscalated, AlertSeen, Fact, RetrainDecided, RetrainEnded
from monitor.store.outbox import AddressedNotice, Notice
from monitor.store.standing import Course, place_of
from monitor.stream.events import SeriesKey
from monitor.targets.base import REPORT, Subscriber
from monitor.targets.retraining import (
    COMPLETED,
    FAILED,
    PENDING,
    RETRAIN,
    SUPPRESSED,
    asked_item,
    ended_notice,
    kind_of,
    plain_item,
    request_id,
    rfc3339,
)

__all__ = ["COMPLETED", "FAILED", "PENDING", "REPORT", "RETRAIN", "SUPPRESSED", "rfc3339"]  # of those from elsewhere

FIRING = "model.alert.firing"
RESOLVED = "model.alert.resolved"
ESCALATED = "model.alert.escalated"
SETTLED = "model.alert.settled"
NOBODY = ""  # of the types: an end that is written down and not said
MOST_EVIDENCE = 50  # features
MOST_OFFSETS = 8  # partitions of a feature, the earliest
MOST_BYTES = 17_000  # of evidence: with what is around it a body stays under the 20 kB that Standard Webhooks asks for


@dataclass(frozen=True, slots=True)
class Sender:
    """Who speaks: what every notice says of us. `page` is where others reach our status page, None where nobody says."""

    config_hash: str
    version: str
    page: str | None = None
    approvals: Callable[[str], Mapping[str, str]] | None = (
        None  # links that decide on a request, by its id; None: there are none
    )
    instance: str = ""  # which driftd speaks; empty where it has no name

    def said(self, data: Mapping[str, Any], alert: AlertChanged | None) -> bytes:
        """What is said, as JSON, with who says it: of an alert whoever opened it."""
        instance = self.instance if alert is None else alert.instance
        return msgspec.json.encode({**data, "instance": instance} if instance else data)


def incident_url(page: str | None, incident: str) -> str | None:
    """The page of an incident; None where nobody says where our pages are.

    >>> incident_url("https://drift.internal", "5e9")
    'https://drift.internal/incident?id=5e9'
    """
    return None if page is None else f"{page}/incident?id={quote(incident, safe='')}"


class Speaker(msgspec.Struct):
    """Who says a notice, as far as that is told."""

    instance: str = ""


def source_of(notice: Notice) -> str:
    """The source of a notice, as CloudEvents have it.

    >>> source_of(Notice("5e9", FIRING, "churn/3/drift", 0, b'{"instance":"eu"}'))
    '/driftd/eu/churn/3/drift'
    """
    instance = msgspec.json.decode(notice.data, type=Speaker).instance
    return "/driftd/" + quote(f"{instance}/{notice.subject}" if instance else notice.subject)


def identity(alert: AlertChanged | AlertSeen, kind: str) -> str:
    """The id of a notification: a hash of what is said, so that a replay or a lost state says it under the same id."""
    again = isinstance(alert, AlertChanged) and kind in {ESCALATED, SETTLED}
    at = (
        alert.window.end if again and isinstance(alert, AlertChanged) else None
    )  # of one alert these may be said more than once
    return notice_id(alert.key, alert.rule, alert.kind, alert.since, kind, at, alert.instance)


def notices(facts: Iterable[Fact], subscribers: Sequence[Subscriber], sender: Sender) -> list[AddressedNotice]:
    """What some facts give to say, each with the targets that want it. What nobody wants is not said."""
    addressed: list[AddressedNotice] = []
    for fact in facts:
        if isinstance(fact, RetrainEnded):
            addressed += _of_end(fact, subscribers, sender)
        elif kinds := kinds_of(fact):
            assert isinstance(fact, AlertChanged | AlertEscalated | RetrainDecided)
            addressed += _addressed(fact, kinds, subscribers, sender)
    return addressed


def _addressed(
    fact: AlertChanged | AlertEscalated | RetrainDecided,
    kinds: Sequence[str],
    subscribers: Sequence[Subscriber],
    sender: Sender,
) -> list[AddressedNotice]:
    """What one fact gives to say. Who hears of severities hears of the end of what it was told of, however bad that is by then."""
    alert = fact if isinstance(fact, AlertChanged) else fact.alert
    if alert is None:  # a schedule or a person wants retraining
        assert isinstance(fact, RetrainDecided)
        return _of_model(fact, kinds, subscribers, sender)
    told: dict[str, tuple[list[Subscriber], list[Subscriber]]] = {}
    ended = kinds_end(kinds)
    for each in subscribers:
        if not each.routing.takes(alert.key.model, alert.kind.value):
            continue
        kind = next((kind for kind in kinds if each.wants(kind)), None)
        if kind is None and not (ended and each.is_remembered):
            continue
        outright = each.routing.takes_severity(alert.severity.value) and not (ended and each.routing.by_severity)
        told.setdefault(kind or NOBODY, ([], []))[not outright].append(each)
    return [
        AddressedNotice(
            notice(fact, kinds[-1] if kind == NOBODY else kind, sender),
            () if kind == NOBODY else tuple(each.name for each in outright),
            () if kind == NOBODY else tuple(each.name for each in if_told),
            course_of(fact, alert, [*outright, *if_told]),
        )
        for kind, (outright, if_told) in told.items()
    ]


def _of_model(
    fact: RetrainDecided, kinds: Sequence[str], subscribers: Sequence[Subscriber], sender: Sender
) -> list[AddressedNotice]:
    """What is said of a wish that no incident is behind: whoever hears of the model hears of it."""
    told: dict[str, list[str]] = {}
    for each in subscribers:
        kind = next((kind for kind in kinds if each.wants(kind)), None)
        if kind is not None and each.routing.takes_model(fact.key.model):
            told.setdefault(kind, []).append(each.name)
    return [AddressedNotice(notice(fact, kind, sender), tuple(targets)) for kind, targets in told.items()]


def _of_end(fact: RetrainEnded, subscribers: Sequence[Subscriber], sender: Sender) -> list[AddressedNotice]:
    """What is said of a request that has ended."""
    said = ended_notice(fact, sender.config_hash, sender.version, sender.page, sender.instance)
    model = fact.request.key.model
    told = tuple(each.name for each in subscribers if each.wants(said.type) and each.routing.takes_model(model))
    return [AddressedNotice(said, told)] if told else []


def kinds_end(kinds: Sequence[str]) -> bool:
    """Whether these types of notices say that an incident has ended."""
    return RESOLVED in kinds


def course_of(
    fact: AlertChanged | AlertEscalated | RetrainDecided, alert: AlertChanged, subscribers: Sequence[Subscriber]
) -> Course | None:
    """How the incident stands by this, for those whom the state remembers; None where there are none."""
    keep = tuple(each.name for each in subscribers if each.is_remembered)
    if not keep or isinstance(fact, RetrainDecided):
        return None
    is_open = isinstance(fact, AlertEscalated) or not alert.closed
    return Course(alert.incident, place_of(str(alert.key), alert.rule, alert.kind.value), str(alert.key), is_open, keep)


def notice(fact: AlertChanged | AlertEscalated | RetrainDecided, kind: str, sender: Sender) -> Notice:
    """One notice, whoever is told."""
    if isinstance(fact, RetrainDecided):
        return retrain_notice(fact, kind, sender)
    alert = fact if isinstance(fact, AlertChanged) else fact.alert
    name = identity(alert, kind)
    data = sender.said(data_of(fact, alert, sender), alert)
    return Notice(name, kind, f"{alert.key}/{alert.rule}", alert.window.end, data)


def retrain_notice(fact: RetrainDecided, kind: str, sender: Sender) -> Notice:
    """What is said of a wish for retraining. Those that no alert asked for have a subject of their model's own."""
    alert = fact.alert
    name = request_id(fact) or identity(alert, kind) if alert is not None else request_id(fact)
    assert name is not None
    more = dict(asked_item(fact, sender.page))
    if kind == PENDING and sender.approvals is not None and fact.wish is not None:
        more["links"] = {**more.get("links", {}), **sender.approvals(fact.wish.id)}
    room = MOST_BYTES - (len(msgspec.json.encode(more.get("offsets", []))))
    data = plain_item(fact, sender.config_hash, sender.version) if alert is None else data_of(fact, alert, sender, room)
    subject = f"{fact.key}/{fact.reason}" if alert is None else f"{alert.key}/{alert.rule}"
    encoded = sender.said({"decision_id": name, **data, **more}, alert)
    return Notice(name, kind, subject, fact.at, encoded)


def kinds_of(fact: Fact) -> tuple[str, ...]:
    """The types of notification a fact asks for, none of most: each target is told the first that it wants.

    Who does not know that alerts settle is told that it is resolved.
    """
    match fact:
        case RetrainDecided(outcome=outcome):
            return (kind_of(outcome),)
        case AlertEscalated():
            return (ESCALATED,)
        case AlertChanged(opened=True):
            return (FIRING,)
        case AlertChanged(settled=True):
            return SETTLED, RESOLVED
        case AlertChanged(closed=True):
            return (RESOLVED,)
        case _:
            return ()


def data_of(
    fact: AlertChanged | AlertEscalated | RetrainDecided, alert: AlertChanged, sender: Sender, room: int = MOST_BYTES
) -> dict[str, Any]:
    """What a notice says, in the order in which it is written."""
    named = [each.feature for each in fact.new] if isinstance(fact, AlertEscalated) else []
    new = evidence_items(fact.new, MOST_BYTES // 3) if isinstance(fact, AlertEscalated) else []
    first = sorted(alert.evidence, key=lambda each: each.feature not in named) if named else alert.evidence
    evidence = evidence_items(first, room - len(msgspec.json.encode(new)))
    data: dict[str, Any] = {
        "model": alert.key.model,
        "model_version": alert.key.version,
        "reason": reason_of(alert.kind),
        "kind": alert.kind.value,
        "incident": alert.incident,
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
        "summary": escalation(fact) if isinstance(fact, AlertEscalated) else summary(alert),
    }
    if sender.page is not None:
        data["url"] = incident_url(sender.page, alert.incident)
    if new:
        data["new"] = new
    if alert.settled:
        data["settled"] = list(alert.about.settled)
    if alert.calibration:
        data["calibration"] = alert.calibration
    if omitted := len(alert.evidence) - len(evidence):
        data["evidence_omitted"] = omitted
    return data


def evidence_items(evidence: Sequence[Evidence], room: int = MOST_BYTES) -> list[dict[str, Any]]:
    """The first features' evidence as JSON, as many as there is room for, in bytes."""
    items: list[dict[str, Any]] = []
    size = 0
    for feature in evidence[:MOST_EVIDENCE]:
        item = evidence_item(feature)
        size += len(msgspec.json.encode(item)) + 1
        if size > room:
            break
        items.append(item)
    return items


def evidence_item(evidence: Evidence) -> dict[str, Any]:
    """One feature's evidence as JSON; what is not known is left out, but for the p-value, which is null."""
    item = {
        "feature": evidence.feature,
        "detector": evidence.detector,
        "score": evidence.score,
        "threshold": evidence.threshold,
        "pvalue": evidence.pvalue,
        "rows": evidence.rows,
    }
    more = {
        "chart": evidence.chart or None,
        "since": None if evidence.since is None else rfc3339(evidence.since),
        "effect": evidence.effect,
        "resolution": evidence.resolution,
        "severity": None if evidence.severity is None else evidence.severity.value,
        "moving": evidence.moving or None,
        "words": evidence.words or None,
        "performance": None if evidence.measured is None else metric_item(evidence.measured),
        "first": [offset_item(each) for each in evidence.first[:MOST_OFFSETS]] or None,
    }
    return item | {name: value for name, value in more.items() if value is not None}


def offset_item(first: FirstOffset) -> dict[str, Any]:
    """The first record of a partition that was otherwise than agreed, as JSON."""
    return {
        "topic": first.partition.topic,
        "partition": first.partition.index,
        "offset": first.offset,
        "event_time": rfc3339(first.event_time),
    }


def metric_item(metric: MetricEvidence) -> dict[str, Any]:
    """A metric that is worse than it may be, as JSON."""
    item = {
        "metric": metric.metric,
        "value": metric.value,
        "lower": metric.lower,
        "upper": metric.upper,
        "at_least" if metric.at_least else "at_most": metric.bound,
        "by": [each.value for each in metric.by],
        "windows": metric.windows,
        "coverage": metric.coverage,
    }
    more = {"reference": metric.usual, "expected": metric.expected, "estimated": metric.estimated}
    return item | {name: value for name, value in more.items() if value is not None}


def incident_item(name: str, key: SeriesKey, kind: IncidentKind, severity: Severity, about: Standing) -> dict[str, Any]:
    """What an incident is and has been, as JSON; its times are added by who knows how it stands."""
    return {
        "incident": name,
        "model": key.model,
        "version": key.version,
        "kind": kind.value,
        "severity": severity.value,
        "features": [member_item(each) for each in about.members],
        "settled": list(about.settled),
        "escalations": [{"at": rfc3339(each.at), "features": list(each.features)} for each in about.escalations],
    }


def member_item(evidence: Evidence) -> dict[str, Any]:
    """One feature of an incident, as last seen."""
    return {
        "feature": evidence.feature,
        "chart": evidence.chart,
        "since": None if evidence.since is None else rfc3339(evidence.since),
        "effect": evidence.effect,
        "words": evidence.words,
    }
