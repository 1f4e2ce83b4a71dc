"""A model that gets no events for longer than is its own is an incident, by event time, or as time goes on where all is read."""

from collections.abc import Iterable

import numpy as np
import pytest

from detectors import Reference, Sketch
from monitor.alerting.rules import NO_DATA_RULE, Severity
from monitor.explain.explainer import Explainer
from monitor.explain.words import summary
from monitor.facts import AlertChanged, Fact, RetrainDecided
from monitor.pipeline import Pipeline
from monitor.stream.events import MicroBatch, Nanos
from monitor.stream.windows import SealedPane
from tests.build import (
    DAY,
    HOUR,
    KEY,
    MIDNIGHT,
    MINUTE,
    OTHER_KEY,
    P0,
    REFERENCE,
    at,
    feed,
    make_batch,
    make_pipeline,
    make_spec,
    of,
    restored,
)
from tests.charted import seeded

WEEK, STEP = 7 * 24 * 60, 30  # minutes


def two() -> Pipeline:
    return make_pipeline(make_spec(length=STEP * MINUTE), make_spec(key=OTHER_KEY, length=STEP * MINUTE))


def minutes(pipeline: Pipeline, numbers: range, *, both: bool = True) -> list[Fact]:
    """In every window an event of one model; and of the other, where it gets any."""
    facts: list[Fact] = []
    for number in numbers:
        batches = [make_batch([at(number)], key=OTHER_KEY), *([make_batch([at(number)])] if both else [])]
        facts += feed(pipeline, *batches, until=at(number + STEP))
    return facts


def changes(facts: list[Fact]) -> list[AlertChanged]:
    return [fact for fact in of(facts, AlertChanged) if fact.rule == NO_DATA_RULE]


def test_once_it_is_known_three_windows_without_an_event_are_told_once_and_end_with_the_next() -> None:
    pipeline = two()
    assert changes(minutes(pipeline, range(0, WEEK + 60, STEP))) == []
    begun, facts = WEEK + 60, minutes(pipeline, range(WEEK + 60, WEEK + 60 + 12 * 60, STEP), both=False)
    facts = Explainer({KEY: REFERENCE}).explain(facts)

    (opened,) = changes(facts)
    assert (opened.key, opened.opened, opened.kind.value, opened.severity.value) == (KEY, True, "service", "critical")
    assert opened.window.end == at(begun + 3 * STEP)
    assert summary(opened).startswith("churn/3 gets no data since 2025-11-30 01:")
    assert summary(opened).endswith(
        "events have not come since 2025-11-30 01:00; a pause of 90 minutes is not usual here"
    )
    (ended,) = changes(minutes(pipeline, range(begun + 12 * 60, begun + 12 * 60 + 60, STEP)))
    assert (ended.closed, ended.incident) == (True, opened.incident)
    assert of(facts, RetrainDecided) == []


def test_in_its_first_week_three_days_are_waited_for() -> None:
    pipeline, began, days = two(), 600, 3 * 24 * 60 + 2 * STEP
    minutes(pipeline, range(0, began, STEP))

    assert changes(minutes(pipeline, range(began, began + days, STEP), both=False)) == []
    assert [
        fact.opened for fact in changes(minutes(pipeline, range(began + days, began + days + 120, STEP), both=False))
    ]


def office_hours(day: int) -> range:
    """Eight to six on weekdays; the first day is a Sunday."""
    return range(day * 24 * 60 + 8 * 60, day * 24 * 60 + 18 * 60, STEP)


@pytest.mark.parametrize("first", [0, 3, 5])
def test_nights_and_weekends_are_nobodys_incident_from_the_first_on_whatever_day_it_begins(first: int) -> None:
    pipeline, told = two(), []
    for day in range(first, first + 16):
        worked = office_hours(day) if day % 7 in range(1, 6) else range(0)
        for number in range(day * 24 * 60, (day + 1) * 24 * 60, STEP):
            told += changes(minutes(pipeline, range(number, number + STEP, STEP), both=number in worked))
    assert told == []

    later = (first + 16 + (1 - first - 29) % 7) * 24 * 60  # a Monday, of which the morning is missing
    told = changes(minutes(pipeline, range((first + 16) * 24 * 60, later, STEP), both=False))
    told += changes(minutes(pipeline, range(later, later + 5 * 24 * 60, STEP), both=False))
    assert [fact.opened for fact in told] == [True]


def test_one_outage_is_no_pause_of_its_own() -> None:
    pipeline = two()
    minutes(pipeline, range(0, 8 * 24 * 60, STEP))
    told = []
    for day in (8, 10):
        noon = day * 24 * 60
        told += changes(minutes(pipeline, range(noon, noon + 600, STEP), both=False))
        told += changes(minutes(pipeline, range(noon + 600, noon + 48 * 60, STEP)))
    assert [fact.opened for fact in told] == [True, False, True, False]


