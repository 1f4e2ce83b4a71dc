"""How far event time has come, and who holds it."""

from monitor.stream.events import SECOND, Partition
from monitor.stream.watermark import Watermark
from tests.build import P0, P1, P2, at

IDLE_AFTER = 30 * SECOND
NEVER_READ = P2


def watermark_of(*seen: tuple[Partition, float], now: int = 0) -> Watermark:
    """A watermark that has observed these minutes; the partitions are neither at their end nor idle."""
    watermark = Watermark(IDLE_AFTER)
    watermark.assign({partition for partition, _ in seen}, now)
    for partition, minutes in seen:
        watermark.observe(partition, at(minutes), now)
    watermark.advance(now)
    return watermark


def falls_idle(watermark: Watermark, partition: Partition, now: int) -> None:
    watermark.end(partition)
    watermark.partitions[partition].active = now - IDLE_AFTER
    watermark.advance(now)


def test_there_is_no_watermark_before_the_first_event() -> None:
    watermark = Watermark(IDLE_AFTER)
    watermark.assign({P0}, now=0)

    assert not watermark.advance(now=0)
    assert watermark.value is None


def test_the_watermark_is_the_largest_event_time_of_a_partition() -> None:
    assert watermark_of((P0, 5), (P0, 9), (P0, 7)).value == at(9)


def test_the_watermark_is_the_minimum_over_all_partitions() -> None:
    assert watermark_of((P0, 9), (P1, 7)).value == at(7)


def test_an_unread_partition_holds_the_watermark() -> None:
    watermark = Watermark(IDLE_AFTER)
    watermark.assign({P0, NEVER_READ}, now=0)
    watermark.observe(P0, at(5), now=0)

    assert not watermark.advance(now=100 * IDLE_AFTER)
    assert watermark.value is None


def test_a_lagging_partition_holds_the_watermark_however_long_it_is_silent() -> None:
    watermark = watermark_of((P0, 5), (P1, 5))
    watermark.read(P1)
    watermark.observe(P0, at(9), now=0)

    assert not watermark.advance(now=100 * IDLE_AFTER)
    assert watermark.value == at(5)


def test_a_partition_at_its_end_and_silent_for_idle_after_does_not_hold_the_watermark() -> None:
    watermark = watermark_of((P0, 5), (P1, 5))
    watermark.end(P1)
    watermark.observe(P0, at(9), now=IDLE_AFTER)

    assert not watermark.advance(now=IDLE_AFTER - 1)
    assert watermark.advance(now=IDLE_AFTER)
    assert watermark.value == at(9)


def test_an_empty_partition_falls_idle_too() -> None:
    watermark = Watermark(IDLE_AFTER)
    watermark.assign({P0, P1}, now=0)
    watermark.end(P1)
    watermark.observe(P0, at(5), now=IDLE_AFTER)

    assert watermark.advance(now=IDLE_AFTER)


def test_records_that_are_no_valid_events_do_not_keep_a_partition_alive() -> None:
    watermark = watermark_of((P0, 5), (P1, 5))
    watermark.read(P1)
    watermark.end(P1)
    watermark.observe(P0, at(9), now=IDLE_AFTER)

    assert watermark.advance(now=IDLE_AFTER)


def test_when_all_partitions_are_idle_the_watermark_stays() -> None:
    watermark = watermark_of((P0, 9), (P1, 5))
    watermark.end(P0)
    watermark.end(P1)

    assert not watermark.advance(now=IDLE_AFTER)
    assert watermark.value == at(5)
    assert watermark.idle == {P0, P1}


def test_a_partition_that_wakes_holds_the_watermark_again() -> None:
    watermark = watermark_of((P0, 5), (P1, 5))
    falls_idle(watermark, P1, now=IDLE_AFTER)
    watermark.read(P1)
    watermark.observe(P1, at(6), now=IDLE_AFTER)
    watermark.observe(P0, at(9), now=IDLE_AFTER)

    watermark.advance(now=IDLE_AFTER)

    assert watermark.value == at(6)


def test_the_watermark_never_goes_back_for_a_partition_that_wakes_behind_it() -> None:
    watermark = watermark_of((P0, 9), (P1, 5))
    falls_idle(watermark, P1, now=IDLE_AFTER)
    watermark.observe(P1, at(6), now=IDLE_AFTER)

    assert not watermark.advance(now=IDLE_AFTER)
    assert watermark.value == at(9)


def test_an_idle_partition_with_unread_records_holds_the_watermark_until_its_end() -> None:
    watermark = watermark_of((P0, 5), (P1, 5))
    falls_idle(watermark, P1, now=IDLE_AFTER)
    watermark.read(P1)
    watermark.observe(P0, at(9), now=IDLE_AFTER)

    assert not watermark.advance(now=IDLE_AFTER)

    watermark.end(P1)

    assert watermark.advance(now=IDLE_AFTER)


def test_a_partition_added_later_holds_the_watermark_where_it_is() -> None:
    watermark = watermark_of((P0, 5))
    watermark.assign({P1}, now=0)
    watermark.observe(P0, at(9), now=0)

    assert not watermark.advance(now=0)
    assert watermark.value == at(5)


def test_the_idle_decision_survives_a_restart_once_the_end_is_reached_again() -> None:
    watermark = Watermark(IDLE_AFTER)
    watermark.restore(P0, at(5), idle=False, now=0)
    watermark.restore(P1, at(3), idle=True, now=0)
    watermark.assign({P0, P1}, now=0)
    watermark.end(P1)

    assert watermark.advance(now=0)  # without waiting for idle_after once more
    assert watermark.value == at(5)


def test_what_was_written_to_an_idle_partition_while_we_were_down_is_read_before_time_moves_on() -> None:
    watermark = Watermark(IDLE_AFTER)
    watermark.restore(P0, at(5), idle=False, now=0)
    watermark.restore(P1, at(3), idle=True, now=0)
    watermark.assign({P0, P1}, now=0)
    watermark.observe(P0, at(60), now=0)
    watermark.advance(now=0)

    assert watermark.value == at(3)


def test_a_saved_partition_whose_topic_is_gone_does_not_hold_the_watermark() -> None:
    watermark = Watermark(IDLE_AFTER)
    watermark.restore(P0, at(5), idle=False, now=0)
    watermark.restore(P1, at(3), idle=False, now=0)
    watermark.assign({P0}, now=0)

    assert watermark.advance(now=0)
    assert watermark.value == at(5)


def test_silence_while_the_broker_was_away_does_not_make_a_partition_idle() -> None:
    """An outage longer than `idle_after`: what was written meanwhile would be late if we had gone on without it."""
    watermark = watermark_of((P0, 9), (P1, 7))
    watermark.end(P1)
    watermark.restart_silence(P1, now=IDLE_AFTER)
    watermark.advance(now=IDLE_AFTER + IDLE_AFTER // 2)

    assert watermark.value == at(7)

    watermark.advance(now=2 * IDLE_AFTER)

    assert watermark.value == at(9)


def test_a_partition_that_is_not_read_cannot_have_its_silence_restarted() -> None:
    watermark = watermark_of((P0, 9))
    watermark.restart_silence(P1, now=1)

    assert set(watermark.partitions) == {P0}
