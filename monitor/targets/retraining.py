"""What is said of a wish for retraining: what a request holds, why none was made, and what waits for approval."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec

from monitor.alerting.ids import digest
from monitor.alerting.retraining import MANUAL_REASON, RetrainOutcome
from monitor.alerting.runs import TRAINED, FollowedRun, OpenRequest
from monitor.explain.figures import utc
from monitor.facts import RetrainDecided, RetrainEnded
from monitor.store.notice import Notice
from monitor.stream.events import Nanos, SeriesKey

RETRAIN, SUPPRESSED, PENDING = "model.retrain.requested", "model.retrain.suppressed", "model.retrain.pending"
COMPLETED, FAILED = "model.retrain.completed", "model.retrain.failed"
MOST_PARTITIONS = 100  # whose offsets are told


def rfc3339(nanos: Nanos) -> str:
    """Nanoseconds as RFC 3339 UTC text, with a fraction only where there is one."""
    return utc(nanos).isoformat().replace("+00:00", "Z")


def kind_of(outcome: RetrainOutcome) -> str:
    """The type of notice of an outcome."""
    if outcome is RetrainOutcome.REQUESTED:
        return RETRAIN
    return PENDING if outcome is RetrainOutcome.PENDING else SUPPRESSED


def request_id(decided: RetrainDecided) -> str | None:
    """The id of the notice: the request's own; of what is said of it otherwise also how and when. None: the alert's own says it."""
    wish = decided.wish
    if wish is None:
        return None
    if decided.outcome is RetrainOutcome.REQUESTED:
        return wish.id
    return digest([wish.id, kind_of(decided.outcome), decided.outcome.value, wish.at])


def asked_item(decided: RetrainDecided, page: str | None) -> Iterator[tuple[str, Any]]:
    """What a notice of a wish holds beside the alert that asked, if one did."""
    wish = decided.wish
    yield "data_range", {"from": rfc3339(decided.data_from), "to": rfc3339(decided.data_to)}
    if decided.offsets:
        yield (
            "offsets",
            [
                {"topic": each.partition.topic, "partition": each.partition.index, "from": each.first, "to": each.end}
                for each in decided.offsets[:MOST_PARTITIONS]
            ],
        )
        yield "offsets_whole", decided.whole and len(decided.offsets) <= MOST_PARTITIONS
    if wish is None:
        return
    yield "request", {"id": wish.id, "at": rfc3339(wish.at), "reason": wish.reason, "outcome": decided.outcome.value}
    if decided.outcome is not RetrainOutcome.REQUESTED:
        yield "because", decided.outcome.words
    if decided.by:
        yield ("requested_by" if wish.reason == MANUAL_REASON else "decided_by"), {"by": decided.by, "why": decided.why}
    if decided.expires_at is not None:
        yield "expires_at", rfc3339(decided.expires_at)
    if page is not None:
        yield "links", links_to(page, wish.key, wish.incident)


def links_to(page: str, key: SeriesKey, incident: str) -> dict[str, str]:
    """The pages of a model, and of the incident that asked, if one did."""
    model = f"{page}/model?name={quote(key.model, safe='')}&version={quote(key.version, safe='')}"
    return {"model": model} | ({"incident": f"{page}/incident?id={quote(incident, safe='')}"} if incident else {})


def plain_item(decided: RetrainDecided, config_hash: str, version: str) -> dict[str, Any]:
    """What a notice of a wish holds that no alert asked for: the same keys, as far as they make sense."""
    wish = decided.wish
    assert wish is not None
    window = wish.window
    return {
        "model": wish.key.model,
        "model_version": wish.key.version,
        "reason": wish.reason,
        "kind": None,
        "incident": None,
        "severity": None,
        "alert": None,
        "window": window and {"start": rfc3339(window.start), "end": rfc3339(window.end), "rows": window.rows},
        "evidence": [],
        "evidence_total": 0,
        "reference": {"hash": wish.reference},
        "config_hash": config_hash,
        "driftd_version": version,
        "summary": summary_of(decided),
    }


def summary_of(decided: RetrainDecided) -> str:
    """A wish that no alert asked for, in a line."""
    wish = decided.wish
    assert wish is not None
    asked = f"{decided.by or 'somebody'} asked" if wish.reason == MANUAL_REASON else "its schedule is due"
    return f"{wish.key}: retraining {'' if not decided.outcome.suppressed else 'not '}requested: {asked}" + (
        f"; {decided.outcome.words}" if decided.outcome is not RetrainOutcome.REQUESTED else ""
    )


# --- how a request ended ----------------------------------------------------------------------------------------------


def ended_notice(fact: RetrainEnded, config_hash: str, version: str, page: str | None, instance: str = "") -> Notice:
    """What is said of a request that is in flight no longer. It has the subject of the request: it goes out after that."""
    request = fact.request
    kind = FAILED if fact.failed else COMPLETED
    data = ended_item(request, config_hash, version)
    if instance:
        data["instance"] = instance
    if page is not None:
        data["links"] = links_to(page, request.key, request.incident)
    name = digest([request.id, kind, request.outcome, request.version])
    subject = f"{request.key}/{request.rule or request.reason}"
    return Notice(name, kind, subject, request.ended_at or request.at, msgspec.json.encode(data))


def ended_item(request: OpenRequest, config_hash: str, version: str) -> dict[str, Any]:
    """The same keys as those of a request, as far as they make sense, and how it ended. `decision_id` is that of the request."""
    ended = {
        "outcome": request.outcome,
        "at": None if request.ended_at is None else rfc3339(request.ended_at),
        "new_version": request.version or None,
        "runs": [run_item(each) for each in request.runs],
    }
    return {
        "decision_id": request.id,
        "model": request.key.model,
        "model_version": request.key.version,
        "reason": request.reason,
        "kind": None,
        "incident": request.incident or None,
        "severity": None,
        "alert": None,
        "window": None,
        "evidence": [],
        "evidence_total": 0,
        "config_hash": config_hash,
        "driftd_version": version,
        "summary": summary_of_end(request),
        "data_range": {"from": rfc3339(request.data_from), "to": rfc3339(request.data_to)},
        "request": {"id": request.id, "at": rfc3339(request.at), "reason": request.reason, "outcome": "requested"},
        "ended": ended,
    }


def run_item(run: FollowedRun) -> dict[str, Any]:
    """One run, as its target shows it."""
    return {
        "target": run.target,
        "type": run.type,
        "state": run.found.state.value,
        "run": run.found.run or None,
        "url": run.found.url,
    }


def summary_of_end(request: OpenRequest) -> str:
    """How a request ended, in a line."""
    new = f"version {request.version} is there" if request.version else ""
    if request.outcome == TRAINED:
        return f"{request.key}: retraining has led to a new version: {new}"
    runs = ", ".join(f"{each.target} {each.found.state.value}" for each in request.runs if each.found.state.ended)
    return f"{request.key}: retraining {request.outcome}: {runs}" + (f"; {new}" if new else "")
