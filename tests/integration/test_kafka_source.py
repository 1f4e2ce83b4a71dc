"""The Kafka source when brokers fail: away, silent, slow, erring, remade."""

import contextlib
import math
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from monitor.facts import (
    ForeignCommit,
    LagMeasured,
    OffsetsExpired,
    OffsetsLost,
    PartitionsUnreachable,
    PositionSuspected,
    SourceTroubled,
    TopicsMissing,
)
from monitor.sources.base import SourceError
from monitor.sources.kafka import source as kafka_source
from monitor.sources.kafka.embedded import EmbeddedBroker
from monitor.sources.kafka.suspects import DEATHS
from monitor.store.starts import Starts
from monitor.stream.events import SECOND, Partition
from tests.parts.kafka import ApacheKafka
from tests.parts.mock import Api, MockBroker
from tests.parts.ports import free_ports
from tests.parts.reader import GROUP, committed, make_source, numbered, produce, reading

pytestmark = pytest.mark.usefixtures("reader_kind")

ONCE = {"enable_idempotence": True}  # a producer's retry must not look like a repeat of ours
BRIEFLY = 2.5  # seconds: how long the loop may stand still while the broker is away


# --- a broker that is not there ---------------------------------------------------------------------------------------


def test_a_broker_that_is_silent_at_start_ends_it_with_its_address() -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    source = make_source(address, "predictions", startup_timeout=0.5)
    began = time.monotonic()

    with pytest.raises(SourceError, match=rf"^kafka: no answer from {address} for 0\.5 s: .*Connection refused"):
        source.open({})
    assert time.monotonic() - began < BRIEFLY
    source.close()


def test_a_paused_broker_at_start_ends_it_too(apache_kafka: ApacheKafka) -> None:
    source = make_source(apache_kafka.bootstrap, "predictions", startup_timeout=1.0)
    apache_kafka.pause()

    with pytest.raises(SourceError, match=apache_kafka.bootstrap):
        source.open({})
    source.close()


def test_a_broker_that_comes_up_during_the_start_is_enough(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(3))
    mock_broker.set_down()
    came_up = threading.Event()
    later = threading.Timer(1.0, lambda: (came_up.set(), mock_broker.set_up()))
    later.start()

    with reading(mock_broker, topic) as reader:
        assert came_up.is_set()  # the start has waited for it
        reader.read(3)

        assert reader.values == {Partition(topic, 0): numbered(3)}
    later.join()


def test_deaths_where_nothing_lies_are_no_deaths_of_what_comes_there_later(
    mock_broker: MockBroker, topic: str, tmp_path: Path
) -> None:
    """A daemon of a quiet topic is killed again and again; then something comes."""
    mock_broker.create_topic(topic)

    def begin(deaths: int) -> list[PositionSuspected]:
        for _ in range(deaths):  # each leaves its file behind, as who is killed does
            with contextlib.closing(make_source(mock_broker.bootstrap, topic, starts=Starts(tmp_path))) as source:
                source.open({})
                found = [fact for fact in source.poll(0).facts if isinstance(fact, PositionSuspected)]
        return found

    assert begin(DEATHS + 2) == []
    produce(mock_broker, topic, numbered(3))
    assert begin(DEATHS) == []
    assert begin(1) == [PositionSuspected(Partition(topic, 0), 0, DEATHS)]


@pytest.mark.parametrize("error", [KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.COORDINATOR_NOT_AVAILABLE])
def test_a_group_that_cannot_be_looked_at_does_not_stop_the_start(
    mock_broker: MockBroker, topic: str, error: int
) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(3))
    mock_broker.push_errors(Api.OFFSET_FETCH, error)

    with reading(mock_broker, topic) as reader:
        reader.read(3)

        assert reader.source.trouble() is None


def test_a_mock_broker_that_goes_away_is_waited_for(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(500, "before-"))

    with reading(mock_broker, topic) as reader:
        reader.until(lambda: reader.count > 0)
        mock_broker.set_down()
        reader.until(lambda: bool(reader.all(SourceTroubled)))
        mock_broker.set_up()
        produce(mock_broker, topic, numbered(500, "after-"))
        reader.read(1_000)

        assert reader.values == {Partition(topic, 0): [*numbered(500, "before-"), *numbered(500, "after-")]}
        assert reader.slowest < BRIEFLY