def test_a_reference_without_a_pause_is_waited_for_as_long_only_as_it_is_unwatched() -> None:
    rows = 8 * 24 * 60
    table = {"age": seeded().normal(size=rows)}
    times = at(0) + np.arange(rows) * MINUTE
    gap = (np.arange(rows) // 60) % 24 < 18
    steady = Reference.fit(table, timestamps=times, window_ns=HOUR)
    nights = Reference.fit({"age": table["age"][gap]}, timestamps=times[gap], window_ns=HOUR)
    waits = [
        make_pipeline(reference=each, length=STEP * MINUTE).series[KEY].features.operator(NO_DATA_RULE).limit(at(0))
        for each in (steady, nights, REFERENCE)
    ]
    assert waits == [7 * HOUR, 64 * HOUR, 3 * DAY + HOUR]  # seven nights of six hours, half as long again


def test_a_pause_that_was_jumped_over_is_told_with_its_end() -> None:
    """As from a backlog: event time goes from before it to behind it at once."""
    slow, quick = two(), two()
    for pipeline in (slow, quick):
        minutes(pipeline, range(0, 60, STEP))
    back = 60 + 4 * 24 * 60
    step_by_step = minutes(slow, range(60, back, STEP), both=False)
    step_by_step += minutes(slow, range(back, back + STEP, STEP))
    at_once = feed(quick, make_batch([at(back)]), until=at(back + STEP))

    expected, found = ([fact for fact in changes(facts) if fact.key == KEY] for facts in (step_by_step, at_once))
    assert expected == found
    assert [fact.opened for fact in found] == [True, False]


def idle(pipeline: Pipeline, now: int) -> list[Fact]:
    """The only partition is at its end, and silent."""
    pipeline.ingest(MicroBatch(confirmed={P0: now}), now)
    return pipeline.advance()


def test_where_nothing_comes_at_all_time_goes_on_as_the_clock_does() -> None:
    pipeline, began = two(), at(5000)
    feed(pipeline, make_batch([at(0), at(1)]), make_batch([at(0), at(1)], key=OTHER_KEY), until=at(STEP), now=began)
    feed(pipeline, make_batch([at(31)]), make_batch([at(31)], key=OTHER_KEY), until=at(2 * STEP + 1), now=began)

    assert changes(pipeline.rest(began + 12 * HOUR)) == []  # nobody knows whether all is read
    idle(pipeline, began + HOUR)
    assert changes(pipeline.rest(began + 3 * DAY)) == []
    told = changes(pipeline.rest(began + 3 * DAY + HOUR))
    assert sorted(str(fact.key) for fact in told) == ["churn/3", "churn/4"]
    assert pipeline.rest(began + 30 * DAY) == []

    fresh = two()
    restored(pipeline, fresh)
    facts = feed(fresh, make_batch([at(30 * 60)]), until=at(30 * 60 + STEP), now=began + 31 * DAY)
    assert [(fact.closed, str(fact.key)) for fact in changes(facts)] == [(True, "churn/3")]


def test_a_restart_begins_the_silence_anew_where_nothing_comes() -> None:
    pipeline = two()
    feed(pipeline, make_batch([at(0), at(1)]), until=at(STEP), now=at(20))
    fresh = two()
    restored(pipeline, fresh)
    later = at(20) + 2 * DAY
    fresh.rest(later)
    feed(fresh, until=at(STEP + 1), now=later)
    idle(fresh, later + HOUR)

    assert changes(fresh.rest(later + HOUR)) == []
    assert [fact.opened for fact in changes(fresh.rest(later + 3 * DAY + 2 * HOUR))] == [True]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_model_that_never_had_an_event_is_waited_for(restarts: bool) -> None:
    pipeline = two()
    facts = minutes(pipeline, range(0, 2 * 24 * 60, STEP), both=False)
    if restarts:
        fresh = two()
        restored(pipeline, fresh)
        facts += minutes(fresh, range(2 * 24 * 60, 3 * 24 * 60, STEP), both=False)
    assert [fact for fact in changes(facts) if fact.key == KEY] == []


def followed(panes: Iterable[int], until: int, *, step: Nanos = STEP * MINUTE) -> list[AlertChanged]:
    """What is told of a model that has events in these panes alone, and of which time goes on until another one."""
    pipeline = make_pipeline(make_spec(length=step))
    operator = pipeline.series[KEY].features.operator(NO_DATA_RULE)
    row, facts, before = Sketch.empty(REFERENCE.layout), list[Fact](), -1
    row.update(*REFERENCE.encode({"age": [40.0], "plan": ["free"]}))
    for number in [*sorted(set(panes)), until]:
        if before >= 0:
            last = MIDNIGHT + (before + 1) * step
            for clock in range(last, MIDNIGHT + number * step + 1, max(HOUR, step)):
                facts += operator.on_time(clock, last)
        if number < until:
            facts += operator.on_pane(SealedPane(MIDNIGHT + number * step, MIDNIGHT + (number + 1) * step, row))
        before = number
    return changes(facts)


@pytest.mark.parametrize("per_day", [1, 5, 20])
def test_a_model_of_few_events_at_random_has_long_pauses_and_is_told_of_when_they_are_longer(per_day: int) -> None:
    days, rng = 200, seeded()
    panes = np.unique(rng.integers(0, days * 48, rng.poisson(per_day * days)))
    told = followed(panes.tolist(), days * 48)
    assert [fact for fact in told if fact.opened and fact.severity is Severity.CRITICAL] == []
    assert len(told) <= 2

    told = followed(panes.tolist(), (days + 40 // per_day + 5) * 48)
    assert told[-1].opened


def job(every: int, *, runs: int, panes: int = 4) -> list[int]:
    """The panes of a job that works for a few of them, every so many days."""
    return [number * every * 48 + pane for number in range(runs) for pane in range(panes)]


@pytest.mark.parametrize(("every", "panes"), [(7, 1), (7, 4), (30, 1), (30, 4), (30, 48)])
def test_a_job_is_a_warning_until_its_own_pause_has_come_and_pages_when_it_stays_away(every: int, panes: int) -> None:
    facts = followed(job(every, runs=8, panes=panes), 8 * every * 48)
    assert [(fact.opened, fact.severity.value) for fact in facts] == [(True, "warning"), (False, "warning")]

    (*_, told) = followed(job(every, runs=8, panes=panes), 11 * every * 48)
    assert (told.opened, told.severity.value) == (True, "critical")


@pytest.mark.parametrize("live", [2, 20])
def test_a_test_before_it_went_live_mutes_nothing_once_it_comes_steadily(live: int) -> None:
    """One window of smoke test, ten days of nothing: a pause that does not come again."""
    panes = [0, *range(10 * 48, (10 + live) * 48)]
    (*_, told) = followed(panes, (10 + live) * 48 + 24)
    assert (told.opened, told.severity.value) == (True, "critical")
    assert told.evidence[0].since == MIDNIGHT + (10 + live) * 48 * STEP * MINUTE


def test_a_job_of_working_days_pages_when_it_stays_away_for_twice_a_weekend() -> None:
    days = [day * 48 for day in range(60) if day % 7 in range(1, 6)]
    assert [fact for fact in followed(days, 61 * 48) if fact.severity is Severity.CRITICAL] == []
    (*_, told) = followed(days, 67 * 48)
    assert (told.opened, told.severity.value) == (True, "critical")


def test_while_leaders_are_silent_nobodys_pause_goes_on() -> None:
    """`reachability` tells of it, once for every model that there is."""
    pipeline, away = two(), 5 * DAY
    minutes(pipeline, range(0, WEEK + 60, STEP))
    began = at(WEEK + 60)
    feed(pipeline, make_batch([began]), make_batch([began], key=OTHER_KEY), now=began)
    idle(pipeline, began + HOUR)
    told = changes(pipeline.rest(began + HOUR))
    for hour in range(1, away // HOUR):
        now = began + hour * HOUR
        pipeline.silence({P0: began + HOUR}, now)
        told += changes(pipeline.rest(now))
    assert told == []

    pipeline.silence({}, began + away)
    back = WEEK + 60 + away // MINUTE
    fresh = two()
    restored(pipeline, fresh)
    assert changes(minutes(fresh, range(back, back + 240, STEP))) == []
    gone = changes(minutes(fresh, range(back + 240, back + 480, STEP), both=False))
    assert [fact.opened for fact in gone] == [True]  # and what was missed is no pause of its own


def test_a_machine_that_slept_has_heard_of_no_pause() -> None:
    pipeline = two()
    minutes(pipeline, range(0, WEEK + 60, STEP))
    began = at(WEEK + 60)
    feed(pipeline, make_batch([began]), make_batch([began], key=OTHER_KEY), now=began)
    idle(pipeline, began + MINUTE)
    woken = began + 3 * DAY
    pipeline.ingest(MicroBatch(unconfirmed=frozenset({P0})), woken)
    pipeline.ingest(MicroBatch(confirmed={P0: woken + MINUTE}), woken + MINUTE)
    pipeline.advance()

    assert changes(pipeline.rest(woken + MINUTE)) == []
    idle(pipeline, woken + 3 * HOUR)
    assert len(changes(pipeline.rest(woken + 3 * HOUR))) == 2
