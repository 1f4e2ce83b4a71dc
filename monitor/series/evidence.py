"""What the charts say of each feature, as evidence."""

from collections.abc import Iterable

import numpy as np

from detectors.charts import ChartPoint, FiringFeature, duplicates
from detectors.univariate import volume
from monitor.alerting.budget import BY_SELF_CHECK, EVERY_FEATURE
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import BUDGET_RULE, SELF_CHECK_RULE
from monitor.alerting.severity import severity_of
from monitor.stream.events import Nanos

PARTS = 1000  # of the rows, that words of duplicates count in


def onsets(firing: Iterable[FiringFeature]) -> dict[str, Nanos]:
    """The features that fire, each with the end of the first subgroup of its change."""
    found: dict[str, Nanos] = {}
    for each in firing:
        found[each.feature] = min(each.since, found.get(each.feature, each.since))
    return found


def evidence_of_charts(firing: Iterable[FiringFeature], point: ChartPoint) -> list[Evidence]:
    """One a firing feature, in the same order."""
    return [
        Evidence(
            feature=each.feature,
            detector=BUDGET_RULE,
            score=each.score,
            threshold=1.0,
            pvalue=each.pvalue,
            rows=point.rows,
            chart=each.chart,
            since=each.since if each.turned is None else each.turned,
            effect=each.effect,
            resolution=each.detectable,
            severity=severity_of(each.chart, each.size, usual=each.usual, numeric=each.numeric),
            moving=each.moving,
            creeping=each.creeping,
            grown=each.grown or each.turned is not None,
            counts=_of_rows(each.feature, point),
        )
        for each in firing
    ]


def _of_rows(feature: str, point: ChartPoint) -> bytes:
    """What words of the rows themselves are made of."""
    if feature == volume.FEATURE:
        return integers(point.usual_rows or 0, point.volume)
    found = point.duplicates
    if feature != duplicates.FEATURE or found is None:
        return b""
    return integers(PARTS * (found.usual or 0), PARTS * found.share)


def evidence_of_self_check(point: ChartPoint) -> Evidence:
    """What speaks against the calibration: days that differ by more than the budget allows, or more warnings than chance does."""
    told, days = point.of_late, point.days
    seen, due = (days.out, days.out_due) if days.suspect else told
    counts = (days.days, days.firings, 10 * days.due, days.out, 10 * days.out_due, 1000 * days.alarmed)
    return Evidence(
        feature=EVERY_FEATURE,
        detector=SELF_CHECK_RULE,
        score=seen / max(due, 1e-9),
        threshold=1.0,
        pvalue=None,
        rows=point.rows,
        chart=SELF_CHECK_RULE,
        severity=BY_SELF_CHECK.severity,
        effect=seen - due,
        counts=integers(*(counts if days.suspect else told)),
    )


def integers(*numbers: float) -> bytes:
    """Numbers rounded, as the counts of an `Evidence`."""
    return np.rint(numbers).astype("<i8").tobytes()
