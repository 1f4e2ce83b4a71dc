"""What a source promises, kept by the Kafka source on librdkafka's mock cluster and on a real Kafka."""

import time
from itertools import chain
from typing import Any

import pytest
from confluent_kafka import KafkaError

from monitor.clock import SystemClock
from monitor.facts import (
    Fact,
    ForeignCommit,
    LagMeasured,
    OffsetsLost,
    PartitionsAssigned,
    RecordsSkipped,
    StateLost,
    TopicsMissing,
)
from monitor.runtime.waiting import PatientSource
from monitor.sources.base import RecordParts, SourceError
from monitor.sources.kafka.client import TRANSPORT
from monitor.sources.kafka.portion import LEAST
from monitor.stream.events import Partition
from tests.parts.mock import MockBroker
from tests.parts.reader import (
    commit_as_another,
    committed,
    make_source,
    numbered,
    produce,
    produce_apart,
    produce_records,
    reading,
)

pytestmark = pytest.mark.usefixtures("reader_kind")

NARROW = {  # a client that cannot take a batch of more than a megabyte once it is decompressed
    "receive.message.max.bytes": 1_000_512,
    "fetch.max.bytes": 1_000_000,
    "message.max.bytes": 900_000,
}
HAND_TO_MOUTH = {"queued.min.messages": 1, "fetch.message.max.bytes": 1_000}  # next to nothing is fetched ahead


@pytest.fixture
def group(topic: str) -> str:
    """A group that no other test has: the real broker is shared."""
    return f"group-of-{topic}"


# --- reading ----------------------------------------------------------------------------------------------------------


def test_every_record_of_every_partition_is_read_once_and_in_order(broker: Any, topic: str) -> None:
    broker.create_topic(topic, 3)
    for index in range(3):
        produce(broker, topic, numbered(5_000, f"{index}-"), partition=index)

    with reading(broker, topic) as reader:
        reader.read(15_000)

        assert reader.values == {Partition(topic, index): numbered(5_000, f"{index}-") for index in range(3)}


def test_reading_begins_at_the_positions_given(broker: Any, topic: str) -> None:
    broker.create_topic(topic, 2)
    for index in range(2):
        produce(broker, topic, numbered(10), partition=index)

    with reading(broker, topic, positions={Partition(topic, 0): 7, Partition(topic, 1): 10}) as reader:
        reader.read(3)

        assert reader.values == {Partition(topic, 0): [b"7", b"8", b"9"]}


class BusyClock(SystemClock):
    """A clock that also counts work which nobody did."""

    worked = 0.0

    def elapsed(self) -> float:
        return super().elapsed() + self.worked


def test_where_messages_take_long_fewer_are_taken_at_once_and_all_again_where_they_do_not(
    broker: Any, topic: str
) -> None:
    """What is shown is as old as a turn is long."""
    broker.create_topic(topic)
    produce(broker, topic, numbered(50_000))
    clock, taken = BusyClock(), []

    with reading(broker, topic, batch=2_000, clock=clock) as reader:
        reader.until(lambda: reader.count > 0)
        for work in (*7 * (2.0,), *9 * (0.0,)):  # what is fetched ahead by then is as large as before
            clock.worked += work
            before = reader.count
            reader.poll(30)
            taken.append(reader.count - before)
        reader.read(50_000)

        assert taken[6] == LEAST
        assert taken[-1] == 2_000
        assert reader.values == {Partition(topic, 0): numbered(50_000)}


def test_positions_count_what_poll_has_returned(broker: Any, topic: str) -> None:
    broker.create_topic(topic)
    produce(broker, topic, numbered(10))

    with reading(broker, topic, batch=4, positions={Partition(topic, 0): 2}) as reader:
        assert reader.source.positions() == {Partition(topic, 0): 2}
        reader.until(lambda: reader.count > 0)
        assert reader.source.positions() == {Partition(topic, 0): 2 + reader.count}
        reader.read(8)
        assert reader.source.positions() == {Partition(topic, 0): 10}


def test_what_polls_span_joins_without_a_gap(broker: Any, topic: str) -> None:
    broker.create_topic(topic, 2)
    for index in range(2):
        produce(broker, topic, numbered(1_000), partition=index)

    with reading(broker, topic, batch=100, positions={Partition(topic, 0): 300}) as reader:
        reader.read(1_700)

        for partition, first in ((Partition(topic, 0), 300), (Partition(topic, 1), 0)):
            spans = [span for span in reader.offsets if span.partition == partition]
            assert [span.first for span in spans] == [first, *(span.last + 1 for span in spans[:-1])]
            assert spans[-1].last == 999


