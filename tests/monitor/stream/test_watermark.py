"""How far event time has come, and who holds it."""

from monitor.stream.events import SECOND, Partition
from monitor.stream.watermark import Watermark
from tests.build import P0, P1, P2, at

IDLE_AFTER = 30 * SECOND
NEVER_READ = P2
NOW = at(1_000)  # processing time, later than any event here
LATER = NOW + IDLE_AFTER


def watermark_of(*seen: tuple[Partition, float], now: int = NOW) -> Watermark:
    """A watermark that has observed these minutes; the partitions are neither at their end nor idle."""
    watermark = Watermark(IDLE_AFTER)
    watermark.assign({partition for partition, _ in seen}, now)
    for partition, minutes in seen:
        watermark.observe(partition, at(minutes), now)
    watermark.advance()
    return watermark


def falls_idle(watermark: Watermark, *partitions: Partition) -> None:
    for partition in partitions:
        watermark.confirm(partition, LATER)
    watermark.advance()


def test_there_is_no_watermark_before_the_first_event() -> None:
    watermark = Watermark(IDLE_AFTER)
    watermark.assign({P0}, now=NOW)

    assert not watermark.advance()
    assert watermark.value is None


def test_the_watermark_is_the_largest_event_time_of_a_partition() -> None:
    assert watermark_of((P0, 5), (P0, 9), (P0, 7)).value == at(9)


def test_the_watermark_is_the_minimum_over_all_partitions() -> None:
    assert watermark_of((P0, 9), (P1, 7)).value == at(7)


def test_an_unread_partition_holds_the_watermark() -> None:
    watermark = Watermark(IDLE_AFTER)
    watermark.assign({P0, NEVER_READ}, now=NOW)
    watermark.observe(P0, at(5), now=NOW)

    assert not watermark.advance()
    assert watermark.value is None


def test_a_lagging_partition_holds_the_watermark_however_long_it_is_silent() -> None:
    watermark = watermark_of((P0, 5), (P1, 5))
    watermark.read(P1)
    watermark.observe(P0, at(9), now=NOW)

    assert not watermark.advance()
    assert watermark.value == at(5)


def test_a_partition_at_its_end_and_silent_for_idle_after_does_not_hold_the_watermark() -> None:
    watermark = watermark_of((P0, 5), (P1, 5))
    watermark.observe(P0, at(9), now=LATER)
    watermark.confirm(P1, LATER - 1)
    assert not watermark.advance()

    watermark.confirm(P1, LATER)
    assert watermark.advance()
    assert watermark.value == at(9)


def test_however_long_nobody_answers_a_silent_partition_is_not_idle() -> None:
    watermark = watermark_of((P0, 5), (P1, 5))
    watermark.confirm(P1, NOW)
    watermark.observe(P0, at(9), now=NOW + 100 * IDLE_AFTER)

    assert not watermark.advance()
    assert watermark.idle == frozenset()


def test_the_watermark_passes_no_moment_at_which_an_idle_partition_was_not_asked() -> None:
    """What it brings next came after it was last asked, so it may have happened just before."""
    watermark = watermark_of((P0, 5), (P1, 5))
    falls_idle(watermark, P1)
    watermark.observe(P0, LATER + 7 * SECOND, now=LATER + 7 * SECOND)
    watermark.advance()
    assert watermark.value == LATER

    watermark.confirm(P1, LATER + 8 * SECOND)
    watermark.advance()
    assert watermark.value == LATER + 7 * SECOND


def test_an_empty_partition_falls_idle_too() -> None:
    watermark = Watermark(IDLE_AFTER)
    watermark.assign({P0, P1}, now=NOW)
    watermark.confirm(P1, LATER)
    watermark.observe(P0, at(5), now=LATER)

    assert watermark.advance()


def test_records_that_are_no_valid_events_do_not_keep_a_partition_alive() -> None:
    watermark = watermark_of((P0, 5), (P1, 5))
    watermark.read(P1)
    watermark.confirm(P1, LATER)
    watermark.observe(P0, at(9), now=LATER)

    assert watermark.advance()


def test_when_all_partitions_are_idle_the_watermark_goes_to_the_largest_event_time_of_any_and_stays() -> None:
    """Whether they fell idle one after the other or in the same turn."""
    watermark = watermark_of((P0, 9), (P1, 5))
    falls_idle(watermark, P0, P1)

    assert watermark.value == at(9)
    assert watermark.idle == {P0, P1}
    assert not watermark.advance()


