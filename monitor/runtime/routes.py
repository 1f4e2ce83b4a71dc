"""The JSON routes' answers, from the board."""

from typing import Any

from monitor.alerting.episodes import Evidence
from monitor.facts import AlertChanged, AlertSeen
from monitor.runtime.board import Board, SeriesBoard
from monitor.sinks.payloads import evidence_item, rfc3339
from monitor.stream.events import SeriesKey


def models(board: Board) -> list[dict[str, Any]]:
    """`GET /api/v1/models`: every series as its last closed window shows it."""
    return [model(board, key, series) for key, series in board.series.items()]


def model(board: Board, key: SeriesKey, series: SeriesBoard) -> dict[str, Any]:
    """One series."""
    window = series.window
    return {
        "model": key.model,
        "version": key.version,
        "window": None
        if window is None
        else {"start": rfc3339(window.start), "end": rfc3339(window.end), "rows": window.rows},
        "watermark": None if board.watermark is None else rfc3339(board.watermark),
        "features": [] if window is None else features(series),
        "alerts": sorted(rule for owner, rule in board.alerts if owner == key),
    }


def features(series: SeriesBoard) -> list[dict[str, Any]]:
    """The features of a series in its last window, with their scores."""
    assert series.window is not None
    scores: dict[str, list[dict[str, Any]]] = {}
    for score in series.scores.values():
        item = {
            "detector": score.detector,
            "value": score.value,
            "threshold": score.threshold,
            "pvalue": score.pvalue,
        }
        scores.setdefault(score.feature, []).append(item)
    quality = {one.feature: one for one in series.window.quality}
    return [
        {
            "feature": name,
            "state": series.states.get(name, 0),
            "missing_ratio": quality[name].missing_ratio if name in quality else None,
            "unseen_ratio": quality[name].unseen_ratio if name in quality else None,
            "scores": found,
        }
        for name, found in scores.items()
    ]


def alerts(board: Board) -> list[dict[str, Any]]:
    """`GET /api/v1/alerts`: all not inactive, then the last resolved, newest first."""
    active = [alert(one, one.state.name.lower(), None) for one in board.alerts.values()]
    resolved = [alert(one, "resolved", rfc3339(one.window.end)) for one in reversed(board.resolved)]
    return active + resolved


def alert(one: AlertSeen | AlertChanged, state: str, resolved_at: str | None) -> dict[str, Any]:
    """One alert."""
    return {
        "model": one.key.model,
        "version": one.key.version,
        "rule": one.rule,
        "severity": one.severity.value,
        "state": state,
        "since": None if one.since is None else rfc3339(one.since),
        "resolved_at": resolved_at,
        "episode": one.episode,
        "evidence": evidence(one.evidence),
    }


def evidence(found: tuple[Evidence, ...]) -> list[dict[str, Any]]:
    """Evidence as JSON."""
    return [evidence_item(one) for one in found]


def windows(board: Board, wanted: str | None, limit: int) -> list[dict[str, Any]]:
    """`GET /api/v1/windows`: the last closed windows, newest first."""
    found = [
        window
        for key, series in board.series.items()
        if wanted is None or key.model == wanted
        for window in series.windows
    ]
    found.sort(key=lambda window: window.end, reverse=True)
    return [
        {
            "model": window.key.model,
            "version": window.key.version,
            "start": rfc3339(window.start),
            "end": rfc3339(window.end),
            "rows": window.rows,
        }
        for window in found[:limit]
    ]