def test_what_a_poll_spans_covers_what_could_not_be_read(broker: Any, topic: str) -> None:
    broker.create_topic(topic)
    produce(broker, topic, numbered(4))
    produce_unreadable(broker, topic, 10)
    produce(broker, topic, numbered(4))

    with reading(broker, topic, properties=NARROW) as reader:
        reader.read(8)

        passed = {at for span in reader.offsets for at in range(span.first, span.last + 1)}
        assert passed >= {*range(4), *range(14, 18)}
        assert max(passed) == 17


def test_going_on_from_the_positions_of_a_closed_source_loses_and_repeats_nothing(broker: Any, topic: str) -> None:
    broker.create_topic(topic)
    produce(broker, topic, numbered(100))

    with reading(broker, topic, batch=30) as reader:
        reader.until(lambda: reader.count > 0)
        before, positions = list(reader.values[Partition(topic, 0)]), reader.source.positions()
    with reading(broker, topic, positions=positions) as reader:
        reader.read(100 - len(before))

        assert before + reader.values[Partition(topic, 0)] == numbered(100)


def test_where_nothing_is_stored_earliest_is_the_first_event(broker: Any, topic: str) -> None:
    broker.create_topic(topic)
    produce(broker, topic, numbered(3))

    with reading(broker, topic, from_earliest=True) as reader:
        reader.read(3)

        assert reader.all(PartitionsAssigned) == [PartitionsAssigned(((Partition(topic, 0), 0),))]
        assert reader.assigned == [Partition(topic, 0)]


def test_where_nothing_is_stored_latest_is_the_next_event(broker: Any, topic: str) -> None:
    broker.create_topic(topic)
    produce(broker, topic, numbered(3))

    with reading(broker, topic, from_earliest=False) as reader:
        produce(broker, topic, [b"next"])
        reader.read(1)

        assert reader.values == {Partition(topic, 0): [b"next"]}


def test_a_stored_position_wins_over_what_the_group_has_committed(broker: Any, topic: str, group: str) -> None:
    broker.create_topic(topic)
    produce(broker, topic, numbered(5))
    commit_as_another(broker, topic, 1, group=group)

    with reading(broker, topic, group_id=group, positions={Partition(topic, 0): 3}) as reader:
        reader.read(2)

        assert reader.values == {Partition(topic, 0): [b"3", b"4"]}


def test_tombstones_arrive_as_records_without_a_value(broker: Any, topic: str) -> None:
    broker.create_topic(topic)
    produce(broker, topic, [b"one", None, b"three"])

    with reading(broker, topic) as reader:
        reader.read(3)

        assert reader.values == {Partition(topic, 0): [b"one", None, b"three"]}


HEADERS: list[Any] = [("a", b"1"), ("b", b""), ("a", b"\xff\0"), ("", b"none"), ("größe", None)]
LATELY = time.time_ns() // 1_000_000 - 60_000  # a broker deletes what is old
RECORDS: list[dict[str, Any]] = [
    {"value": b"one", "key": b"k", "timestamp": LATELY, "headers": HEADERS},
    {"value": None, "key": b"", "timestamp": LATELY + 1},
    {"value": b"three", "timestamp": LATELY + 2, "headers": []},
]


def test_what_stands_beside_values_is_brought_where_it_is_wanted(broker: Any, topic: str) -> None:
    """Headers in their order, a name twice, with nothing and without a value."""
    broker.create_topic(topic)
    produce_records(broker, topic, RECORDS)

    with reading(broker, topic, parts={topic: ~RecordParts.NOTHING}) as reader:
        reader.read(3)

        keys, stamps, headers = (list(chain.from_iterable(each)) for each in zip(*reader.parts, strict=True))
        assert keys == [b"k", b"", None]
        assert stamps == [record["timestamp"] * 1_000_000 for record in RECORDS]
        assert headers == [HEADERS, [], []]


def test_what_stands_beside_values_is_left_where_it_is_not_wanted(broker: Any, topic: str) -> None:
    other = f"{topic}-other"
    for name in (topic, other):
        broker.create_topic(name)
        produce_records(broker, name, RECORDS)

    with reading(broker, topic, other, parts={other: RecordParts.KEYS}) as reader:
        reader.read(6)

        assert all(not stamps and not headers for _, stamps, headers in reader.parts)
        assert list(chain.from_iterable(keys for keys, _, _ in reader.parts)) == [b"k", b"", None]


def test_records_above_a_mebibyte_arrive(broker: Any, topic: str) -> None:
    large = bytes(range(256)) * 6 * 1024
    broker.create_topic(topic, **({} if isinstance(broker, MockBroker) else {"max_message_bytes": 4 << 20}))
    produce(broker, topic, [b"before", large, b"after"], message_max_bytes=4 << 20)

    with reading(broker, topic) as reader:
        reader.read(3)

        assert reader.values == {Partition(topic, 0): [b"before", large, b"after"]}


