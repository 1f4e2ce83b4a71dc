"""What is frozen is told as frozen, once, and not as drift beside it; it ends when it varies again."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec
from monitor.alerting.decisions import Accept, Asked, Scope
from monitor.alerting.rules import BUDGET_RULE, FROZEN_RULE, Severity
from monitor.explain.explainer import Explainer
from monitor.explain.words import summary
from monitor.facts import AlertChanged, AlertEscalated, AlertSeen, Fact, RetrainDecided
from monitor.pipeline import Pipeline
from monitor.series.frozen import SavedRuns, usual_at
from monitor.series.spells import Still
from monitor.stream.events import EventBatch
from tests.build import DAY, HOUR, KEY, MIDNIGHT, feed, make_pipeline, of, restored
from tests.charted import WINDOW, fitted, seeded

ROWS = 300  # a pane
Table = dict[str, np.ndarray]
Law = Callable[[np.random.Generator, int], Table]


def rows_of(rng: np.random.Generator, count: int) -> Table:
    return {
        "age": rng.normal(40.0, 10.0, count),
        "zeros": np.where(rng.random(count) < 0.7, 0.0, rng.exponential(size=count)),
        "only": np.ones(count),
        "plan": rng.choice(np.array(["free", "basic", "pro"]), count),
        "__prediction__": rng.random(count),
    }


@cache
def learnt() -> Reference:
    return fitted(np.random.default_rng(5), rows_of(np.random.default_rng(5), 300 * ROWS), ROWS)


@cache
def of_few_rows() -> Reference:
    return fitted(np.random.default_rng(5), rows_of(np.random.default_rng(5), 30_000), 30)


@cache
def cold() -> Reference:
    return Reference.fit(rows_of(np.random.default_rng(5), 20_000))


class Traffic:
    """Panes of five minutes, of which some columns may stand still."""

    def __init__(
        self, reference: Reference, pipeline: Pipeline | None = None, law: Law = rows_of, rows: int = ROWS
    ) -> None:
        budget = BudgetSpec(pane_ns=WINDOW, per_month=0.05)
        self.reference = reference
        self.pipeline = pipeline or make_pipeline(
            reference=reference, length=WINDOW, plan=budget, min_rows=200, max_per_week=1000
        )
        self.rng, self.number, self.law, self.rows = seeded(), 0, law, rows
        self.explainer = Explainer({KEY: reference})

    def panes(self, count: int, *, last: float = 1.0, batches: int = 1, **frozen: Any) -> list[Fact]:
        """So many panes; of the `last` part of their rows these columns have one value."""
        found: list[Fact] = []
        for _ in range(count):
            table, rows = self.law(self.rng, self.rows), self.rows
            for name, value in frozen.items():
                table[name][round((1 - last) * rows) :] = value
            start = MIDNIGHT + self.number * WINDOW
            self.number += 1
            times = start + np.arange(rows, dtype=np.int64) * (WINDOW // rows)
            batch = EventBatch(KEY, "predictions", times, *self.reference.encode(table))
            for part in np.array_split(self.rng.permutation(rows) if batches > 1 else np.arange(rows), batches):
                found += feed(self.pipeline, batch.where(part), until=start)
            found += feed(self.pipeline, until=start + WINDOW)
        return self.explainer.explain(found)


def answers(share: float) -> Law:
    """Predictions of which a share is yes."""

    def law(rng: np.random.Generator, count: int) -> Table:
        return rows_of(rng, count) | {"__prediction__": np.where(rng.random(count) < share, "yes", "no")}

    return law


@cache
def answering(rows: int) -> Reference:
    rng = np.random.default_rng(5)
    return fitted(rng, answers(0.1)(rng, 300_000), rows)


def changes(facts: list[Fact], rule: str = FROZEN_RULE) -> list[AlertChanged]:
    return [fact for fact in of(facts, AlertChanged) if fact.rule == rule]


def names(fact: AlertChanged) -> list[str]:
    return [each.feature for each in fact.evidence]


@pytest.mark.parametrize(
    ("column", "value", "words", "severity"),
    [
        ("age", 41.5, "age is 41.5 in each of 300 rows", Severity.WARNING),
        ("age", 1e6, "age is 1.00e+06 in each of 300 rows", Severity.WARNING),
        ("plan", "pro", "plan is pro in each of 300 rows", Severity.WARNING),
        ("zeros", 0.0, "zeros is 0 in each of 300 rows", Severity.WARNING),
        ("__prediction__", 0.25, "prediction is 0.25 in each of 300 rows", Severity.CRITICAL),
    ],
)
def test_a_freeze_is_told_once_and_ends_when_it_varies_again(
    column: str, value: Any, words: str, severity: Severity
) -> None:
    traffic = Traffic(learnt())
    assert changes(traffic.panes(3)) == []

    facts = traffic.panes(12, **{column: value})
    (opened,) = changes(facts)
    assert (opened.opened, opened.kind.value, opened.severity, names(opened)) == (True, "service", severity, [column])
    assert opened.evidence[0].since == MIDNIGHT + 3 * WINDOW
    assert summary(opened).startswith("churn/3 is frozen since 2025-11-23 00:1")
    if "e+" not in words:
        assert words in summary(opened)
    assert of(facts, AlertEscalated) == []

    after = traffic.panes(40)
    (ended,) = changes(after)
    assert (ended.closed, ended.incident) == (True, opened.incident)
    assert changes([*facts, *after], BUDGET_RULE) == []  # nor is what charts heard of it told when it is over
    assert of([*facts, *after], RetrainDecided) == []


def test_a_drift_after_a_freeze_is_told_again() -> None:
    traffic = Traffic(learnt())
    traffic.panes(3)
    traffic.panes(6, age=40.0)
    traffic.panes(60)
    found = list[Fact]()
    for _ in range(6):
        traffic.rng.random()
        found += traffic.panes(1, last=0.5, age=90.0)

    assert [names(fact) for fact in changes(found, BUDGET_RULE) if fact.opened] == [["age"]]
    assert changes(found) == []


def shifted(rng: np.random.Generator, count: int) -> Table:
    table = rows_of(rng, count)
    return table | {"age": table["age"] + 25.0}


def test_a_drift_that_follows_a_freeze_at_once_is_told_a_pane_later() -> None:
    """A feed that is repaired with another scale: the pane in which it begins may be half of each, the next is not."""
    traffic = Traffic(learnt())
    traffic.panes(3)
    traffic.panes(6, age=40.0)
    traffic.law = shifted
    found = traffic.panes(2)

    assert [(fact.closed, fact.rule) for fact in of(found, AlertChanged) if fact.opened or fact.closed] == [
        (True, FROZEN_RULE),
        (False, BUDGET_RULE),
    ]
    assert len(of(found, RetrainDecided)) == 1


def test_a_drift_that_was_told_before_a_freeze_stays_open_through_it_and_after() -> None:
    traffic = Traffic(learnt())
    traffic.panes(3)
    traffic.law = shifted
    assert [fact.opened for fact in changes(traffic.panes(4), BUDGET_RULE)] == [True]
    found = traffic.panes(6, age=40.0)
    found += traffic.panes(30)

    assert [fact.closed for fact in changes(found)] == [False, True]
    assert [fact for fact in changes(found, BUDGET_RULE) if fact.opened or fact.closed] == []


def test_with_few_rows_a_freeze_is_told_once_it_is_certain_and_nothing_is_told_or_trained_before() -> None:
    traffic = Traffic(of_few_rows(), rows=30)
    traffic.panes(30)
    found = traffic.panes(60, __prediction__=0.9)

    (opened,) = changes(found)
    assert (opened.opened, opened.evidence[0].rows) == (True, 210)
    assert changes(found, BUDGET_RULE) == []
    assert of(found, RetrainDecided) == []


@pytest.mark.parametrize(("rows", "share"), [(300, 0.01), (30, 0.002)])
def test_a_rate_that_falls_is_drift_though_runs_of_the_other_value_grow_long(rows: int, share: float) -> None:
    """They are what so low a rate brings; the first of few rows may be told, before anybody can know."""
    traffic = Traffic(answering(rows), law=answers(0.1), rows=rows)
    traffic.panes(40)
    traffic.law = answers(share)
    found = traffic.panes(300)

    drift = [fact for fact in changes(found, BUDGET_RULE) if fact.opened]
    assert [names(fact) for fact in drift] == [["__prediction__"]]
    assert [fact.outcome.value for fact in of(found, RetrainDecided)] == ["requested"]
    assert len([fact for fact in changes(found) if fact.opened]) <= 2
    assert [fact for fact in changes(found, BUDGET_RULE) if fact.closed] == []


def test_what_is_one_value_in_all_of_the_reference_is_never_frozen() -> None:
    traffic = Traffic(learnt())
    traffic.panes(9)
    found = traffic.panes(60, only=2.0)

    assert changes(found) == []
    assert [fact.kind.value for fact in changes(found, BUDGET_RULE) if fact.opened] == ["data_quality"]


def test_a_freeze_outlives_a_reference_that_no_longer_has_its_category() -> None:
    """Its code is of the other layout; the incident stays open, and says nothing until something varies."""
    traffic = Traffic(learnt())
    traffic.panes(3)
    traffic.panes(3, plan="pro")
    table = rows_of(np.random.default_rng(6), 90_000)
    fewer = table | {"plan": np.where(table["plan"] == "pro", "free", table["plan"])}
    after = Traffic(fitted(np.random.default_rng(6), fewer, ROWS))
    restored(traffic.pipeline, after.pipeline)
    after.number = traffic.number

    (open_one,) = [
        fact for fact in of(after.explainer.explain(after.pipeline.current()), AlertSeen) if fact.rule == FROZEN_RULE
    ]
    assert [(each.feature, each.words) for each in open_one.evidence] == [("plan", "")]
    after.law = lambda rng, count: rows_of(rng, count) | {"plan": rng.choice(np.array(["free", "basic"]), count)}
    assert [fact.closed for fact in changes(after.panes(2))] == [True]


def test_who_accepts_a_freeze_for_a_time_hears_of_it_when_that_is_over() -> None:
    traffic = Traffic(learnt())
    traffic.panes(2)
    traffic.panes(2, age=40.0)
    wish = Accept(Scope("churn", features=("age",)), 20 * WINDOW)
    traffic.pipeline.decide(Asked("a", wish, "ana", "meant"), MIDNIGHT)

    assert changes(traffic.panes(20, age=40.0)) == []
    assert [names(fact) for fact in changes(traffic.panes(2, age=40.0)) if fact.opened] == [["age"]]


def test_what_moves_into_one_bin_is_no_freeze() -> None:
    """A change of unit puts every value beyond the range, where they vary as ever: that is drift."""
    traffic = Traffic(learnt())
    traffic.panes(3)
    found = list[Fact]()
    for _ in range(6):
        found += traffic.panes(1, age=1e5 * (1 + traffic.rng.random(ROWS)))

    assert changes(found) == []
    assert [names(fact) for fact in changes(found, BUDGET_RULE) if fact.opened] == [["age"]]


def test_several_that_freeze_are_one_incident_with_the_prediction_in_front() -> None:
    traffic = Traffic(learnt())
    traffic.panes(2)
    facts = traffic.panes(4, age=40.0, plan="free", __prediction__=0.5)

    (opened,) = changes(facts)
    assert names(opened) == ["__prediction__", "age", "plan"]


def test_few_rows_of_one_value_are_no_freeze() -> None:
    traffic = Traffic(learnt())
    traffic.panes(2)
    traffic.pipeline.series[KEY].features.operator(FROZEN_RULE)._min_rows = 10**6
    assert changes(traffic.panes(3, age=40.0)) == []


def test_a_cold_reference_learns_what_varies_first_but_knows_that_predictions_do() -> None:
    traffic = Traffic(cold())
    assert [names(fact) for fact in changes(traffic.panes(3, age=40.0, __prediction__=0.5))] == [["__prediction__"]]
    traffic.panes(40)
    opened = [fact for fact in changes(traffic.panes(3, age=40.0)) if fact.opened]
    assert [names(fact) for fact in opened] == [["age"]]


def test_what_often_stands_still_is_not_told() -> None:
    """As a weekday does, or a rate of exchange: one value for an hour, then another."""
    traffic = Traffic(cold())
    found = list[Fact]()
    for number in range(8):
        found += traffic.panes(12, age=40.0 + number)
        found += traffic.panes(1)
    assert changes(found) == []


def test_who_accepts_a_freeze_hears_no_more_of_it_until_it_varies() -> None:
    traffic = Traffic(learnt())
    traffic.panes(2)
    traffic.panes(2, age=40.0)
    told = traffic.pipeline.decide(
        Asked("a", Accept(Scope("churn", features=("age",)), None), "ana", "meant"), MIDNIGHT
    )
    assert [fact.closed for fact in changes(told)] == [True]
    assert changes(traffic.panes(5, age=40.0)) == []
    traffic.panes(80)
    assert [names(fact) for fact in changes(traffic.panes(20, age=41.0)) if fact.opened] == [["age"]]


@pytest.mark.parametrize("batches", [1, 7])
def test_neither_a_restart_nor_the_order_of_events_changes_anything(batches: int) -> None:
    def run(*, restarts: bool) -> list[Fact]:
        traffic, found = Traffic(learnt()), list[Fact]()
        traffic.rng = np.random.default_rng(3)
        for count, frozen in ((3, {}), (1, {"age": 40.0}), (3, {"age": 40.0}), (2, {}), (2, {"__prediction__": 0.5})):
            found += traffic.panes(count, batches=batches, **frozen)
            if restarts:
                fresh = Traffic(learnt()).pipeline
                restored(traffic.pipeline, fresh)
                traffic.pipeline = fresh
        return [fact for fact in found if isinstance(fact, AlertChanged)]

    expected = run(restarts=False)
    assert [fact.rule for fact in expected] == [FROZEN_RULE] * 3
    assert run(restarts=True) == expected


def test_the_past_that_an_earlier_version_wrote_by_names_goes_on() -> None:
    traffic, after = Traffic(cold()), Traffic(cold())
    traffic.panes(40)
    saved = {record.kind: record for record in traffic.pipeline.snapshot()}["runs"]
    assert saved.payload is not None
    held = msgspec.json.decode(saved.payload, type=SavedRuns)
    seen, varied, rows, others = np.frombuffer(held.past, "<f8").reshape(4, -1)
    by_name = [dict(zip(cold().names, each.tolist(), strict=True)) for each in (seen.astype(int), varied.astype(int))]
    recent = dict(zip(cold().names, zip(rows.tolist(), others.tolist(), strict=True), strict=True))
    older = msgspec.json.encode({"runs": {}, "seen": by_name[0], "varied": by_name[1], "recent": recent})
    records = traffic.pipeline.snapshot()
    after.pipeline.restore([replace(each, payload=older) if each.kind == "runs" else each for each in records], now=0)
    after.number = traffic.number

    assert [names(fact) for fact in changes(after.panes(3, age=40.0)) if fact.opened] == [["age"]]


@pytest.mark.parametrize("value", [0.25, 0.75])
def test_one_freeze_that_was_told_mutes_none_that_follows(value: float) -> None:
    """At its hours, of its value or another: an outage is nobody's custom."""
    traffic = Traffic(learnt(), rows=20)
    traffic.panes(100)
    assert [fact.opened for fact in changes(traffic.panes(18 * 12, __prediction__=0.25))] == [True]
    traffic.panes(288 + 72)

    found = traffic.panes(36, __prediction__=value)
    assert [names(fact) for fact in changes(found) if fact.opened] == [["__prediction__"]]


