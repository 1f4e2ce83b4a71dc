"""The JSON routes' answers, from the board."""

from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from itertools import islice, repeat
from typing import Any

from detectors.durations import show_duration
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import INCIDENT_RULES
from monitor.alerting.table import DetectorScores
from monitor.explain.fewrows import few_rows
from monitor.explain.learning import learning_item, learnt_item
from monitor.facts import (
    AlertChanged,
    AlertSeen,
    BaselineTrails,
    LevelChanged,
    PerformanceJudged,
    WindowClosed,
    WindowIds,
)
from monitor.runtime import truths
from monitor.runtime.board import Board, SeriesBoard
from monitor.runtime.decisions import decided
from monitor.runtime.estimated import difference_item, estimated, metric_item
from monitor.runtime.requests import against_usual, document
from monitor.stream.events import Nanos, SeriesKey
from monitor.targets.payloads import evidence_item, incident_item, offset_item, rfc3339


def models(board: Board, *, tables: bool = False) -> Iterator[dict[str, Any]]:
    """`GET /api/v1/models`: every series as its last closed window shows it. `tables`: with what labels say of each class and score."""
    rules: dict[SeriesKey, list[str]] = {}
    for key, rule in sorted({(key, rule) for key, rule, _ in board.alerts}):
        rules.setdefault(key, []).append(rule)
    for key, series in board.series.items():
        item = model(key, series, board.watermark, rules.get(key, []), held_by(board, key))
        yield item | {
            "performance": performance(board.performance.get(key), tables=tables),
            "estimated": estimated(board.estimated, key),
            "contract": contract(board, key),
            "service": against_usual(board.services.get(key)),
        }


Held = tuple[Mapping[str, LevelChanged], Mapping[str, BaselineTrails]]  # by feature: its level, and its recent past


def held_by(board: Board, key: SeriesKey) -> Held:
    """What features of a series are held to beside the reference."""
    levels = {feature: level for (of, feature), level in board.levels.items() if of == key}
    trailing = {feature: trails for (of, feature), trails in board.trailing.items() if of == key}
    return levels, trailing


def model(
    key: SeriesKey,
    series: SeriesBoard,
    watermark: Nanos | None,
    rules: list[str],
    held: Held,
) -> dict[str, Any]:
    """One series."""
    window = series.window
    return {
        "model": key.model,
        "version": key.version,
        "window": None if window is None else window_item(window) | {"ids": ids_item(window.ids)},
        "requests": None if window is None else document(window.requests),
        "calibration": series.calibration,
        "learning": None if series.learning is None else learning_item(series.learning),
        "learnt": None if series.learnt is None else {"at": rfc3339(series.learnt.at), **learnt_item(series.learnt)},
        "watermark": None if watermark is None else rfc3339(watermark),
        "insufficient": None
        if series.few is None
        else few_rows(series.few.rows, series.few.length, series.few.min_rows),
        "drifted_ratio": series.drifted,
        "features": [] if window is None else features(series, held),
        "alerts": rules,
    }


def one_model(board: Board, name: str) -> list[dict[str, Any]]:
    """`GET /api/v1/models/{model}`: each version of a model. Raises KeyError saying what there is."""
    found = [item for item in models(board, tables=True) if item["model"] == name]
    if not found:
        raise KeyError(f"there is {', '.join(dict.fromkeys(key.model for key in board.series))}")
    return found


def contract(board: Board, key: SeriesKey) -> dict[str, Any] | None:
    """What of the last window breaks the data contract, by its columns and rules; null where the model has none."""
    shown, window = board.contracts.get(key), board.series[key].window
    if shown is None:
        return None
    rows = 0 if window is None else window.rows + window.excluded
    return {
        "version": shown.version,
        "rows": rows,
        "excluded": None if not shown.exclude else 0 if window is None else window.excluded,
        "violations": [
            {
                "field": column,
                "rule": rule,
                "count": count,
                "share": count / max(rows, 1),
                "samples": list(board.broken.get((key, (column, rule)), ())),
            }
            for column, rule, count in (() if window is None else window.violations)
        ],
        "schema": [
            {"field": each.field, "change": each.change, "first": [offset_item(at) for at in each.first]}
            for each in board.schemas.get(key, {}).values()
        ],
        "not_checked": list(shown.left_out),
    }


