"""A reference that does not say how requests are served: live traffic teaches it, then charts of it decide."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec
from detectors.reference.service import ERROR, LATENCY, ServedColumns
from detectors.sketches.served import bins_of
from monitor.alerting.rules import ERRORS_RULE, LATENCY_RULE
from monitor.facts import AlertChanged, Fact, ServiceJudged, ServiceLearning, ServiceLearnt, StateReset
from monitor.pipeline import Pipeline
from monitor.series.service import plan_of
from monitor.series.service_learning import ServiceLearner
from monitor.stream.events import EventBatch
from tests.build import DAY, HOUR, KEY, MIDNIGHT, MINUTE, feed, make_pipeline, of, restored, stored
from tests.charted import seeded

PANE, ROWS, LEARN_FOR = 15 * MINUTE, 100, 3 * DAY
PANES = LEARN_FOR // PANE + 1  # the window is learnt from once the next one has begun
PLAN = BudgetSpec(pane_ns=PANE, per_month=0.9)
BOTH = (LATENCY, ERROR)


@cache
def training() -> Reference:
    """A training set: neither times nor requests."""
    return Reference.fit({"age": np.random.default_rng(4).normal(40, 10, 5_000)})


def requests(
    rng: np.random.Generator, rows: int, *, slow: float = 1.0, errors: float = 0.003
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds, and which failed: all hours alike, for three days teach no others."""
    return slow * 0.1 * np.exp(rng.normal(0, 0.4, rows)), rng.random(rows) < errors


