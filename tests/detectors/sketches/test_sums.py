"""The compiled sums and numpy's are the same to the last bit, and what the compiled part does not know goes to numpy."""

import os
from bisect import bisect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Layout, Reference, Sketch
from detectors.features import CategoricalFeature, NumericFeature
from detectors.layout import Cells
from detectors.sketches import sums
from detectors.sketches.unvaried import Unvaried
from monitor.series.frozen import MEMORY, Frozen
from monitor.stream.events import MINUTE, SeriesKey

pytestmark = pytest.mark.usefixtures("compiled_parts")

SEEDS = st.integers(0, 2**32 - 1)
WIDTHS = [np.uint8, np.uint16, np.uint32, np.int64]
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")
COUNTS = st.sampled_from([1, 2, 40, 10**6, 2**40])  # one above the largest: mostly empty cells, or huge ones


@pytest.fixture(scope="module", params=["eight", "four"])
def at_once(request: pytest.FixtureRequest, compiled_parts: None) -> Iterator[None]:
    """So many counts of few bits are taken together: eight where the machine can, or four, as any of its kind does."""
    del compiled_parts
    sums._sums.by_eight(request.param == "eight")
    yield
    sums._sums.by_eight(True)


def drawn(rng: np.random.Generator, size: int, limit: int) -> np.ndarray:
    return rng.integers(0, limit, size) * (rng.random(size) < rng.random())


def number(name: str, bins: int) -> NumericFeature:
    edges = np.arange(bins + 1.0) if bins else np.empty(0)
    return NumericFeature(name, edges, discrete=False)


def grid_of(bins: list[int]) -> Layout:
    numeric = tuple(number(f"n{at}", each) for at, each in enumerate(bins))
    return Layout(numeric, (CategoricalFeature("c", ("a",)),))


@st.composite
def windows(draw: st.DrawFn) -> tuple[Layout, np.ndarray, np.random.Generator]:
    """Numbers of any width, their counts, and a die."""
    grid = grid_of(draw(st.lists(st.integers(0, 12), max_size=4)))
    rng = np.random.default_rng(draw(SEEDS))
    return grid, drawn(rng, grid.size, draw(COUNTS)), rng


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Cells]:
    """Counts of window and reference over cells of a few features."""
    widths = draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    cells = Cells.of([np.arange(width) for width in widths])
    rng = np.random.default_rng(draw(SEEDS))
    window, reference = (drawn(rng, sum(widths), draw(COUNTS)) for _ in range(2))
    return window, reference, cells


def bits(*found: np.ndarray) -> list[bytes]:
    return [one.tobytes() for one in found]