def performance(
    judged: Mapping[Nanos, PerformanceJudged] | None, *, tables: bool = False
) -> list[dict[str, Any]] | None:
    """What a model was worth in the last window judged at each age; null where it has no labels."""
    if judged is None:
        return None
    windows = [judged[age] for age in sorted(judged)]
    return [performance_item(each) | (truths.tables(each) if tables else {}) for each in windows]


def performance_item(judged: PerformanceJudged) -> dict[str, Any]:
    """One window as it was judged at one age."""
    return {
        "age": show_duration(judged.age),
        "provisional": not judged.final,
        "frozen": judged.frozen,
        "task": judged.task,
        "window": {"start": rfc3339(judged.start), "end": rfc3339(judged.end)},
        "predictions": judged.predictions,
        "labelled": judged.labelled,
        "coverage": judged.coverage,
        "sampling": judged.sampling,
        "classes": [
            {"class": each.name, "predictions": each.predictions, "labelled": each.labelled} for each in judged.classes
        ],
        "selection_bias": truths.bias_item(judged),
        "delay_seconds": {"median": judged.delay_median, "most": judged.delay_most},
        "left_out": judged.left_out,
        "metrics": {metric.name: metric_item(metric, "realised") for metric in judged.metrics},
        "estimated": {metric.name: metric_item(metric, "estimated") for metric in judged.estimated},
        "difference": {each.name: difference_item(each) for each in judged.differences},
    }


def unlogged(window: WindowClosed) -> dict[str, int]:
    """How many rows a log of a sample left out; nothing where it is none."""
    return {"unlogged": window.unlogged} if window.unlogged else {}


def window_item(window: WindowClosed) -> dict[str, Any]:
    """From when to when, and how many rows."""
    return {"start": rfc3339(window.start), "end": rfc3339(window.end), "rows": window.rows} | unlogged(window)


def feature(board: Board, model: str, name: str, version: str | None) -> list[dict[str, Any]]:
    """`GET /api/v1/models/{model}/features/{feature}`: a feature in each version, or in one, beside its reference.

    Raises KeyError saying what there is.
    """
    series = {key: each for key, each in board.series.items() if key.model == model and version in {None, key.version}}
    if not series:
        raise KeyError(f"there is {', '.join(map(str, board.series))}")
    found = [feature_item(board, key, each, name) for key, each in series.items() if name in each.features]
    if not found:
        raise KeyError(f"there is {', '.join(next(iter(series.values())).features)}")
    return found


def feature_item(board: Board, key: SeriesKey, series: SeriesBoard, name: str) -> dict[str, Any]:
    """A feature of one series."""
    window, shown = series.window, series.distribution(name)
    judged = [] if window is None else features(series, held_by(board, key))
    about = next((each for each in judged if each["feature"] == name), {"feature": name})
    return {
        "model": key.model,
        "version": key.version,
        **about,
        "window": None if window is None else window_item(window),
        "reference": {"hash": series.reference, "rows": series.reference_rows},
        "distribution": None if shown is None else shown.to_dict(),
    }


def features(series: SeriesBoard, held: Held) -> list[dict[str, Any]]:
    """The features of a series in its last window, with their scores."""
    assert series.window is not None
    levels, trailing = held
    scores: dict[str, list[dict[str, Any]]] = {}
    for part in series.scores.parts:
        for feature, item in items(part):
            scores.setdefault(feature, []).append(item)
    quality = {entry.feature: entry for entry in series.window.quality}
    short = series.insufficient()
    return [
        {
            "feature": name,
            "state": series.states.get(name, 0),
            "missing_ratio": quality[name].missing_ratio if name in quality else None,
            "unseen_ratio": quality[name].unseen_ratio if name in quality else None,
            "insufficient": insufficient_item(*short[name], series.min_rows) if name in short else None,
            "scores": entries,
            "level": level_item(levels[name]) if name in levels else None,
            "baseline": baseline_item(trailing[name]) if name in trailing else None,
        }
        for name, entries in scores.items()
    ]


def insufficient_item(cause: str, values: int, min_rows: int) -> dict[str, Any]:
    """Why detectors say nothing of a feature."""
    return {"cause": cause, "values": values, "min_rows": min_rows}


