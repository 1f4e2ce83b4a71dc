"""Halves that wait: found by id and row, given up by age, dropped where memory is full, saved in pieces."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from monitor.facts import HalvesCounted
from monitor.series.halves import SeriesHalves
from monitor.stream.events import HalfBatch, Nanos
from monitor.stream.halves import REQUEST, RESPONSE, HalfJoin, HalfShape, HalfSpec
from tests.build import KEY, MINUTE, at, of, stored
from tests.charted import seeded

SHAPE = HalfShape(numbers=3, categories=1, predicted=(0, 2))
AMPLE = 32_000_000


def halves(
    half: int, ids: Any, times: Any, *, rows: Any = 0, topic: str | None = None, value: float = 0.0
) -> HalfBatch:
    """Halves whose hashes are their ids."""
    held = np.zeros(len(ids), dtype=SHAPE.dtype(half))
    held["high"], held["low"] = np.asarray(ids) + 1, np.asarray(ids, dtype=np.uint64) * np.uint64(7919) + np.uint64(1)
    held["time"], held["row"], held["latency"] = times, rows, np.nan
    held["numeric"][:] = np.asarray(ids)[:, None] if half == REQUEST else value
    return HalfBatch(KEY, topic or ("asked" if half == REQUEST else "answered"), half, held)


def make_join(wait: Nanos = MINUTE, memory: int = AMPLE) -> HalfJoin:
    return HalfJoin(HalfSpec(SHAPE, wait, memory))


def test_halves_meet_whichever_comes_first_and_bring_their_own_columns() -> None:
    join = make_join()
    join.add(halves(REQUEST, [1, 2], at(0)))
    join.add(halves(RESPONSE, [3], at(0.5), value=0.3))
    met = join.add(halves(RESPONSE, [2, 9], at(0.5), value=0.9))

    assert met.requests["numeric"].tolist() == [[2.0, 2.0]]
    assert met.responses["numeric"].tolist() == [[0.9]]
    assert join.add(halves(REQUEST, [3], at(0))).responses["numeric"].tolist() == [[0.3]]
    assert [side.count for side in join.kinds.values()] == [1, 1, 2]


def test_rows_of_one_message_and_id_meet_row_by_row() -> None:
    join = make_join()
    join.add(halves(REQUEST, [1] * 4, at(0), rows=np.arange(4)))
    met = join.add(halves(RESPONSE, [1] * 3, at(0), rows=[2, 0, 3]))

    assert met.requests["row"].tolist() == met.responses["row"].tolist() == [2, 0, 3]
    assert join.sides[REQUEST].count == 1


def test_halves_further_apart_than_they_wait_never_meet() -> None:
    join = make_join()
    join.add(halves(REQUEST, [1, 2], at(0)))

    assert join.add(halves(RESPONSE, [1, 2], [at(1), at(1) + 1])).requests["high"].tolist() == [2]


def test_halves_are_given_up_once_event_time_has_passed_them_by_their_wait() -> None:
    join = make_join()
    join.add(halves(REQUEST, [1, 2], [at(0), at(1)]))
    join.add(halves(RESPONSE, [3], [at(0.5)]))

    assert join.expire(at(1) - 1) == {}
    assert join.expire(at(1)) == {("asked", REQUEST, "unmatched"): 1}
    assert join.expire(at(5)) == {("asked", REQUEST, "unmatched"): 1, ("answered", RESPONSE, "unmatched"): 1}
    assert join.bytes == 0


def test_a_half_that_comes_after_it_would_have_been_given_up_is_given_up_at_once_unless_the_other_waits() -> None:
    join = make_join()
    join.add(halves(RESPONSE, [1], [at(0.9)]))
    join.expire(at(1.5))

    assert join.add(halves(REQUEST, [1, 2], [at(0.1), at(0.1)])).counts == {
        ("asked", REQUEST, "joined"): 1,
        ("answered", RESPONSE, "joined"): 1,
        ("asked", REQUEST, "unmatched"): 1,
    }


def test_a_half_that_is_sent_again_is_known_as_long_as_it_might_wait() -> None:
    join = make_join()
    join.add(halves(REQUEST, [1, 1], at(0)))
    join.add(halves(RESPONSE, [1], at(0.5)))
    again = [join.add(halves(REQUEST, [1], at(0))), join.add(halves(RESPONSE, [1], at(0.5)))]

    assert [each.counts for each in again] == [
        {("asked", REQUEST, "repeated"): 1},
        {("answered", RESPONSE, "repeated"): 1},
    ]
    assert join.met.count == 1
    join.expire(at(1.5))
    assert join.met.count == 0


@pytest.mark.parametrize("count", [1, 1000])
def test_where_memory_is_full_the_oldest_go_and_are_counted(count: int) -> None:
    size = make_join().sides[REQUEST].row_bytes
    join = make_join(memory=10 * count * size)
    counts = Counter[tuple[str, int, str]]()
    for number in range(20):
        ids = np.arange(number * count, (number + 1) * count)
        counts += join.add(halves(REQUEST, ids, at(0) + ids)).counts
        assert join.bytes <= join.spec.memory

    kept = join.sides[REQUEST]
    assert counts["asked", REQUEST, "evicted"] == 20 * count - kept.count
    assert 9 * count - 1 <= kept.count <= 10 * count
    assert kept.rows["time"][kept.places].min() > at(0) + 20 * count - 1 - kept.count


def test_places_are_used_again_and_what_a_burst_took_is_given_back() -> None:
    join = make_join()
    for number in range(200):
        ids = np.arange(number * 50, (number + 1) * 50)
        join.add(halves(REQUEST, ids, at(0)))
        join.add(halves(RESPONSE, ids, at(0)))

    assert join.sides[REQUEST].rows.size <= 256
    join.add(halves(REQUEST, np.arange(100_000, 200_000), at(0)))
    join.expire(at(10))
    assert join.sides[REQUEST].rows.size == 0
    assert join.met.rows.size == 0


def test_any_order_gives_the_pairs_of_a_plain_dictionary() -> None:
    rng = np.random.default_rng(seeded())
    join, pairs = make_join(), list[tuple[int, float]]()
    waiting: dict[int, dict[int, float]] = {REQUEST: {}, RESPONSE: {}}
    wanted, seen = set[int](), set[tuple[int, int]]()
    for _ in range(300):
        half = int(rng.integers(REQUEST, RESPONSE + 1))
        ids = rng.integers(0, 3000, int(rng.integers(1, 60)))
        met = join.add(halves(half, ids, at(0), value=1.0))
        pairs += [(int(high) - 1, 1.0) for high in met.requests["high"].tolist()]
        for each in ids.tolist():
            if (half, each) not in seen:
                seen.add((half, each))
                waiting[half][each] = 1.0
                if each in waiting[REQUEST] and each in waiting[RESPONSE]:
                    wanted.add(each)

    assert sorted(each for each, _ in pairs) == sorted(wanted)


# --- saved state --------------------------------------------------------------------------------------------------------


def make_halves(memory: int = AMPLE, shape: HalfShape = SHAPE, wait: Nanos = MINUTE) -> SeriesHalves:
    return SeriesHalves(KEY, HalfSpec(shape, wait, memory))


def reborn(store: dict[tuple[str, str], bytes], halves: SeriesHalves) -> list[Any]:
    """Let it take up what a store holds."""
    from monitor.series.records import Record, owned

    return halves.restore([owned(Record(kind, key, payload))[1] for (kind, key), payload in store.items()])


def test_what_waits_is_saved_as_it_comes_and_is_there_again() -> None:
    """A hundred checkpoints, of which each writes what came; what has met since is not there again."""
    rng = np.random.default_rng(seeded())
    mine, store = make_halves(), dict[tuple[str, str], bytes]()
    for number in range(100):
        ids = np.arange(number * 20, (number + 1) * 20)
        mine.take(halves(REQUEST, ids, at(number / 10) + ids))
        answered = rng.choice(ids, 10, replace=False)
        mine.take(halves(RESPONSE, answered, at(number / 10) + answered + 5))
        mine.expire(at(number / 10))
        store = stored(mine.changes(), store)
        again = make_halves()
        assert reborn(store, again) == []
        for kind, waiting in mine.join.kinds.items():
            theirs = again.join.kinds[kind]
            assert np.array_equal(
                np.sort(theirs.rows["high"][theirs.places]), np.sort(waiting.rows["high"][waiting.places])
            )
        assert (again.join.clock, again.join.topics) == (mine.join.clock, mine.join.topics)
    assert len(store) < 3 * 12 * 33  # pieces go with their stretch of time

    whole = make_halves()
    reborn(stored(mine.snapshot()), whole)
    assert {kind: each.count for kind, each in whole.join.kinds.items()} == {
        kind: each.count for kind, each in mine.join.kinds.items()
    }
    assert mine.changes() == []


def test_halves_of_another_shape_are_forgotten_and_that_is_said() -> None:
    mine = make_halves()
    mine.take(halves(REQUEST, [1], at(0)))
    other = make_halves(shape=HalfShape(numbers=4, categories=1, predicted=(0, 2)))
    store = stored(mine.changes())

    [said] = reborn(store, other)

    assert "forgotten" in said.cause
    assert other.join.bytes == 0
    assert {place[0] for place in stored(other.changes(), store)} == {"halves/state"}


def test_another_wait_keeps_what_waits() -> None:
    mine, longer = make_halves(), make_halves(wait=4 * MINUTE)
    mine.take(halves(REQUEST, [1, 2], [at(0), at(0.5)]))
    store = stored(mine.changes())
    reborn(store, longer)
    store = stored(longer.changes(), store)
    again = make_halves(wait=4 * MINUTE)
    reborn(store, again)

    [fact] = of(again.expire(at(4)).facts, HalvesCounted)
    assert (fact.topic, fact.outcomes) == ("asked", {"unmatched": 1})


def test_a_series_without_halves_saves_nothing() -> None:
    mine = make_halves()
    mine.expire(at(5))

    assert not mine.changes()
    assert not mine.snapshot()