def test_a_partition_without_a_leader_is_unconfirmed_and_has_no_lag_while_the_others_are_read(topic: str) -> None:
    """One broker of three is away: the cluster answers, but this partition's silence means nothing."""
    brokers = MockBroker(brokers=3)
    brokers.create_topic(topic, 3)
    for index in range(3):
        produce(brokers, topic, numbered(2), partition=index)
    with reading(brokers, topic, lookup_every=0.3) as reader:
        reader.read(6)
        away = leader_of(brokers, topic, 0)
        brokers.set_down(away)
        reader.until(lambda: Partition(topic, 0) in reader.unconfirmed)
        assert len(reader.unconfirmed) < 3
        reader.facts.clear()
        reader.until(lambda: any(isinstance(fact, LagMeasured) for fact in reader.facts))
        lags = next(dict(fact.lags) for fact in reader.facts if isinstance(fact, LagMeasured))
        assert Partition(topic, 0) not in lags
        brokers.set_up(away)
        reader.until(lambda: reader.unconfirmed == frozenset())
    brokers.stop()


def leader_of(brokers: MockBroker, topic: str, index: int) -> int:
    found = AdminClient({"bootstrap.servers": brokers.bootstrap, "log_level": 0}).list_topics(topic, timeout=5)
    leader: int = found.topics[topic].partitions[index].leader
    return leader


def test_a_partition_is_unconfirmed_while_its_broker_is_away(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)

    with reading(mock_broker, topic) as reader:
        reader.poll()
        reader.poll()
        assert reader.unconfirmed == frozenset()
        mock_broker.set_down()
        reader.until(lambda: reader.unconfirmed == {Partition(topic, 0)})
        mock_broker.set_up()
        reader.until(lambda: reader.unconfirmed == frozenset())


def test_a_killed_kafka_is_waited_for_and_nothing_is_lost_or_repeated(apache_kafka: ApacheKafka, topic: str) -> None:
    apache_kafka.create_topic(topic, 2)
    one, two = Partition(topic, 0), Partition(topic, 1)
    for partition in (one, two):
        produce(apache_kafka, topic, numbered(2_000, "before-"), partition=partition.index)

    with reading(apache_kafka, topic, batch=500) as reader:
        reader.until(lambda: reader.count > 0)
        apache_kafka.kill()
        reader.until(lambda: reader.count == 4_000 or bool(reader.all(SourceTroubled)))
        reader.saved()
        apache_kafka.restart()
        for partition in (one, two):
            produce(apache_kafka, topic, numbered(2_000, "after-"), partition=partition.index, **ONCE)
        reader.read(8_000)
        reader.saved()

        whole = [*numbered(2_000, "before-"), *numbered(2_000, "after-")]
        assert reader.values == {one: whole, two: whole}
        assert reader.source.positions() == {one: 4_000, two: 4_000}
        assert reader.all(SourceTroubled)


def test_a_kafka_that_stands_still_for_five_seconds_costs_nothing_but_time(
    apache_kafka: ApacheKafka, topic: str
) -> None:
    apache_kafka.create_topic(topic)
    produce(apache_kafka, topic, numbered(2_000, "before-"))

    with reading(apache_kafka, topic, batch=500) as reader:
        reader.until(lambda: reader.count > 0)
        apache_kafka.pause()
        resumed_at = time.monotonic() + 5
        reader.until(lambda: time.monotonic() > resumed_at)
        apache_kafka.resume()
        produce(apache_kafka, topic, numbered(2_000, "after-"), **ONCE)
        reader.read(4_000)

        assert reader.values == {Partition(topic, 0): [*numbered(2_000, "before-"), *numbered(2_000, "after-")]}
        assert reader.slowest < BRIEFLY


# --- errors -----------------------------------------------------------------------------------------------------------


def test_an_error_of_one_fetch_is_only_trouble(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(3))
    mock_broker.push_errors(Api.FETCH, KafkaError.TOPIC_AUTHORIZATION_FAILED)

    with reading(mock_broker, topic) as reader:
        reader.read(3)

        assert [fact.error for fact in reader.all(SourceTroubled)] == ["TOPIC_AUTHORIZATION_FAILED"]


