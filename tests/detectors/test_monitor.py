"""The budget without a daemon: the same events, the same alarms."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from detectors import Alarms, BudgetMonitor, Reference
from detectors.charts import BudgetError, BudgetSpec
from monitor.facts import AlertChanged, AlertSeen, EventsCounted, Fact, SubgroupCharted
from monitor.stream.events import SECOND, EventBatch, Partition
from tests import grouped
from tests.build import KEY, P0, MicroBatch, make_pipeline, make_spec, of
from tests.charted import DAY, HOUR, MINUTE, MONDAY, seeded

Table = dict[str, np.ndarray]
START = MONDAY + 60 * DAY
EVERY = 2 * SECOND
Alarm = tuple[str, str, int, float]


def rows(rng: np.random.Generator, start: int, length: int, **changes: float) -> Table:
    """Rows every two seconds: a number, a number that lacks at times, a category."""
    times = np.arange(start, start + length, EVERY)
    count = times.size
    shift, missing, pro = (changes.get(name, usual) for name, usual in (("age", 0.0), ("missing", 0.01), ("pro", 0.2)))
    return {
        "ts": times.view("datetime64[ns]"),
        "age": rng.normal(40 + shift, 10, count),
        "income": np.where(rng.random(count) < missing, np.nan, rng.lognormal(size=count)),
        "plan": np.where(rng.random(count) < pro, "pro", "free"),
    }


def joined(*tables: Table) -> Table:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def chunked(table: Table, size: int) -> Iterator[Table]:
    for first in range(0, len(table["ts"]), size):
        yield {name: values[first : first + size] for name, values in table.items()}


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference.fit(rows(np.random.default_rng(7), MONDAY, 3 * DAY), timestamp="ts")


@pytest.fixture(scope="module")
def incident() -> Table:
    """A quiet day with a gap, then a mean that moves, values that go missing, and all well again."""
    rng = np.random.default_rng(11)
    return joined(
        rows(rng, START + 7 * MINUTE + 3 * SECOND, 9 * HOUR),
        rows(rng, START + 10 * HOUR, 6 * HOUR, age=3.0),
        rows(rng, START + 16 * HOUR, 2 * HOUR, age=3.0, missing=0.3),
        rows(rng, START + 18 * HOUR, 20 * HOUR),
    )


def shuffled(table: Table, rng: np.random.Generator, reach: int) -> Table:
    """The same rows, none further from its place than `reach`."""
    count = len(table["ts"])
    order = np.argsort(np.arange(count) + rng.random(count) * reach, kind="stable")
    return {name: values[order] for name, values in table.items()}


def daemon(reference: Reference, table: Table, size: int, *, length: int, slide: int, lateness: int) -> list[Fact]:
    """What the pipeline says of the same events."""
    plan = BudgetSpec(per_month=1.0, pane_ns=slide)
    spec = make_spec(
        reference=reference, length=length, slide=slide, lateness=lateness, plan=plan, model_budget=1.0, max_per_week=1
    )
    pipeline, facts, first = make_pipeline(spec), list[Fact](), True
    for chunk in chunked(table, size):
        times = chunk["ts"].astype(np.int64)
        batch = EventBatch(KEY, P0.topic, times, *reference.encode(chunk))
        assigned = frozenset[Partition]({P0} if first else ())
        arrived = MicroBatch((batch,), {P0: int(times.max())}, read=frozenset({P0}), assigned=assigned)
        facts += [*pipeline.ingest(arrived, 0), *pipeline.advance()]
        first = False
    return facts


def firing_after(facts: list[Fact]) -> list[tuple[int, set[Alarm]]]:
    """After each subgroup of the daemon: which features fire, by what, since when, how far."""
    found: list[tuple[int, set[Alarm]]] = []
    for fact in facts:
        if isinstance(fact, SubgroupCharted):
            found.append((fact.end, set()))
        if isinstance(fact, AlertSeen | AlertChanged) and fact.rule == "drift" and fact.evidence:
            found[-1][1].update((one.feature, one.chart, one.since or 0, one.effect or 0.0) for one in fact.evidence)
    return found


@pytest.mark.parametrize(
    ("size", "slide", "length", "lateness", "reach"),
    [
        pytest.param(150, 5 * MINUTE, 5 * MINUTE, 0, 1, id="a pane at a time"),
        pytest.param(1000, 2 * MINUTE, 10 * MINUTE, 0, 1, id="subgroups of several panes"),
        pytest.param(100_000, 5 * MINUTE, 5 * MINUTE, 0, 1, id="all at once"),
        pytest.param(333, 5 * MINUTE, 5 * MINUTE, 3 * MINUTE, 150, id="out of order, some of it late"),
    ],
)
def test_alarms_are_those_of_the_daemon(
    reference: Reference, incident: Table, size: int, slide: int, length: int, lateness: int, reach: int
) -> None:
    table = shuffled(incident, np.random.default_rng(3), reach)
    facts = daemon(reference, table, size, length=length, slide=slide, lateness=lateness)
    expected = firing_after(facts)

    monitor = BudgetMonitor(
        reference, false_alarms_per_month=1, pane=dt.timedelta(seconds=slide // SECOND), lateness=f"{lateness}ns"
    )
    opened, resolved = [], []
    for chunk in chunked(table, size):
        for alarm in monitor.update(chunk):
            (opened if alarm.resolved_at is None else resolved).append(alarm)

    before: set[str] = set()
    transitions: list[tuple[str, int, bool]] = []
    for end, alarms in expected:
        now = {feature for feature, *_ in alarms}
        transitions += [(name, end, True) for name in sorted(now - before)]
        transitions += [(name, end, False) for name in sorted(before - now)]
        before = now
    assert {(a.feature, a.opened_at) for a in opened} == {(name, end) for name, end, up in transitions if up}
    assert {(a.feature, a.resolved_at) for a in resolved} == {(name, end) for name, end, up in transitions if not up}
    assert {a.feature for a in opened} >= {"age", "income"}
    assert {a.feature for a in monitor.alarms} == before
    assert monitor.late == sum(fact.count for fact in of(facts, EventsCounted) if fact.outcome == "late")
    assert bool(monitor.late) is bool(lateness)
    incidents = [change for change in of(facts, AlertChanged) if change.rule == "drift"]
    assert incidents[0].window.end == min(a.opened_at for a in opened)
    assert {(one.feature, one.chart, one.since, one.effect) for one in incidents[0].evidence} == {
        (a.feature, a.chart, a.since, a.effect) for a in opened if a.opened_at == incidents[0].window.end
    }


def test_order_within_a_chunk_does_not_matter(reference: Reference, incident: Table) -> None:
    rng = seeded()
    one, other = BudgetMonitor(reference), BudgetMonitor(reference)
    for chunk in chunked(incident, 5000):
        order = rng.permutation(len(chunk["ts"]))
        assert one.update(chunk) == other.update({name: values[order] for name, values in chunk.items()})
    assert one.alarms == other.alarms


def test_how_rows_are_cut_into_chunks_does_not_matter(reference: Reference, incident: Table) -> None:
    rng = seeded()
    one, other = BudgetMonitor(reference), BudgetMonitor(reference)
    one.update(incident)
    first = 0
    while first < len(incident["ts"]):
        last = first + int(rng.integers(1, 6000))
        other.update({name: values[first:last] for name, values in incident.items()})
        first = last

    assert other.to_frame() == one.to_frame()


def test_what_is_late_and_what_has_no_time_is_counted(reference: Reference) -> None:
    rng = seeded()
    monitor = BudgetMonitor(reference)
    monitor.update(rows(rng, START, HOUR))
    monitor.update(rows(rng, START, 10 * MINUTE))
    monitor.update({"ts": np.array(["NaT", "NaT"], "datetime64[ns]"), "age": [1.0, 2.0]})
    fresh = BudgetMonitor(reference)

    assert (monitor.late, monitor.without_time) == (300, 2)
    assert not fresh.update({"ts": np.array(["NaT"], "datetime64[ns]"), "age": [1.0]})
    assert (fresh.late, fresh.without_time) == (0, 1)


def test_finish_judges_what_is_still_open(reference: Reference) -> None:
    rng = seeded()
    monitor = BudgetMonitor(reference)
    assert not monitor.update(rows(rng, START, HOUR))
    assert not monitor.update(rows(rng, START + HOUR, 5 * MINUTE - EVERY, missing=1.0, age=40.0))

    assert {alarm.feature for alarm in monitor.finish()} >= {"age", "income"}
    assert not monitor.finish()


def test_nothing_to_finish_is_nothing(reference: Reference) -> None:
    assert BudgetMonitor(reference).finish() == Alarms()


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_chunks_may_be_of_any_library_and_alarms_come_back_in_it(
    reference: Reference, incident: Table, library: str
) -> None:
    make = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}[library]
    kind = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.Table}[library]
    monitor, plain = BudgetMonitor(reference), BudgetMonitor(reference)
    for chunk in chunked(incident, 5000):
        assert monitor.update(make(chunk)) == plain.update(chunk)
    table = monitor.to_frame()

    assert isinstance(table, kind)
    assert len(table) == len(plain.to_frame()["feature"])  # type: ignore[index]
    assert isinstance(Alarms(library=library).to_frame(), kind)  # type: ignore[arg-type]


def test_a_cold_reference_is_refused_with_what_mends_it() -> None:
    with pytest.raises(ValueError, match=r'not calibrated: fit it with its event times, .*timestamp="ts"'):
        BudgetMonitor(Reference.fit({"age": np.arange(100.0)}))

    short = Reference.fit({"ts": np.arange(0, 600 * SECOND, SECOND), "age": np.arange(600.0)}, timestamp="ts")
    with pytest.raises(ValueError, match=r"not calibrated: .* are needed; fit it on a longer time"):
        BudgetMonitor(short)


def test_a_budget_that_cannot_be_held_is_refused(reference: Reference) -> None:
    with pytest.raises(BudgetError, match="cannot be held"):
        BudgetMonitor(reference, false_alarms_per_month=1e9)


def test_panes_longer_than_the_reference_are_refused(reference: Reference) -> None:
    with pytest.raises(ValueError, match="subgroups of 30d are longer than the reference, which covers "):
        BudgetMonitor(reference, pane="30d")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pane": "0s"}, "a pane must be longer than zero"),
        ({"lateness": dt.timedelta(seconds=-1)}, "the lateness at least zero"),
        ({"effect_floors": {"agee": 0.1}}, "no feature agee; it has age, income, plan"),
        ({"importance": {"agee": 2.0}}, "no feature agee"),
        ({"pane": "5"}, "must be a duration such as"),
        ({"settle_after": "0s"}, "settle_after must be longer than zero"),
        ({"baseline": "trail"}, "baseline 'trail' is not known; valid are auto, reference"),
        ({"baseline": {"agee": "auto"}}, "no feature agee"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(reference: Reference, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BudgetMonitor(reference, **changes)


def test_groups_that_only_one_side_knows_are_refused(reference: Reference) -> None:
    table = grouped.sessions(seeded(), 60, 30)
    known = grouped.fitted(table)
    monitor = BudgetMonitor(known, timestamp="at", group="sesion")

    with pytest.raises(ValueError, match=r"there is no column sesion; there are at, session, .*; group= names it"):
        monitor.update(table)
    with pytest.raises(
        ValueError, match="the reference knows groups of rows, but no group= says where rows have theirs"
    ):
        BudgetMonitor(known, timestamp="at")
    with pytest.raises(ValueError, match="the reference knows no groups, so group=session says nothing"):
        BudgetMonitor(reference, group="session")


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_numbers_of_groups_weigh_as_their_texts(kind: type) -> None:
    table = grouped.sessions(seeded(), 60, 30)
    numbers = np.unique(table["session"], return_inverse=True)[1]
    known = grouped.fitted(table)
    judged = []
    for session in (numbers.astype(kind), numbers.astype(str).astype(object)):
        monitor = BudgetMonitor(known, timestamp="at", group="session")
        monitor.update(table | {"session": session})
        monitor.finish()
        judged.append(monitor._charts.to_bytes())

    assert judged[0] == judged[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"timestamp": None}, "group needs timestamp: rows come together in windows of event time"),
        ({"timestamp": None, "timestamps": grouped.MONDAY + np.arange(600)}, "group needs window"),
        ({"group": "at"}, "group at is the timestamp and cannot be what rows come together in as well"),
        ({"prediction": "session"}, "group session is the prediction and cannot"),
        ({"group": "sesion"}, "there is no column sesion to group rows by"),
    ],
    ids=str,
)
def test_a_group_without_windows_teaches_nothing_and_is_refused(changes: dict[str, Any], said: str) -> None:
    table = grouped.sessions(seeded(), 2, 30)
    with pytest.raises(ValueError, match=said):
        Reference.fit(table, **({"timestamp": "at", "group": "session"} | changes))


@pytest.mark.parametrize(
    ("session", "said"),
    [
        (
            np.full(60 * grouped.ROWS, None),
            "group session: 0 of 18,000 rows say what they belong to, fewer than one in ten",
        ),
        (np.where(np.arange(60 * grouped.ROWS) % 20, np.nan, 7.0), "900 of 18,000 rows say"),
        (
            np.full(60 * grouped.ROWS, np.nan),
            "group session: 0 of 18,000 rows say what they belong to, fewer than one in ten",
        ),
        (np.arange(60 * grouped.ROWS).view("datetime64[ns]"), r"session: datetime64\[ns\] is a time"),
        (np.array([{"id": 1}] * (60 * grouped.ROWS)), "session: dict is neither number, text nor boolean"),
    ],
    ids=["null", "few", "nan", "time", "object"],
)
def test_a_group_that_no_row_has_is_refused(session: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        grouped.fitted(grouped.sessions(seeded(), 60, 30) | {"session": session})


def test_a_chunk_without_times_is_refused_by_name(reference: Reference) -> None:
    with pytest.raises(ValueError, match="no column ts; there are age; timestamp= names it"):
        BudgetMonitor(reference).update({"age": [1.0]})


@pytest.mark.parametrize(("settle_after", "over"), [("500m", True), ("7d", False)])
def test_a_level_that_lasts_resolves_its_alarm(reference: Reference, settle_after: str, *, over: bool) -> None:
    rng = np.random.default_rng(5)
    monitor = BudgetMonitor(reference, settle_after=settle_after)
    monitor.update(rows(rng, START, 2 * HOUR))
    [opened] = [
        alarm for alarm in monitor.update(rows(rng, START + 2 * HOUR, 20 * HOUR, age=10.0)) if alarm.feature == "age"
    ][:1]

    assert opened.resolved_at is None
    assert ("age" not in {alarm.feature for alarm in monitor.alarms}) is over


def test_features_may_be_compared_with_their_recent_past(reference: Reference) -> None:
    monitor = BudgetMonitor(reference, baseline={"age": "trailing 3d"})

    assert [reference.names[each.place] for each in monitor._charts.trailing.standing()] == ["age"]
    assert not BudgetMonitor(reference, baseline="reference")._charts.trailing.standing()


def test_it_says_where_it_stands(reference: Reference, incident: Table) -> None:
    monitor = BudgetMonitor(reference)
    assert repr(monitor) == "<BudgetMonitor of 3 features: nothing judged yet, 0 alarms open>"
    monitor.update(incident)

    assert "judged until 1970-03-" in repr(monitor)
    assert "<th>feature</th>" in monitor._repr_html_()
