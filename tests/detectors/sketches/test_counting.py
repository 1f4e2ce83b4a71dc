"""The compiled part and numpy count the same, and leave the same undone."""

import struct
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Layout, Reference
from detectors.features import LARGEST, CategoricalFeature, NumericFeature
from detectors.sketches.counting import MANY, NumpyCounter, _count, compiled_counter, count, numpy_counter, rows_at

pytestmark = pytest.mark.usefixtures("compiled_parts")

TINY, SECOND_LARGEST = 5e-324, float(np.nextafter(LARGEST, 0))
LANDMARKS = [0.0, -0.0, 1.0, -1.0, TINY, -TINY, 2.2e-308, LARGEST, -LARGEST, SECOND_LARGEST]


def payload(bits: int) -> float:
    """Any sixty-four bits as a number: among them every NaN, quiet or signalling, of either sign."""
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


finite = st.one_of(
    st.sampled_from(LANDMARKS),
    st.integers(-5, 5).map(float),
    st.floats(allow_nan=False, allow_infinity=False),
)
values = st.one_of(
    finite,
    st.sampled_from([np.nan, -np.nan, np.inf, -np.inf]),
    st.integers(0, 2**64 - 1).map(payload),
    st.sampled_from([payload(0xFFF0_0000_0000_0001), payload(0x7FF0_0000_0000_0001)]),
)
# No edge lies at the very ends: the outer rungs stand there.
edges = st.lists(finite.filter(lambda x: abs(x) < SECOND_LARGEST), max_size=40).map(
    lambda found: np.unique(np.array(found) + 0.0)
)


def numeric_feature(name: str, edges: np.ndarray) -> NumericFeature:
    if edges.size < 2:
        edges = np.empty(0)
    return NumericFeature(name, edges, discrete=False)


def category(name: str, known: int) -> CategoricalFeature:
    return CategoricalFeature(name, tuple(map(str, range(known))))


@st.composite
def grids(draw: st.DrawFn) -> Layout:
    numeric = [numeric_feature(f"n{i}", each) for i, each in enumerate(draw(st.lists(edges, max_size=3)))]
    least = 0 if numeric else 1
    known = draw(st.lists(st.integers(0, 4), min_size=least, max_size=3))
    return Layout(tuple(numeric), tuple(category(f"c{j}", size) for j, size in enumerate(known)))


def with_gaps(array: np.ndarray) -> np.ndarray:
    wide = np.full((array.shape[0] * 2, array.shape[1] * 3), 77, dtype=array.dtype)
    wide[::2, 1::3] = array
    return wide[::2, 1::3]


