"""Predictions joined with labels: against a plain join, in any order, through restarts, within a bound."""

import random
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.facts import Fact, JoinCounted, PerformanceJudged, StateReset
from monitor.series.performance import PIECES, PREDICTIONS, Performance
from monitor.series.records import Entry, Record, owned
from monitor.series.truth import BINARY, MULTICLASS, REGRESSION, Truth
from monitor.stream.events import JoinBatch
from monitor.stream.join import LABEL, PREDICTION, no_rows, rows_of
from tests.build import KEY, MINUTE, at, of, stored
from tests.charted import seeded
from tests.labelled import Scored, Told, batch_of, joined_plainly, make_performance, performance_spec

Event = Scored | Told
IDS = [f"r-{number}" for number in range(6)]
WAIT = 10 * MINUTE
SHAPES: list[dict[str, Any]] = [
    {"wait": WAIT},
    {"wait": WAIT, "ages": (2 * MINUTE, WAIT)},
    {"wait": WAIT, "ages": (0, 3 * MINUTE, WAIT), "length": 3 * MINUTE, "slide": MINUTE},
]
END = at(90)

scored = st.builds(
    Scored,
    st.sampled_from(IDS),
    st.integers(0, 300).map(lambda second: at(second / 60)),
    st.sampled_from([0.1, 0.7, 0.9]),
)
told = st.builds(
    Told,
    st.sampled_from(IDS),
    st.integers(-700, 1200).map(lambda second: at(second / 60)),
    st.integers(0, 5),
    st.sampled_from([0.0, 1.0, None]),
)


def fed(performance: Performance, events: Sequence[Event], cuts: Iterable[int] = ()) -> Performance:
    """The events as batches, cut at some places."""
    bounds = [0, *sorted(min(cut, len(events)) for cut in cuts), len(events)]
    for first, last in pairwise(bounds):
        performance.take(batch_of(events[first:last]))
    return performance


def judged(facts: Iterable[Fact]) -> list[PerformanceJudged]:
    return of(facts, PerformanceJudged)


def distinct(events: Iterable[Event]) -> list[Event]:
    """Without labels of one id, time and offset that differ: no partition has two records at one offset."""
    seen: dict[object, Event] = {}
    for each in events:
        seen.setdefault((each.id, each.time, each.offset) if isinstance(each, Told) else each, each)
    return list(seen.values())


def entries(held: Mapping[tuple[str, str], bytes]) -> list[Entry]:
    """What a store hands back."""
    return [owned(Record(kind, key, payload))[1] for (kind, key), payload in held.items()]


def value(fact: PerformanceJudged, name: str) -> float | None:
    metric = fact.metric(name)
    assert metric is not None
    assert (metric.value is None) == (metric.because is not None)
    return metric.value


@given(
    st.sampled_from(SHAPES),
    st.lists(scored | told, max_size=25),
    st.randoms(use_true_random=False),
    st.lists(st.integers(0, 25), max_size=4),
)
def test_what_is_joined_is_what_a_plain_join_finds_in_any_order_and_batching(
    shape: dict[str, Any], events: list[Event], chance: random.Random, cuts: list[int]
) -> None:
    events = distinct(events)
    shuffled = list(events)
    chance.shuffle(shuffled)
    facts = fed(make_performance(**shape), events).advance(END)

    assert fed(make_performance(**shape), shuffled, cuts).advance(END) == facts
    spec = performance_spec(**shape)
    for fact in judged(facts):
        starts = range(fact.start, fact.end, spec.join.slide)
        pairs = [pair for start in starts for pair in joined_plainly(events, spec, start, fact.age).values()]
        hits = [(score >= 0.5) == (label == 1) for score, label in pairs if label is not None]
        assert (fact.predictions, fact.labelled) == (len(pairs), len(hits))
        assert value(fact, "accuracy") == (pytest.approx(sum(hits) / len(hits)) if hits else None)


