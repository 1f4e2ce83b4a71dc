"""A reference's columns cell by cell: compiled and by numpy, in one piece or in many, to the last bit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.features import LARGEST, Codes, Floats, Ints
from detectors.sketches.placing import COMPILED, NOWHERE, ColumnCells, numpy_tally, tally
from tests.detectors.sketches.test_counting import SECOND_LARGEST, edges, values

MERGED = np.array([0, 0, 1, 1, 2, NOWHERE, NOWHERE, NOWHERE])  # of four edges
SCALE = 2.0**-64  # of sums: values near the largest are added
SLOTS = np.array([2, NOWHERE, 0])


def added(column: Floats, rungs: Floats, sizes: list[int]) -> tuple[ColumnCells, list[int]]:
    """A column in pieces of these sizes, over and over."""
    found, cells, first = ColumnCells(rungs, SCALE), list[int](), 0
    while first < column.size:
        piece = column[first : first + sizes[len(cells) % len(sizes)]]
        cells += found.add(piece).tolist()
        first += piece.size
    return found, cells


@given(edges, st.lists(values, min_size=1, max_size=60), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_compiled_and_numpy_place_alike_however_a_column_is_cut(
    rungs: Floats, column: list[float], sizes: list[int]
) -> None:
    numbers = np.array(column)
    found, cells = added(numbers, rungs, sizes)
    other, there = ColumnCells(rungs, SCALE), np.empty(numbers.size, dtype=np.int32)
    other.numpy_add(numbers, there)

    bins = slice(1, found.edges.size)
    assert cells == there.tolist()
    assert found.counts.tolist() == other.counts.tolist() == np.bincount(cells, minlength=found.counts.size).tolist()
    assert found.sums[bins].tobytes() == other.sums[bins].tobytes()


@given(st.lists(values, min_size=1, max_size=40))
def test_a_value_lies_in_the_cell_that_a_search_finds(column: list[float]) -> None:
    rungs = np.array([-1.0, 0.0, 0.5, 2.0])
    cells = ColumnCells(rungs).add(np.array(column))

    for value, cell in zip(column, cells.tolist(), strict=True):
        if math.isnan(value):
            assert cell == 5
        elif abs(value) >= LARGEST:
            assert cell == (6 if value < 0 else 7)
        else:
            assert cell == np.searchsorted(rungs, value)


def test_means_of_narrow_bins_are_exact() -> None:
    """A million times 0.1 are 0.1 on average, and 1e15 + 1 and + 2 have their middle."""
    low = float(np.nextafter(0.1, 0))
    found = ColumnCells(np.array([low, 0.1, 1e15, 1e15 + 2]))
    for _ in range(10):
        found.add(np.full(100_000, 0.1))
        found.add(np.tile([1e15 + 1, 1e15 + 2], 50_000))

    means = found.means()
    assert means[0] == 0.1
    assert means[2] == 1e15 + 1.5
    assert math.isnan(means[1])


def test_huge_values_have_a_mean() -> None:
    found = ColumnCells(np.array([-1.7e308, 1.7e308]), 2.0**-64)
    found.add(np.array([1.6e308, 1.7e308, -1.6e308, 1.7e308] * 1000))

    assert found.means()[0] == pytest.approx(0.85e308)


def test_a_number_that_was_never_there_is_over() -> None:
    assert ColumnCells(np.empty(0)).add(np.array([0.0, -SECOND_LARGEST, np.nan])).tolist() == [1, 1, 2]


def test_a_strided_column_is_read_where_it_lies() -> None:
    table = np.arange(12.0).reshape(4, 3)

    assert ColumnCells(np.array([0.0, 4.0, 8.0])).add(table[:, 1]).tolist() == [1, 1, 2, 3]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 2)), max_size=50))
def test_compiled_and_numpy_tally_alike(rows: list[tuple[int, int]]) -> None:
    cells = np.array([cell for cell, _ in rows], dtype=np.int32)
    window = np.array([at for _, at in rows], dtype=np.int64)
    found, other = np.zeros((2, 3, 2, 4), dtype=np.uint32)  # a feature of two, in three windows
    tally(cells, MERGED, window, SLOTS, found[:, 1])
    numpy_tally(cells, MERGED, window, SLOTS, other[:, 1])

    assert found.tolist() == other.tolist()
    assert found.sum() == np.count_nonzero((cells < 5) & (window != 1))
    assert not found[:, 0].any()


@pytest.mark.skipif(
    not COMPILED, reason="the compiled parts are not built, or DRIFTD_PURE=1 asks for the pure-Python path"
)
@pytest.mark.parametrize(
    ("cells", "window", "slots"),
    [
        ([8], [0], [0]),
        ([-1], [0], [0]),
        ([0], [3], [0]),
        ([0], [-1], [0]),
        ([0], [0], [5]),
        ([0], [0], [-2]),
        ([0, 0], [0], [0]),
    ],
)
def test_what_does_not_fit_is_not_counted(cells: list[int], window: list[int], slots: list[int]) -> None:
    from detectors.sketches import _count

    counts = np.zeros((3, 4), dtype=np.uint32)
    arrays: tuple[Codes, Ints, Ints] = (np.array(cells, dtype=np.int32), np.array(window), np.array(slots))

    assert not _count.tally(arrays[0], MERGED, arrays[1], arrays[2], counts)
    assert not _count.place(
        np.array([0.0, 1.0]),
        np.zeros(2),
        1.0,
        np.zeros(6),
        np.zeros(5, dtype=np.int64),
        np.zeros(6),
        np.zeros(2, dtype=np.int32),
    )
    assert not counts.any()