def baseline_item(trails: BaselineTrails) -> dict[str, Any]:
    """The recent past that a feature is compared with, and how far that is from the reference."""
    return {
        "baseline": f"trailing {trails.wanted}d",
        "days": trails.days,
        "shift": trails.shift,
        "beyond": trails.beyond,
        "paused": trails.paused,
    }


def level_item(level: LevelChanged) -> dict[str, Any]:
    """The level of its own that a feature is held to, beside the reference."""
    until = None if level.until is None else rfc3339(level.until)
    return {"step": level.step.value, "since": rfc3339(level.at), "until": until}


def items(part: DetectorScores) -> Iterator[tuple[str, dict[str, Any]]]:
    """One detector's scores by feature, straight from the columns."""
    columns, thresholds = part.wanted()
    pvalues: Iterable[float | None] = repeat(None) if columns.pvalues is None else columns.pvalues.tolist()
    rows = zip(columns.names, columns.known.tolist(), columns.values.tolist(), thresholds, strict=True)
    for (feature, known, value, threshold), pvalue in zip(rows, pvalues, strict=False):
        item = {"detector": columns.detector, "value": value, "threshold": threshold, "pvalue": pvalue}
        yield feature, item if known else {**item, "value": None, "pvalue": None}


def alerts(board: Board) -> list[dict[str, Any]]:
    """`GET /api/v1/alerts`: all not inactive, then the last resolved, newest first."""
    active = [alert(seen, seen.state.name.lower(), None) | decided(board, seen) for seen in board.alerts.values()]
    resolved = [alert(seen, ended(seen), rfc3339(seen.window.end)) for seen in reversed(board.resolved)]
    return active + resolved


def ended(alert: AlertChanged) -> str:
    """How an alert ended."""
    return "settled" if alert.settled else "resolved"


def alert(shown: AlertSeen | AlertChanged, state: str, resolved_at: str | None) -> dict[str, Any]:
    """One alert."""
    return {
        "model": shown.key.model,
        "version": shown.key.version,
        "rule": shown.rule,
        "kind": shown.kind.value,
        "incident": shown.incident or None,
        "severity": shown.severity.value,
        "state": state,
        "since": None if shown.since is None else rfc3339(shown.since),
        "resolved_at": resolved_at,
        "episode": shown.episode,
        "evidence": evidence(shown.evidence),
    }


def incidents(board: Board) -> list[dict[str, Any]]:
    """`GET /api/v1/incidents`: those of the budget and of the stream that are open, then the last that ended, newest first."""
    active = [
        incident(seen, "open", None) | decided(board, seen)
        for seen in board.alerts.values()
        if seen.rule in INCIDENT_RULES and seen.incident
    ]
    over = [
        incident(end, ended(end), end.window.end) | decided(board, end)
        for end in reversed(board.resolved)
        if end.rule in INCIDENT_RULES
    ]
    return active + over


def incident(shown: AlertSeen | AlertChanged, state: str, ended_at: Nanos | None) -> dict[str, Any]:
    """One incident."""
    return incident_item(shown.incident, shown.key, shown.kind, shown.severity, shown.about) | {
        "state": state,
        "since": None if shown.since is None else rfc3339(shown.since),
        "opened_at": None if shown.about.opened_at is None else rfc3339(shown.about.opened_at),
        "ended_at": None if ended_at is None else rfc3339(ended_at),
    }


def evidence(entries: tuple[Evidence, ...]) -> list[dict[str, Any]]:
    """Evidence as JSON."""
    return [evidence_item(entry) for entry in entries]


def ids_item(ids: WindowIds | None) -> dict[str, Any] | None:
    """The ids of a window as JSON; null where no row has one."""
    if ids is None:
        return None
    return {"rows": ids.rows, "distinct": round(ids.distinct), "duplicate_share": ids.share, "error": ids.error}


def windows(recent: Iterable[list[WindowClosed]], limit: int) -> Iterator[dict[str, Any]]:
    """`GET /api/v1/windows`: the last closed windows, newest first."""
    for window in islice(merge(*recent, key=lambda window: -window.end), limit):
        yield {
            "model": window.key.model,
            "version": window.key.version,
            "start": rfc3339(window.start),
            "end": rfc3339(window.end),
            "rows": window.rows,
            **unlogged(window),
        }
