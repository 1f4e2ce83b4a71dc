"""Laws of the pipeline: order, batching, restarts and replays leave no trace in what is decided."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alerting.rules import Severity
from monitor.facts import (
    AlertChanged,
    AlertSeen,
    EventsCounted,
    Fact,
    RetrainDecided,
    RetrainEnded,
    WatermarkAdvanced,
    WindowClosed,
    WindowScored,
)
from monitor.pipeline import Pipeline
from monitor.series.records import Record
from monitor.series.series import SeriesSpec
from monitor.stream.events import SECOND, EventBatch, MicroBatch, Nanos, Partition, SeriesKey
from monitor.targets.payloads import Sender, notices
from tests.build import (
    KEY,
    MINUTE,
    OTHER_KEY,
    P0,
    P1,
    at,
    make_batch,
    make_pipeline,
    make_rule,
    make_spec,
    of,
    restored,
    stored,
)
from tests.fakes import subscriber

TICK = 20 * SECOND  # event times lie on this grid, so that windows close often
IDLE_AFTER = 30 * SECOND
PARTITIONS = (P0, P1)
END = 100  # ticks; later than any event
DECIDED = (WindowClosed, WindowScored, AlertSeen, AlertChanged, RetrainDecided)
AGES = (None, None, 50.0, 1000.0)
RULES = (
    make_rule(name="patient", fire_above=0.5, clear_below=0.3, hold=2, keep_firing_for=2, severity=Severity.CRITICAL),
    make_rule(name="far", detector="psi", features=("*",), fire_above=4.0, clear_below=2.0, min_rows=2),
    make_rule(name="shift", detector="adwin", fire_above=1.0, clear_below=0.5, severity=Severity.CRITICAL),
    make_rule(name="volume", detector="volume", features=("*",), fire_above=0.9, clear_below=0.5),
)
some = settings(max_examples=60, deadline=None)


@dataclass(frozen=True, slots=True)
class Event:
    """One event on its way: when it happened, how many ticks later it is read, where, of what series."""

    tick: int
    delay: int
    partition: Partition
    key: SeriesKey
    age: float | None

    @property
    def time(self) -> Nanos:
        return at(0) + self.tick * TICK

    @property
    def read(self) -> int:
        return self.tick + self.delay


@dataclass(frozen=True, slots=True)
class World:
    """Two series of one model, each with its lateness, window and slide in ticks, and their events."""

    shapes: tuple[tuple[int, int, int], ...]
    events: tuple[Event, ...]

    @property
    def specs(self) -> list[SeriesSpec]:
        return [
            make_spec(
                key=key,
                lateness=lateness * TICK,
                length=length * TICK,
                slide=slide * TICK,
                rules=RULES,
                cooldown=5 * MINUTE,
                max_per_week=3,
            )
            for key, (lateness, length, slide) in zip((KEY, OTHER_KEY), self.shapes, strict=True)
        ]

    def pipeline(self) -> Pipeline:
        return make_pipeline(*self.specs, idle_after=IDLE_AFTER)


@st.composite
def worlds(draw: st.DrawFn, most_delay: int | None = None) -> World:
    """Delays are within the smallest lateness unless `most_delay` says otherwise."""
    windows = st.sampled_from([(3, 3), (6, 3), (6, 2), (1, 1)])
    shapes = tuple((draw(st.integers(0, 4)), *draw(windows)) for _ in range(2))
    bound = min(lateness for lateness, _, _ in shapes) if most_delay is None else most_delay
    event = st.builds(
        Event,
        tick=st.integers(0, 40),
        delay=st.integers(0, bound),
        partition=st.sampled_from(PARTITIONS),
        key=st.sampled_from([KEY, KEY, OTHER_KEY]),
        age=st.sampled_from(AGES),
    )
    return World(shapes, tuple(draw(st.lists(event, min_size=20, max_size=80))))


def batches_of(events: Sequence[Event]) -> tuple[EventBatch, ...]:
    by_key: dict[SeriesKey, list[Event]] = {}
    for event in events:
        by_key.setdefault(event.key, []).append(event)
    return tuple(
        make_batch([one.time for one in found], [one.age for one in found], key=key) for key, found in by_key.items()
    )


def micro_batch(events: Sequence[Event]) -> MicroBatch:
    seen = {
        partition: max(event.time for event in events if event.partition == partition)
        for partition in {event.partition for event in events}
    }
    return MicroBatch(batches_of(events), seen, read=frozenset(seen))


ASSIGNED = MicroBatch(assigned=frozenset(PARTITIONS))
LAST = MicroBatch(seen=dict.fromkeys(PARTITIONS, at(0) + END * TICK))


def run(pipeline: Pipeline, arriving: Iterable[MicroBatch]) -> list[Fact]:
    return [fact for one in arriving for fact in (*pipeline.ingest(one, now=0), *pipeline.advance())]


def decided(facts: Iterable[Fact]) -> list[Fact]:
    """What may not depend on order and batching; counters and the watermark's steps do."""
    return [fact for fact in facts if isinstance(fact, DECIDED)]