def test_a_broker_that_wrongly_denies_our_position_is_asked_again(mock_broker: MockBroker, topic: str) -> None:
    """A new leader that lags behind does so for a moment; the position is there all the same."""
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(3))
    mock_broker.push_errors(Api.FETCH, KafkaError.OFFSET_OUT_OF_RANGE)

    with reading(mock_broker, topic) as reader:
        reader.read(3)

        assert reader.values == {Partition(topic, 0): numbered(3)}
        assert reader.all(OffsetsLost) == []


def test_a_position_that_is_lost_while_the_bounds_cannot_be_had_is_found_again(
    mock_broker: MockBroker, topic: str
) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(3))

    with reading(mock_broker, topic) as reader:
        reader.read(3)
        mock_broker.push_errors(Api.FETCH, KafkaError.OFFSET_OUT_OF_RANGE)
        mock_broker.push_errors(Api.LIST_OFFSETS, *[KafkaError.TOPIC_AUTHORIZATION_FAILED] * 2)
        produce(mock_broker, topic, [b"more"])
        reader.read(4)

        assert reader.values == {Partition(topic, 0): [*numbered(3), b"more"]}


@pytest.mark.parametrize("errors", [(0, 29), (29, 0)], ids=["the-last", "the-first"])
def test_a_bound_that_the_client_was_not_told_is_no_loss(
    mock_broker: MockBroker, topic: str, errors: tuple[int, int]
) -> None:
    """It asks for both bounds apart, and passes one off as both when the other is refused."""
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(3))
    mock_broker.push_errors(Api.LIST_OFFSETS, *errors)

    with reading(mock_broker, topic, positions={Partition(topic, 0): 1}) as reader:
        reader.read(2)

        assert reader.values == {Partition(topic, 0): [b"1", b"2"]}


@pytest.mark.parametrize(
    "error",
    [
        KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced by another", fatal=True),  # as error_cb brings it
        KafkaError(KafkaError._FATAL, "Fatal error: fenced by another"),  # as consume() brings it
    ],
)
def test_a_fatal_error_of_the_client_ends_the_source(mock_broker: MockBroker, topic: str, error: KafkaError) -> None:
    with reading(mock_broker, topic) as reader:
        reader.source._note_trouble(error)

        with pytest.raises(SourceError, match=r"the client cannot go on: .*fenced by another"):
            reader.poll()


@pytest.mark.parametrize(
    "properties",
    [{"no.such.property": 1}, {"security.protocol": "nonsense"}, {"receive.message.max.bytes": -1}],
    ids=["unknown", "no-such-value", "out-of-range"],
)
def test_properties_that_the_client_refuses_raise_at_once(properties: dict[str, Any]) -> None:
    with pytest.raises(KafkaException):
        make_source("127.0.0.1:9", "predictions", properties=properties)


# --- commits that fail ------------------------------------------------------------------------------------------------


def test_a_commit_that_fails_is_only_trouble_and_is_made_again(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(3))
    mock_broker.push_errors(Api.OFFSET_COMMIT, KafkaError.GROUP_AUTHORIZATION_FAILED)

    with reading(mock_broker, topic) as reader:
        reader.read(3)
        reader.saved()
        reader.until(lambda: bool(reader.all(SourceTroubled)))
        assert committed(mock_broker, topic) < 0
        reader.saved()
        reader.poll()

        assert [fact.error for fact in reader.all(SourceTroubled)] == ["GROUP_AUTHORIZATION_FAILED"]
        assert committed(mock_broker, topic) == 3


def test_a_look_for_other_committers_that_fails_is_only_trouble(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(3))

    with reading(mock_broker, topic, audit_every=0.0) as reader:
        reader.read(3)
        reader.saved()
        mock_broker.push_errors(Api.OFFSET_FETCH, KafkaError.GROUP_AUTHORIZATION_FAILED)
        for _ in range(6):
            reader.saved()
            reader.poll()

        assert [fact.error for fact in reader.all(SourceTroubled)] == ["GROUP_AUTHORIZATION_FAILED"]
        assert reader.all(ForeignCommit) == []
        assert reader.source.trouble() is None


@pytest.mark.parametrize("gone", [MockBroker.set_down, lambda broker: broker.set_rtt(60_000)], ids=["down", "silent"])
def test_commits_and_looks_do_not_hold_the_loop_while_the_broker_is_away(
    mock_broker: MockBroker, topic: str, gone: Any
) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(3))

    with reading(mock_broker, topic, audit_every=0.0) as reader:
        reader.read(3)
        gone(mock_broker)
        for _ in range(2):
            began = time.monotonic()
            reader.saved()
            assert time.monotonic() - began < BRIEFLY
            reader.poll()

        assert reader.slowest < BRIEFLY
        assert reader.all(SourceTroubled)
        assert reader.all(ForeignCommit) == []


