"""Counts by window: those that a sketch of each window would hold, in any order, of a bounded number of windows."""

import random

import numpy as np
import pytest

from detectors import Reference, Sketch
from detectors.calibration import collect
from detectors.calibration.cells import MergedCells
from detectors.calibration.collect import NO_TIME, WindowTally
from detectors.calibration.windows import WindowCounts
from detectors.features import Codes, Ints
from detectors.sketches.placing import ColumnCells

MINUTE = 60 * 10**9
Table = dict[str, np.ndarray]


def rows(count: int, minutes: int, seed: int | None = None) -> tuple[Ints, Table]:
    """Numbers with every oddity, a text and a boolean, at random times."""
    seed = random.getrandbits(32) if seed is None else seed
    print("seed", seed)  # shown when a test fails
    rng = np.random.default_rng(seed)
    odd = rng.choice([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e308, -1e308], count)
    table = {
        "smooth": rng.normal(size=count),
        "odd": np.where(rng.random(count) < 0.3, odd, rng.normal(size=count)),
        "few": rng.integers(0, 6, count),
        "empty": np.full(count, np.nan),
        "text": rng.choice(np.array(["a", "b", "c", "rare", None], dtype=object), count, p=[0.5, 0.3, 0.1, 0.01, 0.09]),
        "yes": rng.random(count) < 0.5,
    }
    return rng.integers(0, minutes * MINUTE, count), table


def columns(reference: Reference, table: Table) -> list[Codes]:
    """Each feature's cells."""
    numbers, codes = reference.encode(table)
    found = [
        ColumnCells(feature.edges).add(column)
        for feature, column in zip(reference.layout.numeric, numbers.T, strict=True)
    ]
    return [*found, *codes.T.copy()]


def tally(reference: Reference, times: Ints, rows_a_window: float = 100.0) -> WindowTally:
    cells = MergedCells.of(reference.layout, reference.counts, rows_a_window)
    windows = np.unique(times[times != NO_TIME] // MINUTE)
    return WindowTally(cells, MINUTE, windows)


def collected(reference: Reference, times: Ints, table: Table, pieces: int = 1) -> WindowCounts:
    found = tally(reference, times)
    for part in np.array_split(np.arange(times.size), pieces):
        placed = found.place(times[part])
        for at, column in enumerate(columns(reference, table)):
            placed.add(at, column[part])
    return found.counted()


def test_each_window_holds_what_its_own_sketch_would() -> None:
    times, table = rows(5_000, minutes=20)
    reference = Reference.fit({name: column[:4_000] for name, column in table.items()})  # the rest: under, over, unseen
    found = collected(reference, times, table)

    assert found.starts.tolist() == (np.unique(times // MINUTE) * MINUTE).tolist()
    cells = tally(reference, times).cells
    for start, count, counts in zip(found.starts, found.rows, found.cells, strict=True):
        inside = times // MINUTE * MINUTE == start
        window = Sketch.empty(reference.layout)
        window.update(*reference.encode({name: column[inside] for name, column in table.items()}))
        assert (counts == cells.merge(window.counts)).all()
        assert (count - counts.sum(axis=1) == window.missing).all()


@pytest.mark.parametrize(("count", "pieces"), [(5_000, 3), (500, 500)], ids=["a few", "a row at a time"])
def test_neither_order_nor_chunks_matter(count: int, pieces: int) -> None:
    times, table = rows(count, minutes=20)
    reference = Reference.fit(table)
    order = np.argsort(times, kind="stable")
    sorted_table = {name: column[order] for name, column in table.items()}
    expected, found = collected(reference, times, table), collected(reference, times[order], sorted_table, pieces)

    assert (found.cells == expected.cells).all()
    assert (found.rows == expected.rows).all()


def test_windows_without_a_row_are_left_out() -> None:
    times = np.array([0, MINUTE - 1, 7 * MINUTE])
    found = collected(Reference.fit({"x": [1.0, 2.0, 3.0]}), times, {"x": np.array([1.0, 2.0, 3.0])})

    assert found.starts.tolist() == [0, 7 * MINUTE]
    assert found.rows.tolist() == [2, 1]
    assert len(found) == 2


def test_rows_without_a_time_are_in_no_window() -> None:
    table = {"x": np.array([1.0, 2.0, 3.0])}
    found = collected(Reference.fit(table), np.array([NO_TIME, 5, NO_TIME]), table)

    assert found.rows.tolist() == [1]
    assert found.cells.sum() == 1


def test_a_column_that_is_not_there_is_missing() -> None:
    reference = Reference.fit({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    found = tally(reference, np.zeros(2, dtype=np.int64))
    found.place(np.zeros(2, dtype=np.int64)).add(
        0, columns(reference, {name: np.array([1.0, 2.0]) for name in "xy"})[0]
    )
    counts = found.counted()

    assert (counts.rows[:, None] - counts.cells.sum(axis=2)).tolist() == [[0, 2]]


def test_the_last_eight_weeks_of_windows_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "KEPT_WINDOWS", 1)
    reference = Reference.fit({"x": [1.0, 2.0]})
    cells = MergedCells.of(reference.layout, reference.counts, 100.0)
    times = np.array([0, 3, 9]) * collect.KEPT_NS // 4
    found = WindowTally(cells, collect.KEPT_NS // 2, np.unique(times // (collect.KEPT_NS // 2)))
    found.place(times).add(0, columns(reference, {"x": np.array([1.0, 2.0, 2.0])})[0])

    assert found.counted().starts.tolist() == [collect.KEPT_NS // 2, 2 * collect.KEPT_NS]
    assert found.counted().rows.tolist() == [1, 1]
    assert found.counted().cells.sum() == 2


def test_memory_is_bounded_whatever_the_window() -> None:
    reference = Reference.fit({f"x{at}": np.arange(1000.0) for at in range(10)})
    cells = MergedCells.of(reference.layout, reference.counts, 100.0)

    assert collect.most_windows(cells, 5 * MINUTE) == 8 * 7 * 24 * 12
    assert collect.most_windows(cells, 1) * len(cells.cuts) * cells.width * 4 <= collect.MOST_BYTES
    assert collect.most_windows(cells, 2 * collect.KEPT_NS) == collect.KEPT_WINDOWS  # of long ones eight weeks hold few
