"""Which ids came, and how often."""

from itertools import permutations

import numpy as np
import pytest

from detectors import CategoricalFeature, Layout, Sketch
from detectors.sketches import sums
from detectors.sketches.ids import KEPT, NONE, Ids, IdSample, merged
from tests.charted import seeded

LAYOUT = Layout((), (CategoricalFeature("plan", ("free", "pro")),))


def hashes(count: int, first: int = 1) -> np.ndarray:
    """So many ids as their hashes, spread evenly."""
    return (np.arange(first, first + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)


def sample_of(*batches: np.ndarray) -> IdSample:
    ids = Ids()
    for batch in batches:
        ids.update(batch)
    return ids.sample


def same(one: IdSample, other: IdSample) -> bool:
    return one.to_bytes() == other.to_bytes()


def test_few_ids_are_all_counted_without_error() -> None:
    found = sample_of(hashes(300), hashes(100)).duplicates()

    assert (found.rows, found.distinct, found.share, found.error) == (400, 300, 0.25, 0)


def test_many_ids_of_which_none_comes_twice_have_a_share_of_exactly_nothing() -> None:
    found = sample_of(*np.array_split(hashes(100_000), 7)).duplicates()

    assert (found.rows, found.distinct, found.share) == (100_000, 100_000, 0)


def test_every_row_twice_is_half_of_the_rows_and_worth_half() -> None:
    found = sample_of(hashes(50_000), hashes(50_000)).duplicates()

    assert (found.share, found.weight, found.sampled) == (0.5, 0.5, 2 * KEPT)


def test_a_part_that_comes_twice_is_estimated_within_its_error() -> None:
    rng = seeded()
    again = rng.permutation(hashes(60_000))[:20_000]
    found = sample_of(hashes(60_000), again).duplicates()

    assert 0 < found.error < 0.03
    assert abs(found.share - 0.25) < 5 * found.error


def test_any_order_and_any_grouping_give_the_same_sample() -> None:
    rng = seeded()
    rows = np.concatenate([hashes(5000), hashes(3000), hashes(40)])
    parts = [sample_of(part) for part in np.array_split(rng.permutation(rows), 4)]
    whole = sample_of(rows)

    for order in permutations(parts):
        assert same(merged([merged(order[:2]), merged(order[2:])]), whole)
    assert same(sample_of(*np.array_split(rng.permutation(rows), 300)), whole)


@pytest.mark.usefixtures("compiled_parts")
def test_two_samples_are_joined_compiled_as_they_are_without(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = seeded()
    pairs = []
    for _ in range(50):
        known = rng.permutation(hashes(int(rng.integers(1, 3000))))
        pairs.append([sample_of(rng.choice(known, int(rng.integers(1, 3000)))) for _ in range(2)])
    compiled = [merged(pair) for pair in pairs]
    monkeypatch.setattr(sums, "USED", False)

    assert all(same(one, merged(pair)) for one, pair in zip(compiled, pairs, strict=True))
    assert any(one.bound is None for one in compiled)
    assert any(one.bound is not None for one in compiled)


def test_rows_without_an_id_are_no_rows_of_any() -> None:
    assert sample_of(np.array([0, 5, 0], dtype=np.uint64)).rows == 1


def test_ids_that_came_before_repeat_one_too() -> None:
    before, now = sample_of(hashes(30_000)), sample_of(hashes(40_000, first=20_001))

    assert now.duplicates().share == 0
    assert now.duplicates(before).share == pytest.approx(0.25, abs=0.15)
    assert now.duplicates(sample_of(hashes(9, first=900_000))).share == 0


def test_written_ids_are_read_back_and_damaged_ones_refused() -> None:
    found = sample_of(hashes(4000), hashes(10))

    assert same(IdSample.from_bytes(found.to_bytes()), found)
    assert same(IdSample.from_bytes(NONE.to_bytes()), NONE)
    for damaged in (b"", found.to_bytes()[:-1], found.to_bytes()[:11] + found.to_bytes()[19:] + b"12345678"):
        with pytest.raises(ValueError, match="the ids"):
            IdSample.from_bytes(damaged)


def a_sketch(ids: np.ndarray) -> Sketch:
    sketch = Sketch.empty(LAYOUT)
    sketch.update(np.empty((len(ids), 0)), np.zeros((len(ids), 1), dtype=np.int32))
    sketch.identify(ids)
    return sketch


def test_a_sketch_without_ids_is_written_as_ever() -> None:
    assert a_sketch(np.zeros(3, dtype=np.uint64)).to_bytes()[4] == 1


def test_a_sketch_keeps_its_ids_when_packed_written_and_read() -> None:
    sketch = a_sketch(np.concatenate([hashes(900), hashes(50)]))
    read = Sketch.from_bytes(LAYOUT, sketch.to_bytes())
    unpacked = Sketch.unpacked(sketch.packed())

    assert read.ids is not None
    assert unpacked.ids is not None
    assert same(read.ids.sample, unpacked.ids.sample)
    assert read.ids.sample.duplicates().rows == 950


def test_a_sum_that_is_settled_says_the_same_and_holds_one_part() -> None:
    """A sum that goes on for weeks would else hold the ids of every window."""
    kept, settled = Sketch.empty(LAYOUT), Sketch.empty(LAYOUT)
    for first in (1, 500, 1500, 200, 3000):
        pane = a_sketch(hashes(700, first=first)).packed()
        kept.add(pane)
        settled.add(pane)
        settled.settle()
        assert settled.ids is not None
        assert len(settled.ids.parts) == 1

    assert settled.to_bytes() == kept.to_bytes()
    blank = a_sketch(np.zeros(3, dtype=np.uint64))
    before = blank.to_bytes()
    blank.settle()
    assert blank.to_bytes() == before


def test_what_was_added_can_be_taken_out_again() -> None:
    panes = [a_sketch(hashes(700, first=first)).packed() for first in (1, 500, 1500)]
    total = Sketch.empty(LAYOUT)
    for pane in panes:
        total.add(pane)
    rest = total.copy()
    rest.subtract(panes[0])

    assert rest.ids is not None
    assert total.ids is not None
    assert same(rest.ids.sample, merged([pane.ids.sample for pane in panes[1:] if pane.ids is not None]))
    assert same(total.ids.sample, merged([pane.ids.sample for pane in panes if pane.ids is not None]))
    with pytest.raises(ValueError, match="not added"):
        rest.subtract(panes[0])
