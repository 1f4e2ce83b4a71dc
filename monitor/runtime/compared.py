"""`GET /api/v1/models/{model}/versions`: the versions of a model side by side, as JSON."""

from monitor.runtime.beside import FeatureApart, MetricApart, VersionsCompared, champion_of, comparisons, versions_of
from monitor.runtime.board import Board
from monitor.runtime.glance import nearness_by_feature
from monitor.series.scoring import DRIFT
from monitor.stream.events import SeriesKey


def side_by_side(board: Board, model: str) -> dict[str, object]:
    """`GET /api/v1/models/{model}/versions`. Raises KeyError where there is no such model."""
    keys = versions_of(board, model)
    if not keys:
        models = dict.fromkeys(key.model for key in board.series)
        raise KeyError(f"there is no model {model!r}; there is {', '.join(map(repr, models))}")
    return {
        "model": model,
        "champion": champion_of(board, keys).version,
        "configured": board.champions.get(model) is not None,
        "versions": [version_item(board, key) for key in keys],
        "comparisons": [comparison_item(each) for each in comparisons(board, model)],
    }


def version_item(board: Board, key: SeriesKey) -> dict[str, object]:
    """One version: which of its features drift, against its own reference."""
    series = board.series[key]
    near = sorted(nearness_by_feature(series).items(), key=lambda each: -each[1])
    return {
        "version": key.version,
        "rows_seen": board.rows_seen[key],
        "window_rows": None if series.window is None else series.window.rows,
        "reference": series.reference,
        "drifting": [name for name, state in series.states.items() if state == DRIFT],
        "nearest": [{"feature": name, "of_threshold": value} for name, value in near[:5]],
    }


def comparison_item(compared: VersionsCompared) -> dict[str, object]:
    """One comparison."""
    return {
        "challenger": compared.challenger.version,
        "verdict": list(compared.verdict),
        "same_time": compared.same_time,
        "same_traffic": not compared.different if compared.inputs else None,
        "inputs": [apart_item(each) for each in compared.inputs],
        "predictions": None if compared.predictions is None else apart_item(compared.predictions),
        "performance": [metric_apart_item(each) for each in compared.metrics],
    }


def apart_item(each: FeatureApart) -> dict[str, object]:
    """How far a feature is apart."""
    return {
        "feature": each.feature,
        "measure": each.apart.measure,
        "value": each.apart.value,
        "pvalue": each.apart.pvalue,
        "rows": list(each.apart.rows),
        "different": each.different,
    }


def metric_apart_item(each: MetricApart) -> dict[str, object]:
    """A metric of both, and the challenger's less the champion's."""
    told = each.apart
    return {
        "metric": each.metric,
        "champion": {"value": told.first, "lower": told.first_interval[0], "upper": told.first_interval[1]},
        "challenger": {"value": told.second, "lower": told.second_interval[0], "upper": told.second_interval[1]},
        "difference": {"value": told.value, "lower": told.interval[0], "upper": told.interval[1]},
        "windows": told.windows,
        "by": "windows" if told.paired else "rows",
        "better": each.better,
    }
