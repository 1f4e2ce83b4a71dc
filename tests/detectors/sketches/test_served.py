"""How requests were served, and which columns hold one value: sums that neither order nor grouping changes, written and read."""

import struct
import zlib

import numpy as np
import pytest

from detectors import Reference
from detectors.sketches import Sketch
from detectors.sketches.served import BINS, BOUNDS, ServedCounts, bins_of, within
from detectors.sketches.unvaried import Unvaried
from detectors.sketches.violations import Violations
from monitor.stream.delta import PaneRows
from monitor.stream.violations import RowViolations
from tests.charted import seeded

REFERENCE = Reference.fit({"age": np.arange(100.0), "income": np.arange(100.0), "plan": ["free", "pro"] * 50})
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def rows_of(rng: np.random.Generator, count: int) -> Rows:
    numeric = np.asfortranarray(rng.choice([1.0, 1.0, 1.0, np.nan, 2.0], (count, 2), p=[0.3, 0.3, 0.3, 0.09, 0.01]))
    numeric[:, 1] = np.where(np.isnan(numeric[:, 1]), np.nan, 7.0)
    codes = rng.choice(np.array([0, 3], dtype=np.int32), (count, 1))
    served = np.column_stack([rng.integers(-1, BINS, count), rng.integers(-1, 2, count)]).astype(np.int16)
    return numeric, codes, served


def counted(rows: Rows) -> Sketch:
    sketch = Sketch.empty(REFERENCE.layout, watched=True)
    sketch.update(*rows[:2])
    sketch.serve(rows[2])
    return sketch


def held(sketch: Sketch) -> tuple[object, ...]:
    assert sketch.unvaried is not None
    assert sketch.served is not None
    values = dict(zip(sketch.unvaried.columns.tolist(), sketch.unvaried.values.tolist(), strict=True))
    return repr(values), sketch.served.latencies.tolist(), sketch.served.told, sketch.served.failed


@pytest.mark.parametrize("seed", range(10))
def test_parts_in_any_order_make_the_whole(seed: int) -> None:
    rng = seeded(seed)
    rows = rows_of(rng, 120)
    whole = counted(rows)
    parts = [
        counted((rows[0][places], rows[1][places], rows[2][places]))
        for places in np.array_split(rng.permutation(120), 7)
    ]
    together = Sketch.empty(REFERENCE.layout, watched=True)
    for part in parts:
        together.add(part.packed() if rng.random() < 0.5 else part)
    left, *others = parts
    for other in others:
        left = left.merge(other)

    assert held(together) == held(whole) == held(left)
    assert held(Sketch.from_bytes(REFERENCE.layout, whole.to_bytes())) == held(whole)
    assert Sketch.from_bytes(REFERENCE.layout, whole.to_bytes()).to_bytes() == whole.to_bytes()


def test_what_is_taken_out_again_leaves_the_counts_that_were() -> None:
    one, other = counted(rows_of(seeded(1), 50)), counted(rows_of(seeded(2), 50))
    before = one.copy()
    one.add(other)
    one.subtract(other)

    assert one.served is not None
    assert before.served is not None
    assert one.served.latencies.tolist() == before.served.latencies.tolist()
    assert (one.served.told, one.served.failed) == (before.served.told, before.served.failed)
    assert one.unvaried is None  # what varied may be what was taken out


def test_a_sketch_of_which_nothing_more_is_told_is_written_as_ever() -> None:
    numeric = np.column_stack([np.arange(10.0), np.arange(10.0)])
    codes = np.array([[0], [1]] * 5, dtype=np.int32)
    plain, watched = Sketch.empty(REFERENCE.layout), Sketch.empty(REFERENCE.layout, watched=True)
    for sketch in (plain, watched):
        sketch.update(numeric, codes)

    assert watched.to_bytes() == plain.to_bytes()


def test_neither_a_missing_value_nor_a_category_that_is_not_known_is_one_value() -> None:
    columns = Unvaried.of(REFERENCE.layout)
    numeric = np.array([[np.nan, 5.0], [np.inf, np.nan], [np.nan, 5.0]])
    columns.update(numeric, np.array([[2], [2], [2]], dtype=np.int32))

    assert columns.columns.tolist() == [0, 1]
    assert repr(columns.values.tolist()) == "[nan, 5.0]"


@pytest.mark.parametrize("cut", [1, 10, 300])
def test_damaged_bytes_are_refused(cut: int) -> None:
    written = counted(rows_of(seeded(3), 50)).to_bytes()
    with pytest.raises(ValueError, match="damaged"):
        Sketch.from_bytes(REFERENCE.layout, written[:-cut])
    with pytest.raises(ValueError, match="requests should be"):
        ServedCounts.from_bytes(b"x" * 40)
    with pytest.raises(ValueError, match="unvaried columns are damaged"):
        Unvaried.from_bytes(REFERENCE.layout, b"x" * 13)


