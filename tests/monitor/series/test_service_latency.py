"""What is slow is slower than is usual at these hours, at the level that is accepted; what is only quicker is nobody's incident."""

from collections.abc import Callable
from functools import cache

import msgspec
import numpy as np
import pytest

from detectors import Reference, Sketch
from detectors.charts import BudgetSpec
from detectors.reference.service import LATENCY, ServedColumns
from detectors.sketches.served import ServedCounts, bins_of
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import Severity
from monitor.explain.stream import explain_latency
from monitor.facts import AlertChanged, Fact
from monitor.series.records import Entry
from monitor.series.service import CHARTS, ServiceBudget, plan_of
from monitor.stream.windows import SealedPane
from tests.build import DAY, KEY, MIDNIGHT, MINUTE, of
from tests.charted import seeded

PANE, ROWS, DAYS = 15 * MINUTE, 100, 14
PLAN = plan_of(BudgetSpec(pane_ns=PANE), 0.001)  # a month, so that chance makes no incident here
Floats = np.ndarray
Change = Callable[[np.random.Generator, Floats], Floats]


def usual(rng: np.random.Generator, times: Floats, wave: float) -> Floats:
    """Seconds: a wave of the day and a long tail."""
    return 0.1 * np.exp(wave * np.sin(2 * np.pi * (times % DAY) / DAY) + rng.normal(0, 0.5, times.size))


@cache
def learnt(wave: float) -> Reference:
    rng, panes = np.random.default_rng(5), DAYS * DAY // PANE
    times = MIDNIGHT - DAYS * DAY + np.arange(panes * ROWS) * (PANE // ROWS)
    table = {"age": rng.normal(size=times.size), "took": usual(rng, times, wave)}
    return Reference.fit(table, timestamps=times, window_ns=PANE, served=ServedColumns("took", 1.0))


class Served:
    """Panes of a quarter of an hour, to the operator itself."""

    def __init__(self, wave: float = 0.4, *, rng: np.random.Generator | None = None) -> None:
        self.wave, self.rng, self.number = wave, rng or seeded(), 0
        self.operator = self.fresh()

    def fresh(self) -> ServiceBudget:
        reference = learnt(self.wave)
        assert reference.service is not None
        return ServiceBudget(KEY, reference.hash, reference.service, PLAN)

    def panes(self, count: int, change: Change = lambda _, took: took) -> list[Fact]:
        found = list[Fact]()
        for _ in range(count):
            start = MIDNIGHT + self.number * PANE
            self.number += 1
            took = change(self.rng, usual(self.rng, start + np.arange(ROWS) * (PANE // ROWS), self.wave))
            sketch = Sketch.empty(learnt(self.wave).layout)
            sketch.rows, sketch.served = ROWS, ServedCounts()
            sketch.served.update(np.stack([bins_of(took), np.zeros(ROWS, dtype=np.int16)], axis=1))
            found += self.operator.on_pane(SealedPane(start, start + PANE, sketch))
        return found


def told(facts: list[Fact]) -> list[AlertChanged]:
    return [fact for fact in of(facts, AlertChanged) if fact.opened]


def words(evidence: Evidence) -> str:
    return explain_latency(*np.frombuffer(evidence.counts, "<i8").tolist())


def some(share: float, times: float) -> Change:
    """So many of the requests take so many times as long."""
    return lambda rng, took: np.where(rng.random(took.size) < share, took * times, took)


def hangs(rng: np.random.Generator, took: Floats) -> Floats:
    """8 % take a minute."""
    return np.where(rng.random(took.size) < 0.08, 60.0, took)


@pytest.mark.parametrize(
    ("change", "within"),
    [
        pytest.param(some(0.1, 4), 48, id="a tenth takes four times as long"),
        pytest.param(hangs, 8, id="8 % take a minute"),
        pytest.param(some(0.03, 30), 24, id="3 % take thirty times as long"),
    ],
)
def test_a_few_requests_that_are_slower_than_any_before_are_told_within_hours(change: Change, within: int) -> None:
    """However few they are, and at the hours at which requests are quickest."""
    served = Served()
    assert told(served.panes(60)) == []
    (opened,) = told(served.panes(within, change))
    assert opened.severity is Severity.CRITICAL
    assert words(opened.evidence[0]).startswith("p9")  # which of the high ones, chance decides


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(some(0.5, 0.1), id="half of them"),
        pytest.param(some(0.12, 0.05), id="one in eight"),
        pytest.param(some(1.0, 0.4), id="all"),
    ],
)
def test_what_becomes_quicker_is_never_told_as_slow_at_the_hours_that_are_slower_by_nature(change: Change) -> None:
    served = Served(wave=0.8)
    served.panes(40)
    assert told(served.panes(192, change)) == []


@pytest.mark.parametrize("hours", [1, 6])
def test_what_is_accepted_is_what_is_usual_at_other_hours_too(hours: int) -> None:
    served = Served()
    served.panes(24)
    assert len(told(served.panes(4 * hours, some(1.0, 2.0)))) == 1
    assert served.operator.accept([LATENCY], None, MIDNIGHT + served.number * PANE) != []
    restarted = served.fresh()
    restarted.restore(served.operator.snapshot(), alike=True)
    served.operator = restarted
    assert of(served.panes(250, some(1.0, 2.0)), AlertChanged) == []
    assert len(told(served.panes(48, some(1.0, 6.0)))) == 1


def test_what_has_settled_is_what_is_usual_at_each_hour() -> None:
    """A week of all hours says how much slower each is: pooled, the quick hours would be told again."""
    served = Served()
    served.panes(24)
    facts = of(served.panes(14 * 96, some(1.0, 2.0)), AlertChanged)
    assert [(fact.opened, fact.closed) for fact in facts if fact.opened or fact.closed] == [
        (True, False),
        (False, True),
    ]


def test_an_incident_ends_when_requests_turn_quicker_than_usual() -> None:
    """However long they were slow, and though all charts fire: none of them speaks of what is slow."""
    served = Served()
    served.panes(24)
    assert len(told(served.panes(48, some(1.0, 2.0)))) == 1
    facts = served.panes(16, some(1.0, 0.5))
    assert [fact.closed for fact in of(facts, AlertChanged)] == [True]
    assert served.operator.charts.firing.any()


def test_charts_that_an_earlier_version_saved_are_taken_up_and_its_incident_goes_on() -> None:
    """It counted requests without what is usual of their hours: they begin anew."""
    served = Served()
    served.panes(24)
    assert len(told(served.panes(8, some(1.0, 2.0)))) == 1
    later = ("due", "level", "leans")
    rows = [
        Entry(entry.kind, msgspec.msgpack.encode({k: v for k, v in saved.items() if k not in later}))
        if entry.kind == CHARTS and isinstance(saved := msgspec.msgpack.decode(entry.held), dict)
        else entry
        for entry in served.operator.snapshot()
    ]
    served.operator = served.fresh()
    assert served.operator.restore(rows, alike=True) == []
    assert of(served.panes(12, some(1.0, 2.0)), AlertChanged) == []
    assert [fact.closed for fact in of(served.panes(40), AlertChanged)] == [True]