def test_several_topics_are_read_at_once_and_told_apart(broker: Any, topic: str) -> None:
    topics = [f"{topic}-{name}" for name in "abc"]
    for name in topics:
        broker.create_topic(name, 2)
        for index in range(2):
            produce(broker, name, numbered(200, f"{name}-{index}-"), partition=index)

    with reading(broker, *topics) as reader:
        reader.read(1_200)

        assert reader.values == {
            Partition(name, index): numbered(200, f"{name}-{index}-") for name in topics for index in range(2)
        }


def test_an_end_is_reported_once_for_each_time_it_is_reached(broker: Any, topic: str) -> None:
    broker.create_topic(topic, 2)
    produce(broker, topic, numbered(3))
    full, empty = Partition(topic, 0), Partition(topic, 1)

    with reading(broker, topic) as reader:
        reader.until(lambda: {full, empty} <= set(reader.ends))
        reader.poll(0.5)
        assert sorted(reader.ends) == [full, empty]
        produce(broker, topic, [b"more"])
        reader.until(lambda: reader.ends.count(full) == 2)

        assert reader.count == 4
        assert reader.ends.count(empty) == 1


def test_lag_is_what_lies_between_our_position_and_the_end(broker: Any, topic: str) -> None:
    broker.create_topic(topic)
    produce(broker, topic, numbered(50))

    with reading(broker, topic) as reader:
        reader.until(lambda: bool(reader.ends))
        reader.until(lambda: LagMeasured(((Partition(topic, 0), 0),)) in reader.facts)


# --- topics that come later -------------------------------------------------------------------------------------------


def test_a_missing_topic_is_waited_for_and_read_from_its_first_event(broker: Any, topic: str) -> None:
    with reading(broker, topic, from_earliest=False) as reader:
        reader.poll(0.5)
        assert reader.all(TopicsMissing) == [TopicsMissing((topic,))]
        assert reader.source.trouble() is None
        broker.create_topic(topic)
        produce(broker, topic, numbered(3))
        reader.read(3)

        assert reader.values == {Partition(topic, 0): numbered(3)}
        assert reader.all(TopicsMissing) == [TopicsMissing((topic,)), TopicsMissing(())]


def test_a_missing_topic_does_not_hold_up_the_others(broker: Any, topic: str) -> None:
    broker.create_topic(topic)
    produce(broker, topic, numbered(3))

    with reading(broker, topic, f"{topic}-missing") as reader:
        reader.read(3)

        assert reader.all(TopicsMissing) == [TopicsMissing((f"{topic}-missing",))]
        assert reader.source.trouble() is None


def test_a_topic_that_was_missing_for_a_while_goes_on_at_its_stored_position(broker: Any, topic: str) -> None:
    with reading(broker, topic, positions={Partition(topic, 0): 2}, lookup_every=2.0) as reader:
        broker.create_topic(topic)
        produce(broker, topic, numbered(3))
        reader.read(1)

        assert reader.values == {Partition(topic, 0): [b"2"]}


# --- offsets that are gone --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [1, 9], ids=["below-the-first", "past-the-last"])
def test_a_stored_position_that_is_gone_stops_the_source(broker: Any, topic: str, stored: int) -> None:
    a_topic_from_3_to_6(broker, topic)
    source = make_source(broker.bootstrap, topic)

    with pytest.raises(SourceError, match=rf"{topic}/0: our position {stored} .* 3 to 6 .*kafka\.lost_offsets: skip"):
        source.open({Partition(topic, 0): stored})
    source.close()


@pytest.mark.parametrize("stored", [1, 9], ids=["below-the-first", "past-the-last"])
def test_a_stored_position_that_is_gone_is_counted_and_passed_where_that_is_chosen(
    broker: Any, topic: str, stored: int
) -> None:
    a_topic_from_3_to_6(broker, topic)

    with reading(broker, topic, positions={Partition(topic, 0): stored}, skip_lost=True) as reader:
        reader.read(3)

        assert reader.all(OffsetsLost) == [OffsetsLost(Partition(topic, 0), stored, 3)]
        assert reader.values == {Partition(topic, 0): [b"3", b"4", b"5"]}


@pytest.mark.parametrize("stored", [3, 6], ids=["the-first", "the-end"])
def test_a_position_at_either_bound_is_there(broker: Any, topic: str, stored: int) -> None:
    a_topic_from_3_to_6(broker, topic)

    with reading(broker, topic, positions={Partition(topic, 0): stored}) as reader:
        reader.until(lambda: bool(reader.ends))

        assert reader.count == 6 - stored