@pytest.mark.parametrize("seed", range(20))
def test_a_quantile_lies_within_a_bin_of_the_exact_one(seed: int) -> None:
    seconds = np.sort(seeded(seed).lognormal(-2.0, 1.0, 501))
    counts = ServedCounts()
    counts.update(np.column_stack([bins_of(seconds), np.zeros(501, dtype=np.int16)]))
    for share in (0.5, 0.9, 0.95, 0.99):
        exact = seconds[int(np.ceil(share * 501)) - 1]
        assert counts.quantile(share) == pytest.approx(exact, rel=2 ** (1 / 8) - 1 + 1e-9)

    assert ServedCounts().quantile(0.5) is None
    assert sum(within(counts.latencies, np.exp2(np.arange(-10, 7)))) == 501
    assert np.isin(np.exp2(np.arange(-10, 7)), BOUNDS).all()


@pytest.mark.parametrize("size", [1, 3, 40])
def test_columns_that_hold_one_value_are_those_that_anybody_would_count(size: int) -> None:
    rng, columns = seeded(), Unvaried.of(REFERENCE.layout)
    numeric = np.where(rng.random((40, 2)) < [0.02, 0.9], rng.integers(0, 2, (40, 2)), 7.0)
    numeric[rng.random((40, 2)) < 0.3] = np.nan
    codes = np.where(rng.random((40, 1)) < 0.01, 1, 0).astype(np.int32)
    codes[rng.random((40, 1)) < 0.3] = 3
    for begin in range(0, 40, size):
        if size == 3:  # as the rows of one pane among those of others
            columns.update(numeric, codes, np.arange(begin, min(begin + size, 40)))
        else:
            columns.update(numeric[begin : begin + size], codes[begin : begin + size])

    expected = {}
    for at, column in enumerate([*numeric.T, np.where(codes[:, 0] == 3, np.nan, codes[:, 0])]):
        values = set(column[~np.isnan(column)].tolist())
        if len(values) < 2 and not (at == 2 and 2.0 in values):
            expected[at] = values.pop() if values else np.nan
    assert repr(dict(zip(columns.columns.tolist(), columns.values.tolist(), strict=True))) == repr(expected)


def test_a_format_is_the_oldest_that_says_all_and_all_are_read() -> None:
    """Nobody who does not hold events against a contract gets bytes that the version before cannot read."""
    rows = rows_of(seeded(), 50)
    plain, whole = Sketch.empty(REFERENCE.layout), counted(rows)
    plain.update(*rows[:2])
    broken = counted(rows)
    broken.violate(Violations({("age", "max"): 3, ("plan", "values"): 1}, 4))
    alone = Sketch.empty(REFERENCE.layout)
    alone.violate(Violations({("age", "max"): 3}, 3))

    assert [sketch.to_bytes()[4] for sketch in (plain, whole, broken, alone)] == [1, 4, 5, 5]
    for sketch in (plain, whole, broken, alone):
        read = Sketch.from_bytes(REFERENCE.layout, sketch.to_bytes())
        assert read.to_bytes() == sketch.to_bytes()
        assert (read.violations, read.arrived) == (sketch.violations, sketch.arrived)


def test_requests_of_rows_that_are_left_out_are_served_all_the_same() -> None:
    numeric, codes, served = rows_of(seeded(), 20)
    excluded = np.arange(20) < 15
    violations = RowViolations((("age", "max"),), excluded[None, :], excluded)
    sketch = Sketch.empty(REFERENCE.layout, watched=True)

    PaneRows(0, numeric, codes, served=served, violations=violations).add_to(sketch)
    read = Sketch.from_bytes(REFERENCE.layout, sketch.to_bytes())

    assert (read.rows, read.arrived) == (5, 20)
    assert read.served is not None
    assert read.served.told == int((served[:, 1] >= 0).sum())


@pytest.mark.parametrize("size", [1, 3])
def test_violations_that_are_cut_off_are_refused(size: int) -> None:
    sketch = counted(rows_of(seeded(), 10))
    sketch.violate(Violations({("age", "max"): 3}, 3))
    body = sketch.to_bytes()[: -4 - size]

    with pytest.raises(ValueError, match="damaged"):
        Sketch.from_bytes(REFERENCE.layout, body + struct.pack("<I", zlib.crc32(body)))
