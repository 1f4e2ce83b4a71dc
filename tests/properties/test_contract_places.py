"""Where rows stand in their partitions, whoever read them: laws of the offsets that a schema's changes are told with."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.sketches.schema import MANY, MOST_NEW, SchemaRuns
from monitor.series.contract import ContractSpec
from monitor.sources.base import TopicRecords
from monitor.sources.decode.schema import is_looked
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.base import Rows
from monitor.sources.formats.fields import FieldMap, Path, SeriesFields
from monitor.sources.formats.values import Rejected
from monitor.stream.events import SECOND, OffsetRange, Partition, SchemaBatch, SeriesKey
from tests.fakes import NOON
from tests.properties.test_contract_live import REFERENCE, TS, contract_of, decoder, messages

FIRST = 500
[GOOD] = messages([{"features": {"a": 1}}])
KINDS: dict[str, bytes | None] = {
    "good": GOOD,
    "without": GOOD.replace(b'"a": 1', b'"b": 1'),
    "nan": GOOD.replace(b'"a": 1', b'"a": NaN'),
    "huge": GOOD.replace(b'"a": 1', b'"a": 1' + b"0" * 400),  # left to the reader of last resort
    "surrogate": GOOD.replace(b'"a": 1', b'"a": 1, "plan": "\\ud800"'),
    "another's": GOOD.replace(b"churn", b"fraud").replace(b'"a": 1', b'"a": 1' + b"0" * 400),
    "tombstone": None,
    "truncated": GOOD[:-4],
    "timeless": b'{"model": "churn", "version": "3"}',
}
NOBODYS = {"another's", "tombstone", "truncated", "timeless"}
LACKING = {"without", "nan", "huge"}  # what is not finite is missing


@pytest.mark.parametrize("way", ["compiled", "typed", "lenient"])
@settings(max_examples=60, deadline=None)
@given(held=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=12), cut=st.integers(0, 12))
@example(held=["tombstone", "huge"], cut=0)
@example(held=["truncated", "huge", "another's"], cut=0)
def test_rows_stand_where_their_messages_stand(way: str, held: list[str], cut: int) -> None:
    found = decoder(contract_of({"a": {"type": "number", "required": True}}), way)
    offsets, lacking = list[int](), list[int]()
    for first, names in ((0, held[:cut]), (cut, held[cut:])):
        if names:
            span = OffsetRange(Partition("t", 0), FIRST + first, FIRST + first + len(names) - 1)
            records = TopicRecords("t", [0] * len(names), [KINDS[name] for name in names], (span,))
            for batch in found.decode(records, NOON).schemas:
                offsets += (rows := batch.rows).offsets.tolist()
                lacking += rows.offsets[rows.changed[0]].tolist() if rows.columns else []

    ours = [(FIRST + at, name) for at, name in enumerate(held) if name not in NOBODYS]
    assert offsets == [offset for offset, _ in ours]
    assert lacking == [offset for offset, name in ours if name in LACKING]


# --- fields that nobody agreed on ---------------------------------------------------------------------------------------

LOOKED = np.flatnonzero(is_looked(np.arange(20_000))).tolist()
WORDS = [f"{one}{other}" for one in "abcdefghij" for other in "klmnopqrst"]
ONE = contract_of({"a": {"type": "number"}})


def told(found: TopicDecoder, partitions: Sequence[int], offsets: Sequence[int], values: Sequence[bytes]) -> SchemaRuns:
    [batch] = found.decode(TopicRecords("t", list(partitions), list(values), numbers=list(offsets)), NOON).schemas
    return batch.rows.counted()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), most=st.sampled_from([2, 30, 100]))
def test_new_fields_are_the_same_however_messages_are_cut_and_put_together(data: st.DataObject, most: int) -> None:
    """Also which are too many: of each partition the messages come in their order, and no more is promised."""
    held = data.draw(
        st.lists(
            st.tuples(st.integers(0, 1), st.lists(st.sampled_from(WORDS[:most]), max_size=most, unique=True)),
            min_size=1,
            max_size=8,
        )
    )
    values = messages([{"features": {"a": 1} | dict.fromkeys(names, 1)} for _, names in held])
    partitions, offsets = [at for at, _ in held], LOOKED[: len(held)]
    cuts = sorted({0, len(held), *data.draw(st.lists(st.integers(0, len(held)), max_size=4))})
    found = decoder(ONE)
    parts = [told(found, partitions[i:j], offsets[i:j], values[i:j]) for i, j in itertools.pairwise(cuts)]
    of_each = [
        told(found, [at] * len(own), [offsets[row] for row in own], [values[row] for row in own])
        for at in (1, 0)
        if (own := [row for row, place in enumerate(partitions) if place == at])
    ]

    whole = told(found, partitions, offsets, values)

    for some in (parts, of_each):
        assert reduce(SchemaRuns.plus, some).to_bytes() == whole.to_bytes()
        assert reduce(lambda later, one: one.plus(later), reversed(some)).to_bytes() == whole.to_bytes()
        assert SchemaRuns.from_bytes(whole.to_bytes()) == whole
    names = {name for _, names in held for name in names}
    shown = {name for part in whole.partitions.values() for name in part.new}
    assert shown == (names if len(names) <= MOST_NEW else {MANY})


def test_what_was_saved_before_is_read() -> None:
    held = b'{"t/0":{"rows":9,"runs":{},"looked":3,"new":{"zip":{"count":2,"offset":7,"time":1},"lag":{"count":3,"offset":5,"time":2}}}}'

    [part] = SchemaRuns.from_bytes(held).partitions.values()

    assert part.holding is not None
    assert (part.holding.count, part.holding.offset, part.holding.time) == (3, 5, 2)


@pytest.mark.parametrize(("name", "fields"), [("user-{}", {"user-#"}), ("{}@mail.ch", {"#"}), ("{:0300b}", {"#"})])
def test_memory_does_not_grow_with_names(name: str, fields: set[str]) -> None:
    values = messages(
        [{"features": {"a": 1} | {name.format(at * 1000 + key): 1 for key in range(1000)}} for at in range(50)]
    )
    [batch] = decoder(ONE).decode(TopicRecords("t", [0] * 50, values, numbers=LOOKED[:50]), NOON).schemas

    assert set(batch.rows.names) == fields
    assert batch.rows.new.shape == (2, 50)


def test_words_as_keys_are_not_kept_either() -> None:
    keys = [f"{one}-{other}" for one in WORDS for other in WORDS]
    values = messages([{"features": {"a": 1} | dict.fromkeys(keys, 1)}])
    [batch] = decoder(ONE).decode(TopicRecords("t", [0], values, numbers=LOOKED[:1]), NOON).schemas

    assert batch.rows.names == (MANY,)


@pytest.mark.parametrize("turns", [2, 3, 16, 256])
def test_models_that_take_turns_are_all_looked_through(turns: int) -> None:
    """Each about as often as one message in 256: a hash of the offset says which."""
    offsets = np.arange(turns * 256 * 200)
    looked = np.bincount(offsets[is_looked(offsets)] % turns, minlength=turns)

    assert looked.min() > 100
    assert looked.max() < 300


class Lists:
    """A format of lists of events."""

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        held = [(at, row) for at, raw in enumerate(values) for row in self.inspect(raw or b"[]")]
        paths = dict.fromkeys(path for _, row in held for path in row)
        columns = {path: np.fromiter((row.get(path) for _, row in held), object, len(held)) for path in paths}
        return Rows(columns, np.array([at for at, _ in held], dtype=np.intp))

    def inspect(self, raw: bytes) -> Iterator[Mapping[Path, object]]:
        try:
            held: list[dict[str, Any]] = json.loads(raw)
        except ValueError:
            raise Rejected("not_json") from None
        for row in held:
            features = {("features", name): value for name, value in row["features"].items()}
            yield {("ts",): row["ts"], ("model",): row["model"], ("version",): "3", **features}


def test_each_row_of_a_message_tells_its_own_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.sources.decode.topic.decoder_of", lambda _form, _fields: Lists())
    keys, fields = [SeriesKey("churn", "3"), SeriesKey("fraud", "3"), SeriesKey("spam", "3")], FieldMap()
    found = TopicDecoder(
        "t",
        [SeriesFields(key, REFERENCE.layout, fields) for key in keys],
        fields,
        600 * SECOND,
        contracts={
            keys[0]: ContractSpec(ONE),
            keys[1]: ContractSpec(contract_of({"a": {"type": "number"}, "b": {"type": "number"}})),
        },
    )
    rows = [
        ("churn", {"b": 1}),
        ("fraud", {"b": 1}),
        ("spam", {"c": 1}),
        ("churn", {"plan": 1}),
        ("fraud", {"flag": 1}),
    ]
    said = [
        {"ts": TS if at else 1, "model": model, "features": {"a": 1} | more} for at, (model, more) in enumerate(rows)
    ]

    value = json.dumps([*said, said[1], said[3]]).encode()
    schemas = found.decode(TopicRecords("t", [0], [value], numbers=LOOKED[:1]), NOON).schemas

    def new(batch: SchemaBatch) -> dict[str, int]:
        return {name: held.count for name, held in batch.rows.counted().partitions["t/0"].new.items()}

    assert {batch.key: new(batch) for batch in schemas} == {keys[0]: {"plan": 1}, keys[1]: {"flag": 1}}
    assert [int(np.count_nonzero(batch.rows.looked)) for batch in schemas if batch.rows.looked is not None] == [1, 1]


@settings(max_examples=60, deadline=None)
@given(held=st.lists(st.tuples(st.integers(0, 3), st.sets(st.sampled_from(WORDS[:4]))), min_size=1, max_size=8))
def test_each_pane_has_the_new_fields_of_its_own_rows(held: list[tuple[int, set[str]]]) -> None:
    """Whatever order of event time they come in."""
    said = [{"ts": TS + 1000 * pane, "features": {"a": 1} | dict.fromkeys(names, 1)} for pane, names in held]
    records = TopicRecords("t", [0] * len(held), messages(said), numbers=LOOKED[: len(held)])
    [batch] = decoder(ONE).decode(records, NOON).schemas

    found = {
        number - NOON // SECOND: {name: (each.count, each.offset) for name, each in part.new.items()}
        for number, rows in batch.rows.by(SECOND)
        for part in rows.counted().partitions.values()
    }

    for pane in {pane for pane, _ in held}:
        holding = [(LOOKED[at], names) for at, (own, names) in enumerate(held) if own == pane]
        offsets = {name: [offset for offset, names in holding if name in names] for name in WORDS[:4]}
        assert found[pane] == {name: (len(each), each[0]) for name, each in offsets.items() if each}
