"""A schema that changes: from messages to one incident with the first offset, whatever the batches, and what is no change."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec, IncidentKind
from detectors.contract import contract_from
from detectors.sketches.schema import MANY
from monitor.alerting.alerts import AlertState
from monitor.alerting.rules import CONTRACT_RULE, SCHEMA_RULE, Severity
from monitor.explain.explainer import Explainer
from monitor.explain.words import escalation, summary
from monitor.facts import AlertChanged, AlertEscalated, AlertSeen, Fact, RetrainDecided, SchemaChanged
from monitor.pipeline import Pipeline
from monitor.series.contract import ContractSpec
from monitor.sources.base import TopicRecords
from monitor.sources.decode.schema import is_looked
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import MINUTE, SECOND, MicroBatch, OffsetRange, Partition, SeriesKey
from tests.build import make_spec, of, restored
from tests.charted import seeded
from tests.fakes import NOON

KEY = SeriesKey("churn", "3")
PLACES = Partition("t", 0), Partition("t", 1)
ROWS = 400  # a minute, half of them in each partition
FIRST = 1000  # offset of a partition
CONTRACT = {
    "format": "driftd.contract/1",
    "new_columns": "refused",
    "columns": {
        "age": {"type": "number", "required": True},
        "plan": {"type": "text", "max_missing": 0.1},
        "note": {"type": "number"},
    },
}
Row = dict[str, Any]


@pytest.fixture(scope="module", name="known")
def known_reference() -> Reference:
    rng = np.random.default_rng(3)
    table = {
        "age": rng.uniform(0, 100, 20_000),
        "plan": [plan if rng.random() > 0.1 else None for plan in rng.choice(["free", "pro"], 20_000)],
        "note": np.where(rng.random(20_000) < 0.5, np.nan, rng.normal(size=20_000)),
    }
    stamps = NOON - 100 * MINUTE + np.arange(20_000) * (100 * MINUTE // 20_000)
    return Reference.fit(table, timestamps=stamps, window_ns=MINUTE)


def usual(rng: np.random.Generator, rows: int = ROWS) -> list[Row]:
    return [
        {
            "age": rng.uniform(0, 100),
            "plan": None if rng.random() < 0.1 else str(rng.choice(["free", "pro"])),
            "note": None if rng.random() < 0.5 else rng.normal(),
        }
        for _ in range(rows)
    ]


def without(rows: Sequence[Row], name: str, first: int = 0) -> list[Row]:
    return [
        {key: held for key, held in row.items() if key != name} if at >= first else row for at, row in enumerate(rows)
    ]


def having(rows: Sequence[Row], name: str, value: Any, first: int = 0) -> list[Row]:
    return [row | {name: value} if at >= first else row for at, row in enumerate(rows)]


class Scene:
    """A decoder, a pipeline and what words its facts. Rows come a minute at a time, in turn to two partitions."""

    def __init__(
        self,
        of_reference: Reference,
        contract: dict[str, Any] = CONTRACT,
        *,
        batch: int = 10_000,
        budget: bool = True,
        exclude: bool = False,
    ) -> None:
        spec = ContractSpec(contract_from(contract), exclude)
        series = [SeriesFields(KEY, of_reference.layout, FieldMap())]
        self.decoder = TopicDecoder("t", series, FieldMap(), 10**6 * SECOND, contracts={KEY: spec})
        plan = BudgetSpec(per_month=1.0, pane_ns=MINUTE) if budget else None
        made = make_spec(key=KEY, reference=of_reference, plan=plan, contract=spec, min_rows=50)
        self.explainer = Explainer({KEY: of_reference})
        self.pipeline = Pipeline([made], 30 * SECOND)
        self.batch = batch
        self.minute = 0
        self.next = [FIRST, FIRST]
        self.begun = False

    def play(self, rows: Sequence[Row], partitions: Sequence[int] | None = None) -> list[Fact]:
        """One minute of rows; what closed with its first event is of the minute before."""
        begin, facts = NOON + self.minute * MINUTE, list[Fact]()
        step = MINUTE // len(rows)
        raw = [
            json.dumps({"ts": (begin + at * step) // 10**6, "model": "churn", "version": "3", "features": row}).encode()
            for at, row in enumerate(rows)
        ]
        indexes = [at % 2 for at in range(len(rows))] if partitions is None else list(partitions)
        for at in range(0, len(raw), self.batch):
            facts += self._poll(indexes[at : at + self.batch], raw[at : at + self.batch])
        self.minute += 1
        return facts

    def _poll(self, indexes: list[int], values: list[bytes]) -> list[Fact]:
        spans = []
        for index in sorted(set(indexes)):
            count = indexes.count(index)
            spans.append(OffsetRange(PLACES[index], self.next[index], self.next[index] + count - 1))
            self.next[index] += count
        now = NOON + self.minute * MINUTE
        decoded = self.decoder.decode(TopicRecords("t", indexes, values, tuple(spans)), now)
        new = frozenset[Partition]() if self.begun else frozenset(PLACES)
        self.begun = True
        read = frozenset(PLACES[index] for index in indexes)
        idle = {place: now for place in PLACES if place not in read}
        schemas = tuple(decoded.schemas)
        arrived = MicroBatch(tuple(decoded.batches), decoded.seen, read, idle, assigned=new, schemas=schemas)
        self.explainer.hear(decoded.facts)
        facts = [*decoded.facts, *self.pipeline.ingest(arrived, now), *self.pipeline.advance()]
        return [*self.explainer.explain(facts)]


def after(offset: int) -> int:
    """The first offset from this one on that is looked through."""
    return offset + int(np.argmax(is_looked(np.arange(offset, offset + 10_000))))


def word(number: int) -> str:
    """A name without digits, another for each number."""
    return "".join(chr(ord("a") + number // 26**at % 26) for at in range(5))


def changes(facts: Sequence[Fact], rule: str = SCHEMA_RULE) -> list[AlertChanged]:
    return [fact for fact in of(facts, AlertChanged) if fact.rule == rule]


def played(scene: Scene, minutes: Sequence[Sequence[Row]]) -> list[Fact]:
    return [fact for rows in minutes for fact in scene.play(rows)]


def test_columns_that_change_together_are_one_incident_with_the_first_offset(known: Reference) -> None:
    """One is gone, one of another type, one is new, from the middle of a minute on."""
    rng, scene = seeded(), Scene(known)
    assert changes(played(scene, [usual(rng) for _ in range(4)])) == []
    middle = ROWS // 2
    broken = without(having(usual(rng), "note", "often", middle), "age", middle)
    after = [without(having(usual(rng), "note", "often"), "age") for _ in range(3)]

    facts = played(scene, [broken, *after])

    [opened] = changes(facts)
    assert (opened.after, opened.kind, opened.severity) == (
        AlertState.FIRING,
        IncidentKind.DATA_QUALITY,
        Severity.CRITICAL,
    )
    assert [(each.feature, each.chart) for each in opened.evidence] == [("age", "gone"), ("note", "type")]
    gone = opened.evidence[0]
    at = FIRST + 4 * ROWS // 2 + middle // 2
    assert [(each.partition, each.offset) for each in gone.first] == [(place, at) for place in PLACES]
    assert gone.first[0].event_time == NOON + 4 * MINUTE + middle * (MINUTE // ROWS)
    assert gone.words == f"is gone since t/0 offset {at} (2026-11-23 12:04) and t/1 offset {at} (2026-11-23 12:04)"
    assert opened.evidence[1].words.startswith(
        "holds no number any more, such as 'often' and 'often', since t/0 offset "
    )
    assert summary(opened) == (
        f"churn/3 has another schema since t/0 offset {at} (2026-11-23 12:04): age is gone, note is of a new type"
    )
    assert changes(facts, CONTRACT_RULE) == []
    assert changes(facts, "drift") == []
    assert of(facts, AlertEscalated) == []


def test_it_asks_for_no_retraining(known: Reference) -> None:
    rng, scene = seeded(), Scene(known)
    played(scene, [usual(rng)])

    facts = played(scene, [without(usual(rng), "age") for _ in range(2)])

    assert {fact.outcome.value for fact in of(facts, RetrainDecided)} == {"suppressed_data_quality"}


@pytest.mark.parametrize("exclude", [False, True])
def test_it_ends_once_rows_are_as_agreed(known: Reference, *, exclude: bool) -> None:
    """Whether or not rows that break the contract are left out; stray rows as agreed end nothing."""
    rng, scene = seeded(), Scene(known, exclude=exclude)
    played(scene, [usual(rng)])
    facts = played(scene, [without(usual(rng), "age") for _ in range(3)])
    facts += played(scene, [[*without(usual(rng), "age")[:-2], *usual(rng, 2)] for _ in range(3)])
    assert [change.after for change in changes(facts)] == [AlertState.FIRING]

    back = played(scene, [usual(rng) for _ in range(3)])

    assert [change.after for change in changes(back)] == [AlertState.INACTIVE]
    assert [(fact.field, fact.ended) for fact in of(back, SchemaChanged)] == [("age", True)]
    assert changes(back, CONTRACT_RULE) == []


def test_a_field_that_changes_later_is_told_again(known: Reference) -> None:
    rng, scene = seeded(), Scene(known)
    played(scene, [usual(rng)])
    played(scene, [without(usual(rng), "age") for _ in range(3)])

    facts = played(scene, [without(having(usual(rng), "note", "x"), "age") for _ in range(3)])

    [again] = of(facts, AlertEscalated)
    assert [(each.feature, each.chart) for each in again.new] == [("note", "type")]
    assert escalation(again).startswith(f"churn/3 has another schema since t/0 offset {FIRST + 4 * ROWS // 2} ")
    assert changes(facts) == []


@pytest.mark.parametrize("batch", [1, 7, 150, 10_000])
def test_batches_change_nothing(known: Reference, batch: int) -> None:
    """Not even where rows of one poll are read by several readers: objects among values."""

    def minutes() -> Iterator[list[Row]]:
        rng = seeded()
        yield from (usual(rng, 300) for _ in range(2))
        broken = without(usual(rng, 300), "age", 61)
        broken[100] = {"age": {"years": 5}}
        broken[61] = {"age": [1], "plan": "pro"}
        yield broken
        yield from (without(usual(rng, 300), "age") for _ in range(2))

    [whole], [found] = (
        changes([fact for rows in minutes() for fact in Scene.play(scene, rows)])
        for scene in (Scene(known), Scene(known, batch=batch))
    )

    assert found == whole
    assert [each.offset for each in whole.evidence[0].first] == [FIRST + 2 * 150 + 30, FIRST + 2 * 150 + 31]


def test_going_on_from_a_snapshot_is_never_having_stopped(known: Reference) -> None:
    """Stopped at every minute and once in its middle: the offset and the incident are those of one that never was."""
    rng = seeded()
    minutes = [usual(rng), without(usual(rng), "age", 100), *(without(usual(rng), "age") for _ in range(2)), usual(rng)]
    minutes += [having(usual(rng), "zip", 1) for _ in range(5)]
    expected = changes(played(Scene(known), minutes))
    found, before = list[AlertChanged](), Scene(known)

    for rows in minutes:
        found += changes(before.play(rows))
        after = Scene(known)
        restored(before.pipeline, after.pipeline, NOON)
        after.minute, after.next = before.minute, before.next
        before = after

    assert len(expected) == 3
    assert found == expected
    [seen] = [fact for fact in of(before.pipeline.current(), AlertSeen) if fact.rule == SCHEMA_RULE]
    assert [each.feature for each in seen.evidence] == ["zip"]
    assert [(fact.field, fact.change) for fact in of(before.pipeline.current(), SchemaChanged)] == [("zip", "new")]


def test_while_old_and_new_producers_write_side_by_side_the_contract_tells(known: Reference) -> None:
    """Nothing says that a column is gone of which half the rows have it; once it is, nobody is told of it twice."""
    rng, scene = seeded(), Scene(known)
    played(scene, [usual(rng) for _ in range(3)])
    mixed = [[row if at % 4 < 2 else without([row], "age")[0] for at, row in enumerate(usual(rng))] for _ in range(4)]

    facts = played(scene, mixed)
    later = played(scene, [without(usual(rng), "age") for _ in range(3)])

    assert changes([*facts, *later]) == []
    assert [change.evidence[0].feature for change in changes(facts, CONTRACT_RULE)] == ["age"]
    [change] = of(later, SchemaChanged)
    assert (change.field, change.change, change.ended) == ("age", "gone", False)


def test_one_partition_is_enough_where_it_had_the_column(known: Reference) -> None:
    """The producer of one partition was released: nobody waits for the others."""
    rng, scene = seeded(), Scene(known)
    played(scene, [usual(rng) for _ in range(2)])
    half = [[without([row], "age")[0] if at % 2 else row for at, row in enumerate(usual(rng))] for _ in range(3)]

    [opened] = changes(played(scene, half))

    assert [each.partition for each in opened.evidence[0].first] == [PLACES[1]]


def test_a_partition_that_never_had_a_column_is_no_change(known: Reference) -> None:
    """One country of which a column is not known, in a partition of its own: that is a share that may be missing."""
    rng, scene = seeded(), Scene(known)
    rows = [[{**row, "plan": "pro"} for row in usual(rng)] for _ in range(8)]
    foreign = [[without([row], "plan")[0] if at >= 360 else row for at, row in enumerate(each)] for each in rows]

    facts = [fact for each in foreign for fact in scene.play(each, [int(at >= 360) for at in range(ROWS)])]

    assert changes(facts) == []
    assert of(facts, SchemaChanged) == []


def test_what_is_missing_now_and_then_is_not_gone_in_a_burst(known: Reference) -> None:
    """A tenth of the rows may lack a plan; here they come together, forty seconds of each ten minutes."""
    rng, scene = seeded(), Scene(known)
    minutes = [without(usual(rng), "plan", 140) if at % 10 == 5 else usual(rng) for at in range(21)]

    assert changes(played(scene, minutes)) == []


def test_a_blink_is_no_change(known: Reference) -> None:
    """Sixty rows in a row that end with their pane, of three thousand: more than chance brings, and over at once."""
    rng, scene = seeded(), Scene(known)
    minutes = [usual(rng, 3000), without(usual(rng, 3000), "age", 2880), usual(rng, 3000), usual(rng, 3000)]

    facts = played(scene, minutes)

    assert changes(facts) == []


def test_a_new_field_that_is_allowed_is_said_and_pages_nobody(known: Reference) -> None:
    rng, scene = seeded(), Scene(known, {**CONTRACT, "new_columns": "allowed"})

    facts = played(scene, [having(usual(rng), "zip", 1) for _ in range(6)])

    [change] = of(facts, SchemaChanged)
    assert (change.field, change.change, change.ended) == ("zip", "new", False)
    assert of(facts, AlertChanged) == []


def test_a_new_field_that_is_refused_is_an_incident_that_ends(known: Reference) -> None:
    """It is seen in the messages that are looked through: the first of each partition from which on it is there."""
    rng, scene = seeded(), Scene(known)
    played(scene, [usual(rng)])
    facts = played(scene, [having(usual(rng), "zip", 1) for _ in range(6)])

    [opened] = changes(facts)
    back = played(scene, [usual(rng, 1600) for _ in range(9)])

    [evidence] = opened.evidence
    assert (evidence.feature, evidence.chart, opened.severity) == ("zip", "new", Severity.WARNING)
    assert [each.offset for each in evidence.first] == [after(FIRST + 200)] * 2
    assert [change.after for change in changes(back)] == [AlertState.INACTIVE]


def test_names_that_come_once_are_no_fields_and_fill_no_memory(known: Reference) -> None:
    rng, scene = seeded(), Scene(known)

    facts = played(
        scene, [[row | {word(minute * ROWS + at): 1} for at, row in enumerate(usual(rng))] for minute in range(30)]
    )

    assert of(facts, SchemaChanged) == []
    assert max(len(record.payload or b"") for record in scene.pipeline.snapshot() if "schema" in record.kind) < 10_000


def test_it_needs_no_budget(known: Reference) -> None:
    rng, scene = seeded(), Scene(known, budget=False)
    played(scene, [usual(rng)])

    [opened] = changes(played(scene, [without(usual(rng), "age") for _ in range(2)]))

    assert opened.evidence[0].chart == "gone"


def test_too_few_rows_say_nothing(known: Reference) -> None:
    rng, scene = seeded(), Scene(known)
    played(scene, [usual(rng)])

    assert changes(played(scene, [without(usual(rng, 10), "age") for _ in range(4)])) == []


def test_another_column_is_told_by_the_contract_beside_it(known: Reference) -> None:
    """A schema that has changed mutes nothing but what it tells itself."""
    contract = {**CONTRACT, "columns": CONTRACT["columns"] | {"note": {"type": "number", "max": 50}}}
    rng, scene = seeded(), Scene(known, contract)
    played(scene, [usual(rng) for _ in range(2)])

    facts = played(scene, [without(having(usual(rng), "note", 99), "age") for _ in range(4)])

    assert [each.feature for change in changes(facts) for each in change.evidence] == ["age"]
    assert [each.feature for change in changes(facts, CONTRACT_RULE) for each in change.evidence] == ["note"]


@pytest.mark.parametrize("batch", [200, 1600])
def test_a_new_field_is_found_among_ids_as_names(known: Reference, batch: int) -> None:
    """Ids are one field, whatever they are, and none of them is shown."""
    rng, scene = seeded(), Scene(known, batch=batch)

    facts = played(
        scene,
        [
            [
                {f"user-{minute}-{at}-{key}": 1 for key in range(70)} | row | {"zip": 1, f"u{at % 20}@mail.ch": 1}
                for at, row in enumerate(usual(rng))
            ]
            for minute in range(8)
        ],
    )

    assert {fact.field for fact in of(facts, SchemaChanged)} == {"zip", "user-#-#-#", "#"}


def test_a_column_that_the_contract_no_longer_asks_is_forgotten(known: Reference) -> None:
    """It was gone in a partition that then fell silent; the contract was edited, and the daemon restarted."""
    rng, before = seeded(), Scene(known)
    played(before, [usual(rng) for _ in range(2)])
    half = [[without([row], "age")[0] if at % 2 else row for at, row in enumerate(usual(rng))] for _ in range(3)]
    assert [change.after for change in changes(played(before, half))] == [AlertState.FIRING]
    for _ in range(2):
        before.play(usual(rng), [0] * ROWS)
    columns = {name: rules for name, rules in CONTRACT["columns"].items() if name != "age"}
    after = Scene(known, {**CONTRACT, "new_columns": "allowed", "columns": columns})
    restored(before.pipeline, after.pipeline, NOON)
    after.minute, after.next = before.minute, before.next

    facts = [fact for _ in range(4) for fact in after.play(usual(rng), [0] * ROWS)]

    assert [change.after for change in changes(facts) if change.after is not AlertState.INACTIVE] == []
    assert {(fact.field, fact.change) for fact in of(facts, SchemaChanged) if not fact.ended} <= {("age", "new")}
    assert [fact for fact in of(after.pipeline.current(), AlertSeen) if fact.rule == SCHEMA_RULE] == []


@pytest.mark.parametrize("broke", [False, True])
def test_a_stray_last_row_prolongs_nothing_and_mutes_nothing(known: Reference, *, broke: bool) -> None:
    """One row of each minute, its last, lacks the column; whether or not it was gone before, its drift is told."""
    rng, scene = seeded(), Scene(known)
    played(scene, [usual(rng) for _ in range(3)])
    facts = played(scene, [without(usual(rng), "age") if broke else usual(rng) for _ in range(3)])

    facts += played(scene, [[*usual(rng)[:-1], {}] for _ in range(4)])
    drifted = [[*(row | {"age": row["age"] + 200} for row in usual(rng)[:-1]), {}] for _ in range(20)]
    later = played(scene, drifted)

    assert [change.after for change in changes(facts)] == [AlertState.FIRING, AlertState.INACTIVE] * broke
    assert changes(later) == []
    assert "age" in {each.feature for change in changes(later, "drift") for each in change.evidence}


def test_a_type_that_was_wrong_is_over_once_no_value_is(known: Reference) -> None:
    """A column that may be absent was of a new type, and then is not sent any more: nothing is otherwise than agreed."""
    rng, scene = seeded(), Scene(known)
    played(scene, [usual(rng) for _ in range(2)])
    bad = [[row | {"note": "bad"} if row["note"] is not None else row for row in usual(rng)] for _ in range(4)]
    facts = played(scene, bad)

    facts += played(scene, [without(usual(rng), "note") for _ in range(6)])

    assert [change.after for change in changes(facts)] == [AlertState.FIRING, AlertState.INACTIVE]
    assert [(fact.change, fact.ended) for fact in of(facts, SchemaChanged)] == [("type", False), ("type", True)]


def test_a_type_that_stays_wrong_in_a_few_rows_of_many_stays_told() -> None:
    """Nine of ten rows have no value, as ever; all others are of another type, minute by minute."""
    rng = seeded()
    stamps = NOON - 100 * MINUTE + np.arange(20_000) * (100 * MINUTE // 20_000)
    note = np.where(rng.random(20_000) < 0.9, np.nan, rng.normal(size=20_000))
    rare = Reference.fit({"age": rng.uniform(0, 100, 20_000), "note": note}, timestamps=stamps, window_ns=MINUTE)
    columns = {"age": {"type": "number", "required": True}, "note": {"type": "number"}}
    scene = Scene(rare, {"format": "driftd.contract/1", "columns": columns})

    def minutes(value: object, count: int) -> list[list[Row]]:
        said = [rng.random(ROWS) < 0.1 for _ in range(count)]
        return [[{"age": 50.5} | ({"note": value} if held else {}) for held in each] for each in said]

    played(scene, minutes(1.5, 3))
    facts = played(scene, minutes("bad", 20))
    back = played(scene, minutes(1.5, 6))

    assert [change.after for change in changes(facts)] == [AlertState.FIRING]
    assert [change.after for change in changes(back)] == [AlertState.INACTIVE]


@pytest.mark.parametrize("silent", [False, True])
def test_a_partition_that_falls_silent_mutes_nothing(known: Reference, *, silent: bool) -> None:
    """The last rows of its life lack a column; what other partitions lack later is told all the same."""
    rng, scene = seeded(), Scene(known)
    played(scene, [usual(rng) for _ in range(3)])
    rows = usual(rng, 6000)
    last = [without([row], "age")[0] if silent and 2880 <= at < 3000 else row for at, row in enumerate(rows)]
    facts = scene.play(last, [1] * 3000 + [0] * 3000)

    for _ in range(20):
        mixed = [without([row], "age")[0] if at % 10 < 3 and at < 399 else row for at, row in enumerate(usual(rng))]
        facts += scene.play(mixed, [0] * ROWS)

    assert changes(facts) == []
    assert [change.evidence[0].feature for change in changes(facts, CONTRACT_RULE)] == ["age"]


def test_a_blink_at_each_end_of_a_pane_mutes_the_contract_for_a_window_at_most(known: Reference) -> None:
    rng, scene = seeded(), Scene(known)
    played(scene, [usual(rng, 3000) for _ in range(3)])

    facts = played(scene, [without(usual(rng, 3000), "age", 2880) for _ in range(8)])

    assert changes(facts) == []
    assert [change.evidence[0].feature for change in changes(facts, CONTRACT_RULE)] == ["age"]


def occasional(lacks: np.ndarray[Any, np.dtype[np.bool_]], max_missing: float) -> Scene:
    """A column that the reference lacks in these rows of 20 000, and that so many rows may lack."""
    rng = np.random.default_rng(5)
    table = {"age": rng.uniform(0, 100, 20_000), "note": np.where(lacks, np.nan, rng.normal(size=20_000))}
    stamps = NOON - 100 * MINUTE + np.arange(20_000) * (100 * MINUTE // 20_000)
    columns = {"age": {"type": "number", "required": True}, "note": {"type": "number", "max_missing": max_missing}}
    fitted = Reference.fit(table, timestamps=stamps, window_ns=MINUTE)
    return Scene(fitted, {"format": "driftd.contract/1", "columns": columns})


def test_what_is_missing_at_its_hours_is_not_gone() -> None:
    """Eight minutes of each twenty-four, as in the reference: rows that lack it come together, and chance says nothing of them."""
    rng, scene = seeded(), occasional((np.arange(20_000) // 200) % 24 < 8, 0.7)
    minutes = [
        [{"age": rng.uniform(0, 100)} | ({} if at % 24 < 8 else {"note": rng.normal()}) for _ in range(ROWS)]
        for at in range(60)
    ]

    facts = played(scene, minutes)

    assert changes(facts) == []
    assert of(facts, SchemaChanged) == []


def test_a_tenant_that_moves_to_another_partition_changes_no_schema() -> None:
    """Four in ten rows lack it throughout; from a minute on, a partition holds no others."""
    rng = seeded()
    scene, facts = occasional(rng.random(20_000) < 0.4, 0.5), list[Fact]()
    for minute in range(12):
        rows = [{"age": rng.uniform(0, 100)} | ({"note": rng.normal()} if at % 5 < 3 else {}) for at in range(ROWS)]
        facts += scene.play(rows, [int(at % 5 >= (2 if minute < 4 else 3)) for at in range(ROWS)])

    assert changes(facts) == []
    assert of(facts, SchemaChanged) == []


@pytest.mark.parametrize("strays", [0, 5])
def test_what_may_be_missing_and_never_was_can_be_gone(strays: int) -> None:
    """The reference has it in practically every row of each of its windows."""
    rng, scene = seeded(), occasional(np.arange(20_000) < strays, 0.02)
    minutes = [
        [{"age": rng.uniform(0, 100)} | ({"note": rng.normal()} if at < 3 else {}) for _ in range(ROWS)]
        for at in range(7)
    ]

    [opened] = changes(played(scene, minutes))

    assert [(each.feature, each.chart) for each in opened.evidence] == [("note", "gone")]


def test_a_column_that_is_of_a_new_type_after_it_was_gone_says_since_when_it_is(known: Reference) -> None:
    rng, scene = seeded(), Scene(known)
    played(scene, [usual(rng) for _ in range(3)])

    facts = played(scene, [without(usual(rng), "age") for _ in range(3)])
    facts += played(scene, [having(usual(rng), "age", "old") for _ in range(3)])

    told = [(fact.change, {each.offset for each in fact.first}) for fact in of(facts, SchemaChanged)]
    assert told == [("gone", {FIRST + 3 * ROWS // 2}), ("type", {FIRST + 6 * ROWS // 2})]


@pytest.mark.parametrize("batch", [37, 400, 1600])
def test_more_names_than_a_model_can_have_are_told_as_one(known: Reference, batch: int) -> None:
    rng, scene = seeded(), Scene(known, batch=batch)

    facts = played(
        scene,
        [
            [
                {word(minute * 10_000 + 25 * at + key): 1 for key in range(25)} | row
                for at, row in enumerate(usual(rng, 1600))
            ]
            for minute in range(4)
        ],
    )

    [changed] = of(facts, SchemaChanged)
    assert changed.field == MANY
    assert [first.offset for first in changed.first] == [after(FIRST)] * 2
    assert [each.feature for change in changes(facts) for each in change.evidence] == [MANY]