@given(
    st.sampled_from(SHAPES), st.lists(scored | told, max_size=20), st.lists(st.integers(0, 16), min_size=1, max_size=5)
)
def test_going_on_from_a_snapshot_is_never_having_stopped(
    shape: dict[str, Any], events: list[Event], stops: list[int]
) -> None:
    """Whatever is saved, row by row, a restart takes up; and what comes after is the same."""
    events = distinct(events)
    straight, stopping = make_performance(**shape), make_performance(**shape)
    held: dict[tuple[str, str], bytes] = {}
    for number, each in enumerate(events):
        assert stopping.take(batch_of([each])) == straight.take(batch_of([each]))
        assert stopping.advance(at(number)) == straight.advance(at(number))
        held = stored(stopping.changes(), held)
        if number in stops:
            stopping = make_performance(**shape)
            assert stopping.restore(entries(held)) == []
            assert stopping.current() == straight.current()

    assert stopping.advance(END) == straight.advance(END)


def test_another_make_of_the_join_starts_anew_and_says_so() -> None:
    saved = fed(make_performance(), [Scored("r", at(0), 0.5)])

    [reset] = make_performance(wait=WAIT).restore(entries(stored(saved.snapshot())))
    assert isinstance(reset, StateReset)


@pytest.mark.parametrize("ages", [(WAIT,), (MINUTE, 2 * MINUTE, WAIT)])
def test_labels_counted_otherwise_keep_the_rows_that_wait(ages: Sequence[int]) -> None:
    """From the next window on all is as if it had always been counted so; what a restart finds then is the same."""
    shape: dict[str, Any] = {"wait": WAIT, "length": 3 * MINUTE, "slide": MINUTE}
    changed = shape | {"ages": ages, "truth": Truth(BINARY, threshold=0.8, metrics=("accuracy",))}
    events: list[Event] = [Scored(f"r-{n}", at(n / 10), [0.1, 0.7, 0.9][n % 3]) for n in range(120)]
    events += [Told(f"r-{n}", at(n / 10 + 1), n, float(n % 2)) for n in range(120)]
    before, straight = make_performance(**shape, ages=(2 * MINUTE, WAIT)), make_performance(**changed)
    for each in (before, straight):
        fed(each, events).advance(at(16.5))
    held = stored(before.changes())
    after = make_performance(**changed)
    [reset] = after.restore(entries(held))
    held = stored(after.changes(), held)
    again = make_performance(**changed)

    assert isinstance(reset, StateReset)
    assert again.restore(entries(held)) == []
    expected = straight.advance(END)
    assert len(judged(expected)) > 5
    assert after.advance(END) == expected
    assert again.advance(END) == expected


