"""People's decisions as inputs of the pipeline: taken once, in force for their time, kept over a restart."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from monitor.alerting.alerts import AlertState
from monitor.alerting.decisions import MOST_IN_FORCE, Accept, Ack, Asked, End, Refusal, Scope, Silence, Wish
from monitor.alerting.episodes import Evidence
from monitor.alerting.incidents import Standing
from monitor.alerting.rules import Severity
from monitor.facts import (
    AlertChanged,
    AlertEscalated,
    AlertSeen,
    DecisionEnded,
    DecisionMade,
    DecisionRefused,
    DecisionsStand,
    Fact,
    RateImproved,
    RetrainDecided,
)
from monitor.pipeline import Pipeline
from monitor.stream.events import Nanos, SeriesKey
from monitor.targets.payloads import Sender, notices
from tests.build import (
    DAY,
    HOUR,
    KEY,
    MINUTE,
    OTHER_KEY,
    at,
    feed,
    make_batch,
    make_pipeline,
    make_rule,
    make_spec,
    of,
    restored,
)
from tests.build import play as played
from tests.fakes import NOON, subscriber
from tests.series import accepted, with_accepts

RULE = make_rule(severity=Severity.CRITICAL)
DRIFT = "churn/3/age-missing"
ESCALATED, FIRING, RESOLVED = "model.alert.escalated", "model.alert.firing", "model.alert.resolved"
RETRAIN, SETTLED = "model.retrain.requested", "model.alert.settled"
SUBSCRIBERS, SENDER = [subscriber()], Sender("hash", "0")


def pipeline(**changes: Any) -> Pipeline:
    specs = [with_accepts(make_spec(key=key, rules=[RULE], **changes)) for key in (KEY, OTHER_KEY)]
    return make_pipeline(*specs)


def asked(wish: Wish, name: str = "1", by: str = "ana", reason: str = "release") -> Asked:
    return Asked(name, wish, by, reason)


def silence(*features: str, lasts: Nanos = HOUR, model: str = "churn") -> Asked:
    return asked(Silence(Scope(model, None, features), lasts), name="s")


def play(found: Pipeline, script: str, first: int = 0) -> list[str]:
    """Minutes of events; the types of what people are told of them."""
    return said(found, played(found, script, first))


def said(found: Pipeline, facts: Sequence[Fact] = ()) -> list[str]:
    return [each.notice.type for each in notices(found.told(facts), SUBSCRIBERS, SENDER)]


# --- taken ------------------------------------------------------------------------------------------------------------


def test_a_decision_is_recorded_with_who_why_and_both_times() -> None:
    found = pipeline()
    played(found, "CC")
    made, stand = found.decide(silence(), now=NOON)

    assert isinstance(made, DecisionMade)
    assert (made.decision.asked, made.decision.model) == (silence(), "churn")
    assert (made.decision.made_at, made.decision.event_time) == (NOON, at(2))
    assert stand == DecisionsStand((made.decision,), ())
    assert found.current()[-1] == stand


def test_asked_again_under_one_id_it_is_taken_once() -> None:
    found = pipeline()
    played(found, "C")
    wish = asked(Accept(Scope("churn", "3"), None))
    first = found.decide(wish, now=NOON)
    again = found.decide(wish, now=NOON + MINUTE)

    assert again == [DecisionMade(first[0].decision, repeated=True)]  # type: ignore[union-attr]
    assert len(accepted(found)) == 1


@pytest.mark.parametrize(
    ("wish", "refusal", "why"),
    [
        (Silence(Scope("chrun"), HOUR), Refusal.UNKNOWN, "there is no model chrun; there is churn"),
        (Silence(Scope("churn", "9"), HOUR), Refusal.UNKNOWN, "there is no version 9 of churn; there is 3, 4"),
        (
            Accept(Scope("churn", None, ("agee",)), None),
            Refusal.UNKNOWN,
            "churn has no feature 'agee'; it has 'age', 'plan', '__volume__', '__duplicates__'",
        ),
        (Accept(Scope("churn"), None), Refusal.CONFLICT, "no event has been read yet: there is nothing to accept"),
        (Ack(DRIFT), Refusal.UNKNOWN, f"there is no open incident {DRIFT}"),
        (End("s"), Refusal.UNKNOWN, "there is no decision s"),
    ],
)
def test_what_cannot_be_decided_is_refused_and_leaves_no_trace(wish: Wish, refusal: Refusal, why: str) -> None:
    found = pipeline()

    assert found.decide(asked(wish), now=NOON) == [DecisionRefused(asked(wish), refusal, why)]
    assert found.current() == pipeline().current()


def test_an_id_that_stands_for_another_decision_is_refused() -> None:
    found = pipeline()
    found.decide(asked(Silence(Scope("churn"), HOUR)), now=NOON)
    (refused,) = found.decide(asked(Silence(Scope("churn"), DAY)), now=NOON)

    assert isinstance(refused, DecisionRefused)
    assert (refused.refusal, refused.why) == (Refusal.CONFLICT, "1 is the id of another decision")


def test_there_are_never_too_many() -> None:
    found = pipeline()
    for number in range(MOST_IN_FORCE):
        found.decided.take(asked(Silence(Scope("churn"), HOUR), name=str(number)), {}, None, NOON)
    (refused,) = found.decide(silence(), now=NOON)

    assert isinstance(refused, DecisionRefused)
    assert refused.why == f"{MOST_IN_FORCE} decisions are in force; end some first"
    assert isinstance(found.decide(asked(End("7"), name="e"), now=NOON)[0], DecisionMade)


# --- accept -----------------------------------------------------------------------------------------------------------


def test_an_accept_reaches_every_operator_of_what_is_meant_in_event_time() -> None:
    found = pipeline()
    played(found, "CC")
    facts = found.decide(asked(Accept(Scope("churn", "3", ("age",)), 30 * DAY)), now=NOON)
    found.decide(asked(Accept(Scope("churn"), None), name="2"), now=NOON)

    everything: list[str] = []  # where none is named
    assert accepted(found) == [(["age"], at(2) + 30 * DAY, at(2)), (everything, None, at(2))]
    assert accepted(found, OTHER_KEY) == [(everything, None, at(2))]
    assert of(facts, RateImproved)


def test_an_accept_ends_in_event_time_and_cannot_be_taken_back() -> None:
    found = pipeline()
    played(found, "C")
    found.decide(asked(Accept(Scope("churn"), 2 * MINUTE)), now=NOON)
    (refused,) = found.decide(asked(End("1"), name="e"), now=NOON)
    assert isinstance(refused, DecisionRefused)
    assert refused.why == "an accept is not taken back: fit a new reference"

    played(found, "C", first=1)
    assert found.expire(NOON + DAY) == []
    played(found, "C", first=2)
    (ended,) = of(found.expire(NOON), DecisionEnded)
    assert (ended.past.decision.id, ended.past.why) == ("1", "over")


def test_what_was_accepted_is_saved_with_the_operators_that_took_it() -> None:
    found, fresh = pipeline(), pipeline()
    played(found, "C")
    found.changes()
    found.decide(asked(Accept(Scope("churn"), None)), now=NOON)
    kinds = {record.kind for record in found.changes()}

    assert {"decisions", "extra/accepts"} <= kinds
    assert restored(found, fresh) == []
    assert accepted(fresh) == accepted(found) != []
    assert fresh.current() == found.current()
    assert "decisions" not in {record.kind for record in found.changes()}


# --- silence ----------------------------------------------------------------------------------------------------------


def test_a_silenced_model_alerts_without_a_word() -> None:
    found = pipeline()
    played(found, "C")
    found.decide(silence(), now=NOON)

    facts = played(found, "BB", first=1)
    assert of(facts, AlertChanged)
    assert said(found, facts) == []


def test_what_is_open_when_the_silence_ends_is_told_then() -> None:
    found = pipeline()
    found.decide(silence(), now=NOON)
    assert play(found, "B") == []
    assert found.expire(NOON + HOUR - 1) == []
    assert said(found) == []

    (ended,) = of(found.expire(NOON + HOUR), DecisionEnded)
    assert ended.past.why == "over"
    assert said(found) == [FIRING, RETRAIN]
    assert said(found) == []
    assert play(found, "C", first=1) == [RESOLVED]


def test_what_opens_and_ends_in_silence_is_never_told() -> None:
    found = pipeline()
    found.decide(silence(), now=NOON)
    assert play(found, "BCBC") == []

    found.expire(NOON + HOUR)
    assert said(found) == []


def test_the_end_of_what_people_know_of_is_told_after_the_silence() -> None:
    """Else it would stay open for ever in whatever tool was told of it."""
    found = pipeline()
    assert play(found, "B") == [FIRING, RETRAIN]
    found.decide(silence(), now=NOON)
    assert play(found, "CB", first=1) == []

    found.decide(asked(End("s"), name="e"), now=NOON + MINUTE)
    assert said(found) == [RESOLVED, FIRING, RETRAIN]


def test_a_silenced_feature_holds_back_its_own_pages_alone() -> None:
    found = pipeline()
    found.decide(silence("plan"), now=NOON)
    assert play(found, "BC") == [FIRING, RETRAIN, RESOLVED]

    found.decide(asked(Silence(Scope("churn", None, ("age",)), HOUR)), now=NOON)
    assert play(found, "B", first=2) == []


def test_a_feature_that_is_not_silenced_frees_the_page_that_it_joins() -> None:
    rule = make_rule(features=("*",), severity=Severity.CRITICAL)
    found = make_pipeline(rules=[rule])
    found.decide(silence("age"), now=NOON)
    rows = [at(0), at(0.5)]
    assert said(found, feed(found, make_batch(rows, [None, None]), until=at(1))) == []

    later = feed(found, make_batch([at(1), at(1.5)], [None, None], [None, None]), until=at(2))
    told = [each.notice for each in notices(found.told(later), SUBSCRIBERS, SENDER)]
    assert [notice.type for notice in told] == [FIRING, RETRAIN]
    assert [entry["feature"] for entry in json.loads(told[0].data)["evidence"]] == ["age", "plan"]


def test_another_model_is_heard() -> None:
    fraud = SeriesKey("fraud", "1")
    found = make_pipeline(make_spec(rules=[RULE]), make_spec(key=fraud, rules=[RULE]))
    found.decide(silence(model="fraud"), now=NOON)

    assert play(found, "BC") == [FIRING, RETRAIN, RESOLVED]
    assert said(found, played(found, "B", first=2, key=fraud)) == []


def test_what_is_held_back_survives_a_restart() -> None:
    found, fresh = pipeline(), pipeline()
    found.decide(silence(), now=NOON)
    assert play(found, "B") == []

    restored(found, fresh)
    assert fresh.current() == found.current()
    assert said(fresh) == []
    fresh.expire(NOON + HOUR)
    assert said(fresh) == [FIRING, RETRAIN]


# --- ack --------------------------------------------------------------------------------------------------------------


def test_an_open_incident_is_acknowledged_once_and_until_it_is_over() -> None:
    found = pipeline()
    (opened,) = of(played(found, "B"), AlertChanged)
    (made, _) = found.decide(asked(Ack(opened.incident)), now=NOON)
    assert isinstance(made, DecisionMade)
    assert made.decision.model == "churn"

    (refused,) = found.decide(asked(Ack(opened.incident), name="2", by="ben"), now=NOON)
    assert isinstance(refused, DecisionRefused)
    assert refused.why == f"{opened.incident} is acknowledged by ana already"

    assert found.expire(NOON + DAY) == []
    played(found, "C", first=1)
    (ended,) = of(found.expire(NOON + DAY), DecisionEnded)
    assert (ended.past.decision.id, ended.past.why) == ("1", "resolved")


def escalated(
    opened: AlertChanged, since: Nanos, severity: Severity = Severity.CRITICAL, feature: str = "plan"
) -> AlertEscalated:
    """The incident is told again because of a feature that began to drift at `since`."""
    new = Evidence(feature, "drift", 2.0, 1.0, None, 10, since=since)
    return AlertEscalated(replace(opened, evidence=(new, *opened.evidence)), (new,), severity)


def test_an_acknowledged_incident_is_told_again_of_what_is_news_alone() -> None:
    found = pipeline()
    (opened,) = of(played(found, "CB"), AlertChanged)
    assert said(found, [escalated(opened, at(1))]) == [ESCALATED]

    found.decide(asked(Ack(opened.incident)), now=NOON)  # at(2), in event time
    restored(found, again := pipeline())
    for each in (found, again):
        assert said(each, [escalated(opened, at(1), feature="age")]) == []  # it has grown
        assert said(each, [escalated(opened, at(1))]) == [ESCALATED]  # it has joined
        assert said(each, [escalated(opened, at(3), feature="age")]) == [ESCALATED]  # it began again
        assert said(each, [escalated(opened, at(1), Severity.WARNING, "age")]) == [ESCALATED]  # it is worse


def test_what_grows_in_silence_is_told_once_afterwards() -> None:
    found = pipeline()
    facts = played(found, "B")
    (opened,) = of(facts, AlertChanged)
    assert said(found, facts) == [FIRING, RETRAIN]
    found.decide(silence(), now=NOON)
    assert said(found, [escalated(opened, at(1)), escalated(opened, at(2))]) == []

    found.expire(NOON + HOUR)
    assert said(found) == [ESCALATED]


def test_what_grows_while_nobody_knows_of_it_is_part_of_the_page() -> None:
    found = pipeline()
    found.decide(silence(), now=NOON)
    facts = played(found, "B")
    (opened,) = of(facts, AlertChanged)
    assert said(found, [*facts, escalated(replace(opened, severity=Severity.WARNING), at(1))]) == []

    found.expire(NOON + HOUR)
    (page, _) = notices(found.told(()), SUBSCRIBERS, SENDER)
    assert (page.notice.type, json.loads(page.notice.data)["severity"]) == (FIRING, "warning")


def test_a_silenced_feature_that_joins_is_not_told_and_another_is() -> None:
    found = pipeline()
    facts = played(found, "B")
    (opened,) = of(facts, AlertChanged)
    said(found, facts)
    found.decide(silence("plan"), now=NOON)
    assert said(found, [escalated(opened, at(1))]) == []
    other = Evidence("age", "drift", 2.0, 1.0, None, 10, since=at(1))

    assert said(found, [AlertEscalated(opened, (other,), Severity.CRITICAL)]) == [ESCALATED]
    found.expire(NOON + HOUR)
    assert said(found) == []  # it was told with the other


def test_a_page_that_is_freed_by_what_joins_is_told_once_and_as_bad_as_it_is() -> None:
    found = pipeline()
    found.decide(silence("age"), now=NOON)
    facts = played(found, "B")
    (opened,) = of(facts, AlertChanged)
    assert said(found, facts) == []

    joined = escalated(replace(opened, severity=Severity.WARNING), at(1))
    (seen,) = of(facts, AlertSeen)[-1:]
    seen = replace(seen, severity=Severity.WARNING, evidence=joined.alert.evidence)
    page, _ = notices(found.told([seen, joined]), SUBSCRIBERS, SENDER)
    told = json.loads(page.notice.data)
    assert (page.notice.type, told["severity"]) == (FIRING, "warning")
    assert [each["feature"] for each in told["evidence"]] == ["plan", "age"]


def test_a_request_for_retraining_is_told_with_what_it_waited_for() -> None:
    found = pipeline()
    facts = played(found, "B")
    (opened,) = of(facts, AlertChanged)
    assert said(found, facts[: facts.index(opened) + 1]) == [FIRING]
    found.decide(silence("plan"), now=NOON)
    worse = escalated(opened, at(1), Severity.WARNING)
    assert said(found, [worse, *of(facts, RetrainDecided)]) == []

    assert said(found, [escalated(opened, at(2), feature="age")]) == [ESCALATED, RETRAIN]


def test_what_settles_in_silence_is_told_afterwards_and_nothing_that_it_outdated() -> None:
    found = pipeline()
    facts = played(found, "B")
    (opened,) = of(facts, AlertChanged)
    said(found, facts)
    found.decide(silence(), now=NOON)
    end = replace(opened, before=AlertState.FIRING, after=AlertState.INACTIVE, about=Standing(settled=("age",)))
    assert said(found, [escalated(opened, at(1)), end]) == []

    found.expire(NOON + HOUR)
    assert said(found) == [SETTLED]


def test_decisions_of_a_model_that_is_gone_end_and_that_is_said() -> None:
    found = pipeline()
    found.decide(silence(), now=NOON)
    fresh = make_pipeline(make_spec(key=SeriesKey("fraud", "1")))
    said_of = of(restored(found, fresh, NOON), DecisionEnded)

    assert [(each.past.decision.id, each.past.why) for each in said_of] == [("s", "no longer configured")]
    assert of(fresh.current(), DecisionsStand) == [DecisionsStand((), (said_of[0].past,))]