def test_commits_made_while_kafka_was_away_are_not_foreign_when_it_is_back(
    apache_kafka: ApacheKafka, topic: str
) -> None:
    group = f"group-of-{topic}"
    apache_kafka.create_topic(topic)
    produce(apache_kafka, topic, numbered(10))

    with reading(apache_kafka, topic, group_id=group, batch=1) as reader:
        reader.until(lambda: reader.count > 0)
        reader.saved()
        apache_kafka.kill()
        for _ in range(3):
            reader.poll()
            reader.saved()
        apache_kafka.restart()
        reader.read(10)
        reader.until(lambda: reader.saved() == {Partition(topic, 0): 10} and committed_10(apache_kafka, topic, group))

        assert reader.all(ForeignCommit) == []
        assert reader.source.trouble() is None


# --- topics remade and grown ------------------------------------------------------------------------------------------


def test_a_partition_added_while_running_is_read_from_its_first_event(apache_kafka: ApacheKafka, topic: str) -> None:
    apache_kafka.create_topic(topic)

    with reading(apache_kafka, topic, from_earliest=False) as reader:
        apache_kafka.add_partitions(topic, 2)
        produce(apache_kafka, topic, numbered(3), partition=1)
        reader.read(3)

        assert reader.values == {Partition(topic, 1): numbered(3)}
        assert sorted(reader.assigned) == [Partition(topic, 0), Partition(topic, 1)]  # one poll may bring both


def test_a_partition_added_while_stopped_is_read_from_its_first_event(apache_kafka: ApacheKafka, topic: str) -> None:
    apache_kafka.create_topic(topic)
    with reading(apache_kafka, topic, from_earliest=False) as reader:
        positions = reader.source.positions()
    apache_kafka.add_partitions(topic, 2)
    produce(apache_kafka, topic, numbered(3), partition=1)

    with reading(apache_kafka, topic, from_earliest=False, positions=positions) as reader:
        reader.read(3)

        assert reader.values == {Partition(topic, 1): numbered(3)}


def test_a_topic_remade_shorter_while_running_stops_the_source(apache_kafka: ApacheKafka, topic: str) -> None:
    apache_kafka.create_topic(topic)
    produce(apache_kafka, topic, numbered(10))

    with reading(apache_kafka, topic) as reader:
        reader.read(10)
        apache_kafka.delete_topic(topic)
        apache_kafka.create_topic(topic)
        produce(apache_kafka, topic, numbered(3))

        with pytest.raises(SourceError, match=f"{topic}/0: our position 10 .* 0 to 3"):
            reader.until(lambda: False)


def test_a_topic_remade_shorter_while_running_is_read_anew_where_that_is_chosen(
    apache_kafka: ApacheKafka, topic: str
) -> None:
    apache_kafka.create_topic(topic)
    produce(apache_kafka, topic, numbered(10, "old-"))

    with reading(apache_kafka, topic, skip_lost=True) as reader:
        reader.read(10)
        apache_kafka.delete_topic(topic)
        apache_kafka.create_topic(topic)
        produce(apache_kafka, topic, numbered(3, "new-"))
        reader.read(13)

        assert reader.values == {Partition(topic, 0): [*numbered(10, "old-"), *numbered(3, "new-")]}
        assert [(lost.wanted, lost.resumed) for lost in reader.all(OffsetsLost)] == [(10, 0)]


def test_a_topic_deleted_while_running_is_reported_missing(apache_kafka: ApacheKafka, topic: str) -> None:
    apache_kafka.create_topic(topic)

    with reading(apache_kafka, topic) as reader:
        reader.poll()
        apache_kafka.delete_topic(topic)
        reader.until(lambda: TopicsMissing((topic,)) in reader.facts)

        assert reader.source.trouble() is None


