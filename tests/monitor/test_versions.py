"""What is known of new versions: told of once, followed so many at a time, and all of it there after a restart."""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from monitor.alerting.versions import (
    Announcement,
    ListedVersions,
    OfferedReference,
    VersionPolicy,
    VersionSource,
    VersionState,
)
from monitor.facts import Fact, FirstRowsCounted, ReferenceAbsent, VersionChanged, VersionSeen, WindowClosed
from monitor.stream.events import DAY, HOUR, SeriesKey
from monitor.versions import Versions
from tests.build import MIDNIGHT, of

FILE = VersionPolicy("file", 500, HOUR, 2)
LEARN = replace(FILE, reference="learn")


def versions(policy: VersionPolicy | None = FILE) -> Versions:
    return Versions({} if policy is None else {"churn": policy}, [SeriesKey("churn", "3")])


def tell(
    known: Versions, version: str, source: VersionSource = VersionSource.REQUEST, now: int = 0, **more: Any
) -> list[Fact]:
    return known.see(Announcement("churn", version, source, MIDNIGHT, **more), now, new=True)


def standing(known: Versions) -> dict[str, str]:
    return {version: each.standing.value for (_, version), each in known.known.items()}


def again(known: Versions) -> Versions:
    fresh = Versions(known.policies, [SeriesKey("churn", "3")])
    for record in known.snapshot()[::-1]:
        fresh.restore(record)
    return fresh


def test_whoever_tells_first_is_recorded_and_a_repeat_says_nothing() -> None:
    known = versions()
    (seen,) = tell(known, "4", VersionSource.REGISTRY)
    assert isinstance(seen, VersionSeen)
    for source in VersionSource:
        assert tell(known, "4", source) == []
    assert known.known["churn", "4"].source is VersionSource.REGISTRY


@pytest.mark.parametrize(("policy", "found"), [(FILE, "waiting"), (LEARN, "learning"), (None, "seen")])
def test_how_it_is_judged_first_is_as_configured(policy: VersionPolicy | None, found: str) -> None:
    known = versions(policy)
    tell(known, "4")
    tell(known, "3")  # has an entry of its own
    assert standing(known) == {"4": found, "3": "seen"}
    assert known.moved is (policy is not None)
    assert [each.known.version for each in known.follows()] == ([] if policy is None else ["4"])


def test_a_later_word_says_where_the_reference_is_until_there_is_one() -> None:
    known = versions(LEARN)
    tell(known, "4")
    assert known.wanted() == ()
    (changed,) = tell(known, "4", place="refs/4.json")
    assert isinstance(changed, VersionChanged)
    assert [each.place for each in known.wanted()] == ["refs/4.json"]
    known.take(OfferedReference("churn", "4", "refs/4.json", b"{}", "abc"))
    assert tell(known, "4", place="refs/other.json") == []
    assert standing(known) == {"4": "given"}
    assert known.wanted() == ()


def test_what_comes_for_another_place_or_too_late_is_passed_over() -> None:
    known = versions()
    tell(known, "4", place="a.json")
    assert known.take(OfferedReference("churn", "4", "b.json", b"{}", "abc")) == []
    assert known.take(OfferedReference("churn", "9", "a.json", b"{}", "abc")) == []
    (absent,) = known.take(OfferedReference("churn", "4", "a.json", why="a.json does not exist"))
    assert isinstance(absent, ReferenceAbsent)
    assert absent.known.why == "a.json does not exist"


def test_what_waits_too_long_learns_and_what_has_learnt_waits_no_longer() -> None:
    known = versions()
    tell(known, "4")
    assert known.expire(HOUR - 1) == []
    (learning,) = of(known.expire(HOUR), VersionChanged)
    assert learning.known.standing is VersionState.LEARNING
    assert len(known.wanted()) == 1  # a late one is still taken
    known.note([FirstRowsCounted(SeriesKey("churn", "4"), MIDNIGHT, 512, b"12345678")])
    assert standing(known) == {"4": "learnt"}
    assert known.take(OfferedReference("churn", "4", "", b"{}", "abc")) == []
    assert [(each.known.rows, each.content) for each in known.follows()] == [(512, b"12345678")]


def test_so_many_are_followed_and_the_oldest_gives_way_with_its_reference() -> None:
    known = versions()
    for version in "456":
        tell(known, version)
        known.take(OfferedReference("churn", version, "", version.encode(), version))
    assert standing(known) == {"4": "retired", "5": "given", "6": "given"}
    assert [each.content for each in again(known).follows()] == [b"5", b"6"]


def test_whoever_writes_events_makes_no_series_at_will() -> None:
    known, clock = versions(LEARN), count()
    for number in range(20):
        tell(known, f"x{number}", VersionSource.EVENTS, now=next(clock))
    assert sum(each == "seen" for each in standing(known).values()) == 17
    tell(known, "y", VersionSource.EVENTS, now=DAY)
    tell(known, "y" * 500, VersionSource.REQUEST, now=DAY)
    assert [each.known.version for each in known.follows()][-1] == "y"
    for number in range(300):
        tell(known, f"z{number}", VersionSource.EVENTS, now=DAY)
    assert len(known.known) <= 100


