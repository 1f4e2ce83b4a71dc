"""Laws of holding partitions back: it changes no fact, it never stands still, and it bounds what waits."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.facts import EventsCounted, Fact
from monitor.pipeline import Pipeline
from monitor.stream.events import MicroBatch, Nanos, Partition
from monitor.stream.watermark import Watermark
from tests.build import P0, P1, P2, at, of
from tests.properties.test_pipeline import (
    ASSIGNED,
    IDLE_AFTER,
    LAST,
    PARTITIONS,
    TICK,
    Event,
    World,
    by_event_time,
    decided,
    ids,
    micro_batch,
    run,
    some,
    worlds,
)

Speeds = dict[Partition, int]


def read_by_hand(world: World, pipeline: Pipeline, speeds: Speeds, *, most_ahead: Nanos) -> tuple[list[Fact], int]:
    """Each partition at its speed, those ahead held, ends reported as the source does; how often one was held."""
    pipeline.most_ahead = most_ahead
    lanes = {
        partition: sorted((one for one in world.events if one.partition == partition), key=lambda event: event.read)
        for partition in PARTITIONS
    }
    facts, holds, now = run(pipeline, [ASSIGNED]), 0, at(10_000)
    for _ in range(10 * len(world.events)):
        held = pipeline.ahead()
        holds += len(held)
        taken: list[Event] = []
        for partition in set(PARTITIONS) - held:
            taken += lanes[partition][: speeds[partition]]
            del lanes[partition][: speeds[partition]]
        confirmed = {one: now for one, lane in lanes.items() if not lane and one not in held}
        arrived = micro_batch(taken)
        arrived = MicroBatch(arrived.batches, arrived.seen, arrived.read, confirmed, unconfirmed=held)
        now += IDLE_AFTER // 3
        facts += [*pipeline.ingest(arrived, now), *pipeline.advance()]
        if not any(lanes.values()):
            return [*facts, *run(pipeline, [LAST])], holds
    raise AssertionError(f"stands still: {lanes}")


speeds = st.fixed_dictionaries({partition: st.integers(1, 15) for partition in PARTITIONS})


@some
@given(worlds(), speeds, st.integers(1, 12))
def test_holding_changes_no_fact_and_never_stands_still(world: World, speeds: Speeds, ticks: int) -> None:
    in_order = sorted(world.events, key=lambda event: event.time)
    never = run(world.pipeline(), [ASSIGNED, *(micro_batch([event]) for event in in_order), LAST])

    facts, _ = read_by_hand(world, world.pipeline(), speeds, most_ahead=ticks * TICK)

    assert decided(facts) == decided(never)
    assert ids(by_event_time(facts)) == ids(by_event_time(never))
    assert not any(fact.outcome == "late" for fact in of(facts, EventsCounted))


steps = st.lists(
    st.tuples(
        st.sampled_from(["observe", "observe", "observe", "read", "confirm", "wait", "assign", "restart"]),
        st.sampled_from([P0, P1, P2]),
        st.integers(0, 60),
    ),
    max_size=80,
)


@given(steps, st.integers(0, 20))
def test_who_holds_the_watermark_is_never_held_and_who_is_held_is_ahead(
    todo: list[tuple[str, Partition, int]], most: int
) -> None:
    watermark, now = Watermark(IDLE_AFTER), at(10_000)
    held: frozenset[Partition] = frozenset()
    for what, partition, number in todo:
        if what == "assign" or partition not in watermark.partitions:
            watermark.assign({partition}, now)
        if partition not in held:  # of a held one nothing comes
            step(watermark, what, partition, at(number), now)
        if what == "restart":
            watermark = again(watermark, now)
        now += number * IDLE_AFTER // 40
        watermark.advance()
        held = watermark.ahead(at(most) - at(0))

        clocks = watermark.partitions
        holding = {one: clock.seen for one, clock in clocks.items() if clock.holds}
        assert held <= holding.keys()
        assert not any(clocks[one].confirmed or clocks[one].idle for one in held)
        if holding:
            assert min(holding, key=lambda one: holding[one] or 0) not in held
        for one in held:
            seen = clocks[one].seen
            assert seen is not None
            assert watermark.value is None or seen > watermark.value


def step(watermark: Watermark, what: str, partition: Partition, time: Nanos, now: Nanos) -> None:
    match what:
        case "observe":
            watermark.read(partition)
            watermark.observe(partition, time, now)
        case "read":
            watermark.read(partition)
        case "confirm":
            watermark.confirm(partition, now)


def again(watermark: Watermark, now: Nanos) -> Watermark:
    """What a restart makes of it."""
    fresh = Watermark(IDLE_AFTER)
    fresh.value = watermark.value
    for one, clock in watermark.partitions.items():
        fresh.restore(one, clock.seen, idle=clock.idle, now=now)
    fresh.assign(watermark.partitions, now)
    return fresh
