"""The algebra of sketches against a model of it: how often each row was counted. Any order of adding, taking out, sliding, packing and writing."""

from bisect import bisect_left

import numpy as np
import pytest
from hypothesis.stateful import initialize, rule

from detectors import Reference, Sketch
from detectors.sketches import counting, sums
from tests.walks import Walk, moves, walk

REFERENCE = Reference.fit({"n": [0.0, 1.0, 2.0, 3.0], "m": [1.0, 1.0, 1.0, 1.0], "c": ["a", "a", "b", None]})
NAN, INF = float("nan"), float("inf")
N = (-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, NAN, -INF, INF)
M = (0.5, 1.0, 2.0, NAN, -INF, INF)
C = (0, 1, 2, 3)  # a, b, any other, missing
ROWS = [(N[number % 12], M[number // 12 % 6], C[number // 72 % 4]) for number in range(256)]
SLOTS = 6
MOST = 2**40  # rows: what is doubled again and again begins anew


def cell(value: float, tops: list[float], least: float) -> int:
    """Where a value is counted: under, the bins up to each top, over, missing, -inf, +inf."""
    if value != value:  # noqa: PLR0124 - NaN
        return len(tops) + 2
    if value in {INF, -INF}:
        return len(tops) + (4 if value > 0 else 3)
    return 0 if value < least else 1 + bisect_left(tops, value)


def cells(row: tuple[float, float, int]) -> np.ndarray:
    """One where the row is counted: 7 bins of n, each value and what lies between; one of m; a, b, other, missing."""
    found = np.zeros(12 + 6 + 4, dtype=np.int64)
    between = [0.0, np.nextafter(1.0, 0.0), 1.0, np.nextafter(2.0, 0.0), 2.0, np.nextafter(3.0, 0.0), 3.0]
    found[cell(row[0], between, 0.0)] += 1
    found[12 + cell(row[1], [1.0], 1.0)] += 1
    found[18 + row[2]] += 1
    return found


CELLS = np.array([cells(row) for row in ROWS])


class Sketches(Walk):
    """Some sketches, and how often each of them has counted each row."""

    @initialize()
    def begin(self) -> None:
        self.sketches = [Sketch.empty(REFERENCE.layout) for _ in range(SLOTS)]
        self.counted = [np.zeros(len(ROWS), dtype=np.int64) for _ in range(SLOTS)]

    @rule(moves=moves)
    def go_on(self, moves: bytes) -> None:
        for move in moves:
            self.count()
            self.step(move, moves)

    def step(self, move: int, rows: bytes) -> None:
        what, one, other = move % 7, move // 7 % SLOTS, move // 42 % SLOTS
        if self.counted[one].sum() > MOST:
            self.sketches[one], self.counted[one] = Sketch.empty(REFERENCE.layout), np.zeros(len(ROWS), dtype=np.int64)
        sketch, part = self.sketches[one], self.sketches[other]
        match what:
            case 0 | 1:
                self.update(one, rows[: 1 + move // 8])
            case 2 if one != other:
                sketch.add(part if move % 2 else part.packed())
                self.counted[one] += self.counted[other]
            case 3:
                self.sketches[one] = sketch.merge(part)
                self.counted[one] = self.counted[one] + self.counted[other]
            case 4 if one != other and (self.counted[other] <= self.counted[one]).all():
                sketch.subtract(part.packed())
                self.counted[one] -= self.counted[other]
            case 5:
                self.slide(one, other, (one + 1) % SLOTS)
            case 6:
                self.write(one, move)
        self.look(one)

    def update(self, slot: int, numbers: bytes) -> None:
        rows = [ROWS[number] for number in numbers]
        numeric = np.array([row[:2] for row in rows])
        self.sketches[slot].update(numeric, np.array([[row[2]] for row in rows], dtype=np.int32))
        self.counted[slot] += np.bincount(np.frombuffer(numbers, dtype=np.uint8), minlength=len(ROWS))

    def slide(self, slot: int, gone: int, come: int) -> None:
        if slot not in {gone, come} and (self.counted[gone] <= self.counted[slot]).all():
            packed = self.sketches[gone].packed(), self.sketches[come].packed()
            self.sketches[slot] = self.sketches[slot].slid(*packed)
            self.counted[slot] = self.counted[slot] - self.counted[gone] + self.counted[come]

    def write(self, slot: int, move: int) -> None:
        """What is written, or put away, comes back; a copy goes its own way."""
        sketch = self.sketches[slot]
        match move // 42 % 4:
            case 0:
                self.sketches[slot] = Sketch.from_bytes(REFERENCE.layout, sketch.to_bytes())
            case 1:
                self.sketches[slot] = Sketch.unpacked(sketch.packed())
            case 2:
                self.sketches[slot] = Sketch.from_bytes(REFERENCE.layout, sketch.packed().to_bytes())
            case 3:
                self.sketches[slot] = sketch.copy()
                self.update_lost(sketch)
        sketch.narrow()

    def update_lost(self, sketch: Sketch) -> None:
        sketch.update(np.array([[0.0, 1.0]]), np.array([[0]], dtype=np.int32))

    def look(self, slot: int) -> None:
        sketch, counted = self.sketches[slot], self.counted[slot]
        assert sketch.rows == counted.sum()
        assert sketch.counts.tolist() == (counted @ CELLS).tolist()


@pytest.mark.parametrize("by", ["compiled", "numpy"])
def test_sketches_count_what_their_rows_say_in_any_order(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if by == "numpy":
        monkeypatch.setattr(counting, "COMPILED", False)
        monkeypatch.setattr(sums, "USED", False)
    walk(Sketches, 15_000)
