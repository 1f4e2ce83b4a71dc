"""How rows come together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import CategoricalFeature, Layout, Sketch
from detectors.sketches import GroupSizes
from detectors.sketches.groups import PLACES
from detectors.sketches.identity import hashes_of, mixed
from tests.charted import seeded

LAYOUT = Layout((), (CategoricalFeature("plan", ("free", "pro")),))


def of(*sessions: object) -> GroupSizes:
    groups = GroupSizes()
    groups.update(hashes_of(np.array([*sessions, None], dtype=object)[:-1], len(sessions)))
    return groups


def sized(sizes: np.ndarray, rng: np.random.Generator) -> GroupSizes:
    """Groups of these sizes, their rows in any order."""
    hashes = np.repeat(mixed(rng.integers(1, 2**64, sizes.size, dtype=np.uint64)), sizes)
    groups = GroupSizes()
    for part in np.array_split(rng.permutation(hashes), 7):
        groups.update(part)
    return groups


def sketched(rng: np.random.Generator, rows: int = 50) -> Sketch:
    """Rows of some sessions."""
    sketch = Sketch.empty(LAYOUT)
    sketch.update(np.empty((rows, 0)), rng.integers(0, 4, (rows, 1)).astype(np.int32))
    sketch.assign(mixed(rng.integers(1, 9, rows, dtype=np.uint64)))
    return sketch


def test_a_row_drawn_at_random_is_in_a_group_of_so_many() -> None:
    assert of("a", "a", "a", "b").together(4) == 10 / 4
    assert of("a", "a", "a", None).together(4) == 1 + 6 * 4 / 9  # one that says none is as the others
    assert of(1, 2, 3, 4).together(4) == 1


def test_what_hardly_anybody_tells_is_not_known() -> None:
    assert np.isnan(of(None, None).together(2))
    assert np.isnan(of("a", *[None] * 10).together(11))
    assert of("a", "a", *[None] * 18).together(20) > 1


def test_rows_that_say_no_group_do_not_make_groups_smaller() -> None:
    """A client that stops to send its session's id changes nothing of how rows come together."""
    rng = seeded()
    sizes = rng.integers(5, 25, 2_000)
    hashes = np.repeat(mixed(rng.integers(1, 2**64, sizes.size, dtype=np.uint64)), sizes)
    whole = float(np.square(sizes).sum() / sizes.sum())
    for silent in (0.2, 0.5, 0.8):
        groups = GroupSizes()
        groups.update(np.where(rng.random(hashes.size) < silent, np.uint64(0), hashes))
        assert groups.together(hashes.size) == pytest.approx(whole, rel=0.4)


def test_sizes_far_apart_are_told_within_a_few_errors() -> None:
    """Each place's error is √(2 / 512) of Σm²; six of them come by chance once in 500 million."""
    rng = seeded()
    sizes = np.ceil(rng.lognormal(1.0, 1.5, 3000)).astype(np.int64)
    rows = int(sizes.sum())
    true = float(np.square(sizes).sum()) / rows

    assert sized(sizes, rng).together(rows) == pytest.approx(true, rel=6 * np.sqrt(2 / PLACES))


def test_one_group_that_holds_most_rows_is_not_missed() -> None:
    rng = seeded()
    sizes = np.ones(5001, dtype=np.int64)
    sizes[0] = 5000

    assert sized(sizes, rng).together(10_000) == pytest.approx(2500.5, rel=0.1)


@given(st.lists(st.integers(0, 9), max_size=60), st.lists(st.integers(0, 9), max_size=60))
def test_parts_add_up_and_are_taken_out_again(first: list[int], second: list[int]) -> None:
    one, other, whole = of(*first), of(*second), of(*first, *second)
    both = other.plus(one.packed())

    assert (both.rows, both.sums.tolist()) == (whole.rows, whole.sums.tolist())
    assert both.less(other.packed()).sums.tolist() == one.sums.tolist()
    assert GroupSizes.from_bytes(both.to_bytes()).sums.tolist() == both.sums.tolist()


def test_sums_of_packed_groups_do_not_overflow() -> None:
    many = of(*["a"] * 100).packed()

    assert many.sums.itemsize == 1
    assert many.plus(many).copy().plus(many).together(300) == 300


@pytest.mark.parametrize("damage", [b"", b"x", of("a").to_bytes()[:-1], GroupSizes(1, of("a", "a").sums).to_bytes()])
def test_damaged_bytes_are_refused(damage: bytes) -> None:
    with pytest.raises(ValueError, match="groups"):
        GroupSizes.from_bytes(damage)


def test_a_sketch_has_the_groups_of_its_rows_wherever_it_goes() -> None:
    rng = seeded()
    one, other = sketched(rng), sketched(rng)
    one.identify(mixed(rng.integers(1, 9, 50, dtype=np.uint64)))
    whole = one.merge(other)
    window = one.copy()
    window.add(other.packed())
    saved = Sketch.from_bytes(LAYOUT, Sketch.unpacked(window.packed()).to_bytes())
    assert saved.groups is not None
    assert whole.groups is not None
    assert saved.groups.sums.tolist() == whole.groups.sums.tolist()
    assert saved.ids is not None
    window.subtract(one)
    assert window.groups is not None
    assert other.groups is not None
    assert window.groups.sums.tolist() == other.groups.sums.tolist()


def test_a_sketch_without_groups_costs_no_byte() -> None:
    rng = seeded()
    plain = Sketch(LAYOUT, 3, np.array([1, 2, 0, 0]))
    told = plain.copy()
    told.assign(np.zeros(3, dtype=np.uint64))

    assert told.to_bytes() == plain.to_bytes()
    assert plain.to_bytes()[4] == 1  # the format of before
    assert sketched(rng).to_bytes()[4] == 3


def test_more_rows_of_groups_than_rows_are_damage() -> None:
    rng = seeded()
    sketch = sketched(rng)
    sketch.groups = of(*range(60))

    with pytest.raises(ValueError, match="more rows of groups than its 50 rows"):
        Sketch.from_bytes(LAYOUT, sketch.to_bytes())