def test_retention_that_overtakes_a_running_source_stops_it(broker: Any, topic: str) -> None:
    broker.create_topic(topic)
    produce_apart(broker, topic, [bytes(900)] * 30)

    with reading(broker, topic, batch=1, properties=HAND_TO_MOUTH) as reader:
        reader.until(lambda: reader.count > 0)
        broker.delete_records(topic, 0, before=25)

        with pytest.raises(SourceError, match=f"{topic}/0"):
            reader.until(lambda: reader.count == 30)
        assert reader.count < 25


def test_retention_that_overtakes_a_running_source_is_counted_where_that_is_chosen(broker: Any, topic: str) -> None:
    broker.create_topic(topic)
    produce_apart(broker, topic, numbered(30, "x" * 900))

    with reading(broker, topic, batch=1, properties=HAND_TO_MOUTH, skip_lost=True) as reader:
        reader.until(lambda: reader.count > 0)
        broker.delete_records(topic, 0, before=25)
        reader.until(lambda: bool(reader.ends))
        [lost] = reader.all(OffsetsLost)

        assert lost.resumed == 25
        assert reader.values[lost.partition] == [
            *numbered(lost.wanted, "x" * 900),
            *numbered(30, "x" * 900)[25:],
        ]


# --- a topic that was made anew, a log that was cut -------------------------------------------------------------------


def left_a_topic(broker: Any, topic: str, count: int) -> tuple[dict[Partition, int], dict[str, str]]:
    """Read so many events of a topic: the positions that a checkpoint would save, and the ids of their topics."""
    broker.create_topic(topic)
    produce(broker, topic, numbered(count, "old-"))
    with reading(broker, topic) as reader:
        reader.until(lambda: reader.count == count and topic in reader.source.topics())
        return reader.source.positions(), reader.source.topics()


def made_anew(broker: Any, topic: str, count: int) -> None:
    broker.delete_topic(topic)
    broker.create_topic(topic)
    produce(broker, topic, numbered(count, "new-"))


def test_a_topic_made_anew_that_has_outgrown_our_position_stops_the_source(apache_kafka: Any, topic: str) -> None:
    positions, topics = left_a_topic(apache_kafka, topic, 3)
    made_anew(apache_kafka, topic, 9)
    source = make_source(apache_kafka.bootstrap, topic)

    with pytest.raises(
        SourceError, match=rf"{topic}/0: our position 3 is not there, .* 0 to 9 \(the topic was made anew\)"
    ):
        source.open(positions, topics)
    source.close()


def test_a_topic_made_anew_is_read_from_its_first_event_where_that_is_chosen(apache_kafka: Any, topic: str) -> None:
    positions, topics = left_a_topic(apache_kafka, topic, 3)
    made_anew(apache_kafka, topic, 9)

    with reading(apache_kafka, topic, positions=positions, topics=topics, skip_lost=True) as reader:
        reader.read(9)

        assert reader.values == {Partition(topic, 0): numbered(9, "new-")}
        assert reader.all(OffsetsLost) == [OffsetsLost(Partition(topic, 0), 3, 0, "anew")]
        assert reader.source.topics().keys() == topics.keys()
        assert reader.source.topics() != topics


def test_what_was_perhaps_read_of_a_topic_made_anew_is_not_read_again(apache_kafka: Any, topic: str) -> None:
    """The process before read on in it until it died, before it knew."""
    positions, topics = left_a_topic(apache_kafka, topic, 3)
    made_anew(apache_kafka, topic, 9)
    perhaps = {place: at - 1 for place, at in positions.items()}

    with reading(apache_kafka, topic, positions=positions, topics=topics, verified=perhaps, skip_lost=True) as reader:
        reader.read(6)

        assert reader.values == {Partition(topic, 0): numbered(9, "new-")[3:]}
        assert reader.all(OffsetsLost) == [OffsetsLost(Partition(topic, 0), 0, 3, "anew")]
        assert reader.source.topics() != topics
        assert reader.source.verified()[Partition(topic, 0)] >= 3


def test_what_was_perhaps_read_of_a_topic_that_is_shorter_now_was_not(apache_kafka: Any, topic: str) -> None:
    positions, topics = left_a_topic(apache_kafka, topic, 3)
    made_anew(apache_kafka, topic, 2)

    with reading(
        apache_kafka, topic, positions=positions, topics=topics, verified=dict.fromkeys(positions, 1), skip_lost=True
    ) as reader:
        reader.read(2)

        assert reader.values == {Partition(topic, 0): numbered(2, "new-")}
        assert reader.all(OffsetsLost) == [OffsetsLost(Partition(topic, 0), 3, 0, "anew")]


