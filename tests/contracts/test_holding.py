"""What a source promises of partitions that it is told to hold, on the mock cluster and on a real Kafka."""

import random
from typing import Any

import pytest

from monitor.facts import LagMeasured, OffsetsLost, PartitionsHeld, RecordsSkipped
from monitor.sources.base import SourceError
from monitor.stream.events import Partition
from tests.contracts.test_sources import NARROW, produce_unreadable
from tests.parts.reader import Reader, numbered, produce, produce_apart, reading

pytestmark = pytest.mark.usefixtures("reader_kind")

FEW = 4_000
IN_ORDER = {"batch_num_messages": 100, "enable_idempotence": True}  # a retry on a new topic must not turn batches round
LITTLE = {
    "queued.min.messages": 500,
    "fetch.message.max.bytes": 2_000,
    "fetch.min.bytes": 1,
}  # many fetches, none waited for: a hold falls among them


def two_partitions(broker: Any, topic: str, count: int = FEW) -> tuple[Partition, Partition]:
    broker.create_topic(topic, 2)
    for index in range(2):
        produce(broker, topic, numbered(count, f"{index}-"), partition=index, **IN_ORDER)
    return Partition(topic, 0), Partition(topic, 1)


def count_of(reader: Reader, partition: Partition) -> int:
    return len(reader.values.get(partition, []))


def test_nothing_comes_of_a_held_partition_and_all_of_the_others(broker: Any, topic: str) -> None:
    one, other = two_partitions(broker, topic)

    with reading(broker, topic, batch=200) as reader:
        reader.until(lambda: count_of(reader, one) > 0)
        reader.source.hold(frozenset({one}))
        before, position = count_of(reader, one), reader.source.positions()[one]
        reader.until(lambda: other in reader.ends)
        reader.poll(0.5)

        assert (count_of(reader, one), reader.source.positions()[one]) == (before, position)
        assert count_of(reader, other) == FEW
        assert one not in reader.ends
        assert one in reader.unconfirmed
        assert other not in reader.unconfirmed
        assert reader.all(PartitionsHeld) == [PartitionsHeld((one,))]


def test_a_partition_let_go_is_read_on_once_and_in_order_and_its_end_is_told_anew(broker: Any, topic: str) -> None:
    one, other = two_partitions(broker, topic)

    with reading(broker, topic) as reader:
        reader.until(lambda: {one, other} <= set(reader.ends))
        reader.source.hold(frozenset({one}))
        produce(broker, topic, numbered(10, "more-"), partition=0)
        reader.poll(0.5)
        reader.source.hold(frozenset())
        reader.read(2 * FEW + 10)
        reader.until(lambda: reader.ends.count(one) == 2)

        assert reader.values[one] == [*numbered(FEW, "0-"), *numbered(10, "more-")]
        assert reader.unconfirmed == frozenset()
        assert reader.all(PartitionsHeld)[-1] == PartitionsHeld(())


def test_the_end_is_told_anew_where_nothing_came_meanwhile(broker: Any, topic: str) -> None:
    one, other = two_partitions(broker, topic, 10)

    with reading(broker, topic) as reader:
        reader.until(lambda: {one, other} <= set(reader.ends))
        reader.source.hold(frozenset({one, other}))
        reader.poll(0.3)
        reader.source.hold(frozenset())
        reader.until(lambda: sorted(reader.ends) == [one, one, other, other])

        assert reader.count == 20


def test_holding_at_random_loses_and_repeats_nothing(broker: Any, topic: str) -> None:
    broker.create_topic(topic, 4)
    places = [Partition(topic, index) for index in range(4)]
    for place in places:
        produce(broker, topic, numbered(FEW, f"{place.index}-"), partition=place.index, **IN_ORDER)
    chance = random.Random(1)

    with reading(broker, topic, batch=150, properties=LITTLE) as reader:
        while reader.count < 4 * FEW * 0.8:
            reader.source.hold(frozenset(chance.sample(places, 2)))
            for _ in range(chance.randrange(4)):
                reader.poll(0.02)
        reader.source.hold(frozenset())
        reader.read(4 * FEW)

        assert reader.values == {place: numbered(FEW, f"{place.index}-") for place in places}
        assert reader.source.positions() == dict.fromkeys(places, FEW)


def test_a_source_closed_while_it_holds_is_gone_on_from(broker: Any, topic: str) -> None:
    one, other = two_partitions(broker, topic)

    with reading(broker, topic, batch=200) as reader:
        reader.until(lambda: count_of(reader, one) > 0)
        reader.source.hold(frozenset({one}))
        reader.until(lambda: other in reader.ends)
        before, positions = reader.values[one], reader.saved()
    with reading(broker, topic, positions=positions) as reader:
        reader.read(FEW - len(before))

        assert before + reader.values[one] == numbered(FEW, "0-")
        assert other not in reader.values


def test_the_lag_of_a_held_partition_is_still_measured(broker: Any, topic: str) -> None:
    one, other = two_partitions(broker, topic, 10)

    with reading(broker, topic, lookup_every=0.1) as reader:
        reader.until(lambda: {one, other} <= set(reader.ends))
        reader.source.hold(frozenset({one}))
        produce(broker, topic, numbered(7, "more-"), partition=0)
        reader.until(lambda: any(dict(fact.lags).get(one) == 7 for fact in reader.all(LagMeasured)))


def test_an_unreadable_batch_is_searched_to_its_end_before_its_partition_is_held(broker: Any, topic: str) -> None:
    broker.create_topic(topic)
    one = Partition(topic, 0)
    produce(broker, topic, numbered(4, "before-"))
    produce_unreadable(broker, topic, 20)
    produce(broker, topic, numbered(4, "after-"))

    with reading(broker, topic, properties=NARROW) as reader:
        while not reader.all(RecordsSkipped):
            reader.source.hold(frozenset({one}) if reader.source._reader.unreadable else frozenset())
            reader.poll()
        reader.source.hold(frozenset())
        reader.read(8)

        assert reader.all(RecordsSkipped) == [RecordsSkipped(one, 4, 23)]
        assert reader.values == {one: [*numbered(4, "before-"), *numbered(4, "after-")]}


@pytest.mark.parametrize("skip", [False, True], ids=["stop", "skip"])
def test_retention_that_overtakes_a_held_partition_is_noticed_when_it_is_let_go(
    broker: Any, topic: str, *, skip: bool
) -> None:
    broker.create_topic(topic)
    one = Partition(topic, 0)
    produce_apart(broker, topic, numbered(5))

    with reading(broker, topic, skip_lost=skip) as reader:
        reader.until(lambda: one in reader.ends)
        reader.source.hold(frozenset({one}))
        produce_apart(broker, topic, numbered(20, "more-"))
        broker.delete_records(topic, 0, before=15)
        reader.poll(0.3)
        reader.source.hold(frozenset())
        if not skip:
            with pytest.raises(SourceError, match="our position 5 is not there, the partition now holds 15 to 25"):
                reader.until(lambda: False)
        else:
            reader.read(15)
            assert reader.all(OffsetsLost) == [OffsetsLost(one, 5, 15)]
            assert reader.values == {one: [*numbered(5), *numbered(20, "more-")[10:]]}


def test_what_is_not_read_cannot_be_held(broker: Any, topic: str) -> None:
    broker.create_topic(topic)

    with reading(broker, topic) as reader:
        reader.source.hold(frozenset({Partition(topic, 1), Partition("another", 0)}))
        reader.until(lambda: bool(reader.ends))
        reader.poll()

        assert reader.all(PartitionsHeld) == []
        assert reader.unconfirmed == frozenset()
