"""Counting on the grid, and the bytes it is kept in."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from detectors import Layout, LayoutMismatchError, Reference, Sketch
from detectors.sketches import counting

REFERENCE = Reference.fit(
    {
        "n": [0.0, 1.0, 2.0, 3.0],
        "c": ["a", "a", "b", None],
        "m": [1.0, 1.0, 1.0, 1.0],
    }
)


@pytest.fixture(params=["compiled_parts", "numpy"], autouse=True)
def counter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it on both paths."""
    if request.param == "numpy":
        monkeypatch.setattr(counting, "COMPILED", False)
    else:
        request.getfixturevalue(request.param)


def sketch_of(data: dict) -> Sketch:
    sketch = Sketch.empty(REFERENCE.layout)
    sketch.update(*REFERENCE.encode(data))
    return sketch


def test_numeric_features_come_first() -> None:
    assert REFERENCE.layout.names == ("n", "m", "c")
    assert REFERENCE.layout.offsets.tolist() == [0, 7 + 5, 7 + 5 + 1 + 5, 7 + 5 + 1 + 5 + 4]
    assert REFERENCE.layout.size == REFERENCE.layout.offsets[-1]


def test_a_value_lands_in_the_bin_that_it_closes() -> None:
    counts = sketch_of({"n": [-1.0, 0.0, 1.0, 1.5, 3.0, 3.5, np.nan, -np.inf, np.inf, np.inf]}).row("n")

    # the row is: under, 0, between 0 and 1, 1, between, 2, between, 3, over, missing, -inf, +inf
    assert counts.tolist() == [1, 1, 0, 1, 1, 0, 0, 1, 1, 1, 1, 2]


def test_codes_are_known_other_and_missing() -> None:
    assert sketch_of({"c": ["a", "b", "z", None, "a"]}).row("c").tolist() == [2, 1, 1, 1]


def test_memory_order_of_the_batch_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    numbers, codes = rng.normal(size=(50, 2)), rng.integers(0, 4, (50, 1)).astype(np.int32)
    one, other = Sketch.empty(REFERENCE.layout), Sketch.empty(REFERENCE.layout)
    one.update(np.ascontiguousarray(numbers), np.ascontiguousarray(codes))
    other.update(np.asfortranarray(numbers), np.asfortranarray(codes))

    assert one.counts.tolist() == other.counts.tolist()