@pytest.mark.usefixtures("at_once")
@given(windows())
def test_distances_are_the_same(case: tuple[Layout, np.ndarray, np.random.Generator]) -> None:
    grid, counts, rng = case
    matrix = grid.numbers(counts)
    usable = matrix.sum(axis=1)
    rows = np.maximum(usable, 1).astype(np.float64)
    own = grid.numbers(drawn(rng, grid.size, rng.choice([2, 1000, 2**31 // 100, 2**40])))
    single = rng.random(own.shape) < rng.choice([0.0, 0.2, 1.0])
    for bins, width in zip(single, grid.widths.tolist(), strict=True):
        bins[width:] = True
    reference = sums.Cumulated.of(own, single)

    for each in (counts, sums.narrowed(counts)):
        alone = sums.distances(grid, each[None], usable[None], reference)
        twice = sums.distances(grid, np.stack([each[::-1], each]), np.stack([usable[::-1], usable]), reference)

        for values, upper in ([found[-1] for found in alone], [found[-1] for found in twice]):
            assert bits(values, upper) == bits(*sums.numpy_distances(matrix, rows, reference))
            assert bits(values, upper) == bits(*by_tables(matrix, rows, own, single))


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("bins", [29, 30, 31, 62, 300])
def test_the_farthest_edge_is_found_in_whichever_block_it_lies(bins: int) -> None:
    """They are looked through by 32 cells; all edges may be as far, or all but one."""
    grid = grid_of([bins])
    own = np.full((1, bins + 2), 7)
    reference = sums.Cumulated.of(own, np.zeros(own.shape, dtype=np.bool_))
    for place in range(bins + 2):
        counts = np.zeros(grid.size, dtype=np.int64)
        counts[place] = 11
        matrix, rows = grid.numbers(counts), np.array([11.0])

        for kind in WIDTHS:
            assert bits(*sums.distances(grid, counts.astype(kind)[None], np.array([[11]]), reference)) == bits(
                *sums.numpy_distances(matrix, rows, reference)
            )


def by_tables(window: np.ndarray, rows: np.ndarray, own: np.ndarray, single: np.ndarray) -> list[np.ndarray]:
    """The same from tables of the reference's shares, as the definition has it."""
    known = np.maximum(own.sum(axis=1), 1)[:, None]
    share = np.where(single, -2.0, own / known)
    apart = window.cumsum(axis=1) / rows[:, None] - own.cumsum(axis=1) / known
    at_edges = np.abs(apart).max(axis=1)
    inside = np.maximum((apart + share).max(axis=1), (share[:, 1:] - apart[:, :-1]).max(axis=1, initial=0.0))
    return [at_edges, np.minimum(np.maximum(inside, at_edges), 1.0)]


def test_a_reference_of_more_rows_than_32_bits_count_is_left_to_numpy() -> None:
    counts = np.array([[2**31, 5, 7, 9, 0]])
    wide = sums.Cumulated.of(counts, np.zeros(counts.shape, dtype=np.bool_))
    window = np.array([1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0])

    assert wide.upto.dtype == np.int64
    values, _ = sums.distances(GRID, window[None], np.array([[10]]), wide)
    assert values[0] == pytest.approx(abs(1 / 10 - 2**31 / counts.sum()))


@given(windows())
def test_moments_are_the_same(case: tuple[Layout, np.ndarray, np.random.Generator]) -> None:
    grid, counts, rng = case
    matrix = grid.numbers(counts)
    places = rng.normal(size=matrix.shape) * 10.0 ** rng.integers(-8, 8, matrix.shape)
    for row, width in zip(places, grid.widths.tolist(), strict=True):
        row[width:] = 0.0

    assert bits(sums.moments(grid, counts, places)) == bits(sums.numpy_moments(matrix, places))


@pytest.mark.usefixtures("at_once")
@given(windows())
def test_shifts_missing_and_fullest_cells_are_the_same(case: tuple[Layout, np.ndarray, np.random.Generator]) -> None:
    grid, counts, rng = case
    places = rng.normal(size=grid.numbers(counts).shape)
    for row, width in zip(places, grid.widths.tolist(), strict=True):
        row[width:] = 0.0
    rows, zero = rng.integers(0, 3, len(places)), rng.normal(size=len(places))

    for each in (counts, sums.narrowed(counts)):
        several = np.stack([each[::-1], each])
        assert bits(sums.shifts(grid, several, places, np.stack([rows[::-1], rows]), zero)[1]) == bits(
            sums.numpy_shifts(grid, counts, places, rows, zero)
        )
        assert bits(sums.missing(grid, several)[1]) == bits(np.add.reduceat(counts, grid.halves)[1::2])
        assert bits(sums.fullest(grid, several)[1]) == bits(np.maximum.reduceat(counts, grid.halves)[::2])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32, np.int64])
def test_counts_of_any_width_are_added_and_taken_out(kind: type[np.generic]) -> None:
    part = np.arange(0, 250, 3).astype(kind)
    counts = np.arange(part.size)

    for several in (1, 3, 300):  # more than sums of 16 bits hold
        parts = np.stack([part] * several)
        sums.add(counts, parts)
        assert counts.tolist() == (np.arange(part.size) + several * part.astype(int)).tolist()
        sums.subtract(counts, parts)
        assert counts.tolist() == list(range(part.size))
    assert sums._sums.add(counts, part[None, 1:]) is sums._sums.add(counts, part[None].astype(np.float64)) is False


@given(SEEDS)
def test_how_near_scores_are_is_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    *values, bounds = rng.choice([0.0, 0.5, 2.0, np.nan, np.inf], (3, 9))
    known, places = rng.random((2, 9)) < 0.7, rng.permutation(12)[:9]
    one, other = (np.full((2, 12), np.nan) for _ in range(2))
    for _ in range(2):
        sums.nearest(np.array(values), known, bounds, places, one)
        sums.numpy_nearest(np.array(values), known, bounds, places, other)
        values = [rng.permutation(each) for each in values]

    assert bits(one) == bits(other)


@given(SEEDS)
def test_columns_that_do_not_vary_are_the_same(seed: int) -> None:
    """Rows in any order in memory, with values that are missing, and categories that nobody knows."""
    rng = np.random.default_rng(seed)
    grid = Layout(
        tuple(number(f"n{at}", 3) for at in range(6)),
        tuple(CategoricalFeature(f"c{at}", ("a", "b")) for at in range(4)),
    )
    one, other = Unvaried.of(grid), Unvaried.of(grid)
    for _ in range(3):
        rows = int(rng.integers(1, 5))
        numeric = rng.choice([1.0, np.nan, np.inf, 2.0], (rows, 6), p=[0.8, 0.1, 0.05, 0.05])
        codes = rng.choice([0, 1, 2, 3], (rows, 4), p=[0.85, 0.05, 0.05, 0.05]).astype(np.int32)
        if rng.random() < 0.5:
            numeric, codes = np.asfortranarray(numeric), np.asfortranarray(codes)
        one.update(numeric, codes)
        if other.columns.size:
            other._update(numeric, codes)

        assert bits(one.columns, one.values) == bits(other.columns, other.values)


@given(SEEDS)
def test_the_past_of_columns_fades_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    usable = rng.integers(0, 2000, (3, 8))
    most, varies = rng.integers(0, usable + 1), rng.random((3, 8)) < 0.6
    seen = rng.integers(1000, 1030, 8)
    compiled = seen.copy(), seen // 2, rng.random((2, 8))
    frozen = Frozen(SeriesKey("m", "1"), Reference.fit({f"x{at}": np.arange(5.0) for at in range(8)}), MINUTE, 1)
    frozen._seen, frozen._varied, frozen._recent = (each.copy() for each in compiled)

    assert sums.fade(usable, most, varies, *compiled, MEMORY) is True
    for pane in zip(varies, usable, most, strict=True):
        frozen._count_by_numpy(*pane)
    assert bits(*compiled) == bits(frozen._seen, frozen._varied, frozen._recent)


@given(tables())
def test_tables_are_the_same(case: tuple[np.ndarray, np.ndarray, Cells]) -> None:
    assert bits(*sums.pearson(*case)) == bits(*sums.numpy_pearson(*case))
    window, *others = case
    several = np.stack([window[::-1], window, window])
    assert bits(*sums.shares(several, *others)) == bits(*sums.numpy_shares(several, *others))
    for all_at_once, alone in zip(sums.shares(several, *others), sums.shares(window[None], *others), strict=True):
        assert bits(*all_at_once[1:]) == bits(*alone, *alone)


@given(tables())
def test_runs_are_the_same(case: tuple[np.ndarray, np.ndarray, Cells]) -> None:
    window, _, cells = case
    some = np.arange(cells.starts.size)[:: 2 if window.sum() % 2 else 1]

    for each in (window, sums.narrowed(window)):
        found = sums.run_sums(np.stack([each[::-1], each]), cells.starts, some)
        assert bits(found[1]) == bits(np.add.reduceat(window, cells.starts)[some])


@pytest.mark.parametrize("held", WIDTHS)
@pytest.mark.parametrize("gone", WIDTHS)
@pytest.mark.parametrize("come", WIDTHS)
def test_counts_of_the_next_window_are_these_without_some_and_with_others(
    held: type[np.generic], gone: type[np.generic], come: type[np.generic]
) -> None:
    """They are kept in the smallest integers that hold them, whatever they were kept in before."""
    counts = np.arange(100, 220).astype(held)
    less, more = np.arange(0, 120).astype(gone), np.arange(240, 120, -1).astype(come)
    for most, kind in [(more, np.uint16), (np.minimum(more, 30), np.uint8)]:
        found, expected = sums.slid(counts, less, most), counts.astype(int) - less.astype(int) + most.astype(int)

        assert found.tolist() == expected.tolist()
        assert found.dtype == sums.numpy_slid(counts, less, most).dtype == kind
        assert counts.tolist() == list(range(100, 220))
    assert sums._sums.slide(counts, less[1:], more, counts.copy()) < 0
    assert sums._sums.slide(counts, less, more.astype(np.float64), counts.copy()) < 0
    assert sums._sums.slide(counts, less, more, counts.astype(np.uint32 if held is np.uint8 else np.uint8)) < 0


@given(SEEDS)
def test_counts_of_eight_bits_that_grow_beyond_them_are_kept_in_sixteen(seed: int) -> None:
    """Sixteen of them are taken together; any of them may be more than they hold."""
    rng = np.random.default_rng(seed)
    size, most = int(rng.integers(1, 70)), int(rng.choice([3, 100, 256]))
    counts, gone, come = (rng.integers(0, most, size).astype(np.uint8) for _ in range(3))
    gone = np.minimum(gone, counts)
    found = sums.slid(counts, gone, come)

    assert found.tolist() == (counts.astype(int) - gone + come).tolist()
    assert found.dtype == sums.numpy_slid(counts, gone, come).dtype


@given(windows())
def test_counts_are_kept_in_the_smallest_integers_that_hold_them(
    case: tuple[Layout, np.ndarray, np.random.Generator],
) -> None:
    _, counts, _ = case
    kept = sums.narrowed(counts)

    assert kept.tolist() == counts.tolist()
    assert kept.itemsize == 1 << ((max(int(counts.max()).bit_length(), 1) - 1) // 8).bit_length()
    assert sums.narrowed(kept) is kept or kept.dtype == np.int64  # these may be counted on


def test_runs_that_are_not_there_are_left_to_numpy() -> None:
    counts, starts, sums_of = np.arange(6)[None], np.array([0, 2, 4]), np.empty((1, 1), dtype=np.int64)

    assert sums._sums.runs(counts, starts, np.array([2]), sums_of) is True
    assert sums_of.tolist() == [[9]]
    assert sums._sums.runs(counts, starts, np.array([3]), sums_of) is False
    assert sums._sums.runs(counts, starts, np.array([-1]), sums_of) is False


def test_scores_do_not_depend_on_who_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    data = {"x": rng.normal(size=3_000), "n": rng.integers(9, size=3_000), "c": rng.choice(["a", "b", "c"], 3_000)}
    reference = Reference.fit(data)
    window = Sketch.empty(reference.layout)
    window.update(*reference.encode({name: column[:170] for name, column in data.items()}))
    compiled, shift = reference.compare(window), reference.mean_shift(window.tally())
    monkeypatch.setattr(sums, "USED", False)

    assert reference.compare(window) == compiled
    assert reference.mean_shift(window.tally()).tobytes() == shift.tobytes()


GRID = grid_of([3])
TABLE = (np.arange(4), np.arange(4), np.array([0, 2]))


@pytest.mark.parametrize(
    "given",
    [
        (np.arange(GRID.size, dtype=np.int32), GRID.starts, GRID.widths, np.zeros((1, 5)), np.zeros(1)),
        (np.arange(GRID.size), GRID.starts - 1, GRID.widths, np.zeros((1, 5)), np.zeros(1)),
        (np.arange(GRID.size), GRID.starts, GRID.widths + GRID.size, np.zeros((1, 500)), np.zeros(1)),
        (np.arange(GRID.size), GRID.starts, GRID.widths, np.zeros((1, 4)), np.zeros(1)),
        (np.arange(GRID.size), GRID.starts, GRID.widths, np.zeros((5, 2)).T[:1], np.zeros(1)),
        (np.arange(GRID.size), GRID.starts, GRID.widths, np.zeros((1, 5)), np.zeros(2)),
        (np.arange(GRID.size), GRID.starts, GRID.widths, np.zeros((1, 5)), None),
    ],
)
def test_moments_leave_what_does_not_fit(given: tuple[Any, ...]) -> None:
    assert sums._sums.moments(*given) is False


@pytest.mark.parametrize("starts", [[0, 4], [0, 0], [1, 2], [2, 1], [-1, 2]])
def test_tables_that_are_no_chain_are_left(starts: list[int]) -> None:
    chain = np.array(starts)

    assert sums._sums.pearson(*TABLE[:2], chain, np.zeros(2), np.zeros(2, dtype=np.int64)) is False
    assert (
        sums._sums.shares(TABLE[0][None], TABLE[1], chain, np.zeros((1, 4)), np.zeros((1, 4)), np.zeros((1, 2)))
        is False
    )


def test_distances_leave_tables_of_another_shape() -> None:
    ends = np.zeros((1, 1)), np.zeros((1, 1))
    rows, known = np.ones(1), (np.ones(1), np.ones(1))
    wide, narrow = (np.zeros((1, cells), dtype=np.int32) for cells in (5, 4))
    window = (np.arange(GRID.size)[None], GRID.starts, GRID.widths, np.ones((1, 1), dtype=np.int64))

    assert sums._sums.distances(*window, wide, wide > 0, *known, *ends) is True
    assert sums._sums.distances(*window, wide, narrow > 0, *known, *ends) is False
    assert sums._sums.distances(*window, narrow, narrow > 0, *known, *ends) is False
    assert sums._sums.distances(*window, wide.astype(np.int64), wide > 0, *known, *ends) is False
    assert sums._sums.distances(*window, wide, wide, *known, *ends) is False
    assert sums._sums.distances(*window, wide, wide > 0, rows, np.ones(2), *ends) is False
    with pytest.raises(TypeError, match="10 arrays"):
        sums._sums.distances(rows)


# Of each compiled function the arrays that it takes: i int64, d float64, w int32, u uint64, q bool, B of any width; capitals, and C of any
# width, have two dimensions but for B.
TAKES = {
    "add": "iC",
    "distances": "CiiIWQddDD",
    "distinct": "uui",
    "fade": "IIQiiDd",
    "fullest": "CiI",
    "joined": "uiuiui",
    "missing": "CiI",
    "moments": "iiiDd",
    "narrow": "BB",
    "nearest": "DQdiD",
    "pearson": "iiidi",
    "runs": "CiiI",
    "shares": "IiiDDD",
    "shifts": "CiiDIdD",
    "slide": "BBBB",
    "subtract": "iC",
    "unvaried": "DWiidqi",
    "within": "uuui",
}
LIKELY = 0.7, 0.85, 0.93, 0.98  # lengths, one after the other
KINDS = {"i": np.int64, "d": np.float64, "w": np.int32, "u": np.uint64, "q": np.bool_}


def thrown(rng: np.random.Generator, takes: str, rows: int, cells: int) -> np.ndarray:
    """An array that may do: of the right kind mostly, of a length that others have, with places that may lie anywhere."""
    kind = rng.choice(list(KINDS.values()) if rng.random() < 0.02 else [KINDS.get(takes.lower(), np.uint16)])
    if takes in "BC":
        kind = rng.choice([np.uint8, np.uint16, np.uint32, np.int64])
    lengths = [rows, cells, 2 * rows, 2, int(rng.integers(0, 5))]
    dimensions = 2 if takes in "CDIQW" else 1
    shape = tuple(lengths[bisect(LIKELY, rng.random())] for _ in range(dimensions))
    values = rng.integers(0, 5, shape) if rng.random() < 0.6 else np.broadcast_to(np.arange(shape[-1]) * 2, shape)
    if rng.random() < 0.03:
        values = rng.choice([-1, 2**40, -(2**40)], shape)
    with np.errstate(invalid="ignore"):
        found = np.array(values).astype(kind)
    if rng.random() < 0.02:
        found = np.repeat(found, 2, axis=-1)[..., ::2]  # with gaps
    if rng.random() < 0.02:
        found.setflags(write=False)
    return found


def test_no_arrays_do_harm() -> None:
    """Whatever they are, a function works on them or says that they do not fit; the sanitisers watch over ten times as many in `make sanitize`."""
    assert TAKES.keys() == {name for name, each in vars(sums._sums).items() if callable(each)} - {"by_eight"}
    rng, worked = np.random.default_rng(9), set[str]()
    for name, takes in sorted(TAKES.items()):
        function = getattr(sums._sums, name)
        for tried in range(3_000):
            if tried >= 300 and name in worked and not SANITIZED:
                break
            rows = int(rng.integers(0, 4))
            found = function(*(thrown(rng, each, rows, int(rng.choice([rows, 2 * rows, 4]))) for each in takes))
            assert isinstance(found, bool | int)
            if found is True or (name in {"distinct", "joined", "narrow", "slide", "within"} and found > 0):
                worked.add(name)
        with pytest.raises(TypeError, match="arrays are needed"):
            function()

    assert worked == TAKES.keys()
