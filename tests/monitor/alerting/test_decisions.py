"""What people decide, as values: of what, for how long, and which are in force."""

import pytest

from monitor.alerting.decisions import (
    KEPT_ENDED,
    Accept,
    Ack,
    Asked,
    Decision,
    Decisions,
    End,
    Scope,
    Silence,
    Wish,
    acknowledgement,
    is_silenced,
)
from monitor.stream.events import SeriesKey
from tests.build import DAY, HOUR, KEY, OTHER_KEY, at
from tests.fakes import NOON

FRAUD = SeriesKey("fraud", "1")


def decision(name: str, wish: Wish, by: str = "ana") -> Decision:
    return Decision(Asked(name, wish, by), "churn", made_at=NOON, event_time=at(0))


def silence(*features: str, version: str | None = None, name: str = "s") -> Decision:
    return decision(name, Silence(Scope("churn", version, features), 2 * HOUR))


def accept(*features: str, version: str | None = None, lasts: int | None = None, name: str = "a") -> Decision:
    return decision(name, Accept(Scope("churn", version, features), lasts))


def test_a_silence_is_of_a_model_or_one_of_its_versions() -> None:
    assert [is_silenced([silence()], key, []) for key in (KEY, OTHER_KEY, FRAUD)] == [True, True, False]
    assert [is_silenced([silence(version="3")], key, []) for key in (KEY, OTHER_KEY)] == [True, False]


@pytest.mark.parametrize(
    ("silenced", "firing", "nobody_is_told"),
    [
        ([["age"]], ["age"], True),
        ([["age"]], ["age", "plan"], False),
        ([["age"], ["plan"]], ["age", "plan"], True),
        ([["age", "plan"]], ["plan"], True),
        ([["age"]], [], False),
        ([[]], [], True),
    ],
)
def test_a_page_is_silenced_where_each_of_its_features_is(
    silenced: list[list[str]], firing: list[str], nobody_is_told: bool
) -> None:
    assert is_silenced([silence(*features) for features in silenced], KEY, firing) is nobody_is_told


def test_silences_last_by_the_wall_clock_and_accepts_by_event_time() -> None:
    kept = Decisions()
    kept.take(silence())
    kept.take(accept(lasts=DAY))

    assert [each.until for each in kept.in_force.values()] == [NOON + 2 * HOUR, at(0) + DAY]
    assert kept.expire(NOON + 2 * HOUR - 1, at(0) + DAY - 1) == []
    assert [past.decision.id for past in kept.expire(NOON + 2 * HOUR, None)] == ["s"]
    assert [past.why for past in kept.expire(NOON, at(0) + DAY)] == ["over"]
    assert not kept.in_force


def test_for_good_is_until_the_next_that_means_as_much() -> None:
    kept = Decisions()
    kept.take(accept("age", name="first"))
    assert kept.expire(NOON + 3000 * DAY, at(0) + 3000 * DAY) == []

    assert kept.take(accept("plan", name="other")) == []
    assert [past.decision.id for past in kept.take(accept("age", name="again"))] == ["first"]
    assert {past.why for past in kept.take(accept(name="all"))} == {"superseded"}
    assert list(kept.in_force) == ["all"]
    assert kept.take(accept("age", name="part")) == []


def test_an_end_ends_and_both_stay_on_record() -> None:
    kept = Decisions()
    kept.take(silence())
    (ended,) = kept.take(decision("e", End("s"), by="ben"))

    assert (ended.why, ended.ended_at) == ("ended by ben", NOON)
    assert not kept.in_force
    assert [past.decision.id for past in kept.past] == ["e", "s"]
    assert kept.find("s") == silence()
    assert kept.find("x") is None


def test_who_acknowledged_first_is_said() -> None:
    acks = [decision(by, Ack("churn/3/drift"), by=by) for by in ("ana", "ben")]

    assert acknowledgement(acks, "churn/3/drift") == acks[0]
    assert acknowledgement(acks, "churn/3/other") is None


def test_the_last_that_are_over_are_kept() -> None:
    kept = Decisions()
    for number in range(KEPT_ENDED + 5):
        kept.take(silence(name=str(number)))
        kept.end([str(number)], NOON, "over")

    assert [past.decision.id for past in kept.past] == [str(number) for number in range(5, KEPT_ENDED + 5)]
