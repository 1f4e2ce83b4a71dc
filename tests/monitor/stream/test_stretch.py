"""What of a stretch is not saved is known, whatever was sorted or thinned out since, and is kept once."""

import numpy as np

from monitor.stream.join import PREDICTION, Rows, Stretch, at_level, by_hash, rows_of
from monitor.stream.sampling import levels_of
from tests.charted import seeded

STEPS = 400


def some(rng: np.random.Generator, number: int) -> Rows:
    """Rows that are told apart by their time."""
    size = int(rng.integers(1, 9))
    high = rng.integers(0, 2**64, size, dtype=np.uint64) >> rng.integers(0, 4, size).astype(np.uint64)
    return rows_of(PREDICTION, high=high, time=number * 10 + np.arange(size))


def times(parts: list[Rows]) -> list[int]:
    return sorted(time for rows in parts for time in rows["time"].tolist())


def test_what_came_since_is_what_is_not_saved() -> None:
    """Held against two plain lists: all rows, and those that are not saved."""
    rng, stretch = seeded(), Stretch(0)
    every, waiting = np.empty(0, PREDICTION), np.empty(0, PREDICTION)
    for number in range(STEPS):
        match int(rng.integers(0, 12)):
            case 0:
                stretch.sorted_runs(by_hash)
            case 1:
                stretch.saved()
                waiting = waiting[:0]
            case 2 if stretch.level < 3 and number % 10 == 0:
                stretch.raise_to(stretch.level + 1)
                every, waiting = at_level(every, stretch.level), at_level(waiting, stretch.level)
            case _:
                rows = at_level(some(rng, number), stretch.level)
                if rows.size:
                    stretch.add(rows)
                every, waiting = np.concatenate([every, rows]), np.concatenate([waiting, rows])
        assert times(stretch.unsaved) == times([waiting])
        assert times(list(stretch.rows)) == times([every])
    assert stretch.sizes.sum() == every.nbytes
    assert levels_of(every["high"]).min(initial=stretch.level) >= stretch.level


def test_rows_that_wait_to_be_saved_are_no_copies() -> None:
    stretch = Stretch(0)
    for number in range(50):
        stretch.add(some(seeded(number), number))

    assert all(any(np.shares_memory(rows, held) for held in stretch.fresh) for rows in stretch.unsaved)