def frozen(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.setflags(write=False)
    return copy


def crooked(array: np.ndarray) -> np.ndarray:
    """No number begins at a multiple of its width."""
    raw = np.zeros(array.nbytes + 1, dtype=np.uint8)
    copy = raw[1:].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def backwards(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]


def other_bytes(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder())


layouts = st.sampled_from(
    [np.ascontiguousarray, np.asfortranarray, backwards, with_gaps, frozen, crooked, other_bytes],
)


@st.composite
def batches(draw: st.DrawFn, grid: Layout) -> tuple[np.ndarray, np.ndarray]:
    rows = draw(st.integers(0, 20)) * draw(st.sampled_from([1, 1, 40]))
    rungs = np.concatenate([np.empty(0), *(feature.edges for feature in grid.numeric)])
    near = np.concatenate([rungs, np.nextafter(rungs, -np.inf), np.nextafter(rungs, np.inf)]).tolist()
    number = st.one_of(values, st.sampled_from(near)) if near else values
    pool = np.array(draw(st.lists(number, min_size=1, max_size=30)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    numeric = rng.choice(pool, (rows, len(grid.numeric)))
    codes = np.empty((rows, len(grid.categorical)), dtype=np.int32)
    for j, feature in enumerate(grid.categorical):
        codes[:, j] = rng.integers(0, feature.cells, rows)
    return draw(layouts)(numeric), draw(layouts)(codes)


def places_in(rows: np.ndarray) -> st.SearchStrategy[np.ndarray | None]:
    """Some of the rows, in any order and more than once; or all."""
    if not len(rows):
        return st.just(None)
    seeds = st.integers(0, 99).map(np.random.default_rng)
    return st.none() | seeds.map(lambda rng: rng.integers(0, len(rows), rng.integers(0, 2 * len(rows))))


@given(st.data())
def test_compiled_counts_are_numpys_counts(data: st.DataObject) -> None:
    grid = data.draw(grids())
    compiled, numpy = np.zeros(grid.size, dtype=np.int64), np.zeros(grid.size, dtype=np.int64)
    for _ in range(2):
        numeric, codes = data.draw(batches(grid))
        places = data.draw(places_in(numeric))
        count(grid, numeric, codes, compiled, places)
        NumpyCounter(grid).count(*rows_at(places, numeric, codes), numpy)

    assert compiled.tolist() == numpy.tolist()


@st.composite
def long_ladders(draw: st.DrawFn) -> np.ndarray:
    """As many edges as a table of steps is made for: nearly as far from each other, some of them close together, anywhere."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.integers(60, 400))
    rungs = np.cumsum(rng.uniform(0.5, 1.5, size)) - draw(st.sampled_from([0.0, size / 2, size]))
    near = rungs[rng.integers(0, size, draw(st.integers(0, 12)))]
    unit, shift = draw(
        st.sampled_from([(1.0, 0.0), (1 / 3, 1e9), (1e-300, 0.0), (TINY, 0.0), (1e300, 0.0), (4e305, 0.0)])
    )
    found = np.concatenate([rungs, near, np.nextafter(near, np.inf)]) * unit + shift
    return np.unique(found[np.abs(found) < SECOND_LARGEST] + 0.0)


@given(st.data())
def test_long_batches_count_the_same_by_steps(data: st.DataObject) -> None:
    """Where a table says which edges are near, and where edges lie so that there is none; on the edges, beside them and far away."""
    rungs = data.draw(long_ladders())
    grid = Layout((numeric_feature("n", rungs), numeric_feature("m", np.arange(70.0))), ())
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    beside = [rungs, np.nextafter(rungs, -np.inf), np.nextafter(rungs, np.inf), rungs[:1] - 1, rungs[-1:] + 1]
    others = np.array([*data.draw(st.lists(values, max_size=9)), *LANDMARKS, np.nan, np.inf, -np.inf])
    column = np.concatenate([*beside, rng.uniform(rungs[0] / 2, rungs[-1] / 2, 200) * 2, others, np.zeros(260)])
    numeric = np.stack([column, rng.permutation(column)], axis=1)
    codes = np.empty((len(column), 0), dtype=np.int32)
    places = data.draw(places_in(numeric))
    for kind in (np.uint16, np.int64):
        compiled, numpy = np.zeros(grid.size, dtype=kind), np.zeros(grid.size, dtype=np.int64)
        assert compiled_counter(grid).count(numeric, codes, compiled, places)
        NumpyCounter(grid).count(*rows_at(places, numeric, codes), numpy)

        assert compiled.tolist() == numpy.tolist()


@given(st.data())
def test_sorting_a_column_counts_as_looking_each_value_up(data: st.DataObject) -> None:
    """Beyond MANY rows numpy sorts; the same values a few at a time are looked up."""
    feature = numeric_feature("n", data.draw(edges))
    grid = Layout((feature,), ())
    pool = np.array(data.draw(st.lists(values, min_size=1, max_size=30)))
    numeric, codes = np.resize(pool, (MANY + 10, 1)), np.empty((MANY + 10, 0), dtype=np.int32)
    whole, parts = np.zeros(grid.size, dtype=np.int64), np.zeros(grid.size, dtype=np.int64)
    NumpyCounter(grid).count(numeric, codes, whole)
    for first in range(0, len(numeric), MANY - 1):
        NumpyCounter(grid).count(numeric[first : first + MANY - 1], codes[first : first + MANY - 1], parts)

    assert whole.tolist() == parts.tolist()


REFERENCE = Reference.fit({"n": np.arange(100.0), "m": [1.0] * 100, "c": ["a", "b"] * 50, "d": ["x"] * 100})
GRID = REFERENCE.layout


def batch(rows: int = 3) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((rows, 2)), np.zeros((rows, 2), dtype=np.int32)


def with_code(value: int, *, at: tuple[int, int] = (2, 1)) -> tuple[np.ndarray, np.ndarray]:
    numeric, codes = batch()
    codes[at] = value
    return numeric, codes


@pytest.mark.parametrize(
    "unfit",
    [
        (np.zeros((3, 1)), batch()[1]),
        (batch()[0], np.zeros((3, 3), dtype=np.int32)),
        (np.zeros(3), batch()[1]),
        (np.zeros((3, 2, 1)), batch()[1]),
        (batch()[0], batch(4)[1]),
        (batch(4)[0], batch()[1]),
        with_code(3),
        with_code(4, at=(0, 0)),
        with_code(-1),
        with_code(2**31 - 1),
        with_code(-(2**31)),
    ],
)
def test_both_refuse_what_does_not_fit_in_the_same_words(unfit: tuple[np.ndarray, np.ndarray]) -> None:
    counts = np.zeros(GRID.size, dtype=np.int64)
    with pytest.raises(ValueError, match=r".") as one:
        count(GRID, *unfit, counts)
    with pytest.raises(ValueError, match=r".") as other:
        numpy_counter(GRID).count(*unfit, counts)

    assert str(one.value) == str(other.value)
    assert not counts.any()


@pytest.mark.parametrize(
    ("numeric", "codes"),
    [
        (batch()[0].astype(np.float32), batch()[1]),
        (batch()[0].astype(np.int64), batch()[1]),
        (batch()[0], batch()[1].astype(np.int64)),
        (batch()[0], batch()[1].astype(np.uint8)),
    ],
)
def test_other_types_of_number_are_left_to_numpy(numeric: np.ndarray, codes: np.ndarray) -> None:
    counts = np.zeros(GRID.size, dtype=np.int64)
    count(GRID, numeric, codes, counts)

    assert not compiled_counter(GRID).count(numeric, codes, counts, None)
    assert counts.sum() == 4 * len(numeric)


def test_the_batches_of_the_decoder_are_counted_by_the_compiled_part() -> None:
    """Column by column, as `Reference.encode` and the decoder lay them out; otherwise all goes slowly and unnoticed."""
    counts = np.zeros(GRID.size, dtype=np.int64)
    encoded = REFERENCE.encode({"n": [1.0, None], "c": ["a", None]})

    assert compiled_counter(GRID).count(*encoded, counts, None) is True
    assert compiled_counter(GRID).count(*encoded, counts, np.array([1])) is True
    assert counts.sum() == 3 * 4


def test_counts_of_another_kind_are_not_touched() -> None:
    zeros = frozen(np.zeros(GRID.size, dtype=np.int64))
    others = [
        zeros,
        crooked(zeros),
        np.zeros(GRID.size + 1, dtype=np.int64),
        np.zeros(GRID.size),
        np.zeros(GRID.size, dtype=np.int16),
    ]
    others += [
        memoryview(bytearray(GRID.size * 8 + 1))[1:].cast("q"),
        np.zeros(GRID.size * 2, dtype=np.int64)[::2],
        None,
        [0] * GRID.size,
    ]

    assert [compiled_counter(GRID).count(*batch(), other, None) for other in others] == [False] * len(others)
    assert [compiled_counter(GRID).count(other, other, zeros, None) for other in (None, [], b"", memoryview(b""))] == [
        False
    ] * 4


def test_places_where_no_row_is_are_not_counted() -> None:
    counts = np.zeros(GRID.size, dtype=np.int64)
    places = [[3], [-1], [0, 2**62], [0.0], np.zeros((1, 1), dtype=np.int64), crooked(np.zeros((2, 1), np.int64))[:, 0]]
    narrow = np.zeros(3, dtype=np.int32)

    assert [compiled_counter(GRID).count(*batch(), counts, np.array(each)) for each in places[:5]] == [False] * 5
    assert [compiled_counter(GRID).count(*batch(), counts, each) for each in (places[5], narrow, [0], 0)] == [False] * 4
    for lost in ([3], [-1], [0, 2**62]):
        with pytest.raises(ValueError, match="are not all among 3 rows"):
            count(GRID, *batch(), counts, np.array(lost))
    assert not counts.any()


def test_tables_that_do_not_fit_are_refused() -> None:
    """Whatever is counted later then stays inside the counts."""
    one, none = (np.array([1.0]),), np.empty(0, dtype=np.int64)

    def ints(*numbers: int) -> np.ndarray:
        return np.array(numbers, dtype=np.int64)

    crooked_edges = (crooked(np.array([1.0, 2.0])),)
    for edges in [list(one), (ints(1),), (np.empty(0),), (None,), (np.arange(4.0)[::2],), crooked_edges]:
        with pytest.raises(ValueError, match="the edges do not fit"):
            _count.Counter(edges, ints(0), none, 9)
    for firsts in [none, ints(0, 0), ints(-1), ints(1), ints(5), ints(6), ints(2**62), np.array([0.0])]:
        with pytest.raises(ValueError, match="the firsts do not fit"):
            _count.Counter(one, firsts, none, 5)
    for codes in [ints(0), ints(-1, 1), ints(0, -1), ints(1, 2), ints(3, 0), ints(2**62, 2**62)]:
        with pytest.raises(ValueError, match="the codes do not fit"):
            _count.Counter((), none, codes, 2)
    assert _count.Counter(one, ints(0), none, 5)


def test_the_compiled_part_reads_the_edges_where_they_are_and_keeps_them() -> None:
    """There is no second copy; nor may the first go while it is in use."""
    edges = np.arange(4.0)
    before = sys.getrefcount(edges)
    counter = _count.Counter((edges,), np.array([0]), np.empty(0, dtype=np.int64), 8)
    assert sys.getrefcount(edges) == before + 1

    del counter
    assert sys.getrefcount(edges) == before


def test_the_compiled_part_takes_no_other_arguments() -> None:
    with pytest.raises(TypeError, match="count takes 4 arguments, not 2"):
        compiled_counter(GRID).count(*batch())
    with pytest.raises(TypeError):
        _count.Counter()
    with pytest.raises(TypeError, match="no keyword"):
        _count.Counter(edges=1)
