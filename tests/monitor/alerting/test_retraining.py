"""When a wish for retraining is granted."""

from monitor.alerting.retraining import WEEK, RetrainHistory, RetrainOutcome, RetrainPolicy
from monitor.stream.events import Nanos
from tests.build import DAY, HOUR, at

DAILY = RetrainPolicy(cooldown=DAY, max_per_week=3)
START = at(0)


def wish(policy: RetrainPolicy, *times: Nanos) -> list[RetrainOutcome]:
    """What became of wishes at these times after the start."""
    history, outcomes = RetrainHistory(), []
    for time in times:
        history, outcome = history.decide(policy, START + time)
        outcomes.append(outcome)
    return outcomes


REQUESTED, COOLDOWN, WEEKLY_MAX, *_ = RetrainOutcome


def test_the_first_wish_is_granted() -> None:
    assert wish(DAILY, 0) == [REQUESTED]


def test_a_wish_within_the_cooldown_is_suppressed() -> None:
    assert wish(DAILY, 0, DAY - 1) == [REQUESTED, COOLDOWN]


def test_the_cooldown_ends_to_the_nanosecond() -> None:
    assert wish(DAILY, 0, DAY) == [REQUESTED, REQUESTED]


def test_a_suppressed_wish_does_not_prolong_the_cooldown() -> None:
    assert wish(DAILY, 0, DAY - 1, DAY) == [REQUESTED, COOLDOWN, REQUESTED]


def test_the_fourth_wish_of_a_week_is_suppressed_by_the_weekly_maximum() -> None:
    assert wish(DAILY, 0, DAY, 2 * DAY, 3 * DAY) == [REQUESTED, REQUESTED, REQUESTED, WEEKLY_MAX]


def test_the_week_rolls() -> None:
    assert wish(DAILY, 0, DAY, 2 * DAY, WEEK - 1, WEEK)[-2:] == [WEEKLY_MAX, REQUESTED]


def test_a_wish_in_the_cooldown_says_so_even_when_the_week_is_full() -> None:
    assert wish(DAILY, 0, DAY, 2 * DAY, 2 * DAY + HOUR)[-1] is COOLDOWN


def test_without_a_cooldown_only_the_weekly_maximum_counts() -> None:
    assert wish(RetrainPolicy(0, 2), 0, 1, 2) == [REQUESTED, REQUESTED, WEEKLY_MAX]


def test_a_weekly_maximum_of_zero_grants_nothing() -> None:
    assert wish(RetrainPolicy(0, 0), 0) == [WEEKLY_MAX]


def test_a_cooldown_may_be_longer_than_a_week() -> None:
    policy = RetrainPolicy(cooldown=30 * DAY, max_per_week=3)

    assert wish(policy, 0, 8 * DAY, 30 * DAY - 1, 30 * DAY) == [REQUESTED, COOLDOWN, COOLDOWN, REQUESTED]


def test_the_same_wish_again_falls_into_its_own_cooldown() -> None:
    assert wish(DAILY, 0, 0) == [REQUESTED, COOLDOWN]


def test_a_wish_of_a_series_whose_event_time_is_behind_falls_into_the_cooldown() -> None:
    assert wish(DAILY, 5 * DAY, 0) == [REQUESTED, COOLDOWN]


def test_the_history_does_not_grow() -> None:
    history = RetrainHistory()
    for day in range(1000):
        history, _ = history.decide(RetrainPolicy(0, 1000), START + day * DAY)

    assert len(history.requested) == 7