@pytest.mark.parametrize(
    ("numbers", "codes", "message"),
    [
        (np.zeros((3, 1)), np.zeros((3, 1), dtype=np.int32), r"need \[n, 2\] numbers and \[n, 1\] codes"),
        (np.zeros(3), np.zeros((3, 1), dtype=np.int32), r"need \[n, 2\] numbers"),
        (np.zeros((3, 2)), np.zeros((2, 1), dtype=np.int32), "3 rows of numbers, but 2 rows of codes"),
        (np.zeros((3, 2)), np.full((3, 1), 4, dtype=np.int32), "c: code 4 is above 3"),
        (np.zeros((3, 2)), np.full((3, 1), -1, dtype=np.int32), "code -1 is below zero"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_whole(numbers: np.ndarray, codes: np.ndarray, message: str) -> None:
    sketch = Sketch.empty(REFERENCE.layout)
    with pytest.raises(ValueError, match=message):
        sketch.update(numbers, codes)

    assert sketch.rows == 0
    assert not sketch.counts.any()


def test_usable_missing_and_unseen_are_told_apart() -> None:
    sketch = sketch_of({"n": [-5.0, 9.0, 1.0, None], "c": ["z", None, None, "a"], "m": [1.0, np.inf, 2.0, np.nan]})

    assert sketch.usable.tolist() == [3, 2, 2]
    assert sketch.missing.tolist() == [1, 2, 2]
    assert sketch.unseen.tolist() == [2, 1, 1]


def test_add_changes_in_place_and_merge_does_not() -> None:
    one, other = sketch_of({"n": [1.0]}), sketch_of({"n": [2.0, 2.0]})
    both = one.merge(other)
    kept = one.copy()
    one.add(other)

    assert (both.rows, one.rows, other.rows, kept.rows) == (3, 3, 2, 1)
    assert both.counts.tolist() == one.counts.tolist()


def test_the_references_own_counts_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        REFERENCE.sketch.add(sketch_of({"n": [1.0]}))


def test_an_unknown_feature_has_no_row() -> None:
    with pytest.raises(KeyError, match="z"):
        sketch_of({}).row("z")


def test_the_grid_id_names_edges_and_categories_but_not_counts() -> None:
    same = Reference.fit({"n": [0, 1, 2, 3, 3], "c": ["a", "a", "b", "b", "a"], "m": [1.0] * 5})
    order = Reference.fit({"n": [0, 1, 2, 3], "c": ["b", "a", "b", None], "m": [1.0] * 4})

    assert same.layout.id == REFERENCE.layout.id
    assert same.hash != REFERENCE.hash
    assert order.layout.id != REFERENCE.layout.id


def test_a_grid_needs_features_with_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="at least one feature"):
        Layout((), ())
    with pytest.raises(ValueError, match="distinct, these are not: n"):
        Layout(REFERENCE.layout.numeric + REFERENCE.layout.numeric[:1], ())


@pytest.mark.parametrize(("rows", "width"), [(200, 1), (300, 2), (70_000, 4), (2**33, 8)])
def test_bytes_are_as_narrow_as_the_counts_allow(rows: int, width: int) -> None:
    sketch = sketch_of({"n": [1.0]})
    sketch = Sketch(sketch.layout, sketch.rows * rows, sketch.counts * rows)

    assert len(sketch.to_bytes()) == 22 + width * REFERENCE.layout.size + 4
    assert Sketch.from_bytes(REFERENCE.layout, sketch.to_bytes()).counts.tolist() == sketch.counts.tolist()


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-1], "checksum"),
        (lambda data: b"junk" + data[4:], "no sketch"),
        (lambda data: sealed(data[:4] + b"\x09" + data[5:-4]), "format 9, this version reads 1"),
        (lambda data: sealed(data[:5] + b"\x03" + data[6:-4]), "1, 2, 4 or 8 bytes"),
        (lambda data: sealed(data[:-5]), "should have 22 counts"),
        (lambda data: sealed(data[:14] + b"\xff" * 8 + data[22:-4]), "do not add up"),
        (lambda data: sealed(data[:14] + b"\x05" + data[15:-4]), "do not add up to 5 rows"),
    ],
)
def test_foreign_and_damaged_bytes_are_refused(change: Callable[[bytes], bytes], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sketch.from_bytes(REFERENCE.layout, change(sketch_of({"n": [1.0, 2.0]}).to_bytes()))


def test_bytes_of_another_grid_are_refused() -> None:
    other = Reference.fit({"n": [1.0]})
    with pytest.raises(LayoutMismatchError, match=f"belongs to layout {REFERENCE.layout.id}"):
        Sketch.from_bytes(other.layout, sketch_of({}).to_bytes())


def test_the_mean_shift_is_in_reference_sigma() -> None:
    """Mean 1.5 and sd 1.118 in the reference; 3 is 1.342 of them above. The constant has no sigma: shares instead."""
    shift = REFERENCE.mean_shift(sketch_of({"n": [3.0, 3.0], "m": [1.0, 7.0]}).tally())

    assert shift == pytest.approx([1.5 / np.std([0, 1, 2, 3]), 0.5])
    assert np.isnan(REFERENCE.mean_shift(sketch_of({"n": [None]}).tally())).all()
    assert REFERENCE.mean_shift(REFERENCE.sketch.tally()).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("rows", "kind"), [(200, "uint8"), (300, "uint16"), (70_000, "uint32"), (2**33, "int64")])