def test_a_topic_that_is_gone_is_no_silent_leader_and_holds_nothing_up(
    apache_kafka: ApacheKafka, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long after a leader would have been called silent; when it is there again it is read on."""
    monkeypatch.setattr(kafka_source, "UNREACHABLE", 3.0)
    gone, stays = f"{topic}-gone", f"{topic}-stays"
    for each in (gone, stays):
        apache_kafka.create_topic(each)
    produce(apache_kafka, gone, numbered(3))

    with reading(apache_kafka, gone, stays, lookup_every=0.5, skip_lost=True) as reader:
        reader.read(3)
        apache_kafka.delete_topic(gone)
        reader.until(lambda: TopicsMissing((gone,)) in reader.facts)
        reader.until(lambda: Partition(gone, 0) in reader.confirmed)
        said = reader.confirmed[Partition(gone, 0)]
        reader.until(lambda: reader.confirmed[Partition(gone, 0)] > said + 8 * SECOND)

        assert reader.source.trouble() is None
        apache_kafka.create_topic(gone)
        produce(apache_kafka, gone, numbered(2, "again-"))
        reader.read(5)
        assert reader.values == {Partition(gone, 0): [*numbered(3), *numbered(2, "again-")]}
        assert [fact for fact in reader.all(PartitionsUnreachable) if fact.partitions] == []


def test_an_open_transaction_is_lag_and_its_partition_is_not_confirmed_to_be_empty(
    apache_kafka: ApacheKafka, topic: str
) -> None:
    """What it holds is not delivered yet; event time must not go on without it."""
    apache_kafka.create_topic(topic)
    one = Partition(topic, 0)
    produce(apache_kafka, topic, numbered(2))

    with reading(apache_kafka, topic) as reader, in_transaction(apache_kafka, topic) as producer:
        reader.until(lambda: one in reader.confirmed)
        producer.produce(topic, b"open", partition=0)
        producer.flush(30)
        reader.until(lambda: one not in reader.confirmed and dict(reader.all(LagMeasured)[-1].lags).get(one) == 1)
        assert reader.count == 2
        producer.commit_transaction(30)
        reader.until(lambda: one in reader.confirmed)

        assert reader.count == 3


def test_a_partition_is_confirmed_by_its_leader_alone(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    one = Partition(topic, 0)

    with reading(mock_broker, topic) as reader:
        reader.until(lambda: one in reader.confirmed)
        mock_broker.set_down()
        reader.until(lambda: one not in reader.confirmed)
        mock_broker.set_up()
        reader.until(lambda: one in reader.confirmed)


def test_an_end_that_lies_before_our_position_confirms_nothing(mock_broker: MockBroker, topic: str) -> None:
    """It is that of a topic made anew, of which all is still to come: event time waits until its id is compared."""
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(3))
    one = Partition(topic, 0)

    with reading(mock_broker, topic) as reader:
        reader.until(lambda: reader.count == 3 and one in reader.confirmed)
        reader.source._reader.positions[one] = 5  # as in a topic that held more
        reader.until(lambda: one not in reader.confirmed)


def test_a_leader_that_is_silent_for_a_minute_is_told_of_with_since_when_and_is_not_ready(
    mock_broker: MockBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_source, "UNREACHABLE", 1.0)  # seconds instead of a minute
    mock_broker.create_topic(topic)

    with reading(mock_broker, topic) as reader:
        reader.until(lambda: bool(reader.confirmed))
        mock_broker.set_down()
        reader.until(lambda: any(fact.partitions for fact in reader.all(PartitionsUnreachable)))
        ((partition, since),) = reader.all(PartitionsUnreachable)[-1].partitions
        assert partition == Partition(topic, 0)
        assert since <= time.time_ns() - SECOND
        assert "no leader has answered for a minute" in str(reader.source.trouble())
        reader.source._next_lag = math.inf  # as if lag had been measured, and silence been told of, a moment before
        mock_broker.set_up()
        produce(mock_broker, topic, numbered(3))
        reader.until(lambda: reader.count > 0)

        assert reader.all(PartitionsUnreachable)[-1].partitions == ()  # with what it brought, not after it
        assert reader.source.trouble() is None


def test_the_end_of_a_transaction_is_no_lag(apache_kafka: ApacheKafka, topic: str) -> None:
    """Its control record is never delivered, but it has an offset."""
    apache_kafka.create_topic(topic)
    produce_in_transaction(apache_kafka, topic, numbered(3))

    with reading(apache_kafka, topic) as reader:
        reader.until(lambda: bool(reader.ends))

        assert reader.values == {Partition(topic, 0): numbered(3)}
        assert reader.source.positions() == {Partition(topic, 0): 4}


# --- leaving ----------------------------------------------------------------------------------------------------------


def test_what_was_committed_last_has_arrived_when_the_source_is_closed(broker: Any, topic: str) -> None:
    group = f"group-of-{topic}"
    broker.create_topic(topic)
    produce(broker, topic, numbered(500))

    with reading(broker, topic, group_id=group) as reader:
        reader.read(500)
        reader.saved()

    assert committed(broker, topic, group=group) == 500


@pytest.mark.parametrize("gone", [MockBroker.set_down, lambda broker: broker.set_rtt(60_000)], ids=["down", "silent"])
def test_closing_takes_bounded_time_though_the_broker_is_away(mock_broker: MockBroker, topic: str, gone: Any) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(3))

    with reading(mock_broker, topic) as reader:
        reader.read(3)
        gone(mock_broker)
        reader.saved()
        began = time.monotonic()
        reader.source.close()

        assert time.monotonic() - began < BRIEFLY


def test_the_client_writes_nothing_to_stderr() -> None:
    """Neither for a broker that goes away, nor for settings it ignores, nor for the embedded broker."""
    script = f"""
        import time
        from monitor.clock import SystemClock
        from monitor.sources.kafka.embedded import EmbeddedBroker
        from monitor.sources.kafka.client import KafkaChoice
        from monitor.sources.kafka.source import KafkaSource

        broker = EmbeddedBroker()
        broker.create("predictions")
        choice = KafkaChoice(broker.bootstrap_servers, {GROUP!r}, ("predictions",), properties={{"linger.ms": 5}}, closing=1.0)
        source = KafkaSource(choice, SystemClock())
        source.open({{}})
        broker.producer.produce("predictions", b"one")
        broker.producer.flush(10)
        while not source.poll(0.1).records:
            pass
        del broker
        ends = time.monotonic() + 1.5
        while time.monotonic() < ends:
            source.poll(0.1)
        source.commit(source.positions())
        source.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_retention_took_before_the_first_start_is_told_once_and_is_no_loss(
    mock_broker: MockBroker, topic: str
) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, numbered(10))
    mock_broker.delete_records(topic, 0, 4)

    with reading(mock_broker, topic) as reader:
        reader.read(6)
        positions = reader.source.positions()
        assert reader.all(OffsetsExpired) == [OffsetsExpired(Partition(topic, 0), 4)]
        assert reader.all(OffsetsLost) == []
    with reading(mock_broker, topic, positions=positions) as reader:
        reader.read(0)
        assert reader.all(OffsetsExpired) == []
    with reading(mock_broker, topic, from_earliest=False) as reader:
        reader.read(0)
        assert reader.all(OffsetsExpired) == []


