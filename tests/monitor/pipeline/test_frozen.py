"""What is frozen is told as frozen, once, and not as drift beside it; it ends when it varies again."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec
from monitor.alerting.decisions import Accept, Asked, Scope
from monitor.alerting.rules import BUDGET_RULE, FROZEN_RULE, Severity
from monitor.explain.explainer import Explainer
from monitor.explain.words import summary
from monitor.facts import AlertChanged, AlertEscalated, Fact, RetrainDecided
from monitor.pipeline import Pipeline
from monitor.stream.events import EventBatch
from tests.build import KEY, MIDNIGHT, feed, make_pipeline, of, restored
from tests.charted import WINDOW, fitted, seeded

ROWS = 300  # a pane
Table = dict[str, np.ndarray]


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
def cold() -> Reference:
    return Reference.fit(rows_of(np.random.default_rng(5), 20_000))


class Traffic:
    """Panes of five minutes, of which some columns may stand still."""

    def __init__(self, reference: Reference, pipeline: Pipeline | None = None) -> None:
        budget = BudgetSpec(pane_ns=WINDOW, per_month=0.05)
        self.reference = reference
        self.pipeline = pipeline or make_pipeline(
            reference=reference, length=WINDOW, plan=budget, min_rows=200, max_per_week=1000
        )
        self.rng, self.number = seeded(), 0
        self.explainer = Explainer({KEY: reference})

    def panes(self, count: int, *, last: float = 1.0, batches: int = 1, **frozen: Any) -> list[Fact]:
        """So many panes; of the `last` part of their rows these columns have one value."""
        found: list[Fact] = []
        for _ in range(count):
            table = rows_of(self.rng, ROWS)
            for name, value in frozen.items():
                table[name][round((1 - last) * ROWS) :] = value
            start = MIDNIGHT + self.number * WINDOW
            self.number += 1
            times = start + np.arange(ROWS, dtype=np.int64) * (WINDOW // ROWS)
            batch = EventBatch(KEY, "predictions", times, *self.reference.encode(table))
            for part in np.array_split(self.rng.permutation(ROWS) if batches > 1 else np.arange(ROWS), batches):
                found += feed(self.pipeline, batch.where(part), until=start)
            found += feed(self.pipeline, until=start + WINDOW)
        return self.explainer.explain(found)


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