def test_of_the_first_answer_of_a_registry_nothing_is_new() -> None:
    known = versions()
    assert known.hear_registry(ListedVersions("churn", (("1", 5), ("2", 6)))) == []
    assert again(known).hear_registry(ListedVersions("churn", (("1", 5), ("2", 6), ("3", 7)))) == [("3", 7)]
    assert versions().hear_registry(ListedVersions("churn", ())) == []


def test_all_of_it_is_there_after_a_restart_in_any_order_of_rows() -> None:
    known = versions(replace(FILE, keep=5))
    for version in ("9", "10", "4", "a b"):
        tell(known, version, trained_at=7)
    known.take(OfferedReference("churn", "4", "", b"{}", "abc"))
    known.take(OfferedReference("churn", "9", "", why="gone"))
    fresh = again(known)
    assert fresh.known == known.known
    assert [*fresh.known] == [*known.known]
    assert fresh.follows() == known.follows()
    assert not fresh.moved
    assert fresh.changes() == []


def test_what_cannot_be_used_after_all_waits_or_is_not_followed() -> None:
    known = versions()
    tell(known, "4")
    known.take(OfferedReference("churn", "4", "", b"{}", "abc"))
    known.refuse(("churn", "4"), "no threshold holds the budget")
    assert standing(known) == {"4": "waiting"}
    known.refuse(("churn", "4"), "no threshold holds the budget")
    assert standing(known) == {"4": "seen"}
    assert known.follows() == []


def test_a_registry_of_hundreds_of_versions_tells_of_none_twice() -> None:
    known, listed = versions(), [(str(number), number) for number in range(250)]
    assert known.hear_registry(ListedVersions("churn", tuple(listed))) == []
    assert known.hear_registry(ListedVersions("churn", tuple(listed))) == []
    assert again(known).hear_registry(ListedVersions("churn", (*listed, ("250", 7)))) == [("250", 7)]


@pytest.mark.parametrize("source", [VersionSource.REQUEST, VersionSource.REGISTRY])
def test_what_too_many_events_told_of_is_followed_once_somebody_else_does(source: VersionSource) -> None:
    known = versions(LEARN)
    for number in range(4):
        tell(known, f"x{number}", VersionSource.EVENTS)
    assert standing(known)["x3"] == "seen"
    known.moved = False
    assert tell(known, "x3", VersionSource.EVENTS, now=DAY) == []
    changed, *_ = of(tell(known, "x3", source, now=DAY, trained_at=9), VersionChanged)
    assert (changed.known.standing, changed.known.source, changed.known.trained_at) == ("learning", "events", 9)
    assert known.moved
    assert [each.known.version for each in again(known).follows()] == ["x2", "x3"]
    assert tell(known, "x3", source, now=DAY) == []


def test_what_was_told_of_before_new_versions_were_followed_is_on_another_word() -> None:
    known = versions(None)
    tell(known, "4")
    later = Versions({"churn": FILE}, [SeriesKey("churn", "3")])
    for record in known.snapshot():
        later.restore(record)
    tell(later, "4")
    assert standing(later) == {"4": "waiting"}


def test_a_reference_that_could_not_be_used_is_not_taken_again_and_again() -> None:
    known = versions()
    tell(known, "4")
    offered = OfferedReference("churn", "4", "", b"{}", "abc")
    known.take(offered)
    known.refuse(("churn", "4"), "no threshold holds the budget")
    known.moved = False
    assert known.take(offered) == []
    assert not known.moved
    assert known.known["churn", "4"].why == "no threshold holds the budget"
    known.take(replace(offered, content=b"{ }", hash="def"))
    assert standing(known) == {"4": "given"}


def test_what_cannot_be_followed_is_once_a_person_says_so_again() -> None:
    known = versions()
    tell(known, "4")
    known.refuse(("churn", "4"), "no threshold holds the budget")
    assert tell(known, "4", VersionSource.REGISTRY) == []
    assert standing(known) == {"4": "seen"}
    tell(known, "4", VersionSource.REQUEST)
    assert standing(known) == {"4": "waiting"}


@pytest.mark.parametrize("source", [VersionSource.REQUEST, VersionSource.REGISTRY])
def test_who_goes_back_to_a_version_that_gave_way_has_it_followed_again(source: VersionSource) -> None:
    known = versions(replace(FILE, keep=1))
    tell(known, "4")
    tell(known, "5")
    assert standing(known) == {"4": "retired", "5": "waiting"}
    assert tell(known, "4", VersionSource.EVENTS) == []
    assert [each.known.version for each in of(tell(known, "4", source), VersionChanged)] == ["4", "5"]
    assert standing(known) == {"5": "retired", "4": "waiting"}
    assert again(known).known == known.known


def test_what_is_announced_and_sends_nothing_takes_no_place_of_what_does() -> None:
    known = versions()
    tell(known, "4")
    known.note([WindowClosed(SeriesKey("churn", "4"), MIDNIGHT, MIDNIGHT + HOUR, 100, ())])
    known = again(known)
    for version in ("5", "6", "7"):
        tell(known, version)

    assert standing(known) == {"4": "waiting", "5": "retired", "6": "retired", "7": "waiting"}
    known.note([WindowClosed(SeriesKey("churn", "7"), MIDNIGHT, MIDNIGHT + HOUR, 100, ())])
    tell(known, "8")
    assert standing(known) == {"4": "retired", "5": "retired", "6": "retired", "7": "waiting", "8": "waiting"}
