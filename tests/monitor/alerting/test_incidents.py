"""When people are told of an incident, and when the same is not told again."""

from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.episodes import RuleState
from monitor.alerting.incidents import Incident
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
