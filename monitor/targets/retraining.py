"""What is said of a wish for retraining: what a request holds, why none was made, and what waits for approval."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from monitor.alerting.ids import digest
from monitor.alerting.retraining import MANUAL_REASON, RetrainOutcome
from monitor.explain.figures import utc
from monitor.facts import RetrainDecided
from monitor.stream.events import Nanos

RETRAIN, SUPPRESSED, PENDING = "model.retrain.requested", "model.retrain.suppressed", "model.retrain.pending"
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
        model = f"{page}/model?name={quote(wish.key.model, safe='')}&version={quote(wish.key.version, safe='')}"
        yield (
            "links",
            {"model": model}
            | ({"incident": f"{page}/incident?id={quote(wish.incident, safe='')}"} if wish.incident else {}),
        )


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
