"""`GET /api/v1/status`: what the first page shows, for programs and for `driftd status`."""

from collections.abc import Mapping, Sequence
from typing import Any

from monitor.runtime.board import Board
from monitor.runtime.glance import ModelGlance, TargetHealth, incidents, rejected, targets, topics
from monitor.runtime.headline import headline
from monitor.runtime.metrics import DaemonStatus
from monitor.runtime.troubles import troubles
from monitor.stream.events import SECOND, Nanos
from monitor.targets.payloads import rfc3339

DIGITS = 4  # of a share


def standing(board: Board, models: Sequence[ModelGlance], status: DaemonStatus) -> dict[str, Any]:
    """How everything stands. Counts are since the daemon started."""
    why, wrong = status.ready(), troubles(board, models, status)
    head = headline(models, incidents(board), wrong)
    return {
        "version": status.version,
        "now": rfc3339(status.now()),
        "started": rfc3339(status.started),
        "mood": head.mood,
        "headline": head.words,
        "well": head.well,
        "ready": why is None,
        "why": why,
        "watermark": told(board.watermark),
        "checkpoint_at": told(board.checkpoint_at),
        "troubles": [{"what": each.what, "todo": each.todo} for each in wrong],
        "models": [model(each) for each in models],
        "topics": [
            {
                "topic": each.topic,
                "lag": each.lag,
                "late_ratio": rounded(each.late_share),
                "events": dict(each.outcomes),
            }
            for each in topics(board)
        ],
        "rejected": [{"topic": topic, "reason": reason, "count": count} for topic, reason, count in rejected(board)],
        "targets": [target(each) for each in targets(board, status)],
    }


def model(model: ModelGlance) -> Mapping[str, Any]:
    """One model."""
    glance, window = model.glance, model.board.window
    return {
        "model": model.key.model,
        "version": model.key.version,
        "state": model.condition.name.lower(),
        "incidents": [each.incident for each in model.incidents],
        "features": glance.features,
        "drifting": glance.drifting,
        "nearest": [{"feature": name, "of_threshold": rounded(near)} for name, near in glance.nearest],
        "window": None if window is None else {"end": rfc3339(window.end), "rows": window.rows},
        "learning": None if model.board.learning is None else model.board.learning.words,
    }


def target(target: TargetHealth) -> Mapping[str, Any]:
    """One target; its address with what could be secret masked."""
    last = target.last
    return {
        "target": target.name,
        "type": target.kind,
        "address": target.address,
        "pending": target.pending,
        "oldest_seconds": None if target.oldest is None else target.oldest / SECOND,
        "attempts": dict(target.outcomes),
        "last": None if last is None else {"outcome": last.outcome, "status": last.status, "detail": last.detail},
        "stuck": target.stuck,
        "configured": target.configured,
    }


def told(time: Nanos | None) -> str | None:
    """A time as text."""
    return None if time is None else rfc3339(time)


def rounded(value: float | None) -> float | None:
    """A ratio in as many digits as anybody reads."""
    return None if value is None else round(value, DIGITS)
