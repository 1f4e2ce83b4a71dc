"""Predictions joined with labels: against a plain join, in any order, through restarts, within a bound."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.facts import Fact, JoinCounted, PerformanceJudged
from monitor.series.performance import Performance
from monitor.series.records import owned
from monitor.series.truth import BINARY, Truth
from monitor.stream.events import Nanos
from tests.build import DAY, HOUR, KEY, MINUTE, at, of, stored
from tests.charted import seeded
from tests.labelled import AMPLE, Scored, Told, batch_of, joined_plainly, make_performance, performance_spec

IDS = [f"r-{number}" for number in range(6)]
WAIT = 10 * MINUTE
SPEC = {"wait": WAIT, "ages": (2 * MINUTE, WAIT)}

scored = st.builds(
    Scored,
    st.sampled_from(IDS),
    st.integers(0, 300).map(lambda second: at(second / 60)),
    st.sampled_from([0.1, 0.7, 0.9]),
)
told = st.builds(
    Told,
    st.sampled_from(IDS),
    st.integers(-200, 1200).map(lambda second: at(second / 60)),
    st.integers(0, 5),
    st.sampled_from([0.0, 1.0, None]),
)
END = at(60)


def fed(performance: Performance, events: Sequence[Scored | Told], cuts: Sequence[int] = ()) -> Performance:
    """The events as batches, cut at some places."""
    bounds = [0, *sorted(min(cut, len(events)) for cut in cuts), len(events)]
    for first, last in zip(bounds, bounds[1:], strict=False):
        performance.take(batch_of(events[first:last]))
    return performance


def judged(facts: Sequence[Fact]) -> list[PerformanceJudged]:
    return of(facts, PerformanceJudged)


def last_labels(events: Sequence[Scored | Told]) -> list[Scored | Told]:
    """Without labels of one id, time and offset that differ: no partition has two records at one offset."""
    seen: dict[object, Scored | Told] = {}
    for each in events:
        seen.setdefault((each.id, each.time, each.offset) if isinstance(each, Told) else each, each)
    return list(seen.values())


@given(
    st.lists(scored | told, max_size=25), st.randoms(use_true_random=False), st.lists(st.integers(0, 25), max_size=4)
)
def test_what_is_joined_is_what_a_plain_join_finds_in_any_order_and_batching(events, chance, cuts) -> None:
    events = last_labels(events)
    shuffled = list(events)
    chance.shuffle(shuffled)
    facts = fed(make_performance(**SPEC), events).advance(END)

    assert fed(make_performance(**SPEC), shuffled, cuts).advance(END) == facts
    spec = performance_spec(**SPEC)
    for fact in judged(facts):
        plain = joined_plainly(events, spec, fact.start, fact.age)
        labelled = {place: (score, label) for place, (score, label) in plain.items() if label is not None}
        hits = [(score >= 0.5) == (label == 1) for score, label in labelled.values()]
        assert (fact.predictions, fact.labelled) == (len(plain), len(labelled))
        accuracy = fact.metric("accuracy")
        assert accuracy is not None
        assert accuracy.value == (sum(hits) / len(hits) if hits else None)
        assert (accuracy.because is None) == bool(hits)


@given(st.lists(scored | told, max_size=20), st.lists(st.integers(0, 16), min_size=1, max_size=5))
def test_going_on_from_a_snapshot_is_never_having_stopped(events, stops) -> None:
    """Whatever is saved, row by row, a restart takes up; and what comes after is the same."""
    events = last_labels(events)
    straight, stopping, held = make_performance(**SPEC), make_performance(**SPEC), {}
    for number, each in enumerate(events):
        clock = at(number)
        assert stopping.take(batch_of([each])) == straight.take(batch_of([each]))
        assert stopping.advance(clock) == straight.advance(clock)
        held = stored(stopping.changes(), held)
        if number in stops:
            stopping = make_performance(**SPEC)
            assert stopping.restore(entries(held)) == []
            assert stopping.current() == straight.current()

    assert stopping.advance(END) == straight.advance(END)
    assert stored(stopping.changes(), held).keys() == stored(straight.snapshot()).keys()


def entries(held: dict[tuple[str, str], bytes]):
    from monitor.series.records import Record

    return [owned(Record(kind, key, payload))[1] for (kind, key), payload in held.items()]