def cut(events: Sequence[Event], cuts: Iterable[int]) -> list[MicroBatch]:
    bounds = [0, *sorted(place % (len(events) + 1) for place in cuts), len(events)]
    return [micro_batch(events[first:last]) for first, last in pairwise(bounds)]


def shuffled(data: st.DataObject, events: Sequence[Event]) -> list[Event]:
    """Each partition by the time of reading, the partitions interleaved in any way."""
    lanes = [
        sorted((event for event in events if event.partition == one), key=lambda event: event.read, reverse=True)
        for one in PARTITIONS
    ]
    found: list[Event] = []
    while any(lanes):
        lane = lanes[data.draw(st.integers(0, 1))]
        taken = data.draw(st.integers(1, 10))
        found += reversed(lane[-taken:])
        del lane[-taken:]
        lanes = ([other for other in lanes if other] * 2)[:2]
    return found


cuts = st.lists(st.integers(0, 1000), max_size=30)
subscribers = [subscriber("all")]


def ids(facts: Iterable[Fact]) -> list[str]:
    return [addressed.notice.id for addressed in notices(facts, subscribers, Sender("config", "version"))]


def by_event_time(facts: Iterable[Fact]) -> list[Fact]:
    """Without the ends of requests by a new version: whether that was read before or after the window that asked closed is the order of reading."""
    return [fact for fact in facts if not isinstance(fact, RetrainEnded)]


# --- order and batching ---------------------------------------------------------------------------------------------


@some
@given(worlds(), cuts, st.data())
def test_any_order_within_the_lateness_bound_in_any_batching_gives_the_same_facts(
    world: World, places: list[int], data: st.DataObject
) -> None:
    in_order = sorted(world.events, key=lambda event: event.time)
    one_by_one = [micro_batch([event]) for event in in_order]
    another_way = cut(shuffled(data, world.events), places)

    first = run(world.pipeline(), [ASSIGNED, *one_by_one, LAST])
    second = run(world.pipeline(), [ASSIGNED, *another_way, LAST])

    assert decided(first) == decided(second)
    assert ids(by_event_time(first)) == ids(by_event_time(second))
    if len({event.key for event in world.events}) == len({event.key.model for event in world.events}):
        assert ids(first) == ids(second)  # no model has a version that could end anything
    assert not any(fact.outcome == "late" for fact in of([*first, *second], EventsCounted))


@some
@given(worlds())
def test_no_two_notifications_have_the_same_id(world: World) -> None:
    in_order = sorted(world.events, key=lambda event: event.time)
    said = ids(run(world.pipeline(), [ASSIGNED, *(micro_batch([event]) for event in in_order), LAST]))

    assert [name for name, times in Counter(said).items() if times > 1] == []


# --- restarts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turn:
    """One poll: what arrived, which partitions were read to their end, at what processing time."""

    arrived: MicroBatch
    now: Nanos