def test_a_sketch_is_packed_into_the_smallest_integers_and_comes_back_whole(rows: int, kind: str) -> None:
    sketch = sketch_of({"n": [1.0], "c": ["a"]})
    sketch = Sketch(sketch.layout, sketch.rows * rows, sketch.counts * rows)
    packed = sketch.packed()
    back = Sketch.unpacked(packed)

    assert packed.counts.dtype == kind
    assert packed.to_bytes() == sketch.to_bytes()
    assert (back.rows, back.counts.dtype, back.counts.tolist()) == (sketch.rows, np.int64, sketch.counts.tolist())


def test_a_sketch_that_counts_on_leaves_what_was_put_away_or_copied() -> None:
    """It is counted into in as few bits as hold its rows, and what is kept of it is not held twice."""
    sketch, kept = sketch_of({"n": [1.0] * 200}), list[tuple[Sketch, int]]()
    for more in (40, 10, 10, 70_000):
        packed = sketch.packed()
        kept += [(each, sketch.rows) for each in (Sketch.unpacked(packed), sketch.copy())]
        assert packed.counts.dtype == (np.uint8 if sketch.rows < 256 else np.uint16)
        sketch.update(*REFERENCE.encode({"n": [1.0] * more}))
        kept[-1][0].update(*REFERENCE.encode({"n": [2.0]}))
        kept[-1][0].counts  # noqa: B018 - a copy that is asked for does not change what is kept

    assert [(each.row("n").max(), each.rows) for each, _ in kept[::2]] == [(rows, rows) for _, rows in kept[::2]]
    assert [(each.row("n").max(), each.rows) for each, _ in kept[1::2]] == [(rows, rows + 1) for _, rows in kept[1::2]]
    assert (sketch.row("n").max(), sketch.rows) == (70_260, 70_260)


def test_packed_counts_are_added_and_taken_out_in_64_bits() -> None:
    """Two hundred and one hundred are more than a byte holds."""
    total = sketch_of({"n": [1.0] * 200})
    part = sketch_of({"n": [1.0] * 100}).packed()
    before = total.counts.tolist()
    total.add(part)

    assert part.counts.dtype == np.uint8
    assert (total.rows, total.row("n").max()) == (300, 300)

    total.subtract(part)

    assert (total.rows, total.counts.tolist()) == (200, before)


def test_packed_counts_of_another_grid_are_refused() -> None:
    other = Sketch.empty(Reference.fit({"n": [1.0]}).layout).packed()

    for change in (sketch_of({}).add, sketch_of({}).subtract):
        with pytest.raises(LayoutMismatchError):
            change(other)


@pytest.mark.parametrize("watched", [False, True])
def test_a_window_slid_is_one_less_a_pane_and_with_another(watched: bool) -> None:
    """Whatever else the panes tell: ids, groups, and what of it only some do."""
    rng = np.random.default_rng(5)

    def pane(rows: int, *, ids: bool = True, groups: bool = False) -> Sketch:
        sketch = Sketch.empty(REFERENCE.layout, watched=watched)
        sketch.update(*REFERENCE.encode({"n": rng.normal(size=rows), "m": rng.normal(size=rows)}))
        if ids:
            sketch.identify(rng.integers(1, 50, rows).astype(np.uint64))
        if groups:
            sketch.assign(rng.integers(1, 9, rows).astype(np.uint64))
        return sketch

    for kinds in ({}, {"ids": False}, {"groups": True}):
        first, second, third = (pane(20, **kinds).packed() for _ in range(3))
        total = Sketch.empty(REFERENCE.layout, watched=watched)
        total.add(first)
        total.add(second)
        for gone, come in ((first, third), (None, third), (first, None), (None, None)):
            expected = total.copy()
            if gone is not None:
                expected.subtract(gone)
            if come is not None:
                expected.add(come)

            found = total.slid(gone, come)
            assert found.to_bytes() == expected.to_bytes()
            assert found.kept.dtype == np.uint8  # whatever is told besides
