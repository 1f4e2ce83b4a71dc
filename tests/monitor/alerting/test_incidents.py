"""When people are told of an incident, and when the same is not told again."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.episodes import Evidence, RuleState
from monitor.alerting.incidents import Incident
from monitor.alerting.rules import Severity
from tests.build import HOUR, MIDNIGHT, MINUTE

INACTIVE, PENDING, FIRING, _ = AlertState
SUBGROUP = 5 * MINUTE


def hour(number: float) -> Span:
    """The subgroup that ends so many hours after midnight."""
    end = MIDNIGHT + round(number * HOUR)
    return Span(end - SUBGROUP, end)


def told(incident: Incident, at: Span, *features: str) -> bool:
    """Take one subgroup in which these features fire, since it began; whether people are told now."""
    before, after = incident.follow(dict.fromkeys(features, at.end), (), at)
    return after.state is FIRING and before.state is not FIRING


def test_the_first_feature_opens_an_incident_and_others_join() -> None:
    incident = Incident(RuleState({}))

    assert told(incident, hour(1), "age")
    assert not told(incident, hour(2), "age", "plan")
    assert incident.state.episode.number == 1
    assert incident.state.episode.since == hour(1).end
    assert set(incident.state.alerts) == {"age", "plan"}


def test_nothing_firing_ends_it() -> None:
    incident = Incident(RuleState({}))
    told(incident, hour(1), "age")
    before, after = incident.follow({}, (), hour(2))

    assert (before.state, after.state) == (FIRING, INACTIVE)
    assert after.resolved_at == hour(2).end


def test_the_same_again_within_a_day_waits_until_the_day_is_over() -> None:
    incident = Incident(RuleState({}))
    told(incident, hour(1), "age", "plan")
    told(incident, hour(2))

    assert not told(incident, hour(3), "age")
    assert incident.state.episode.state is PENDING
    assert not told(incident, hour(24.5), "age")
    assert told(incident, hour(25), "age")
    assert incident.state.episode.number == 2


def test_another_feature_does_not_wait() -> None:
    incident = Incident(RuleState({}))
    told(incident, hour(1), "age")
    told(incident, hour(2))

    assert told(incident, hour(3), "age", "plan")


def test_features_that_joined_were_told_too() -> None:
    incident = Incident(RuleState({}))
    told(incident, hour(1), "age")
    told(incident, hour(2), "age", "plan")
    told(incident, hour(3))

    assert not told(incident, hour(4), "plan")


def test_flapping_is_a_page_a_day() -> None:
    """On and off each hour for five days."""
    incident = Incident(RuleState({}))
    pages = sum(told(incident, hour(at), *(["age"] if at % 2 else [])) for at in range(1, 5 * 24))

    assert pages == 5


def test_an_incident_that_lasts_is_not_told_again() -> None:
    incident = Incident(RuleState({}))

    assert sum(told(incident, hour(at), "age") for at in range(1, 10 * 24)) == 1


# --- told again -------------------------------------------------------------------------------------------------------


def seen(feature: str, since: float = 1, **changes: Any) -> Evidence:
    """A feature that fires, whose change began so many hours after midnight."""
    found: dict[str, Any] = {"severity": Severity.WARNING, "chart": "location+", "since": hour(since).end} | changes
    return Evidence(feature, "drift", 1.2, 1.0, None, 100, **found)


def news(incident: Incident, at: Span, *evidence: Evidence) -> list[str]:
    """Take one subgroup in which these fire; the features that people are told again for."""
    incident.follow({each.feature: each.since or at.end for each in evidence}, evidence, at)
    return [each.feature for each in incident.news]


def opened(*evidence: Evidence) -> Incident:
    incident = Incident(RuleState({}))
    assert news(incident, hour(1), *evidence) == []
    assert incident.open
    return incident


def test_what_had_changed_when_it_opened_joins_unsaid() -> None:
    incident = opened(seen("age"))

    assert news(incident, hour(3), seen("age"), seen("plan")) == []
    assert set(incident.members) == {"age", "plan"}


def test_a_change_of_its_own_is_told_within_the_hour() -> None:
    incident = opened(seen("age"))

    assert news(incident, hour(2), seen("age"), seen("plan", since=1.5)) == ["plan"]
    assert news(incident, hour(2.5), seen("age"), seen("plan", since=1.5), seen("city", since=2.4)) == []
    assert news(incident, hour(2.9), seen("age"), seen("plan", since=1.5), seen("city", since=2.4)) == []
    assert news(incident, hour(3), seen("age"), seen("plan", since=1.5), seen("city", since=2.4)) == ["city"]
    assert [each.features for each in incident.escalations] == [("plan",), ("city",)]


def test_what_joins_after_a_day_is_told() -> None:
    incident = opened(seen("age"))

    assert news(incident, hour(26), seen("age"), seen("plan")) == ["plan"]


def test_what_leads_the_page_is_told() -> None:
    incident = opened(seen("age"))

    assert news(incident, hour(3), seen("plan"), seen("age")) == ["plan"]


def test_a_warning_mutes_no_page() -> None:
    """What is worse does not wait for the hour to be over; there is one step to take."""
    incident = opened(seen("age"))
    assert news(incident, hour(2), seen("age"), seen("plan", since=1.5)) == ["plan"]
    critical = seen("city", since=1, severity=Severity.CRITICAL)

    assert news(incident, hour(2.1), seen("age"), critical) == ["city"]
    assert incident.standing.severity is Severity.CRITICAL
    assert incident.known is Severity.WARNING
    assert news(incident, hour(2.2), critical, seen("age", severity=Severity.CRITICAL)) == []


def test_what_has_doubled_is_told() -> None:
    incident = opened(seen("age", effect=0.2))

    assert news(incident, hour(2), seen("age", effect=0.25)) == []
    assert (
        news(incident, hour(3), seen("age", effect=0.25, grown=True)) == []
    )  # twice its least, but no more than was told
    assert news(incident, hour(4), seen("age", effect=0.4, grown=True)) == ["age"]


def test_what_has_turned_is_told_however_far_it_went_the_other_way() -> None:
    """Once each way: what goes up and down is held against what was told of that way."""
    incident = opened(seen("age", effect=1.5))
    down = seen("age", since=5, effect=-0.8, chart="location-", grown=True)

    assert news(incident, hour(5), down) == ["age"]
    assert news(incident, hour(6), seen("age", since=6, effect=1.6, grown=True)) == []
    assert news(incident, hour(7), replace(down, effect=-1.0)) == []


def test_a_note_opens_nothing_until_it_is_more() -> None:
    incident = Incident(RuleState({}))
    news(incident, hour(1), seen("age", severity=Severity.INFO))
    assert incident.state.episode.state is PENDING
    news(incident, hour(2), seen("age"))
    assert incident.open


def test_what_comes_back_is_told_once_a_week() -> None:
    """But at once where it is another change: twice as far as it ever was, or another way that was not seen yet."""
    incident = opened(seen("age"), seen("plan", effect=0.2))

    def again(at: float, **changes: Any) -> list[str]:
        news(incident, hour(at - 1), seen("age"))
        return news(incident, hour(at), seen("age"), seen("plan", since=at - 1, **changes))

    assert again(4, effect=0.3) == []
    assert again(40, effect=0.2) == []
    assert again(42, chart="location-", effect=-0.2) == ["plan"]
    assert again(44, effect=0.2) == []  # to and fro, as a feature that follows the hour does
    assert again(46, chart="location-", effect=-0.3) == []
    assert again(48, chart="location-", effect=-0.7) == ["plan"]
    assert again(50, chart="location-", effect=-0.7) == []
    assert again(49 + 7 * 24, chart="location-", effect=-0.7) == ["plan"]


def test_what_creeps_is_told_once_a_month() -> None:
    incident = opened(seen("age"))
    incident.follow({}, (), hour(2))
    creeping = seen("age", creeping=True, moving=True)
    news(incident, hour(20 * 24), creeping)
    assert incident.state.episode.state is PENDING
    news(incident, hour(32 * 24), creeping)
    assert incident.open


def test_it_says_what_has_settled_until_the_next_one() -> None:
    incident = opened(seen("age"))
    incident.settle(["age", "plan"])
    incident.follow({}, (), hour(200))
    assert incident.standing.settled == ("age",)

    news(incident, hour(300), seen("age", since=299))
    assert incident.standing.settled == ()


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.sampled_from(Severity)), max_size=4), max_size=60
    )
)
def test_it_is_told_at_most_once_an_hour_but_where_it_is_worse(steps: list[list[tuple[str, bool, Severity]]]) -> None:
    incident, times = Incident(RuleState({})), list[int]()
    for number, step in enumerate(steps, start=1):
        at = hour(number / 6)
        found = {name: seen(name, number / 6, grown=grown, severity=severity) for name, grown, severity in step}
        before = incident.open
        if news(incident, at, *found.values()):
            assert before
            known = incident.known or Severity.INFO
            if incident.severity == known:
                assert not times or at.end - times[-1] >= HOUR
            times.append(at.end)