def test_the_embedded_broker_says_what_it_dropped() -> None:
    broker = EmbeddedBroker()
    broker.create("predictions")
    assert list(broker.news("predictions")) == []
    for _ in range(8):
        for _ in range(1000):
            broker.producer.produce("predictions", bytes(1000), partition=2)
        broker.producer.flush(10)

    (line,) = broker.news("predictions")
    ((place, gone),) = broker.dropped("predictions").items()
    assert place == Partition("predictions", 2)
    assert 2_000 < gone < 8_000
    assert line.startswith(f"predictions/2: {gone:,} messages were dropped")
    assert list(broker.news("predictions")) == []


def test_the_embedded_broker_serves_a_source() -> None:
    broker = EmbeddedBroker()
    broker.create("predictions")
    for value in numbered(10):
        broker.producer.produce("predictions", value, partition=2)
    broker.producer.flush(10)
    source = make_source(broker.bootstrap_servers, "predictions")
    source.open({})
    read: list[bytes | None] = []
    while len(read) < 10:
        read += [value for records in source.poll(0.1).records for value in records.values]
    source.close()

    assert read == numbered(10)


# --- helpers ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def in_transaction(kafka: ApacheKafka, topic: str) -> Iterator[Producer]:
    """A producer whose transaction is open."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "log_level": 0, "transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    yield producer


def produce_in_transaction(kafka: ApacheKafka, topic: str, values: list[bytes]) -> None:
    with in_transaction(kafka, topic) as producer:
        for value in values:
            producer.produce(topic, value, partition=0)
        producer.commit_transaction(30)


def committed_10(kafka: ApacheKafka, topic: str, group: str) -> bool:
    return committed(kafka, topic, group=group) == 10
