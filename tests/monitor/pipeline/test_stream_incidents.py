"""Late events, and partitions that nobody answers for, are incidents: they open, grow worse, end, and outlive a restart."""

import random

import pytest

from monitor.alerting.rules import LATENESS_RULE, REACHABILITY_RULE, Severity
from monitor.explain.explainer import Explainer
from monitor.facts import AlertChanged, AlertEscalated, AlertSeen, Fact, RetrainDecided
from monitor.pipeline import Pipeline
from monitor.stream.events import MINUTE
from monitor.targets.payloads import Sender, notices
from tests.build import KEY, P0, P1, REFERENCE, at, feed, make_batch, make_pipeline, of, restored
from tests.charted import seeded
from tests.fakes import subscriber

ROWS = 100  # a minute
SENDER = Sender("hash", "0")
WORDS = (
    "churn/3 misses many events since 2025-11-23 00:25: predictions 17 % of 600 events too late to be counted: "
    "they are out of order within a partition by more than the lateness"
)


def minutes(pipeline: Pipeline, numbers: range, late: int = 0) -> list[Fact]:
    """Some minutes of events, of which so many a minute come a quarter of an hour too late."""
    facts: list[Fact] = []
    for number in numbers:
        old = [make_batch([at(number - 15)] * late)] if late else []
        facts += feed(pipeline, *old, make_batch([at(number)] * ROWS), until=at(number + 1))
    return facts


def changes(facts: list[Fact], rule: str = LATENESS_RULE) -> list[AlertChanged]:
    return [fact for fact in of(facts, AlertChanged) if fact.rule == rule]


def test_a_share_above_a_twentieth_opens_an_incident_which_ends_below_half_of_that() -> None:
    pipeline = make_pipeline()

    assert changes(minutes(pipeline, range(20)) + minutes(pipeline, range(20, 40), late=4)) == []  # 3.8 %
    (opened,) = changes(minutes(pipeline, range(40, 50), late=8))  # 7.4 %
    assert (opened.opened, opened.kind.value, opened.severity) == (True, "service", Severity.WARNING)
    assert [(each.feature, each.chart, round(each.score, 3)) for each in opened.evidence] == [
        ("predictions", "lateness", 0.074)
    ]
    assert changes(minutes(pipeline, range(50, 60), late=4)) == []  # in between: one incident, not many
    (ended,) = changes(minutes(pipeline, range(60, 70)))
    assert ended.closed
    assert ended.incident == opened.incident


def test_a_fifth_is_critical_and_an_incident_that_grows_is_told_again_and_never_trains() -> None:
    pipeline = make_pipeline(max_per_week=1000)
    facts = [*minutes(pipeline, range(20), late=10), *minutes(pipeline, range(20, 40), late=40)]

    (told,) = of(facts, AlertEscalated)
    assert (told.severity_before, told.alert.severity) == (Severity.WARNING, Severity.CRITICAL)
    assert of(facts, RetrainDecided) == []


def test_where_event_time_stands_still_late_events_are_told_all_the_same() -> None:
    """A partition wakes and brings nothing but old events: no pane is sealed meanwhile."""
    pipeline = make_pipeline()
    minutes(pipeline, range(20))
    facts = feed(pipeline, make_batch([at(3)] * 500), until=at(20))

    (opened,) = changes(facts)
    assert opened.opened
    assert opened.severity is Severity.CRITICAL


def test_a_model_whose_events_are_all_late_from_the_first_on_is_told_too() -> None:
    """It came to a topic whose event time another has brought ahead: no pane of it is ever sealed."""
    pipeline = make_pipeline()
    feed(pipeline, until=at(60))
    (opened,) = changes(feed(pipeline, make_batch([at(3)] * 500), until=at(60)))

    assert (opened.opened, opened.severity) == (True, Severity.CRITICAL)


def test_a_few_events_are_no_share() -> None:
    pipeline, facts = make_pipeline(), list[Fact]()
    for number in range(100):
        facts += feed(pipeline, make_batch([at(number)]), until=at(number + 1))
        facts += feed(pipeline, make_batch([at(number - 30)]), until=at(number + 1))
    assert changes(facts) == []
    for number in range(100, 300):
        facts += feed(pipeline, make_batch([at(number)]), until=at(number + 1))
        facts += feed(pipeline, make_batch([at(number - 30)]), until=at(number + 1))
    assert [change.opened for change in changes(facts)] == [True]  # four hundred have come by now