@st.composite
def turns(draw: st.DrawFn, world: World) -> list[Turn]:
    """Polls in which partitions come to their end, fall idle, and wake with late events."""
    arrived = [ASSIGNED, *cut(sorted(world.events, key=lambda event: event.read), draw(cuts)), MicroBatch(), LAST]
    now, found = at(END), []
    for one in arrived:
        now += draw(st.sampled_from([0, 0, IDLE_AFTER]))
        confirmed = {partition: now for partition in PARTITIONS if draw(st.booleans())}
        unconfirmed = frozenset(PARTITIONS) - confirmed.keys()
        found.append(Turn(replace(one, confirmed=confirmed, unconfirmed=unconfirmed), now))
    return found


def turned(pipeline: Pipeline, turn: Turn) -> list[Fact]:
    return [*pipeline.ingest(turn.arrived, turn.now), *pipeline.advance()]


def again(pipeline: Pipeline, turn: Turn) -> Turn:
    """The first poll after a restart: all is assigned anew, and what was at its end is said to be so."""
    at_end = {place: clock.confirmed for place, clock in pipeline.watermark.partitions.items()}
    known = {place: as_of for place, as_of in at_end.items() if as_of is not None and place not in turn.arrived.read}
    confirmed = known | dict(turn.arrived.confirmed)
    return Turn(replace(turn.arrived, assigned=frozenset(PARTITIONS), confirmed=confirmed), turn.now)


def meaning(state: Pipeline | dict[tuple[str, str], bytes]) -> dict[tuple[str, str], Any]:
    """Saved state, JSON as what it says: 0 and 0.0 are the same."""
    held = stored(state.snapshot()) if isinstance(state, Pipeline) else state
    binary = {
        "adwin",
        "fed",
        "pane",
        "report",
        "incident",
        "lateness",
        "reachability",
        "frozen",
        "no_data",
        "track",
        "track_hour",
    }
    return {place: row if place[0] in binary else json.loads(row) for place, row in held.items()}


def as_restored(world: World, held: dict[tuple[str, str], bytes], now: Nanos) -> Pipeline:
    """The pipeline that goes on from what a store holds."""
    fresh = world.pipeline()
    restored(held, fresh, now)
    return fresh


SUMMED = {"adwin", "fed"}  # ADWIN is what it was when last written whole, and what it was fed since

late_worlds = worlds(most_delay=15)


@some
@given(late_worlds, st.data())
def test_snapshot_restore_and_go_on_is_never_stopped(world: World, data: st.DataObject) -> None:
    todo = data.draw(turns(world))
    stop = data.draw(st.integers(1, len(todo) - 1))
    whole, before, after = (world.pipeline() for _ in range(3))
    for turn in todo[:stop]:
        assert turned(whole, turn) == turned(before, turn)
    assert restored(before, after, todo[stop - 1].now) == []

    assert after.current() == before.current()
    assert turned(after, again(before, todo[stop])) == turned(whole, todo[stop])
    for turn in todo[stop + 1 :]:
        assert turned(after, turn) == turned(whole, turn)
    assert meaning(after) == meaning(whole)


@some
@given(late_worlds, st.data())
def test_a_store_that_takes_only_the_changes_holds_the_snapshot(world: World, data: st.DataObject) -> None:
    """Any number of checkpoints at any time, each upserting and deleting rows, and a restart at any of them."""
    todo = data.draw(turns(world))
    pipeline = world.pipeline()
    whole = world.pipeline()
    held: dict[tuple[str, str], bytes] = {}
    now = 0
    for turn in todo:
        what = data.draw(st.sampled_from(["go on", "save", "save", "restart"]))
        if what != "go on":
            held = stored(pipeline.changes(), held)
            full, written = (
                meaning(pipeline),
                {place: row for place, row in meaning(held).items() if place[0] not in SUMMED},
            )
            assert {place: full.get(place) for place in written} == written
        if what == "restart":
            fresh = as_restored(world, held, now)
            assert meaning(fresh) == full
            facts = turned(fresh, again(pipeline, turn))
            pipeline = fresh
        else:
            facts = turned(pipeline, turn)
        assert facts == turned(whole, turn)
        now = turn.now
    assert meaning(pipeline) == meaning(whole)


