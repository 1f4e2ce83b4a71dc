"""Every error code that a broker may answer with, to every request that the reader makes: each is got over, or named as what ended it."""

import os
import random

import pytest
from confluent_kafka import KafkaError

from monitor.facts import SourceTroubled
from monitor.sources.base import SourceError
from monitor.sources.kafka import stalls
from monitor.stream.events import Partition
from tests.parts.mock import Api, MockBroker
from tests.parts.reader import Reader, numbered, produce, reading

REQUESTS = (Api.FETCH, Api.LIST_OFFSETS, Api.METADATA, Api.OFFSET_COMMIT, Api.OFFSET_FETCH, Api.FIND_COORDINATOR)
CODES = (
    KafkaError._TRANSPORT,
    KafkaError.UNKNOWN,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
)
DRAWN = 3  # of each request's codes, unless all are wanted
TIMES = 3  # that a code is answered
COUNT = 60  # records a partition, before and again after


def chosen(request: Api) -> list[int]:
    """The codes that a request is answered with: with ERRORS=all every one."""
    if os.environ.get("ERRORS") == "all":
        return list(CODES)
    return random.sample(CODES, DRAWN)


def read_through(reader: Reader, broker: MockBroker, topic: str, request: Api, code: int) -> None:
    """Read, commit and be asked while the broker errs, and on when it does no more."""
    reader.until(lambda: reader.count >= 1)
    broker.watch_requests()
    broker.push_errors(request, *[code] * TIMES)
    if request is Api.FIND_COORDINATOR:  # which is asked for again by who is told that it is another
        broker.push_errors(Api.OFFSET_COMMIT, KafkaError.NOT_COORDINATOR)
    for index in range(2):
        produce(broker, topic, numbered(COUNT, f"{index}-after-"), partition=index)
    for _ in range(6):
        reader.poll(0.05)
        reader.saved()
    reader.until(lambda: broker.requests(request) > 0)
    broker.unwatch_requests()
    broker.clear_errors(request)
    broker.clear_errors(Api.OFFSET_COMMIT)
    reader.read(4 * COUNT, seconds=30)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.name.lower())
def test_an_error_of_the_broker_loses_and_repeats_nothing_or_is_named(
    mock_broker: MockBroker, topic: str, request_: Api
) -> None:
    for code in chosen(request_):
        name = f"{topic[-60:]}-{code}"
        mock_broker.create_topic(name, 2)
        for index in range(2):
            produce(mock_broker, name, numbered(COUNT, f"{index}-before-"), partition=index)
        with reading(mock_broker, name, group_id=f"group-of-{name}") as reader:
            try:
                read_through(reader, mock_broker, name, request_, code)
            except SourceError as ended:
                assert str(ended).startswith("kafka: "), ended  # noqa: PT017 - either is well
                assert len(str(ended)) > len("kafka: the client cannot go on: "), ended  # noqa: PT017 - same
                continue
            finally:
                mock_broker.clear_errors(request_)
            expected = {
                Partition(name, index): [*numbered(COUNT, f"{index}-before-"), *numbered(COUNT, f"{index}-after-")]
                for index in range(2)
            }
            assert reader.values == expected, (request_.name, KafkaError(code).name())


def test_a_partition_of_which_nothing_comes_is_assigned_anew_and_told_until_it_moves(
    mock_broker: MockBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stalls, "STALLED_AFTER", 1.0)
    monkeypatch.setattr(stalls, "HOPELESS_AFTER", 2.0)
    mock_broker.create_topic(topic)
    with reading(mock_broker, topic) as reader:
        reader.until(lambda: bool(reader.ends))
        mock_broker.push_errors(Api.FETCH, *[KafkaError.REPLICA_NOT_AVAILABLE] * 5_000)
        produce(mock_broker, topic, numbered(COUNT))
        reader.until(lambda: "nothing comes though more lies there" in (reader.source.trouble() or ""))
        assert any(fact.error == "STALLED" for fact in reader.all(SourceTroubled))
        mock_broker.clear_errors(Api.FETCH)
        reader.read(COUNT)
        reader.until(lambda: reader.source.trouble() is None)

        assert reader.values == {Partition(topic, 0): numbered(COUNT)}
