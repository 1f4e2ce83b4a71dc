"""A new version beside the one before it: traffic that moves from one to the other is no silence, that of both is."""

from dataclasses import replace

from monitor.alerting.rules import NO_DATA_RULE
from monitor.facts import AlertChanged, Fact, WindowClosed
from monitor.pipeline import Pipeline
from monitor.series.series import Predecessor
from monitor.stream.events import SeriesKey
from tests.build import KEY, MINUTE, OTHER_KEY, REFERENCE, at, feed, make_batch, make_pipeline, make_spec, of

WEEK, STEP = 7 * 24 * 60, 30  # minutes
THIRD = SeriesKey("other", "1")


def renewed() -> Pipeline:
    """Version 4 comes after 3; another model keeps event time going."""
    old, other = (make_spec(key=key, length=STEP * MINUTE) for key in (KEY, THIRD))
    new = replace(make_spec(key=OTHER_KEY, length=STEP * MINUTE), after=Predecessor(KEY, REFERENCE, REFERENCE))
    return make_pipeline(old, other, new)


def minutes(pipeline: Pipeline, numbers: range, *keys: SeriesKey) -> list[AlertChanged]:
    facts: list[Fact] = []
    for number in numbers:
        batches = [make_batch([at(number)], key=key) for key in (THIRD, *keys)]
        facts += feed(pipeline, *batches, until=at(number + STEP))
    return [fact for fact in of(facts, AlertChanged) if fact.rule == NO_DATA_RULE]


def test_traffic_that_moves_on_to_the_new_version_and_back_is_no_silence() -> None:
    pipeline = renewed()
    assert minutes(pipeline, range(0, WEEK + 60, STEP), KEY) == []
    moved = WEEK + 60
    assert minutes(pipeline, range(moved, moved + WEEK, STEP), OTHER_KEY) == []
    assert minutes(pipeline, range(moved + WEEK, moved + 2 * WEEK, STEP), KEY) == []


def test_who_catches_up_hears_of_the_others_however_many_windows_close_together() -> None:
    """Those of the new version are closed and counted ahead of what is judged: the pane that it has still answers for the model."""
    pipeline = renewed()
    minutes(pipeline, range(0, WEEK + 60, STEP), KEY)
    begun, end = WEEK + 60, WEEK + 60 + 12 * STEP
    versions = [make_batch([at(begun), at(end)], key=key) for key in (KEY, OTHER_KEY)]
    steady = make_batch([at(number) for number in range(begun, end + STEP, STEP)], key=THIRD)
    facts = feed(pipeline, steady, *versions, until=at(end + STEP))

    assert len(of(facts, WindowClosed)) == 13 + 2 + 2
    assert of(facts, AlertChanged) == []


def test_a_model_that_nobody_asks_at_all_is_told_of_and_any_version_ends_that() -> None:
    pipeline = renewed()
    minutes(pipeline, range(0, WEEK + 60, STEP), KEY)
    begun = WEEK + 60
    opened = minutes(pipeline, range(begun, begun + 12 * 60, STEP))
    assert [(each.key, each.opened) for each in opened] == [(KEY, True)]
    ended = minutes(pipeline, range(begun + 12 * 60, begun + 14 * 60, STEP), OTHER_KEY)
    assert [(each.key, each.closed) for each in ended] == [(KEY, True)]