def test_what_was_read_is_of_the_topic_once_its_id_was_asked_for_twice_since(apache_kafka: Any, topic: str) -> None:
    """Whoever is asked may know later than the leader that a topic was made anew."""
    place = Partition(topic, 0)
    apache_kafka.create_topic(topic)
    produce(apache_kafka, topic, numbered(3))

    with reading(apache_kafka, topic) as reader:
        reader.read(3)
        reader.until(lambda: reader.source.verified().get(place) == 3)
        produce(apache_kafka, topic, numbered(2))
        reader.read(5)
        assert reader.source.verified()[place] in {3, 5}
        reader.until(lambda: reader.source.verified()[place] == 5)


def test_what_was_read_and_waits_is_not_of_the_topic_for_good(apache_kafka: Any, topic: str) -> None:
    """A process that died with records that waited begins before them: they may come again of another topic."""
    positions, topics = left_a_topic(apache_kafka, topic, 3)
    [place] = positions

    with reading(apache_kafka, topic, positions={place: 1}, topics=topics, verified=positions) as reader:
        assert reader.source.verified() == {place: 1}


def test_a_lost_connection_has_nobody_ask_sooner_which_topics_there_are(apache_kafka: Any, topic: str) -> None:
    """Two answers of a broker that does not know yet what the leaders do would be taken for proof."""
    apache_kafka.create_topic(topic)
    produce(apache_kafka, topic, numbered(3))
    place, every = Partition(topic, 0), 3.0

    with reading(apache_kafka, topic, lookup_every=every) as reader:
        began = time.monotonic()
        reader.read(3)
        while reader.source.verified().get(place) != 3:
            assert time.monotonic() < began + 60
            reader.source._note_trouble(KafkaError(TRANSPORT))
            reader.poll()

        assert time.monotonic() > began + 2 * every - 0.5


def test_each_partition_of_a_topic_that_was_away_at_the_start_is_read_anew(apache_kafka: Any, topic: str) -> None:
    """That the id is known by the first of them hides nothing of the second."""
    places = [Partition(topic, 0), Partition(topic, 1)]
    positions, topics = left_two_partitions(apache_kafka, topic)
    apache_kafka.delete_topic(topic)

    with reading(apache_kafka, topic, positions=positions, topics=topics, skip_lost=True) as reader:
        apache_kafka.create_topic(topic, partitions=2)
        for place in places:
            produce(apache_kafka, topic, numbered(9, "new-"), partition=place.index)
        reader.read(18)

        assert reader.values == {place: numbered(9, "new-") for place in places}
        told = {each.partition: (each.wanted, each.resumed, each.cause) for each in reader.all(OffsetsLost)}
        assert told == dict.fromkeys(places, (3, 0, "anew"))


def test_a_topic_that_is_made_anew_with_fewer_partitions_is_read_on_and_holds_nothing_up(
    apache_kafka: Any, topic: str
) -> None:
    """What is not there any more is told of as lost, and read from its first event once it is there again."""
    stays, goes = Partition(topic, 0), Partition(topic, 1)
    positions, topics = left_two_partitions(apache_kafka, topic)

    with reading(apache_kafka, topic, positions=positions, topics=topics, skip_lost=True) as reader:
        reader.until(lambda: reader.ends.count(stays) > 0 and reader.ends.count(goes) > 0)
        made_anew(apache_kafka, topic, 2)
        reader.read(2)
        reader.until(lambda: reader.source.topics() != topics and goes in reader.confirmed)

        assert reader.values == {stays: numbered(2, "new-")}
        assert {each.partition for each in reader.all(OffsetsLost)} == {stays, goes}
        assert goes not in reader.unconfirmed
        assert reader.source.positions() == {stays: 2, goes: 0}
        apache_kafka.add_partitions(topic, 2)
        produce(apache_kafka, topic, numbered(5, "more-"), partition=1)
        reader.read(7)
        assert reader.values[goes] == numbered(5, "more-")


def test_a_partition_that_a_topic_made_anew_gets_later_is_read_from_its_first_event(
    apache_kafka: Any, topic: str
) -> None:
    """Also where one of its number was read, before the process began, of the topic as it was."""
    stays, goes = Partition(topic, 0), Partition(topic, 1)
    positions, topics = left_two_partitions(apache_kafka, topic)
    made_anew(apache_kafka, topic, 2)

    with reading(apache_kafka, topic, positions=positions, topics=topics, skip_lost=True) as reader:
        reader.read(2)
        apache_kafka.add_partitions(topic, 2)
        produce(apache_kafka, topic, numbered(5, "more-"), partition=1)
        reader.read(7)

        assert reader.values == {stays: numbered(2, "new-"), goes: numbered(5, "more-")}


def left_two_partitions(broker: Any, topic: str) -> tuple[dict[Partition, int], dict[str, str]]:
    """Read three events of each of two partitions: the positions that a checkpoint would save, and the ids of their topics."""
    broker.create_topic(topic, partitions=2)
    for index in range(2):
        produce(broker, topic, numbered(3, "old-"), partition=index)
    with reading(broker, topic) as reader:
        reader.until(lambda: reader.count == 6 and topic in reader.source.topics())
        return reader.source.positions(), reader.source.topics()


