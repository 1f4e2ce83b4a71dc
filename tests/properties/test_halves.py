"""Laws of the join of halves: however requests and responses are read, what they come to is what whole predictions come to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.facts import (
    EventsCounted,
    Fact,
    HalvesCounted,
    JoinCounted,
    PerformanceJudged,
    RequestsServed,
    WindowClosed,
    WindowScored,
)
from monitor.pipeline import Pipeline
from monitor.series.halves import HalvesWait
from monitor.sources.formats.base import REQUEST, RESPONSE, WHOLE
from monitor.sources.formats.json import scanning
from monitor.stream.events import MILLISECOND
from monitor.stream.halves import GRID
from tests.build import MIDNIGHT, MINUTE, of, restored, stored
from tests.halved import Answered, Reading, halved_spec, logs_of

BEGIN_MS = MIDNIGHT // MILLISECOND
WAIT_MS = MINUTE // MILLISECOND
SPAN_MS = 5 * WAIT_MS
END = MIDNIGHT + 60 * MINUTE
some = settings(max_examples=40, deadline=None)
SPEC = halved_spec(min_rows=1)

answered = st.lists(
    st.tuples(
        st.integers(0, SPAN_MS),
        st.integers(0, WAIT_MS),
        st.sampled_from((None, 3.0, 50.0, 1000.0)),
        st.sampled_from((0.1, 0.5, 0.9)),
        st.sampled_from((None, 0, 1)),
    ),
    min_size=1,
    max_size=40,
).map(lambda rows: [Answered(at, BEGIN_MS + first, *rest) for at, (first, *rest) in enumerate(rows)])
polls = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=30)


def told(facts: Sequence[Fact]) -> dict[str, Any]:
    """What is to be the same: windows, scores, performance, and sums of what was counted."""
    served = of(facts, RequestsServed)
    ok = Counter[str]()
    for fact in of(facts, EventsCounted):
        ok[fact.outcome] += fact.count
    joined = Counter[tuple[str, str]]()
    for counted in of(facts, JoinCounted):
        joined.update({(counted.side, outcome): count for outcome, count in counted.outcomes.items()})
    return {
        "closed": of(facts, WindowClosed),
        "scored": of(facts, WindowScored),
        "worth": of(facts, PerformanceJudged),
        "events": ok,
        "joined": joined,
        "latencies": sum((fact.latencies for fact in served if fact.latencies is not None), start=0).tolist()
        if served
        else None,
        "failed": (sum(fact.told for fact in served), sum(fact.failed for fact in served)),
    }


def whole(rows: Sequence[Answered]) -> dict[str, Any]:
    reading = Reading(SPEC, logs_of(rows, [WHOLE]))
    facts: list[Fact] = []
    while reading.left:
        facts += reading.poll({WHOLE: 7})
    return told([*facts, *reading.end(END)])


def halves(facts: Sequence[Fact]) -> Counter[tuple[str, str]]:
    found = Counter[tuple[str, str]]()
    for fact in of(facts, HalvesCounted):
        found.update({(fact.half, outcome): count for outcome, count in fact.outcomes.items()})
    return found


def poll(reading: Reading, of_requests: int, of_responses: int, *, first: bool) -> list[Fact]:
    sizes = {REQUEST: of_requests, RESPONSE: of_responses}
    return reading.poll(sizes if first else dict(reversed(sizes.items())))


def rest_of(reading: Reading) -> list[Fact]:
    facts: list[Fact] = []
    while reading.left:
        facts += poll(reading, 5, 3, first=True)
    return [*facts, *reading.end(END)]


@some
@given(answered, polls)
def test_halves_read_in_any_way_come_to_what_whole_predictions_come_to(
    rows: list[Answered], plan: list[tuple[int, int, bool]]
) -> None:
    reading = Reading(SPEC, logs_of(rows, [REQUEST, RESPONSE]))
    facts = [fact for requests, responses, first in plan for fact in poll(reading, requests, responses, first=first)]
    facts += rest_of(reading)

    assert told(facts) == whole(rows)
    assert halves(facts) == {("request", "joined"): len(rows), ("response", "joined"): len(rows)}


@some
@given(answered, polls, st.lists(st.integers(0, 30), max_size=6))
def test_a_crash_while_halves_wait_changes_nothing(
    rows: list[Answered], plan: list[tuple[int, int, bool]], crashes: list[int]
) -> None:
    """What is told between the last checkpoint and the crash is told again: of windows the last telling counts."""
    logs = logs_of(rows, [REQUEST, RESPONSE])
    reading, store = Reading(SPEC, logs), dict[tuple[str, str], bytes]()
    saved, kept, fresh = dict(reading.at), list[Fact](), list[Fact]()
    for turn, (requests, responses, first) in enumerate(plan):
        fresh += poll(reading, requests, responses, first=first)
        if turn % 3 == 0:
            store = stored(reading.pipeline.changes(), store)
            saved, kept, fresh = dict(reading.at), kept + fresh, []
        if turn in crashes:
            reading, fresh = Reading(SPEC, logs, store), []
            reading.at = dict(saved)

    facts = [*kept, *fresh, *rest_of(reading)]
    assert told(facts) == whole(rows)
    assert halves(facts) == {("request", "joined"): len(rows), ("response", "joined"): len(rows)}


@some
@given(answered, polls, st.data())
def test_halves_that_are_sent_again_are_counted_and_change_nothing(
    rows: list[Answered], plan: list[tuple[int, int, bool]], data: st.DataObject
) -> None:
    logs = {half: list(log) for half, log in logs_of(rows, [REQUEST, RESPONSE]).items()}
    again = {half: data.draw(st.lists(st.sampled_from(log), max_size=8)) for half, log in logs.items()}
    for half, log in logs.items():
        log[:] = sorted([*log, *again[half]], key=lambda message: message[0])
    reading = Reading(SPEC, logs)
    facts = [fact for requests, responses, first in plan for fact in poll(reading, requests, responses, first=first)]
    facts += rest_of(reading)

    assert told(facts) == whole(rows)
    found = halves(facts)
    assert found["request", "repeated"] == len(again[REQUEST])
    assert found["response", "repeated"] == len(again[RESPONSE])


@some
@given(answered, polls, st.data())
def test_halves_that_never_meet_are_counted_and_are_no_rows(
    rows: list[Answered], plan: list[tuple[int, int, bool]], data: st.DataObject
) -> None:
    numbers = [each.number for each in rows]
    unanswered = data.draw(st.sets(st.sampled_from(numbers)))
    unasked = data.draw(st.sets(st.sampled_from(numbers)))
    logs = {
        REQUEST: logs_of([each for each in rows if each.number not in unasked], [REQUEST])[REQUEST],
        RESPONSE: logs_of([each for each in rows if each.number not in unanswered], [RESPONSE])[RESPONSE],
    }
    reading = Reading(SPEC, logs)
    facts = [fact for requests, responses, first in plan for fact in poll(reading, requests, responses, first=first)]
    facts += rest_of(reading)

    met = [each for each in rows if each.number not in unanswered | unasked]
    assert told(facts)["events"] == Counter({"ok": len(met)} if met else {})
    assert halves(facts) == Counter(
        {
            ("request", "joined"): len(met),
            ("response", "joined"): len(met),
            ("request", "unmatched"): len(unanswered - unasked),
            ("response", "unmatched"): len(unasked - unanswered),
        }
    )
    assert reading.pipeline.halves[SPEC.key].join.bytes == 0


@some
@given(answered, polls, st.lists(st.integers(0, 30), max_size=6), st.data())
def test_requests_that_nobody_answers_may_count_once_in_their_windows_whatever_crashes(
    rows: list[Answered], plan: list[tuple[int, int, bool]], crashes: list[int], data: st.DataObject
) -> None:
    """They come to what whole predictions come to that have no prediction."""
    unanswered = data.draw(st.sets(st.sampled_from([each.number for each in rows])))
    logs = logs_of(rows, [REQUEST, RESPONSE])
    logs[RESPONSE] = logs_of([each for each in rows if each.number not in unanswered], [RESPONSE])[RESPONSE]
    spec = halved_spec(min_rows=1, lateness=MINUTE + MINUTE // GRID)
    spec = replace(spec, halves=HalvesWait(MINUTE, unanswered=True))
    reading, store = Reading(spec, logs), dict[tuple[str, str], bytes]()
    saved, kept, fresh = dict(reading.at), list[Fact](), list[Fact]()
    for turn, (requests, responses, first) in enumerate(plan):
        fresh += poll(reading, requests, responses, first=first)
        if turn % 3 == 0:
            store = stored(reading.pipeline.changes(), store)
            saved, kept, fresh = dict(reading.at), kept + fresh, []
        if turn in crashes:
            reading, fresh = Reading(spec, logs, store), []
            reading.at = dict(saved)
    facts = [*kept, *fresh, *rest_of(reading)]

    both = [logs_of([each], [REQUEST if each.number in unanswered else WHOLE]).values() for each in rows]
    plain = Reading(spec, {WHOLE: sorted(message for [log] in both for message in log)})
    expected = [fact for _ in rows for fact in plain.poll({WHOLE: 1})] + plain.end(END)
    assert told(facts)["events"] == Counter({"ok": len(rows)})
    assert windows(facts) == windows(expected)
    assert halves(facts)["request", "unmatched"] == len(unanswered)


def windows(facts: Sequence[Fact]) -> list[WindowClosed]:
    """All but how requests were served: of those that nobody answered nobody knows."""
    return [replace(fact, requests=None) for fact in of(facts, WindowClosed)]


@some
@given(answered, polls)
@pytest.mark.usefixtures("compiled_parts")
def test_compiled_and_pure_say_the_same(rows: list[Answered], plan: list[tuple[int, int, bool]]) -> None:
    def run() -> dict[str, Any]:
        reading = Reading(SPEC, logs_of(rows, [REQUEST, RESPONSE]))
        facts = [f for requests, responses, first in plan for f in poll(reading, requests, responses, first=first)]
        return told([*facts, *rest_of(reading)])

    compiled = run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "COMPILED", False)
        assert run() == compiled


def test_state_of_before_halves_is_taken_up() -> None:
    """A store that has no rows of halves: none wait."""
    fresh = Pipeline([SPEC], idle_after=MINUTE)
    before = {place: row for place, row in stored(fresh.snapshot()).items() if not place[0].startswith("halves/")}

    assert not [fact for fact in restored(before, Pipeline([SPEC], idle_after=MINUTE)) if "StateReset" in repr(fact)]