def test_other_metrics_and_costs_keep_what_was_judged() -> None:
    """Counts are the same: what can be told of the last window stays, and the next is judged by all that is asked for."""
    shape: dict[str, Any] = {"wait": WAIT, "length": 3 * MINUTE, "slide": MINUTE}
    events: list[Event] = [Scored(f"r-{n}", at(n / 10), [0.1, 0.7, 0.9][n % 3]) for n in range(120)]
    events += [Told(f"r-{n}", at(n / 10 + 1), n, float(n % 2)) for n in range(120)]
    asked = Truth(BINARY, metrics=("accuracy", "cost_per_1000"), costs=(0.0, 1.0, 5.0, 0.0))
    later = Truth(BINARY, metrics=("cost_per_1000", "recall", "accuracy"), costs=(0.0, 1.0, 9.0, 0.0))
    before, straight = (make_performance(**shape, truth=truth) for truth in (asked, later))
    for each in (before, straight):
        fed(each, events).advance(at(16.5))
    after = make_performance(**shape, truth=later)

    assert after.restore(entries(stored(before.snapshot()))) == []
    [was], [told] = judged(before.current()), judged(after.current())
    assert [each.name for each in told.metrics] == ["cost_per_1000", "recall", "accuracy"]
    assert told.metric("accuracy") == was.metric("accuracy")
    for name in ("cost_per_1000", "recall"):  # the costs are others
        metric = told.metric(name)
        assert metric is not None
        assert (metric.value, metric.because) == (None, "asked for since this window was judged")
    expected = judged(straight.advance(END))
    assert judged(after.advance(END)) == expected
    assert len(expected) > 5


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (Truth(REGRESSION), Truth(REGRESSION, reference_mean=0.4)),
        (Truth(REGRESSION, reference_mean=0.7), Truth(REGRESSION, reference_mean=0.4)),
        (Truth(MULTICLASS, classes=("a", "b")), Truth(MULTICLASS, classes=("a", "b"), listed=True)),
    ],
    ids=["mean", "other mean", "listed"],
)
def test_what_judges_no_label_otherwise_keeps_what_was_judged(was: Truth, now: Truth) -> None:
    """The mean of a reference's labels, or where scores may stand: a restart with it goes on, and says nothing."""
    shape: dict[str, Any] = {"wait": WAIT, "length": 3 * MINUTE, "slide": MINUTE}
    events: list[Event] = [Scored(f"r-{n}", at(n / 10), float(n % 2)) for n in range(120)]
    events += [Told(f"r-{n}", at(n / 10 + 1), n, float(n % 3 == 0)) for n in range(120)]
    before, straight = (make_performance(**shape, truth=truth) for truth in (was, now))
    for each in (before, straight):
        fed(each, events).advance(at(16.5))
    held = stored(before.changes())
    after, again = (make_performance(**shape, truth=now) for _ in range(2))

    assert after.restore(entries(held)) == []
    assert [fact.start for fact in after.current()] == [fact.start for fact in before.current()]
    held = stored(after.changes(), held)
    assert again.restore(entries(held)) == []
    expected = straight.advance(END)
    assert len(judged(expected)) > 5
    assert after.advance(END) == expected
    assert again.advance(END) == expected


# --- within a bound ---------------------------------------------------------------------------------------------------

TIGHT = 40_000  # bytes
BOUND: dict[str, Any] = {"wait": WAIT, "memory": TIGHT}


def crowd(rng: np.random.Generator, count: int, coverage: float = 0.7, accuracy: float = 0.8) -> JoinBatch:
    """So many predictions of five minutes, most of them with a label."""
    high, low = rng.integers(0, 2**64, size=(2, count), dtype=np.uint64)
    times = at(1) + rng.integers(0, 5 * MINUTE, count)
    positive = rng.random(count) < 0.5
    right = rng.random(count) < accuracy
    labelled = rng.random(count) < coverage
    predictions = rows_of(PREDICTION, high=high, low=low, time=times, value=np.where(positive, 0.9, 0.1))
    told_at, answers = times + rng.integers(0, 5 * MINUTE, count), (positive == right).astype(np.float64)
    columns = {"high": high, "low": low, "time": told_at, "offset": np.arange(count), "value": answers}
    return JoinBatch(KEY, predictions, rows_of(LABEL, **columns, weight=np.ones(count))[labelled])


def pieces(batch: JoinBatch, rng: np.random.Generator, cuts: int) -> list[JoinBatch]:
    """The rows of a batch in another order, as several."""
    shuffled = [rows[rng.permutation(len(rows))] for rows in (batch.predictions, batch.labels)]
    parts = [np.array_split(rows, cuts) for rows in shuffled]
    return [JoinBatch(KEY, *both) for both in zip(*parts, strict=True)]


def test_memory_stays_within_its_bound_whatever_comes() -> None:
    rng = np.random.default_rng(seeded())
    performance = make_performance(**BOUND)
    for piece in pieces(crowd(rng, 20_000), rng, 50):
        performance.take(piece)
        assert performance.join.bytes <= TIGHT
    assert performance.join.bytes > TIGHT / 4


def test_which_ids_are_kept_depends_on_neither_order_nor_batching() -> None:
    rng = np.random.default_rng(seeded())
    batch = crowd(rng, 5_000)
    first, second = make_performance(**BOUND), make_performance(**BOUND)
    for piece in pieces(batch, rng, 7):
        first.take(piece)
    for piece in pieces(batch, rng, 31):
        second.take(piece)
    facts = judged(first.advance(END))

    assert facts == judged(second.advance(END))
    assert all(fact.sampling < 1 for fact in facts)


