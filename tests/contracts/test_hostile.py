"""Every class of bad message that we know of, all at once among good ones: each is counted as what it is, and nothing else is touched."""

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from monitor.commands.explain import explain_record
from monitor.facts import EventsCounted, EventsRejected, FieldsRejected
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import SECOND
from tests.fakes import NOON
from tests.hostile import CHURN, CLASSES, REFERENCE, event
from tests.monitor.runtime.test_exposition import Scene

GOOD, POLL = 600, 100
FEWEST = 100


def a_decoder() -> TopicDecoder:
    fields = FieldMap()
    return TopicDecoder("t", [SeriesFields(CHURN, REFERENCE.layout, fields)], fields, 600 * SECOND)


def read(decoder: TopicDecoder, messages: Sequence[bytes]) -> list[Decoded]:
    """In polls."""
    polls = [messages[at : at + POLL] for at in range(0, len(messages), POLL)]
    return [decoder.decode(TopicRecords("t", [0] * len(poll), poll), NOON) for poll in polls]


def together(number: int) -> tuple[list[bytes], list[bytes]]:
    """Good messages, and the same with one of each class among them, in any order."""
    good = [event(number * GOOD + at, prediction=at / GOOD) for at in range(GOOD)]
    bad = [each.write(number) for each in CLASSES.values()]
    mixed = good + bad
    random.shuffle(mixed)
    return good, mixed


def rows_of(decoded: Sequence[Decoded]) -> Counter[tuple[int, bytes, bytes]]:
    batches = [batch for part in decoded for batch in part.batches]
    return Counter(
        (time, np.nan_to_num(numbers, nan=-1.0).tobytes(), codes.tobytes())
        for batch in batches
        for time, numbers, codes in zip(batch.event_times.tolist(), batch.numeric, batch.codes, strict=True)
    )


def test_there_are_a_hundred_and_no_two_are_the_same() -> None:
    assert len({each.write(1) for each in CLASSES.values()}) == len(CLASSES) >= FEWEST


def test_all_at_once_are_counted_by_their_reasons_and_the_good_ones_are_exact() -> None:
    good, mixed = together(1)

    clean, found = read(a_decoder(), good), read(a_decoder(), mixed)

    facts = [fact for part in found for fact in part.facts]
    rejected, fields, outcomes = Counter[str](), Counter[str](), Counter[str]()
    for fact in facts:
        if isinstance(fact, EventsRejected | FieldsRejected):
            (rejected if isinstance(fact, EventsRejected) else fields)[fact.reason] += fact.count
        elif isinstance(fact, EventsCounted):
            outcomes[fact.outcome] += fact.count
    of_rows = sum(len(batch) for part in found for batch in part.batches)
    assert rejected == Counter(each.reason for each in CLASSES.values() if each.reason)
    assert fields == sum((Counter(each.fields) for each in CLASSES.values()), Counter())
    assert outcomes["unmonitored"] == sum(each.unmonitored for each in CLASSES.values())
    assert outcomes["rejected"] == rejected.total()
    assert of_rows == GOOD + sum(each.rows for each in CLASSES.values())
    assert of_rows + outcomes.total() == len(mixed)
    assert not rows_of(clean) - rows_of(found)


@pytest.mark.parametrize("name", CLASSES)
def test_each_is_explained_as_it_is_counted(name: str) -> None:
    wanted, decoder = CLASSES[name], a_decoder()

    [told] = explain_record(decoder, TopicRecords("t", [0], [wanted.write(1)]), NOON)

    assert (told.outcome == "rejected", told.reason) == (wanted.reason is not None, wanted.reason)
    assert (told.outcome == "unmonitored") is bool(wanted.unmonitored)
    assert Counter(field.reason for field in told.fields if field.reason) == Counter(wanted.fields)


def test_they_add_no_series_however_many_come() -> None:
    """Labels come from the configuration and from our reasons; what messages hold is in none."""
    scene, decoder, lines = Scene(CHURN), a_decoder(), []
    for number in range(3):
        scene.telemetry.record([fact for part in read(decoder, together(number)[1]) for fact in part.facts])
        text = scene.text()
        assert b"script" not in text
        lines.append(len(text.splitlines()))

    assert lines == [lines[0]] * len(lines)
