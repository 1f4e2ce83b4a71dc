"""Many late events are a state with a cause, from above 5 % until below half of that."""

from monitor.facts import EventsCounted, Fact, LateShare
from monitor.runtime.lateness import FADE, Lateness
from monitor.stream.events import MINUTE, SECOND, Nanos
from tests.build import P0, P1, at


def counted(ok: int, late: int) -> list[Fact]:
    return [EventsCounted("predictions", "ok", ok), EventsCounted("predictions", "late", late)]


def said(lateness: Lateness, ok: int, late: int, now: Nanos) -> list[tuple[bool, bool]]:
    facts = lateness.see(counted(ok, late), dict, now)
    return [(fact.many, fact.changed) for fact in facts if isinstance(fact, LateShare)]


def test_a_share_above_a_twentieth_is_said_once_and_its_end_once() -> None:
    lateness = Lateness()

    assert said(lateness, 900, 10, at(0)) == [(False, False)]
    assert said(lateness, 100, 100, at(0) + SECOND) == [(True, True)]
    assert said(lateness, 50, 0, at(0) + 2 * SECOND) == []
    assert said(lateness, 1_500, 0, at(0) + 3 * SECOND) == []  # a twentieth again, but not half of that
    assert said(lateness, 3_000, 0, at(0) + 4 * SECOND) == [(False, True)]


def test_events_that_a_contract_leaves_out_came_in_time() -> None:
    facts: list[Fact] = [*counted(50, 20), EventsCounted("predictions", "excluded", 930)]

    (fact,) = Lateness().see(facts, dict, at(0))

    assert isinstance(fact, LateShare)
    assert fact.share == 0.02


def test_a_few_events_are_no_share() -> None:
    (fact,) = Lateness().see(counted(10, 40), dict, at(0))
    assert isinstance(fact, LateShare)
    assert (fact.share, fact.many, fact.changed) == (None, False, False)


def test_a_share_goes_by_where_nothing_comes_any_more() -> None:
    lateness, facts = Lateness(), list[Fact]()
    lateness.see(counted(500, 500), dict, at(0))
    for turn in range(1, 1000):
        facts += lateness.see([], dict, at(0) + turn * 5 * SECOND)
    told = [fact for fact in facts if isinstance(fact, LateShare)]

    assert [fact.many for fact in told if fact.changed] == [False]
    assert told[0].share == 0.5
    assert told[-1].share is None
    assert lateness.see([], dict, at(0) + 24 * 60 * MINUTE) == []


def test_what_was_long_ago_does_not_count() -> None:
    lateness = Lateness()
    said(lateness, 0, 1_000, at(0))

    assert said(lateness, 200, 0, at(0) + FADE) == [(False, True)]


def test_the_cause_is_the_partition_that_trails_furthest_or_disorder() -> None:
    behind = {P0: MINUTE, P1: 3 * MINUTE}
    (fact,) = Lateness().see(counted(100, 100), lambda: behind, at(0))
    assert isinstance(fact, LateShare)
    assert fact.cause.startswith("partition predictions/1 is 3 minutes behind the watermark")

    (fact,) = Lateness().see(counted(100, 100), dict, at(0))
    assert isinstance(fact, LateShare)
    assert fact.cause.startswith("they are out of order within a partition")
