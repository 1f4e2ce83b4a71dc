"""Policies of retraining compared: what each would have asked for, how old the model, how much drift uncovered, what it costs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.charts import IncidentKind
from monitor.alerting.retraining import RetrainCosts, RetrainPolicy
from monitor.alerting.rules import Severity
from monitor.alerting.schedule import Schedule
from monitor.backtest.policies import BOTH, FIXED, ON_DRIFT, ages, compared, length, rehearsals, uncovered, variant
from monitor.backtest.result import AlertEpisode
from monitor.facts import WindowSpan
from monitor.pipeline import Pipeline
from monitor.stream.events import SECOND
from tests.build import DAY, HOUR, KEY, MIDNIGHT, feed, make_batch, make_rule, make_spec
from tests.monitor.backtest.test_backtest import backtest, configure, events, home, written  # noqa: F401 - fixtures

TIMES = st.integers(0, 100)


def test_a_training_covers_a_drift_only_if_it_was_asked_for_after_the_drift_began() -> None:
    assert uncovered((10, 50), [5, 20, 30], takes=0) == (10, 20)
    assert uncovered((10, 50), [5, 20, 30], takes=7) == (10, 27)
    assert uncovered((10, 50), [5], takes=0) == (10, 50)
    assert uncovered((10, 50), [45], takes=7) == (10, 50)


@given(st.lists(st.tuples(TIMES, TIMES).map(lambda pair: (min(pair), max(pair))), max_size=8))
def test_time_that_several_drifts_share_counts_once(spans: list[tuple[int, int]]) -> None:
    assert length(spans) == len({second for begin, end in spans for second in range(begin, end)})


@given(st.lists(TIMES, max_size=8, unique=True), st.integers(0, 20))
def test_the_age_is_that_of_its_definition(asked: list[int], takes: int) -> None:
    """Second by second: since the request of the last training that is done."""
    asked = sorted(asked)
    found = [second - max([0, *(at for at in asked if at + takes <= second)]) for second in range(100)]
    mean, most = ages(asked, takes, (0, 100))

    assert abs(mean - (sum(found) / 100 + 0.5)) <= 1.5  # whole nanoseconds
    assert most == max(age + 1 for age in found)


def test_the_policies_are_made_of_what_is_configured() -> None:
    own = RetrainPolicy(
        DAY, 2, every=Schedule("0 3 * * *"), unless_trained_within=DAY, dry_run=True, approval_within=DAY
    )
    fixed, drift, both = (variant(name, own) for name in (FIXED, ON_DRIFT, BOTH))

    assert (fixed.on, fixed.every, fixed.unless_trained_within) == (frozenset(), own.every, None)
    assert (drift.on, drift.every) == (own.on, None)
    assert (both.on, both.every, both.unless_trained_within) == (own.on, own.every, DAY)
    for each in (fixed, drift, both):
        assert (each.cooldown, each.max_per_week, each.dry_run, each.approval_within) == (DAY, 2, False, None)
    assert variant(FIXED, RetrainPolicy(DAY, 2)).every == Schedule("0 0 * * 1")


def test_one_run_compares_all_policies_and_ranks_them_by_cost() -> None:
    """Two weeks of hourly windows that breach on the ninth day, from noon on."""
    costs = RetrainCosts(retraining=10.0, drift_per_day=100.0, takes=2 * HOUR)
    policy = RetrainPolicy(cooldown=0, max_per_week=7, costs=costs)
    rule = make_rule(severity=Severity.CRITICAL)
    spec = make_spec(rules=[rule], length=HOUR, retraining=policy)
    rehearsed = rehearsals([spec])
    pipeline = Pipeline([spec], 30 * SECOND, rehearsals=[each.retraining for each in rehearsed])
    drift = range(8 * 24 + 12, 9 * 24 + 12)
    for hour in range(14 * 24):
        ages_of = [None, None] if hour in drift else [50.0, 50.0]
        begin = MIDNIGHT + hour * HOUR
        feed(pipeline, make_batch([begin, begin + HOUR // 2], ages_of), until=begin + HOUR)
    since, end = MIDNIGHT + (drift.start + 1) * HOUR, MIDNIGHT + (drift.stop + 1) * HOUR
    alert = AlertEpisode(
        KEY,
        rule.name,
        rule.severity,
        since,
        since,
        end,
        WindowSpan(since - HOUR, since, 2),
        (),
        kind=IncidentKind.DRIFT,
    )
    broken = replace(alert, kind=IncidentKind.DATA_QUALITY, resolved_at=None)
    judged = {KEY.model: (MIDNIGHT, MIDNIGHT + 14 * DAY)}
    found = compared(rehearsed, {KEY.model: policy}, [alert, broken], judged)

    assert [(each.rank, each.policy, each.requests, each.configured) for each in found] == [
        (1, ON_DRIFT, 1, True),
        (2, BOTH, 3, False),
        (3, FIXED, 2, False),
    ]
    assert [each.uncovered for each in found] == [2 * HOUR, 2 * HOUR, 24 * HOUR]
    assert {each.drift for each in found} == {24 * HOUR}
    assert [each.cost for each in found] == pytest.approx([10 + 100 / 12, 30 + 100 / 12, 20 + 100])
    assert found[2].age_most == 7 * DAY + 2 * HOUR  # Monday to Monday, and until it is done


def test_the_report_and_the_json_compare_and_the_same_record_gives_the_same(
    home: Any,  # noqa: F811 - the fixture
    backtest: Callable[..., dict[str, Any]],  # noqa: F811 - same
) -> None:
    retraining = {"costs": {"retraining": 1, "drift_per_day": 2}}
    configure(home, models=[{"name": "churn", "version": "3", "retraining": retraining}])
    arguments = (written(home, events(96)), "--report", str(home / "report.html"))
    first, second = backtest(*arguments), backtest(*arguments)

    assert first == second
    assert [each["rank"] for each in first["policies"]] == [1, 2, 3]
    assert {each["policy"] for each in first["policies"]} == {FIXED, ON_DRIFT, BOTH}
    assert all(each["cost"] is not None for each in first["policies"])
    assert "Policies of retraining compared" in (home / "report.html").read_text()
