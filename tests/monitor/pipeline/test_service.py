"""Requests that take longer, or fail more often, than the reference's are an incident of the service each, and nobody else's."""

import re
from dataclasses import replace
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec
from detectors.reference.service import ERROR, LATENCY, ServedColumns
from detectors.sketches.served import ServedCounts, bins_of
from monitor.alerting.decisions import Accept, Asked, Scope
from monitor.alerting.rules import ERRORS_RULE, LATENCY_RULE, Severity
from monitor.explain.explainer import Explainer
from monitor.explain.words import summary
from monitor.facts import AlertChanged, AlertEscalated, Fact, RetrainDecided
from monitor.pipeline import Pipeline
from monitor.series.service import plan_of
from monitor.stream.events import EventBatch
from tests.build import DAY, KEY, MIDNIGHT, MINUTE, feed, make_pipeline, of, restored
from tests.charted import seeded

PANE, ROWS, DAYS = 15 * MINUTE, 150, 14
PLAN = BudgetSpec(pane_ns=PANE, per_month=0.9)
DRIFT_PLAN = replace(PLAN, per_month=1e-4)  # nothing drifts here, and these tests ask after the service


def requests(rng: np.random.Generator, times: np.ndarray, *, slow: float = 1.0, errors: float = 0.003) -> np.ndarray:
    """Seconds and failures: a wave of the day, days that differ, a long tail. float64[n, 2]."""
    hours = 2 * np.pi * (times % DAY) / DAY
    daily = np.random.default_rng(9).normal(0, 0.05, 400)[(times - MIDNIGHT) // DAY % 400]
    took = slow * 0.1 * np.exp(0.3 * np.sin(hours) + daily + rng.normal(0, 0.4, times.size))
    return np.stack([took, rng.random(times.size) < errors], axis=1)


@cache
def learnt() -> Reference:
    rng, panes = np.random.default_rng(5), DAYS * DAY // PANE
    times = MIDNIGHT - DAYS * DAY + np.arange(panes * ROWS) * (PANE // ROWS)
    took, failed = requests(rng, times).T
    table = {"age": rng.normal(40, 10, times.size), "ms": 1e3 * took, "failed": failed.astype(bool)}
    return Reference.fit(table, timestamps=times, window_ns=PANE, served=ServedColumns("ms", 1e-3, "failed"))


class Service:
    """Panes of a quarter of an hour."""

    def __init__(self) -> None:
        self.pipeline = self.fresh()
        self.rng, self.number, self.explainer = seeded(), 0, Explainer({KEY: learnt()})

    @staticmethod
    def fresh() -> Pipeline:
        return make_pipeline(
            reference=learnt(), length=PANE, plan=DRIFT_PLAN, service_plan=plan_of(PLAN, 0.1), min_rows=20
        )

    def panes(self, count: int, *, batches: int = 1, **how: Any) -> list[Fact]:
        found: list[Fact] = []
        for _ in range(count):
            start = MIDNIGHT + self.number * PANE
            self.number += 1
            times = start + np.arange(ROWS, dtype=np.int64) * (PANE // ROWS)
            took, failed = requests(self.rng, times, **how).T
            served = np.stack([bins_of(took), failed.astype(np.int16)], axis=1)
            columns = learnt().encode({"age": self.rng.normal(40, 10, ROWS)})
            batch = EventBatch(KEY, "predictions", times, *columns, served=served)
            for part in np.array_split(self.rng.permutation(ROWS) if batches > 1 else np.arange(ROWS), batches):
                found += feed(self.pipeline, batch.where(part), until=start)
            found += feed(self.pipeline, until=start + PANE)
        return self.explainer.explain(found)


def changes(facts: list[Fact]) -> list[AlertChanged]:
    return [fact for fact in of(facts, AlertChanged) if fact.opened or fact.closed]


def test_requests_that_take_twice_as_long_are_told_within_an_hour_and_end_when_they_are_quick_again() -> None:
    service = Service()
    assert changes(service.panes(96)) == []
    facts = service.panes(12, slow=2.0)

    (opened,) = changes(facts)
    assert (opened.rule, opened.kind.value, opened.severity) == (LATENCY_RULE, "service", Severity.CRITICAL)
    assert opened.window.end <= MIDNIGHT + 100 * PANE
    words = re.fullmatch(
        r"churn/3 is slow since 2025-11-24 00:\d\d: latency p95 took (\d+) ms where (\d+) ms is usual", summary(opened)
    )
    assert words is not None
    assert 1.5 < int(words[1]) / int(words[2]) < 2.6
    assert of(facts, RetrainDecided) == []

    (ended,) = changes(service.panes(96))
    assert (ended.closed, ended.incident) == (True, opened.incident)
    assert "is as quick as usual again" in summary(ended)


def test_ten_times_the_errors_are_told_and_end() -> None:
    service = Service()
    service.panes(20)
    (opened,) = changes(service.panes(24, errors=0.03))
    assert (opened.rule, [each.feature for each in opened.evidence]) == (ERRORS_RULE, [ERROR])
    assert "fails since 2025-11-23 0" in summary(opened)
    assert summary(opened).endswith("of requests where 0.3 % is usual")
    assert [fact.closed for fact in changes(service.panes(160))] == [True]


def test_errors_that_have_ended_say_how_many_they_were_and_not_how_many_there_are_now() -> None:
    service = Service()
    service.panes(20)
    service.panes(8, errors=0.12)
    ended = changes(service.panes(160))[-1]

    assert ended.closed
    (member,) = ended.about.members
    words = re.search(r"([0-9.]+) % of requests", member.words)
    assert words is not None
    assert float(words[1]) > 9


def test_what_becomes_quicker_and_fails_less_is_nobodys_incident() -> None:
    service = Service()
    service.panes(20)
    assert changes(service.panes(150, slow=0.4, errors=0.0)) == []


def test_what_doubles_again_is_told_again() -> None:
    service = Service()
    service.panes(20)
    service.panes(40, slow=1.7)
    found = service.panes(20, slow=8.0)
    assert [fact.alert.rule for fact in of(found, AlertEscalated)] == [LATENCY_RULE]


def test_who_accepts_a_latency_hears_no_more_of_it() -> None:
    service = Service()
    service.panes(20)
    service.panes(48, slow=2.0)
    told = service.pipeline.decide(Asked("a", Accept(Scope("churn", features=(LATENCY,)), None), "ana", "meant"), 0)
    assert [fact.closed for fact in changes(told)] == [True]
    assert changes(service.panes(40, slow=2.0)) == []
    found = service.panes(100, slow=5.0)  # what comes back within a day of a page waits for the day to be over
    assert [fact.rule for fact in changes(found) if fact.opened] == [LATENCY_RULE]


def test_requests_of_which_nothing_is_told_are_no_incident() -> None:
    service = Service()
    service.panes(20)
    service.explainer = Explainer({KEY: learnt()})
    found = list[Fact]()
    for _ in range(40):
        start = MIDNIGHT + service.number * PANE
        service.number += 1
        times = start + np.arange(ROWS, dtype=np.int64) * (PANE // ROWS)
        columns = learnt().encode({"age": service.rng.normal(40, 10, ROWS)})
        found += feed(service.pipeline, EventBatch(KEY, "predictions", times, *columns), until=start + PANE)
    assert changes(found) == []


@pytest.mark.parametrize("batches", [1, 5])
def test_neither_a_restart_nor_the_order_of_events_changes_anything(batches: int) -> None:
    def run(*, restarts: bool) -> list[Fact]:
        service, found = Service(), list[Fact]()
        service.rng = np.random.default_rng(3)
        for count, how in ((10, {}), (3, {"slow": 2.0}), (5, {"slow": 2.5, "errors": 0.05}), (60, {})):
            found += service.panes(count, batches=batches, **how)
            if restarts:
                fresh = service.fresh()
                restored(service.pipeline, fresh)
                service.pipeline = fresh
        return [fact for fact in found if isinstance(fact, AlertChanged | AlertEscalated)]

    expected = run(restarts=False)
    assert {fact.rule for fact in of(expected, AlertChanged)} == {LATENCY_RULE, ERRORS_RULE}
    assert run(restarts=True) == expected


def test_whoever_was_told_hears_that_the_rules_are_gone() -> None:
    """As when no topic says any more how requests were served."""
    service = Service()
    service.panes(20)
    opened = changes(service.panes(12, slow=2.0, errors=0.2))
    without = make_pipeline(reference=learnt(), length=PANE, plan=PLAN, min_rows=20)
    ended = changes(restored(service.pipeline, without))

    assert {fact.rule for fact in opened} == {LATENCY_RULE, ERRORS_RULE}
    assert {(fact.rule, fact.closed) for fact in ended} == {(LATENCY_RULE, True), (ERRORS_RULE, True)}


def test_what_fires_is_told_with_what_was_counted_though_its_sums_are_low() -> None:
    """A chart fires until it is certain that all is well again, and its words are of the requests since, never of none."""
    service = Service()
    service.panes(20)
    service.panes(8, slow=2.0, errors=0.2)
    operator = service.pipeline.series[KEY].features.operator("service")
    start, served = MIDNIGHT + service.number * PANE, ServedCounts()
    took, failed = requests(service.rng, np.full(ROWS, start), slow=2.0, errors=0.2).T
    served.update(np.stack([bins_of(took), failed.astype(np.int16)], axis=1))
    tally = operator._service.sketch(served, ROWS).tally()
    (point,) = operator.charts.update(tally, start, start + PANE)
    operator._follow(replace(point, values=np.zeros_like(point.values)))

    assert operator._slow().now > 0.15
    assert (operator._since[ERROR].error_rate or 0.0) > 0.1


def test_a_model_whose_reference_says_nothing_has_no_such_charts() -> None:
    plain = Reference.fit({"age": np.arange(100.0)})
    kinds = {record.kind for record in make_pipeline(reference=plain, plan=PLAN).snapshot()}
    assert not any("service" in kind or kind in {LATENCY_RULE, ERRORS_RULE} for kind in kinds)
    assert msgspec.json.encode(plain.to_dict()).find(b"service") < 0