def test_when_all_were_idle_whoever_wakes_first_waits_for_the_others() -> None:
    """A job that writes partition after partition: its second one is not late because its first one was there sooner."""
    watermark = watermark_of((P0, 9), (P1, 9))
    falls_idle(watermark, P0, P1)
    watermark.read(P0)
    watermark.observe(P0, at(70), now=LATER)
    watermark.confirm(P1, LATER + IDLE_AFTER - 1)

    assert not watermark.advance()

    watermark.read(P1)
    watermark.observe(P1, at(60), now=LATER + IDLE_AFTER)

    assert watermark.advance()
    assert watermark.value == at(60)


def test_when_all_were_idle_whoever_wakes_first_waits_no_longer_than_until_the_others_are_idle_again() -> None:
    watermark = watermark_of((P0, 9), (P1, 9))
    falls_idle(watermark, P0, P1)
    watermark.observe(P0, at(70), now=LATER)
    watermark.confirm(P1, LATER + IDLE_AFTER)

    assert watermark.advance()
    assert watermark.value == at(70)


def test_where_another_never_slept_whoever_wakes_does_not_make_the_idle_hold() -> None:
    watermark = watermark_of((P0, 9), (P1, 5), (P2, 5))
    falls_idle(watermark, P1, P2)
    watermark.observe(P1, at(20), now=LATER)
    watermark.observe(P0, at(20), now=LATER)
    watermark.advance()

    assert watermark.idle == {P2}
    assert watermark.value == at(20)


def test_a_partition_that_wakes_holds_the_watermark_again() -> None:
    watermark = watermark_of((P0, 5), (P1, 5))
    falls_idle(watermark, P1)
    watermark.read(P1)
    watermark.observe(P1, at(6), now=LATER)
    watermark.observe(P0, at(9), now=LATER)

    watermark.advance()

    assert watermark.value == at(6)


def test_the_watermark_never_goes_back_for_a_partition_that_wakes_behind_it() -> None:
    watermark = watermark_of((P0, 9), (P1, 5))
    falls_idle(watermark, P1)
    watermark.observe(P1, at(6), now=LATER)

    assert not watermark.advance()
    assert watermark.value == at(9)


def test_an_idle_partition_with_unread_records_holds_the_watermark_until_its_end() -> None:
    watermark = watermark_of((P0, 5), (P1, 5))
    falls_idle(watermark, P1)
    watermark.read(P1)
    watermark.observe(P0, at(9), now=LATER)

    assert not watermark.advance()

    watermark.confirm(P1, LATER)

    assert watermark.advance()


def test_a_partition_added_later_holds_the_watermark_where_it_is() -> None:
    watermark = watermark_of((P0, 5))
    watermark.assign({P1}, now=NOW)
    watermark.observe(P0, at(9), now=NOW)

    assert not watermark.advance()
    assert watermark.value == at(5)


def test_the_idle_decision_survives_a_restart_once_the_end_is_reached_again() -> None:
    watermark = Watermark(IDLE_AFTER)
    watermark.restore(P0, at(5), idle=False, now=NOW)
    watermark.restore(P1, at(3), idle=True, now=NOW)
    watermark.assign({P0, P1}, now=NOW)
    watermark.confirm(P1, LATER)

    assert watermark.advance()  # without waiting for idle_after once more
    assert watermark.value == at(5)


def test_what_was_written_to_an_idle_partition_while_we_were_down_is_read_before_time_moves_on() -> None:
    watermark = Watermark(IDLE_AFTER)
    watermark.restore(P0, at(5), idle=False, now=NOW)
    watermark.restore(P1, at(3), idle=True, now=NOW)
    watermark.assign({P0, P1}, now=NOW)
    watermark.observe(P0, at(60), now=NOW)
    watermark.advance()

    assert watermark.value == at(3)


def test_a_saved_partition_whose_topic_is_gone_does_not_hold_the_watermark() -> None:
    watermark = Watermark(IDLE_AFTER)
    watermark.restore(P0, at(5), idle=False, now=NOW)
    watermark.restore(P1, at(3), idle=False, now=NOW)
    watermark.assign({P0}, now=NOW)

    assert watermark.advance()
    assert watermark.value == at(5)


def test_silence_while_the_broker_was_away_does_not_make_a_partition_idle() -> None:
    """An outage longer than `idle_after`: what was written meanwhile would be late if we had gone on without it."""
    watermark = watermark_of((P0, 9), (P1, 7))
    watermark.confirm(P1, LATER)
    watermark.restart_silence(P1, now=LATER)
    watermark.confirm(P1, LATER + IDLE_AFTER - 1)
    watermark.advance()

    assert watermark.value == at(7)

    watermark.confirm(P1, LATER + IDLE_AFTER)
    watermark.advance()

    assert watermark.value == at(9)


def test_a_partition_that_is_not_read_cannot_have_its_silence_restarted() -> None:
    watermark = watermark_of((P0, 9))
    watermark.restart_silence(P1, now=1)

    assert set(watermark.partitions) == {P0}