def test_the_same_topic_goes_on_without_a_word(apache_kafka: Any, topic: str) -> None:
    positions, topics = left_a_topic(apache_kafka, topic, 3)
    produce(apache_kafka, topic, [b"next"])

    with reading(apache_kafka, topic, positions=positions, topics=topics) as reader:
        reader.read(1)

        assert reader.values == {Partition(topic, 0): [b"next"]}
        assert reader.source.topics() == topics


@pytest.mark.parametrize("skip_lost", [False, True])
def test_a_topic_that_is_made_anew_while_it_is_read_is_noticed(apache_kafka: Any, topic: str, skip_lost: bool) -> None:
    """The client reads on in it, at our position, without a word."""
    positions, topics = left_a_topic(apache_kafka, topic, 3)

    with reading(apache_kafka, topic, positions=positions, topics=topics, skip_lost=skip_lost) as reader:
        reader.until(lambda: bool(reader.ends))
        made_anew(apache_kafka, topic, 9)
        if not skip_lost:
            with pytest.raises(SourceError, match=f"{topic}/0: our position"):
                reader.until(lambda: False)
            return
        reader.until(lambda: bool(reader.all(OffsetsLost)) and reader.source.positions()[Partition(topic, 0)] == 9)
        [lost] = reader.all(OffsetsLost)

        assert lost.cause == "anew"
        read = reader.values.get(Partition(topic, 0), [])
        assert read == numbered(9, "new-")[9 - len(read) :]  # each once, in order
        assert len(read) == 9 or lost.resumed >= 9 - len(read)  # and what was not read is told


def test_what_waits_of_a_topic_that_is_made_anew_is_told_as_lost(apache_kafka: Any, topic: str) -> None:
    """No position of the new one stands for it: after a crash nobody would miss it."""
    place = Partition(topic, 0)
    positions, topics = left_a_topic(apache_kafka, topic, 3)
    produce(apache_kafka, topic, numbered(4, "waits-"))

    with reading(apache_kafka, topic, positions=positions, topics=topics, skip_lost=True) as reader:
        patient, facts, came = PatientSource(reader.source), list[Fact](), list[bytes | None]()

        def turn(*, keep: bool) -> None:
            poll = patient.poll(0.1)
            facts.extend(poll.facts)
            for records in poll.records:
                if keep:
                    patient.keep(records, "no schema")
                else:
                    came.extend(records.values)
            patient.hold(frozenset())

        for _ in range(100):
            turn(keep=True)
            if reader.source.positions()[place] == 7:
                break
        made_anew(apache_kafka, topic, 2)
        for _ in range(300):
            turn(keep=place in patient.waiting and not any(isinstance(fact, OffsetsLost) for fact in facts))
            if len(came) == 2:
                break

        assert [fact for fact in facts if isinstance(fact, OffsetsLost)] == [
            OffsetsLost(place, 3, 7, "anew"),
            OffsetsLost(place, 7, 0, "anew"),
        ]
        assert came == numbered(2, "new-")
        assert patient.positions() == {place: 2}


def test_a_log_that_ends_before_our_position_goes_on_from_its_end(apache_kafka: Any, topic: str) -> None:
    """What lies before was read: to begin at the first event would count it twice."""
    positions, topics = left_a_topic(apache_kafka, topic, 6)
    ahead = {place: at + 2 for place, at in positions.items()}  # as if the log had been cut by two

    with reading(apache_kafka, topic, positions=ahead, topics=topics, skip_lost=True) as reader:
        produce(apache_kafka, topic, [b"next"])
        reader.read(1)

        assert reader.values == {Partition(topic, 0): [b"next"]}
        assert reader.all(OffsetsLost) == [OffsetsLost(Partition(topic, 0), 8, 6, "truncated")]


def test_a_log_that_ends_before_our_position_stops_the_source(apache_kafka: Any, topic: str) -> None:
    positions, topics = left_a_topic(apache_kafka, topic, 6)
    source = make_source(apache_kafka.bootstrap, topic)

    with pytest.raises(
        SourceError, match=rf"{topic}/0: our position 8 .* 0 to 6 \(its log was cut.*: skip to go on from its end"
    ):
        source.open({place: at + 2 for place, at in positions.items()}, topics)
    source.close()


# --- a state that is lost ---------------------------------------------------------------------------------------------


def left_by_us(broker: Any, topic: str, group: str, count: int) -> None:
    """Read and save so many of a topic's events."""
    produce(broker, topic, numbered(count))
    with reading(broker, topic, group_id=group) as reader:
        reader.read(count)
        reader.saved()
    assert committed(broker, topic, group=group) == count