def test_what_a_sample_says_is_right_on_average() -> None:
    """Of 200 crowds, all sampled: coverage and accuracy are those of all predictions, as far as chance lets them be."""
    rng = np.random.default_rng(seeded())
    errors, covered, held = [], 0, 0
    for _ in range(200):
        performance = make_performance(**BOUND)
        performance.take(crowd(rng, 3_000))
        for fact in judged(performance.advance(END)):
            accuracy = fact.metric("accuracy")
            assert accuracy is not None
            assert accuracy.value is not None
            assert accuracy.lower is not None
            assert accuracy.upper is not None
            errors.append((accuracy.value - 0.8, fact.coverage - 0.7))
            covered += accuracy.lower <= 0.8 <= accuracy.upper
            held += 1

    spread = np.std(errors, axis=0) / np.sqrt(len(errors))
    assert (np.abs(np.mean(errors, axis=0)) < 4.5 * spread).all()
    assert 0.90 < covered / held < 0.99


def test_a_bound_join_goes_on_from_what_it_saved() -> None:
    rng = np.random.default_rng(seeded())
    straight, stopping = make_performance(**BOUND), make_performance(**BOUND)
    held: dict[tuple[str, str], bytes] = {}
    for number, piece in enumerate(pieces(crowd(rng, 8_000), rng, 60)):
        straight.take(piece)
        stopping.take(piece)
        held = stored(stopping.changes(), held)
        if number % 9 == 0:
            stopping = make_performance(**BOUND)
            assert stopping.restore(entries(held)) == []
            assert stopping.join.bytes == straight.join.bytes

    assert stopping.advance(END) == straight.advance(END)
    assert sum(map(len, held.values())) < 3 * TIGHT


def test_rows_that_come_one_at_a_time_take_no_more_memory_than_rows() -> None:
    """Nor do those that are not saved yet: they are kept once."""
    whole = crowd(np.random.default_rng(seeded()), 10_000)
    performance = make_performance(wait=WAIT)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for row in range(10_000):
            performance.take(JoinBatch(KEY, whole.predictions[row : row + 1], whole.labels[row : row + 1]))
        unsaved = tracemalloc.get_traced_memory()[0] - before
        held = stored(performance.changes())
        saved = tracemalloc.get_traced_memory()[0] - before - sum(map(len, held.values()))
    finally:
        tracemalloc.stop()

    assert unsaved < 1.4 * performance.join.bytes
    assert saved < 1.3 * performance.join.bytes


