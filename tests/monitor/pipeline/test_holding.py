"""Partitions that run ahead of the others wait: which, until when, and what that must not do."""

from dataclasses import dataclass, replace

from monitor.facts import WindowClosed
from monitor.pipeline import Pipeline
from monitor.stream.events import SECOND, MicroBatch, Nanos, Partition, SeriesKey
from monitor.stream.watermark import Watermark
from tests.build import MINUTE, P0, P1, P2, at, make_batch, make_pipeline, make_spec, of

IDLE_AFTER = 30 * SECOND
MOST = 10 * MINUTE


def reading(*partitions: Partition) -> Watermark:
    watermark = Watermark(IDLE_AFTER)
    watermark.assign(partitions, now=0)
    return watermark


def bring(watermark: Watermark, partition: Partition, *minutes: float, now: Nanos = 0) -> frozenset[Partition]:
    """A batch for each of these minutes; who must wait after the last."""
    for number in minutes:
        watermark.read(partition)
        watermark.observe(partition, at(number), now)
        watermark.advance()
    return watermark.ahead(MOST)


def test_a_partition_too_far_past_the_watermark_waits_and_the_one_it_waits_for_does_not() -> None:
    watermark = reading(P0, P1)
    bring(watermark, P1, 0, 1)

    assert bring(watermark, P0, 11, 11) == frozenset()
    assert bring(watermark, P0, 12, 13) == {P0}


def test_it_goes_on_when_half_of_the_way_is_made_up_for() -> None:
    watermark = reading(P0, P1)
    bring(watermark, P1, 0)
    bring(watermark, P0, 20, 20)

    assert bring(watermark, P1, 14) == {P0}
    assert bring(watermark, P1, 15) == frozenset()
    assert bring(watermark, P0, 24) == frozenset()  # not held again for what it had shown before


def test_one_event_from_a_wrong_clock_holds_nobody() -> None:
    watermark = reading(P0, P1)
    bring(watermark, P0, 0)
    bring(watermark, P1, 0)

    assert bring(watermark, P0, 50) == frozenset()
    assert bring(watermark, P0, 1) == frozenset()


def test_a_clock_in_the_future_holds_its_own_partition_only() -> None:
    watermark = reading(P0, P1, P2)
    for partition in (P1, P2):
        bring(watermark, partition, 0, 1)

    assert bring(watermark, P0, 50, 50) == {P0}
    assert bring(watermark, P1, 5) | bring(watermark, P2, 5) == {P0}
    assert watermark.value == at(5)


def test_a_partition_that_never_brought_anything_is_read_while_the_others_wait() -> None:
    watermark = reading(P0, P1)

    assert bring(watermark, P0, 0, 10) == frozenset()
    assert bring(watermark, P0, 11, 12) == {P0}
    assert watermark.value is None

    watermark.confirm(P1, at(1_000))
    watermark.advance()

    assert watermark.value == at(12)
    assert watermark.ahead(MOST) == frozenset()


def test_a_partition_that_waits_is_not_at_its_end_and_so_never_idle() -> None:
    watermark = reading(P0, P1)
    bring(watermark, P1, 0)
    bring(watermark, P0, 20, 20)
    watermark.confirm(P0, at(1_000))
    assert watermark.ahead(MOST) == {P0}

    watermark.advance()
    bring(watermark, P1, 5, now=100 * IDLE_AFTER)

    assert watermark.idle == frozenset()
    assert watermark.value == at(5)


def test_an_idle_partition_at_its_end_has_nothing_to_wait_with() -> None:
    watermark = reading(P0, P1)
    bring(watermark, P1, 0)
    for number in (4, 20, 20):
        watermark.observe(P0, at(number), now=0)
    watermark.confirm(P0, at(1_000))
    watermark.advance()

    assert watermark.idle == {P0}
    assert watermark.ahead(MOST) == frozenset()


def test_a_partition_whose_topic_is_gone_does_not_wait() -> None:
    watermark = Watermark(IDLE_AFTER)
    watermark.restore(P0, at(50), idle=False, now=0)
    watermark.assign({P1}, now=0)

    assert bring(watermark, P1, 0, 1) == frozenset()


def test_after_a_restart_the_partitions_ahead_are_found_anew() -> None:
    watermark = Watermark(IDLE_AFTER)
    watermark.value = at(0)
    watermark.restore(P0, at(20), idle=False, now=0)
    watermark.restore(P1, at(0), idle=False, now=0)
    watermark.assign({P0, P1}, now=0)

    assert watermark.ahead(MOST) == frozenset()
    assert bring(watermark, P0, 21, 22) == {P0}


def test_a_partition_added_later_holds_the_others_back_until_it_is_read() -> None:
    watermark = reading(P0)
    bring(watermark, P0, 0, 1)
    watermark.assign({P1}, now=0)

    assert bring(watermark, P0, 12, 13) == {P0}
    assert bring(watermark, P1, 12) == frozenset()


# --- in the pipeline --------------------------------------------------------------------------------------------------


def test_the_bound_is_what_partitions_read_to_their_ends_may_be_apart() -> None:
    """An event up to `max_future` ahead, a partition up to `idle_after` behind: reading live holds nobody."""
    short, long = make_spec(length=MINUTE, lateness=5 * MINUTE), make_spec(length=60 * MINUTE)

    assert Pipeline([short], IDLE_AFTER, max_future=7 * MINUTE).most_ahead == 12 * MINUTE
    assert Pipeline([long], IDLE_AFTER, max_future=7 * MINUTE).most_ahead == 127 * MINUTE
    assert make_pipeline(length=SECOND, idle_after=IDLE_AFTER).most_ahead == IDLE_AFTER
    assert Pipeline([short, replace(long, key=SeriesKey(long.key.model, "4"))], 0).most_ahead == 5 * MINUTE


@dataclass
class Lane:
    """A partition as minutes with one event each, read so many at a time."""

    partition: Partition
    minutes: int
    speed: int
    read: int = 0

    def take(self) -> list[int]:
        taken = list(range(self.read, min(self.read + self.speed, self.minutes)))
        self.read += len(taken)
        return taken


def most_panes(hours: int, *, holding: bool) -> tuple[int, int]:
    """A lane that runs ten times as fast as the other: the most panes open at once, and the windows closed."""
    pipeline = make_pipeline()
    fast, slow = Lane(P0, 60 * hours, 10), Lane(P1, 60 * hours, 1)
    most = windows = 0
    held: frozenset[Partition] = frozenset()
    while slow.read < slow.minutes:
        arrived = {lane.partition: lane.take() for lane in (fast, slow) if lane.partition not in held}
        times = {partition: [at(number) for number in found] for partition, found in arrived.items() if found}
        batches = tuple(make_batch(found) for found in times.values())
        seen = {partition: max(found) for partition, found in times.items()}
        new = frozenset({P0, P1} - pipeline.watermark.partitions.keys())
        facts = pipeline.ingest(MicroBatch(batches, seen, frozenset(seen), assigned=new), now=0) + pipeline.advance()
        windows += len(of(facts, WindowClosed))
        most = max(most, *(series.open_panes for series in pipeline.series.values()))
        held = pipeline.ahead() if holding else frozenset()
    return most, windows


def test_panes_do_not_pile_up_with_the_backlog() -> None:
    """Two minutes ahead, and two batches of ten: that is all, however much is unread."""
    assert most_panes(2, holding=False) == (109, 119)
    assert most_panes(2, holding=True) == (most_panes(8, holding=True)[0], 119)
    assert most_panes(8, holding=True)[0] < 30