class Live:
    """Panes of a quarter of an hour. `served`: what topics say."""

    def __init__(self, reference: Reference | None = None, served: tuple[str, ...] = BOTH, **changes: Any) -> None:
        self.reference = training() if reference is None else reference
        self.changes = {"served": served, "learn_for": LEARN_FOR} | changes
        self.rng, self.number = seeded(), 0
        self.pipeline = self.fresh()

    def fresh(self) -> Pipeline:
        how = {"length": PANE, "plan": PLAN, "service_plan": plan_of(PLAN, 0.1), "min_rows": 20} | self.changes
        return make_pipeline(reference=self.reference, **how)

    def restart(self, **changes: Any) -> list[Fact]:
        saved = stored(self.pipeline.snapshot())
        self.changes |= changes
        self.pipeline = self.fresh()
        return restored(saved, self.pipeline)

    def panes(self, count: int, *, timed: bool = True, **how: Any) -> list[Fact]:
        found: list[Fact] = []
        for _ in range(count):
            start = MIDNIGHT + self.number * PANE
            self.number += 1
            times = start + np.arange(ROWS, dtype=np.int64) * (PANE // ROWS)
            took, failed = requests(self.rng, ROWS, **how)
            bins = bins_of(took) if timed else np.full(ROWS, -1, dtype=np.int16)
            served = np.stack([bins, failed.astype(np.int16)], axis=1)
            columns = self.reference.encode({"age": self.rng.normal(40, 10, ROWS)})
            found += feed(
                self.pipeline, EventBatch(KEY, "predictions", times, *columns, served=served), until=start + PANE
            )
        return found

    @property
    def learner(self) -> ServiceLearner:
        (found,) = [each for each in self.pipeline.series[KEY].features.operators if isinstance(each, ServiceLearner)]
        return found


def told(facts: list[Fact]) -> list[tuple[str, bool]]:
    ours = [fact for fact in of(facts, AlertChanged) if fact.rule in {LATENCY_RULE, ERRORS_RULE}]
    return [(fact.rule, fact.opened) for fact in ours if fact.opened or fact.closed]


def test_a_training_set_alone_becomes_a_monitor_of_latency_and_errors() -> None:
    live = Live()
    before = live.panes(PANES)
    (learnt,) = of(before, ServiceLearnt)
    assert len(of(before, ServiceJudged)) == 1  # of the pane that ended it
    assert learnt.calibration.startswith("learnt_")
    assert learnt.before == training().hash != learnt.after
    assert learnt.service.profile.names == BOTH
    assert learnt.service.served.timed == (PANES - 1) * ROWS
    assert of(before, ServiceLearning)[-1].progress.share == pytest.approx((PANES - 2) / (PANES - 1))

    quiet = live.panes(48)
    assert told(quiet) == []
    judged = of(quiet, ServiceJudged)[-1]
    assert judged.requests == judged.timed == ROWS
    assert [each.share for each in judged.latencies] == [0.5, 0.95, 0.99]
    assert 0.7 < (judged.latencies[0].now or 0.0) / judged.latencies[0].usual < 1.4

    slow = live.panes(16, slow=3.0)
    assert told(slow) == [(LATENCY_RULE, True)]
    assert next(fact.reference for fact in of(slow, AlertChanged) if fact.rule == LATENCY_RULE) == learnt.after
    assert of(slow, ServiceJudged)[-1].told == (LATENCY_RULE,)
    assert told(live.panes(160)) == [(LATENCY_RULE, False)]
    assert told(live.panes(24, errors=0.1)) == [(ERRORS_RULE, True)]


def test_a_restart_goes_on_from_what_was_gathered_and_from_what_was_learnt() -> None:
    live = Live()
    live.panes(PANES - 10)
    assert live.restart() == []
    (learnt,) = of(live.panes(10), ServiceLearnt)
    assert learnt.windows == PANES - 3  # neither the first nor the last
    assert live.restart() == []
    assert of(live.pipeline.current(), ServiceLearnt) == [learnt]
    assert of(live.pipeline.current(), ServiceLearning) == []
    assert told(live.panes(16, slow=3.0)) == [(LATENCY_RULE, True)]
    assert live.restart() == []
    assert told(live.panes(160)) == [(LATENCY_RULE, False)]


def test_changes_alone_restore_the_same() -> None:
    """What is written a little at a time is what a whole snapshot would be."""
    live, rows = Live(), dict[tuple[str, int | None], Any]()
    for _ in range(PANES + 8):
        live.panes(1)
        for entry in live.learner.changes():
            rows[entry.kind, entry.number] = entry.payload
    kept = {place: payload for place, payload in rows.items() if payload is not None}
    assert kept == {(entry.kind, entry.number): entry.payload for entry in live.learner.snapshot()}


def test_another_path_of_a_topic_begins_anew_and_says_so() -> None:
    live = Live(served=(ERROR,))
    live.panes(40)
    (reset,) = of(live.restart(served=BOTH), StateReset)
    assert "other paths of topics say it now" in reset.cause
    assert live.learner.current()[0].progress.windows == 0  # type: ignore[union-attr]
    assert len([entry for entry in live.learner.changes() if entry.payload is None]) == 41  # windows, and the total


def test_a_path_of_latency_at_which_nothing_stands_leaves_errors_alone_to_be_judged() -> None:
    live = Live()
    (learnt,) = of(live.panes(PANES, timed=False), ServiceLearnt)
    assert learnt.service.profile.names == (ERROR,)
    assert told(live.panes(24, timed=False, errors=0.1)) == [(ERRORS_RULE, True)]


def test_latency_alone_of_which_nothing_comes_is_never_learnt_and_why_is_said() -> None:
    live = Live(served=(LATENCY,))
    facts = live.panes(PANES + 2, timed=False)
    assert of(facts, ServiceLearnt) == []
    assert of(facts, ServiceLearning)[-1].progress.why == "no request says what it took"


def test_a_reference_with_requests_but_without_times_learns_them() -> None:
    rng = np.random.default_rng(2)
    table = {"age": rng.normal(40, 10, 5_000), "took": rng.exponential(0.1, 5_000)}
    live = Live(Reference.fit(table, served=ServedColumns("took", 1.0)))
    assert len(of(live.panes(PANES), ServiceLearnt)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"learn_for": 0}, id="nothing is to be learnt"),
        pytest.param({"served": ()}, id="no topic says it"),
        pytest.param({"service_plan": None}, id="no budget"),
    ],
)
def test_without_time_paths_or_budget_nothing_is_learnt(changes: dict[str, Any]) -> None:
    live = Live(**changes)
    assert of(live.panes(3), ServiceLearning) == []
    assert not {LATENCY_RULE, ERRORS_RULE} & {rule.name for rule in live.pipeline.series[KEY].spec.rules}


def test_what_is_gathered_does_not_depend_on_how_long_a_pane_is() -> None:
    live = Live(length=HOUR, slide=PANE)
    facts = live.panes(PANES + 4)
    assert of(facts, ServiceLearning)[-1].progress.windows == LEARN_FOR // HOUR - 1
    assert len(of(facts, ServiceLearnt)) == 1