def test_what_was_thinned_is_written_anew_a_stretch_at_a_time() -> None:
    """Also where another has as many pieces as it may, and is written anew for that."""
    performance = make_performance(**BOUND)
    stretch = performance.spec.join.stretch

    def take(numbers: Sequence[int], count: int = 1, high: int = 1) -> None:
        for number in numbers:
            times = np.full(count, (at(0) // stretch + number) * stretch)
            rows = rows_of(PREDICTION, high=np.full(count, high, dtype=np.uint64), time=times)
            performance.take(JoinBatch(KEY, rows, no_rows(LABEL)))

    for _ in range(PIECES):
        take([0, 1])
        performance.changes()
    take([2, 3, 4], count=2)
    performance.changes()
    take([0], count=TIGHT // PREDICTION.itemsize, high=2**64 - 1)
    take([1])
    written = performance.changes()

    assert performance.join.level > 0
    anew = [
        entry.number // PIECES - at(0) // stretch
        for entry in entries(stored(written))
        if entry.kind == PREDICTIONS and entry.number is not None and entry.number % PIECES == 0
    ]
    assert sorted(anew) == [0, 1]


@pytest.mark.parametrize("stops", [(), (5, 20)])
def test_what_became_of_labels_adds_up_to_those_that_came(stops: Sequence[int]) -> None:
    rng = np.random.default_rng(seeded())
    performance, facts = make_performance(**BOUND), list[Fact]()
    held: dict[tuple[str, str], bytes] = {}
    for number, piece in enumerate(pieces(crowd(rng, 8_000), rng, 40)):
        facts += performance.take(piece)
        if number == 10:  # some are judged before most come
            facts += performance.advance(at(12))
        held = stored(performance.changes(), held)
        if number in stops:
            performance = make_performance(**BOUND)
            assert performance.restore(entries(held)) == []
    facts += performance.advance(at(600))
    outcomes: Counter[str] = Counter()
    for fact in of(facts, JoinCounted):
        outcomes.update(fact.outcomes if fact.side == "label" else {})

    assert outcomes["sampled_out"] > outcomes["joined"] > 0
    del outcomes["expired"]
    assert outcomes.pop("received") == outcomes.total()


def test_labels_of_predictions_that_were_thinned_out_are_no_mistake() -> None:
    """A burst of predictions was thinned out; once it is over labels are kept whole, half of them of ids that are gone."""
    performance, facts = make_performance(**BOUND), list[Fact]()
    both = crowd(np.random.default_rng(seeded()), 10_000, coverage=0.1)
    facts += performance.take(replace(both, labels=both.labels[:0]))
    assert performance.join.level > 0
    facts += performance.advance(at(2))
    facts += performance.take(replace(both, predictions=both.predictions[:0]))
    facts += performance.advance(at(600))
    outcomes: Counter[str] = Counter()
    for fact in of(facts, JoinCounted):
        outcomes.update(fact.outcomes if fact.side == "label" else {})

    assert outcomes["unmatched"] == 0
    assert outcomes["joined"] > 0
    assert outcomes.pop("received") == outcomes["joined"] + outcomes["sampled_out"]


def test_labels_that_were_read_without_their_weights_begin_anew() -> None:
    plain, weighted = (performance_spec(truth=Truth(BINARY, weighted=each)) for each in (False, True))

    assert not weighted.keeps_rows(plain.fingerprint)
    assert plain.keeps_rows(weighted.fingerprint)


def test_what_was_saved_before_there_were_costs_and_ranges_is_known_still() -> None:
    plain = performance_spec()

    assert plain.fingerprint == (
        '[60000000000,60000000000,86400000000000,[86400000000000],{"task":"binary","threshold":0.5,"positive":"1",'
        '"negative":null,"classes":[],"weighted":false,"metrics":[]}]'
    )
    assert performance_spec(truth=Truth(BINARY, costs=(0.0, 1.0, 25.0, 0.0))).fingerprint != plain.fingerprint


def test_what_nothing_needs_any_more_is_dropped_and_its_rows_go() -> None:
    performance = make_performance(**BOUND)
    performance.take(crowd(np.random.default_rng(seeded()), 500))
    held = stored(performance.changes())
    told_of = of(performance.advance(at(600)), JoinCounted)
    held = stored(performance.changes(), held)

    assert performance.join.bytes == 0
    assert [kind for kind, _ in held] == ["performance/state"]
    assert {outcome for fact in told_of for outcome in fact.outcomes} == {"joined"}


# --- other tasks ------------------------------------------------------------------------------------------------------


def test_classes_and_numbers_are_counted_too() -> None:
    events: list[Event] = [Scored("mark", at(-0.5), 0.0)]
    events += [Scored(name, at(1), number) for name, number in zip("abcd", [0.0, 1.0, 2.0, 3.0], strict=True)]
    events += [Told(name, at(2), 0, number) for name, number in zip("abc", [0.0, 2.0, 2.0], strict=True)]
    classes = make_performance(wait=WAIT, truth=Truth(MULTICLASS, classes=("cat", "dog", "owl")))
    numbers = make_performance(wait=WAIT, truth=Truth(REGRESSION, metrics=("mae", "bias")))

    [of_classes] = judged(fed(classes, events).advance(END))
    assert value(of_classes, "accuracy") == pytest.approx(2 / 3)
    assert [(each.name, each.predictions) for each in of_classes.classes] == [("cat", 1), ("dog", 1), ("owl", 1)]
    [of_numbers] = judged(fed(numbers, events).advance(END))
    assert {each.name: each.value for each in of_numbers.metrics} == {
        "mae": pytest.approx(1 / 3),
        "bias": pytest.approx(-1 / 3),
    }