@pytest.mark.parametrize("seed", range(5))
def test_it_goes_on_after_a_restart_as_if_there_had_been_none(seed: int) -> None:
    chance = random.Random(int(seeded().integers(2**32)) + seed)
    shares = [chance.choice([0, 4, 10, 40]) for _ in range(80)]
    whole, parts = make_pipeline(), make_pipeline()
    expected, found = list[Fact](), list[Fact]()
    for number, late in enumerate(shares):
        expected += minutes(whole, range(number, number + 1), late)
        found += minutes(parts, range(number, number + 1), late)
        if chance.random() < 0.3:
            fresh = make_pipeline()
            restored(parts, fresh)
            parts = fresh
    told = (AlertChanged, AlertEscalated)
    assert [fact for fact in found if isinstance(fact, told)] == [fact for fact in expected if isinstance(fact, told)]


def test_it_does_not_matter_in_how_many_batches_the_events_come() -> None:
    together, apart = make_pipeline(), make_pipeline()
    facts, others = minutes(together, range(20)), minutes(apart, range(20))
    for number in range(20, 40):
        old, new = [at(number - 15)] * 10, [at(number)] * ROWS
        facts += feed(together, make_batch([*old, *new]), until=at(number + 1))
        for time in (*old, *new):
            others += feed(apart, make_batch([time]), until=at(number))
        others += feed(apart, until=at(number + 1))

    assert changes(facts) == changes(others) != []


def test_words_name_topic_share_and_cause() -> None:
    pipeline = make_pipeline()
    explainer = Explainer({KEY: REFERENCE}, pipeline.watermark.behind)
    facts = explainer.explain([*minutes(pipeline, range(20)), *minutes(pipeline, range(20, 30), late=20)])

    (notice,) = notices(changes(facts), [subscriber("pager")], SENDER)
    assert WORDS.encode() in notice.notice.data


# --- silence ----------------------------------------------------------------------------------------------------------


def test_a_partition_that_nobody_answers_for_is_an_incident_with_the_partition_and_since_when() -> None:
    pipeline = make_pipeline()
    explainer = Explainer({KEY: REFERENCE}, pipeline.watermark.behind)
    minutes(pipeline, range(3))
    since, now = at(3), at(4)

    assert pipeline.silence({}, now) == []
    (opened,) = changes(explainer.explain(pipeline.silence({P0: since}, now)), REACHABILITY_RULE)
    assert (opened.opened, opened.since, opened.severity) == (True, since, Severity.CRITICAL)
    assert [(each.feature, each.since) for each in opened.evidence] == [("predictions/0", since)]
    assert opened.evidence[0].words.startswith("has had no answer from its leader since 2025-11-23 00:03")

    facts = pipeline.silence({}, now + 5 * MINUTE)
    (ended,) = changes(facts, REACHABILITY_RULE)
    assert (ended.closed, ended.incident) == (True, opened.incident)
    assert of(facts, RetrainDecided) == []


def test_another_partition_joins_and_a_restart_ends_nothing() -> None:
    pipeline = make_pipeline()
    (opened,) = changes(pipeline.silence({P0: at(0)}, at(1)), REACHABILITY_RULE)
    fresh = make_pipeline()
    restored(pipeline, fresh)

    (seen,) = of(fresh.current(), AlertSeen)
    assert seen.incident == opened.incident
    later = at(1) + 2 * 60 * MINUTE
    (told,) = of(fresh.silence({P0: at(0), P1: later - MINUTE}, later), AlertEscalated)
    assert [each.feature for each in told.new] == ["predictions/1"]
    assert told.alert.since == at(0)
    (ended,) = changes(fresh.silence({}, later + MINUTE), REACHABILITY_RULE)
    assert ended.incident == opened.incident


def test_a_second_outage_is_told_within_the_hour_and_who_joins_meanwhile_too() -> None:
    """The same partition is told once an hour at most, however often it comes and goes."""
    pipeline, hour = make_pipeline(), 60 * MINUTE
    (first,) = changes(pipeline.silence({P0: at(0)}, at(1)), REACHABILITY_RULE)
    assert changes(pipeline.silence({}, at(5)), REACHABILITY_RULE)[0].closed
    facts = list[Fact]()
    for minute in range(10, 90):
        facts += pipeline.silence({P0: at(9)} | ({P1: at(70)} if minute > 71 else {}), at(minute))
    opened = [change for change in changes(facts, REACHABILITY_RULE) if change.opened]

    assert [change.window.end for change in opened] == [at(1) + hour]
    assert opened[0].incident != first.incident
    for minute in range(90, 140):
        facts += pipeline.silence({P0: at(9), P1: at(70)}, at(minute))
    told = of(facts, AlertEscalated)
    assert [[each.feature for each in fact.new] for fact in told] == [["predictions/1"]]
    explainer = Explainer({KEY: REFERENCE}, pipeline.watermark.behind)
    (notice,) = notices(explainer.explain(told), [subscriber("pager")], SENDER)
    assert b", new: predictions/1 has had no answer" in notice.notice.data