def test_without_its_state_it_goes_on_from_what_it_committed(broker: Any, topic: str, group: str) -> None:
    """`start_from: latest` would leave out what came since."""
    broker.create_topic(topic)
    left_by_us(broker, topic, group, 3)
    produce(broker, topic, [b"meanwhile"])

    with reading(broker, topic, group_id=group, from_earliest=False) as reader:
        reader.read(1)

        assert reader.values == {Partition(topic, 0): [b"meanwhile"]}
        assert reader.all(StateLost) == [StateLost(Partition(topic, 0), 3, 3)]
        assert reader.all(OffsetsLost) == []


def test_without_its_state_it_reads_all_again_where_that_is_how_it_starts(broker: Any, topic: str, group: str) -> None:
    broker.create_topic(topic)
    left_by_us(broker, topic, group, 3)

    with reading(broker, topic, group_id=group) as reader:
        reader.read(3)

        assert reader.all(StateLost) == [StateLost(Partition(topic, 0), 3, 0)]


def test_what_retention_took_since_a_lost_state_committed_is_counted(broker: Any, topic: str, group: str) -> None:
    broker.create_topic(topic)
    left_by_us(broker, topic, group, 2)
    produce_apart(broker, topic, numbered(4))
    broker.delete_records(topic, 0, before=4)

    with reading(broker, topic, group_id=group, from_earliest=False) as reader:
        reader.read(2)

        assert reader.all(OffsetsLost) == [OffsetsLost(Partition(topic, 0), 2, 4)]
        assert reader.all(StateLost) == [StateLost(Partition(topic, 0), 2, 4)]


def test_a_commit_that_is_not_of_a_driftd_is_no_lost_state(broker: Any, topic: str, group: str) -> None:
    broker.create_topic(topic)
    produce(broker, topic, numbered(3))
    commit_as_another(broker, topic, 1, group=group)

    with reading(broker, topic, group_id=group, from_earliest=False) as reader:
        reader.until(lambda: bool(reader.ends))

        assert reader.count == 0
        assert reader.all(StateLost) == []


# --- batches that cannot be read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 37])
def test_an_unreadable_batch_is_stepped_over_exactly(broker: Any, topic: str, size: int) -> None:
    broker.create_topic(topic)
    produce(broker, topic, numbered(4, "before-"))
    produce_unreadable(broker, topic, size)
    produce(broker, topic, numbered(4, "after-"))

    with reading(broker, topic, properties=NARROW) as reader:
        reader.read(8)

        assert reader.values == {Partition(topic, 0): [*numbered(4, "before-"), *numbered(4, "after-")]}
        assert reader.all(RecordsSkipped) == [RecordsSkipped(Partition(topic, 0), 4, 4 + size - 1)]
        assert reader.source.positions() == {Partition(topic, 0): 8 + size}


def test_a_readable_record_between_unreadable_batches_is_not_lost(broker: Any, topic: str) -> None:
    broker.create_topic(topic)
    produce_unreadable(broker, topic, 5)
    produce(broker, topic, [b"between"])
    produce_unreadable(broker, topic, 20)
    produce_unreadable(broker, topic, 3)
    produce(broker, topic, [b"after"])

    with reading(broker, topic, properties=NARROW) as reader:
        reader.read(2)

        assert reader.values == {Partition(topic, 0): [b"between", b"after"]}
        assert [(fact.first, fact.last) for fact in reader.all(RecordsSkipped)] == [(0, 4), (6, 25), (26, 28)]


def test_an_unreadable_batch_at_the_end_is_stepped_over_and_the_end_reported(broker: Any, topic: str) -> None:
    broker.create_topic(topic)
    produce(broker, topic, [b"before"])
    produce_unreadable(broker, topic, 10)

    with reading(broker, topic, properties=NARROW) as reader:
        reader.until(lambda: reader.source.positions() == {Partition(topic, 0): 11} and bool(reader.ends))
        produce(broker, topic, [b"after"])
        reader.read(2)

        assert reader.values == {Partition(topic, 0): [b"before", b"after"]}
        assert reader.all(RecordsSkipped) == [RecordsSkipped(Partition(topic, 0), 1, 10)]


def test_an_unreadable_batch_does_not_hold_up_other_partitions(broker: Any, topic: str) -> None:
    broker.create_topic(topic, 2)
    produce_unreadable(broker, topic, 30)
    produce(broker, topic, [b"after"])
    produce(broker, topic, numbered(5_000), partition=1)

    with reading(broker, topic, properties=NARROW) as reader:
        reader.read(5_001)

        assert reader.values == {Partition(topic, 0): [b"after"], Partition(topic, 1): numbered(5_000)}