@some
@given(worlds(), cuts, cuts, st.data())
def test_a_replay_from_an_older_checkpoint_says_the_same_again_under_the_same_ids(
    world: World, places: list[int], other_places: list[int], data: st.DataObject
) -> None:
    """After a crash all since the checkpoint is read again, in other batches and another order of partitions."""
    events = shuffled(data, world.events)
    saved = data.draw(st.integers(0, len(events)))
    first = world.pipeline()
    run(first, [ASSIGNED, *cut(events[:saved], places)])
    second = world.pipeline()
    held = [Record(kind, key, payload) for (kind, key), payload in stored(first.snapshot()).items()]
    since = run(first, [*cut(events[saved:], places), LAST])  # the crash comes anywhere in here

    second.restore(held, now=0)
    replayed = run(second, [ASSIGNED, *cut(shuffled(data, events[saved:]), other_places), LAST])

    assert decided(replayed) == decided(since)
    assert ids(by_event_time(replayed)) == ids(by_event_time(since))
    if len({event.key for event in events}) == len({event.key.model for event in events}):
        assert ids(replayed) == ids(since)  # no model has a version that could end anything


# --- time and counting ----------------------------------------------------------------------------------------------


@some
@given(worlds(most_delay=15))
def test_every_event_is_in_a_window_or_late_or_before_the_first_window(world: World) -> None:
    specs = [make_spec(key=spec.key, length=3 * TICK, lateness=spec.windows.lateness) for spec in world.specs]
    pipeline = make_pipeline(*specs)
    rows, late = Counter[SeriesKey](), Counter[SeriesKey]()
    accepted: dict[SeriesKey, list[Nanos]] = {KEY: [], OTHER_KEY: []}
    facts = run(pipeline, [ASSIGNED])
    for event in sorted(world.events, key=lambda event: event.read):
        told = run(pipeline, [micro_batch([event])])
        if of(told, EventsCounted)[0].outcome == "late":
            late[event.key] += 1
        else:
            accepted[event.key].append(event.time)
        facts += told
    for window in of([*facts, *run(pipeline, [LAST])], WindowClosed):
        rows[window.key] += window.rows
    for key, times in accepted.items():
        first = -(-min(times, default=0) // (3 * TICK)) * 3 * TICK
        before_first = sum(time < first for time in times)

        assert rows[key] + late[key] + before_first == sum(event.key == key for event in world.events)


@some
@given(worlds(), cuts)
def test_windows_are_whole_aligned_and_in_order(world: World, places: list[int]) -> None:
    arriving = cut(sorted(world.events, key=lambda event: event.read), places)
    facts = run(world.pipeline(), [ASSIGNED, *arriving, LAST])
    for spec in world.specs:
        windows = [window for window in of(facts, WindowClosed) if window.key == spec.key]

        assert all(window.end - window.start == spec.windows.length for window in windows)
        assert all(window.start % spec.windows.slide == 0 and window.rows > 0 for window in windows)
        assert all(one.end < other.end for one, other in pairwise(windows))


@some
@given(worlds(), cuts)
def test_a_window_is_said_only_after_the_watermark_passed_its_end_by_the_lateness(
    world: World, places: list[int]
) -> None:
    lateness = {spec.key: spec.windows.lateness for spec in world.specs}
    arriving = cut(sorted(world.events, key=lambda event: event.read), places)
    before, watermark = -1, -1
    for fact in run(world.pipeline(), [ASSIGNED, *arriving, LAST]):
        if isinstance(fact, WatermarkAdvanced):
            before, watermark = watermark, fact.at
        if isinstance(fact, WindowClosed):
            assert before < fact.end + lateness[fact.key] <= watermark
