"""A data contract at work: from messages to the incident, its end, and what is left out of drift."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from detectors import Reference, Sketch
from detectors.calibration import calibrate
from detectors.charts import BudgetSpec, IncidentKind
from detectors.contract import contract_from
from detectors.sketches.violations import Violations
from monitor.alerting.alerts import AlertState
from monitor.alerting.rules import CONTRACT_RULE
from monitor.explain.explainer import Explainer
from monitor.facts import AlertChanged, AlertSeen, ContractBroken, EventsCounted, Fact, WindowClosed
from monitor.pipeline import Pipeline
from monitor.series.contract import ContractSpec
from monitor.series.lateness import LateEvents
from monitor.series.material import Material
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import HOUR, MINUTE, SECOND, MicroBatch, Partition, SeriesKey
from monitor.stream.windows import SealedPane
from tests.build import make_spec, of, restored
from tests.charted import seeded
from tests.fakes import NOON

KEY = SeriesKey("churn", "3")
P0 = Partition("t", 0)
ROWS = 400  # a window
CONTRACT = {
    "format": "driftd.contract/1",
    "columns": {
        "age": {"type": "number", "required": True, "min": 0, "max": 100},
        "plan": {"type": "text", "values": ["free", "pro"], "max_missing": 0.05},
        "__id__": {"required": True, "unique": True},
    },
}
Row = tuple[Any, Any]


def reference() -> Reference:
    """Forty rows of every age and plan for each of many windows: its rates are known well."""
    rng = np.random.default_rng(3)
    table = {"age": rng.uniform(0, 100, 40_000), "plan": rng.choice(np.array(["free", "pro"]), 40_000)}
    stamps = NOON - 100 * MINUTE + np.arange(40_000) * (100 * MINUTE // 40_000)
    return Reference.fit(table, timestamps=stamps, window_ns=MINUTE)


class Scene:
    """A decoder, a pipeline and what words its facts; rows come a window at a time."""

    def __init__(self, of_reference: Reference, *, exclude: bool = False, budget: bool = True) -> None:
        contract = ContractSpec(contract_from(CONTRACT), exclude)
        fields = FieldMap()
        series = [SeriesFields(KEY, of_reference.layout, fields)]
        self.decoder = TopicDecoder("t", series, fields, 10**6 * SECOND, contracts={KEY: contract})
        plan = BudgetSpec(per_month=1.0, pane_ns=MINUTE) if budget else None
        self.spec = make_spec(key=KEY, reference=of_reference, plan=plan, contract=contract)
        self.explainer = Explainer({KEY: of_reference})
        self.pipeline = Pipeline([self.spec], 30 * SECOND)
        self.window = 0
        self.facts: list[Fact] = []

    def play(self, rows: Sequence[Row]) -> list[Fact]:
        """One window of rows; what closed with its first event is of the window before."""
        begin = NOON + self.window * MINUTE
        step = MINUTE // len(rows)
        values = [
            json.dumps(
                {
                    "ts": (begin + at * step) // 10**6,
                    "model": "churn",
                    "version": "3",
                    "id": f"{self.window}-{at}",
                    "features": {"age": age, "plan": plan},
                }
            ).encode()
            for at, (age, plan) in enumerate(rows)
        ]
        decoded = self.decoder.decode(TopicRecords("t", [0] * len(values), values), NOON)
        assigned = frozenset({P0}) if not self.window else frozenset[Partition]()
        arrived = MicroBatch(tuple(decoded.batches), decoded.seen, frozenset({P0}), assigned=assigned)
        self.explainer.hear(decoded.facts)
        facts = [*decoded.facts, *self.pipeline.ingest(arrived, NOON), *self.pipeline.advance()]
        self.facts = [*self.explainer.explain(facts)]
        self.window += 1
        return self.facts


def usual(rng: np.random.Generator, rows: int = ROWS) -> list[Row]:
    return list(zip(rng.uniform(0, 100, rows).tolist(), rng.choice(["free", "pro"], rows).tolist(), strict=True))


def broken(rng: np.random.Generator, share: float, age: Any, rows: int = ROWS) -> list[Row]:
    found = usual(rng, rows)
    return [(age, plan) if at < share * rows else (fine, plan) for at, (fine, plan) in enumerate(found)]


def changes(facts: Sequence[Fact], rule: str = CONTRACT_RULE) -> list[AlertChanged]:
    return [fact for fact in of(facts, AlertChanged) if fact.rule == rule]


def told(scene: Scene, windows: Iterator[list[Row]] | list[list[Row]]) -> list[AlertChanged]:
    return [change for rows in windows for change in changes(scene.play(rows))]


@pytest.fixture(scope="module", name="known")
def known_reference() -> Reference:
    return reference()


def test_a_text_where_a_number_was_agreed_is_an_incident_that_ends(known: Reference) -> None:
    rng, scene = seeded(), Scene(known)
    assert told(scene, [usual(rng) for _ in range(5)]) == []

    [opened] = told(scene, [broken(rng, 0.3, "12,5") for _ in range(3)])

    assert (opened.after, opened.kind) == (AlertState.FIRING, IncidentKind.DATA_QUALITY)
    [evidence] = opened.evidence
    assert (evidence.feature, evidence.chart, evidence.rows) == ("age", "type", ROWS)
    assert evidence.words == "type broken by 30 % of rows, such as '12,5' and '12,5'"
    ended = told(scene, [usual(rng) for _ in range(40)])
    assert [change.closed for change in ended] == [True]


def test_what_has_ended_says_how_bad_it_was_and_not_how_it_is_now(known: Reference) -> None:
    """Twelve windows keep the contract before the incident ends: none of them is what it was of."""
    rng, scene = seeded(), Scene(known)
    told(scene, [usual(rng) for _ in range(3)])
    told(scene, [broken(rng, 0.5, 200) for _ in range(3)] + [broken(rng, 0.1, 200)])
    found = told(scene, [usual(rng) for _ in range(20)])

    assert found[-1].closed
    (member,) = found[-1].about.members
    assert member.words.startswith("max broken by 50 % of rows")
    assert member.effect == pytest.approx(0.5)


def test_one_cause_is_one_incident(known: Reference) -> None:
    """Rows without an age are missing to the charts as well: whoever tells of them first is alone."""
    rng, scene = seeded(), Scene(known)
    told(scene, [usual(rng) for _ in range(3)])

    facts = [fact for _ in range(8) for fact in scene.play(broken(rng, 0.5, None))]

    quality = [
        change for change in of(facts, AlertChanged) if change.opened and change.kind is IncidentKind.DATA_QUALITY
    ]
    assert [(change.rule, change.evidence[0].chart) for change in quality] == [(CONTRACT_RULE, "required")]


def test_rare_rows_beyond_the_reference_page_nobody(known: Reference) -> None:
    """One row in four hundred is less than anybody hears of."""
    rng, scene = seeded(), Scene(known)

    assert told(scene, [broken(rng, 1 / ROWS, 100.5) for _ in range(60)]) == []


def test_a_window_says_what_it_holds(known: Reference) -> None:
    rng, scene = seeded(), Scene(known)
    scene.play([*broken(rng, 0.1, -1.0), (5, "gold"), (5, None)])

    [window] = of(scene.play(usual(rng)), WindowClosed)

    assert window.violations == (("age", "min", 40), ("plan", "values", 1))
    assert (window.rows, window.excluded) == (ROWS + 2, 0)


def test_what_may_be_missing_now_and_then_breaks_nothing_until_too_much_is(known: Reference) -> None:
    rng, scene = seeded(), Scene(known)
    some, many = (
        [(age, None) if at < rows else (age, plan) for at, (age, plan) in enumerate(usual(rng))] for rows in (20, 21)
    )

    facts = [*scene.play(some), *scene.play(many), *scene.play(usual(rng))]

    assert of(facts, ContractBroken) == []
    assert [window.violations for window in of(facts, WindowClosed)] == [(), (("plan", "max_missing", 21),)]


def test_rows_that_break_the_contract_can_be_left_out(known: Reference) -> None:
    """They are counted by that reason, so that events add up; a value that may be missing leaves no row out."""
    rng, scene = seeded(), Scene(known, exclude=True)
    facts = scene.play([*broken(rng, 0.1, -1.0), (5, "gold"), (5, None)])
    outcomes = {fact.outcome: fact.count for fact in of(facts, EventsCounted)}

    [window] = of(scene.play(usual(rng)), WindowClosed)

    assert outcomes == {"ok": ROWS + 2 - 41, "excluded": 41}
    assert (window.rows, window.excluded) == (ROWS + 2 - 41, 41)
    assert window.violations == (("age", "min", 40), ("plan", "values", 1))


def test_windows_of_nothing_but_excluded_rows_are_judged_all_the_same(known: Reference) -> None:
    rng, scene = seeded(), Scene(known, exclude=True)
    told(scene, [usual(rng) for _ in range(14)])

    facts = [fact for _ in range(6) for fact in scene.play(broken(rng, 1.0, "?"))]

    opened = [change for change in of(facts, AlertChanged) if change.opened]
    assert [(change.rule, change.evidence[0].feature) for change in opened] == [(CONTRACT_RULE, "age")]


def test_without_a_budget_nobody_is_paged(known: Reference) -> None:
    rng, scene = seeded(), Scene(known, budget=False)

    assert told(scene, [broken(rng, 0.5, "?") for _ in range(5)]) == []


@pytest.mark.parametrize("exclude", [False, True])
def test_going_on_from_a_snapshot_is_never_having_stopped(known: Reference, *, exclude: bool) -> None:
    rng = seeded()
    windows = [broken(rng, 0.02 if at < 6 else 0.4, -1.0) for at in range(9)]
    whole, first = Scene(known, exclude=exclude), Scene(known, exclude=exclude)
    expected = told(whole, windows)
    found = told(first, windows[:5])
    second = Scene(known, exclude=exclude)
    restored(first.pipeline, second.pipeline, NOON)
    second.window = first.window

    found += told(second, windows[5:])

    assert [(change.since, change.after) for change in found] == [(change.since, change.after) for change in expected]
    assert expected
    assert of(second.pipeline.current(), AlertSeen)


def test_rows_that_are_left_out_came_in_time(known: Reference) -> None:
    """Nine in ten rows are left out, one in a hundred is late: that is no share of late events that matters."""
    rng = seeded()
    late = LateEvents(KEY, known.hash, MINUTE)
    for minute in range(40):
        sketch = Sketch.empty(known.layout)
        sketch.update(rng.uniform(0, 100, (100, 1)), np.zeros((100, 1), dtype=np.int32))
        sketch.violate(Violations({("age", "max"): 900}, 900))
        late.on_late({"t": 10}, 0, minute * MINUTE)
        late.on_pane(SealedPane(minute * MINUTE, (minute + 1) * MINUTE, sketch))

    assert not late.alert.incident.open


def test_rows_that_are_left_out_are_traffic_that_is_learnt(known: Reference) -> None:
    """Hours of which nothing is kept teach how many rows come, and nothing of features."""
    rng, learnt = seeded(), []
    for left_out in (0, 30):
        material = Material(known, HOUR, 0)
        for hour in range(200):
            sketch, out = Sketch.empty(known.layout), hour % 7 == 3 and hour < 7 * left_out
            if not out:
                sketch.update(rng.uniform(0, 100, (500, 1)), rng.integers(0, 2, (500, 1), dtype=np.int32))
            else:
                sketch.violate(Violations({("age", "type"): 500}, 500))
            material.add(hour * HOUR, sketch)
        learnt.append(calibrate(*material.counted(), material.total.counts))

    assert learnt[1].arrival_rate.sd == pytest.approx(learnt[0].arrival_rate.sd)
    assert learnt[1].rows == learnt[0].rows
    assert learnt[1].windows < learnt[0].windows