def test_positions_stand_before_an_unreadable_batch_until_its_end_is_known(broker: Any, topic: str) -> None:
    """A crash during the search begins it again; nothing is passed over uncounted."""
    broker.create_topic(topic)
    produce(broker, topic, numbered(2))
    produce_unreadable(broker, topic, 30)
    passed: set[int] = set()

    with reading(broker, topic, properties=NARROW) as reader:
        while not reader.all(RecordsSkipped):
            passed.add(reader.source.positions()[Partition(topic, 0)])
            reader.poll()

    assert passed <= {0, 2}


# --- commits ----------------------------------------------------------------------------------------------------------


def test_positions_are_committed_under_the_group(broker: Any, topic: str, group: str) -> None:
    broker.create_topic(topic)
    produce(broker, topic, numbered(5))

    with reading(broker, topic, group_id=group) as reader:
        reader.read(5)
        reader.saved()

    assert committed(broker, topic, group=group) == 5


def test_a_commit_by_somebody_else_is_found_said_and_ends_once_it_stays_away(
    broker: Any, topic: str, group: str
) -> None:
    broker.create_topic(topic)
    produce(broker, topic, numbered(5))

    with reading(broker, topic, group_id=group, audit_every=0.1) as reader:
        reader.read(5)
        reader.saved()
        assert reader.source.trouble() is None
        commit_as_another(broker, topic, 3, group=group)
        reader.until(lambda: bool(reader.saved()) and reader.source.other_committer)

        assert f"offset 3 was committed under group {group} by somebody else" in str(reader.source.trouble())
        reader.poll()
        assert reader.all(ForeignCommit)[0] == ForeignCommit(Partition(topic, 0), 5, 3)
        reader.until(lambda: bool(reader.saved()) and reader.source.trouble() is None)
    assert committed(broker, topic, group=group) == 5


def test_a_second_source_with_the_same_positions_is_found_by_both(broker: Any, topic: str, group: str) -> None:
    broker.create_topic(topic)
    produce(broker, topic, numbered(5))

    with (
        reading(broker, topic, group_id=group, audit_every=0.1) as one,
        reading(broker, topic, group_id=group, audit_every=0.1) as two,
    ):
        one.read(5)
        two.read(5)
        one.until(lambda: bool(one.saved() and two.saved()) and one.source.other_committer)
        two.until(lambda: bool(one.saved() and two.saved()) and two.source.other_committer)


def test_our_own_earlier_commits_are_not_foreign(broker: Any, topic: str, group: str) -> None:
    """Also when we stopped before the last saved position was committed."""
    broker.create_topic(topic)
    produce(broker, topic, numbered(5))

    with reading(broker, topic, group_id=group, batch=2) as reader:
        reader.until(lambda: reader.count > 0)
        reader.saved()
        reader.read(5)
        positions = reader.source.positions()
    for _ in range(2):
        with reading(broker, topic, group_id=group, audit_every=0.0, positions=positions) as reader:
            for _ in range(6):
                reader.saved()
                reader.poll()

            assert reader.all(ForeignCommit) == []
            assert reader.source.trouble() is None


def test_a_commit_ahead_of_the_stored_position_is_foreign(broker: Any, topic: str, group: str) -> None:
    """A second daemon, or our state is an older copy."""
    broker.create_topic(topic)
    produce(broker, topic, numbered(5))
    commit_as_another(broker, topic, 4, group=group)

    with reading(broker, topic, group_id=group, audit_every=0.1, positions={Partition(topic, 0): 2}) as reader:
        assert "offset 4" in str(reader.source.trouble())
        reader.poll()
        assert reader.all(ForeignCommit) == [ForeignCommit(Partition(topic, 0), 2, 4)]
        reader.until(lambda: bool(reader.saved()) and reader.source.trouble() is None)


def test_a_commit_behind_the_stored_position_is_not_foreign(broker: Any, topic: str, group: str) -> None:
    broker.create_topic(topic)
    produce(broker, topic, numbered(5))
    commit_as_another(broker, topic, 1, group=group)

    with reading(broker, topic, group_id=group, positions={Partition(topic, 0): 2}) as reader:
        assert reader.source.trouble() is None


# --- helpers ----------------------------------------------------------------------------------------------------------


def a_topic_from_3_to_6(broker: Any, topic: str) -> None:
    broker.create_topic(topic)
    produce_apart(broker, topic, numbered(6))
    broker.delete_records(topic, 0, before=3)


def produce_unreadable(broker: Any, topic: str, records: int) -> None:
    """One zstd batch that decompresses to more than a NARROW client takes."""
    produce(
        broker,
        topic,
        [bytes(2_000_000 // records)] * records,
        compression_type="zstd",
        message_max_bytes=50_000_000,
        batch_size=20_000_000,
        batch_num_messages=records,
        linger_ms=20_000,  # sent when it is full: on a busy machine 200 ms made two batches of it
    )