@pytest.mark.parametrize(("reference", "column"), [(cold, "__prediction__"), (learnt, "age")])
def test_nights_of_one_value_are_told_until_three_were_accepted_and_those_of_another_still_are(
    reference: Callable[[], Reference], column: str
) -> None:
    """And are no drift either."""
    traffic, found = Traffic(reference(), rows=60), list[list[Fact]]()
    traffic.panes(40)
    for night, value in enumerate((0.25, 0.25, 0.25, 0.25, 0.75)):
        found.append(traffic.panes(30, **{column: value}))
        if night < 3:
            wish = Accept(Scope("churn", features=(column,)), None)
            traffic.pipeline.decide(Asked(str(night), wish, "ana", "every night"), MIDNIGHT)
        found[-1] += traffic.panes(258)
        restored(traffic.pipeline, fresh := Traffic(reference()).pipeline)
        traffic.pipeline = fresh
    told = [[(fact.rule, fact.opened) for fact in of(each, AlertChanged) if fact.opened] for each in found]
    assert told == [[(FROZEN_RULE, True)]] * 3 + [[]] + [[(FROZEN_RULE, True)]]


@pytest.mark.parametrize(("hours", "apart"), [(2, DAY), (9, DAY), (18, DAY), (60, 7 * DAY)])
def test_three_alike_are_a_custom_at_their_hours_and_for_their_value(hours: int, apart: int) -> None:
    length = hours * HOUR
    three: list[Still] = [(at * apart, length, 0.25) for at in (1, 2, 3)]
    begun = 4 * apart - length

    assert usual_at(three, 0.25, begun) == round(1.5 * length)
    assert usual_at(three, 0.75, begun) == 0
    assert usual_at(three[1:], 0.25, begun) == 0
    assert usual_at([*three[1:], (apart, length, 0.5)], 0.25, begun) == 0
    others = [
        usual_at(three, 0.25, 3 * apart + hour * HOUR) for hour in range(1, (apart - length - apart // 8) // HOUR)
    ]
    assert set(others) <= {0}
