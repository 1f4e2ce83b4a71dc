"""What people accept, through real charts: the page ends at once, the new level is the usual one, also after a restart."""

from dataclasses import replace

import numpy as np

from detectors.charts import BudgetSpec
from monitor.alerting.decisions import Accept, Asked, Scope
from monitor.explain.explainer import Explainer
from monitor.facts import AlertChanged, DecisionMade, Fact, LevelChanged
from monitor.pipeline import Pipeline
from monitor.stream.events import EventBatch
from tests.build import HOUR, KEY, MIDNIGHT, feed, make_pipeline, of, restored
from tests.charted import ROWS, WINDOW, mixed, reference, seeded
from tests.fakes import NOON

LEARNT = reference(seeded()).select(["normal", "other", "holes", "plan"])
ACCEPT = Asked("1", Accept(Scope(KEY.model, None, ("normal",)), None), "ana", "new price list")


def fresh() -> Pipeline:
    return make_pipeline(reference=LEARNT, length=WINDOW, plan=BudgetSpec(pane_ns=WINDOW, per_month=0.002))


class Shifted:
    """Traffic whose `normal` has moved."""

    def __init__(self) -> None:
        self.pipeline, self.rng, self.at = fresh(), seeded(), MIDNIGHT

    def hours(self, count: float, by: float) -> list[Fact]:
        facts: list[Fact] = []
        for _ in range(round(count * HOUR / WINDOW)):
            table = mixed(self.rng, ROWS)
            table["normal"] = table["normal"] + by
            times = self.at + np.arange(ROWS, dtype=np.int64) * (WINDOW // ROWS)
            self.at += WINDOW
            facts += feed(self.pipeline, EventBatch(KEY, "predictions", times, *LEARNT.encode(table)), until=self.at)
        return Explainer({KEY: LEARNT}).explain(facts)


def test_accepting_ends_the_page_and_holds_the_feature_to_its_new_level() -> None:
    world = Shifted()
    (page,) = [fact for fact in of(world.hours(6, by=0.6), AlertChanged) if fact.opened]
    facts = world.pipeline.decide(ACCEPT, now=NOON)
    assert isinstance(facts[0], DecisionMade)
    assert [level.feature for level in of(facts, LevelChanged)] == ["normal"]
    assert [(end.incident, end.closed) for end in of(facts, AlertChanged)] == [(page.incident, True)]
    assert list(world.pipeline.resolved) == [replace(end, evidence=end.evidence) for end in of(facts, AlertChanged)]

    stopped, world.pipeline = world.pipeline, fresh()
    restored(stopped, world.pipeline)
    assert [fact for fact in of(world.hours(6, by=0.6), AlertChanged) if fact.opened] == []
    world.at += 24 * HOUR  # the same features page once a day
    assert [fact.opened for fact in of(world.hours(6, by=1.2), AlertChanged)][:1] == [True]


def test_what_was_accepted_is_accepted_once() -> None:
    world = Shifted()
    world.hours(6, by=0.6)
    first = world.pipeline.decide(ACCEPT, now=NOON)
    again = world.pipeline.decide(ACCEPT, now=NOON)

    assert of(first, LevelChanged)
    assert [type(fact) for fact in again] == [DecisionMade]
