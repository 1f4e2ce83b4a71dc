"""A range of topics: the same reader as the daemon's, which ends."""

from collections import defaultdict
from typing import Any

import pytest
from confluent_kafka import KafkaError

from monitor.sources.base import RecordParts, SourceError
from monitor.sources.kafka.client import KafkaChoice
from monitor.sources.kafka.range import KafkaRange
from monitor.stream.events import Partition
from tests.contracts.test_sources import HEADERS, NARROW, RECORDS, produce_unreadable
from tests.parts.mock import Api, MockBroker
from tests.parts.reader import GROUP, numbered, produce, produce_records

pytestmark = pytest.mark.usefixtures("reader_kind")


def whole(broker: MockBroker, topic: str, batch: int = 10_000, **properties: Any) -> KafkaRange:
    choice = KafkaChoice(broker.bootstrap, GROUP, (topic,), properties=properties, startup_timeout=20.0, batch=batch)
    return KafkaRange(choice, None, None)


def test_every_record_of_the_range_is_read_once_and_what_polls_span_joins(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic, 2)
    for index in range(2):
        produce(mock_broker, topic, numbered(1_000, f"{index}-"), partition=index)
    records = whole(mock_broker, topic, batch=300)
    values, spans, finished = defaultdict(list), defaultdict(list), set()

    assert records.open() == {Partition(topic, 0), Partition(topic, 1)}
    produce(mock_broker, topic, [b"later"])
    for poll in records.polls():
        finished |= poll.finished
        for each in poll.records:
            for index, value in zip(each.partitions, each.values, strict=True):
                values[index].append(value)
            for span in each.offsets:
                spans[span.partition.index].append(span)
    records.close()

    for index in range(2):
        assert values[index] == numbered(1_000, f"{index}-")
        assert [span.first for span in spans[index]] == [0, *(span.last + 1 for span in spans[index][:-1])]
        assert spans[index][-1].last == 999
    assert len(finished) < 2  # the last is not told; both may end in one poll
    assert poll.done == 1


def test_a_leader_that_moves_meanwhile_is_asked_again(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(4))
    records = whole(mock_broker, topic)
    mock_broker.push_errors(Api.LIST_OFFSETS, *[KafkaError.NOT_LEADER_FOR_PARTITION] * 5)

    assert records.open() == {Partition(topic, 0)}
    found = [value for poll in records.polls() for each in poll.records for value in each.values]
    records.close()

    assert found == numbered(4)


def test_a_range_brings_what_stands_beside_values_where_it_is_wanted(mock_broker: MockBroker, topic: str) -> None:
    produce_records(mock_broker, topic, RECORDS)
    choice = KafkaChoice(
        mock_broker.bootstrap, GROUP, (topic,), startup_timeout=20.0, parts={topic: RecordParts.HEADERS}
    )
    records = KafkaRange(choice, None, None)
    records.open()
    found = [(each.keys, list(each.headers)) for poll in records.polls() for each in poll.records]
    records.close()

    assert [keys for keys, _ in found] == [()] * len(found)
    assert [list(each) for _, headers in found for each in headers] == [HEADERS, [], []]


def test_an_unreadable_batch_is_stepped_over_and_told(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(4))
    produce_unreadable(mock_broker, topic, 10)
    produce(mock_broker, topic, [b"after"])
    records = whole(mock_broker, topic, **NARROW)

    records.open()
    polls = list(records.polls())
    records.close()

    assert [value for poll in polls for each in poll.records for value in each.values] == [*numbered(4), b"after"]
    assert [(skip.first, skip.last) for poll in polls for skip in poll.skipped] == [(4, 13)]


def test_what_the_client_does_not_deal_with_itself_ends_the_range(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(4))
    mock_broker.push_errors(Api.FETCH, 29)  # TOPIC_AUTHORIZATION_FAILED
    records = whole(mock_broker, topic)
    records.open()

    with pytest.raises(SourceError, match=rf"^kafka: {topic}/0: .*authorization"):
        list(records.polls())
    records.close()
