"""Rules of a contract that ask of rows before: ids that come once, values that rise in their partition."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec
from detectors.contract import contract_from
from monitor.alerting.rules import CONTRACT_RULE
from monitor.facts import AlertChanged, ContractBroken, Fact, WindowClosed
from monitor.pipeline import Pipeline
from monitor.series.contract import ContractSpec
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import MINUTE, SECOND, MicroBatch, Partition, SeriesKey
from tests.build import make_spec, of, restored
from tests.fakes import NOON

KEY = SeriesKey("churn", "3")
PLACES = Partition("t", 0), Partition("t", 1)
ROWS = 400  # a minute
CONTRACT = {
    "format": "driftd.contract/1",
    "columns": {
        "age": {"type": "number"},
        "seq": {"type": "integer", "monotone": True},
        "__id__": {"unique": True},
        "__time__": {"type": "time", "monotone": True},
    },
}
Row = tuple[int, int, Any, Any]  # partition, milliseconds since the minute began, id, number


@pytest.fixture(scope="module", name="known")
def known_reference() -> Reference:
    rng = np.random.default_rng(3)
    table = {"age": rng.uniform(0, 100, 20_000), "seq": np.arange(20_000.0)}
    stamps = NOON - 100 * MINUTE + np.arange(20_000) * (100 * MINUTE // 20_000)
    return Reference.fit(table, timestamps=stamps, window_ns=MINUTE)


class Scene:
    """A decoder and a pipeline; rows come a minute at a time."""

    def __init__(self, of_reference: Reference, batch: int = 10_000) -> None:
        spec = ContractSpec(contract_from(CONTRACT), numbers=frozenset({"age", "seq"}))
        series = [SeriesFields(KEY, of_reference.layout, FieldMap())]
        self.decoder = TopicDecoder("t", series, FieldMap(), 10**6 * SECOND, contracts={KEY: spec})
        plan = BudgetSpec(per_month=1.0, pane_ns=MINUTE)
        self.pipeline = Pipeline([make_spec(key=KEY, reference=of_reference, plan=plan, contract=spec)], 30 * SECOND)
        self.batch = batch
        self.minute = 0
        self.begun = False

    def play(self, rows: Sequence[Row]) -> list[Fact]:
        begin, facts = NOON + self.minute * MINUTE, list[Fact]()
        raw = [
            json.dumps(
                {
                    "ts": begin // 10**6 + at,
                    "model": "churn",
                    "version": "3",
                    "id": known,
                    "features": {"age": 40.5, "seq": number},
                }
            ).encode()
            for _, at, known, number in rows
        ]
        indexes = [partition for partition, *_ in rows]
        for at in range(0, len(raw), self.batch):
            facts += self._poll(indexes[at : at + self.batch], raw[at : at + self.batch])
        self.minute += 1
        return facts

    def _poll(self, indexes: list[int], values: list[bytes]) -> list[Fact]:
        decoded = self.decoder.decode(TopicRecords("t", indexes, values), NOON)
        new = frozenset[Partition]() if self.begun else frozenset(PLACES)
        self.begun = True
        read = frozenset(PLACES[index] for index in indexes)
        arrived = MicroBatch(tuple(decoded.batches), decoded.seen, read, assigned=new, schemas=tuple(decoded.schemas))
        return [*decoded.facts, *self.pipeline.ingest(arrived, NOON), *self.pipeline.advance()]


def usual(minute: int, rows: int = ROWS) -> list[Row]:
    """Two partitions, each with times and numbers that rise."""
    step = 60_000 // rows
    return [(at % 2, at * step, f"{minute}-{at}", minute * rows + at) for at in range(rows)]


def broken(facts: Sequence[Fact]) -> Counter[tuple[str, str]]:
    return sum((Counter(fact.counts) for fact in of(facts, ContractBroken)), Counter[tuple[str, str]]())


def minutes() -> list[list[Row]]:
    """One time that falls behind by a second, in a partition of its own order; numbers begin anew; the next minute's first falls too."""
    found = [usual(minute) for minute in range(4)]
    partition, at, known, number = found[1][200]
    found[1][200] = partition, at - 1000, known, number
    found[2] = [(p, at, known, number - (2000 if at > 30_000 else 0)) for p, at, known, number in found[2]]
    found[3][0] = (0, 0, "3-0", None)
    found[3][2] = (0, 300, "3-2", -5000)
    return found


@pytest.mark.parametrize("batch", [1, 3, 7, 10_000])
def test_what_falls_in_its_partition_is_counted_however_polls_cut_it(known: Reference, batch: int) -> None:
    scene = Scene(known, batch)
    expected, last = Counter[tuple[str, str]](), dict[tuple[str, int], float]()
    for minute, rows in enumerate(minutes()):
        for partition, at, _, number in rows:
            for name, value in (("__time__", minute * 60_000 + at), ("seq", number)):
                if value is not None:
                    expected[name, "monotone"] += value < last.get((name, partition), -np.inf)
                    last[name, partition] = value

    facts = [fact for rows in minutes() for fact in scene.play(rows)]

    assert broken(facts) == +expected
    assert expected["__time__", "monotone"] >= 1
    assert expected["seq", "monotone"] >= 3


def test_the_last_value_outlives_a_restart(known: Reference) -> None:
    whole, before, found = Scene(known), Scene(known), Counter[tuple[str, str]]()
    expected = broken([fact for rows in minutes() for fact in whole.play(rows)])
    for rows in minutes():
        found += broken(before.play(rows))
        after = Scene(known)
        restored(before.pipeline, after.pipeline, NOON)
        after.minute, before = before.minute, after

    assert found == expected


def test_ids_that_repeat_are_counted_and_told_once(known: Reference) -> None:
    """Of the same window or the one before; a producer that sends half of its rows again is one page, of the contract."""
    scene = Scene(known)
    facts = [fact for minute in range(14) for fact in scene.play(usual(minute))]
    assert broken(facts) == {}
    twice = [[row for row in usual(minute, 200) for _ in range(2)] for minute in range(14, 20)]

    facts = [fact for rows in twice for fact in scene.play(rows)]

    assert broken(facts)["__id__", "unique"] == 200 * 5  # the last minute is not over
    opened = [change for change in of(facts, AlertChanged) if change.opened]
    assert [(change.rule, change.evidence[0].feature, change.evidence[0].chart) for change in opened] == [
        (CONTRACT_RULE, "__id__", "unique")
    ]
    window = of(facts, WindowClosed)[-1]
    assert ("__id__", "unique", 200) in window.violations


def test_an_id_of_the_window_before_is_a_repeat_and_an_older_one_is_not(known: Reference) -> None:
    scene = Scene(known)
    facts = [*scene.play(usual(0)), *scene.play([(p, at, known_id, n + 400) for p, at, known_id, n in usual(0)])]
    facts += [*scene.play(usual(2)), *scene.play([(p, at, known_id, n + 1200) for p, at, known_id, n in usual(0)])]
    facts += scene.play(usual(4))

    assert broken(facts)["__id__", "unique"] == ROWS


def test_ids_outlive_a_restart(known: Reference) -> None:
    found, before = Counter[tuple[str, str]](), Scene(known)
    rows = [usual(0), [(p, at, known_id, n + 400) for p, at, known_id, n in usual(0)], usual(2)]
    for each in rows:
        found += broken(before.play(each))
        after = Scene(known)
        restored(before.pipeline, after.pipeline, NOON)
        after.minute, before = before.minute, after

    assert found["__id__", "unique"] == ROWS
