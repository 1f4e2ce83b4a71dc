"""What the charts say as evidence: of what first, since when, how far."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import ChartPoint, FiringFeature, FiringReader
from detectors.charts.days import DaysSeen
from detectors.univariate import volume
from monitor.alerting.budget import EVERY_FEATURE
from monitor.alerting.rules import BUDGET_RULE, SELF_CHECK_RULE
from monitor.explain.words import explain_days, explain_rows, explain_warnings
from monitor.series.charts import chart_scores
from monitor.series.evidence import evidence_of_charts, evidence_of_self_check, onsets
from tests.build import MINUTE
from tests.charted import Charted, mixed, pane, reference, seeded

SUBGROUP = 5 * MINUTE


@pytest.fixture(scope="module")
def learnt() -> Reference:
    return reference(seeded())


def fired(learnt: Reference, **changes: Any) -> tuple[Charted, ChartPoint]:
    """Charts in whose last panes columns hold other values."""
    rng, charted = seeded(), Charted(learnt)
    for number in range(12):
        table = mixed(rng, 100)
        if number >= 6:
            table |= {name: change(table[name]) for name, change in changes.items()}
        charted.feed(table)
    return charted, charted.points[-1]


def firing(charted: Charted, point: ChartPoint) -> list[FiringFeature]:
    return FiringReader.of(charted.charts.design).read(point)


def test_evidence_says_since_when_how_far_and_by_which_chart(learnt: Reference) -> None:
    charted, point = fired(learnt, normal=lambda x: x - 0.8)
    (one,) = evidence_of_charts(firing(charted, point), point)
    onset = charted.at - 6 * SUBGROUP

    assert (one.feature, one.detector, one.chart, one.threshold) == ("normal", BUDGET_RULE, "location-", 1.0)
    assert one.score >= 1.0
    assert one.effect == pytest.approx(-0.8, abs=0.4)
    assert one.since is not None
    assert -6 * SUBGROUP <= one.since - (onset + SUBGROUP) <= 2 * SUBGROUP
    assert one.pvalue is not None
    assert 0 <= one.pvalue < 0.01
    assert onsets(firing(charted, point)) == {"normal": one.since}


def test_rows_come_last(learnt: Reference) -> None:
    _, point = fired(learnt, normal=lambda x: x + 0.8)
    both = replace(point, row_firing=np.array([False, True]), row_since=np.array([0, point.start]), usual_rows=20.0)
    charted = Charted(learnt)
    found = evidence_of_charts(firing(charted, both), both)

    assert [one.feature for one in found] == ["normal", volume.FEATURE]
    assert found[-1].chart == "rows+"
    assert explain_rows(*np.frombuffer(found[-1].counts, "<i8")) == "rows a window 20 → 100"
    assert onsets(firing(charted, both))[volume.FEATURE] == point.end


def test_the_self_check_says_what_it_saw(learnt: Reference) -> None:
    _, point = fired(learnt)
    found = evidence_of_self_check(replace(point, of_late=(40.0, 7.0), suspect=True))

    assert (found.feature, found.detector, found.effect) == (EVERY_FEATURE, SELF_CHECK_RULE, 33.0)
    assert explain_warnings(*np.frombuffer(found.counts, "<i8")).startswith("40 warnings of late where chance brings 7")


def test_the_self_check_says_how_days_differ(learnt: Reference) -> None:
    _, point = fired(learnt)
    days = DaysSeen(days=14, firings=6, due=14 / 30, out=7, out_due=1.21, alarmed=0.314, suspect=True)
    found = evidence_of_self_check(replace(point, days=days, suspect=True))
    words = explain_days(*np.frombuffer(found.counts, "<i8").tolist())

    assert (found.score, found.effect) == (7 / 1.21, 7 - 1.21)
    assert words.startswith(
        "in 14 days 6 firings where 0.5 were due, passing changes on 7 days where 1.2 were, 31 % of the time under alarm"
    )
    assert len(f"churn/3 does not fit its reference since 2026-11-28 03:55: {words}") <= 200


def test_a_feature_without_values_has_a_score_once_it_fires() -> None:
    charted = Charted(reference(seeded()))
    rng, place = seeded(), charted.place("normal")
    for _ in range(3):
        table = mixed(rng, 100) | {"normal": np.full(100, np.nan)}
        point = charted.feed(table)
    found = chart_scores(charted.charts, pane(charted.charts.reference, table).tally().usable)

    assert point.firing[place].any()
    assert not point.judged[place]
    assert found.known[place]
    assert found.values[place] >= 1
