"""Halves behind the decoder: contract, groups, messages of many rows, formats that say which half a row is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from detectors.contract import contract_from
from detectors.sketches.identity import wide_hashes_of
from monitor.explain.samples import Samples
from monitor.facts import EventsCounted, EventsRejected, Fact, FieldsRejected, HalvesCounted, WindowClosed
from monitor.series.contract import ContractSpec
from monitor.sources.base import TopicRecords
from monitor.sources.decode.mapping import map_rows
from monitor.sources.formats.base import REQUEST, RESPONSE, WHOLE, DecodeCounts, Rows
from monitor.sources.formats.fields import FieldMap, SeriesFields, TopicFields
from monitor.stream.events import MILLISECOND
from tests.build import KEY, MIDNIGHT, MINUTE, of
from tests.halved import Answered, Reading, decoder_of, halved_spec, logs_of, reference

BEGIN_MS = MIDNIGHT // MILLISECOND
ROWS = [Answered(number, BEGIN_MS + 100 * number, 5_000, 10.0 * number, number / 10) for number in range(10)]
END = MIDNIGHT + 60 * MINUTE


def read(reading: Reading) -> list[Fact]:
    facts = reading.poll(dict.fromkeys(reading.logs, 1000))
    return [*facts, *reading.end(END)]


def sketch_of(spec: Any, halves: Sequence[int], rows: Sequence[Answered] = ROWS) -> bytes:
    """The counts of the first pane."""
    reading = Reading(spec, logs_of(rows, halves))
    reading.poll(dict.fromkeys(halves, 1000))
    panes = reading.pipeline.series[KEY].features.windows.panes
    windows = reading.pipeline.series[KEY].features.windows
    return bytes(windows._whole(min(panes)).to_bytes())


def test_halves_make_the_bytes_that_whole_predictions_make() -> None:
    spec = halved_spec()

    assert sketch_of(spec, [REQUEST, RESPONSE]) == sketch_of(spec, [WHOLE])


@pytest.mark.parametrize("exclude", [False, True])
def test_a_contract_is_held_against_both_halves(exclude: bool) -> None:
    columns = {
        "age": {"type": "number", "max": 60},
        "plan": {"type": "text", "values": ["free", "pro"]},
        "__prediction__": {"type": "number", "min": 0.25, "required": True},
        "__id__": {"required": True},
    }
    contract = ContractSpec(contract_from({"format": "driftd.contract/1", "columns": columns}), exclude)
    spec = halved_spec()
    spec = replace(spec, judging=replace(spec.judging, contract=contract))

    def told(halves: Sequence[int]) -> tuple[Any, Any]:
        facts = read(Reading(spec, logs_of(ROWS, halves)))
        [closed, *_] = of(facts, WindowClosed)
        return closed.violations, closed.excluded

    violations, excluded = told([REQUEST, RESPONSE])

    assert (violations, excluded) == told([WHOLE])
    assert {tuple(each[:2]): each[2] for each in violations}["__prediction__", "min"] == 3
    assert bool(excluded) is exclude


def test_what_the_other_half_brings_is_not_missing() -> None:
    facts = read(Reading(halved_spec(), logs_of(ROWS, [REQUEST, RESPONSE])))

    assert not [fact for fact in of(facts, FieldsRejected) if fact.reason == "missing" and fact.count]
    assert Counter({fact.outcome: fact.count for fact in of(facts, EventsCounted)}) == {"ok": 10}


def test_a_half_without_an_id_is_rejected() -> None:
    reading = Reading(halved_spec(), logs_of(ROWS, [REQUEST, RESPONSE]))
    time, value = reading.logs[RESPONSE][0]
    reading.logs[RESPONSE] = [(time, value.replace(b'"r-0"', b"null")), *reading.logs[RESPONSE][1:]]
    facts = read(reading)

    assert [(fact.reason, fact.count) for fact in of(facts, EventsRejected)] == [("id_missing", 1)]
    [unmatched] = [fact for fact in of(facts, HalvesCounted) if "unmatched" in fact.outcomes]
    assert (unmatched.topic, unmatched.outcomes) == ("requests", {"unmatched": 1})


def test_every_reader_reads_responses_without_features() -> None:
    """The compiled one, the typed one, and the one that reads what these leave."""
    log = logs_of(ROWS, [RESPONSE])[RESPONSE]
    records = TopicRecords("responses", [0] * len(log), [value for _, value in log])
    readers = Reading(halved_spec(), {RESPONSE: log}).decoders[RESPONSE].readers

    for reader in readers:
        found = reader.read(records, END, DecodeCounts())
        assert [len(part.times) for part in found.rows] == [len(log)], reader
        assert not len(found.left)


def test_windows_do_not_close_before_their_halves_have_waited() -> None:
    """A response that takes as long as halves may wait is in time, though requests have gone on for as long."""
    slow = Answered(99, BEGIN_MS + 1, 60_000, 5.0, 0.5)
    rest = [Answered(number, BEGIN_MS + 1000 * number, 10, 5.0, 0.5) for number in range(60)]
    reading = Reading(halved_spec(), logs_of([slow, *rest], [REQUEST, RESPONSE]))
    facts: list[Fact] = []
    while reading.left:
        facts += reading.poll({REQUEST: 1, RESPONSE: 1})
    facts += reading.end(END)

    assert {fact.outcome for fact in of(facts, EventsCounted)} == {"ok"}
    assert sum(fact.count for fact in of(facts, EventsCounted)) == 61


# --- formats that say which half a row is -------------------------------------------------------------------------------


def test_rows_of_one_message_may_be_halves_and_whole() -> None:
    fields = FieldMap(label=("label",))
    topic = TopicFields([SeriesFields(KEY, reference().layout, fields)], fields)
    columns: dict[tuple[str, ...], Any] = {
        ("ts",): np.full(4, BEGIN_MS),
        ("model",): np.full(4, KEY.model, dtype=object),
        ("version",): np.full(4, KEY.version, dtype=object),
        ("id",): np.array(["a", "a", "b", "a"], dtype=object),
        ("features", "age"): np.array([1.0, 2.0, 3.0, np.nan]),
        ("features", "plan"): np.array(["pro", "free", "pro", None], dtype=object),
        ("prediction",): np.array([np.nan, np.nan, 0.5, 0.25]),
    }
    halves = np.array([REQUEST, REQUEST, WHOLE, RESPONSE], dtype=np.int8)
    counts = DecodeCounts()
    rows = Rows(columns, np.array([0, 0, 1, 2]), {"json": 2}, halves=halves)
    mapped = map_rows(rows, topic, END, counts)

    assert [(part.series.half, part.numeric.tolist()) for part in mapped.rows] == [
        (WHOLE, [[3.0, 0.5]]),
        (REQUEST, [[1.0], [2.0]]),
        (RESPONSE, [[0.25]]),
    ]
    assert counts.rejected == {"json": 2}
    assert not counts.fields["missing"]
    assert sorted(mapped.messages.tolist()) == [0, 0, 1, 2]
    high, _ = wide_hashes_of(np.array(["a"], dtype=object), 1)
    assert mapped.rows[1].ids is not None
    assert (mapped.rows[1].ids == high[0]).all()


def test_new_categories_of_requests_are_named_by_the_columns_of_whole_events() -> None:
    spec = halved_spec()
    decoder = decoder_of(spec, REQUEST)
    values = [value for _, value in logs_of(ROWS, [REQUEST])[REQUEST]]
    decoded = decoder.decode(TopicRecords("requests", [0] * len(values), values), MIDNIGHT)
    [batch] = decoded.batches
    samples = Samples(spec.reference.layout)
    samples.see(batch)

    assert len(batch) == 0
    assert len(decoded.halves[0].rows) == len(ROWS)
    assert [name for name, _ in samples.unseen_categories("plan")] == ["trial"]
